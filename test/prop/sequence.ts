/**
 * One random sequence for the campaign: what its commands are, and a run of them with every check.
 * Nodes have the real credits room on disks that can die and be put back; the wire loses, repeats
 * and reorders. The same seed gives the same run.
 *
 * One node of a sequence may get an old copy of its books back, or none at all. Its connections end
 * with it, as a real process's do; after a kill without loss of what was synced, old messages may
 * still arrive. Were both ends of a lane put back, what only they knew would be gone for good.
 */
import assert from 'node:assert/strict'
import { readBundle } from '../../src/credits/bundle.ts'
import { InosError } from '../../src/packet/errors.ts'
import { assertSettled, CHEAP_KEYS, type Message, type Node, REAL_KEYS, World } from '../suites/credits-world.ts'

export type Command =
  | { do: 'buy' | 'pay' | 'sync' | 'trade', who: number, whom: number }
  | { do: 'lose' | 'backup', who: number }
  | { do: 'refund', who: number, which: number }
  | { do: 'deliver' | 'drop' | 'repeat' | 'burst' | 'flip', which: number }
  | { do: 'cut', who: number, kept: number }
  | { do: 'fuse', who: number, after: number, kept: number }
  | { do: 'restore', blank: boolean }
  | { do: 'wait', seconds: number }

export interface Sequence { readonly nodes: number, readonly real: boolean, readonly commands: readonly Command[] }
export interface Tally { steps: number, crashes: number, backups: number }

const LINE = 60_000_000n
/** The node whose books may be put back. */
const FRAIL = 0

/** Numbers that depend on a seed alone (mulberry32). */
export function drawsOf (seed: number): (below: number) => number {
  let state = seed >>> 0
  return below => {
    state = (state + 0x6d2b79f5) >>> 0
    let word = Math.imul(state ^ (state >>> 15), state | 1)
    word ^= word + Math.imul(word ^ (word >>> 7), word | 61)
    return ((word ^ (word >>> 14)) >>> 0) % below
  }
}

const WEIGHTS: Record<Command['do'], number> = {
  trade: 10, buy: 10, pay: 10, sync: 4, lose: 2, backup: 3, refund: 2, deliver: 34, burst: 8, drop: 3, repeat: 4, flip: 2, cut: 3, fuse: 5, restore: 4, wait: 1
}
const DECK = Object.entries(WEIGHTS).flatMap(([name, weight]) => Array.from({ length: weight }, () => name as Command['do']))

/** @param seed of this one sequence */
export function drawSequence (seed: number): Sequence {
  const draw = drawsOf(seed)
  const nodes = 2 + draw(3)
  const length = 10 + draw(31)
  return { nodes, real: draw(50) === 0, commands: Array.from({ length }, () => drawCommand(draw, nodes)) }
}

function drawCommand (draw: (below: number) => number, nodes: number): Command {
  const name = DECK[draw(DECK.length)]!
  const who = draw(nodes)
  const which = draw(1_000)
  switch (name) {
    case 'buy': case 'pay': case 'sync': case 'trade': return { do: name, who, whom: (who + 1 + draw(nodes - 1)) % nodes }
    case 'lose': return { do: name, who }
    case 'backup': return { do: name, who: FRAIL }
    case 'refund': return { do: name, who, which }
    case 'cut': return { do: name, who, kept: draw(6) }
    case 'fuse': return { do: name, who, after: 1 + draw(12), kept: draw(4) }
    case 'restore': return { do: name, blank: draw(4) === 0 }
    case 'wait': return { do: name, seconds: draw(5_000) }
    default: return { do: name, which }
  }
}

/** Run a sequence. @throws what it violates */
export async function runSequence ({ nodes: count, real, commands }: Sequence, tally: Tally): Promise<void> {
  const world = new World({ lineMax: LINE, poolMax: 10n ** 12n }, real ? REAL_KEYS : CHEAP_KEYS)
  const nodes: Node[] = []
  for (let i = 0; i < count; i++) nodes.push(await world.node(`node ${i}`))
  const play = new Play(world, nodes, tally)
  for (const command of commands) {
    await play.step(command)
    tally.steps++
    assertAlways(world, nodes)
  }
  for (const { disk } of nodes) disk.fuse = null
  await world.drain(nodes)
  await assertEnd(world, nodes)
  await play.replay()
  await assertEnd(world, nodes)
}

class Play {
  readonly #world: World
  readonly #nodes: readonly Node[]
  readonly #tally: Tally
  #copy: ReadonlyMap<string, Uint8Array> = new Map()
  /** What was delivered, for the replay. */
  readonly #log: Message[] = []

  constructor (world: World, nodes: readonly Node[], tally: Tally) {
    this.#world = world
    this.#nodes = nodes
    this.#tally = tally
  }

  async step (command: Command): Promise<void> {
    const dead = new Set<Node>()
    for (const node of this.#nodes) void node.disk.death.then(() => { dead.add(node) })
    await this.#do(command)
    // A kill that struck in this step is noticed in its next microtasks.
    await null
    await null
    for (const node of dead) {
      this.#tally.crashes++
      await node.start()
    }
  }

  async #do (command: Command): Promise<void> {
    const world = this.#world
    switch (command.do) {
      case 'wait':
        world.now += command.seconds
        for (const node of this.#nodes) await alive(node, node.credits.expire())
        return
      case 'deliver': case 'drop': case 'repeat': case 'burst': case 'flip': return await this.#wire(command.do, command.which)
      case 'restore': return await this.#restore(command.blank)
    }
    const node = this.#nodes[command.who]!
    switch (command.do) {
      case 'buy': case 'pay': case 'sync': await alive(node, world[command.do](node, this.#nodes[command.whom]!)); break
      case 'trade': {
        // A job as it goes when nothing goes wrong: what is on the wire arrives in its order.
        const other = this.#nodes[command.whom]!
        await alive(node, world.buy(node, other))
        await world.settle()
        await alive(node, world.pay(node, other))
        await world.settle()
        break
      }
      case 'lose': await world.loseAll(node); break
      case 'backup': this.#copy = new Map(node.disk.rows()); this.#tally.backups++; break
      case 'refund': await refund(node, command.which); break
      case 'fuse': Object.assign(node.disk, { fuse: command.after, keptAtDeath: command.kept }); break
      case 'cut':
        this.#tally.crashes++
        node.disk.cut(command.kept)
        await node.start()
    }
  }

  async #wire (what: 'deliver' | 'drop' | 'repeat' | 'burst' | 'flip', which: number): Promise<void> {
    const { wire } = this.#world
    if (wire.length === 0) return
    const at = which % wire.length
    const message = wire[at]!
    if (what === 'burst') return void await Promise.all(wire.splice(at, 4).map(each => this.#deliver(each)))
    if (what === 'flip') return await assertRefused(this.#world, message, which)
    if (what !== 'repeat') wire.splice(at, 1)
    if (what !== 'drop') await this.#deliver(message)
  }

  async #deliver (message: Message): Promise<void> {
    if (message.kind !== 'order' && message.kind !== 'refusal') this.#log.push(message)
    await this.#world.deliver(message)
  }

  async #restore (blank: boolean): Promise<void> {
    const node = this.#nodes[FRAIL]!
    const { wire, cheques, taken } = this.#world
    this.#tally.backups++
    node.disk.restore(blank ? new Map() : this.#copy)
    // Its connections are gone, and with them what nobody has got.
    wire.splice(0, wire.length, ...wire.filter(({ from, to }) => from !== node && to !== node))
    for (const slot of cheques.keys()) if (slot.startsWith(`${node.id} `) && !taken.has(slot)) cheques.delete(slot)
    await node.start()
  }

  /** Everything that was said is said again, backwards: nothing may come of it. */
  async replay (): Promise<void> {
    const before = this.#nodes.map(({ credits }) => credits.balance())
    for (const message of this.#log.reverse()) if (await isKnown(message)) await this.#world.deliver(message)
    await this.#world.settle()
    assert.deepEqual(this.#nodes.map(({ credits }) => credits.balance()), before, 'a replay changes nothing')
  }
}

/** A receipt that a power cut took from both ends would be a new debt, and rightly so. */
async function isKnown ({ kind, to, bytes }: Message): Promise<boolean> {
  return kind !== 'due' || await to.credits.bundle(readBundle(bytes).receipt.id.toString()) !== null
}

/** Wait for what a node does, or for its end. */
async function alive (node: Node, work: Promise<unknown>): Promise<void> { await Promise.race([work, node.disk.death]) }

async function refund (node: Node, which: number): Promise<void> {
  const order = node.sold[which % node.sold.length]
  if (order === undefined) return
  await alive(node, node.credits.refund(order).catch(error => { if (!(error instanceof InosError) || error.code !== 'ERR_USAGE') throw error }))
}

/** Invariant 11: a signed message with one bit changed, or from somebody else, moves nothing. */
async function assertRefused (world: World, message: Message, which: number): Promise<void> {
  const { from, to, kind, bytes } = message
  if (to.disk.fuse !== null || !['cheque', 'ack', 'due', 'order'].includes(kind)) return
  // An order that was answered is known by its id, of which the signature is no part: whoever repeats it gets the same bytes.
  if (kind === 'order' && await to.credits.storedReply(from.id, message.order!) !== null) return
  const before = to.credits.balance()
  const bit = which * 7_919 % (bytes.length * 8)
  const flipped = bytes.with(bit >> 3, bytes[bit >> 3]! ^ (1 << (bit & 7)))
  const said = world.wire.length
  await world.deliver({ from, to, kind, bytes: flipped, ...(message.order === undefined ? {} : { order: message.order }) }).catch(error => {
    if (!(error instanceof InosError)) throw error
  })
  for (const other of world.wire.splice(said)) assert.equal(other.kind, 'refusal', `a ${kind} with one bit changed was answered by ${other.kind}`)
  assert.deepEqual(to.credits.balance(), before, `a ${kind} with one bit changed moved credits`)
}

/**
 * What holds at every moment: 1 (before the sync), 6 and 7. Those about a hub, 2, belong here and in
 * `assertEnd` as soon as there is one.
 */
function assertAlways (world: World, nodes: readonly Node[]): void {
  for (const payer of nodes) {
    for (const payee of nodes) {
      if (payer === payee) continue
      // Books that were put back learn of their cheques with the sync.
      if (payer.credits.isSynced(payee.id) && payee.credits.line(payer.id).earned > payer.credits.line(payee.id).spent) assert.fail('1: a payee never counts more than was signed')
      if (payee.credits.line(payer.id).due > LINE) assert.fail('6: debt stays within the line')
    }
  }
  for (const { credits } of nodes) for (const [name, amount] of Object.entries(credits.balance())) if (name !== 'balance' && amount < 0n) assert.fail(`${name} is below zero`)
  if (world.forks.length > 0) assert.fail(`7: two signed contents for one number: ${world.forks.join()}`)
}

/** What holds when all has arrived: 1, 3, 5, 9 and 12 by balances and audits, 4 by the history. */
async function assertEnd (world: World, nodes: readonly Node[]): Promise<void> {
  assertAlways(world, nodes)
  await assertSettled(...nodes)
  for (const node of nodes) {
    const receipts = new Map((await Array.fromAsync(node.credits.receipts())).map(facts => [facts.order, facts] as const))
    const paid = new Map<string, bigint>()
    const refunded = new Map<string, bigint>()
    for await (const { direction, order, amount } of node.credits.history()) {
      const facts = receipts.get(order)
      assert.ok(facts !== undefined, '4: every payment has its receipt')
      const into = (facts.role === 'sold') === (direction === 'earned') ? paid : refunded
      assert.ok(!into.has(order), '4: an order settles at most once')
      into.set(order, amount)
    }
    for (const [order, { charge }] of receipts) assert.equal(paid.get(order), charge, '4: every receipt is paid in full')
    for (const [order, amount] of refunded) assert.ok(amount <= (paid.get(order) ?? 0n), '4: no refund is above its charge')
  }
}
