/**
 * One guest's process as WASI sees it: arguments, streams, files, descriptors, clock and randomness, all
 * made from the run alone. The calls on it are in `wasi-system.ts`, `wasi-poll.ts`, `wasi-transfer.ts`,
 * `wasi-files.ts` and `wasi-paths.ts`.
 *
 * stdin is the input, stdout the result (unless that is named elsewhere, as Extism does: then it is another
 * stderr), stderr is kept up to a limit; none of them is a terminal.
 * Open from the start: 0, 1, 2; 3 is "/", the whole tree; from 4 on each directory in it, in sorted
 * order, by its bare name, for programs that look for a directory they were given. Parents of the run's
 * files exist implicitly. Files a guest writes are gone with it, but for those its run asks for (`output-files.ts`).
 */
import { InosError } from '../../packet/errors.ts'
import { LIMITS } from '../../packet/limits.ts'
import type { Run } from '../runtime.ts'
import { ByteStore } from './byte-store.ts'
import { EPOCH_NANOSECONDS, VirtualClock } from './clock.ts'
import { Descriptors } from './descriptors.ts'
import { FileSystem } from './file-system.ts'
import type { GuestContext } from './guest.ts'
import { GuestMemory } from './guest-memory.ts'
import { RandomStream } from './random.ts'
import { refuse } from './refusal.ts'
import { plantFiles } from './run-files.ts'
import { CLOCK, type Dialect, ERRNO, RIGHTS_ALL, RIGHTS_DIRECTORY, RIGHTS_INPUT, RIGHTS_OUTPUT } from './wasi-abi.ts'
import { COSTS } from './wasi-costs.ts'

const limits = LIMITS.guest
const encoder = new TextEncoder()

function invalid (message: string): never {
  throw new InosError('ERR_INVALID_SPEC', message)
}

/** Bytes as C expects them; a NUL inside would end the text early, so it is refused. */
function cString (text: string, what: string): Uint8Array {
  if (text.includes('\0')) invalid(`The ${what} ${JSON.stringify(text)} contains a NUL.`)
  return encoder.encode(`${text}\0`)
}

function environment (env: Run['env']): Uint8Array[] {
  return Object.keys(env).sort().map(key => {
    if (key === '' || key.includes('=')) invalid(`${JSON.stringify(key)} is no name of an environment variable.`)
    return cString(`${key}=${env[key]}`, 'environment variable')
  })
}

export class WasiProcess {
  readonly context: GuestContext
  readonly dialect: Dialect
  readonly memory = new GuestMemory()
  readonly args: readonly Uint8Array[]
  readonly env: readonly Uint8Array[]
  readonly clock: VirtualClock
  readonly random: RandomStream
  readonly files: FileSystem
  readonly descriptors: Descriptors
  readonly stdout = new ByteStore()
  readonly stderr = new ByteStore()
  /** How much of the input the guest has read. */
  inputOffset = 0

  /** @throws {InosError} ERR_INVALID_SPEC when args, env or files cannot be given to a guest */
  constructor (context: GuestContext, dialect: Dialect) {
    const { run } = context
    this.context = context
    this.dialect = dialect
    this.args = ['main', ...run.args].map(arg => cString(arg, 'argument'))
    this.env = environment(run.env)
    this.clock = new VirtualClock(() => context.fuelUsed())
    this.random = new RandomStream(run.seed)
    // Nothing has run while the tree is made: it is as old as time.
    let now = () => EPOCH_NANOSECONDS
    this.files = new FileSystem({
      bytesMax: limits.fsBytesMax,
      namesMax: limits.fsNodesMax,
      now: () => now(),
      charge: bytes => this.charge(bytes)
    })
    plantFiles(this.files, run.files)
    now = () => this.clock.now(CLOCK.realtime)
    this.descriptors = new Descriptors(limits.descriptorsMax, this.files)
    this.#openStreams()
    this.#preopen()
  }

  /** Pay for `bytes` copied or cleared, before doing it; refuses when out of fuel. */
  charge (bytes: number): void {
    this.pay(Math.floor(bytes / COSTS.bytesPerUnit))
  }

  /** Pay `units` of fuel. Out of fuel the guest never sees what is returned. */
  pay (units: number): void {
    if (units > 0 && !this.context.charge(BigInt(units))) refuse(ERRNO.intr)
  }

  #openStreams (): void {
    this.descriptors.add({ kind: 'input', rights: RIGHTS_INPUT, inheriting: 0, flags: 0 })
    this.descriptors.add({ kind: this.context.stdoutIsTalk ? 'error' : 'output', rights: RIGHTS_OUTPUT, inheriting: 0, flags: 0 })
    this.descriptors.add({ kind: 'error', rights: RIGHTS_OUTPUT, inheriting: 0, flags: 0 })
  }

  #preopen (): void {
    const common = { kind: 'directory', rights: RIGHTS_DIRECTORY, inheriting: RIGHTS_ALL, flags: 0 } as const
    this.descriptors.add({ ...common, inode: this.files.root, preopen: '/' })
    let room: number = limits.preopensMax
    for (const [name, { inode }] of this.files.root.entries) {
      if (inode.kind === 'directory' && room-- > 0) this.descriptors.add({ ...common, inode, preopen: name })
    }
  }
}
