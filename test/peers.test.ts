/** How nodes find each other and stay together: real processes, real data directories, loopback TCP. */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { findNode } from '../src/node/control-client.ts'
import type { PeerView } from '../src/processor/processor.ts'
import { hasMulticast } from './multicast.ts'

const MAIN = fileURLToPath(new URL('../cli/main.ts', import.meta.url))
/** For each thing that is waited for; alone on a machine it takes seconds. */
const MS = 100_000
const root = mkdtempSync(join(tmpdir(), 'inos-peers-'))
const children = new Set<ChildProcess>()
after(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(root, { recursive: true, force: true })
})

interface Up { readonly id: string, readonly address: string, readonly data: string, readonly child: ChildProcess, end (signal: NodeJS.Signals): Promise<void> }

/** `inos up` in a data directory, ready. */
async function up (name: string, ...args: string[]): Promise<Up> {
  const data = join(root, name)
  const child = spawn(process.execPath, [MAIN, 'up', '--json', '--slots', '1', '--data', data, ...args], { stdio: ['ignore', 'pipe', 'ignore'] })
  children.add(child)
  const closed = once(child, 'close').then(() => { children.delete(child) })
  const lines = createInterface({ input: child.stdout! })
  const [line] = await Promise.race([once(lines, 'line') as Promise<[string]>, closed.then(() => { throw new Error(`${name} ended before it was ready`) })])
  const { id, addresses } = JSON.parse(line) as { id: string, addresses: string[] }
  return { id, address: addresses[0]!, data, child, end: async signal => { child.kill(signal); await closed } }
}

async function list (data: string, ...words: string[]): Promise<Record<string, unknown>[]> {
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, 'peers', ...words, '--json', '--data', data])
  return stdout.split('\n').filter(line => line !== '').map(line => JSON.parse(line) as Record<string, unknown>)
}

async function until (holds: () => Promise<boolean>, what: string): Promise<void> {
  for (const end = Date.now() + MS; !await holds(); await sleep(200)) assert.ok(Date.now() < end, `never: ${what}`)
}

/** What the node itself says, through its control socket: a process for each look would take most of the time. */
async function peersOf ({ data }: Up): Promise<PeerView[]> {
  const operator = await findNode(data)
  assert.ok(operator !== null)
  return await operator.peers()
}

const sees = async (node: Up, ...others: Up[]): Promise<boolean> => {
  const ids = (await peersOf(node)).map(({ id }) => id)
  return others.every(({ id }) => ids.includes(id))
}

// Goal: a mesh holds together without the node that brought it together, and a node that restarts needs no address. Method: two nodes know only a
// third, which is killed once they know each other; then one of them restarts without --peer, at another port, and a newcomer knows only that one.
test('a mesh outlives its first node, and a restarted node comes back', { timeout: 280_000 }, async () => {
  const first = await up('first')
  const [b, c] = [await up('b', '--peer', first.address), await up('c', '--peer', first.address)]
  await until(async () => await sees(b, first, c) && await sees(c, first, b), 'B and C have learnt of each other')
  await first.end('SIGKILL')
  assert.ok(await sees(b, c))
  await b.end('SIGTERM')
  const known = await list(b.data, 'known')
  assert.deepEqual(known.map(({ id, connected }) => [id, connected]).sort(), [[first.id, false], [c.id, false]].sort())
  assert.ok(known.every(({ met, addresses }) => typeof met === 'number' && (addresses as string[]).length > 0))
  const again = await up('b')
  assert.equal(again.id, b.id)
  await until(async () => await sees(again, c) && await sees(c, again), 'B has found C by what it knew')
  const newcomer = await up('newcomer', '--peer', again.address)
  await until(async () => await sees(newcomer, again, c), 'a newcomer learns of C')
  await until(async () => (await peersOf(newcomer)).every(({ latencyMs }) => latencyMs !== null), 'pings were measured')
  assert.deepEqual((await list(newcomer.data)).map(({ id, transport }) => [id, transport]).sort(), [[again.id, 'tcp'], [c.id, 'tcp']].sort())
  await newcomer.end('SIGTERM')
  await promisify(execFile)(process.execPath, [MAIN, 'peers', 'forget', c.id, '--data', newcomer.data])
  assert.deepEqual((await list(newcomer.data, 'known')).map(({ id }) => id), [again.id])
  await Promise.all([again, c].map(node => node.end('SIGTERM')))
})

// Goal: with --mdns nodes need no address of each other; without it they stay apart. Method: two nodes with it, one without.
test('mDNS brings those together that ask for it', { timeout: 280_000 }, async context => {
  if (!await hasMulticast()) {
    context.skip('this machine has no multicast')
    return
  }
  const [a, b, apart] = [await up('mdns-a', '--mdns'), await up('mdns-b', '--mdns'), await up('mdns-apart')]
  await until(async () => await sees(a, b) && await sees(b, a), 'A and B have found each other')
  assert.deepEqual(await peersOf(apart), [])
  assert.equal(await sees(a, apart), false)
  await Promise.all([a, b, apart].map(node => node.end('SIGTERM')))
})
