/**
 * For tests: random but valid modules that always end, from a seed, and with them the same module
 * counting each of its instructions one by one: an oracle for fuel that shares nothing with the meter.
 */
import { wasm } from './wasm-builder.ts'
import type { Func } from './wasm-builder.ts'

export const PAGES_MAX = 3
/** Rounds and calls a module may make before it unwinds by itself. */
const STEPS = 200
const PARAMS_AND_LOCALS = 4
const FUNCTIONS = 4
/** Globals: steps left, a value, and in the counting module the count. */
const COUNT_GLOBAL = 2

const FREE = /^(block|loop|else|end|nop|try_table)\b/
const BULK = /^(memory\.(fill|copy|grow)|table\.(fill|grow))$/

type Label = 'none' | 'value'

class Generator {
  private state: number
  private readonly words: string[] = []
  private readonly labels: Label[] = []

  /** Every second module has exceptions: calls are metered differently then. */
  readonly throws: boolean

  constructor (seed: number) {
    this.state = seed
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
      () => { this.emit(`ref.null:funcref i32.const ${this.below(4)} table.grow 1`) }
    ]
    all[this.below(all.length)]!()
  }

  private branch (word: string, depth: number): void {
    const target = this.below(this.labels.length)
    const valued = this.labels[this.labels.length - 1 - target] === 'value'
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
      () => { this.expression(d); this.construct('if', 'none', () => { if (this.below(8) === 0) this.emit('unreachable') }) }
    ]
    all[this.below(all.length)]!()
  }
}

/** Count each instruction before it is executed; lengths of bulk operations are constants just before. */
function counted (words: readonly string[]): string {
  const out: string[] = []
  const add = (units: number): void => { out.push(`global.get ${COUNT_GLOBAL} i64.const ${units} i64.add global.set ${COUNT_GLOBAL}`) }
  words.forEach((word, i) => {
    if (BULK.test(word)) {
      const length = Number(words[i - 1])
      add(word === 'memory.fill' || word === 'memory.copy' ? 1 + Math.floor(length / 8) : 1)
      out.push(word)
      // Growing costs by length only if it does not fail; the result stays where it is.
      if (word === 'memory.grow' || word === 'table.grow') {
        out.push(`${words[i + 1]} local.tee 5 local.get 5 i32.const -1 i32.ne if`)
        add(length * (word === 'memory.grow' ? 1024 : 1))
        out.push('end')
      }
      return
    }
    if (/^[a-z]/.test(word) && !FREE.test(word)) add(1)
    // The index of memory.grow and table.grow was written together with it.
    if (!/^(memory|table)\.grow$/.test(words[i - 1] ?? '')) out.push(word)
  })
  return out.join(' ')
}

export interface Sample {
  wasm: Uint8Array<ArrayBuffer>
  /** The same with an exported global "count". */
  counting: Uint8Array<ArrayBuffer>
}

export function generate (seed: number): Sample {
  const generator = new Generator(seed)
  const bodies = Array.from({ length: FUNCTIONS }, () => generator.function())
  const build = (code: (words: readonly string[]) => string): Uint8Array<ArrayBuffer> => {
    const functions: Func[] = bodies.map(words => ({ type: 'i32:i32', locals: 'i32 i32 i32 i64 i32', code: code(words) }))
    functions.push({ type: ':i32', code: code(['i32.const', '3', 'call', '0']), export: 'run' })
    return wasm({
      functions,
      memory: { min: 1, max: PAGES_MAX },
      tables: [{ min: 4, max: 4 }, { min: 0, max: 20 }],
      ...(generator.throws ? { tags: ['i32:'] } : {}),
      globals: [`mut i32 ${STEPS}`, 'mut i32 5', 'mut i64 0'],
      elements: [{ offset: 0, functions: [0, 1, 2, 3] }],
      data: [{ offset: 16, bytes: Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10) }],
      exports: { memory: 'memory 0', value: 'global 1', count: `global ${COUNT_GLOBAL}` }
    })
  }
  return { wasm: build(words => words.join(' ')), counting: build(counted) }
}
