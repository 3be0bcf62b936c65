/**
 * A mesh of up to a thousand nodes in one process, from a seed: it comes up, newcomers look for work to be
 * done, then all buy and sell while packets get lost and repeated, machines lose power and come back, and the
 * mesh falls apart for a while. When the faults stop, every job must end and every line must agree.
 */
import { createTestMesh } from '../../src/testing/index.ts'
import { type Chance, createChance } from '../../src/testing/chance.ts'
import type { TestMesh, TestNode } from '../../src/testing/options.ts'
import { toInosError } from '../../src/packet/errors.ts'
import { ECHO } from '../guests.ts'
import { createMemoRuntime } from './memo-runtime.ts'

export interface SimOptions {
  readonly nodes: number
  readonly seed: number
  /** Jobs, on average of a node, while there are faults. */
  readonly jobs: number
  readonly loss: number
  readonly duplicate: number
  /** Share of the nodes that lose their power once. */
  readonly churn: number
}

export interface SimReport {
  /** sha2-256 of every byte that was sent, when, and between whom. */
  readonly trace: string
  /** How jobs ended: `ok`, or the code of the error. */
  readonly ends: Readonly<Record<string, number>>
  readonly killed: number
  /** Milliseconds of the mesh's time, newcomer by newcomer, least first: to the first offer from its start; from its first job to the order on its way. */
  readonly firstOfferMs: readonly number[]
  readonly discoveryMs: readonly number[]
  /** Writes to streams, least first, for a newcomer's second job until it is paid, in a mesh that is idle but for its upkeep. */
  readonly quietMessages: readonly number[]
  /** Writes to streams in the time of faults and after it, everything included, for each job. */
  readonly messagesPerJob: number
  readonly bytesPerJob: number
  /** How long it took, on the mesh's clock. */
  readonly virtualMs: number
  /** Bytes of the heap and outside it, all nodes together, when they were up and idle. */
  readonly memory: number
  /** Outcomes that the engine computed. */
  readonly runs: number
  /** What does not hold; none when all is well. */
  readonly problems: readonly string[]
}

/** How long there are faults, and how long the mesh is in two parts in the middle of it. */
const FAULTS_MS = 60_000
const PARTED_MS = 15_000
const LATENCY_MS = [10, 150] as const
const JOB = { where: 'remote', limits: { fuelMax: 10_000_000n, outputBytesMax: 1_000 } } as const
/** Inputs that differ; the engine runs each once. */
const INPUTS = 64
/** How often lines that are still open are brought together, and what that may take. */
const MEETINGS_MAX = 20
const MEETING_MS = 10_000

export async function simulate (options: SimOptions): Promise<SimReport> {
  return await new Simulation(options).run()
}

interface Plan { readonly at: number, readonly act: () => void }

class Simulation {
  readonly #options: SimOptions
  readonly #runtime = createMemoRuntime()
  readonly #chance: Chance
  /** Nodes that others dial first; they take no jobs, so that whoever does has to be found. */
  readonly #bootstraps: number
  readonly #newcomers: number
  #mesh!: TestMesh
  readonly #down = new Map<number, Promise<void>>()
  readonly #killed = new Set<number>()
  readonly #jobs: Promise<void>[] = []
  readonly #ends: Record<string, number> = {}
  readonly #problems: string[] = []
  /** "buyer seller", by index. */
  readonly #pairs = new Set<string>()
  readonly #indices = new Map<string, number>()
  readonly #firstOfferMs: number[] = []
  readonly #discoveryMs: number[] = []
  readonly #quietMessages: number[] = []

  constructor (options: SimOptions) {
    this.#options = options
    this.#chance = createChance(options.seed, 'simulation')
    this.#bootstraps = Math.max(1, Math.min(8, Math.floor(options.nodes / 10)))
    this.#newcomers = Math.max(1, Math.min(20, Math.floor(options.nodes / 10)))
  }

  async run (): Promise<SimReport> {
    const { nodes, seed } = this.#options
    const before = memoryNow()
    await using mesh = this.#mesh = await createTestMesh({
      nodes: nodes - this.#newcomers, seed, runtime: this.#runtime, latencyMs: LATENCY_MS,
      node: index => ({ resultCache: false, serve: index >= this.#bootstraps && index % 2 === 1 }),
      dials: index => index < this.#bootstraps ? [0] : [index % this.#bootstraps, (index + 1) % this.#bootstraps]
    })
    const memory = (memoryNow() - before) / (nodes - this.#newcomers) * nodes
    for (let i = 0; i < this.#newcomers; i++) await this.#arrive()
    for (const [index, { id }] of mesh.nodes.entries()) this.#indices.set(id, index)
    const sent = mesh.traffic()
    await this.#suffer()
    await this.#recover()
    const { messages, bytes } = mesh.traffic()
    this.#compare()
    const count = this.#jobs.length
    return {
      trace: mesh.trace(),
      ends: this.#ends,
      killed: this.#killed.size,
      firstOfferMs: this.#firstOfferMs.sort((a, b) => a - b),
      discoveryMs: this.#discoveryMs.sort((a, b) => a - b),
      quietMessages: this.#quietMessages.sort((a, b) => a - b),
      messagesPerJob: (messages - sent.messages) / count,
      bytesPerJob: (bytes - sent.bytes) / count,
      virtualMs: mesh.now(),
      memory,
      runs: this.#runtime.runs,
      problems: this.#problems
    }
  }

  /** One more node, that wants something done at once. */
  async #arrive (): Promise<void> {
    const mesh = this.#mesh
    const begun = mesh.now()
    const node = mesh.nodes[await mesh.add()]!
    const asked = mesh.now()
    const offered = mesh.until(() => node.peers().some(({ offer }) => offer !== null)).then(() => { this.#firstOfferMs.push(mesh.now() - begun) })
    let sending = 0
    await node.compute(ECHO, '0', { ...JOB, onProgress: ({ state }) => { if (state === 'sending') sending ||= mesh.now() } })
    this.#discoveryMs.push(sending - asked)
    await offered
    await mesh.until(() => isAtRest(node))
    const { messages } = mesh.traffic()
    await node.compute(ECHO, '1', JOB)
    await mesh.until(() => isAtRest(node))
    this.#quietMessages.push(mesh.traffic().messages - messages)
  }

  /** Everything at its time: jobs, power cuts, and the border that comes and goes. */
  async #suffer (): Promise<void> {
    const mesh = this.#mesh
    const { nodes, jobs, loss, duplicate, churn } = this.#options
    const { below } = this.#chance
    const plans: Plan[] = Array.from({ length: Math.round(nodes * jobs) }, (_, i) => ({ at: below(FAULTS_MS), act: this.#job(below(nodes), i) }))
    const all = Array.from({ length: nodes }, (_, index) => index)
    for (let i = 0; i < Math.round(nodes * churn); i++) {
      const [index] = all.splice(below(all.length), 1) as [number]
      const at = below(FAULTS_MS)
      plans.push({ at, act: () => { this.#kill(index) } }, { at: at + 2_000 + below(FAULTS_MS / 2), act: () => { this.#revive(index) } })
    }
    const half = Array.from({ length: nodes }, (_, index) => index).filter(() => below(2) === 0)
    plans.push({ at: FAULTS_MS / 3, act: () => { mesh.partition(half) } }, { at: FAULTS_MS / 3 + PARTED_MS, act: () => { mesh.heal() } })
    mesh.weather({ loss, duplicate })
    const begun = mesh.now()
    for (const { at, act } of plans.sort((a, b) => a.at - b.at)) {
      if (begun + at > mesh.now()) await mesh.advance(begun + at - mesh.now())
      act()
    }
  }

  #job (buyer: number, count: number): () => void {
    return () => {
      // Whoever has no power buys nothing.
      if (this.#down.has(buyer)) return
      const input = `${count % INPUTS}`
      const job = this.#mesh.nodes[buyer]!.compute(ECHO, input, {
        ...JOB, onProgress: state => { if (state.state === 'sending') this.#pairs.add(`${buyer} ${this.#indices.get(state.peer)}`) }
      })
      this.#jobs.push(job.then(result => result.text() === input ? 'ok' : 'wrong', error => toInosError(error).code).then(end => { this.#ends[end] = (this.#ends[end] ?? 0) + 1 }))
    }
  }

  #kill (index: number): void {
    this.#killed.add(index)
    this.#down.set(index, this.#mesh.kill(index))
  }

  #revive (index: number): void {
    const gone = this.#down.get(index)!
    this.#down.set(index, gone.then(() => this.#mesh.restart(index)).then(() => { this.#down.delete(index) }))
  }

  /** The faults stop: all jobs end, and whoever has an open line meets the other end. */
  async #recover (): Promise<void> {
    const mesh = this.#mesh
    mesh.weather({ loss: 0, duplicate: 0 })
    mesh.heal()
    while (this.#down.size > 0) await Promise.all(this.#down.values())
    await Promise.all(this.#jobs)
    for (let i = 0; i < MEETINGS_MAX && mesh.nodes.some((_, index) => this.#isOpen(index)); i++) {
      await Promise.all([...this.#pairs].map(async pair => {
        const [buyer, seller] = pair.split(' ').map(Number) as [number, number]
        if (this.#isOpen(buyer) || this.#isOpen(seller)) await mesh.nodes[buyer]!.connect(mesh.nodes[seller]!.addresses()[0]!)
      }))
      await mesh.advance(MEETING_MS)
    }
  }

  #isOpen (index: number): boolean { return !isAtRest(this.#mesh.nodes[index]!) }

  /** Both ends of each line must say the same, and all nodes together must have nothing. */
  #compare (): void {
    const { nodes } = this.#mesh
    for (const end of ['wrong', 'ERR_DEADLINE', 'ERR_INTERNAL']) if (this.#ends[end] !== undefined) this.#problems.push(`${this.#ends[end]} jobs ended ${end}`)
    for (const pair of this.#pairs) {
      const [a, b] = pair.split(' ').map(Number) as [number, number]
      const [there, here] = [nodes[a]!.explainLine(nodes[b]!.id), nodes[b]!.explainLine(nodes[a]!.id)]
      if (there.spent !== here.earned || there.earned !== here.spent) this.#problems.push(`nodes ${pair} disagree: ${there.spent} spent, ${here.earned} earned; ${there.earned} earned, ${here.spent} spent`)
    }
    for (const index of nodes.keys()) if (this.#isOpen(index)) this.#problems.push(`node ${index} has something open: ${JSON.stringify(nodes[index]!.credits(), (_, value: unknown) => typeof value === 'bigint' ? `${value}` : value)}`)
    const sum = nodes.reduce((total, node) => total + node.credits().balance, 0n)
    if (sum !== 0n) this.#problems.push(`all balances together are ${sum} µcr`)
  }
}

function isAtRest (node: TestNode): boolean {
  const { held, due, owed } = node.credits()
  return held + due + owed === 0n
}

/** Bytes of the heap and outside it; exact only where the collector can be called. */
function memoryNow (): number {
  globalThis.gc?.()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
