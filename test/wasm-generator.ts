/**
 * For tests: random but valid modules that always end, from a seed, and with them the same module
 * counting each of its instructions one by one: an oracle for fuel that shares nothing with the meter.
 */
import { unitsOf, unitsOfGrowth, unitsOfLength } from './fuel-prices.ts'
import { wasm } from './wasm-builder.ts'
import type { Func } from './wasm-builder.ts'

export const PAGES_MAX = 3
/** Rounds and calls a module may make before it unwinds by itself. */
const STEPS = 200
const PARAMS_AND_LOCALS = 4
const FUNCTIONS = 4
/** Globals: steps left, a value, and in the counting module the count. */
const COUNT_GLOBAL = 2

/** Entries of the table that is only looked at, and where lanes of vectors go. */
const ENTRIES = 20
const LANES = [['8', 16], ['16', 8], ['32', 4], ['64', 2]] as const
const LOADS = ['load8x8_s', 'load8x8_u', 'load16x4_s', 'load16x4_u', 'load32x2_s', 'load32x2_u', 'load8_splat', 'load16_splat', 'load32_splat', 'load64_splat', 'load32_zero', 'load64_zero']

/** What a branch to a label brings; to one that is blocked no branch leads. */
type Label = 'none' | 'value' | 'blocked'

class Generator {
  private state: number
  private readonly words: string[] = []
  private readonly labels: Label[] = []

  /** Every second module has exceptions: calls are metered differently then. */
  readonly throws: boolean

  private readonly vectors: boolean

  constructor (seed: number, vectors: boolean) {
    this.state = seed
    this.vectors = vectors
    this.throws = seed % 2 !== 0
  }

  /** Mulberry32: a number below `n`. */
  private below (n: number): number {
    this.state = this.state + 0x6d2b79f5 | 0
    let t = Math.imul(this.state ^ this.state >>> 15, 1 | this.state)
    t = t + Math.imul(t ^ t >>> 7, 61 | t) ^ t
    return ((t ^ t >>> 14) >>> 0) % n
  }

  private emit (...words: string[]): void { this.words.push(...words.flatMap(word => word.split(' '))) }

  function (): string[] {
    this.words.length = 0
    this.emit('global.get 0 i32.eqz if i32.const 0 return end')
    this.step()
    this.labels.push('value')
    for (let i = this.below(4); i > 0; i--) this.statement(3)
    this.expression(3)
    this.labels.pop()
    return [...this.words]
  }

  private step (): void { this.emit('global.get 0 i32.const 1 i32.sub global.set 0') }

  private construct (open: string, label: Label, body: () => void): void {
    this.emit(open)
    this.labels.push(label)
    body()
    this.labels.pop()
    this.emit('end')
  }

  private statements (depth: number): void {
    for (let i = this.below(4); i > 0; i--) this.statement(depth)
  }

  private address (depth: number): void {
    this.expression(depth)
    // Mostly inside of the memory, at times not.
    if (this.below(40) > 0) this.emit('i32.const 65535 i32.and')
  }

  /** Push one i32. */
  private expression (depth: number): void {
    const d = depth - 1
    const leaf = [
      () => this.emit(`i32.const ${this.below(9) - 2}`),
      () => this.emit(`local.get ${this.below(PARAMS_AND_LOCALS)}`),
      () => this.emit('global.get 1'),
      () => this.emit('memory.size 0')
    ]
    if (depth <= 0) {
      leaf[this.below(leaf.length)]!()
      return
    }
    const binary = ['add', 'sub', 'mul', 'and', 'xor', 'shl', 'lt_s', 'eq', 'rotl', 'div_s', 'rem_u']
    const all = [
      ...leaf,
      () => { this.expression(d); this.expression(d); this.emit(`i32.${binary[this.below(binary.length)]}`) },
      () => { this.expression(d); this.emit('i32.eqz') },
      () => { this.address(d); this.emit('i32.load@4') },
      () => { this.expression(d); this.emit(`local.tee ${this.below(PARAMS_AND_LOCALS)}`) },
      () => { this.expression(d); this.expression(d); this.expression(d); this.emit('select') },
      () => { this.expression(d); this.emit(`call ${this.below(FUNCTIONS)}`) },
      () => { this.expression(d); this.expression(0); this.emit('i32.const 3 i32.and call_indirect(i32:i32)') },
      () => this.construct('block(:i32)', 'value', () => { this.statements(d); this.expression(d); if (this.below(2) === 0) { this.expression(d); this.emit('br_if 0') } }),
      () => {
        this.expression(d)
        this.emit('if(:i32)')
        this.labels.push('value')
        this.statements(d)
        this.expression(d)
        this.emit('else')
        this.statements(d)
        this.expression(d)
        this.labels.pop()
        this.emit('end')
      },
      () => this.construct('block(:i32)', 'value', () => {
        this.construct(this.throws ? 'try_table(:i32)[catch:0:0]' : 'block(:i32)', 'value', () => { this.statements(d); this.expression(d) })
      }),
      () => { this.emit(`i32.const ${this.below(3)} memory.grow 0`) },
      () => { this.emit(`ref.null:funcref i32.const ${this.below(4)} table.grow 1`) },
      () => this.emit(`table.size ${this.below(3)}`),
      () => { this.expression(d); this.emit(`i32.const 15 i32.and table.get 2 ref.is_null`) },
      ...(this.vectors ? [() => this.vector(d)] : []),
      ...(this.throws ? [() => this.rethrow(d)] : [])
    ]
    all[this.below(all.length)]!()
  }

  /** Something of a vector, through memory; i32. */
  private vector (depth: number): void {
    const [width, lanes] = LANES[this.below(LANES.length)]!
    this.emit('i32.const 32')
    this.address(depth)
    switch (this.below(3)) {
      case 0: this.emit(`v128.${LOADS[this.below(LOADS.length)]}@2`); break
      case 1: this.emit(`local.get 6 v128.load${width}_lane@1 ${this.below(lanes)} local.tee 6`); break
      default: this.emit('i8x16.splat local.get 6 i8x16.add')
    }
    this.emit(`v128.store${width}_lane@3 ${this.below(lanes)} i32.const 33 i32.load@0`)
  }

  /** Catch with a reference, and throw that again to an outer catch; i32. */
  private rethrow (depth: number): void {
    this.construct('block(:i32)', 'value', () => {
      this.construct('try_table(:i32)[catch:0:0]', 'value', () => {
        this.emit('block(:exnref) try_table(:i32)[catch_all_ref:0]')
        this.labels.push('blocked', 'value')
        this.statements(depth)
        this.expression(depth)
        this.labels.pop()
        this.labels.pop()
        this.emit('end br 1 end throw_ref')
      })
    })
  }

  private branch (word: string, depth: number): void {
    const at = (target: number): Label => this.labels[this.labels.length - 1 - target]!
    let target = this.below(this.labels.length)
    // The outermost label is that of the function, which is open.
    while (at(target) === 'blocked') target++
    const valued = at(target) === 'value'
    if (valued) this.expression(depth)
    if (word === 'br_if') this.expression(depth)
    this.emit(`${word} ${target}`)
    if (valued && word === 'br_if') this.emit('drop')
  }

  private statement (depth: number): void {
    const d = depth - 1
    if (depth <= 0) {
      this.emit('nop')
      return
    }
    const all = [
      () => { this.expression(d); this.emit(`local.set ${this.below(PARAMS_AND_LOCALS)}`) },
      () => { this.expression(d); this.emit('global.set 1') },
      () => { this.address(d); this.expression(d); this.emit('i32.store@8') },
      () => { this.expression(d); this.emit('drop') },
      () => { this.expression(d); this.emit(`call ${this.below(FUNCTIONS)} drop`) },
      () => this.construct('block', 'none', () => { this.statements(d) }),
      () => { this.expression(d); this.construct('if', 'none', () => { this.statements(d) }) },
      () => {
        this.expression(d)
        this.emit('if')
        this.labels.push('none')
        this.statements(d)
        this.emit('else')
        this.statements(d)
        this.labels.pop()
        this.emit('end')
      },
      () => this.construct('block', 'none', () => this.construct('loop', 'none', () => {
        this.emit('global.get 0 i32.eqz br_if 1')
        this.step()
        this.statements(d)
        this.expression(d)
        this.emit('br_if 0')
      })),
      () => this.branch('br_if', d),
      () => this.construct('block', 'none', () => { this.statements(d); this.branch('br', d); this.statements(d) }),
      () => this.construct('block', 'none', () => {
        this.construct('block', 'none', () => { this.statements(d); this.expression(d); this.emit('br_table[0,1,0]') })
        this.statements(d)
      }),
      () => { this.expression(d); this.construct('if', 'none', () => { this.expression(d); this.emit('return') }) },
      () => { this.expression(d); this.construct('if', 'none', () => { this.expression(d); this.emit(`return_call ${this.below(FUNCTIONS)}`) }) },
      () => { this.expression(d); this.construct('if', 'none', () => { this.expression(d); this.emit(this.throws ? 'throw 0' : 'return') }) },
      () => this.construct('block', 'none', () => this.construct(this.throws ? 'try_table[catch_all:0]' : 'block', 'none', () => { this.statements(d) })),
      () => { this.emit(`i32.const ${this.below(60_000)} i32.const 7 i32.const ${this.below(6_000)} memory.fill 0`) },
      () => { this.emit(`i32.const ${this.below(60_000)} i32.const 9 i32.const ${this.below(600)} memory.copy 0 0`) },
      () => { this.emit(`i32.const ${this.below(60_000)} i32.const ${this.below(6)} i32.const ${this.below(7)} memory.init 0 0`) },
      () => this.table(d),
      () => { this.expression(d); this.construct('if', 'none', () => { if (this.below(8) === 0) this.emit('unreachable') }) }
    ]
    all[this.below(all.length)]!()
  }

  /** One of the instructions on tables; they trap at times. */
  private table (depth: number): void {
    const all = [
      `i32.const ${this.below(12)} ref.func ${this.below(FUNCTIONS)} i32.const ${this.below(9)} table.fill 2`,
      `i32.const ${this.below(12)} i32.const ${this.below(12)} i32.const ${this.below(9)} table.copy 2 2`,
      `i32.const ${this.below(17)} i32.const 0 i32.const ${this.below(5)} table.copy 2 0`,
      `i32.const ${this.below(18)} i32.const ${this.below(2)} i32.const ${this.below(3)} table.init 1 2`,
      `i32.const ${this.below(ENTRIES)} ref.null:funcref table.set 2`
    ]
    this.emit(all[this.below(all.length)]!)
    // Rare, for nothing is left of a segment that was dropped.
    if (this.below(8) > 0) return
    this.expression(depth)
    this.construct('if', 'none', () => this.emit(this.below(2) === 0 ? 'elem.drop 1' : 'data.drop 0'))
  }
}

/** Count each instruction before it is executed; lengths of bulk operations are constants just before. */
function counted (words: readonly string[], throws: boolean): string {
  const out: string[] = []
  const add = (units: number): void => { out.push(`global.get ${COUNT_GLOBAL} i64.const ${units} i64.add global.set ${COUNT_GLOBAL}`) }
  words.forEach((word, i) => {
    const name = /^[a-z][\w.]*/.exec(word)?.[0]
    if (name === undefined) {
      // The index of memory.grow and table.grow was written together with it.
      if (!/^(memory|table)\.grow$/.test(words[i - 1] ?? '')) out.push(word)
      return
    }
    const length = Number(words[i - 1])
    const units = unitsOf(name, throws) + unitsOfLength(name, length)
    if (units > 0) add(units)
    out.push(word)
    if (!name.endsWith('.grow')) return
    // Growing costs by length only if it does not fail; the result stays where it is.
    out.push(`${words[i + 1]} local.tee 5 local.get 5 i32.const -1 i32.ne if`)
    add(unitsOfGrowth(name, length))
    out.push('end')
  })
  return out.join(' ')
}

export interface Sample {
  wasm: Uint8Array<ArrayBuffer>
  /** The same with an exported global "count". */
  counting: Uint8Array<ArrayBuffer>
}

export interface GenerateOptions {
  /** Whether vectors are loaded and stored, of which the slow interpreter knows nothing. @default false */
  vectors?: boolean
}

export function generate (seed: number, { vectors = false }: GenerateOptions = {}): Sample {
  const generator = new Generator(seed, vectors)
  const bodies = Array.from({ length: FUNCTIONS }, () => generator.function())
  const build = (code: (words: readonly string[]) => string): Uint8Array<ArrayBuffer> => {
    const functions: Func[] = bodies.map(words => ({ type: 'i32:i32', locals: `i32 i32 i32 i64 i32${vectors ? ' v128' : ''}`, code: code(words) }))
    functions.push({ type: ':i32', code: code(['i32.const', '3', 'call', '0']), export: 'run' })
    return wasm({
      functions,
      memory: { min: 1, max: PAGES_MAX },
      tables: [{ min: 4, max: 4 }, { min: 0, max: 20 }, { min: ENTRIES, max: ENTRIES }],
      ...(generator.throws ? { tags: ['i32:'] } : {}),
      globals: [`mut i32 ${STEPS}`, 'mut i32 5', 'mut i64 0'],
      elements: [{ offset: 0, functions: [0, 1, 2, 3] }, { functions: [1, 3, 0] }],
      data: [{ bytes: Uint8Array.of(11, 12, 13, 14, 15, 16, 17, 18, 19, 20) }, { offset: 16, bytes: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10) }],
      exports: { memory: 'memory 0', value: 'global 1', count: `global ${COUNT_GLOBAL}` }
    })
  }
  return { wasm: build(words => words.join(' ')), counting: build(words => counted(words, generator.throws)) }
}
