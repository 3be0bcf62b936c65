/**
 * Gets a command the node of its data directory: the one that runs there, through its control
 * socket, else one in this process. A directory that another command holds is waited for; of two
 * commands at once the second waits or shares, and never fails.
 */
import { readFile, writeFile } from 'node:fs/promises'
import { join as joinPath } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { isMap } from '../src/packet/envelope.ts'
import { InosError, toInosError } from '../src/packet/errors.ts'
import { LIMITS } from '../src/packet/limits.ts'
import { findNode } from '../src/node/control-client.ts'
import { isInUse, resolveDataDir } from '../src/node/data-dir.ts'
import type { JoinOptions, Node } from '../src/node/join.ts'
import { type Operator, operatorOf } from '../src/node/operator.ts'
import type { Output } from './output.ts'

/** Who holds the data directory, for those who wait: written by each command that opens it. */
const OWNER_NAME = 'owner.json'

export interface OpenOptions {
  /** `--data`; else INOS_HOME, else the user's data directory. */
  readonly data?: string | undefined
  readonly join: Omit<JoinOptions, 'dataDir' | 'signal'>
  readonly output: Output
  readonly signal: AbortSignal
}

/** The node that runs there, else one of this process. Dispose of it when done. */
export async function openOperator (options: OpenOptions): Promise<Operator> {
  const dataDir = resolveDataDir(options.data)
  return await whenFree(dataDir, options, async () => await findNode(dataDir) ?? operatorOf(await openNode(dataDir, options)))
}

/** A node of this process, for `up`: while another one runs there, it waits for its end. */
export async function openOwner (options: OpenOptions): Promise<{ node: Node, dataDir: string }> {
  const dataDir = resolveDataDir(options.data)
  return { node: await whenFree(dataDir, options, () => openNode(dataDir, options)), dataDir }
}

/**
 * For commands that change what a node is: they need the directory for themselves.
 * @returns its path @throws {InosError} ERR_DATA_DIR while a node runs there
 */
export async function refuseRunning (data: string | undefined): Promise<string> {
  const dataDir = resolveDataDir(data)
  const operator = await findNode(dataDir)
  if (operator === null) return dataDir
  throw new InosError('ERR_DATA_DIR', `A node runs in ${dataDir} (process ${operator.pid}); it joins a mesh only when it starts.`, { hint: 'Stop it first, or choose another directory with --data DIR.' })
}

/** A node without network, which neither listens nor serves: for commands that only look at the books. */
export const ALONE = { network: false, serve: false } as const

async function openNode (dataDir: string, { join: options, signal }: OpenOptions): Promise<Node> {
  const { join } = await import('../src/node/join.ts')
  const node = await join({ ...options, dataDir, signal })
  // Only for the words of who waits; without it the wait is the same.
  await writeFile(joinPath(dataDir, OWNER_NAME), JSON.stringify({ pid: process.pid, command: process.argv[2] ?? '' })).catch(() => {})
  return node
}

/** Try until the directory is free; there is no other end than the signal's, and the wait is told. */
async function whenFree<T> (dataDir: string, { output, signal }: OpenOptions, open: () => Promise<T>): Promise<T> {
  const begin = performance.now()
  let told = false
  for (;;) {
    signal.throwIfAborted()
    try {
      const opened = await open()
      output.status(null)
      return opened
    } catch (error) {
      if (!isInUse(error)) throw error
    }
    if (!told && performance.now() - begin > LIMITS.control.noticeMs) {
      told = true
      const words = `waiting for ${await describeOwner(dataDir)}, which uses ${dataDir}`
      output.say(words)
      output.status(words)
    }
    await sleep(told ? LIMITS.control.retryLateMs : LIMITS.control.retryMs, undefined, { signal })
  }
}

async function describeOwner (dataDir: string): Promise<string> {
  try {
    const owner: unknown = JSON.parse(await readFile(joinPath(dataDir, OWNER_NAME), 'utf8'))
    if (isMap(owner) && Number.isSafeInteger(owner['pid']) && process.kill(owner['pid'] as number, 0)) {
      return `\`inos ${String(owner['command']).slice(0, 20)}\` (process ${owner['pid']})`
    }
  } catch {
    // Not written yet, or by a process that is gone; the wait does not depend on it.
  }
  return 'another process'
}

/**
 * Dial every `--peer`, at most 10 s. One that answers is enough; the others are named on stderr.
 * @throws {InosError} when none could be used: what the last one answered, else ERR_NOT_REACHABLE
 */
export async function connectPeers (operator: Operator, addresses: readonly string[], { output, signal }: Pick<OpenOptions, 'output' | 'signal'>): Promise<void> {
  if (addresses.length === 0) return
  output.status(`connecting to ${addresses.join(', ')}`)
  const errors: InosError[] = []
  await Promise.all(addresses.map(async address => {
    try {
      await connect(operator, address, signal)
    } catch (error) {
      errors.push(toInosError(error))
    }
  }))
  output.status(null)
  signal.throwIfAborted()
  if (errors.length === addresses.length) throw errors.at(-1)
  for (const { message } of errors) output.say(message)
}

async function connect (operator: Operator, address: string, signal: AbortSignal): Promise<void> {
  const late = AbortSignal.timeout(LIMITS.wire.dialMsMax)
  try {
    await operator.connect(address, AbortSignal.any([signal, late]))
  } catch (error) {
    if (!late.aborted || signal.aborted) throw error
    throw new InosError('ERR_NOT_REACHABLE', `${address} was not reached within ${LIMITS.wire.dialMsMax / 1000} s.`, {
      cause: error, hint: 'Check that `inos up` runs there, and its address with `inos id`.'
    })
  }
}

/** Let an interrupt end a wait that takes no signal; the work behind it ends with the process. */
export async function cancellable<T> (signal: AbortSignal, work: Promise<T>): Promise<T> {
  const { promise, reject } = Promise.withResolvers<never>()
  const cancel = (): void => reject(signal.reason as Error)
  signal.addEventListener('abort', cancel, { once: true })
  try {
    signal.throwIfAborted()
    return await Promise.race([work, promise])
  } finally {
    signal.removeEventListener('abort', cancel)
  }
}
