/**
 * Random modules, original against metered: what `differential.ts` compares, on modules from four
 * sources: our own generator, which knows every kind of control flow; binaryen's, which knows every
 * instruction; both of these and real modules with some bytes changed.
 *
 *   npm run fuzz:engine -- --seconds N --seed S [--cases N] [--only SOURCE] [--large]
 *
 * Case n of a seed is the same everywhere. A module that differs is kept in .test-report/. The last
 * line on stdout is one JSON object; any difference makes this exit with 1.
 */
import { createHash } from 'node:crypto'
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { InosError } from '../../src/packet/errors.ts'
import { decode } from '../../src/wasm/decode.ts'
import { NAMES } from '../../src/wasm/opcodes.ts'
import { CAPS, NAN_RULE, rewrite } from '../metered.ts'
import { generate } from '../wasm-generator.ts'
import { operatorsOf } from '../wasm-walk.ts'
import { BinaryenModules } from './binaryen-modules.ts'
import { compare } from './differential.ts'
import type { Ending } from './differential.ts'
import { kernels, largePrograms } from './real-modules.ts'
import type { RealModule } from './real-modules.ts'

const FOLDER = join(import.meta.dirname, '..', '..', '.test-report')
/** Of so many cases one each comes from binaryen, from mutation and so on; the rest from our generator. */
const SOURCES = ['own', 'binaryen', 'own mutated', 'binaryen', 'kernel mutated', 'own'] as const
type Source = typeof SOURCES[number]
/** One in so many cases is a large program with a byte changed: only rewritten, and not run. */
const LARGE_EVERY = 2_000

const VECTORS = { vectors: true }

/** Bytes without end from a name. */
function bytesFrom (name: string, length: number): Uint8Array {
  const out = new Uint8Array(length)
  for (let at = 0; at < length; at += 32) out.set(createHash('sha256').update(`${name}/${at}`).digest().subarray(0, Math.min(32, length - at)), at)
  return out
}

/** A number below `n`. */
function below (n: number, name: string): number { return Buffer.from(bytesFrom(name, 6)).readUIntBE(0, 6) % n }

/** A few bytes changed, most of them in code. */
function mutate (bytes: Uint8Array<ArrayBuffer>, name: string): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(bytes)
  const { bodies } = decode(bytes, CAPS)
  const count = 1 + below(3, `${name}/count`)
  for (let k = 0; k < count; k++) {
    const inCode = bodies.length > 0 && below(10, `${name}/${k}/where`) > 0
    const [from, to] = inCode ? [bodies[0]!, bodies.at(-1)!] : [8, out.length]
    const at = from + below(to - from, `${name}/${k}/at`)
    const value = below(256, `${name}/${k}/value`)
    out[at] = below(2, `${name}/${k}/kind`) === 0 ? value : out[at]! ^ (1 << (value & 7))
  }
  return out
}

class Tally {
  ran = 0
  refused = 0
  readonly sources: Record<string, number> = {}
  readonly endings: Record<Ending, number> = { ok: 0, trapped: 0, fuel: 0, stack: 0, 'left out': 0 }
  readonly operators = new Set<string>()
  readonly steps: bigint[] = []
  readonly differences: string[] = []

  differ (name: string, bytes: Uint8Array, difference: string): void {
    mkdirSync(FOLDER, { recursive: true })
    const file = join(FOLDER, `fuzz-${name.replace(/\W+/g, '-')}.wasm`)
    writeFileSync(file, bytes)
    this.differences.push(`${name}: ${difference.slice(0, 500)}`)
    console.error(`${name}: ${difference.slice(0, 500)} (kept in ${file})`)
  }

  /** Compare, or see that a module is refused as modules are. */
  try (source: string, name: string, bytes: Uint8Array<ArrayBuffer>): void {
    try {
      const { ending, steps, difference } = compare(bytes, n => bytesFrom(`${name}/argument/${n}`, 16), { nan: NAN_RULE })
      if (difference !== '') this.differ(name, bytes, difference)
      this.endings[ending]++
      if (ending === 'left out') return
      this.ran++
      this.sources[source] = (this.sources[source] ?? 0) + 1
      this.steps.push(steps)
      for (const operator of operatorsOf(decode(bytes, CAPS))) this.operators.add(operator)
    } catch (error) {
      const refused = error instanceof InosError && error.code === 'ERR_INVALID_MODULE'
      // binaryen writes instructions on references that are newer than the profile.
      if (refused && (source.endsWith('mutated') || / is not in the profile/.test(error.message))) this.refused++
      else this.differ(name, bytes, error instanceof Error ? `${error.stack}` : String(error))
    }
  }

  report (): Record<string, unknown> {
    const { ran, refused, sources, endings, operators, steps, differences } = this
    const share = (ending: Ending): number => Number((endings[ending] / Math.max(1, ran)).toFixed(4))
    const all = NAMES.filter(Boolean)
    const missing = all.filter(name => !operators.has(name))
    return {
      ran, refused, leftOut: endings['left out'], sources,
      differences: differences.length,
      // With no difference in n runs, the rate of differing modules is below 3/n with 95 % confidence.
      rateBound95: differences.length === 0 && ran > 0 ? 3 / ran : null,
      trapping: share('trapped'), outOfFuel: share('fuel'), stack: share('stack'),
      stepsMedian: Number(steps.sort((a, b) => a < b ? -1 : 1)[Math.floor(steps.length / 2)] ?? 0n),
      operators: operators.size, operatorsOf: all.length,
      ...(missing.length <= 64 ? { missing } : {})
    }
  }
}

interface Options { seconds: number, seed: number, cases: number, only: string | undefined, large: boolean }

async function fuzz ({ seconds, seed, cases, only, large }: Options): Promise<Tally> {
  const tally = new Tally()
  using binaryen = new BinaryenModules()
  const real = only === undefined || only.startsWith('kernel') ? await kernels() : []
  const programs = large ? largePrograms() : []
  const end = performance.now() + seconds * 1000
  for (let n = 0; n < cases && performance.now() < end && tally.differences.length < 20; n++) {
    const source = SOURCES[n % SOURCES.length]!
    if (only !== undefined && only !== source) continue
    const name = `${seed}/${n}/${source}`
    // Where the rule stands, NaNs may be seen in every second module.
    const nan = NAN_RULE && n % 4 < 2
    tally.try(source, name, await moduleOf(source, seed, n, name, binaryen, real, nan))
    if (programs.length > 0 && n % LARGE_EVERY === LARGE_EVERY - 1) refuseOrRewrite(tally, programs[below(programs.length, name)]!, name)
    // Timers and finalisers get their turn.
    if (n % 64 === 0) await new Promise(resolve => { setImmediate(resolve) })
  }
  return tally
}

async function moduleOf (source: Source, seed: number, n: number, name: string, binaryen: BinaryenModules, real: readonly RealModule[], nan: boolean): Promise<Uint8Array<ArrayBuffer>> {
  switch (source) {
    case 'own': return generate(below(2 ** 31, `${seed}/${n}`), VECTORS).wasm
    case 'binaryen': return binaryen.make(bytesFrom(name, 200 + below(3_000, `${name}/length`)), !nan)
    case 'own mutated': return mutate(generate(below(2 ** 31, `${seed}/${n}`), VECTORS).wasm, name)
    case 'kernel mutated': return mutate(real[below(real.length, `${name}/kernel`)]!.bytes, name)
  }
}

/** A large program with some bytes changed is refused in the engine's words, or what the meter makes of it is valid. */
function refuseOrRewrite (tally: Tally, { name: program, bytes }: RealModule, name: string): void {
  const mutated = mutate(bytes, `${name}/large`)
  try {
    const { wasm } = rewrite(mutated)
    if (!WebAssembly.validate(wasm)) tally.differ(`${name} ${program}`, mutated, 'metered it is not valid')
    tally.sources['large mutated'] = (tally.sources['large mutated'] ?? 0) + 1
  } catch (error) {
    if (error instanceof InosError) tally.refused++
    else tally.differ(`${name} ${program}`, mutated, String(error))
  }
}

const { values } = parseArgs({
  options: {
    seconds: { type: 'string', default: '20' }, seed: { type: 'string', default: '1' }, cases: { type: 'string', default: 'Infinity' },
    only: { type: 'string' }, large: { type: 'boolean', default: false }
  }
})
const [seconds, seed, cases] = [Number(values.seconds), Number(values.seed), Number(values.cases)]
const tally = await fuzz({ seconds, seed, cases, only: values.only, large: values.large })
const ok = tally.differences.length === 0 && tally.ran > 0
console.log(JSON.stringify({ ok, seconds, seed, nanRule: NAN_RULE, ...tally.report() }))
process.exitCode = ok ? 0 : 1
