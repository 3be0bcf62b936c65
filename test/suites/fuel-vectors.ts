/**
 * Runs by which an implementation of docs/fuel.md can be checked: module and limits, and how the run ends.
 * `node test/suites/fuel-vectors.ts > test/vectors/fuel.json` writes them anew, which nobody should need
 * while the profile stands.
 */
import { createHash } from 'node:crypto'
import { createEngine } from '../../src/wasm/engine.ts'
import { generateNans } from '../nan-generator.ts'
import { wasm } from '../wasm-builder.ts'
import type { Func, Parts } from '../wasm-builder.ts'
import { generate } from '../wasm-generator.ts'

export interface FuelVector {
  readonly name: string
  /** In base64. */
  readonly module: string
  readonly input: string
  readonly limits: { readonly fuelMax: string, readonly memoryPagesMax: number, readonly outputBytesMax: number }
  readonly outcome: string
  readonly exitCode: number | null
  readonly fuel: string
  readonly pages: number
  /** sha256 of the result, hex. */
  readonly result: string
  /** Whether the slow interpreter knows all its instructions. */
  readonly counted: boolean
}

interface Case { parts: Parts | Uint8Array, input?: string, fuelMax?: bigint, pages?: number, output?: number, counted?: boolean }

const READ = { module: 'inos', name: 'input_read', type: 'i32,i32,i32:i32' }
const SIZE = { module: 'inos', name: 'input_size', type: ':i32' }
const WRITE = { module: 'inos', name: 'output_write', type: 'i32,i32:i32' }
const LOG = { module: 'inos', name: 'log', type: 'i32,i32:' }
const entry = (code: string, locals = ''): Func => ({ type: ':i32', code, locals, export: 'run' })
const alone = (code: string, locals = ''): Parts => ({ functions: [entry(code, locals)] })
const memory = { min: 1 }
const recursion: Func = { type: 'i32:i32', code: 'local.get 0 i32.const 1 i32.add call 0' }
/** Store what code leaves, and write it out. */
const shown = (code: string, type: string): Parts => ({
  imports: [WRITE], memory, functions: [entry(`i32.const 0 ${code} ${type}.store i32.const 0 i32.const ${type === 'v128' ? 16 : 8} call 0 drop i32.const 0`)]
})

const CASES: Record<string, Case> = {
  'straight line': { parts: alone('i32.const 1 i32.const 2 i32.add') },
  'structure is free': { parts: alone('nop block block end nop end loop end i32.const 1') },
  '33 locals': { parts: alone('i32.const 0', Array(33).fill('i64').join()) },
  'a loop': { parts: alone('i32.const 5 local.set 0 loop local.get 0 i32.const 1 i32.sub local.tee 0 br_if 0 end local.get 0', 'i32') },
  'if and else': { parts: alone('i32.const 0 if(:i32) i32.const 7 else i32.const 9 i32.const 1 i32.add end') },
  'a closed block': { parts: alone('block i32.const 1 br_if 0 i32.const 1 drop end i32.const 3') },
  'a block that is not closed': { parts: alone('block block i32.const 1 br_if 1 i32.const 1 drop end i32.const 2 drop end i32.const 3') },
  'unreachable code': { parts: alone('block br 0 i32.const 1 drop block i32.const 1 drop end end i32.const 3 return i32.const 9 drop') },
  'a return in unreachable code closes nothing': { parts: alone('block block br 0 i32.const 1 return end end i32.const 3') },
  'a trap in the middle': { parts: alone('i32.const 1 i32.const 0 i32.div_s i32.const 1 i32.add') },
  'a call that traps': { parts: { functions: [{ code: 'unreachable' }, entry('call 0 i32.const 1')] } },
  'a call that may throw': { parts: { tags: [':'], functions: [{ code: 'unreachable' }, entry('call 0 i32.const 1')] } },
  'a call through a table': { parts: { tables: [{ min: 9 }], elements: [{ offset: 1, functions: [0] }], functions: [{ code: '' }, entry('i32.const 1 call_indirect(:) i32.const 1')] } },
  'exceptions': { parts: { tags: ['i32:'], functions: [{ code: 'i32.const 5 throw 0' }, entry('block(:i32) try_table[catch:0:0] call 0 end i32.const 1 end i32.const 2 i32.add')] } },
  'an uncaught exception': { parts: { tags: [':'], functions: [entry('throw 0')] } },
  'bulk memory': { parts: { memory, data: [{ bytes: new Uint8Array(30).fill(1) }], functions: [entry('i32.const 0 i32.const 7 i32.const 999 memory.fill 0 i32.const 9 i32.const 0 i32.const 31 memory.copy 0 0 i32.const 0 i32.const 0 i32.const 17 memory.init 0 0 i32.const 10 i32.load')] } },
  'bulk memory out of bounds': { parts: { memory, functions: [entry('i32.const 1 i32.const 7 i32.const 65536 memory.fill 0 i32.const 0')] } },
  'memory grows': { parts: { memory: { min: 1, max: 5 }, functions: [entry('i32.const 3 memory.grow 0 i32.const 2 memory.grow 0 i32.add')] } },
  'memory grows to the limit of the job': { parts: { memory, functions: [entry('i32.const 3 memory.grow 0 i32.const 1 memory.grow 0 i32.add')] }, pages: 4 },
  'a table grows': { parts: { tables: [{ min: 0, max: 30 }], functions: [entry('ref.null:funcref i32.const 20 table.grow 0 ref.null:funcref i32.const 20 table.grow 0 i32.add')] } },
  'a start function': { parts: { globals: ['mut i32 5'], start: 0, functions: [{ code: 'i32.const 9 global.set 0' }, entry('global.get 0')] } },
  'data that does not fit': { parts: { memory, data: [{ offset: 65530, bytes: new Uint8Array(16) }], functions: [entry('i32.const 1')] } },
  'endless': { parts: alone('loop br 0 end unreachable'), fuelMax: 12_345n },
  'fuel to the unit': { parts: alone('i32.const 1 i32.const 2 i32.add'), fuelMax: 3n },
  'one unit less': { parts: alone('i32.const 1 i32.const 2 i32.add'), fuelMax: 2n },
  'fuel before a trap': { parts: alone('unreachable'), fuelMax: 0n },
  'echo': {
    parts: { imports: [SIZE, READ, WRITE], memory, functions: [entry('i32.const 8 i32.const 0 call 0 call 1 local.set 0 i32.const 8 local.get 0 call 2 drop i32.const 0', 'i32')] },
    input: 'seven and a few more bytes'
  },
  'too much output': { parts: { imports: [WRITE], memory, functions: [entry('i32.const 0 i32.const 40 call 0 i32.const 0 i32.const 40 call 0 drop')] }, output: 64 },
  'a log, and a range outside': { parts: { imports: [LOG, WRITE], memory, functions: [entry('i32.const 0 i32.const 1000 call 0 i32.const 65530 i32.const 7 call 1')] } },
  'endless recursion': { parts: { functions: [recursion, entry('i32.const 0 call 0')] } },
  'endless recursion with many locals': { parts: { functions: [{ ...recursion, locals: Array(40).fill('f64').join() }, entry('i32.const 0 call 0')] } },
  'endless recursion through a table': { parts: { tables: [{ min: 1 }], elements: [{ offset: 0, functions: [0] }], functions: [{ code: 'i32.const 0 call_indirect(:)' }, entry('call 0 i32.const 0')] } },
  'endless recursion that catches everything': { parts: { tags: [':'], functions: [{ code: 'block try_table[catch_all:0] call 0 end end' }, entry('call 0 i32.const 0')] } },
  'endless tail calls': { parts: { functions: [{ code: 'return_call 0' }, entry('call 0 i32.const 0')] }, fuelMax: 1_000_000n },
  'a long chain': { parts: { functions: [...Array.from({ length: 90 }, (_, i) => ({ code: i === 0 ? '' : `call ${i - 1}` })), entry('call 89 i32.const 4')] } },
  'a NaN of f64': { parts: shown('f64.const 0 f64.const 0 f64.div', 'f64') },
  'minus a NaN of f32': { parts: shown('f32.const -1 f32.sqrt f32.neg', 'f32') },
  'a signalling NaN moved': { parts: shown('i64.const 9218868437227405569 f64.reinterpret_i64 f64.neg', 'f64') },
  'a signalling NaN added': { parts: shown('i64.const 9218868437227405569 f64.reinterpret_i64 f64.const 1 f64.add', 'f64') },
  'NaNs of f32x4': { parts: shown('i32.const -4194299 i32x4.splat v128.const 0 f32x4.add', 'v128'), counted: false },
  ...Object.fromEntries([1, 2, 3, 4, 5, 6, 7, 8].map(seed => [`random ${seed}`, { parts: generate(seed).wasm, pages: 3 }])),
  ...Object.fromEntries([1, 2, 3, 4].map(seed => [`random floats ${seed}`, { parts: generateNans(seed).wasm, counted: false }]))
}

export async function fuelVectors (): Promise<FuelVector[]> {
  const engine = createEngine()
  const vectors: FuelVector[] = []
  for (const [name, { parts, input = '', fuelMax = 10_000_000n, pages = 10, output = 1024, counted = true }] of Object.entries(CASES)) {
    const module = parts instanceof Uint8Array ? parts : wasm(parts)
    const outcome = await engine.execute({
      moduleId: name, wasm: module, input: Buffer.from(input), entry: '', args: [], env: {}, files: {}, outputs: [],
      limits: { fuelMax, memoryPagesMax: pages, outputBytesMax: output }, seed: new Uint8Array(32)
    }, { payer: '' })
    vectors.push({
      name, module: Buffer.from(module).toString('base64'), input, limits: { fuelMax: String(fuelMax), memoryPagesMax: pages, outputBytesMax: output },
      outcome: outcome.outcome, exitCode: outcome.exitCode, fuel: String(outcome.fuel), pages: outcome.pages,
      result: createHash('sha256').update(outcome.result).digest('hex'), counted
    })
  }
  return vectors
}

if (import.meta.main) process.stdout.write(`[\n${(await fuelVectors()).map(vector => JSON.stringify(vector)).join(',\n')}\n]\n`)
