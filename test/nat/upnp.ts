/** A node behind a router that forwards ports when it is asked to (`gateway.ts`), and behind one that refuses. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Machine } from '../chaos/machine.ts'
import { addressOf, Routers } from './routers.ts'

export interface UpnpScene {
  /** From the start of the node until somebody has dialled it through the router. */
  readonly openMs: number | null
  /** What a node says of a router that refuses. */
  readonly refusal: string
  readonly problems: readonly string[]
}

const GATEWAY = fileURLToPath(new URL('gateway.ts', import.meta.url))
const WAIT_MS = 60_000
const LOOK_MS = 100

export async function playUpnp (): Promise<UpnpScene> {
  const problems: string[] = []
  const openMs = await behind('open', async (home, relay, asked) => {
    const began = Date.now()
    const node = await home.operator()
    const isOpen = await until(async () => (await node.reachability())!.status === 'public')
    if (!isOpen) problems.push(`the port is not forwarded: ${(await node.reachability())!.reason}`)
    const { addresses } = (await node.reachability())!
    if (isOpen && !await until(() => relay.connect(addresses.find(address => address.startsWith('/ip4/5.3.3.2/')) ?? '').then(() => true, () => false))) problems.push('nobody gets in')
    const ms = Date.now() - began
    await home.stop()
    if (!await until(async () => asked.includes('DeletePortMapping'))) problems.push('the port was not taken back')
    return isOpen ? ms : null
  })
  const refusal = await behind('refuse', async home => {
    const node = await home.operator()
    await until(async () => (await node.reachability())!.reason.includes('606'))
    return (await node.reachability())!.reason
  })
  if (!refusal.includes('192.168.1.1 refuses')) problems.push(`a refusal is told as: ${refusal}`)
  return { openMs, refusal, problems }
}

async function behind<T> (mode: string, play: (home: Machine, relay: Awaited<ReturnType<Machine['operator']>>, asked: string[]) => Promise<T>): Promise<T> {
  await using stack = new AsyncDisposableStack()
  const scratch = await mkdtemp(join(tmpdir(), 'inos-nat-'))
  stack.defer(() => rm(scratch, { recursive: true, force: true }))
  const routers = stack.use(await Routers.open('strict'))
  const [command, args] = routers.atRouter([process.execPath, GATEWAY, '192.168.1.1', '239.255.255.250', '1900', mode])
  const gateway = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  stack.defer(async () => {
    gateway.stdin.end()
    if (gateway.exitCode === null) await once(gateway, 'exit')
  })
  const asked: string[] = []
  const lines = createInterface(gateway.stdout).on('line', line => { asked.push((JSON.parse(line) as { action: string }).action) })
  await once(lines, 'line')
  const relay = stack.use(new Machine(routers, 0, join(scratch, '0'), ['--listen', addressOf('relay')]))
  const operator = await relay.operator()
  const home = stack.use(new Machine(routers, 2, join(scratch, '2'), ['--listen', '/ip4/0.0.0.0/tcp/4001', '--peer', addressOf('relay')]))
  return await play(home, operator, asked)
}

async function until (holds: () => Promise<boolean>): Promise<boolean> {
  for (const end = Date.now() + WAIT_MS; !await holds(); await sleep(LOOK_MS)) if (Date.now() > end) return false
  return true
}
