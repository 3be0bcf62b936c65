/**
 * A fixed list of guests, and how each ends: what `determinism.test.ts` compares between engines, compilers,
 * threads and stacks. Below the engine, so that entries can run as promises as well; web standards alone, so that
 * it runs in a browser as it does in Node. Where the files come from is left to who calls.
 */
import { LIMITS } from '../src/packet/limits.ts'
import { admit } from '../src/wasm/admit.ts'
import { STACK_BYTES } from '../src/wasm/call-stack.ts'
import { decode } from '../src/wasm/decode.ts'
import type { Module } from '../src/wasm/decode.ts'
import type { GuestContext, GuestSession } from '../src/wasm/guest/guest.ts'
import { wasi } from '../src/wasm/guest/wasi.ts'
import { GUEST_PREFIX, meter, METER_EXPORTS, METER_MEMORY, METER_MODULE } from '../src/wasm/meter.ts'
import { ENDED } from '../src/wasm/meter-parts.ts'
import { rangesOf } from '../src/wasm/ranges.ts'
import type { Run } from '../src/wasm/runtime.ts'
import { generateNans } from './nan-generator.ts'
import { wasm } from './wasm-builder.ts'
import type { Func, Parts } from './wasm-builder.ts'
import { generate } from './wasm-generator.ts'

/** Bytes of the modules that are not made here: kernels by name, and the two programs. */
export interface GuestFiles {
  readonly kernels: Readonly<Record<string, Uint8Array<ArrayBuffer>>>
  readonly python: Uint8Array<ArrayBuffer>
  readonly esbuild: Uint8Array<ArrayBuffer>
}
/** How each guest ended, by its name. */
export type Endings = Record<string, string>

const PAGES = 4_096
/** JSPI, which TypeScript's types do not know yet. */
const { promising } = WebAssembly as typeof WebAssembly & { promising (call: () => unknown): () => Promise<unknown> }

interface Job { name: string, wasm: Uint8Array<ArrayBuffer>, args?: string[], input?: string, fuelMax?: bigint }

const entry = (code: string): Func => ({ type: ':i32', code, export: 'run' })
const RECURSIONS: Record<string, Parts> = {
  plain: { functions: [{ code: 'call 0' }, entry('call 0 i32.const 0')] },
  'with many locals': { functions: [{ locals: Array(100).fill('i64').join(), code: 'call 0' }, entry('call 0 i32.const 0')] },
  'with many vectors': {
    functions: [{ type: `${Array(20).fill('v128').join()}:`, code: `${Array.from({ length: 20 }, (_, i) => `local.get ${i}`).join(' ')} call 0` }, entry(`${'v128.const 1 '.repeat(20)} call 0 i32.const 0`)]
  },
  'with many operands': { functions: [{ type: ':i32', code: `${'global.get 0 '.repeat(60)} call 0 ${'i32.add '.repeat(60)}` }, entry('call 0')], globals: ['mut i32 1'] },
  'with many results': { functions: [{ type: `:${Array(16).fill('i64').join()}`, code: 'call 0' }, entry(`call 0 ${'drop '.repeat(16)} i32.const 0`)] },
  'through a table': { functions: [{ code: 'i32.const 0 call_indirect(:)' }, entry('call 0 i32.const 0')], tables: [{ min: 1 }], elements: [{ offset: 0, functions: [0] }] },
  'that catches': { tags: [':'], functions: [{ code: 'block try_table[catch_all:0] call 0 end end' }, entry('call 0 i32.const 0')] },
  'of several': { functions: [{ locals: 'f64 f64', code: 'call 1' }, { type: ':', code: 'call 2 call 2' }, { locals: Array(30).fill('i32').join(), code: 'call 0 call 1' }, entry('call 0 i32.const 0')] },
  'that remembers much': { functions: [remembering(15), entry('i32.const 3 call 0')] }
}

/** Computes much before a call that it needs behind it: the optimising compiler keeps it all. */
function remembering (count: number): Func {
  const sums = Array.from({ length: count }, (_, i) => `local.get 0 i32.const ${i * 7 + 3} i32.rotl i32.xor`).join(' ')
  return { type: 'i32:i32', code: `i32.const 0 ${sums} local.get 0 i32.xor call 0 ${sums}` }
}

function jobs ({ kernels, python, esbuild }: GuestFiles): Job[] {
  const deep = 'import sys\nsys.setrecursionlimit(10**6)\nclass A:\n  def __repr__(self): return repr(self)\nrepr(A())'
  const floats = 'import math, struct\nn = float("inf") - float("inf")\nprint(struct.pack("<d", n).hex(), struct.pack("<d", -n).hex(), math.sqrt(2), hash("a"))'
  return [
    ...Object.entries(kernels).map(([name, wasm]) => ({ name, wasm })),
    ...Object.entries(RECURSIONS).map(([name, parts]) => ({ name: `recursion ${name}`, wasm: wasm(parts) })),
    ...Array.from({ length: 60 }, (_, seed) => ({ name: `random ${seed}`, wasm: generate(seed, { vectors: true }).wasm })),
    ...Array.from({ length: 60 }, (_, seed) => ({ name: `floats ${seed}`, wasm: generateNans(seed).wasm })),
    { name: 'python', wasm: python, args: ['-c', floats] },
    { name: 'python recursion', wasm: python, args: ['-c', deep] },
    { name: 'python out of fuel', wasm: python, args: ['-c', 'while True: pass'], fuelMax: 400_000_000n },
    { name: 'esbuild', wasm: esbuild, args: ['--minify', '--loader=ts'], input: 'export const x: number = 0.1 + 0.2' }
  ]
}

const compiled = new Map<Uint8Array, { original: Module, module: WebAssembly.Module, initFuel: bigint }>()

async function prepare (bytes: Uint8Array<ArrayBuffer>): Promise<{ original: Module, module: WebAssembly.Module, initFuel: bigint }> {
  let known = compiled.get(bytes)
  if (known !== undefined) return known
  const original = decode(bytes, LIMITS.module)
  const { graph } = admit(original, LIMITS.module)
  const prices = original.imports.map(({ name }) => wasi.functions[name]!.fuel)
  const { wasm, initFuel } = meter(original, graph, prices, LIMITS.module)
  // The thread of a page may not compile large modules while it waits.
  known = { original, module: await WebAssembly.compile(wasm), initFuel }
  compiled.set(bytes, known)
  return known
}

async function run (job: Job, promise: boolean): Promise<string> {
  const { original, module, initFuel } = await prepare(job.wasm)
  const fuelMax = job.fuelMax ?? 10n ** 11n
  const [{ min, max } = { min: 0, max: undefined }] = original.memories
  const maximum = Math.min(max ?? PAGES, PAGES)
  const memory = new WebAssembly.Memory({ initial: min, maximum })
  let exports: WebAssembly.Exports = {}
  const global = (name: string): { value: bigint | number } => exports[name] as WebAssembly.Global
  let exitCode: number | undefined
  const task: Run = {
    moduleId: '', wasm: job.wasm, input: new TextEncoder().encode(job.input ?? ''), entry: '', args: job.args ?? [], env: {}, files: {}, outputs: [], seed: new Uint8Array(32),
    limits: { fuelMax, memoryPagesMax: PAGES, outputBytesMax: 1 << 20 }
  }
  const context: GuestContext = {
    run: task,
    input: rangesOf(task.input),
    stdoutIsTalk: false,
    memory: () => new Uint8Array(memory.buffer),
    fuelUsed: () => fuelMax - (global(METER_EXPORTS.fuel).value as bigint),
    charge: units => {
      const left = global(METER_EXPORTS.fuel).value as bigint
      global(METER_EXPORTS.fuel).value = left - units
      return left >= units
    },
    end: ending => {
      exitCode ??= ending.kind === 'exit' ? ending.exitCode : -1
      global(METER_EXPORTS.ended).value = ENDED.byHost
    }
  }
  const session: GuestSession = wasi.open(context)
  const imports = { [wasi.name]: session.functions as WebAssembly.ModuleImports, [METER_MODULE]: { [METER_MEMORY]: memory } }
  exports = (await WebAssembly.instantiate(module, imports)).exports
  global(METER_EXPORTS.fuel).value = fuelMax - initFuel
  global(METER_EXPORTS.pages).value = maximum
  global(METER_EXPORTS.stack).value = STACK_BYTES
  const found = (exports[`${GUEST_PREFIX}_start`] ?? exports[`${GUEST_PREFIX}run`]) as () => unknown
  let ends: string
  try {
    ends = `returned ${promise ? await promising(found)() : found()}`
  } catch (error) {
    // V8's own words are its own affair, but its end of the stack must never come.
    if (error instanceof RangeError) ends = error.message
    else if (exitCode !== undefined) ends = `exited ${exitCode}`
    else if (global(METER_EXPORTS.ended).value === ENDED.stackSpent) ends = 'stack'
    else ends = error instanceof WebAssembly.RuntimeError ? 'trap' : 'exception'
  }
  const left = global(METER_EXPORTS.fuel).value as bigint
  if (left < 0n) ends = 'fuel'
  const { result } = session.finish()
  // Out of fuel the memory is that of wherever the engine looked; everything else is compared.
  const hash = `${ends === 'fuel' ? '' : await sha256(memory.buffer)} ${await sha256(new Uint8Array(result))}`
  return `${ends}, ${left < 0n ? fuelMax : fuelMax - left} fuel, ${memory.buffer.byteLength / 65_536} pages, ${hash}`
}

/** The first half of the digest, in hex. */
async function sha256 (bytes: BufferSource): Promise<string> {
  const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
  return Array.from(digest.subarray(0, 8), byte => byte.toString(16).padStart(2, '0')).join('')
}

/** @param promise whether entries run on stacks of promises (JSPI) */
export async function runGuests (files: GuestFiles, promise: boolean): Promise<Endings> {
  const found: Endings = {}
  // Twice where it is cheap: the second time the optimising compiler may have been at it.
  for (const job of jobs(files)) {
    const first = await run(job, promise)
    const again = job.wasm.length > 100_000 ? first : await run(job, promise)
    found[job.name] = first === again ? first : `first ${first}, then ${again}`
  }
  return found
}
