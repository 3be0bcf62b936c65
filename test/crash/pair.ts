/**
 * A buyer and a seller, each in a process of its own, for some points of the campaign of credits. At
 * each one of them is killed while they trade, some a second time on its way back; then it comes
 * back for good, the line drains, and the books of both are compared whole.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Child, type NodeProgram } from './child.ts'
import { compareBooks, compareBought, type Finding, payments, rest, settle } from './compare.ts'
import { draw } from './draw.ts'
import { type Lanes, unsaid } from './lanes.ts'
import { type Bought, type Crash, type Role, type Step, STEPS, STEPS_BACK } from './messages.ts'

/** Where a point kills: while they trade, at random, or, after a kill while they trade, on the way back. */
export interface Plan { readonly role: Role, readonly when: 'trade' | 'random' | 'back', readonly step: Step | null }

const sidesOf = (steps: readonly string[]): Step[] => [...steps.flatMap(step => [`before ${step}`, `after ${step}`] as Step[]), 'amid synced batch']
/** Every kind of point, in turn. */
export const PLANS: readonly Plan[] = (['buyer', 'seller'] as const).flatMap(role => [
  ...sidesOf(STEPS[role]).map(step => ({ role, when: 'trade', step }) as const),
  ...sidesOf(STEPS_BACK[role]).map(step => ({ role, when: 'back', step }) as const),
  ...Array.from({ length: 3 }, () => ({ role, when: 'random', step: null }) as const)
])

/** What a first kill leaves open, so that the way back has something to do. */
const OPENING: Record<Role, Step> = { buyer: 'before nextCheque', seller: 'before takeCheque' }
/** Steps that come once on a way back that loses nothing more. */
const ONCE = /(syncQuestions|answerSync|applySync)$/
const ITEMS = [0, 1, 2]
/** A trade takes about so long. */
const RANDOM_MS = 60
const TRIES = 3

/** What one point came to. */
export interface Outcome {
  /** Real kills: at a named step, as `role step`, and at random. */
  readonly steps: readonly string[]
  readonly atRandom: number
  /** Named steps that did not come, after which another one was tried. */
  readonly missed: number
  /** Process start until the books are open and the line is in sync on both sides. */
  readonly restartMs: number
  readonly findings: readonly Finding[]
}

export class Pair implements AsyncDisposable {
  readonly #scratch: string
  readonly #program: NodeProgram
  readonly #seed: number
  readonly #nodes: Record<Role, Child>
  /** Payments that both sides have agreed on: none may ever go. */
  #agreed = new Set<string>()
  /** The buyer has all its answers, or is dead: it may go on with a seller that has come back. */
  #finished: Promise<unknown> = Promise.resolve()
  readonly #bought: Bought[] = []
  #steps: string[] = []
  #atRandom = 0
  #missed = 0
  #findings: Finding[] = []

  private constructor (scratch: string, program: NodeProgram, seed: number, nodes: Record<Role, Child>) {
    this.#scratch = scratch
    this.#program = program
    this.#seed = seed
    this.#nodes = nodes
  }

  static async start (program: NodeProgram, seed: number): Promise<Pair> {
    const scratch = await mkdtemp(join(tmpdir(), 'inos-crash-'))
    const seller = await Child.launch({ dataDir: join(scratch, 'seller'), sells: true, peers: [], crash: null }, program)
    const buyer = await Child.launch({ dataDir: join(scratch, 'buyer'), sells: false, peers: [seller.address], crash: null }, program)
    return new Pair(scratch, program, seed, { buyer, seller })
  }

  async run (index: number, { role, when, step }: Plan): Promise<Outcome> {
    this.#steps = []
    this.#findings = []
    this.#atRandom = this.#missed = 0
    await this.#killInTrade(index, role, when === 'trade' ? step : when === 'back' ? OPENING[role] : null)
    if (when === 'back' && step !== null) await this.#killOnTheWayBack(role, step, ONCE.test(step) ? 1 : 1 + draw(this.#seed, index, 'back', 2))
    const restartMs = await this.#comeBack(role)
    await this.#compare()
    return { steps: this.#steps, atRandom: this.#atRandom, missed: this.#missed, restartMs, findings: this.#findings }
  }

  /** At the step, if it comes in one of a few trades; else at random. */
  async #killInTrade (index: number, role: Role, step: Step | null): Promise<void> {
    for (let nth = 1 + draw(this.#seed, index, 'nth', ITEMS.length), tries = 0; step !== null && tries < TRIES; tries++, nth = 1) {
      if (await this.#trade(role, { point: step, nth })) return this.#struck(role, step)
      this.#missed++
    }
    await this.#trade(role, draw(this.#seed, index, 'ms', RANDOM_MS))
    this.#atRandom++
  }

  /** @param kill armed step, or milliseconds until the kill @returns whether the victim is dead */
  async #trade (role: Role, kill: Crash | number): Promise<boolean> {
    const { buyer, seller } = this.#nodes
    const victim = this.#nodes[role]
    const timer = typeof kill === 'number' ? setTimeout(() => { victim.kill() }, kill) : undefined
    if (typeof kill !== 'number') victim.arm(kill)
    buyer.say({ do: 'buy', items: ITEMS })
    const finished = buyer.hear('all bought')
    if (timer !== undefined) await victim.exited
    else await Promise.race([victim.exited, finished.then(() => rest([buyer, seller]))])
    if (victim.alive) victim.arm(null)
    this.#finished = finished
    return !victim.alive
  }

  #struck (role: Role, step: Step): void {
    const child = this.#nodes[role]
    if (!child.struck) this.#findings.push({ kind: 'other', text: `the ${role} ended by itself, not at "${step}"` })
    this.#steps.push(`${role} ${step}`)
  }

  async #killOnTheWayBack (role: Role, step: Step, nth: number): Promise<void> {
    await this.#open(role, { point: step, nth })
    const child = this.#nodes[role]
    if (child.alive) await this.#meet(role, true)
    if (child.alive) await rest([this.#nodes.buyer, this.#nodes.seller])
    if (child.alive) {
      this.#missed++
      child.kill()
      await child.exited
      this.#atRandom++
    } else {
      this.#struck(role, step)
    }
  }

  async #comeBack (role: Role): Promise<number> {
    const began = performance.now()
    await this.#open(role, null)
    await this.#meet(role, false)
    return performance.now() - began
  }

  /** Start the dead node. Of what the survivor was given, its disk must know. */
  async #open (role: Role, crash: Crash | null): Promise<void> {
    const dead = this.#nodes[role]
    const survivor = this.#nodes[role === 'buyer' ? 'seller' : 'buyer']
    this.#bought.push(...dead.bought.splice(0))
    const given: Lanes = await survivor.lanes()
    const child = await Child.launch({ dataDir: join(this.#scratch, role), sells: role === 'seller', peers: role === 'buyer' ? [this.#nodes.seller.address] : [], crash }, this.#program)
    this.#nodes[role] = child
    if (child.id === '') return
    for (const text of unsaid({ id: child.id, lanes: child.disk }, { id: survivor.id, lanes: given })) this.#findings.push({ kind: 'lost', text })
  }

  /** Until both know what the other has of their lanes, or one of them is dead. */
  async #meet (role: Role, isArmed: boolean): Promise<void> {
    const { buyer, seller } = this.#nodes
    if (role === 'seller') await this.#call(isArmed)
    await Promise.all([buyer.synced(seller.id), seller.synced(buyer.id)].map((synced, at) => Promise.race([synced, [seller, buyer][at]!.exited])))
  }

  /** A call may be joined to one that was under way to where the dead one was, and fail with it: then again. */
  async #call (isArmed: boolean): Promise<void> {
    const { buyer, seller } = this.#nodes
    for (let tries = 1; seller.alive; tries++) {
      try {
        return await buyer.connect(seller.address)
      } catch (error) {
        // One that is armed may die while it is called; that is seen by who armed it.
        if (isArmed && tries === TRIES) return
        if (tries === TRIES) throw error
      }
    }
  }

  async #compare (): Promise<void> {
    const { buyer, seller } = this.#nodes
    await this.#finished
    const [bought, sold] = await settle([buyer, seller]) as [Awaited<ReturnType<Child['books']>>, Awaited<ReturnType<Child['books']>>]
    this.#bought.push(...buyer.bought.splice(0))
    const spent = new Set(payments(bought, 'spent', seller.id))
    this.#findings.push(
      ...compareBooks([{ id: buyer.id, books: bought }, { id: seller.id, books: sold }]),
      ...compareBought(this.#bought, bought),
      ...Array.from(this.#agreed.difference(spent), (payment): Finding => ({ kind: 'lost', text: `both had agreed on ${payment} µcr, and it is gone` })),
      ...this.#bought.flatMap((result): Finding[] => result.ok || result.code === 'ERR_PEER_LOST' || result.code === 'ERR_NO_OFFER' ? [] : [{ kind: 'other', text: `item ${result.item} failed with ${result.code}` }])
    )
    this.#agreed = spent
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    const children = Object.values(this.#nodes)
    for (const child of children) child.kill()
    await Promise.all(children.map(({ exited }) => exited))
    await rm(this.#scratch, { recursive: true, force: true })
  }
}
