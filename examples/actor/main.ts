/**
 * An actor that moves: notes kept by a module, its messages handled by whichever node is there.
 *
 *   node examples/actor/main.ts
 *
 * Two hosts and a caller, here in one process. The module keeps a map in its memory and knows nothing of nodes, disks or
 * restarts; between two messages its host is stopped, and the caller as well. Last, its history is verified.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { join, type Node, verifyChain } from '../../src/index.ts'

const WASM = new Uint8Array(readFileSync(new URL('notes.wasm', import.meta.url)))
const LIMITS = { fuelMax: 10_000_000n, memoryPagesMax: 64, outputBytesMax: 65_536 }
const dir = mkdtempSync(path(tmpdir(), 'inos-actor-'))

const host = (name: string): Promise<Node> => join({ dataDir: path(dir, name), listen: ['/ip4/127.0.0.1/tcp/0'], slots: 1 })
const hosts = new Map((await Promise.all(['one', 'two'].map(host))).map(node => [node.id, node]))
const call = async (node: Node, message: string): Promise<string> => {
  const reply = await (await node.actor('notes')).call(message)
  console.log(`${message.padEnd(26)} ${reply.text().padEnd(22)} at ${reply.executor.slice(-6)}`)
  return reply.executor
}

try {
  const options = { dataDir: path(dir, 'caller'), peers: [...hosts.values()].map(node => node.addresses()[0]!), serve: false }
  let caller = await join(options)
  const notes = await caller.spawn(WASM, { name: 'notes', where: 'remote', limits: LIMITS })
  await call(caller, 'put milk two litres')
  const home = await call(caller, 'put bread the dark one')
  const other = [...hosts.keys()].find(id => id !== home)!
  await notes.migrate(other)
  await call(caller, 'list')
  console.log('its host is stopped')
  await hosts.get(other)!.stop()
  await call(caller, 'put eggs ten')
  console.log('its caller is stopped, and starts again')
  await caller.stop()
  caller = await join({ ...options, peers: [hosts.get(home)!.addresses()[0]!] })
  await call(caller, 'get milk')
  await call(caller, 'list')
  const { messages, executors } = await verifyChain(await (await caller.actor('notes')).chain())
  console.log(`${messages} messages at ${executors.length} nodes, each from the state that the one before has left: verified`)
  await caller.stop()
} finally {
  for (const node of hosts.values()) await node.stop()
  rmSync(dir, { recursive: true, force: true })
}
