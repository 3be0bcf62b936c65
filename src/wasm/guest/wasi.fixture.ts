/**
 * For the tests of this folder: a guest made of JavaScript. It owns a memory, calls WASI functions with
 * addresses into it as a module would, and counts fuel. No engine is involved.
 */
import { PAGE_BYTES } from '../../packet/limits.ts'
import type { Run } from '../runtime.ts'
import type { Ending, GuestContext, GuestInterface, GuestSession } from './guest.ts'
import { OFLAGS, RIGHTS_ALL, RIGHTS_FILE } from './wasi-abi.ts'
import { wasi } from './wasi.ts'
import { rangesOf } from '../ranges.ts'

export interface CallerOptions extends Partial<Pick<Run, 'args' | 'env' | 'files' | 'input' | 'outputs' | 'seed'>> {
  guest?: GuestInterface
  fuelMax?: bigint
  outputBytesMax?: number
  pages?: number
  stdoutIsTalk?: boolean
}

export class Caller {
  readonly memory: Uint8Array
  readonly view: DataView
  readonly session: GuestSession
  readonly guest: GuestInterface
  fuel = 0n
  ending: Ending | undefined
  /** Memory below is kept for results; texts and buffers are put above, one after the other. */
  #free = 1024

  constructor ({ guest = wasi, fuelMax = 2n ** 60n, outputBytesMax = PAGE_BYTES, pages = 16, stdoutIsTalk = false, ...run }: CallerOptions = {}) {
    this.memory = new Uint8Array(pages * PAGE_BYTES)
    this.view = new DataView(this.memory.buffer)
    this.guest = guest
    const context: GuestContext = {
      input: rangesOf(run.input ?? new Uint8Array(0)),
      run: {
        moduleId: '', wasm: new Uint8Array(0), entry: '', input: new Uint8Array(0), args: [], env: {}, files: {}, outputs: [],
        seed: new Uint8Array(32), limits: { fuelMax, memoryPagesMax: pages, outputBytesMax }, ...run
      },
      stdoutIsTalk,
      memory: () => this.memory,
      fuelUsed: () => this.fuel,
      charge: units => {
        this.fuel += units
        return this.fuel <= fuelMax
      },
      end: ending => { this.ending ??= ending }
    }
    this.session = guest.open(context)
  }

  /** The errno (or undefined) of one call. */
  call (name: string, ...args: Array<number | bigint>): number | bigint | undefined {
    this.fuel += BigInt(this.guest.functions[name]!.fuel)
    return this.session.functions[name]!(...args as never[])
  }

  alloc (length: number): number {
    const at = this.#free
    this.#free += length + 7 & ~7
    return at
  }

  /** Put bytes or text into the memory: address and length. */
  put (content: string | Uint8Array): [at: number, length: number] {
    const bytes = typeof content === 'string' ? new TextEncoder().encode(content) : content
    const at = this.alloc(bytes.length)
    this.memory.set(bytes, at)
    return [at, bytes.length]
  }

  text (at: number, length: number): string {
    return new TextDecoder().decode(this.memory.subarray(at, at + length))
  }

  /** A list of buffers, as `fd_read` and `fd_write` take it. */
  vectors (...buffers: Array<[at: number, length: number]>): [at: number, count: number] {
    const at = this.alloc(buffers.length * 8)
    buffers.forEach(([start, length], index) => {
      this.view.setUint32(at + index * 8, start, true)
      this.view.setUint32(at + index * 8 + 4, length, true)
    })
    return [at, buffers.length]
  }

  /** Errno of writing `content`. */
  write (fd: number, content: string | Uint8Array): number | bigint | undefined {
    return this.call('fd_write', fd, ...this.vectors(this.put(content)), 0)
  }

  /** What `fd_read` gives for a buffer of `length`. */
  read (fd: number, length: number): string {
    const at = this.alloc(length)
    const errno = this.call('fd_read', fd, ...this.vectors([at, length]), 0)
    if (errno !== 0) throw new Error(`fd_read: errno ${errno}`)
    return this.text(at, this.view.getUint32(0, true))
  }

  /** Errno of opening; the descriptor is at address 0 afterwards. */
  tryOpen (path: string, { dir = 3, oflags = 0, rights = RIGHTS_FILE, flags = 0, lookup = 1 } = {}): number | bigint | undefined {
    return this.call('path_open', dir, lookup, ...this.put(path), oflags, BigInt(rights), BigInt(RIGHTS_ALL), flags, 0)
  }

  open (path: string, options: Parameters<Caller['tryOpen']>[1] = {}): number {
    const errno = this.tryOpen(path, options)
    if (errno !== 0) throw new Error(`path_open ${path}: errno ${errno}`)
    return this.view.getUint32(0, true)
  }

  create (path: string, content = ''): number {
    const fd = this.open(path, { oflags: OFLAGS.creat })
    this.write(fd, content)
    return fd
  }

  /** A path call that takes a descriptor and a path only. */
  path (name: string, path: string, dir = 3): number | bigint | undefined {
    return this.call(name, dir, ...this.put(path))
  }

  names (fd = 3, cookie = 0n, length = 65_536): string[] {
    const at = this.alloc(length)
    this.call('fd_readdir', fd, at, length, cookie, 0)
    const end = at + this.view.getUint32(0, true)
    const names: string[] = []
    for (let entry = at; entry + 24 <= end;) {
      const size = this.view.getUint32(entry + 16, true)
      if (entry + 24 + size > end) break
      names.push(this.text(entry + 24, size))
      entry += 24 + size
    }
    return names
  }
}
