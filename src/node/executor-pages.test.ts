/** Pages of states on the pipe to an executor: how short they become, and which stay where they are. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { COUNTER, counted, number } from '../../test/actor-guests.ts'
import { LIMITS, PAGE_BYTES } from '../packet/limits.ts'
import { applyChange } from '../wasm/state.ts'
import type { State, StateChange } from '../wasm/runtime.ts'
import { decodeRun, encodeRun } from './executor-messages.ts'
import { alone, type Held, heldAfter, missing, NONE, wholePage, withoutEnd } from './executor-pages.ts'
import { createExecutorPool } from './executor-pool.ts'
import { runOf } from './executor-run.fixture.ts'

const full = (byte: number): Uint8Array => new Uint8Array(PAGE_BYTES).fill(byte)
const rest = { globals: new Uint8Array(8), tables: [], dropped: [] }
const stateOf = (...pages: Array<Uint8Array | null>): State => ({ ...rest, pages })
const changeOf = (pages: number, ...changed: Array<readonly [number, Uint8Array | null]>): StateChange => ({ ...rest, pages, changed: new Map(changed) })
const never = (): Promise<Uint8Array> => Promise.reject(new Error('the module was there'))

// Goal: a page comes back as it was, and as few bytes of it travel as can. Method: pages with one last byte anywhere, from buffers of their own and parts of larger ones.
test('a page travels without the zeros at its end', () => {
  fc.assert(fc.property(fc.option(fc.oneof(fc.nat(PAGE_BYTES - 1), fc.nat(300), fc.nat(300).map(at => PAGE_BYTES - 1 - at))), fc.nat(3), (last, offset) => {
    const page = new Uint8Array(PAGE_BYTES + offset).subarray(offset)
    if (last !== null) page[last] = 7
    const short = withoutEnd(page)
    assert.equal(short.length, last === null ? 0 : last + 1)
    assert.deepEqual(wholePage(short), page)
  }))
})

// Goal: what the executor holds is not sent again, and a run arrives the same with it and without it.
// Method: a state of four pages; the executor holds none, all, or those of the state before; its own copies are what it gets.
test('pages that an executor holds stay there', () => {
  const before = stateOf(full(1), null, full(2), full(3))
  const change = changeOf(5, [2, full(4)], [3, null], [4, full(5)])
  const after = applyChange(before, change)
  const run = { ...runOf('x', 'text'), state: after }
  for (const [held, sent] of [[NONE, 3], [before.pages, 2], [heldAfter(before, change), 0]] as ReadonlyArray<readonly [Held, number]>) {
    assert.equal(missing(after.pages, held).full.length, sent)
    const frame = encodeRun(1, run, run.wasm as Uint8Array, false, held)
    assert.deepEqual(decodeRun({ header: JSON.parse(JSON.stringify(frame.header)), parts: frame.parts }, never, alone(held)), run)
  }
})

// Goal: nothing is held of what kept no state, or of more than the limit, and no message is kept for a page of it. Method: as it says.
test('what is held has a limit', () => {
  assert.equal(heldAfter(stateOf(full(1)), undefined), NONE)
  const most = LIMITS.executor.heldBytesMax / PAGE_BYTES
  const pages = Array.from({ length: most + 1 }, () => full(1))
  assert.equal(heldAfter(null, changeOf(most, ...pages.slice(1).entries())).length, most)
  assert.equal(heldAfter(null, changeOf(most + 1, ...pages.entries())), NONE)
  const part = new Uint8Array(2 * PAGE_BYTES).subarray(PAGE_BYTES)
  assert.deepEqual(alone([part, null]).map(page => page?.buffer.byteLength), [PAGE_BYTES, undefined])
})

// Goal: states stay right whatever ran in between at the same executor. Method: one executor, two lines of messages that take turns in a
// seeded order, a message that traps, one that forgets a line, and bare runs in between: each line counts its own messages.
test('lines of messages share an executor', async () => {
  await using pool = createExecutorPool({ slots: 1 })
  const execute = (value: number, state: State | null | undefined) => pool.execute({
    moduleId: 'counter', wasm: COUNTER, input: number(value), entry: '', args: [], env: {}, files: {}, outputs: [], seed: new Uint8Array(32),
    limits: { fuelMax: 1_000_000n, memoryPagesMax: 64, outputBytesMax: 1_024 }, ...(state === undefined ? {} : { state })
  }, { payer: 'p' })
  const lines: Array<{ state: State | null, count: number }> = [{ state: null, count: 0 }, { state: null, count: 0 }]
  for (const pick of [0, 0, 1, 1, 2, 1, 0, 3, 0, 0, 4, 0, 1, 3, 2, 1, 0]) {
    const line = lines[pick]
    if (pick === 2) assert.equal(counted((await execute(5, undefined)).result).count, 1)
    if (pick === 3) assert.equal((await execute(0, lines[0]!.state)).outcome, 'trap')
    if (pick === 4) lines[1] = { state: null, count: 0 }
    if (line === undefined) continue
    const outcome = await execute(1, line.state)
    line.state = applyChange(line.state, outcome.state!)
    assert.equal(counted(outcome.result).count, ++line.count)
  }
})
