/** Two nodes behind routers, with real ones between them where this machine can play them; `npm run nat` prints the figures. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { runNat } from './campaign.ts'
import { routerless } from './routers.ts'

const why = routerless()

// Goal: jobs between two nodes that cannot dial each other are done through a relay, after a hole punch where the routers allow one,
// and past the death of the relay; who was relayed to has paid; an invite leads through a relay. Method: network namespaces with two kinds of routers.
test('two nodes behind routers work for each other', { skip: why ?? false, timeout: 480_000 }, async () => {
  const { ok, scenes, mesh, upnp } = await runNat(1)
  assert.ok(ok, JSON.stringify([scenes, mesh, upnp]))
  const [strict, open] = scenes
  assert.equal(strict!.punchedMs, null)
  assert.ok(open!.punchedMs !== null && open!.jobs.some(({ via }) => via === 'direct'))
  assert.deepEqual(strict!.bills.map(({ payer, payee }) => [payer, payee]), [['b', 'relay']])
})
