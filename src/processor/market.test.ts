/** A node's own price: how it moves with the load, when an offer is news, what its owner may decide. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { ECHO } from '../../test/guests.ts'
import { scale, worstCase } from '../credits/pricing.ts'
import { verify } from '../node/keys.ts'
import { openEnvelope, verifySealed } from '../packet/envelope.ts'
import { DEFAULT_PRICES, LIMITS } from '../packet/limits.ts'
import { UNMEASURED } from '../packet/capacity.ts'
import { checkOffer } from '../packet/records.ts'
import { createEngine } from '../wasm/engine.ts'
import type { Load } from '../wasm/runtime.ts'
import { isNews } from './gauge.ts'
import { createMarket, type Market, type MarketOptions } from './market.ts'
import { Mesh, signerOf, until } from './mesh.fixture.ts'
import { startRogueBuyer } from './rogue.fixture.ts'

const { measureMs, priceMs, priceQuartersMax, priceQuartersMin } = LIMITS.market

/** A market whose clock and load a test moves. */
function stand (options: Partial<MarketOptions> = {}): { market: Market, load: Load, pass: (ms: number) => void } {
  let now = 1_800_000_000_000
  const load: Load = { slots: 4, busy: 0, queued: 0 }
  const platform = { signer: signerOf('seller'), verify, digest: () => new Uint8Array(32), now: () => now, sleep: async () => {}, randomBytes: (length: number) => new Uint8Array(randomBytes(length)), log: () => {} }
  const market = createMarket(platform, { ...createEngine(), load: () => load }, { serve: true, ...options })
  return {
    market,
    load,
    pass (ms) {
      for (let passed = 0; passed < ms; passed += measureMs) {
        now += measureMs
        market.review()
      }
    }
  }
}

// Goal: dearer when busy, cheaper when idle, one step at a time, within its bounds, and back to the list between.
// Method: a load that a test sets, and ten seconds at a time.
test('the price follows the load in steps', () => {
  const { market, load, pass } = stand()
  const price = (): bigint => market.offer()!.payload.perMFuel
  assert.equal(price(), DEFAULT_PRICES.perMFuel)
  const expect = (busy: number, queued: number, prices: bigint[]): void => {
    Object.assign(load, { busy, queued })
    for (const expected of prices) {
      pass(priceMs)
      assert.equal(price(), expected)
    }
  }
  expect(4, 4, [1_250n, 1_250n, 1_250n])
  // The load of late falls slowly, so one more look is needed before it is low.
  expect(0, 0, [1_000n, 750n, 500n, 500n])
  expect(2, 0, [750n, 1_000n, 1_000n])
})

// Goal: a busy node's price is still within what a job at default limits may cost.
// Method: the worst case at the highest step.
test('the dearest price fits the default limits', () => {
  assert.ok(worstCase(scale(DEFAULT_PRICES, priceQuartersMax), LIMITS.job) <= LIMITS.job.costMax)
  assert.deepEqual(scale(DEFAULT_PRICES, 4), DEFAULT_PRICES)
  const cheap = scale({ ...DEFAULT_PRICES, base: 1n, perMB: 1n }, priceQuartersMin)
  assert.deepEqual([cheap.base, cheap.perMB], [1n, 1n], 'rounded up; what is not for running stays')
})

// Goal: offers do not churn. Method: no change, small changes and one that matters; offers that were made in between.
test('an offer is signed anew only for news', () => {
  const { market, load, pass } = stand({ prices: { base: 7n, perMFuel: 8n, perPageSec: 9n, perKiB: 10n } })
  load.fuelPerSec = 1_000_000_000
  const first = market.offer()!
  pass(60_000)
  assert.equal(market.offer(), first, 'idle, and every price set')
  load.fuelPerSec = 1_150_000_000
  load.busy = 1
  pass(10_000)
  assert.equal(market.offer(), first, 'a fifth faster, a slot less')
  load.fuelPerSec = 3_000_000_000
  pass(2_000)
  const second = market.offer()!
  assert.equal(second.payload.fuelPerSec, 3_000_000_000)
  const { base, perMFuel, perPageSec, perKiB, perMB } = second.payload
  assert.deepEqual([base, perMFuel, perPageSec, perKiB, perMB], [7n, 8n, 9n, 10n, DEFAULT_PRICES.perMB])
  load.busy = 4
  pass(20_000)
  assert.equal(market.offer()!.payload.idle, 0, 'no slot is idle')
  const opened = openEnvelope(market.offer()!.bytes, 'offer', checkOffer)
  verifySealed(opened, signerOf('seller').publicKey, verify)
  assert.deepEqual(opened.payload, market.offer()!.payload)
})

// Goal: each part of a capacity is news by itself, and only when it changed much. Method: a table of changes.
test('what is news', () => {
  const said = { ...UNMEASURED, fuelPerSec: 1_000, idle: 4, queued: 0, diskBytes: 1_000 }
  const changes: [Partial<typeof said> | { gpu: string } | { bytesPerSec: number }, boolean][] = [
    [{}, false], [{ fuelPerSec: 1_200 }, false], [{ fuelPerSec: 1_400 }, true], [{ fuelPerSec: 700 }, true], [{ diskBytes: 900 }, false], [{ diskBytes: 10 }, true],
    [{ idle: 2 }, false], [{ idle: 1 }, true], [{ idle: 0 }, true], [{ queued: 4 }, false], [{ queued: 5 }, true], [{ memoryPagesMax: 1 }, true], [{ gpu: 'x' }, true], [{ bytesPerSec: 1 }, true]
  ]
  for (const [change, expected] of changes) assert.equal(isNews(said, { ...said, ...change }, 4), expected, JSON.stringify(change))
})

// Goal: an owner's prices hold at once and reach peers that are connected; what is wrong changes nothing.
// Method: two nodes; the seller's tariff changes while they are.
test('a tariff is changed while the node runs', async () => {
  await using mesh = new Mesh()
  const [seller, buyer] = [await mesh.start('seller'), await mesh.start('buyer', { serve: false })]
  await mesh.connect(buyer, seller)
  const run = { where: 'remote', limits: { fuelMax: 1_000_000n } }
  const dear = await buyer.compute(ECHO, 'x', run)
  // The buyer's side looks at no two offers within a tenth of a second.
  mesh.ahead += 1_000
  seller.setTariff({ prices: { base: 3n, perMFuel: 0n, perPageSec: 0n, perKiB: 0n }, buyers: null })
  await until(() => buyer.peers()[0]?.offer?.perMFuel === 0n, 'the new offer has arrived')
  const cheap = await buyer.compute(ECHO, 'x', run)
  assert.ok(dear.cost > 3n)
  assert.equal(cheap.cost, 3n)
  assert.deepEqual(seller.trade().fixed, ['base', 'perMFuel', 'perPageSec', 'perKiB'])
  for (const wrong of [{ prices: { base: -1n }, buyers: null }, { prices: { gold: 1n }, buyers: null }, { prices: {}, buyers: ['x'] }]) {
    assert.throws(() => { seller.setTariff(wrong as never) }, { code: 'ERR_USAGE' })
  }
  assert.equal(seller.trade().prices.base, 3n)
})

// Goal: who is not among the buyers gets nothing, at once and with the reason; so does a job larger than a machine.
// Method: two buyers and a seller for one of them with little memory; another friend's order goes past its own choice.
test('buyers by name, and memory by the offer', async () => {
  await using mesh = new Mesh()
  const friend = await mesh.start('friend', { serve: false })
  const stranger = await mesh.start('stranger', { serve: false })
  const seller = await mesh.start('seller', { buyers: [friend.id, signerOf('other').id], machine: { memoryPagesMax: 200, gpu: null, diskBytes: () => null } })
  for (const node of [friend, stranger]) await mesh.connect(node, seller)
  const limits = { fuelMax: 1_000_000n, memoryPagesMax: 200 }
  assert.equal((await friend.compute(ECHO, 'x', { where: 'remote', limits })).text(), 'x')
  await assert.rejects(stranger.compute(ECHO, 'x', { where: 'remote', limits }), { code: 'ERR_POLICY', message: /only for peers that its owner has named/ })
  const other = await startRogueBuyer(mesh.hub.network(signerOf('other').id), signerOf('other'), seller.id, mesh.opened)
  const answer = await other.order(ECHO, new Uint8Array(1))
  assert.deepEqual([answer.kind, answer.code], ['refusal', 'ERR_POLICY'])
  assert.match(answer.text, /200 pages of memory here, not 256/)
  assert.equal(seller.runs(), 1)
  assert.equal(stranger.credits().held, 0n)
})
