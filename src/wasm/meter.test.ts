import assert from 'node:assert/strict'
import { test } from 'node:test'
import { wasm } from '../../test/wasm-builder.ts'
import type { Func, Parts } from '../../test/wasm-builder.ts'
import { createEngine } from './engine.ts'
import type { GuestInterface } from './guest/guest.ts'
import type { Outcome, Run } from './runtime.ts'

const PAGES = 10

/** A host of one call each: says how much fuel was burnt, ends the guest, burns by length. */
const seen: bigint[] = []
const probe: GuestInterface = {
  name: 'probe',
  functions: {
    fuel: { type: ':', fuel: 10 },
    exit: { type: 'i:', fuel: 10 },
    burn: { type: 'I:i', fuel: 10 },
    fail: { type: ':', fuel: 10 },
    both: { type: ':I', fuel: 0 }
  },
  open: context => ({
    functions: {
      fuel: () => { seen.push(context.fuelUsed()); return undefined },
      exit: (exitCode: number) => { context.end({ kind: 'exit', exitCode }); return undefined },
      burn: (units: bigint) => context.charge(BigInt.asUintN(64, units)) ? 1 : 0,
      fail: () => { throw new Error('host failed') },
      both: () => 5n
    },
    finish: () => ({ result: new Uint8Array(0), stderr: new Uint8Array(0) })
  })
}
const FUEL = { module: 'probe', name: 'fuel', type: ':' }
const EXIT = { module: 'probe', name: 'exit', type: 'i32:' }
const BURN = { module: 'probe', name: 'burn', type: 'i64:i32' }

const engine = createEngine({ interfaces: [probe] })
let ids = 0

function task (bytes: Uint8Array, fuelMax = 1_000_000n, moduleId = `module ${ids++}`): Run {
  return {
    moduleId, wasm: bytes, input: new Uint8Array(0), entry: '', args: [], env: {}, files: {}, outputs: [],
    limits: { fuelMax, memoryPagesMax: PAGES, outputBytesMax: 1024 }, seed: new Uint8Array(32)
  }
}

function run (parts: Parts, fuelMax?: bigint): Promise<Outcome> {
  return engine.execute(task(wasm(parts), fuelMax), { payer: '' })
}

interface Case extends Parts {
  /** Code of `run`, of no params and one i32. */
  code: string
  locals?: string
  /** Functions in front of `run`. */
  before?: Func[]
  fuel: bigint
  /** Exit code, or the kind of a bad end. */
  ends?: number | 'trap'
}

/** Counted by hand; every line of code says what it costs where that is not plain. */
const CASES: Record<string, Case> = {
  'straight line': { code: 'i32.const 1 i32.const 2 i32.add', fuel: 3n, ends: 3 },
  'structure is free': { code: 'nop block block end nop end loop end i32.const 1', fuel: 1n, ends: 1 },
  'locals cost by eight': { locals: Array(33).fill('i64').join(), code: 'i32.const 0', fuel: 1n + 4n },
  'if taken': { code: 'i32.const 1 if(:i32) i32.const 7 i32.const 0 i32.add else i32.const 9 end', fuel: 5n, ends: 7 },
  'if not taken': { code: 'i32.const 0 if(:i32) i32.const 7 i32.const 0 i32.add else i32.const 9 end', fuel: 3n, ends: 9 },
  'if without else': { code: 'i32.const 0 if i32.const 7 drop end i32.const 4', fuel: 3n, ends: 4 },
  'a loop of five rounds': {
    // 2 + 5 · 7 + 1
    locals: 'i32',
    code: 'i32.const 5 local.set 0 loop local.get 0 i32.const 1 i32.sub local.set 0 local.get 0 br_if 0 nop end local.get 0',
    fuel: 2n + 5n * 6n + 1n
  },
  'code after a branch that was taken': { code: 'block i32.const 1 br_if 0 i32.const 1 drop i32.const 1 drop end i32.const 3', fuel: 3n, ends: 3 },
  'code after a branch that was not': { code: 'block i32.const 0 br_if 0 i32.const 1 drop i32.const 1 drop end i32.const 3', fuel: 7n, ends: 3 },
  'dead code is free': { code: 'block i32.const 0 drop br 0 i32.const 1 drop block i32.const 1 drop end end i32.const 3 return i32.const 9 drop', fuel: 5n, ends: 3 },
  'return from inside': { code: 'block i32.const 3 return end i32.const 9', fuel: 2n, ends: 3 },
  'branch to the function': { code: 'block i32.const 3 br 1 end i32.const 9', fuel: 2n, ends: 3 },
  'br_table to the middle': {
    code: 'block block block i32.const 1 br_table[0,1,2] end i32.const 10 return end i32.const 11 return end i32.const 12', fuel: 4n, ends: 11
  },
  'br_table back and forth': {
    // Two rounds of three (0, 1) back to the loop by the table, then one out.
    locals: 'i32',
    code: `block loop local.get 0 local.get 0 i32.const 1 i32.add local.set 0
           i32.const 1 i32.gt_u br_table[0,1] end end local.get 0`,
    fuel: 3n * 8n + 1n,
    ends: 3
  },
  'a call and what follows': { before: [{ type: 'i32:i32', code: 'local.get 0 i32.const 1 i32.add' }], code: 'i32.const 4 call 0', fuel: 5n, ends: 5 },
  'code after a call that traps was charged before it': { before: [{ type: ':', code: 'unreachable' }], code: 'i32.const 4 call 0', fuel: 3n, ends: 'trap' },
  'code after a call that may throw was not': { tags: [':'], before: [{ type: ':', code: 'unreachable' }], code: 'call 0 i32.const 4', fuel: 8n + 1n, ends: 'trap' },
  'call_indirect': {
    before: [{ type: 'i32:i32', code: 'local.get 0 i32.const 1 i32.add' }],
    tables: [{ min: 1 }],
    elements: [{ offset: 0, functions: [0] }],
    code: 'i32.const 4 i32.const 0 call_indirect(i32:i32)',
    fuel: 6n + 8n + 8n, // an entry, an element
    ends: 5
  },
  'tail calls': {
    // Three rounds of five and one of three instructions.
    before: [{ type: 'i32:i32', code: 'local.get 0 i32.eqz if i32.const 8 return end local.get 0 i32.const 1 i32.sub return_call 0' }],
    code: 'i32.const 3 return_call 0',
    fuel: 2n + 3n * 7n + 5n,
    ends: 8
  },
  'tail call through a table': {
    before: [{ type: ':i32', code: 'i32.const 8' }],
    tables: [{ min: 16 }],
    elements: [{ offset: 3, functions: [0, 0] }],
    code: 'i32.const 4 return_call_indirect(:i32)',
    fuel: 2n + 1n + 16n * 8n + 2n * 8n,
    ends: 8
  },
  'a trap in the middle of a run': { code: 'unreachable i32.const 1', fuel: 1n, ends: 'trap' },
  'a run is charged whole': { code: 'i32.const 1 i32.const 0 i32.div_u i32.const 1 i32.add i32.const 2 i32.add', fuel: 7n, ends: 'trap' },
  'a closed block continues its run': {
    // The `if` holds a trap only, so the four instructions behind it belong to the run before it.
    code: 'i32.const 1 if unreachable end i32.const 1 i32.const 2 i32.add nop', fuel: 2n + 3n + 1n, ends: 'trap'
  },
  'a block that is left does not': {
    // Of the inner block the rest of the outer one is no part of its run, what follows the outer one is.
    code: 'block block i32.const 1 if unreachable end i32.const 1 br_if 1 end i32.const 7 drop end i32.const 2', fuel: 5n + 1n, ends: 'trap'
  },
  'memory out of bounds': { memory: { min: 1 }, code: 'i32.const 65536 i32.load', fuel: 2n + 1024n, ends: 'trap' },
  'memory.fill': { memory: { min: 1 }, code: 'i32.const 0 i32.const 1 i32.const 1007 memory.fill 0 i32.const 900 i32.load8_u', fuel: 5n + 16n + 125n + 1024n, ends: 1 },
  'memory.fill out of bounds still costs': { memory: { min: 0 }, code: 'i32.const 0 i32.const 1 i32.const 800 memory.fill 0 i32.const 9', fuel: 4n + 16n + 100n, ends: 'trap' },
  'memory.copy': { memory: { min: 1 }, code: 'i32.const 0 i32.const 1 i32.const 80 memory.copy 0 0 i32.const 9', fuel: 5n + 10n + 1024n, ends: 9 },
  'memory.init and data.drop': {
    memory: { min: 1 },
    data: [{ bytes: new Uint8Array(32).fill(5) }],
    code: 'i32.const 0 i32.const 0 i32.const 32 memory.init 0 0 data.drop 0 i32.const 31 i32.load8_u',
    fuel: 7n + 4n + 1024n + 4n,
    ends: 5
  },
  'active data': { memory: { min: 1 }, data: [{ offset: 0, bytes: new Uint8Array(16).fill(6) }], code: 'i32.const 3 i32.load8_u', fuel: 2n + 1024n + 2n, ends: 6 },
  'memory.grow': { memory: { min: 1 }, code: 'i32.const 2 memory.grow 0 memory.size 0 i32.add', fuel: 3n + 32n + 2048n + 1024n, ends: 4 },
  'memory.grow past the limit': { memory: { min: 1 }, code: `i32.const ${PAGES} memory.grow 0`, fuel: 1n + 32n + 1024n, ends: 0x7fff_ffff },
  'memory.grow by minus one': { memory: { min: 1 }, code: 'i32.const -1 memory.grow 0', fuel: 1n + 32n + 1024n, ends: 0x7fff_ffff },
  'memory.grow to the limit': { memory: { min: 1 }, code: `i32.const ${PAGES - 1} memory.grow 0`, fuel: 1n + 32n + 1024n * BigInt(PAGES), ends: 1 },
  'table.grow': { tables: [{ min: 0 }], code: 'ref.null:funcref i32.const 40 table.grow 0 table.size 0 i32.add', fuel: 4n + 32n + 40n * 8n, ends: 40 },
  'table.grow past its maximum': { tables: [{ min: 0, max: 30 }], code: 'ref.null:funcref i32.const 40 table.grow 0', fuel: 2n + 32n, ends: 0x7fff_ffff },
  'table.grow past the profile': { tables: [{ min: 0 }], code: 'ref.null:funcref i32.const 1048577 table.grow 0', fuel: 2n + 32n, ends: 0x7fff_ffff },
  'table.fill': { tables: [{ min: 8 }], code: 'i32.const 0 ref.null:funcref i32.const 8 table.fill 0 i32.const 0', fuel: 4n + 16n + 8n * 8n + 8n * 8n },
  'table.copy': { tables: [{ min: 8 }], code: 'i32.const 0 i32.const 1 i32.const 7 table.copy 0 0 i32.const 0', fuel: 4n + 16n + 7n * 8n + 8n * 8n },
  'table.init': {
    tables: [{ min: 8 }], elements: [{ functions: [0, 0, 0] }], code: 'i32.const 0 i32.const 0 i32.const 3 table.init 0 0 elem.drop 0 i32.const 0', fuel: 5n + 16n + 3n * 8n + 8n * 8n + 3n * 8n
  },
  'globals are paid for': { globals: ['mut i32 5', 'i64 1'], code: 'global.get 0', fuel: 1n + 2n, ends: 5 },
  'start function': { globals: ['mut i32 5'], before: [{ code: 'i32.const 9 global.set 0' }], start: 0, code: 'global.get 0', fuel: 3n + 1n, ends: 9 },
  'throw and catch in one function': {
    tags: ['i32:'],
    // What follows the throw belongs to no run; the landing begins a new one.
    code: 'block(:i32) try_table[catch:0:0] i32.const 5 throw 0 end i32.const 1 i32.const 2 i32.add end i32.const 1 i32.add',
    fuel: 1n + 32n + 2n,
    ends: 6
  },
  'throw across functions': {
    tags: ['i32:'],
    before: [{ code: 'i32.const 5 throw 0' }, { code: 'call 0 i32.const 1 drop' }],
    code: 'block(:i32) try_table[catch:0:0] i32.const 1 drop call 1 i32.const 1 drop end i32.const 1 return end i32.const 2 i32.add',
    fuel: 2n + 8n + 8n + 1n + 32n + 2n,
    ends: 7
  },
  'rethrow by reference': {
    tags: [':'],
    before: [{ code: 'throw 0' }, { code: 'block(:exnref) try_table[catch_all_ref:0] call 0 end unreachable end throw_ref' }],
    code: 'block try_table[catch_all:0] call 1 end i32.const 1 return end i32.const 2',
    fuel: 8n + 8n + 32n + 32n + 1n,
    ends: 2
  },
  'exceptions as a loop': {
    tags: [':'], locals: 'i32',
    code: `block loop
             local.get 0 i32.const 1 i32.add local.tee 0 i32.const 10 i32.eq br_if 1
             try_table[catch:0:0] throw 0 end
           end end local.get 0`,
    fuel: 10n * 7n + 9n * 32n + 1n,
    ends: 10
  },
  'uncaught exception': { tags: [':'], code: 'throw 0', fuel: 32n, ends: 'trap' },
  'active data out of bounds': { memory: { min: 1 }, data: [{ offset: 65530, bytes: new Uint8Array(16) }], code: 'i32.const 3', fuel: 1026n, ends: 'trap' },
  'a host call': { imports: [FUEL], code: 'i32.const 1 drop call 0 i32.const 4', fuel: 4n + 10n, ends: 4 },
  'a host call from a table': {
    imports: [FUEL], tables: [{ min: 1 }], elements: [{ offset: 0, functions: [0] }],
    code: 'i32.const 0 call_indirect(:) i32.const 4', fuel: 3n + 10n + 8n + 8n, ends: 4
  },
  'a host call by ref.func': {
    imports: [FUEL], tables: [{ min: 1 }], elements: [{ functions: [0] }],
    code: 'i32.const 0 ref.func 0 table.set 0 i32.const 0 call_indirect(:) i32.const 4', fuel: 5n + 8n + 10n + 8n + 8n, ends: 4
  },
  'a host call from a global': {
    imports: [FUEL], tables: [{ min: 1 }], globals: ['funcref ref.func 0'],
    code: 'i32.const 0 global.get 0 table.set 0 i32.const 0 call_indirect(:) i32.const 4', fuel: 5n + 8n + 10n + 8n + 1n, ends: 4
  },
  'a host call by return_call': { imports: [BURN], code: 'i64.const 9 return_call 0', fuel: 2n + 10n + 9n, ends: 1 },
  'a host call at the start': { imports: [FUEL], start: 0, code: 'i32.const 4', fuel: 1n + 10n, ends: 4 },
  'charged by the host': { imports: [BURN], code: 'i64.const 77 call 0', fuel: 2n + 10n + 77n, ends: 1 },
  'ended by the host': { imports: [EXIT], code: 'i32.const 6 call 0 i32.const 1 i32.const 1 i32.add', fuel: 2n + 10n, ends: 6 }
}

function parts ({ code, locals, before = [], fuel: _, ends: __, ...rest }: Case): Parts {
  const entry: Func = { type: ':i32', code, export: 'run', ...(locals === undefined ? {} : { locals }) }
  return { ...rest, functions: [...before, entry] }
}

// Goal: fuel is what the rules at the head of meter.ts say, to the unit, and a limit of exactly that
// suffices while one unit less never does.
// Method: small modules with a count made by hand; each is run with plenty, with F and with F − 1.
for (const [name, each] of Object.entries(CASES)) {
  test(`fuel of ${name}`, async () => {
    const module = parts(each)
    const plenty = await run(module)
    const ends = each.ends ?? 0
    assert.equal(plenty.outcome, ends === 'trap' ? 'trap' : 'ok', plenty.message)
    assert.equal(plenty.exitCode, ends === 'trap' ? null : ends)
    assert.equal(plenty.fuel, each.fuel)
    assert.deepEqual(await run(module, each.fuel), plenty)
    const short = await run(module, each.fuel - 1n)
    assert.equal(short.outcome, 'fuel')
    assert.equal(short.fuel, each.fuel - 1n)
    assert.equal(short.exitCode, null)
  })
}

function entry (code: string): Func { return { type: ':i32', code, export: 'run' } }

// Goal: fuel is exact where the host can look at it.
// Method: a host function that notes the fuel burnt, called between pieces of known cost.
test('the host sees what was executed, and nothing of what comes', async () => {
  seen.length = 0
  await run({
    imports: [FUEL],
    functions: [entry('i32.const 1 drop call 0 i32.const 1 if i32.const 1 drop end call 0 i32.const 1 if call 0 end i32.const 1 drop i32.const 0')]
  })
  assert.deepEqual(seen, [3n + 10n, 3n + 10n + 2n + 2n + 1n + 10n, 3n + 10n + 5n + 10n + 2n + 1n + 10n])
})

// Goal: no guest forges its fuel by naming what only the rewrite makes.
// Method: modules that are invalid as they are, yet would be valid behind the meter: they set the global
// or call the function whose index comes right behind their own.
test('a module that names what the meter adds is refused', async () => {
  const forged: Record<string, Parts> = {
    fuel: { functions: [entry('i64.const 1000000 global.set 0 i32.const 1')] },
    ended: { functions: [entry('i32.const 0 global.set 1 i32.const 1')] },
    wrapper: { imports: [EXIT], functions: [entry('i32.const 3 call 2 i32.const 1')] },
    burn: { functions: [entry('i64.const -1000 call 1 i32.const 1')] },
    memory: { functions: [entry('i32.const 0 i32.load')] }
  }
  for (const [name, each] of Object.entries(forged)) {
    await assert.rejects(run(each), { code: 'ERR_INVALID_MODULE' }, name)
  }
})

// Goal: a guest may export what names it likes.
// Method: export functions under the names the meter and the prefix use; each is callable as itself.
test('names of exports cannot collide', async () => {
  const functions = ['m:fuel', 'm:ended', 'm:start', 'g:run', 'run'].map((name, i) => ({ type: ':i32', code: `i32.const ${i}`, export: name }))
  const bytes = wasm({ functions })
  for (const [i, { export: name }] of functions.entries()) {
    const outcome = await engine.execute({ ...task(bytes), entry: name }, { payer: '' })
    assert.equal(outcome.exitCode, i)
  }
})

// Goal: what ends a guest cannot be survived.
// Method: catch everything around a host call that ends the guest, is out of fuel, or fails; directly,
// through a table and by a tail call. Code that went on would exit with 77.
const survivors = {
  direct: (call: string) => ({ functions: [entry(`block try_table[catch_all:0] ${call} call 0 drop_result end end i32.const 77`)] }),
  loop: (call: string) => ({ functions: [entry(`loop try_table[catch_all:0] ${call} call 0 drop_result end end i32.const 77`)] }),
  table: (call: string, type: string) => ({
    tables: [{ min: 1 }], elements: [{ offset: 0, functions: [0] }],
    functions: [entry(`block try_table[catch_all:0] ${call} i32.const 0 call_indirect(${type}) drop_result end end i32.const 77`)]
  }),
  tail: (call: string, type: string) => ({
    functions: [
      { type: `:${type.split(':')[1]}`, code: `${call} return_call 0` },
      entry('block try_table[catch_all:0] call 1 drop_result end end i32.const 77')
    ]
  })
}
for (const [way, make] of Object.entries(survivors)) {
  const build = (code: string, imported: typeof EXIT): Parts => {
    const parts: Parts = make(code, imported.type)
    for (const each of parts.functions!) each.code = each.code.replace('drop_result', imported.type.endsWith(':') ? '' : 'drop')
    return { imports: [imported], ...parts }
  }
  test(`no guest survives its end (${way})`, async () => {
    const exited = await run(build('i32.const 5', EXIT))
    assert.deepEqual([exited.outcome, exited.exitCode], ['ok', 5])
    const spent = await run(build('i64.const -1', BURN))
    assert.deepEqual([spent.outcome, spent.fuel], ['fuel', 1_000_000n])
    await assert.rejects(run(build('', { module: 'probe', name: 'fail', type: ':' })), { code: 'ERR_INTERNAL' })
  })
}

// Goal: endless recursion ends as `stack`, also for a guest that catches everything, also when the end
// of the stack comes inside of a host call.
// Method: recurse endlessly with a catch_all around each call.
test('the end of the stack cannot be caught', async () => {
  const caught = (code: string): Func => ({ code: `block try_table[catch_all:0] ${code} end end` })
  const plain = await run({ functions: [caught('call 0'), entry('call 0 i32.const 77')] }, 10n ** 12n)
  assert.equal(plain.outcome, 'stack')
  const hosted = await run({ imports: [FUEL], functions: [caught('call 0 call 1'), entry('call 1 i32.const 77')] }, 10n ** 12n)
  assert.equal(hosted.outcome, 'stack')
})

// Goal: a guest that never ends is ended by its fuel, which is then the limit.
// Method: endless loops of several kinds at two limits.
test('endless guests end at the limit', async () => {
  const endless: Record<string, Parts> = {
    loop: { functions: [entry('loop br 0 end unreachable')] },
    recursion: { functions: [{ type: ':i32', code: 'return_call 0', export: 'run' }] },
    fill: { memory: { min: PAGES }, functions: [entry('loop i32.const 0 i32.const 1 i32.const 655360 memory.fill 0 br 0 end unreachable')] },
    start: { functions: [{ code: 'loop br 0 end' }, entry('i32.const 1')], start: 0 },
    table: { functions: [entry('loop i32.const 0 br_table[0,0] end unreachable')] },
    exceptions: { tags: [':'], functions: [entry('loop try_table[catch_all:0] throw 0 end end unreachable')] },
    calls: { functions: [...Array.from({ length: 40 }, (_, i) => ({ code: i === 0 ? '' : `call ${i - 1} call ${i - 1}` })), entry('call 39 i32.const 1')] }
  }
  for (const [name, each] of Object.entries(endless)) {
    for (const fuelMax of [100_000n, 300_000n]) {
      const outcome = await run(each, fuelMax)
      assert.deepEqual([outcome.outcome, outcome.fuel, outcome.result.length], ['fuel', fuelMax, 0], name)
    }
  }
})

// Goal: growth fails by the limit alone, at exactly its page.
// Method: grow by one page until −1, then by four gigabytes; the exit code is the size at the end.
test('memory grows to the limit and no further', async () => {
  const code = 'block loop i32.const 1 memory.grow 0 i32.const -1 i32.eq br_if 1 br 0 end end i32.const 65536 memory.grow 0 drop memory.size 0'
  const sizes = [{ memory: { min: 1 }, pages: PAGES }, { memory: { min: 1, max: 4 }, pages: 4 }, { memory: { min: 0, max: 60_000 }, pages: PAGES }]
  for (const { memory, pages } of sizes) {
    const outcome = await run({ memory, functions: [entry(code)] })
    assert.deepEqual([outcome.outcome, outcome.exitCode, outcome.pages], ['ok', pages, pages])
  }
})
