/**
 * One actor that counts, its caller and three hosts, each a process. Hosts are killed while they handle a message, the caller
 * while it waits for one, and the actor is told to move. Whatever has no reply is sent again under its name.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { verifyChain } from '../../src/index.ts'
import { draw } from '../crash/draw.ts'
import { Child } from './child.ts'
import type { FromProcess } from './messages.ts'

export interface Plan {
  readonly seed: number
  readonly messages: number
  /** Of hosts, and of the caller. */
  readonly kills: number
  readonly callerKills: number
  readonly migrations: number
}

export interface Report {
  readonly ok: boolean
  readonly problems: readonly string[]
  readonly messages: number
  readonly kills: number
  readonly callerKills: number
  readonly migrations: number
  /** Times the next message ran at another host than the last. */
  readonly moves: number
  /** Messages sent again, and replies that were given again. */
  readonly repeats: number
  readonly repeated: number
  readonly chainMessages: number
  readonly executors: number
  readonly msPerMessage: number
  readonly ms: number
}

const HOSTS = 3
/** A kill comes within so many milliseconds of the message it hits. */
const KILL_MS = 8
const PAUSE_MS = 100
/** Tries at one message, each after a pause: longer than a host takes to come back. */
const TRIES_MAX = 300

type Event = 'kill' | 'caller' | 'migrate'

/** At which message what happens; each kind at different messages, none at the first. */
function drawEvents ({ seed, messages, kills, callerKills, migrations }: Plan): Map<number, Event> {
  const events = new Map<number, Event>()
  const wanted: Event[] = [...Array<Event>(kills).fill('kill'), ...Array<Event>(callerKills).fill('caller'), ...Array<Event>(migrations).fill('migrate')]
  for (const [index, event] of wanted.entries()) {
    let n = 2 + draw(seed, index, 'message', messages - 1)
    while (events.has(n)) n = n === messages ? 2 : n + 1
    events.set(n, event)
  }
  return events
}

export async function runCampaign (plan: Plan, say: (line: string) => void = () => {}): Promise<Report> {
  const scratch = await mkdtemp(join(tmpdir(), 'inos-actors-'))
  const campaign = new Campaign(plan, scratch, say)
  try {
    return await campaign.run()
  } finally {
    await campaign.close()
    await rm(scratch, { recursive: true, force: true })
  }
}

class Campaign {
  readonly #plan: Plan
  readonly #scratch: string
  readonly #say: (line: string) => void
  readonly #events: Map<number, Event>
  readonly #problems: string[] = []
  #hosts: Child[] = []
  #caller: Child | undefined
  #home = ''
  /** Whether a host has come back that the caller has not met yet. */
  #isStranger = false
  #moves = 0
  #repeats = 0
  #repeated = 0

  constructor (plan: Plan, scratch: string, say: (line: string) => void) {
    this.#plan = plan
    this.#scratch = scratch
    this.#say = say
    this.#events = drawEvents(plan)
  }

  async run (): Promise<Report> {
    const { messages } = this.#plan
    this.#hosts = await Promise.all(Array.from({ length: HOSTS }, (_, i) => this.#launchHost(i)))
    this.#caller = await this.#launchCaller()
    const began = performance.now()
    let sum = 0
    for (let n = 1; n <= messages; n++) {
      const event = this.#events.get(n)
      if (this.#isStranger) await this.#meet()
      if (event === 'migrate') await this.#migrate(n)
      const reply = await this.#send(n, event)
      sum += n
      if (reply.count !== n || reply.sum !== sum) this.#problems.push(`message ${n} got count ${reply.count} and sum ${reply.sum}, not ${n} and ${sum}`)
      if (this.#home !== '' && reply.executor !== this.#home) this.#moves++
      this.#home = reply.executor
      if (reply.repeated) this.#repeated++
      if (n % 500 === 0) this.#say(`${n}/${messages}: ${this.#moves} moves, ${this.#repeats} repeats, ${this.#problems.length} problems`)
    }
    const ms = performance.now() - began
    const chain = await this.#chain()
    if (chain.messages !== messages) this.#problems.push(`the history has ${chain.messages} messages`)
    const { kills, callerKills, migrations } = this.#plan
    return {
      ok: this.#problems.length === 0, problems: this.#problems.slice(0, 10), messages, kills, callerKills, migrations, moves: this.#moves, repeats: this.#repeats, repeated: this.#repeated,
      chainMessages: chain.messages, executors: chain.executors.length, msPerMessage: Number((ms / messages).toFixed(2)), ms: Math.round(ms)
    }
  }

  async close (): Promise<void> {
    await Promise.all([...this.#hosts, ...(this.#caller === undefined ? [] : [this.#caller])].map(child => child.kill()))
  }

  async #launchHost (index: number): Promise<Child> {
    // It comes back at the same address.
    const listen = /^(\/ip4\/[^/]+\/tcp\/\d+)/.exec(this.#hosts[index]?.address ?? '')?.[1] ?? '/ip4/127.0.0.1/tcp/0'
    return await Child.launch({ role: 'host', dataDir: join(this.#scratch, `host-${index}`), listen })
  }

  async #launchCaller (): Promise<Child> {
    return await Child.launch({ role: 'caller', dataDir: join(this.#scratch, 'caller'), peers: this.#hosts.map(({ address }) => address) })
  }

  /** Send a message until it has a reply; the event hits it on its way. */
  async #send (n: number, event: Event | undefined): Promise<FromProcess & { said: 'reply' }> {
    let striking = event === 'kill' || event === 'caller' ? this.#strike(n, event) : null
    for (let tries = 0; tries < TRIES_MAX; tries++) {
      const reply = await this.#caller!.ask({ do: 'call', n })
      await striking
      striking = null
      if (reply?.said === 'reply') return reply
      this.#repeats++
      if (reply === null) continue
      if (this.#isStranger) await this.#meet()
      await sleep(PAUSE_MS)
    }
    throw new Error(`message ${n} got no reply`)
  }

  /** Kill the actor's host, or its caller, a moment later, and start it again. */
  async #strike (n: number, event: 'kill' | 'caller'): Promise<void> {
    await sleep(draw(this.#plan.seed, n, 'delay', KILL_MS))
    if (event === 'caller') {
      await this.#caller!.kill()
      this.#caller = await this.#launchCaller()
      return
    }
    const at = Math.max(0, this.#hosts.findIndex(({ id }) => id === this.#home))
    await this.#hosts[at]!.kill()
    this.#hosts[at] = await this.#launchHost(at)
    // The caller waits for its reply at this moment, and is asked one thing at a time: it dials before the next message.
    this.#isStranger = true
  }

  async #migrate (n: number): Promise<void> {
    const others = this.#hosts.filter(({ id }) => id !== this.#home)
    const { id } = others[draw(this.#plan.seed, n, 'to', others.length)]!
    const answer = await this.#caller!.ask({ do: 'migrate', peer: id })
    if (answer?.said !== 'done' || answer.error !== null) this.#problems.push(`the actor did not move before message ${n}: ${JSON.stringify(answer)}`)
  }

  /** Connect to a host that has come back. */
  async #meet (): Promise<void> {
    for (const { address } of this.#hosts) await this.#caller!.ask({ do: 'connect', address })
    this.#isStranger = false
  }

  async #chain (): Promise<{ messages: number, executors: readonly string[] }> {
    const file = join(this.#scratch, 'chain')
    const answer = await this.#caller!.ask({ do: 'chain', file })
    if (answer?.said !== 'done' || answer.error !== null) throw new Error(`no history was written: ${JSON.stringify(answer)}`)
    return await verifyChain(new Uint8Array(await readFile(file)))
  }
}
