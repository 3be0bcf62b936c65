/**
 * One random sequence for the campaign: what its commands are, and a run of them with every check.
 * Nodes have the real credits room on disks that can die and be put back; the wire loses, repeats
 * and reorders. The same seed gives the same run.
 *
 * One node of a sequence may get an old copy of its books back, or none at all. Its connections end
 * with it, as a real process's do; after a kill without loss of what was synced, old messages may
 * still arrive. Were both ends of a lane put back, what only they knew would be gone for good.
 *
 * Some sequences are a private mesh, whose rules are in `mesh.ts`.
 */
import assert from 'node:assert/strict'
import { equals } from 'multiformats/bytes'
import { readBundle } from '../../src/credits/bundle.ts'
import { InosError } from '../../src/packet/errors.ts'
import { charterOf } from '../suites/credits-mesh.ts'
import { assertSettled, CHEAP_KEYS, type Message, type Node, REAL_KEYS, World } from '../suites/credits-world.ts'
import { alive, COST_MAX, LIAR, Mesh, OFFLINE } from './mesh.ts'

export type Command =
  | { do: 'buy' | 'pay' | 'sync' | 'trade' | 'overdraw', who: number, whom: number }
  | { do: 'backup', who: number }
  | { do: 'refund' | 'giveUp' | 'deny', who: number, which: number }
  | { do: 'deliver' | 'drop' | 'repeat' | 'burst' | 'flip', which: number }
  | { do: 'cut', who: number, kept: number }
  | { do: 'fuse', who: number, after: number, kept: number }
  | { do: 'restore', blank: boolean }
  | { do: 'wait', seconds: number }
  | { do: 'grant', who: number, amount: number }
  | { do: 'clear', who: number }

/** Of a `mesh` the last node is the issuer; where one `lies`, a member promises more than it has. */
export interface Sequence { readonly nodes: number, readonly real: boolean, readonly mesh?: true, readonly lies?: true, readonly commands: readonly Command[] }
export interface Tally { steps: number, crashes: number, backups: number, meshes: number, bounced: number }

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

const WEIGHTS: Record<Exclude<Command['do'], 'grant' | 'clear' | 'overdraw'>, number> = {
  trade: 10, buy: 10, pay: 10, sync: 4, giveUp: 5, deny: 3, backup: 3, refund: 2, deliver: 34, burst: 8, drop: 3, repeat: 4, flip: 2, cut: 3, fuse: 5, restore: 4, wait: 1
}
const deckOf = (weights: Readonly<Record<string, number>>): Command['do'][] => Object.entries(weights).flatMap(([name, weight]) => Array.from({ length: weight }, () => name as Command['do']))
const DECK = deckOf(WEIGHTS)
const MESH_DECK = deckOf({ ...WEIGHTS, trade: 20, grant: 3, clear: 14 })
const LIARS_DECK = deckOf({ ...WEIGHTS, trade: 20, grant: 3, clear: 20, overdraw: 40 })

/** @param seed of this one sequence */
export function drawSequence (seed: number): Sequence {
  const draw = drawsOf(seed)
  const nodes = 2 + draw(3)
  const length = 10 + draw(31)
  return { nodes, real: draw(50) === 0, commands: Array.from({ length }, () => drawCommand(draw, nodes)) }
}

/** @param seed of this one sequence, a mesh of two to four members; in every other one a member promises more than it has */
export function drawMesh (seed: number): Sequence {
  const draw = drawsOf(seed)
  const members = 2 + draw(3)
  const length = 10 + draw(31)
  const lies = draw(2) === 0
  const deck = lies ? LIARS_DECK : MESH_DECK
  return { nodes: members + 1, real: draw(50) === 0, mesh: true, ...(lies ? { lies } : {}), commands: Array.from({ length }, () => drawMeshCommand(draw, members, deck)) }
}

/** As elsewhere among the members; power fails and books are compared at the issuer, too. */
function drawMeshCommand (draw: (below: number) => number, members: number, deck: readonly Command['do'][]): Command {
  const command = drawCommand(draw, members, deck)
  if ((command.do === 'cut' || command.do === 'fuse' || command.do === 'sync') && draw(members + 1) === 0) return { ...command, who: members }
  return command
}

function drawCommand (draw: (below: number) => number, nodes: number, deck: readonly Command['do'][] = DECK): Command {
  const name = deck[draw(deck.length)]!
  const who = draw(nodes)
  const which = draw(1_000)
  switch (name) {
    case 'buy': case 'pay': case 'sync': case 'trade': return { do: name, who, whom: (who + 1 + draw(nodes - 1)) % nodes }
    case 'overdraw': return { do: name, who: LIAR, whom: (LIAR + 1 + draw(nodes - 1)) % nodes }
    case 'clear': return { do: name, who }
    case 'grant': return { do: name, who, amount: 1 + draw(1_000_000) }
    case 'backup': return { do: name, who: FRAIL }
    case 'refund': case 'giveUp': case 'deny': return { do: name, who, which }
    case 'cut': return { do: name, who, kept: draw(6) }
    case 'fuse': return { do: name, who, after: 1 + draw(12), kept: draw(4) }
    case 'restore': return { do: name, blank: draw(4) === 0 }
    case 'wait': return { do: name, seconds: draw(5_000) }
    default: return { do: name, which }
  }
}

/** Run a sequence. @throws what it violates */
export async function runSequence ({ nodes: count, real, mesh, lies, commands }: Sequence, tally: Tally): Promise<void> {
  const keys = real ? REAL_KEYS : CHEAP_KEYS
  const charter = mesh === undefined ? undefined : charterOf(keys.signerOf(nameOf(count - 1)).publicKey, { offlineMax: OFFLINE })
  const world = new World({ lineMax: LINE, poolMax: 10n ** 12n, sellerPoolMax: 10n ** 12n, ...(charter === undefined ? {} : { charter }) }, keys)
  const nodes: Node[] = []
  for (let i = 0; i < count; i++) nodes.push(await world.node(nameOf(i)))
  const play = new Play(world, nodes, tally, mesh === true ? new Mesh(world, nodes, lies === true) : null)
  await play.mesh?.begin()
  if (mesh === true) tally.meshes++
  for (const command of commands) {
    await play.step(command)
    tally.steps++
    play.assertAlways()
  }
  for (const { disk } of nodes) disk.fuse = null
  await (play.mesh ?? world).drain(nodes)
  await play.assertEnd()
  await play.replay()
  await play.assertEnd()
  for (const node of nodes) await assertRestored(node, nodes)
  if (play.mesh?.hasBounced === true) tally.bounced++
}

const nameOf = (at: number): string => `node ${at}`

class Play {
  readonly #world: World
  readonly #nodes: readonly Node[]
  readonly #tally: Tally
  readonly mesh: Mesh | null
  #copy: ReadonlyMap<string, Uint8Array> = new Map()
  /** What was delivered, for the replay. */
  readonly #log: Message[] = []

  constructor (world: World, nodes: readonly Node[], tally: Tally, mesh: Mesh | null) {
    this.#world = world
    this.#nodes = nodes
    this.#tally = tally
    this.mesh = mesh
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
      await this.#start(node)
    }
  }

  async #start (node: Node): Promise<void> {
    await node.start()
    await this.mesh?.started(node)
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
      case 'buy': await this.#buy(node, this.#nodes[command.whom]!); break
      case 'pay': case 'sync': await alive(node, world[command.do](node, this.#nodes[command.whom]!)); break
      case 'grant': await this.mesh?.grant(node, BigInt(command.amount)); break
      case 'clear': await this.mesh?.clear(node); break
      case 'trade':
        await this.#buy(node, this.#nodes[command.whom]!)
        await this.#close(node, this.#nodes[command.whom]!)
        break
      case 'overdraw':
        this.mesh?.overdraw(node, this.#nodes[command.whom]!)
        await this.#close(node, this.#nodes[command.whom]!)
        break
      case 'giveUp': await alive(node, world.giveUp(node, command.which)); break
      case 'deny': world.deny(node, command.which); break
      case 'backup': this.#copy = new Map(node.disk.rows()); this.#tally.backups++; break
      case 'refund': this.mesh?.refunded.add(node); await refund(node, command.which); break
      case 'fuse': Object.assign(node.disk, { fuse: command.after, keptAtDeath: command.kept }); break
      case 'cut':
        this.#tally.crashes++
        node.disk.cut(command.kept)
        await this.#start(node)
    }
  }

  /** In a mesh a node's own books refuse what its account does not cover. */
  async #buy (buyer: Node, seller: Node): Promise<void> {
    const bought = this.#world.buy(buyer, seller, this.mesh === null ? undefined : COST_MAX)
    await alive(buyer, bought.catch(error => { if (this.mesh === null || !(error instanceof InosError) || error.code !== 'ERR_INSUFFICIENT_CREDITS') throw error }))
  }

  /** What was ordered goes as it does when nothing goes wrong: what is on the wire arrives in its order. */
  async #close (buyer: Node, seller: Node): Promise<void> {
    await this.#world.settle()
    await alive(buyer, this.#world.pay(buyer, seller))
    await this.#world.settle()
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
    await this.#start(node)
  }

  assertAlways (): void {
    assertAlways(this.#world, this.#nodes)
    this.mesh?.assertAlways()
  }

  async assertEnd (): Promise<void> {
    this.assertAlways()
    await (this.mesh?.assertEnd() ?? assertSettled(...this.#nodes))
    await assertPaidOnce(this.#nodes)
  }

  /** Everything that was said is said again, backwards: nothing may come of it. */
  async replay (): Promise<void> {
    const before = this.#nodes.map(({ credits }) => credits.balance())
    for (const message of this.#log.reverse()) if (await isKnown(message)) await this.#world.deliver(message)
    await this.#world.settle()
    assert.deepEqual(this.#nodes.map(({ credits }) => credits.balance()), before, 'a replay changes nothing')
  }
}

/**
 * A receipt that a power cut took from both ends would be a new debt, and rightly so; a cheque that its payee lost in one and its
 * payer with all its books would be new money, which nobody is left to bring.
 */
async function isKnown ({ kind, from, to, bytes }: Message): Promise<boolean> {
  if (kind === 'cheque') return [from, to].some(({ disk }) => [...disk.rows()].some(([, row]) => equals(row, bytes)))
  return kind !== 'due' || await to.credits.bundle(readBundle(bytes).receipt.id.toString()) !== null
}

async function refund (node: Node, which: number): Promise<void> {
  const order = node.sold[which % node.sold.length]
  if (order === undefined) return
  await alive(node, node.credits.refund(order).catch(error => { if (!(error instanceof InosError) || error.code !== 'ERR_USAGE') throw error }))
}

/** Invariant 11: a signed message with one bit changed, or from somebody else, moves nothing. */
async function assertRefused (world: World, message: Message, which: number): Promise<void> {
  const { from, to, kind, bytes } = message
  if (to.disk.fuse !== null || !['cheque', 'ack', 'due', 'order', 'cancelled'].includes(kind)) return
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

/** What holds at every moment: 1 (before the sync), 6 and 7. */
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

/** What is derived on disk is what memory had: terms and pools outlive the process. */
async function assertRestored (node: Node, nodes: readonly Node[]): Promise<void> {
  const terms = (): unknown[] => nodes.filter(peer => peer !== node).map(({ id }) => {
    const { acceptable, spendable, poolFree, sellerPoolFree } = node.credits.explain(id)
    return { line: node.credits.line(id), acceptable, spendable, poolFree, sellerPoolFree }
  })
  const before = { balance: node.credits.balance(), account: node.credits.account(), terms: terms() }
  await node.credits.close()
  node.disk.detach()
  await node.start()
  assert.deepEqual({ balance: node.credits.balance(), account: node.credits.account(), terms: terms() }, before, '12: what was opened again is not what was closed')
}

/** 4, by the history: what holds when all has arrived. The other ends of it, 1, 3, 5, 9 and 12, are in balances and audits. */
async function assertPaidOnce (nodes: readonly Node[]): Promise<void> {
  const unpaid = await givenUp(nodes)
  for (const node of nodes) {
    const receipts = new Map((await Array.fromAsync(node.credits.receipts())).map(facts => [facts.order, facts] as const))
    const paid = new Map<string, bigint>()
    const refunded = new Map<string, bigint>()
    for await (const { direction, order, amount, kind } of node.credits.history()) {
      if (kind === 'grant' || kind === 'clearing') continue
      const facts = receipts.get(order)
      assert.ok(facts !== undefined, '4: every payment has its receipt')
      const into = (facts.role === 'sold') === (direction === 'earned') ? paid : refunded
      assert.ok(!into.has(order), '4: an order settles at most once')
      into.set(order, amount)
    }
    for (const [order, { charge }] of receipts) assert.equal(paid.get(order), unpaid.has(order) ? undefined : charge, '4: every receipt is paid in full, or given up and not at all')
    for (const [order, amount] of refunded) assert.ok(amount <= (paid.get(order) ?? 0n), '4: no refund is above its charge')
  }
}

/** Orders that their payers gave up before they had the answer, and that their sellers have dropped. */
async function givenUp (nodes: readonly Node[]): Promise<Set<string>> {
  const orders = new Set<string>()
  for (const { disk } of nodes) for (const key of disk.rows().keys()) if (key.startsWith('cancel!')) orders.add(key.slice(7))
  // What was paid although it was given up, by an older self of the payer, stands as paid.
  for (const { credits } of nodes) for await (const { order, kind } of credits.history()) if (kind === 'job') orders.delete(order)
  return orders
}
