/**
 * One module every way: as it is, metered, and with the plainest way of counting (`wasm-oracle.ts`).
 * Same ends, host calls, memory and globals; the fuel is the count; the same at every limit that
 * suffices, out of fuel one below it; and no host call once the fuel is spent.
 */
import { hash } from 'node:crypto'
import { callExactly } from '../suites/spec-bridge.ts'
import type { Module } from '../../src/wasm/decode.ts'
import { decode, KIND, SECTION } from '../../src/wasm/decode.ts'
import { Reader } from '../../src/wasm/binary.ts'
import { TYPE } from '../../src/wasm/opcodes.ts'
import { wasm as assemble } from '../wasm-builder.ts'
import { COUNT, expose, GLOBAL, MEMORY, oracle } from '../wasm-oracle.ts'
import { CAPS, Metered, rewrite } from '../metered.ts'
import type { Rewritten } from '../metered.ts'

/** Enough for whatever ends by itself; what does not is stopped here, and so never runs unmetered. */
const FUEL_MAX = 4_000_000n
const IMPORT_FUEL = 7
/** Modules that want more at the start are not run twice for nothing. */
const PAGES_MAX = 1_024
const CALLS_MAX = 24

export type Ending = 'ok' | 'trapped' | 'fuel' | 'stack' | 'left out'

export interface Report {
  readonly ending: Ending
  readonly steps: bigint
  /** What differs; empty if nothing. */
  readonly difference: string
}

interface Trial {
  readonly ends: string[]
  readonly log: string[]
  readonly state: string
}

interface World {
  readonly exports: Readonly<Record<string, WebAssembly.ExportValue>>
  /** Before each call from outside. */
  readonly prepare: () => void
  /** Why no further call is made. */
  readonly over: () => boolean
}

/** @param random gives arguments; the same for each world */
export function compare (bytes: Uint8Array<ArrayBuffer>, random: (seed: number) => Uint8Array, options: { nan: boolean }): Report {
  const module = decode(bytes, CAPS)
  const leftOut: Report = { ending: 'left out', steps: 0n, difference: '' }
  if (module.imports.some(each => each.kind !== KIND.func && each.kind !== KIND.global) || module.memories.some(memory => memory.min > PAGES_MAX)) return leftOut
  const exposed = expose(module)
  // An import that can be reached indirectly would cost what the oracle cannot see.
  const importFuel = module.references.length > 0 ? 0 : IMPORT_FUEL
  const rewritten = rewrite(exposed, module.imports.map(() => importFuel))
  const reference = oracle(exposed, { importFuel, nan: options.nan })
  return new Comparison(rewritten, exposed, reference, random, options.nan).report()
}

class Comparison {
  private readonly module: Module
  private readonly rewritten: Rewritten
  private readonly exposed: Uint8Array<ArrayBuffer>
  private readonly reference: Uint8Array<ArrayBuffer>
  private readonly random: (seed: number) => Uint8Array
  private readonly nan: boolean

  constructor (rewritten: Rewritten, exposed: Uint8Array<ArrayBuffer>, reference: Uint8Array<ArrayBuffer>, random: (seed: number) => Uint8Array, nan: boolean) {
    this.module = rewritten.original
    this.rewritten = rewritten
    this.exposed = exposed
    this.reference = reference
    this.random = random
    this.nan = nan
  }

  report (): Report {
    let all: ReturnType<Comparison['metered']>
    try {
      all = this.metered(FUEL_MAX)
    } catch (error) {
      if (!(error instanceof WebAssembly.RuntimeError)) throw error
      // Active segments trap, before anything runs, or it is no fault of the meter's.
      return { ending: 'left out', steps: 0n, difference: this.plainInstantiates() ? `metered does not instantiate: ${error.message}` : '' }
    }
    const end = (ending: Ending, difference: string): Report => ({ ending, steps: all.burnt, difference })
    if (all.late !== '') return end('fuel', all.late)
    if (all.stack) return end('stack', '')
    if (all.burnt > FUEL_MAX) return end('fuel', this.differsAt(FUEL_MAX, all.trial))
    if (all.ended > 1) return end('left out', '')
    const { trial } = all
    const counted = this.plain(this.reference)
    if (counted.ends.some(isOverflow)) return end('stack', '')
    const expected = this.nan ? counted.trial : this.plain(this.exposed).trial
    const ending = trial.ends.some(isTrap) ? 'trapped' : 'ok'
    const difference = differing(trial, expected) || (ending === 'ok' && all.burnt !== counted.count ? `fuel ${all.burnt}, counted ${counted.count}` : '') ||
      (all.burnt < counted.count ? `fuel ${all.burnt} below ${counted.count} counted` : '') || this.limits(all.burnt, trial)
    return end(ending, difference)
  }

  /** What differs at a limit that suffices, one unit below it, and at some others. */
  private limits (burnt: bigint, trial: Trial): string {
    const again = this.metered(burnt)
    if (again.burnt !== burnt) return `fuel ${again.burnt} at the limit ${burnt}`
    const difference = differing(again.trial, trial)
    if (difference !== '') return `at the limit of the fuel burnt: ${difference}`
    const [half, quarter] = [burnt / 2n, burnt / 4n]
    for (const limit of new Set([burnt - 1n, half, quarter])) {
      if (limit < 0n || limit >= burnt) continue
      const difference = this.differsAt(limit, trial)
      if (difference !== '') return difference
    }
    return ''
  }

  /** At a limit that does not suffice: it ends so, twice alike, and does no more than with more fuel. */
  private differsAt (limit: bigint, trial: Trial): string {
    const less = this.metered(limit)
    if (less.late !== '') return less.late
    if (less.burnt <= limit) return `burns ${less.burnt} at the limit ${limit}, which does not suffice`
    const { log } = less.trial
    if (log.some((line, i) => line !== trial.log[i])) return `other host calls at the limit ${limit}`
    const again = this.metered(limit)
    return again.trial.log.length === log.length && again.trial.ends.length === less.trial.ends.length ? '' : `differs from itself at the limit ${limit}`
  }

  private plainInstantiates (): boolean {
    try {
      new WebAssembly.Instance(new WebAssembly.Module(this.exposed), this.imports([], () => ''))
      return true
    } catch {
      return false
    }
  }

  private plain (wasm: Uint8Array<ArrayBuffer>): { trial: Trial, count: bigint, ends: string[] } {
    const log: string[] = []
    let exports: World['exports'] = {}
    const ends: string[] = []
    try {
      exports = new WebAssembly.Instance(new WebAssembly.Module(wasm), this.imports(log, () => '')).exports
    } catch (error) {
      ends.push(describe(error))
    }
    const trial = ends.length > 0 ? { ends, log, state: '' } : this.play({ exports, prepare: () => {}, over: () => false }, log)
    const count = exports[COUNT] as WebAssembly.Global<'i64'> | undefined
    return { trial, count: count?.value ?? 0n, ends: trial.ends }
  }

  private metered (fuel: bigint): { trial: Trial, burnt: bigint, ended: number, stack: boolean, late: string } {
    const log: string[] = []
    let late = ''
    // A host function looks at the counter: below zero it must not have been called.
    const imports = this.imports(log, () => {
      if (world.burnt > fuel) late = `host call ${log.length} at the limit ${fuel} though ${world.burnt} are burnt`
      return late
    })
    const world: Metered = new Metered(this.rewritten, imports, { fuel })
    const trial = this.play({ exports: world.exports, prepare: () => { world.arm() }, over: () => world.burnt > fuel || world.ended !== 0 }, log, () => world.start())
    return { trial, burnt: world.burnt, ended: world.ended, stack: trial.ends.some(isOverflow) || world.ended > 2, late }
  }

  /** Start function and all exported functions in order; what traps leaves its instance usable. */
  private play ({ exports, prepare, over }: World, log: string[], start?: () => void): Trial {
    const ends: string[] = []
    const attempt = (call: () => string): void => {
      try {
        prepare()
        ends.push(call())
      } catch (error) {
        ends.push(describe(error))
      }
    }
    if (start !== undefined && this.module.start !== undefined) {
      attempt(() => { start(); return '' })
      // Plain V8 makes no instance if the start function traps.
      if (ends[0] !== '') return { ends, log, state: '' }
      ends.pop()
    }
    this.module.exports.forEach(({ name, kind, index }, n) => {
      const type = kind === KIND.func ? this.module.types[this.module.functions[index]!]! : undefined
      if (type === undefined || n >= CALLS_MAX || over() || ends.some(isOverflow)) return
      const args = Array.from(type.params, (code, i) => isNumber(code) ? this.random(n * 64 + i).subarray(0, 16) : null)
      attempt(() => callExactly(exports[name]!, type, args).map(result => result instanceof Uint8Array ? Buffer.from(result).toString('hex') : kindOf(result.reference)).join(' '))
    })
    return { ends, log, state: over() ? '' : this.state(exports) }
  }

  private state (exports: World['exports']): string {
    const memory = exports[MEMORY] as WebAssembly.Memory | undefined
    const globals = Object.keys(exports).filter(name => name.startsWith(GLOBAL)).map(name => {
      try {
        const { value } = exports[name] as WebAssembly.Global
        return typeof value === 'number' ? Buffer.from(Float64Array.of(value).buffer).toString('hex') : typeof value === 'bigint' ? `${value}` : kindOf(value)
      } catch {
        return 'v128'
      }
    })
    const bytes = memory === undefined ? new Uint8Array(0) : new Uint8Array(memory.buffer)
    return `${bytes.length} ${hash('sha256', bytes)} ${globals.join(' ')}`
  }

  private imports (log: string[], look: () => string): WebAssembly.Imports {
    const imports: WebAssembly.Imports = Object.create(null)
    const globals = importedGlobals(this.module)
    for (const { module, name, kind, type } of this.module.imports) {
      if (kind === KIND.global) {
        imports[module] ??= Object.create(null) as WebAssembly.ModuleImports
        imports[module][name] = globals.shift()!
        continue
      }
      const { params, results } = this.module.types[type]!
      const functions = imports[module] ??= Object.create(null) as WebAssembly.ModuleImports
      // A function of JavaScript can have no vectors.
      if ([...params, ...results].includes(TYPE.v128)) functions[name] = vectors(params, results)
      else {
        functions[name] = (...args: unknown[]) => {
          look()
          log.push(`${name} ${args.map(arg => isReference(arg) ? kindOf(arg) : String(arg)).join(' ')}`)
          const given = Array.from(results, code => code === TYPE.i64 ? BigInt(log.length) : isNumber(code) ? log.length : null)
          return given.length > 1 ? given : given[0]
        }
      }
    }
    return imports
  }
}

const NAMES: Readonly<Record<number, string>> = {
  [TYPE.i32]: 'i32', [TYPE.i64]: 'i64', [TYPE.f32]: 'f32', [TYPE.f64]: 'f64', [TYPE.v128]: 'v128', [TYPE.funcref]: 'funcref', [TYPE.externref]: 'externref'
}

/** New globals as a module wants them imported. */
function importedGlobals ({ bytes, sections }: Module): WebAssembly.Global[] {
  const { start, end } = sections.get(SECTION.import) ?? { start: 0, end: 0 }
  const reader = new Reader(bytes, start, end)
  const found: WebAssembly.Global[] = []
  for (let left = reader.done ? 0 : reader.u32(); left > 0; left--) {
    reader.name()
    reader.name()
    if (reader.u8() === KIND.global) {
      const value = NAMES[reader.u8()] as WebAssembly.ValueType
      const descriptor = { value: value as string === 'funcref' ? 'anyfunc' as const : value, mutable: reader.u8() === 1 }
      found.push(value === 'i64' ? new WebAssembly.Global(descriptor, 5n) : value.endsWith('ref') ? new WebAssembly.Global(descriptor, null) : value === 'v128' ? new WebAssembly.Global(descriptor) : new WebAssembly.Global(descriptor, 5))
    } else reader.u32()
  }
  return found
}

function vectors (params: Uint8Array, results: Uint8Array): WebAssembly.ExportValue {
  const names = (codes: Uint8Array): string[] => Array.from(codes, code => NAMES[code] ?? 'i32')
  const code = names(results).map(name => name === 'v128' ? 'v128.const 0' : name.endsWith('ref') ? `ref.null:${name}` : `${name}.const 0`).join(' ')
  const bytes = assemble({ functions: [{ type: `${names(params)}:${names(results)}`, code, export: 'f' }] })
  return new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports['f']!
}

function isNumber (code: number): boolean { return code >= TYPE.v128 && code <= TYPE.i32 }
function isReference (value: unknown): boolean { return value === null || typeof value === 'object' || typeof value === 'function' }
function kindOf (reference: unknown): string { return reference === null ? 'null' : typeof reference }

function describe (error: unknown): string {
  return error instanceof WebAssembly.Exception ? 'threw' : String(error)
}

function isOverflow (end: string): boolean { return /call stack/.test(end) }
function isTrap (end: string): boolean { return /Error/.test(end) }

function differing (found: Trial, expected: Trial): string {
  for (const what of ['ends', 'log'] as const) {
    const at = found[what].findIndex((line, i) => line !== expected[what][i])
    if (at >= 0) return `${what} ${at}: ${found[what][at]} instead of ${expected[what][at]}`
    if (found[what].length !== expected[what].length) return `${found[what].length} ${what} instead of ${expected[what].length}`
  }
  return found.state === expected.state ? '' : `state ${found.state} instead of ${expected.state}`
}
