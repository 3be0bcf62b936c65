/**
 * A private mesh whose issuer nobody can dial: it lets in a public relay by dialling it, and through that relay somebody behind
 * another router, with the text of an invite alone. Real nodes in the namespaces of `routers.ts`.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createMesh } from '../../src/index.ts'
import { Machine } from '../chaos/machine.ts'
import { ECHO } from '../guests.ts'
import { addressOf, Routers } from './routers.ts'

export interface MeshScene {
  /** From the start of the newcomer until it is a member, and from then until its connection to the issuer is direct. */
  readonly joinedMs: number
  readonly punchedMs: number | null
  readonly problems: readonly string[]
}

const HOME = ['--listen', '/ip4/0.0.0.0/tcp/4001']
const WAIT_MS = 90_000
const LOOK_MS = 100
const INPUT_BYTES = 1_000_000

export async function playMesh (): Promise<MeshScene> {
  await using stack = new AsyncDisposableStack()
  const scratch = await mkdtemp(join(tmpdir(), 'inos-nat-'))
  stack.defer(() => rm(scratch, { recursive: true, force: true }))
  const routers = stack.use(await Routers.open('open'))
  const start = (host: number, ...args: string[]): Machine => stack.use(new Machine(routers, host, join(scratch, String(host)), args))
  const problems: string[] = []
  await createMesh({ dataDir: join(scratch, '2'), name: 'home' })
  const issuer = await start(2, ...HOME).operator()
  const relay = start(0, '--listen', addressOf('relay'), '--mesh', await issuer.invite({}))
  await until('the relay is let in', () => issuer.connect(addressOf('relay')).then(() => true, () => false))
  await relay.operator()
  await until('the relay leads to the issuer', async () => (await issuer.reachability())!.relays.includes(relay.id))
  const text = await issuer.invite({ grant: '100cr' })
  const began = Date.now()
  const newcomer = await start(3, ...HOME, '--mesh', text).operator()
  const met = Date.now()
  const via = async (): Promise<string | null | undefined> => (await newcomer.peers()).find(({ id }) => id === issuer.id)?.via
  if (!(await issuer.members()).some(({ id }) => id === newcomer.id)) problems.push('the newcomer is no member')
  await until('its grant is there', async () => ((await newcomer.credits()).balance) > 0n)
  const input = new Uint8Array(INPUT_BYTES).fill(7)
  const { bytes } = await newcomer.run(ECHO, input, { where: issuer.id })
  if (Buffer.compare(bytes, input) !== 0) problems.push('the answer is another')
  const isDirect = await until('the hole is punched', async () => await via() === null).catch(() => false)
  if (!isDirect) problems.push('no hole was punched')
  return { joinedMs: met - began, punchedMs: isDirect ? Date.now() - met : null, problems }
}

async function until (what: string, holds: () => Promise<boolean>): Promise<true> {
  for (const end = Date.now() + WAIT_MS; !await holds(); await sleep(LOOK_MS)) if (Date.now() > end) throw new Error(`never: ${what}`)
  return true
}
