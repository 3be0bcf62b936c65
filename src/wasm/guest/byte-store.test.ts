import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { ByteStore } from './byte-store.ts'

const step = fc.oneof(
  fc.record({ write: fc.uint8Array({ maxLength: 40 }), at: fc.nat(120) }),
  fc.record({ resize: fc.nat(150) })
)

// Goal: a store behaves like a plain array of bytes, shared content or not, and never touches what it shares.
// Method: random writes and sizes against an array, from random initial content.
test('a store is an array of bytes', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 60 }), fc.array(step, { maxLength: 30 }), (initial, steps) => {
    const shared = initial.slice()
    const store = new ByteStore(shared)
    let model = [...initial]
    for (const each of steps) {
      if ('resize' in each) {
        model = Array.from({ length: each.resize }, (_, index) => model[index] ?? 0)
        store.resize(each.resize)
      } else {
        const end = Math.max(model.length, each.at + each.write.length)
        model = Array.from({ length: end }, (_, index) => each.write[index - each.at] ?? model[index] ?? 0)
        store.write(each.at, each.write)
      }
      assert.deepEqual([...store.copy()], model)
      assert.equal(store.size, model.length)
      const part = new Uint8Array(20)
      assert.equal(store.read(5, part), Math.max(0, Math.min(20, model.length - 5)))
    }
    assert.deepEqual(shared, initial)
  }), { numRuns: 300 })
})

// Goal: growing by small writes moves few bytes, and what is moved is announced.
// Method: a million bytes in pieces of 100; sum what `moves` announces.
test('growth is cheap', () => {
  const store = new ByteStore()
  let moved = 0
  for (let at = 0; at < 1_000_000; at += 100) {
    moved += store.moves(at + 100)
    store.write(at, new Uint8Array(100))
  }
  assert.ok(moved > 1_000_000 && moved < 5_000_000, String(moved))
})
