/**
 * Jobs between two nodes that cannot dial each other, each behind a router: through a relay, past the death of
 * that relay, and after a hole punch; and who was billed what. Real nodes in the namespaces of `routers.ts`.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { createChance } from '../../src/testing/chance.ts'
import type { Operator } from '../../src/node/operator.ts'
import type { Reachability } from '../../src/processor/processor.ts'
import { Machine } from '../chaos/machine.ts'
import { ECHO } from '../guests.ts'
import { wasm } from '../wasm-builder.ts'
import { type MeshScene, playMesh } from './mesh.ts'
import { addressOf, type Nat, Routers } from './routers.ts'
import { playUpnp, type UpnpScene } from './upnp.ts'

/** Bytes of relaying that somebody paid for, and to whom; names of hosts. */
interface Bill { readonly payer: string, readonly payee: string, readonly amount: string }

export interface Scene {
  readonly nat: Nat
  /** What each node says of itself when it has settled down. */
  readonly reachability: Readonly<Record<string, Reachability['status']>>
  /** From the start of the hidden nodes until relays lead to both; from the first connection until it is direct, null: never. */
  readonly shelteredMs: number
  readonly punchedMs: number | null
  /** Jobs, in order: how they went and how long they took. */
  readonly jobs: readonly { readonly name: string, readonly via: string, readonly ok: boolean, readonly ms: number }[]
  readonly relayedBytes: number
  readonly bills: readonly Bill[]
  readonly problems: readonly string[]
}

export interface NatReport { readonly ok: boolean, readonly seed: number, readonly scenes: readonly Scene[], readonly mesh: MeshScene, readonly upnp: UpnpScene, readonly ms: number }

const WAIT_MS = 90_000
const LOOK_MS = 100
/** All tries of a hole punch, and a little. */
const PUNCH_MS = 20_000
const BULK_BYTES = 6_000_000
const BULK_JOBS = 3

/** Counts down for a few seconds, then answers with nothing. */
const SLOW = wasm({
  memory: { min: 1 },
  exports: { memory: 'memory 0' },
  functions: [{ type: ':i32', locals: 'i32', export: 'run', code: 'i32.const 1200000000 local.set 0 block loop local.get 0 i32.eqz br_if 1 local.get 0 i32.const 1 i32.sub local.set 0 br 0 end end i32.const 0' }]
})

/** @param say one line of progress now and then */
export async function runNat (seed: number, say: (line: string) => void = () => {}): Promise<NatReport> {
  const began = Date.now()
  const scenes = [await play('strict', seed, say), await play('open', seed, say)]
  const mesh = await playMesh()
  say(`private mesh: in after ${mesh.joinedMs} ms, direct after ${mesh.punchedMs} more`)
  const upnp = await playUpnp()
  say(`UPnP: dialled after ${upnp.openMs} ms; ${upnp.refusal}`)
  return { ok: [...scenes, mesh, upnp].every(({ problems }) => problems.length === 0), seed, scenes, mesh, upnp, ms: Date.now() - began }
}

async function play (nat: Nat, seed: number, say: (line: string) => void): Promise<Scene> {
  await using stack = new AsyncDisposableStack()
  const scratch = await mkdtemp(join(tmpdir(), 'inos-nat-'))
  stack.defer(() => rm(scratch, { recursive: true, force: true }))
  const routers = stack.use(await Routers.open(nat))
  const start = (host: number, ...args: string[]): Machine => stack.use(new Machine(routers, host, join(scratch, String(host)), args))
  const relay = start(0, '--listen', addressOf('relay'))
  await relay.operator()
  const spare = start(1, '--listen', addressOf('spare'), '--peer', addressOf('relay'))
  await spare.operator()
  const at = Date.now()
  const home = ['--listen', '/ip4/0.0.0.0/tcp/4001', '--peer', addressOf('relay'), '--peer', addressOf('spare')]
  const [a, b] = [start(2, ...home), start(3, ...home)]
  return await new Drama(nat, seed, say, { relay, spare, a, b }, at).play()
}

type Cast = Readonly<Record<'relay' | 'spare' | 'a' | 'b', Machine>>

class Drama {
  readonly #nat: Nat
  readonly #say: (line: string) => void
  readonly #cast: Cast
  readonly #began: number
  readonly #chance: ReturnType<typeof createChance>
  readonly #jobs: { name: string, via: string, ok: boolean, ms: number }[] = []
  readonly #problems: string[] = []
  #bills: Bill[] = []
  #relayedBytes = 0

  constructor (nat: Nat, seed: number, say: (line: string) => void, cast: Cast, began: number) {
    this.#nat = nat
    this.#say = say
    this.#cast = cast
    this.#began = began
    this.#chance = createChance(seed, nat)
  }

  async play (): Promise<Scene> {
    const { a, b, relay } = this.#cast
    await this.#until('relays lead to both', async () => (await Promise.all([a, b].map(async machine => (await this.#reach(machine)).relays.length))).every(relays => relays === 2))
    const shelteredMs = Date.now() - this.#began
    const reachability = Object.fromEntries(await Promise.all(Object.entries(this.#cast).map(async ([name, machine]) => [name, (await this.#reach(machine)).status]))) as Scene['reachability']
    if (reachability['relay'] !== 'public' || reachability['a'] !== 'relayed' || reachability['b'] !== 'relayed') this.#problems.push('who can be dialled is not known rightly')
    const buyer = await a.operator()
    const way = (await (await b.operator()).addresses()).find(address => address.includes(`/p2p/${relay.id}/p2p-circuit`))
    await buyer.connect(way!)
    // It is on its way through the relay while the hole is punched.
    const slow = this.#nat === 'open' ? this.#slow('begun before the punch') : null
    const met = Date.now()
    const punchedMs = await this.#until(null, async () => await this.#via() === 'direct', PUNCH_MS) ? Date.now() - met : null
    if ((punchedMs !== null) !== (this.#nat === 'open')) this.#problems.push(punchedMs === null ? 'no hole was punched' : 'a hole was punched where none can be')
    if (slow === null) {
      for (let i = 0; i < BULK_JOBS; i++) await this.#echo(`echo ${i + 1}`, BULK_BYTES)
      await this.#account()
    }
    await this.#survive(slow)
    this.#say(`${this.#nat}: ${this.#jobs.map(({ name, via, ms }) => `${name} (${via}) ${ms} ms`).join(', ')}`)
    return { nat: this.#nat, reachability, shelteredMs, punchedMs, jobs: this.#jobs, relayedBytes: this.#relayedBytes, bills: this.#bills, problems: this.#problems }
  }

  /** The relay dies while a job runs; where there is no direct way, another relay leads on. */
  async #survive (slow: Promise<void> | null): Promise<void> {
    const { a, b, relay, spare } = this.#cast
    const buyer = await a.operator()
    const running = slow ?? this.#slow('begun before the relay died')
    if (slow === null) await this.#until('the job has begun', async () => (await buyer.jobs()).some(({ state }) => state === 'running'))
    this.#relayedBytes = (await this.#reach(relay)).carried.reduce((sum, { bytes }) => sum + bytes, 0)
    await relay[Symbol.asyncDispose]()
    if (this.#nat === 'open') await spare[Symbol.asyncDispose]()
    await running
    await this.#echo('after the relay died', BULK_BYTES)
    const via = await this.#via()
    if (via !== (this.#nat === 'open' ? 'direct' : 'spare')) this.#problems.push(`at the end the two are connected by ${via}`)
    for (const machine of [a, b]) if (!(await (await machine.operator()).audit()).ok) this.#problems.push(`the books of ${machine.host} do not hold`)
  }

  async #slow (name: string): Promise<void> {
    await this.#job(name, async () => { await (await this.#cast.a.operator()).run(SLOW, new Uint8Array(0), { where: this.#cast.b.id }) })
  }

  async #echo (name: string, bytes: number): Promise<void> {
    const input = this.#chance.bytes(bytes)
    await this.#job(name, async () => {
      const { bytes: result } = await (await this.#cast.a.operator()).run(ECHO, input, { where: this.#cast.b.id })
      if (Buffer.compare(result, input) !== 0) throw new Error('the answer is another')
    })
  }

  async #job (name: string, run: () => Promise<void>): Promise<void> {
    const via = await this.#via()
    const began = Date.now()
    const error = await run().then(() => null, (error: unknown) => error)
    this.#jobs.push({ name, via, ok: error === null, ms: Date.now() - began })
    if (error !== null) this.#problems.push(`${name}: ${String(error)}`)
  }

  /** The relay's books and those of who was relayed to, once they agree. */
  async #account (): Promise<void> {
    const { relay, b } = this.#cast
    const owner = await relay.operator()
    const { carried } = await this.#reach(relay)
    const sum = async (operator: Operator, direction: string): Promise<bigint> => (await Array.fromAsync(operator.history())).filter(entry => entry.kind === 'relay' && entry.direction === direction).reduce((all, { amount }) => all + amount, 0n)
    const payer = await b.operator()
    const isBilled = carried.some(({ paid }) => paid > 0)
    await this.#until('what was relayed is paid', async () => await sum(owner, 'earned') === await sum(payer, 'spent') && (!isBilled || await sum(payer, 'spent') > 0n))
    const amount = await sum(payer, 'spent')
    if (amount > 0n) this.#bills.push({ payer: 'b', payee: 'relay', amount: String(amount) })
    if (await sum(await this.#cast.a.operator(), 'spent') > 0n) this.#problems.push('who only dialled was billed')
    if (this.#nat === 'strict' && amount === 0n) this.#problems.push('nobody was billed')
  }

  async #via (): Promise<string> {
    const { a, b, relay } = this.#cast
    const peer = (await (await a.operator()).peers()).find(({ id }) => id === b.id)
    return peer === undefined ? 'none' : peer.via === null ? 'direct' : peer.via === relay.id ? 'relay' : 'spare'
  }

  async #reach (machine: Machine): Promise<Reachability> { return (await (await machine.operator()).reachability())! }

  /** @param what counts as a problem when it does not come; null: that is no problem */
  async #until (what: string | null, holds: () => Promise<boolean>, ms = WAIT_MS): Promise<boolean> {
    for (const end = Date.now() + ms; Date.now() < end; await sleep(LOOK_MS)) if (await holds()) return true
    if (what !== null) this.#problems.push(`never: ${what}`)
    return false
  }
}
