/** What newcomers that sell are promised: bounded whatever they do, and no limit on those that have sold enough. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { factsOf, signerOf, START, World } from '../../test/suites/credits-world.ts'
import { rawCid } from '../packet/cid.ts'
import { seal, type Sealed } from '../packet/envelope.ts'
import type { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { checkOrder, type Order } from '../packet/records.ts'
import type { Bundle } from './bundle.ts'
import { Ledger } from './ledger.ts'
import { receiptOf } from './seller.ts'

const CREDIT = 1_000_000n
const { sellerPoolMax, sellerPoolPerHour, sellerEvidence } = LIMITS.credits
/** A pool that random commands use up soon. */
const SMALL = 2n * sellerEvidence
const NAMES = Array.from({ length: 8 }, (_, i) => signerOf(`seller ${i}`))
const ME = signerOf('buyer')

/** What can happen between a buyer and one of many sellers; amounts in credits. */
const commands = fc.array(fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constantFrom('answer', 'refuse', 'late', 'late', 'hold'), who: fc.nat(NAMES.length - 1), costMax: fc.integer({ min: 1, max: 150 }), part: fc.integer({ min: 1, max: 100 }) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('pay', 'spend'), who: fc.nat(NAMES.length - 1), costMax: fc.integer({ min: 1, max: 150 }), part: fc.constant(100) }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constantFrom('wait', 'present'), who: fc.constant(0), costMax: fc.integer({ min: 1, max: 500 }), part: fc.constant(100) }) }
), { minLength: 50, maxLength: 100 })

/** Asks for more than the pool has, so that some is refused whatever chance brings. */
const TOO_MUCH = NAMES.map((_, who) => ({ do: 'hold', who, costMax: 150, part: 100 }))

class Play {
  readonly ledger: Ledger
  now = START
  refusals = 0
  readonly #late: { readonly bundle: Bundle, readonly peer: string }[] = []
  #nonce = 0

  constructor (lineMax: bigint, sellerPoolMax: bigint) {
    this.ledger = new Ledger(ME.id, ME.publicKey, { lineMax, poolMax: 10n ** 12n, sellerPoolMax })
  }

  /** @returns whether this node signed it */
  buy (who: number, costMax: bigint, charge: bigint, how: string): boolean {
    const seller = NAMES[who]!
    try {
      this.ledger.hold(seller.id, costMax, this.now)
    } catch (error) {
      assert.equal((error as InosError).code, 'ERR_INSUFFICIENT_CREDITS')
      this.refusals++
      return false
    }
    const order = this.#order(seller.publicKey, costMax)
    this.ledger.placeOrder(order, seller.id)
    const bundle = this.#bundle(order, seller, charge)
    if (how === 'refuse' || how === 'late') this.ledger.releaseOrder(order.id.toString())
    if (how === 'late') this.#late.push({ bundle, peer: seller.id })
    if (how === 'answer') this.ledger.owe(bundle, seller.id, this.now)
    return true
  }

  /** This node works for what it has promised. */
  work (who: number, amount: bigint): void {
    const { id, publicKey } = NAMES[who]!
    this.ledger.charge(this.#bundle(this.#order(publicKey, amount), ME, amount), id, this.now)
  }

  #order (executor: Uint8Array, costMax: bigint): Sealed<Order> {
    const nonce = new Uint8Array(16)
    new DataView(nonce.buffer).setUint32(0, this.#nonce++)
    const payload = checkOrder({ net: null, payer: ME.publicKey, executor, offer: rawCid(nonce), spec: rawCid(nonce), costMax, level: 0, tick: 0n, expires: this.now + 60, nonce })
    return seal('order', payload, UNSIGNED)
  }

  /** The ledger asks of a bundle only what it is called and what it costs. */
  #bundle (order: Sealed<Order>, seller: { publicKey: Uint8Array }, charge: bigint): Bundle {
    const payload = { ...receiptOf(order, factsOf(order.id), charge), executor: seller.publicKey }
    return { receipt: seal('receipt', payload, UNSIGNED), order, offer: null, selfExecuted: false, bytes: new Uint8Array(0) } as unknown as Bundle
  }

  /** Every receipt that was kept back is shown; what finds no room is shown again later. */
  presentLate (): void {
    for (const late of this.#late.splice(0)) {
      try {
        this.ledger.owe(late.bundle, late.peer, this.now)
      } catch (error) {
        assert.equal((error as InosError).code, 'ERR_BUSY')
        this.refusals++
        this.#late.push(late)
      }
    }
  }

  /** What all names were promised while they were new. */
  promised (): bigint {
    return NAMES.reduce((sum, { id }) => {
      const { out, owed } = this.ledger.line(id)
      const sold = out.total + owed.sum
      return sum + (sold < sellerEvidence ? sold : sellerEvidence)
    }, 0n)
  }
}

const UNSIGNED = { ...ME, sign: () => new Uint8Array(64) }

// Goal: whatever names do, this node promises them as newcomers no more than the pool and what time gave back.
// Method: random orders that are answered, refused, kept open, or refused and presented later; cheques, work for the sellers
// and waiting between them; after each step the sum over all names, and what is held at newcomers beside it.
test('new sellers together are promised the pool', () => {
  let refusals = 0
  fc.assert(fc.property(commands, steps => {
    const play = new Play(10_000n * CREDIT, SMALL)
    for (const step of steps) {
      const [costMax, peer] = [BigInt(step.costMax) * CREDIT, NAMES[step.who]!.id]
      if (step.do === 'wait') play.now += step.costMax
      else if (step.do === 'pay') settle(play, peer)
      else if (step.do === 'spend') play.work(step.who, costMax)
      else if (step.do === 'present') play.presentLate()
      else play.buy(step.who, costMax, costMax * BigInt(step.part) / 100n, step.do)
      const refilled = BigInt(play.now - START) * sellerPoolPerHour / 3_600n
      const promised = play.promised()
      assert.ok(promised <= SMALL + refilled, `${promised}`)
      const { free } = play.ledger.pools(play.now).sellers
      const held = NAMES.map(({ id }) => play.ledger.line(id)).filter(line => line.out.total + line.owed.sum < sellerEvidence).reduce((sum, line) => sum + line.held, 0n)
      assert.ok(held + free <= SMALL)
    }
    refusals += play.refusals
  }), { numRuns: 100, examples: [[TOO_MUCH]] })
  assert.ok(refusals > 0, 'the check was put to the test')
})

/** A cheque over all that is owed, acknowledged. */
function settle ({ ledger, now }: Play, peer: string): void {
  ledger.recovery.sync(peer, now)
  const draft = ledger.draftCheque(peer)
  if (draft === null) return
  ledger.pay(seal('cheque', draft, UNSIGNED), peer, now)
  ledger.acknowledge(peer, draft.n)
}

// Goal: a seller that has sold enough is limited by its line alone, others by what is left of the pool, and time brings it back.
// Method: one seller sells a line's worth and is promised no more; four others use up the rest; an hour passes, and the first is paid by work.
test('who has sold enough is promised a line', () => {
  const play = new Play(sellerEvidence, sellerPoolMax)
  const sellTwenty = (who: number): boolean => play.buy(who, 20n * CREDIT, 20n * CREDIT, 'answer')
  for (let i = 0; i < 10; i++) assert.ok(sellTwenty(0))
  assert.equal(play.ledger.pools(play.now).sellers.free, sellerPoolMax - sellerEvidence)
  // All it was promised is outstanding, which is a line.
  assert.equal(sellTwenty(0), false)
  assert.equal(play.ledger.taken(NAMES[0]!.id, play.now).free, 0n)
  for (let who = 1; who < 5; who++) for (let i = 0; i < 10; i++) assert.ok(sellTwenty(who))
  assert.equal(play.ledger.pools(play.now).sellers.free, 0n)
  assert.equal(sellTwenty(5), false)
  const { free, says } = play.ledger.taken(NAMES[5]!.id, play.now)
  assert.deepEqual([free, /new sellers/.test(says)], [0n, true])
  play.now += 3_600
  assert.equal(sellTwenty(5), true)
  play.work(0, 100n * CREDIT)
  const { free: left } = play.ledger.pools(play.now).sellers
  for (let i = 0; i < 5; i++) assert.ok(sellTwenty(0))
  assert.equal(play.ledger.pools(play.now).sellers.free, left)
})

// Goal: what was promised is known after a restart, and a private mesh has no such limit. Method: sell, open the books again; a ledger with a charter.
test('promises outlive a restart, and are none in a private mesh', async () => {
  const world = new World({ sellerPoolMax: 20n * CREDIT })
  const [a, b, c] = [await world.node('a'), await world.node('b'), await world.node('c')]
  await a.buyFrom(b)
  await a.order(c)
  const before = a.credits.explain(c.id)
  assert.ok(before.sellerPoolFree < 10n * CREDIT && before.sellerPoolFree === before.spendable)
  assert.match(before.reasons.join(' '), /below 200 cr a seller is new.*that promise, not the line/)
  await assert.rejects(a.order(c), { code: 'ERR_INSUFFICIENT_CREDITS', message: /new sellers/, hint: /sellerPoolMax/ })
  await a.credits.close()
  a.disk.detach()
  await a.start()
  assert.equal(a.credits.explain(c.id).sellerPoolFree, before.sellerPoolFree)
  const charter = { net: new Uint8Array(32), issuer: ME.publicKey, feePpm: 0, offlineMax: 10n ** 12n }
  const issuer = new Ledger(ME.id, ME.publicKey, { charter })
  for (const { id } of NAMES) issuer.hold(id, 100n * CREDIT, START)
  assert.equal(issuer.balance().held, BigInt(NAMES.length) * 100n * CREDIT)
})
