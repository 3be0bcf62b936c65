/** WASI calls that move bytes between a guest's memory and its streams, files and directories. */
import { LIMITS } from '../../packet/limits.ts'
import type { Descriptor, DirectoryDescriptor, FileDescriptor } from './descriptors.ts'
import { refuse } from './refusal.ts'
import { DIRENT_BYTES, ERRNO, FDFLAGS, FILETYPES, IOVEC_BYTES, RIGHTS } from './wasi-abi.ts'
import { COSTS } from './wasi-costs.ts'
import { toOffset } from './wasi-files.ts'
import type { WasiProcess } from './wasi-process.ts'

const limits = LIMITS.guest
const encoder = new TextEncoder()

interface Vectors { readonly chunks: readonly Uint8Array[], readonly length: number }

/** The buffers of a scattered read or write, all of them inside the memory. */
function readVectors (guest: WasiProcess, at: number, count: number): Vectors {
  const { memory } = guest
  if (count > limits.vectorsMax) refuse(ERRNO.inval)
  memory.check(at, count * IOVEC_BYTES)
  guest.pay(count * COSTS.vector)
  const chunks: Uint8Array[] = []
  let length = 0
  for (let index = 0; index < count; index++) {
    const vector = at + index * IOVEC_BYTES
    const chunk = memory.bytes(memory.u32(vector), memory.u32(vector + 4))
    chunks.push(chunk)
    length += chunk.length
  }
  // What was moved is told in 32 bits.
  if (length > 0xffffffff) refuse(ERRNO.inval)
  return { chunks, length }
}

function readFile (guest: WasiProcess, { inode }: FileDescriptor, offset: number, { chunks, length }: Vectors): number {
  guest.charge(Math.min(length, Math.max(inode.content.size - offset, 0)))
  let done = 0
  for (const chunk of chunks) {
    const got = inode.content.read(offset + done, chunk)
    done += got
    if (got < chunk.length) break
  }
  return done
}

function readInput (guest: WasiProcess, { chunks, length }: Vectors): number {
  const { input } = guest.context
  guest.charge(Math.min(length, input.length - guest.inputOffset))
  const start = guest.inputOffset
  for (const chunk of chunks) {
    guest.inputOffset += input.read(guest.inputOffset, chunk)
  }
  return guest.inputOffset - start
}

/** stdout: one byte beyond the limit ends the guest. */
function writeOutput (guest: WasiProcess, { chunks, length }: Vectors): void {
  const { stdout, context } = guest
  const { outputBytesMax } = context.run.limits
  if (stdout.size + length > outputBytesMax) {
    context.end({ kind: 'output', message: `The guest wrote more than ${outputBytesMax} bytes to stdout.` })
    refuse(ERRNO.nospc)
  }
  guest.charge(length + stdout.moves(stdout.size + length))
  for (const chunk of chunks) stdout.write(stdout.size, chunk)
}

/** stderr: what comes after the limit counts as written and is dropped. */
function writeError (guest: WasiProcess, { chunks, length }: Vectors): void {
  const { stderr } = guest
  guest.charge(length)
  for (const chunk of chunks) stderr.write(stderr.size, chunk.subarray(0, limits.stderrBytesMax - stderr.size))
}

function writeFile (guest: WasiProcess, descriptor: FileDescriptor, { chunks, length }: Vectors): void {
  const { inode, flags } = descriptor
  const at = (flags & FDFLAGS.append) !== 0 ? inode.content.size : descriptor.offset
  guest.files.write(inode, at, chunks, length)
  descriptor.offset = at + length
}

function writeTo (guest: WasiProcess, descriptor: Descriptor, vectors: Vectors): number {
  if (descriptor.kind === 'file') writeFile(guest, descriptor, vectors)
  else if (descriptor.kind === 'output') writeOutput(guest, vectors)
  else writeError(guest, vectors)
  return vectors.length
}

/** Name, inode number and type of what `fd_readdir` shows, and the cookie after which it continues. */
interface Listed { readonly name: string, readonly ino: number, readonly type: number, readonly next: number }

/** Entries from a cookie on: 0 is `.`, 1 is `..`, and 2 + s the entry with serial s. */
function * list (guest: WasiProcess, { inode }: DirectoryDescriptor, cookie: number): Generator<Listed> {
  const type = FILETYPES.directory
  if (cookie < 1) yield { name: '.', ino: inode.ino, type, next: 1 }
  if (cookie < 2) yield { name: '..', ino: (inode.parent ?? inode).ino, type, next: 2 }
  for (const [name, { serial, inode: entry }] of inode.entries) {
    guest.pay(COSTS.entryPassed)
    if (serial + 2 >= cookie) yield { name, ino: entry.ino, type: FILETYPES[entry.kind], next: serial + 3 }
  }
}

function encodeEntry ({ name, ino, type, next }: Listed): Uint8Array {
  const text = encoder.encode(name)
  const bytes = new Uint8Array(DIRENT_BYTES + text.length)
  const view = new DataView(bytes.buffer)
  view.setBigUint64(0, BigInt(next), true)
  view.setBigUint64(8, BigInt(ino), true)
  view.setUint32(16, text.length, true)
  view.setUint8(20, type)
  bytes.set(text, DIRENT_BYTES)
  return bytes
}

export function transferCalls (guest: WasiProcess) {
  const { memory, descriptors, files } = guest

  /** Reading or writing a descriptor not opened for it is `badf`, as in POSIX; the other rights are `notcapable`. */
  function opened (fd: number, right: number): Exclude<Descriptor, DirectoryDescriptor> {
    const descriptor = descriptors.get(fd)
    if (descriptor.kind === 'directory') return refuse(ERRNO.isdir)
    descriptors.get(fd, right, ERRNO.badf)
    return descriptor
  }

  return {
    fd_read (fd: number, vectorsAt: number, count: number, countAt: number): void {
      const descriptor = opened(fd, RIGHTS.fdRead)
      const vectors = readVectors(guest, vectorsAt, count)
      memory.check(countAt, 4)
      if (descriptor.kind === 'file') {
        const done = readFile(guest, descriptor, descriptor.offset, vectors)
        descriptor.offset += done
        memory.setU32(countAt, done)
      } else {
        memory.setU32(countAt, readInput(guest, vectors))
      }
    },

    fd_pread (fd: number, vectorsAt: number, count: number, offset: bigint, countAt: number): void {
      const descriptor = descriptors.file(fd, RIGHTS.fdRead, ERRNO.badf)
      const vectors = readVectors(guest, vectorsAt, count)
      memory.check(countAt, 4)
      memory.setU32(countAt, readFile(guest, descriptor, toOffset(offset), vectors))
    },

    fd_write (fd: number, vectorsAt: number, count: number, countAt: number): void {
      const descriptor = opened(fd, RIGHTS.fdWrite)
      const vectors = readVectors(guest, vectorsAt, count)
      memory.check(countAt, 4)
      memory.setU32(countAt, writeTo(guest, descriptor, vectors))
    },

    fd_pwrite (fd: number, vectorsAt: number, count: number, offset: bigint, countAt: number): void {
      const { inode } = descriptors.file(fd, RIGHTS.fdWrite, ERRNO.badf)
      const vectors = readVectors(guest, vectorsAt, count)
      memory.check(countAt, 4)
      files.write(inode, toOffset(offset), vectors.chunks, vectors.length)
      memory.setU32(countAt, vectors.length)
    },

    fd_readdir (fd: number, at: number, length: number, cookie: bigint, countAt: number): void {
      const descriptor = descriptors.directory(fd, RIGHTS.fdReaddir)
      const target = memory.bytes(at, length)
      memory.check(countAt, 4)
      let used = 0
      for (const entry of list(guest, descriptor, toOffset(cookie))) {
        if (used === length) break
        const part = encodeEntry(entry).subarray(0, length - used)
        guest.pay(COSTS.entryListed)
        target.set(part, used)
        used += part.length
      }
      memory.setU32(countAt, used)
    }
  }
}
