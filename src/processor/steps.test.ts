/** Calls of modules that keep a state, between nodes: what travels, what is checked, what a retry finds. */
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { test } from 'node:test'
import { COUNTER, counted, number } from '../../test/actor-guests.ts'
import { ECHO } from '../../test/guests.ts'
import { wasm } from '../../test/wasm-builder.ts'
import { openBundle } from '../credits/bundle.ts'
import { verify } from '../node/keys.ts'
import { toHex } from '../packet/identity.ts'
import { applyDelta, encodeDelta } from '../packet/kept-state.ts'
import type { KeptState } from '../packet/state-views.ts'
import { encodeState } from '../packet/state.ts'
import { own } from './job.ts'
import { Mesh } from './mesh.fixture.ts'
import type { ComputeOptions, Processor, Result } from './processor.ts'
import { startRogue } from './rogue.fixture.ts'

const LIMITED = { limits: { fuelMax: 1_000_000n, memoryPagesMax: 64, outputBytesMax: 1_024 } }
const digest = (bytes: Uint8Array): Uint8Array => createHash('sha256').update(bytes).digest()

async function call (node: Processor, value: number, before: KeptState | null, options: ComputeOptions = {}): Promise<Result> {
  return await node.compute(COUNTER, number(value), { ...LIMITED, ...options, step: { before, ...options.step } })
}

// Goal: a state made anywhere goes on anywhere, and is the same everywhere.
// Method: the same messages on this node alone, on one seller, and on two sellers in turn: replies, states and fuel must be equal.
test('steps give the same states wherever they run', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const sellers = [await mesh.start('one'), await mesh.start('two')]
  for (const seller of sellers) await mesh.connect(buyer, seller)
  const ways = [() => 'local', () => sellers[0]!.id, (i: number) => sellers[i % 2]!.id]
  const told = await Promise.all(ways.map(async where => {
    const steps: unknown[] = []
    let state: KeptState | null = null
    for (let i = 1; i <= 6; i++) {
      const result: Result = await call(buyer, i === 4 ? 0xffff_ffff : i, state, { where: where(i) })
      state = result.state!
      steps.push([counted(result.bytes), state.id, state.record.pages.length, result.fuel])
      assert.equal(openBundle(result.receipt, verify).receipt.payload.state?.toString(), state.id)
    }
    return steps
  }))
  assert.deepEqual(told[1], told[0])
  assert.deepEqual(told[2], told[0])
  // Another implementation comes to the same, and so does every later version of this one.
  assert.deepEqual(told[0]!.at(-1), [{ count: 6, sum: 4_294_967_312 }, 'bafkreicdyvwv7jdiaeiusi2cekb7oe3oo4pcy3hxp3xv7jkbcxep35c3t4', 4, 25_017n])
})

// Goal: the next call on the same node fetches nothing; another node checks what it fetches.
// Method: the caller spoils a page that no call changes: who made the state never asks for it, who has not gets wrong bytes.
test('a node that made a state needs none of it again', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const [one, two] = [await mesh.start('one'), await mesh.start('two')]
  await mesh.connect(buyer, one)
  await mesh.connect(buyer, two)
  const first = await call(buyer, 1, null, { where: one.id })
  const constant = toHex(first.state!.record.pages[2]!)
  const spoilt: KeptState = { ...first.state!, pages: new Map(first.state!.pages).set(constant, new Uint8Array(65_536)) }
  const second = await call(buyer, 2, spoilt, { where: one.id })
  assert.deepEqual(counted(second.bytes), { count: 2, sum: 3 })
  await assert.rejects(call(buyer, 2, spoilt, { where: two.id, retries: 0 }), { code: 'ERR_VERIFICATION' })
  const third = await call(buyer, 3, first.state!, { where: two.id })
  assert.deepEqual(counted(third.bytes), { count: 2, sum: 4 })
})

// Goal: a change too large for an answer is fetched, also again by a repeat of the call.
// Method: a guest that writes 200,000 bytes in each call, kept alive by replies alone, on two sellers in turn.
test('a large change travels by reference', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const sellers = [await mesh.start('one'), await mesh.start('two')]
  for (const seller of sellers) await mesh.connect(buyer, seller)
  const filler = wasm({ memory: { min: 4 }, globals: ['mut i32 0'], functions: [{ type: ':i32', code: 'global.get 0 i32.const 1 i32.add global.set 0 i32.const 9 global.get 0 i32.const 200000 memory.fill 0 i32.const 70000 i32.load8_u', export: 'run' }] })
  let state: KeptState | null = null
  for (let i = 1; i <= 4; i++) {
    const options: ComputeOptions = { ...LIMITED, where: sellers[i % 2]!.id, key: `fill ${i}`, step: { before: state } }
    const result: Result = await buyer.compute(filler, '', options)
    assert.equal((await buyer.compute(filler, '', options)).state!.id, result.state!.id)
    state = result.state!
    assert.deepEqual([state.record.pages.length, state.pages.get(toHex(state.record.pages[1]!))![5]], [4, i])
  }
})

// Goal: what traps, or runs out of fuel, has no state, and the one before goes on.
// Method: a message that traps after it was counted, between two others.
test('a call that traps changes nothing', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const seller = await mesh.start('seller')
  await mesh.connect(buyer, seller)
  const first = await call(buyer, 5, null)
  await assert.rejects(call(buyer, 0, first.state!), { code: 'ERR_TRAP' })
  const trapped = await buyer.run(COUNTER, number(0), { ...LIMITED, step: { before: first.state! } })
  assert.deepEqual([trapped.outcome, trapped.state], ['trap', undefined])
  assert.deepEqual(counted((await call(buyer, 6, first.state!)).bytes), { count: 2, sum: 11 })
})

// Goal: a state of another module, and one that was tampered with, is refused by name before or where it runs.
// Method: hand each to a call.
test('a state that is not this module’s is refused', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const seller = await mesh.start('seller')
  await mesh.connect(buyer, seller)
  const { state } = await call(buyer, 1, null)
  await assert.rejects(buyer.compute(ECHO, '', { ...LIMITED, step: { before: state! } }), { code: 'ERR_INVALID_SPEC', message: /another module/ })
  const record = { ...state!.record, globals: new Uint8Array(16) }
  const { id, bytes } = encodeState(record)
  await assert.rejects(call(buyer, 1, { id: id.toString(), bytes, record, pages: state!.pages }), { code: 'ERR_INVALID_SPEC', message: /bytes of globals/ })
})

// Goal: an answer whose state is not the one its receipt names is wrong, costs nothing, and the job is done elsewhere.
// Method: a seller that lies about the state in one way at a time, beside an honest one.
test('a wrong state is a wrong answer', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const honest = await mesh.start('honest')
  let lie = 0
  const rogue = startRogue(mesh, 'rogue', async job => {
    const delta = job.answer(job.receipt()).state!
    const after = await applyDelta(null, delta, digest)
    const page = new Uint8Array(65_536).fill(lie + 1)
    const other = await applyDelta(null, encodeDelta(null, after), digest)
    const lies = [
      () => job.answer(job.receipt(), { state: own(new Uint8Array(0)) }),
      () => job.answer(job.receipt(), { state: own(delta.map((byte, at) => at === delta.length - 3 ? byte ^ 1 : byte)) }),
      () => job.answer(job.receipt({ state: job.receipt().payload.module })),
      () => job.answer(job.receipt(), { state: own(encodeDelta(null, { ...other, pages: new Map(Array.from(other.pages, ([hex]) => [hex, page])) })) }),
      () => job.answer(job.receipt(), { state: job.receipt().payload.state!.bytes as Uint8Array<ArrayBuffer>, byReference: 16 })
    ]
    return lies[lie++]!()
  })
  await mesh.connect(buyer, { id: rogue.id })
  for (let i = 0; i < 5; i++) await assert.rejects(call(buyer, 7 + i, null, { where: rogue.id, retries: 0 }), { code: 'ERR_VERIFICATION' }, `lie ${i}`)
  assert.equal(lie, 5)
  await mesh.connect(buyer, honest)
  assert.deepEqual(counted((await call(buyer, 20, null)).bytes), { count: 1, sum: 20 })
  assert.equal((await Array.fromAsync(buyer.receipts())).length, 1)
})

// Goal: an audit runs a call again from the same state.
// Method: a rogue whose receipt names a state that is well-formed and wrong, with every answer audited; then an honest node.
test('a step is audited like any job', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const rogue = startRogue(mesh, 'rogue', async job => {
    const after = await applyDelta(null, job.answer(job.receipt()).state!, digest)
    const record = { ...after.record, globals: after.record.globals.map(byte => byte ^ 1) }
      const { id, bytes } = encodeState(record)
    return job.answer(job.receipt({ state: id }), { state: own(encodeDelta(null, { id: id.toString(), bytes, record, pages: after.pages })) })
  })
  await mesh.connect(buyer, { id: rogue.id })
  await assert.rejects(call(buyer, 1, null, { where: rogue.id, retries: 0, verify: { audit: 1 } }), { code: 'ERR_VERIFICATION', message: /"state"/ })
  const honest = await mesh.start('honest')
  await mesh.connect(buyer, honest)
  const first = await call(buyer, 1, null, { where: honest.id, verify: { audit: 1 } })
  assert.deepEqual(counted((await call(buyer, 2, first.state!, { where: honest.id, verify: { audit: 1 } })).bytes), { count: 2, sum: 3 })
})

// Goal: a call with a key is paid once, and its state is found again: kept, or told again by who was paid.
// Method: call twice under one key, the second time without and with what was kept; a caller whose keeping fails has bought nothing yet.
test('a step with a key', async () => {
  await using mesh = new Mesh()
  const buyer = await mesh.start('buyer', { serve: false })
  const seller = await mesh.start('seller')
  await mesh.connect(buyer, seller)
  const before = (await call(buyer, 1, null, { where: 'local' })).state!
  const kept = new Map<string, { state: KeptState, result: Uint8Array }>()
  const step = { before, keep: async (state: KeptState, _delta: Uint8Array, result: Uint8Array) => { kept.set(state.id, { state, result }) }, find: async (id: string) => kept.get(id) ?? null }
  const first = await call(buyer, 2, before, { key: 'k', step, where: 'remote' })
  const again = await call(buyer, 2, before, { key: 'k', step, where: 'remote' })
  kept.clear()
  const told = await call(buyer, 2, before, { key: 'k', step, where: 'remote' })
  for (const other of [again, told]) assert.deepEqual([other.receiptId, other.state!.id, other.text()], [first.receiptId, first.state!.id, first.text()])
  assert.deepEqual([...kept.keys()], [first.state!.id])
  assert.equal((await Array.fromAsync(buyer.receipts())).length, 2)
  let fails = true
  const failing = { before, async keep () { if (fails) throw new Error('the disk is full') } }
  await assert.rejects(call(buyer, 3, before, { key: 'full', step: failing, retries: 0, where: 'remote' }))
  assert.equal((await Array.fromAsync(buyer.receipts())).length, 2)
  fails = false
  assert.deepEqual(counted((await call(buyer, 3, before, { key: 'full', step: failing, where: 'remote' })).bytes), { count: 2, sum: 4 })
})
