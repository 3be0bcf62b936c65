/**
 * A world for tests of credits: nodes with seeded keys, disks that can lose what was not synced,
 * and a wire that loses, repeats and reorders. The few lines of processor in `handle` do what the
 * real one does with each message, and nothing more.
 */
import assert from 'node:assert/strict'
import { createHash, hash } from 'node:crypto'
import { equals } from 'multiformats/bytes'
import { type Credits, type CreditsOptions, createCredits, type RunFacts } from '../../src/credits/credits.ts'
import { readBundle } from '../../src/credits/bundle.ts'
import { KEYS, type Op, type Store } from '../../src/credits/store.ts'
import { decodeAnswer } from '../../src/credits/sync.ts'
import { encodeCanonical } from '../../src/packet/cbor.ts'
import { type CID, rawCid } from '../../src/packet/cid.ts'
import { openEnvelope, seal, type Sealed } from '../../src/packet/envelope.ts'
import { InosError } from '../../src/packet/errors.ts'
import { peerIdOfKey, type Signer, type Verify, toHex } from '../../src/packet/identity.ts'
import { UNMEASURED } from '../../src/packet/capacity.ts'
import { type Cancel, checkCheque, checkOrder, type Offer, type Order } from '../../src/packet/records.ts'
import type { SpecLimits } from '../../src/packet/spec-limits.ts'
import { createSigner, verify } from '../../src/node/keys.ts'

export const START = 1_800_000_000
export const PRICES = { base: 100n, perMFuel: 1_000n, perPageSec: 100n, perKiB: 100n, perMB: 0n, perGiBh: 0n }
export const LIMITS_OF_JOB: SpecLimits = { fuelMax: 1_000_000_000n, memoryPagesMax: 16, outputBytesMax: 65_536 }

export function hashOf (...parts: (string | Uint8Array)[]): Uint8Array {
  const hash = createHash('sha256')
  for (const part of parts) hash.update(part)
  return new Uint8Array(hash.digest())
}

export function signerOf (name: string): Signer { return createSigner(hashOf('key', name)) }

export function offerOf (signer: Signer, changes: Partial<Offer> = {}): Sealed<Offer> {
  return seal<Offer>('offer', {
    net: null, executor: signer.publicKey, ...PRICES, classes: ['deterministic'], profile: 'inos/1', slots: 4, ...UNMEASURED, expires: START + 1_000_000, nonce: new Uint8Array(16), ...changes
  }, signer)
}

/** How the nodes of a world sign. */
export interface Keys { readonly signerOf: (name: string) => Signer, readonly verify: Verify }
export const REAL_KEYS: Keys = { signerOf, verify }

/** A stand-in for Ed25519 for campaigns: a hash that anybody could make, but nobody in the world does. */
const stamp = (key: Uint8Array, bytes: Uint8Array): Uint8Array => {
  const digest = hash('sha256', Buffer.concat([key, bytes]), 'buffer')
  return new Uint8Array(Buffer.concat([digest, digest]))
}
const cheapSigners = new Map<string, Signer>()
export const CHEAP_KEYS: Keys = {
  signerOf (name) {
    const known = cheapSigners.get(name)
    if (known !== undefined) return known
    const publicKey = hashOf('cheap key', name)
    const signer = { id: peerIdOfKey(publicKey), publicKey, sign: (bytes: Uint8Array) => stamp(publicKey, bytes) }
    cheapSigners.set(name, signer)
    return signer
  },
  verify: (key, bytes, signature) => Buffer.compare(stamp(key, bytes), signature) === 0
}

/** What a run of this order would be: anything, but always the same. */
export function factsOf (order: CID | string): RunFacts {
  const bytes = hashOf('run', order.toString())
  return {
    module: rawCid(bytes.subarray(0, 1)), input: rawCid(bytes.subarray(1, 2)), outcome: 'ok', exitCode: bytes[3]! & 1, result: rawCid(bytes),
    resultBytes: bytes[4]! * 100, files: null, filesBytes: 0, fuel: BigInt(bytes[5]!) * 1_234_567n, pages: bytes[6]! % 17, profile: 'inos/1'
  }
}

/**
 * A disk in memory. Unsynced batches survive the end of a process, and a power cut may take any
 * number of the newest; a synced one takes everything before it to safety.
 */
export class Disk {
  /** What is safe, every batch since, oldest first, and both together. */
  readonly #safe = new Map<string, Uint8Array>()
  #loose: Op[][] = []
  #rows = new Map<string, Uint8Array>()
  #boot = 0
  /** Whether a process lives that uses it. */
  isAttached = false
  /** A mutant: say "synced" and do not. */
  lies = false
  /** Store operations until the process is killed between two of them; null: it lives. */
  fuse: number | null = null
  /** Newest unsynced batches that survive it. */
  keptAtDeath = 0
  #death = Promise.withResolvers<void>()
  /** Called before each batch is written; it may crash the disk. */
  beforeWrite: () => void = () => {}
  /** Batches wait until it resolves; null: none waits. */
  gate: Promise<void> | null = null
  syncs = 0

  /** Attach a process. What an earlier one still asks for is never answered. */
  attach (): Store {
    const boot = ++this.#boot
    this.isAttached = true
    this.#death = Promise.withResolvers()
    const alive = async <T>(value: () => T): Promise<T> => {
      await null
      if (boot === this.#boot && this.fuse !== null && --this.fuse <= 0) this.#die()
      return boot === this.#boot ? value() : await new Promise<T>(() => {})
    }
    return {
      get: async key => await alive(() => this.#rows.get(key)),
      batch: async (ops, { sync }) => {
        if (this.gate !== null) await this.gate
        await alive(() => { this.beforeWrite() })
        await alive(() => { this.#write(ops, sync) })
      },
      iterator: ({ gte, lt }) => {
        const rows = [...this.#rows].filter(([key]) => key >= gte && key < lt).sort(([a], [b]) => a < b ? -1 : 1)
        return (async function * () { for (const row of rows) yield await alive(() => row) })()
      }
    }
  }

  #die (): void {
    this.cut(this.keptAtDeath)
    this.#death.resolve()
  }

  /** Resolves when the fuse has burnt down. */
  get death (): Promise<void> { return this.#death.promise }

  #write (ops: Op[], sync: boolean): void {
    apply(this.#rows, ops)
    this.#loose.push(ops)
    if (!sync || this.lies) return
    for (const loose of this.#loose.splice(0)) apply(this.#safe, loose)
    this.syncs++
  }

  /** Power cut: all but the first `kept` unsynced batches are lost. */
  cut (kept: number): void {
    this.fuse = null
    this.#loose = this.#loose.slice(0, kept)
    this.#rows = new Map(this.#safe)
    for (const loose of this.#loose) apply(this.#rows, loose)
    this.detach()
  }

  /** Another disk is put in: a copy of this one made earlier, or an empty one. */
  restore (rows: ReadonlyMap<string, Uint8Array>): void {
    this.#safe.clear()
    for (const [key, value] of rows) this.#safe.set(key, value)
    this.cut(0)
  }

  /** The process ends; what it had handed to the disk stays. */
  detach (): void {
    this.#boot++
    this.isAttached = false
  }

  /** Whether a power cut leaves this row. */
  isSafe (key: string): boolean { return this.#safe.has(key) }

  get looseBatches (): number { return this.#loose.length }

  rows (): ReadonlyMap<string, Uint8Array> { return this.#rows }

  /** Change a row behind the books' back. */
  damage (key: string, value: Uint8Array): void { this.#write([{ type: 'put', key, value }], false) }
}

function apply (rows: Map<string, Uint8Array>, ops: readonly Op[]): void {
  for (const op of ops) {
    if (op.type === 'put') rows.set(op.key, op.value)
    else rows.delete(op.key)
  }
}

export interface Message { readonly from: Node, readonly to: Node, readonly kind: string, readonly bytes: Uint8Array, readonly order?: string }

/** One node: its key, disk and books. */
export class Node {
  readonly signer: Signer
  readonly disk = new Disk()
  readonly offer: Sealed<Offer>
  readonly world: World
  /** Orders sold here, as far as this test knows. */
  readonly sold: string[] = []
  credits!: Credits
  #nonces = 0

  constructor (world: World, name: string) {
    this.world = world
    this.signer = world.keys.signerOf(name)
    this.offer = offerOf(this.signer, { net: world.options.charter?.net ?? null })
  }

  get id (): string { return this.signer.id }

  /** The process ends as it should, and starts again: nobody waits for its orders. */
  async restart (): Promise<void> {
    await this.credits.close()
    await this.start()
  }

  async start (): Promise<void> {
    this.credits = await createCredits({
      store: this.disk.attach(),
      signer: this.signer,
      verify: this.world.keys.verify,
      now: () => this.world.now,
      randomBytes: length => this.#nonce().slice(0, length)
    }, this.world.options)
  }

  async order (seller: Node, costMax = 10_000_000n, seconds = 3_600): Promise<Sealed<Order>> {
    return await this.credits.placeOrder({ executor: seller.id, offer: seller.offer, spec: rawCid(encodeCanonical('spec')), costMax, seconds })
  }

  /** An order that these books know nothing of: nothing is held for it, and no account was asked. */
  forgeOrder (seller: Node, costMax: bigint): Sealed<Order> {
    return seal('order', checkOrder({
      net: this.world.options.charter?.net ?? null,
      payer: this.signer.publicKey,
      executor: seller.signer.publicKey,
      offer: seller.offer.id,
      spec: rawCid(encodeCanonical('spec')),
      costMax,
      level: 0,
      tick: 0n,
      expires: this.world.now + 3_600,
      nonce: this.#nonce().slice(0, 16)
    }), this.signer)
  }

  #nonce (): Uint8Array { return hashOf('nonce', this.id, String(this.#nonces++)) }

  /** Question and answer, with no wire between: now cheques may be signed. */
  async meet (peer: Node): Promise<void> {
    for (const question of await this.credits.syncQuestions(peer.id)) {
      await this.credits.applySync(peer.id, await peer.credits.answerSync(this.id, question))
    }
  }

  /** Meet, order, run, answer and take the answer, with no wire between. @returns the order's id */
  async buyFrom (seller: Node): Promise<string> {
    if (!this.credits.isSynced(seller.id)) await this.meet(seller)
    const order = await this.order(seller)
    await using hold = await seller.credits.acceptOrder(this.id, order, seller.offer, LIMITS_OF_JOB)
    const { bytes } = await hold.settle(factsOf(order.id), bundle => bundle.bytes)
    await this.credits.acceptReceipt(seller.id, bytes)
    return order.id.toString()
  }

  /** Cheque and ack, with no wire between. */
  async pay (seller: Node): Promise<void> {
    if (!this.credits.isSynced(seller.id)) await this.meet(seller)
    const cheque = await this.credits.nextCheque(seller.id)
    if (cheque === null) return
    const answer = await seller.credits.takeCheque(this.id, cheque.bytes)
    assert.equal(answer.kind, 'ack')
    if (answer.kind === 'ack') await this.credits.takeAck(seller.id, answer.bytes)
  }
}

/** Refusals that a hostile or unlucky wire brings about; any other error is a bug. */
const EXPECTED = ['ERR_GONE', 'ERR_BUSY', 'ERR_INSUFFICIENT_CREDITS', 'ERR_RECORD_INVALID']

export class World {
  now = START
  readonly options: CreditsOptions
  readonly wire: Message[] = []
  /** By PeerId. */
  readonly nodes = new Map<string, Node>()
  /** Every cheque that was ever handed to the wire, by lane and number. */
  readonly cheques = new Map<string, string>()
  /** Contents that contradict an earlier cheque of the same number: must stay empty. */
  readonly forks: string[] = []

  readonly keys: Keys
  /** What each payee has acknowledged, by lane and number. */
  readonly taken = new Map<string, string>()

  constructor (options: CreditsOptions = {}, keys: Keys = REAL_KEYS) {
    this.options = options
    this.keys = keys
  }

  async node (name: string): Promise<Node> {
    const node = new Node(this, name)
    await node.start()
    this.nodes.set(node.id, node)
    return node
  }

  send (from: Node, to: Node, kind: string, bytes: Uint8Array, order?: string): void {
    this.wire.push({ from, to, kind, bytes, ...(order === undefined ? {} : { order }) })
  }

  async buy (buyer: Node, seller: Node, costMax?: bigint): Promise<void> {
    const order = await buyer.order(seller, costMax)
    this.send(buyer, seller, 'order', order.bytes, order.id.toString())
  }

  async pay (buyer: Node, seller: Node): Promise<boolean> {
    const cheque = await buyer.credits.nextCheque(seller.id)
    if (cheque === null) {
      if (!buyer.credits.isSynced(seller.id)) await this.sync(buyer, seller)
      return false
    }
    const slot = `${buyer.id} → ${seller.id} #${cheque.payload.n}`
    const id = cheque.id.toString()
    if ((this.cheques.get(slot) ?? this.taken.get(slot) ?? id) !== id) this.forks.push(slot)
    if (!buyer.disk.isSafe(KEYS.out(seller.id, cheque.payload.n))) this.forks.push(`${slot} is sent and not durable`)
    this.cheques.set(slot, id)
    this.send(buyer, seller, 'cheque', cheque.bytes)
    return true
  }

  async sync (from: Node, to: Node): Promise<void> {
    for (const cancel of await from.credits.untoldCancels(to.id)) this.send(from, to, 'cancelled', cancel)
    for (const question of await from.credits.syncQuestions(to.id)) this.send(from, to, 'question', question)
  }

  /** In a mesh: show the issuer what it said and may have lost, and what it has not cleared. */
  async claim (payee: Node): Promise<void> {
    const issuer = this.nodes.get(payee.credits.account()?.issuer ?? '')
    if (issuer === undefined) return
    if (!issuer.credits.isSynced(payee.id)) await this.sync(issuer, payee)
    for (const clearing of (await payee.credits.clearings()).flat()) this.send(payee, issuer, 'clearing', clearing)
    for (const cheque of (await payee.credits.claims(true)).flat()) this.send(payee, issuer, 'claim', cheque)
  }

  /** In a mesh: tell a payer what the issuer last said of its cheques. */
  async tell (payee: Node, payer: Node): Promise<void> {
    const clearing = await payee.credits.clearingOf(payer.id)
    if (clearing !== null) this.send(payee, payer, 'clearing', clearing)
  }

  /** Deliver one message. A refusal is an answer like any other. */
  async deliver (message: Message): Promise<void> {
    // Nobody is there until the node starts again.
    if (!message.to.disk.isAttached) return
    try {
      // What a killed node had begun is never answered.
      await Promise.race([this.#handle(message), message.to.disk.death])
    } catch (error) {
      if (!(error instanceof InosError) || !EXPECTED.includes(error.code)) throw error
      if (message.kind === 'order') this.send(message.to, message.from, 'refusal', new Uint8Array(0), message.order!)
    }
  }

  async #handle ({ from, to, kind, bytes, order }: Message): Promise<void> {
    const { credits } = to
    switch (kind) {
      case 'order': await this.#serve(to, from, bytes); break
      case 'refusal': await credits.refuseOrder(order!); break
      case 'due': {
        const taken = await credits.acceptReceipt(from.id, bytes).then(() => true, error => {
          if (error instanceof InosError && error.code === 'ERR_GONE') return false
          throw error
        })
        const cancel = taken ? null : await credits.cancelOf(readBundle(bytes).order.id.toString())
        if (cancel !== null) this.send(to, from, 'cancelled', cancel)
        break
      }
      case 'cancelled': {
        await credits.takeCancel(from.id, bytes)
        this.send(to, from, 'heard', bytes)
        break
      }
      case 'heard': await credits.toldCancels(from.id, [bytes]); break
      case 'ack': await credits.takeAck(from.id, bytes); break
      case 'claim': {
        for (const clearing of await credits.clear(from.id, [bytes])) this.send(to, from, 'clearing', clearing)
        await this.pay(to, from)
        break
      }
      case 'clearing': {
        const other = await credits.takeClearing(bytes)
        if (other !== from.id) await this.tell(to, this.nodes.get(other)!)
        break
      }
      case 'question': {
        const answer = await credits.answerSync(from.id, bytes)
        this.send(to, from, 'answer', answer)
        // Their receipts are what the peer lacks.
        if (decodeAnswer(answer).done.length > 0) await this.sync(to, from)
        break
      }
      case 'answer': {
        const { resend, more } = await credits.applySync(from.id, bytes)
        if (more) await this.sync(to, from)
        // What is on its way need not be sent again: a node sends one record of these after the other.
        const underway = new Set(this.wire.filter(message => message.from === to && message.to === from).map(message => toHex(message.bytes)))
        for await (const { kind, bytes } of resend) if (!underway.has(toHex(bytes))) this.send(to, from, kind, bytes)
        break
      }
      case 'cheque': {
        const answer = await credits.takeCheque(from.id, bytes)
        const { id, payload: { n } } = openEnvelope(bytes, 'cheque', checkCheque)
        const slot = `${from.id} → ${to.id} #${n}`
        if (answer.kind === 'ack' && !to.disk.isSafe(KEYS.in(from.id, n))) this.forks.push(`${slot} is acknowledged and not durable`)
        if (answer.kind === 'ack') this.taken.set(slot, this.taken.get(slot) ?? id.toString())
        if (answer.kind === 'ack') this.send(to, from, 'ack', answer.bytes)
        else this.send(to, from, 'answer', answer.body)
      }
    }
  }

  async #serve (seller: Node, buyer: Node, bytes: Uint8Array): Promise<void> {
    const order = openEnvelope(bytes, 'order', checkOrder)
    const stored = await seller.credits.storedReply(buyer.id, order.id.toString())
    if (stored === 'gone' || stored === 'running') throw new InosError('ERR_GONE', stored)
    if (stored === null) {
      await using hold = await seller.credits.acceptOrder(buyer.id, order, seller.offer, LIMITS_OF_JOB)
      await hold.settle(factsOf(order.id), bundle => bundle.bytes)
      seller.sold.push(order.id.toString())
    }
    const reply = stored ?? await seller.credits.storedReply(buyer.id, order.id.toString())
    assert.ok(reply instanceof Uint8Array)
    this.send(seller, buyer, 'due', reply)
  }

  /** Let everything arrive, ask, pay, until nobody has anything to say. */
  async drain (nodes: readonly Node[]): Promise<void> {
    const pairs = nodes.flatMap(a => nodes.filter(b => b !== a).map(b => [a, b] as const))
    await this.settle()
    // Nobody waits for an answer any more.
    for (const node of nodes) await node.restart()
    for (let round = 0; round < 3; round++) {
      for (const [a, b] of pairs) await this.sync(a, b)
      await this.settle()
      for (const [a, b] of pairs) while (await this.pay(a, b)) await this.settle()
      for (const node of nodes) await this.claim(node)
      for (const [a, b] of pairs) await this.tell(a, b)
      await this.settle()
    }
  }

  async settle (): Promise<void> {
    for (let count = 0, message = this.wire.shift(); message !== undefined; message = this.wire.shift()) {
      assert.ok(++count < 10_000, 'the wire never gets quiet')
      await this.deliver(message)
    }
  }

  /** A buyer does one of its open jobs elsewhere. */
  async giveUp (node: Node, which: number): Promise<void> {
    const open = [...node.disk.rows()].filter(([key]) => key.startsWith('order!'))
    const row = open[which % open.length]
    if (row === undefined) return
    await node.credits.giveUpOrder(row[0].slice(6))
    const cancel = await node.credits.cancelOf(row[0].slice(6))
    const seller = this.nodes.get(peerIdOfKey(openEnvelope(row[1], 'order', checkOrder).payload.executor))
    if (cancel !== null && seller !== undefined) this.send(node, seller, 'cancelled', cancel)
  }

  /** A buyer says of an order that it has accepted, and may have paid, that it gave it up; its own books know better, and pay. */
  deny (node: Node, which: number): void {
    const bought = [...node.disk.rows()].filter(([key]) => key.startsWith('receipt!')).map(([, bytes]) => readBundle(bytes).order).filter(({ payload: { payer } }) => equals(payer, node.signer.publicKey))
    const order = bought[which % bought.length]
    if (order === undefined) return
    const { net, payer, executor } = order.payload
    const seller = this.nodes.get(peerIdOfKey(executor))
    if (seller !== undefined) this.send(node, seller, 'cancelled', seal<Cancel>('cancel', { net, payer, executor, order: order.id }, node.signer).bytes)
  }
}

/** Each cheque of one end is known at the other. */
export function assertLanes (nodes: readonly Node[]): void {
  for (const buyer of nodes) {
    for (const seller of nodes) {
      if (buyer !== seller) assert.equal(buyer.credits.line(seller.id).spent, seller.credits.line(buyer.id).earned)
    }
  }
}

/** Nothing is held any more, and the records on disk say what the running totals say. */
export async function assertAudited ({ credits }: Node): Promise<void> {
  const { held, ...sums } = credits.balance()
  assert.equal(held, 0n)
  const { ok, bad, balance, due, owed, earned, spent } = await credits.audit()
  assert.deepEqual(bad, [])
  assert.deepEqual({ ok, balance, due, owed, earned, spent }, { ok: true, ...sums })
}

/** What must hold between nodes when everything has arrived. */
export async function assertSettled (...nodes: readonly Node[]): Promise<void> {
  assertLanes(nodes)
  for (const node of nodes) {
    const { due, owed } = node.credits.balance()
    assert.deepEqual({ due, owed }, { due: 0n, owed: 0n })
    await assertAudited(node)
  }
  assert.equal(nodes.reduce((sum, { credits }) => sum + credits.balance().balance, 0n), 0n)
}
