/**
 * A world for tests of credits: nodes with seeded keys, disks that can lose what was not synced,
 * and a wire that loses, repeats and reorders. The few lines of processor in `handle` do what the
 * real one does with each message, and nothing more.
 */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { type Credits, type CreditsOptions, createCredits, type RunFacts } from '../../src/credits/credits.ts'
import type { Op, Store } from '../../src/credits/store.ts'
import { encodeCanonical } from '../../src/packet/cbor.ts'
import { type CID, rawCid } from '../../src/packet/cid.ts'
import { openEnvelope, seal, type Sealed } from '../../src/packet/envelope.ts'
import { InosError } from '../../src/packet/errors.ts'
import type { Signer } from '../../src/packet/identity.ts'
import { checkOrder, type Offer, type Order } from '../../src/packet/records.ts'
import type { SpecLimits } from '../../src/packet/spec.ts'
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
    net: null, executor: signer.publicKey, ...PRICES, classes: ['deterministic'], profile: 'inos/1', slots: 4, expires: START + 1_000_000, nonce: new Uint8Array(16), ...changes
  }, signer)
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
  /** A mutant: say "synced" and do not. */
  lies = false
  /** Called before each batch is written; it may crash the disk. */
  beforeWrite: () => void = () => {}
  syncs = 0

  /** Attach a process. What an earlier one still asks for is never answered. */
  attach (): Store {
    const boot = ++this.#boot
    const alive = async <T>(value: () => T): Promise<T> => {
      await null
      return boot === this.#boot ? value() : await new Promise<T>(() => {})
    }
    return {
      get: async key => await alive(() => this.#rows.get(key)),
      batch: async (ops, { sync }) => {
        await alive(() => { this.beforeWrite() })
        await alive(() => { this.#write(ops, sync) })
      },
      iterator: ({ gte, lt }) => {
        const rows = [...this.#rows].filter(([key]) => key >= gte && key < lt).sort(([a], [b]) => a < b ? -1 : 1)
        return (async function * () { for (const row of rows) yield await alive(() => row) })()
      }
    }
  }

  #write (ops: Op[], sync: boolean): void {
    apply(this.#rows, ops)
    this.#loose.push(ops)
    if (!sync || this.lies) return
    for (const loose of this.#loose.splice(0)) apply(this.#safe, loose)
    this.syncs++
  }

  /** Power cut: all but the first `kept` unsynced batches are lost. */
  cut (kept: number): void {
    this.#loose = this.#loose.slice(0, kept)
    this.#rows = new Map(this.#safe)
    for (const loose of this.#loose) apply(this.#rows, loose)
    this.detach()
  }

  /** The process ends; what it had handed to the disk stays. */
  detach (): void { this.#boot++ }

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
  credits!: Credits
  #nonces = 0

  constructor (world: World, name: string) {
    this.world = world
    this.signer = signerOf(name)
    this.offer = offerOf(this.signer, { net: world.options.net ?? null })
  }

  get id (): string { return this.signer.id }

  async start (): Promise<void> {
    this.credits = await createCredits({
      store: this.disk.attach(),
      signer: this.signer,
      verify,
      now: () => this.world.now,
      randomBytes: length => hashOf('nonce', this.id, String(this.#nonces++)).slice(0, length)
    }, this.world.options)
  }

  async order (seller: Node, costMax = 10_000_000n, seconds = 3_600): Promise<Sealed<Order>> {
    return await this.credits.placeOrder({ executor: seller.id, offer: seller.offer, spec: rawCid(encodeCanonical('spec')), costMax, seconds })
  }

  /** Order, run, answer and take the answer, with no wire between. @returns the order's id */
  async buyFrom (seller: Node): Promise<string> {
    const order = await this.order(seller)
    await using hold = await seller.credits.acceptOrder(this.id, order, seller.offer, LIMITS_OF_JOB)
    const { bytes } = await hold.settle(factsOf(order.id), bundle => bundle.bytes)
    await this.credits.acceptReceipt(seller.id, bytes)
    return order.id.toString()
  }

  /** Cheque and ack, with no wire between. */
  async pay (seller: Node): Promise<void> {
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
  /** Every cheque that was ever handed to the wire, by lane and number. */
  readonly cheques = new Map<string, string>()
  /** Contents that contradict an earlier cheque of the same number: must stay empty. */
  readonly forks: string[] = []

  constructor (options: CreditsOptions = {}) {
    this.options = options
  }

  async node (name: string): Promise<Node> {
    const node = new Node(this, name)
    await node.start()
    return node
  }

  send (from: Node, to: Node, kind: string, bytes: Uint8Array, order?: string): void {
    this.wire.push({ from, to, kind, bytes, ...(order === undefined ? {} : { order }) })
  }

  async buy (buyer: Node, seller: Node): Promise<void> {
    const order = await buyer.order(seller)
    this.send(buyer, seller, 'order', order.bytes, order.id.toString())
  }

  async pay (buyer: Node, seller: Node): Promise<boolean> {
    const cheque = await buyer.credits.nextCheque(seller.id)
    if (cheque === null) return false
    const slot = `${buyer.id} → ${seller.id} #${cheque.payload.n}`
    const id = cheque.id.toString()
    if ((this.cheques.get(slot) ?? id) !== id) this.forks.push(slot)
    this.cheques.set(slot, id)
    this.send(buyer, seller, 'cheque', cheque.bytes)
    return true
  }

  sync (from: Node, to: Node): void {
    for (const question of from.credits.syncQuestions(to.id)) this.send(from, to, 'question', question)
  }

  /** Deliver one message. A refusal is an answer like any other. */
  async deliver (message: Message): Promise<void> {
    try {
      await this.#handle(message)
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
      case 'due': await credits.acceptReceipt(from.id, bytes); break
      case 'ack': await credits.takeAck(from.id, bytes); break
      case 'question': this.send(to, from, 'answer', await credits.answerSync(from.id, bytes)); break
      case 'answer': {
        const { resend } = await credits.applySync(from.id, bytes)
        for await (const { kind, bytes } of resend) this.send(to, from, kind, bytes)
        break
      }
      case 'cheque': {
        const answer = await credits.takeCheque(from.id, bytes)
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
    }
    const reply = stored ?? await seller.credits.storedReply(buyer.id, order.id.toString())
    assert.ok(reply instanceof Uint8Array)
    this.send(seller, buyer, 'due', reply)
  }

  /** Let everything arrive, ask, pay, until nobody has anything to say. */
  async drain (nodes: readonly Node[]): Promise<void> {
    const pairs = nodes.flatMap(a => nodes.filter(b => b !== a).map(b => [a, b] as const))
    await this.settle()
    for (const node of nodes) await this.loseAll(node)
    for (let round = 0; round < 3; round++) {
      for (const [a, b] of pairs) this.sync(a, b)
      await this.settle()
      for (const [a, b] of pairs) while (await this.pay(a, b)) await this.settle()
    }
  }

  async settle (): Promise<void> {
    for (let count = 0, message = this.wire.shift(); message !== undefined; message = this.wire.shift()) {
      assert.ok(++count < 10_000, 'the wire never gets quiet')
      await this.deliver(message)
    }
  }

  /** Nobody waits for anything any more. */
  async loseAll (node: Node): Promise<void> {
    for (const key of node.disk.rows().keys()) if (key.startsWith('order!')) node.credits.loseOrder(key.slice(6))
  }
}

/** What must hold between two nodes when everything has arrived. */
export async function assertSettled (a: Node, b: Node): Promise<void> {
  for (const [buyer, seller] of [[a, b], [b, a]] as const) {
    assert.equal(buyer.credits.line(seller.id).spent, seller.credits.line(buyer.id).earned)
  }
  for (const node of [a, b]) {
    const { held, due, owed, ...rest } = node.credits.balance()
    assert.deepEqual({ held, due, owed }, { held: 0n, due: 0n, owed: 0n })
    const audit = await node.credits.audit()
    assert.deepEqual(audit.bad, [])
    assert.equal(audit.ok, true)
    assert.deepEqual({ balance: audit.balance, earned: audit.earned, spent: audit.spent }, rest)
  }
  assert.equal(a.credits.balance().balance + b.credits.balance().balance, 0n)
}
