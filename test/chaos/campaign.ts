/**
 * One campaign of chaos: a buyer and four sellers on hosts of their own, jobs from the buyer's
 * control socket, and troubles as the seed says; then all is healed, the lines reconcile, and the
 * books of all five are compared with what the callers were given.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Hosts, type RelayStats } from './hosts.ts'
import { compare } from './ledgers.ts'
import { Machine } from './machine.ts'
import { drawTroubles, type Trouble } from './plan.ts'
import { type Call, call } from './work.ts'

export interface Report {
  readonly ok: boolean
  readonly seed: number
  readonly jobs: number
  /** Answers that are not the right ones; jobs without an answer. */
  readonly wrong: number
  readonly lost: number
  readonly paidTwice: number
  /** Second payments for what had been run in vain: its seller was lost, or the buyer killed. */
  readonly paidAgain: number
  readonly paidOrphans: number
  /** Runs that nobody has to pay, because the buyer gave the order up when it went elsewhere. */
  readonly givenUp: number
  /** Tries at a node that were lost, or failed otherwise, and calls that were made again. */
  readonly retries: number
  readonly failedTries: number
  readonly repeats: number
  readonly kills: number
  readonly cuts: number
  readonly packets: RelayStats
  readonly ms: number
  readonly problems: readonly string[]
}

const HOSTS = 5
const CALLERS = 24
/** So long without an answer, and what is still open counts as lost. */
const STALL_MS = 300_000
/** How often the buyer dials sellers that it has lost. */
const DIAL_MS = 1_000
const HEAL_MS = 180_000
const LOOK_MS = 500

/** @param say one line of progress now and then */
export async function runCampaign (jobs: number, seed: number, say: (line: string) => void = () => {}): Promise<Report> {
  const began = Date.now()
  await using stack = new AsyncDisposableStack()
  const scratch = await mkdtemp(join(tmpdir(), 'inos-chaos-'))
  stack.defer(() => rm(scratch, { recursive: true, force: true }))
  const hosts = stack.use(await Hosts.open(seed, HOSTS))
  const machines = Array.from({ length: HOSTS }, (_, host) => stack.use(new Machine(hosts, host, join(scratch, String(host)))))
  const storm = new Storm(hosts, machines, drawTroubles(seed, jobs, HOSTS))
  stack.use(storm)
  await Promise.all(machines.map(machine => machine.operator()))
  const calls = await callAll(machines[0]!, jobs, done => {
    storm.reach(done)
    if (done % 500 === 0) say(`${done} of ${jobs} done after ${Math.round((Date.now() - began) / 1_000)} s`)
  })
  await storm.calm()
  const isQuiet = await drain(machines)
  await storm[Symbol.asyncDispose]()
  for (const machine of machines) await machine.stop()
  const packets = await hosts.close()
  const { paidTwice, paidAgain, paidOrphans, givenUp, problems } = await compare(machines, calls)
  for (const { host, fell } of machines) if (fell !== null) problems.push(`the node on host ${host} ended by itself: ${fell}`)
  if (!isQuiet) problems.push('the lines never came to rest')
  const sum = (of: (call: Call) => number): number => calls.reduce((total, call) => total + of(call), 0)
  const wrong = sum(({ receipt, isRight }) => receipt !== null && !isRight ? 1 : 0)
  const lost = sum(({ receipt }) => receipt === null ? 1 : 0)
  return {
    ok: wrong + lost + paidTwice + problems.length === 0, seed, jobs, wrong, lost, paidTwice, paidAgain, paidOrphans, givenUp,
    retries: sum(({ lostTries }) => lostTries), failedTries: sum(({ failedTries }) => failedTries), repeats: sum(({ repeats }) => repeats),
    kills: storm.kills, cuts: storm.cuts, packets, ms: Date.now() - began, problems
  }
}

/** All jobs, some of them at once. @param onDone how many have an answer */
async function callAll (buyer: Machine, jobs: number, onDone: (done: number) => void): Promise<Call[]> {
  const stalled = new AbortController()
  const calls: Call[] = []
  const watch = setTimeout(() => { stalled.abort() }, STALL_MS)
  let next = 0
  await Promise.all(Array.from({ length: Math.min(CALLERS, jobs) }, async () => {
    while (next < jobs) {
      calls.push(await call(buyer, next++, stalled.signal))
      watch.refresh()
      onDone(calls.length)
    }
  }))
  clearTimeout(watch)
  return calls
}

/** Nothing is held, due or owed anywhere any more. @returns false when that does not come about */
async function drain (machines: readonly Machine[]): Promise<boolean> {
  for (const deadline = Date.now() + HEAL_MS; Date.now() < deadline;) {
    const balances = await Promise.all(machines.map(async machine => await (await machine.operator()).credits()))
    if (balances.every(({ held, due, owed }) => held + due + owed === 0n)) return true
    await sleep(LOOK_MS)
  }
  return false
}

/** The troubles of a campaign as they strike, and the buyer's dialling of whom it has lost. */
class Storm implements AsyncDisposable {
  readonly #hosts: Hosts
  readonly #machines: readonly Machine[]
  readonly #troubles: Trouble[]
  readonly #striking = new Set<Promise<void>>()
  readonly #over = new AbortController()
  readonly #dialling: Promise<void>
  kills = 0
  cuts = 0

  constructor (hosts: Hosts, machines: readonly Machine[], troubles: readonly Trouble[]) {
    this.#hosts = hosts
    this.#machines = machines
    this.#troubles = [...troubles]
    this.#dialling = this.#dial()
  }

  /** So many jobs are done. */
  reach (done: number): void {
    while (this.#troubles[0] !== undefined && this.#troubles[0].after <= done) {
      const strike: Promise<void> = this.#strike(this.#troubles.shift()!).finally(() => { this.#striking.delete(strike) })
      this.#striking.add(strike)
    }
  }

  async #strike (trouble: Trouble): Promise<void> {
    if (trouble.do === 'kill') {
      this.kills++
      return await this.#machines[trouble.host]!.kill(trouble.ms)
    }
    this.cuts++
    this.#hosts.cut(0, trouble.host)
    await sleep(trouble.ms)
    this.#hosts.heal(0, trouble.host)
  }

  /** Wait until all that struck is over. */
  async calm (): Promise<void> { await Promise.all(this.#striking) }

  /** What a person or a supervisor would do: a seller that is back is dialled again. */
  async #dial (): Promise<void> {
    const { signal } = this.#over
    while (!signal.aborted) {
      try {
        const [buyer, ...sellers] = this.#machines as [Machine, ...Machine[]]
        const operator = await buyer.operator()
        const peers = new Set((await operator.peers()).map(({ id }) => id))
        const late = AbortSignal.any([signal, AbortSignal.timeout(10 * DIAL_MS)])
        await Promise.allSettled(sellers.filter(({ id }) => !peers.has(id)).map(({ address }) => operator.connect(address, late)))
      } catch {
        // The buyer is down; it is asked again when it is up.
      }
      await sleep(DIAL_MS, undefined, { signal }).catch(() => {})
    }
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    this.#over.abort()
    await this.#dialling
  }
}
