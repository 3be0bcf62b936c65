/** Books of older schemas are brought up to this one, whole or not at all. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { World } from '../../test/suites/credits-world.ts'
import { frauds } from '../../test/suites/record-vectors.ts'
import { encodeCanonical } from '../packet/cbor.ts'
import { migrate, SCHEMA } from './migrations.ts'
import { decodeText, encodeText, type Store } from './store.ts'

const { rows } = JSON.parse(readFileSync(new URL('../../test/fixtures/books/schema-1.json', import.meta.url), 'utf8')) as { rows: Record<string, string> }

// Goal: what schema 1 knew is known afterwards, and every payment is in the history. Method: the committed books of
// one node, opened by this version twice; sums, audit and payments.
test('books of schema 1 are brought up to date', async () => {
  const world = new World()
  const a = await world.node('a')
  await a.credits.close()
  for (const [key, value] of Object.entries(rows)) a.disk.damage(key, new Uint8Array(Buffer.from(value, 'base64')))
  for (let time = 0; time < 2; time++) {
    await a.start()
    const { earned, spent, owed, held } = a.credits.balance()
    assert.ok(earned > 0n && spent > 0n && owed > 0n && held > 0n)
    assert.deepEqual((await a.credits.audit()).bad, [])
    const history = await Array.fromAsync(a.credits.history())
    assert.deepEqual(history.map(({ at, direction }) => [at, direction]), [[null, 'earned'], [null, 'spent'], [null, 'spent']])
    assert.equal(history.filter(({ direction }) => direction === 'spent').reduce((sum, { amount }) => sum + amount, 0n), spent)
    await a.credits.close()
    assert.equal(decodeText(a.disk.rows().get('version')!), String(SCHEMA))
  }
})

// Goal: who was caught in a lie under schema 2 is caught under this one, and a row that proves nothing is gone. Method: books
// whose number and rows are set back to what schema 2 wrote.
test('lies that schema 2 knew are proofs now', async () => {
  const world = new World()
  const a = await world.node('a')
  await a.credits.close()
  const { heads, hidden } = frauds
  const rowsOf = (...proofs: readonly unknown[]): Uint8Array[] => proofs.map(proof => encodeCanonical(proof))
  const lies = rowsOf([heads.first.bytes, heads.second.bytes], [hidden.first.bytes, hidden.second.bytes], ['nothing'], 7)
  for (const [at, bytes] of lies.entries()) a.disk.damage(`fault!PEER${at}`, bytes)
  a.disk.damage('version', encodeText('2'))
  await a.start()
  const kept = await Array.fromAsync(a.credits.frauds())
  assert.deepEqual(kept.map(({ kind }) => kind).sort(), ['head', 'hidden'])
  assert.ok(a.credits.isFraud(kept[0]!.peer))
  assert.deepEqual([...a.disk.rows().keys()].filter(key => key.startsWith('fault!')), [])
})

// Goal: each step is one durable batch with the new number in it. Method: a store that keeps its batches.
test('a step is one durable batch', async () => {
  const batches: { keys: string[], sync: boolean }[] = []
  const store: Store = {
    get: async key => key in rows ? new Uint8Array(Buffer.from(rows[key]!, 'base64')) : undefined,
    batch: async (ops, { sync }) => { batches.push({ keys: ops.map(({ key }) => key), sync }) },
    iterator: ({ gte, lt }) => (async function * () {
      for (const key of Object.keys(rows)) if (key >= gte && key < lt) yield [key, new Uint8Array(0)] as [string, Uint8Array]
    })()
  }
  await migrate(store)
  assert.deepEqual(batches.map(({ keys, sync }) => [keys.length, keys.at(-1), sync]), [[3, 'version', true], [1, 'version', true]])
})

// Goal: half an import is not taken for books. Method: the mark of one that is under way.
test('a broken-off import is refused', async () => {
  const world = new World()
  const a = await world.node('a')
  await a.credits.close()
  a.disk.damage('importing', new Uint8Array(0))
  await assert.rejects(a.start(), { code: 'ERR_DATA_DIR', message: /broken off/ })
})
