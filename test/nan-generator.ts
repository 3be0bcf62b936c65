/**
 * For tests: random modules full of floats and NaNs of all kinds, from a seed, and with them the same
 * module following the NaN rule one instruction at a time: an oracle that shares nothing with the meter.
 */
import { wasm } from './wasm-builder.ts'
import type { Func } from './wasm-builder.ts'

type Type = 'i32' | 'i64' | 'f32' | 'f64' | 'v128'

const PARAMS: readonly Type[] = ['f32', 'f64', 'v128']
const LOCALS: readonly Type[] = ['f32', 'f32', 'f64', 'f64', 'v128', 'v128', 'i32']
const ALL: readonly Type[] = [...PARAMS, ...LOCALS]
/** The last local counts rounds; those behind it are the oracle's. */
const ROUNDS = ALL.length - 1
const SCRATCH: Readonly<Record<string, number>> = { f32: ALL.length, f64: ALL.length + 1, f32x4: ALL.length + 2, f64x2: ALL.length + 2 }
const RESULTS: readonly Type[] = ['f32', 'f64', 'v128']
const GLOBALS: Readonly<Partial<Record<Type, number>>> = { f32: 0, f64: 1, v128: 2 }

const UNARY = ['ceil', 'floor', 'trunc', 'nearest', 'sqrt', 'neg', 'abs']
const BINARY = ['add', 'sub', 'mul', 'div', 'min', 'max', 'add', 'sub', 'mul']
const COMPARES = ['eq', 'ne', 'lt', 'gt', 'le', 'ge']
const ARITHMETIC = /^(f32|f64|f32x4|f64x2)\.(add|sub|mul|div|min|max|ceil|floor|trunc|nearest|sqrt|demote_\w+|promote_\w+)$/
const CANONICAL: Readonly<Record<string, string>> = {
  f32: 'i32.const 2143289344 f32.reinterpret_i32',
  f64: 'i64.const 9221120237041090560 f64.reinterpret_i64',
  f32x4: 'i32.const 2143289344 i32x4.splat',
  f64x2: 'i64.const 9221120237041090560 i64x2.splat'
}
/** Bits of zeros, infinities, numbers and NaNs, quiet and signalling, of both signs. */
const BITS_32 = ['0', '1065353216', '-1082130432', '2139095040', '-8388608', '2143289344', '-4194304', '2139095041', '2143294004', '-4189644', '-8388607', '1']
const BITS_64 = ['0', '4607182418800017408', '-4616189618054758400', '9218868437227405312', '-4503599627370496', '9221120237041090560', '-2251799813685248', '9218868437227405313', '9221120237041095220', '-2251799813680588', '-4503599627370495', '1']

class Generator {
  private state: number
  private words: string[] = []
  /** Functions that may be called. */
  private callable = 0

  constructor (seed: number) { this.state = seed }

  /** Mulberry32: a number below `n`. */
  private below (n: number): number {
    this.state = this.state + 0x6d2b79f5 | 0
    let t = Math.imul(this.state ^ this.state >>> 15, 1 | this.state)
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t
    return ((t ^ t >>> 14) >>> 0) % n
  }

  private pick<T> (items: readonly T[]): T { return items[this.below(items.length)]! }
  private emit (text: string): void { this.words.push(...text.split(' ')) }

  function (callable: number): string[] {
    this.callable = callable
    this.words = []
    for (let i = 8 + this.below(8); i > 0; i--) this.statement(4)
    this.value('f64', 3)
    return this.words
  }

  private local (type: Type): number {
    const all = ALL.flatMap((each, i) => each === type && i !== ROUNDS ? [i] : [])
    return this.pick(all)
  }

  private leaf (type: Type): void {
    const kind = this.below(4)
    if (type === 'i32') this.emit(`i32.const ${this.below(3)}`)
    else if (type === 'i64') this.emit(`i64.const ${this.below(3)}`)
    else if (kind === 0 && type === 'v128') this.emit(this.below(2) === 0 ? `i32.const ${this.pick(BITS_32)} i32x4.splat` : `v128.const ${this.below(5)}`)
    else if (kind === 0) this.emit(type === 'f32' ? `i32.const ${this.pick(BITS_32)} f32.reinterpret_i32` : `i64.const ${this.pick(BITS_64)} f64.reinterpret_i64`)
    else if (kind === 1) this.emit(`i32.const ${this.below(64)} ${type}.load`)
    else this.emit(this.below(6) === 0 ? `global.get ${GLOBALS[type]}` : `local.get ${this.local(type)}`)
  }

  /** Push one value. */
  value (type: Type, depth: number): void {
    const d = depth - 1
    if (depth <= 0) {
      this.leaf(type)
      return
    }
    const more: Array<() => void> = [
      () => this.leaf(type),
      () => { this.value(type, d); this.value(type, d); this.value('i32', d); this.emit('select') },
      () => { this.value(type, d); this.value(type, d); this.value('i32', d); this.emit(`select_t(:${type})`) },
      () => { this.emit(`block(:${type})`); this.statement(d); this.value(type, d); this.value('i32', d); this.emit('br_if 0'); this.emit('end') },
      () => { this.value('i32', d); this.emit(`if(:${type})`); this.value(type, d); this.emit('else'); this.value(type, d); this.emit('end') }
    ]
    if (type === 'i32') more.push(...this.integers(d))
    else if (type === 'i64') more.push(() => { this.value('f64', d); this.emit('i64.reinterpret_f64') })
    else if (type === 'v128') more.push(...this.vectors(d), ...this.vectors(d))
    else more.push(...this.scalars(type, d), ...this.scalars(type, d))
    if (type in GLOBALS) more.push(() => { this.value(type, d); this.emit(`local.tee ${this.local(type)}`) })
    if (type === 'f64' && this.callable > 0) {
      more.push(() => { for (const param of PARAMS) this.value(param, d); this.emit(`call ${this.below(this.callable)}`) })
    }
    this.pick(more)()
  }

  private scalars (type: 'f32' | 'f64', d: number): Array<() => void> {
    const other = type === 'f32' ? 'f64' : 'f32'
    const shape = type === 'f32' ? 'f32x4' : 'f64x2'
    return [
      () => { this.value(type, d); this.value(type, d); this.emit(`${type}.${this.pick(BINARY)}`) },
      () => { this.value(type, d); this.value(type, d); this.emit(`${type}.${this.pick(BINARY)}`) },
      () => { this.value(type, d); this.emit(`${type}.${this.pick(UNARY)}`) },
      () => { this.value(type, d); this.value(type, d); this.emit(`${type}.copysign`) },
      () => { this.value(other, d); this.emit(type === 'f32' ? 'f32.demote_f64' : 'f64.promote_f32') },
      () => { this.value('i32', d); this.emit(`${type}.convert_i32_s`) },
      () => { this.value('v128', d); this.emit(`${shape}.extract_lane ${this.below(2)}`) }
    ]
  }

  private vectors (d: number): Array<() => void> {
    const shape = this.pick(['f32x4', 'f64x2'] as const)
    const lane = shape === 'f32x4' ? 'f32' : 'f64'
    return [
      () => { this.value('v128', d); this.value('v128', d); this.emit(`${shape}.${this.pick([...BINARY, 'pmin', 'pmax'])}`) },
      () => { this.value('v128', d); this.emit(`${shape}.${this.pick(UNARY)}`) },
      () => { this.value('v128', d); this.value('v128', d); this.emit(`${this.pick(['i8x16', 'i32x4', 'i64x2'])}.${this.pick(['add', 'sub'])}`) },
      () => { this.value('v128', d); this.value('v128', d); this.emit(`v128.${this.pick(['and', 'or', 'xor'])}`) },
      () => { this.value('v128', d); this.value('v128', d); this.emit(`${shape}.${this.pick(COMPARES)}`) },
      () => { this.value(lane, d); this.emit(`${shape}.splat`) },
      () => { this.value('v128', d); this.value(lane, d); this.emit(`${shape}.replace_lane ${this.below(2)}`) },
      () => { this.value('v128', d); this.emit(this.pick(['f32x4.demote_f64x2_zero', 'f64x2.promote_low_f32x4', 'f32x4.convert_i32x4_s', 'f64x2.convert_low_i32x4_u', 'i32x4.trunc_sat_f32x4_s'])) }
    ]
  }

  private integers (d: number): Array<() => void> {
    const type = this.pick(['f32', 'f64'] as const)
    return [
      () => { this.value(type, d); this.value(type, d); this.emit(`${type}.${this.pick(COMPARES)}`) },
      () => { this.value('f32', d); this.emit('i32.reinterpret_f32 i32.const 1 i32.shr_u i32.const 15 i32.and') },
      () => { this.value(type, d); this.emit(`i32.trunc_sat_${type}_s`) },
      () => { this.value('v128', d); this.emit('i32x4.bitmask') }
    ]
  }

  private statement (depth: number): void {
    const d = depth - 1
    if (depth <= 0) return
    const type = this.pick(RESULTS)
    this.pick<() => void>([
      () => { this.value(type, d); this.emit(`local.set ${this.local(type)}`) },
      () => { this.value(type, d); this.emit(`local.set ${this.local(type)}`) },
      () => { this.emit(`i32.const ${this.below(60)}`); this.value(type, d); this.emit(`${type}.store`) },
      () => { this.value(type, d); this.emit(`global.set ${GLOBALS[type]}`) },
      () => { this.value(type, d); this.emit('drop') },
      () => { this.value('i32', d); this.emit('if'); this.statement(d); this.emit('else'); this.statement(d); this.emit('end') },
      () => {
        this.emit(`i32.const 3 local.set ${ROUNDS} loop`)
        this.statement(d)
        this.statement(d)
        this.emit(`local.get ${ROUNDS} i32.const 1 i32.sub local.tee ${ROUNDS} i32.const 0 i32.gt_s br_if 0 end`)
      },
      () => { this.emit('block'); this.statement(d); this.value('i32', d); this.emit('br_if 0'); this.statement(d); this.emit('end') },
      () => { this.value('i32', d); this.emit('if'); this.value('f64', d); this.emit('return end') }
    ])()
  }
}

/** The rule to the letter: behind each arithmetic instruction its NaNs are made canonical. */
function canonical (words: readonly string[]): string {
  return words.map(word => {
    const shape = ARITHMETIC.exec(word)?.[1]
    if (shape === undefined) return word
    const [local, nan] = [SCRATCH[shape]!, CANONICAL[shape]!]
    return `${word} local.tee ${local} ${nan} local.get ${local} local.get ${local} ${shape}.eq ${shape.includes('x') ? 'v128.bitselect' : 'select'}`
  }).join(' ')
}

export interface NanSample {
  wasm: Uint8Array<ArrayBuffer>
  /** The same, following the rule by itself. */
  canonical: Uint8Array<ArrayBuffer>
}

export function generateNans (seed: number): NanSample {
  const generator = new Generator(seed)
  const bodies = [0, 1, 2].map(callable => generator.function(callable))
  const data = new Uint8Array(80)
  const view = new DataView(data.buffer)
  BITS_32.forEach((bits, i) => { view.setInt32(i * 4, Number(bits), true) })
  for (let i = 6; i < 10; i++) view.setBigInt64(i * 8, BigInt(BITS_64[i]!), true)
  const build = (code: (words: readonly string[]) => string): Uint8Array<ArrayBuffer> => {
    const functions: Func[] = bodies.map(words => ({ type: `${PARAMS.join()}:f64`, locals: [...LOCALS, 'f32', 'f64', 'v128'].join(' '), code: code(words) }))
    functions.push({ type: ':', locals: '', code: 'i32.const 0 f32.load i32.const 48 f64.load i32.const 16 v128.load call 2 global.set 1', export: 'run' })
    return wasm({
      functions,
      memory: { min: 1, max: 1 },
      globals: ['mut f32 0', 'mut f64 0', 'mut v128 v128.const 0', 'mut i64 0'],
      data: [{ offset: 0, bytes: data }],
      exports: { memory: 'memory 0' }
    })
  }
  // Globals are stored last, for JavaScript would change the bits of a NaN.
  for (const words of bodies) words.unshift(...'i32.const 128 global.get 0 f32.store i32.const 136 global.get 1 f64.store i32.const 144 global.get 2 v128.store'.split(' '))
  return { wasm: build(words => words.join(' ')), canonical: build(canonical) }
}
