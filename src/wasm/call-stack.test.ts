import assert from 'node:assert/strict'
import { test } from 'node:test'
import { wasm } from '../../test/wasm-builder.ts'
import type { Func, Parts } from '../../test/wasm-builder.ts'
import { LIMITS } from '../packet/limits.ts'
import { admit } from './admit.ts'
import { CallStack, SHALLOW_BYTES, STACK_BYTES } from './call-stack.ts'
import { decode } from './decode.ts'
import { createEngine } from './engine.ts'
import type { Outcome } from './runtime.ts'

const engine = createEngine()
let ids = 0

function run (parts: Parts, fuelMax = 10n ** 12n): Promise<Outcome> {
  return engine.execute({
    moduleId: `module ${ids++}`, wasm: wasm(parts), input: new Uint8Array(0), entry: '', args: [], env: {}, files: {}, outputs: [],
    limits: { fuelMax, memoryPagesMax: 10, outputBytesMax: 0 }, seed: new Uint8Array(32)
  }, { payer: '' })
}

function stackOf (parts: Parts): CallStack {
  const module = decode(wasm(parts), LIMITS.module)
  return new CallStack(module, admit(module, LIMITS.module).graph)
}

/** Bytes of the frame of `run`: nothing but a result. */
const RUN = 96 + 8 * 2
const entry = (code: string, locals = ''): Func => ({ type: ':i32', code, locals, export: 'run' })

// Goal: the budget is spent to the byte, and what it costs is exact.
// Method: endless recursions of known frames; each level costs known fuel, so fuel tells the depth.
test('recursion ends where the budget does', async () => {
  const shapes: Array<[func: Func, frame: number, fuel: number, push?: string]> = [
    [{ code: 'call 0' }, 96, 1],
    [{ locals: 'i32 i64 f32', code: 'call 0' }, 96 + 8 * 3, 1],
    [{ type: 'i64,i64:', code: 'local.get 0 local.get 1 call 0' }, 96 + 8 * (2 * 2 + 2), 3, 'i64.const 1 i64.const 2'],
    [{ type: ':i32', code: 'i32.const 1 i32.const 2 i32.const 3 call 0 drop drop drop' }, 96 + 8 * (1 + 4), 7, ''],
    [{ locals: 'v128', code: 'call 0' }, 96 + 16, 1]
  ]
  for (const [func, frame, fuel, push = ''] of shapes) {
    const results = func.type?.endsWith('i32') === true && func.type.startsWith(':') ? 'drop' : ''
    const outcome = await run({ functions: [func, entry(`${push} call 0 ${results} i32.const 0`)] })
    const params = push.split('const').length - 1
    const first = RUN + 8 * Math.max(0, params - 1)
    const depth = Math.floor((STACK_BYTES - first) / frame)
    const before = params + 2 + (results === '' ? 0 : 1)
    assert.deepEqual([outcome.outcome, outcome.exitCode, outcome.fuel], ['stack', null, BigInt(before + depth * fuel)], func.code)
  }
})

// Goal: what returned, left by a tail call or was thrown out of has given its frame back.
// Method: 100,000 rounds of each, far more than the budget holds; and recursion by tail calls alone.
test('frames are given back', async () => {
  const rounds = (code: string): string => `loop ${code} local.get 0 i32.const 1 i32.add local.tee 0 i32.const 100000 i32.lt_u br_if 0 end i32.const 7`
  const deep = 'local.get 0 if local.get 0 i32.const 1 i32.sub call 0 end'
  const cases: Record<string, Parts> = {
    return: { functions: [{ type: 'i32:', code: deep }, entry(rounds('i32.const 3 call 0'), 'i32')] },
    throw: {
      tags: [':'],
      functions: [{ type: 'i32:', code: `${deep} throw 0` }, entry(rounds('block try_table[catch:0:0] i32.const 3 call 0 end end'), 'i32')]
    },
    tail: { functions: [{ type: 'i32:i32', code: 'local.get 0 i32.eqz if i32.const 7 return end local.get 0 i32.const 1 i32.sub return_call 0' }, entry('i32.const 100000 return_call 0')] },
    even: {
      functions: [
        { type: 'i32:i32', code: 'local.get 0 i32.eqz if i32.const 7 return end local.get 0 i32.const 1 i32.sub return_call 1' },
        { type: 'i32:i32', locals: 'i64 i64 i64', code: 'local.get 0 i32.const 0 return_call_indirect(i32:i32)' },
        entry('i32.const 100000 call 0')
      ],
      tables: [{ min: 1 }],
      elements: [{ offset: 0, functions: [0] }]
    }
  }
  for (const [name, parts] of Object.entries(cases)) {
    const outcome = await run(parts)
    assert.deepEqual([outcome.outcome, outcome.exitCode], ['ok', 7], name)
  }
})

// Goal: only what can go deep is counted.
// Method: leaves, chains just within and just beyond what is shallow, cycles of each kind, and their callers.
test('shallow functions are not counted', () => {
  const counted = (parts: Parts): boolean[] => parts.functions!.map((_, i) => stackOf(parts).isCounted(i))
  assert.deepEqual(counted({ functions: [{ code: '' }, { code: 'call 0' }, { code: 'call 2' }, { code: 'call 2' }, { code: 'call 5' }, { code: 'call 4' }] }),
    [false, false, true, true, true, true])
  // A chain of frames of 96 bytes: 85 fit.
  const chain = counted({ functions: Array.from({ length: 100 }, (_, i) => ({ code: i === 0 ? '' : `call ${i - 1}` })) })
  assert.equal(chain.indexOf(true), Math.floor(SHALLOW_BYTES / 96))
  assert.ok(!chain.slice(chain.indexOf(true)).includes(false))
  const table: Parts = {
    functions: [
      { code: 'i32.const 0 call_indirect(:)' }, { type: 'i32:', code: 'i64.const 0 i32.const 0 call_indirect(i64:)' },
      { type: 'i64:', code: '' }, { code: '' }, { type: 'f32:', code: 'local.get 0 i32.const 0 call_indirect(f32:)' }
    ],
    tables: [{ min: 1 }],
    elements: [{ offset: 0, functions: [0, 1, 2] }]
  }
  // Function 4 calls its own type, but no table holds it.
  assert.deepEqual(counted(table), [true, false, false, false, false])
  const byReference: Parts = { ...table, functions: [...table.functions!, { code: 'ref.func 4 drop' }], elements: [{ functions: [4] }] }
  assert.deepEqual(counted(byReference), [false, false, false, false, true, false])
})

// Goal: a chain of calls that does not recur but is far too long ends alike.
// Method: 20,000 functions, each calling the one before.
test('long chains are counted as well', async () => {
  const functions: Func[] = Array.from({ length: 20_000 }, (_, i) => ({ code: i === 0 ? '' : `call ${i - 1}` }))
  functions.push(entry('call 19999 i32.const 0'))
  const outcome = await run({ functions })
  assert.deepEqual([outcome.outcome, outcome.fuel], ['stack', BigInt(2 + Math.floor((STACK_BYTES - RUN) / 96))])
})

// Goal: out of fuel comes first, wherever the path of a guest that goes too deep crosses its limit.
// Method: a recursion at exactly what it burns until the budget ends, and at one unit less.
test('fuel comes before the stack', async () => {
  const parts = { functions: [{ code: 'call 0' }, entry('call 0 i32.const 0')] }
  const { fuel } = await run(parts)
  assert.equal((await run(parts, fuel)).outcome, 'stack')
  const short = await run(parts, fuel - 1n)
  assert.deepEqual([short.outcome, short.fuel], ['fuel', fuel - 1n])
})
