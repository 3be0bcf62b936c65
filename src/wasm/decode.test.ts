import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { generate } from '../../test/wasm-generator.ts'
import { wasm } from '../../test/wasm-builder.ts'
import type { Parts } from '../../test/wasm-builder.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { admit } from './admit.ts'
import type { Admission } from './admit.ts'
import type { ModuleCaps } from './decode.ts'
import { decode } from './decode.ts'
import { meter } from './meter.ts'

const CAPS = LIMITS.module

function look (bytes: Uint8Array, caps: ModuleCaps = CAPS): Admission {
  return admit(decode(bytes, caps), caps)
}

function refuses (bytes: Uint8Array, text: RegExp, caps?: ModuleCaps): void {
  assert.throws(() => look(bytes, caps), error => {
    assert.ok(error instanceof InosError)
    assert.equal(error.code, 'ERR_INVALID_MODULE')
    assert.match(error.message, text)
    assert.match(error.message, /at offset 0x[0-9a-f]+\.$/)
    return true
  })
}

/** A module with one section. */
function section (id: number, ...content: number[]): Uint8Array {
  return Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, id, content.length, ...content)
}

/** A module with one function of this body. */
function body (...code: number[]): Uint8Array {
  const size = code.length + 2
  return Uint8Array.of(
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10, size + 2, 1, size, 0, ...code, 0x0b
  )
}

// Goal: what is not in the profile is refused by its name and place, though V8 would take much of it.
// Method: the smallest bytes of each feature.
test('features outside of the profile are refused by name', () => {
  refuses(section(1, 1, 0x5f, 0), /GC types \(struct\)/)
  refuses(section(1, 1, 0x5e, 0x7f, 0), /GC types \(array\)/)
  refuses(section(1, 1, 0x4e, 1, 0x60, 0, 0), /GC types \(rec\)/)
  refuses(section(1, 1, 0x50, 0, 0x60, 0, 0), /GC types \(sub\)/)
  refuses(section(1, 1, 0x60, 1, 0x64, 0x70, 0), /typed function references/)
  refuses(section(1, 1, 0x60, 1, 0x6e, 0), /GC types \(anyref\)/)
  refuses(section(5, 1, 3, 1, 1), /shared memory \(threads\)/)
  refuses(section(5, 1, 4, 1), /64-bit memory \(memory64\)/)
  refuses(section(5, 2, 0, 1, 0, 1), /multi-memory/)
  refuses(section(4, 1, 0x70, 4, 1), /64-bit table \(memory64\)/)
  refuses(section(4, 1, 0x40, 0, 0x70, 0, 1, 0xd0, 0x70, 0x0b), /table with an initialiser/)
  refuses(section(6, 1, 0x7f, 2, 0x41, 0, 0x0b), /shared global \(threads\)/)
  refuses(body(0xfe, 0x03, 0), /threads and atomics is not in the profile \(function 0\), at offset 0x17/)
  refuses(body(0xfd, 0x80, 0x02), /relaxed SIMD \(0xfd 0x100\)/)
  refuses(body(0xfb, 0), /GC is not/)
  refuses(body(0xfc, 0x12), /0xfc 0x12 is not/)
  refuses(body(0xfd, 0x9a, 0x01), /0xfd 0x9a is not/)
  refuses(body(0xfc, 0x80, 0x04), /0xfc 0x200 is not/)
  refuses(body(0x06, 0x40, 0x0b), /legacy exceptions \(try\)/)
  refuses(body(0x07, 0), /legacy exceptions \(catch\)/)
  refuses(body(0x09, 0), /legacy exceptions \(rethrow\)/)
  refuses(body(0x18, 0), /legacy exceptions \(delegate\)/)
  refuses(body(0x14, 0), /call_ref/)
  refuses(body(0xd5, 0), /br_on_null/)
  refuses(body(0x27), /instruction 0x27 is not/)
  refuses(body(0x28, 0x42, 0, 0), /multi-memory/)
  refuses(body(0xd0, 0x6e), /GC types \(anyref\)/)
})

// Goal: malformed bytes are refused where they go wrong.
// Method: headers, sections and numbers broken one at a time.
test('malformed modules are refused', () => {
  refuses(new Uint8Array(0), /does not start like WebAssembly, at offset 0x0/)
  refuses(Uint8Array.of(0, 0x61, 0x73, 0x6d, 2, 0, 0, 0), /version is not 1, at offset 0x4/)
  refuses(section(14, 0), /section 14 is not known/)
  refuses(Uint8Array.of(...section(3, 0), 1, 1, 0), /section 1 comes twice or too late/)
  refuses(Uint8Array.of(...section(1, 0), 1, 1, 0), /section 1 comes twice or too late/)
  refuses(section(1, 0, 0), /bytes left over/)
  refuses(section(1, 0x80, 0x80, 0x80, 0x80, 0x10), /more than 32 bits/)
  refuses(section(1, 9), /ends before its 9 types/)
  refuses(section(3, 1, 0), /type 0 does not exist/)
  refuses(wasm({ functions: [{ code: '' }] }).slice(0, -4), /ends too early|functions without bodies/)
  refuses(section(7, 1, 1, 0xff, 0, 0), /not UTF-8/)
  refuses(body(0x10, 5), /function 5 does not exist/)
  refuses(body(0x0b), /goes on after its end/)
  refuses(body(0x02, 0x40), /ends too early/)
})

// Goal: each feature of the profile is admitted, and named in the report.
// Method: one module per feature.
test('features of the profile are named', () => {
  const entry = (code: string, rest: Parts = {}): string[] => look(wasm({ ...rest, functions: [{ code }] })).features
  assert.deepEqual(entry('nop'), ['mvp'])
  assert.deepEqual(entry('i32.const 0 i32.extend8_s drop'), ['mvp', 'sign-extension'])
  assert.deepEqual(entry('f32.const 0 i32.trunc_sat_f32_s drop'), ['mvp', 'saturating-float'])
  assert.deepEqual(entry('block(:i32,i32) i32.const 0 i32.const 0 end drop drop'), ['mvp', 'multi-value'])
  assert.deepEqual(entry('i32.const 0 i32.const 0 i32.const 0 memory.fill 0', { memory: { min: 1 } }), ['mvp', 'bulk-memory'])
  assert.deepEqual(entry('ref.null:externref drop'), ['mvp', 'reference-types'])
  assert.deepEqual(entry('v128.const 0 drop'), ['mvp', 'simd'])
  assert.deepEqual(entry('return_call 0'), ['mvp', 'tail-calls'])
  assert.deepEqual(entry('throw 0', { tags: [':'] }), ['mvp', 'exceptions'])
  assert.deepEqual(entry('', { globals: ['i32 i32.const 1 i32.const 2 i32.add'] }), ['mvp', 'extended-const'])
})

// Goal: every cap of admission refuses one above it and admits what is at it, naming the rule.
// Method: caps set low, and a module at and above each.
test('structure caps', () => {
  const at = (caps: Partial<ModuleCaps>, fits: Parts, above: Parts, text: RegExp): void => {
    look(wasm(fits), { ...CAPS, ...caps })
    refuses(wasm(above), text, { ...CAPS, ...caps })
  }
  const repeated = (code: string, count: number): Parts => ({ functions: [{ code: Array(count).fill(code).join(' ') }] })
  const many = (count: number): Parts => ({ functions: Array.from({ length: count }, () => ({ code: '' })) })
  at({ functionsMax: 3 }, many(3), many(4), /4 functions, and 3 are allowed/)
  at({ blocksMax: 5 }, repeated('block end', 5), repeated('block end', 6), /6 blocks/)
  at({ blocksMax: 2 }, { functions: [{ code: 'i32.const 0 if else end' }] }, { functions: [{ code: 'i32.const 0 if else end loop end' }] }, /3 blocks/)
  at({ nestingMax: 2 }, { functions: [{ code: 'block block end end' }] }, { functions: [{ code: 'block block block end end end' }] }, /3 nested blocks/)
  at({ localsMax: 3 }, { functions: [{ type: 'i32:', locals: 'i32 i64', code: '' }] }, { functions: [{ type: 'i32:', locals: 'i32 i64 i32', code: '' }] }, /4 locals/)
  at({ branchTableMax: 2 }, { functions: [{ code: 'block i32.const 0 br_table[0,0,0] end' }] }, { functions: [{ code: 'block i32.const 0 br_table[0,0,0,0] end' }] }, /3 targets in one br_table/)
  at({ callValuesMax: 4 }, { functions: [{ type: 'i32:i32', code: 'local.get 0 call 0 call 0' }] }, { functions: [{ type: 'i32:i32', code: 'local.get 0 call 0 call 0 call 0' }] }, /6 params and results over its calls/)
  // S = one param and a stack of two, B = two.
  at({ functionSlotBlocksMax: 6 }, { functions: [{ type: 'i32:', code: 'block end loop local.get 0 local.get 0 drop drop end' }] },
    { functions: [{ type: 'i32:', code: 'block end loop local.get 0 local.get 0 local.get 0 drop drop drop end' }] }, /8 slots times blocks/)
  // Two slots, and edges of br, br_if, br_table and return.
  at({ functionSlotEdgesMax: 10 }, { functions: [{ type: 'i32:', code: 'block local.get 0 br_if 0 local.get 0 br_table[0,0] end block br 0 end return' }] },
    { functions: [{ type: 'i32:', code: 'block local.get 0 br_if 0 local.get 0 br_table[0,0,0] end block br 0 end return' }] }, /12 slots times branch edges/)
  const three: Parts = { functions: Array.from({ length: 3 }, () => ({ type: 'i32:', code: 'block br 0 end' })) }
  at({ moduleSlotBlocksMax: 3 }, three, { functions: [...three.functions!, ...three.functions!] }, /4 slots times blocks of the whole module/)
  at({ moduleSlotEdgesMax: 3 }, three, { functions: [...three.functions!, ...three.functions!] }, /4 slots times branch edges of the whole module/)
  at({ paramsMax: 2 }, { functions: [{ type: 'i32,i32:', code: '' }] }, { functions: [{ type: 'i32,i32,i32:', code: '' }] }, /3 params in type 0/)
  at({ resultsMax: 1 }, { functions: [{ type: ':i32', code: 'i32.const 0' }] }, { functions: [{ type: ':i32,i32', code: 'i32.const 0 i32.const 0' }] }, /2 results in type 0/)
  at({ tableEntriesMax: 5 }, { tables: [{ min: 2 }, { min: 3 }] }, { tables: [{ min: 3 }, { min: 3 }] }, /start with 6 entries/)
  at({ elementsMax: 2 }, { functions: [{ code: '' }], elements: [{ functions: [0, 0] }] }, { functions: [{ code: '' }], elements: [{ functions: [0, 0] }, { functions: [0] }] }, /1 more elements/)
  at({ globalsMax: 1 }, { globals: ['i32 0'] }, { globals: ['i32 0', 'i32 0'] }, /2 globals/)
  at({ exportsMax: 1 }, { functions: [{ code: '', export: 'a' }] }, { functions: [{ code: '', export: 'a' }], exports: { b: 'func 0' } }, /2 exports/)
  at({ typesMax: 1 }, { functions: [{ code: '' }] }, { functions: [{ code: '' }, { type: 'i32:', code: '' }] }, /2 types/)
  const imports = (count: number): Parts => ({ imports: Array.from({ length: count }, (_, i) => ({ module: 'a', name: `${i}`, type: ':' })) })
  at({ importsMax: 2 }, imports(2), imports(3), /3 imports/)
  const data = (count: number): Parts => ({ data: Array.from({ length: count }, () => ({ bytes: new Uint8Array(1) })) })
  at({ dataSegmentsMax: 2 }, data(2), data(3), /3 data segments/)
  at({ bodyBytesMax: 6 }, repeated('nop', 4), repeated('nop', 5), /function 0 has 7 bytes/)
  at({ bytesMax: wasm(repeated('nop', 4)).length }, repeated('nop', 4), repeated('nop', 5), /bytes, and/)
})

// Goal: counts are refused before anything is allocated for them.
// Method: a few bytes that claim four billion of each thing; each is refused at once.
test('claimed counts allocate nothing', () => {
  const huge = [0xff, 0xff, 0xff, 0xff, 0x0f]
  for (const id of [1, 2, 3, 4, 6, 7, 9, 10, 11, 13]) refuses(section(id, ...huge), /has 4294967295|differ in number/)
  refuses(body(0x41, 0, 0x0e, ...huge), /4294967295 targets/)
  refuses(Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 4, 1, 0x60, 0, 0, 3, 2, 1, 0, 10, 10, 1, 8, 1, ...huge, 0x7f, 0x0b), /4294967295 locals/)
})

// Goal: nothing but a refusal comes out of garbage, however close to a module it is.
// Method: random modules with bytes changed, taken out or put in; decoding and admission either pass or
// throw ERR_INVALID_MODULE; and what V8 takes as well, it takes when metered.
test('mutated modules are refused or admitted, never an accident', () => {
  const outcomes = { refused: 0, admitted: 0, valid: 0 }
  fc.assert(fc.property(fc.integer({ min: 0, max: 50 }), fc.array(fc.tuple(fc.nat(), fc.integer({ min: 0, max: 255 }), fc.nat(2)), { minLength: 1, maxLength: 2 }), (seed, edits) => {
    const bytes = Array.from(generate(seed).wasm)
    for (const [at, byte, kind] of edits) bytes.splice(8 + at % (bytes.length - 8), kind === 2 ? 1 : kind, ...(kind === 2 ? [] : [byte]))
    const wasm = Uint8Array.from(bytes)
    try {
      look(wasm)
    } catch (error) {
      assert.ok(error instanceof InosError, String(error))
      assert.equal(error.code, 'ERR_INVALID_MODULE')
      outcomes.refused++
      return
    }
    outcomes.admitted++
    if (!WebAssembly.validate(wasm)) return
    const module = decode(wasm, CAPS)
    assert.ok(WebAssembly.validate(meter(module, admit(module, CAPS).graph, [], CAPS).wasm))
    outcomes.valid++
  }), { numRuns: 2000 })
  for (const count of Object.values(outcomes)) assert.ok(count > 20, JSON.stringify(outcomes))
})
