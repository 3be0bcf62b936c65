/**
 * For tests: a second implementation of the profile, an interpreter that reads docs/fuel.md literally.
 * It is slow, shares neither V8 nor the meter with the engine, and knows all but SIMD and WASI.
 */
import { Reader } from '../src/wasm/binary.ts'
import type { Module } from '../src/wasm/decode.ts'
import { KIND, SECTION } from '../src/wasm/decode.ts'
import { OP } from '../src/wasm/opcodes.ts'
import { readCode } from './fuel-counter-code.ts'
import type { Code, Construct, Instruction, Run } from './fuel-counter-code.ts'
import { unitsOfGrowth, unitsOfLength } from './fuel-prices.ts'
import { calculate } from './fuel-counter-numbers.ts'

export type Value = bigint | Callee | Thrown | null
interface Thrown { readonly tag: number, readonly values: Value[] }
interface Callee { readonly index: number }
interface Frame { code: Code, at: number, locals: Value[], stack: Value[], left: number, bytes: number }

export interface Counted {
  outcome: 'ok' | 'trap' | 'fuel' | 'stack' | 'output'
  exitCode: number | null
  fuel: bigint
  pages: number
  result: Uint8Array
  memory: Uint8Array
}

export interface CounterLimits { fuelMax: bigint, memoryPagesMax: number, outputBytesMax: number }

const PAGE = 65_536
const TABLE_MAX = 2 ** 20
const STACK = 640 * 1024
const SHALLOW = 8 * 1024
const HOST_CALL = 200

class End extends Error {
  readonly outcome: Counted['outcome']
  constructor (outcome: Counted['outcome'], message = outcome as string) {
    super(message)
    this.outcome = outcome
  }
}

export function trap (what: string): never { throw new End('trap', what) }

export function countFuel (module: Module, limits: CounterLimits, input = new Uint8Array(0), entry = 'run'): Counted {
  return new Machine(module, limits, input).run(entry)
}

class Machine {
  private readonly module: Module
  private readonly limits: CounterLimits
  private readonly input: Uint8Array
  private readonly codes: Code[]
  private readonly depths: number[]
  private fuel = 0n
  private memory: Uint8Array
  private readonly pagesMax: number
  private readonly globals: Value[] = []
  private readonly tables: Value[][]
  private readonly elements: Value[][] = []
  private readonly data: Uint8Array[] = []
  private readonly output: number[] = []
  private readonly addressed = new Set<number>()

  constructor (module: Module, limits: CounterLimits, input: Uint8Array) {
    this.module = module
    this.limits = limits
    this.input = input
    const own = module.functions.length - module.imported.functions
    this.codes = Array.from({ length: own }, (_, i) => readCode(module, i))
    this.memory = new Uint8Array((module.memories[0]?.min ?? 0) * PAGE)
    this.pagesMax = Math.min(module.memories[0]?.max ?? limits.memoryPagesMax, limits.memoryPagesMax)
    this.tables = module.tables.map(({ min }) => Array<Value>(min).fill(null))
    for (const { instructions } of this.codes) for (const { op, x } of instructions) if (op === OP.refFunc) this.addressed.add(x)
    for (const index of module.addressed) this.addressed.add(index)
    this.depths = this.findDepths()
  }

  // Stack.

  private frameBytes (i: number): number {
    const { type, slots } = this.codes[i]!
    return 96 + 8 * (slots + type.params.length + type.results.length)
  }

  /** Deepest stack below each own function, by trying until nothing changes. */
  private findDepths (): number[] {
    const { codes, module } = this
    const imported = module.imported.functions
    const key = (type: number): string => JSON.stringify([[...module.types[type]!.params], [...module.types[type]!.results]])
    const reached = codes.map(({ callees, indirect }) => {
      const through = [...this.addressed].filter(index => indirect.some(type => key(type) === key(module.functions[index]!)))
      return [...callees, ...through].filter(index => index >= imported)
    })
    const depths = codes.map(() => Number.POSITIVE_INFINITY)
    for (let changed = true; changed;) {
      changed = false
      reached.forEach((callees, i) => {
        const depth = this.frameBytes(i) + Math.max(0, ...callees.map(index => depths[index - imported]!))
        if (depth < depths[i]!) {
          depths[i] = depth
          changed = true
        }
      })
    }
    return depths
  }

  // Fuel.

  private burn (units: number | bigint): void {
    this.fuel += BigInt(units)
    if (this.fuel > this.limits.fuelMax) throw new End('fuel')
  }

  private begin (run: Run | undefined): void {
    if (run !== undefined) this.burn(run.cost)
  }

  // Instances.

  run (entry: string): Counted {
    const { module } = this
    let outcome: Counted['outcome'] = 'ok'
    let exitCode: number | null = null
    try {
      this.burn(Math.floor(module.dataBytes / 8) + 8 * module.elements + 1024 * (module.memories[0]?.min ?? 0) +
        8 * module.tables.reduce((sum, { min }) => sum + min, 0) + module.globals)
      this.instantiate()
      if (module.start !== undefined) this.call(module.start)
      const index = module.exports.find(({ name, kind }) => kind === KIND.func && name === entry)!.index
      const [returned] = this.call(index)
      exitCode = typeof returned === 'bigint' ? Number(returned) & 0x7fff_ffff : 0
    } catch (error) {
      if (!(error instanceof End)) throw error
      outcome = error.outcome
    }
    const fuel = outcome === 'fuel' ? this.limits.fuelMax : this.fuel
    const result = Uint8Array.from(outcome === 'ok' ? this.output : [])
    return { outcome, exitCode, fuel, pages: this.memory.length / PAGE, result, memory: this.memory }
  }

  private constant (reader: Reader): Value {
    const code = readExpression(reader)
    let value: Value = null
    for (const { op, number } of code) {
      if (op === OP.refFunc) value = { index: Number(number) }
      else if (op === OP.globalGet) value = this.globals[Number(number)]!
      else if (op !== OP.refNull) value = op === OP.i32Const || op === OP.f32Const ? BigInt.asUintN(32, number) : BigInt.asUintN(64, number)
    }
    return value
  }

  private section (id: number, each: (reader: Reader) => void): void {
    const range = this.module.sections.get(id)
    if (range === undefined) return
    const reader = new Reader(this.module.bytes, range.start, range.end)
    for (let count = reader.u32(); count > 0; count--) each(reader)
  }

  private instantiate (): void {
    this.section(SECTION.global, reader => {
      reader.skip(2)
      this.globals.push(this.constant(reader))
    })
    const active: Array<() => void> = []
    this.section(SECTION.element, reader => {
      const flags = reader.u32()
      const table = (flags & 3) === 2 ? reader.u32() : 0
      const offset = (flags & 1) === 0 ? Number(this.constant(reader)) : 0
      if ((flags & 3) !== 0) reader.u8()
      const n = this.elements.push(Array.from({ length: reader.u32() }, () => (flags & 4) !== 0 ? this.constant(reader) : { index: reader.u32() })) - 1
      if ((flags & 1) === 0) active.push(() => { this.initTable(table, n, offset, 0, this.elements[n]!.length) })
      if ((flags & 1) === 0 || (flags & 3) === 3) active.push(() => { this.elements[n] = [] })
    })
    this.section(SECTION.data, reader => {
      const flags = reader.u32()
      const offset = flags === 1 ? 0 : Number(this.constant(reader))
      const length = reader.u32()
      const n = this.data.push(this.module.bytes.slice(reader.at, reader.at + length)) - 1
      reader.skip(length)
      if (flags !== 1) active.push(() => { this.initMemory(n, offset, 0, length); this.data[n] = new Uint8Array(0) })
    })
    for (const step of active) step()
  }

  private range (from: number, length: number, size: number): void {
    if (from + length > size) trap('out of bounds')
  }

  private initTable (table: number, segment: number, to: number, from: number, length: number): void {
    this.range(from, length, this.elements[segment]!.length)
    this.range(to, length, this.tables[table]!.length)
    for (let k = 0; k < length; k++) this.tables[table]![to + k] = this.elements[segment]![from + k]!
  }

  private initMemory (segment: number, to: number, from: number, length: number): void {
    this.range(from, length, this.data[segment]!.length)
    this.range(to, length, this.memory.length)
    this.memory.set(this.data[segment]!.subarray(from, from + length), to)
  }

  // Calls.

  private enter (index: number, args: Value[], left: number): Frame {
    const i = index - this.module.imported.functions
    const code = this.codes[i]!
    const bytes = this.depths[i]! > SHALLOW ? this.frameBytes(i) : 0
    if (left < bytes) throw new End('stack')
    this.begin(code.entry)
    const locals = code.locals.map((_, k) => k < args.length ? args[k]! : this.zero(code.locals[k]!))
    return { code, at: 0, locals, stack: [], left: left - bytes, bytes }
  }

  private zero (type: number): Value { return type >= 0x7c ? 0n : null }

  private host (index: number, args: Value[]): Value[] {
    const { name } = this.module.imports.filter(({ kind }) => kind === KIND.func)[index]!
    const [a = 0, b = 0, c = 0] = args.map(Number)
    this.burn(HOST_CALL)
    const { input, memory } = this
    switch (name) {
      case 'input_size': return [BigInt(input.length)]
      case 'input_read': {
        if (a + c > memory.length) return [BigInt.asUintN(32, -21n)]
        const count = Math.min(c, Math.max(input.length - b, 0))
        this.burn(Math.floor(count / 8))
        memory.set(input.subarray(b, b + count), a)
        return [BigInt(count)]
      }
      case 'output_write':
        if (a + b > memory.length) return [BigInt.asUintN(32, -21n)]
        this.burn(Math.floor(b / 8))
        if (this.output.length + b > this.limits.outputBytesMax) throw new End('output')
        this.output.push(...memory.subarray(a, a + b))
        return [BigInt(b)]
      case 'log':
        if (a + b <= memory.length) this.burn(Math.floor(b / 8))
        return []
      default: throw new Error(`the counter does not know ${name}`)
    }
  }

  private call (index: number): Value[] {
    if (index < this.module.imported.functions) return this.host(index, [])
    const frames = [this.enter(index, [], STACK)]
    for (;;) {
      const frame = frames.at(-1)!
      const instruction = frame.code.instructions[frame.at]!
      if (frame.at === frame.code.instructions.length - 1) {
        frames.pop()
        const results = frame.stack.slice(frame.stack.length - frame.code.type.results.length)
        const caller = frames.at(-1)
        if (caller === undefined) return results
        caller.stack.push(...results)
        this.pass(caller)
      } else if (/call/.test(instruction.name)) this.invoke(frames, frame, instruction)
      else if (/^throw/.test(instruction.name)) {
        const thrown = instruction.name === 'throw' ? this.exception(frame, instruction.x) : frame.stack.pop()
        if (thrown === null) trap('null exception')
        this.throw(frames, thrown as Thrown)
      } else this.step(frame, instruction)
    }
  }

  /** Go past the instruction the frame stands at. */
  private pass (frame: Frame): void { this.begin(frame.code.instructions[frame.at++]!.run) }

  private invoke (frames: Frame[], frame: Frame, { name, x, y }: Instruction): void {
    const { module } = this
    let index = x
    if (name.endsWith('indirect')) {
      const entry = this.tables[y]![Number(frame.stack.pop())]
      if (entry === undefined) trap('table index is out of bounds')
      if (entry === null) trap('null function')
      index = (entry as Callee).index
      const [wanted, found] = [module.types[x]!, module.types[module.functions[index]!]!]
      if (wanted.params.join() !== found.params.join() || wanted.results.join() !== found.results.join()) trap('signature mismatch')
    }
    const { params } = module.types[module.functions[index]!]!
    const args = frame.stack.splice(frame.stack.length - params.length)
    const tail = name.startsWith('return')
    if (index < module.imported.functions) {
      frame.stack.push(...this.host(index, args))
      if (tail) frame.at = frame.code.instructions.length - 1
      else this.pass(frame)
      return
    }
    if (tail) frames.pop()
    frames.push(this.enter(index, args, tail ? frame.left + frame.bytes : frame.left))
  }

  private exception (frame: Frame, tag: number): Thrown {
    const range = this.module.sections.get(SECTION.tag)!
    const reader = new Reader(this.module.bytes, range.start, range.end)
    reader.u32()
    let type = 0
    for (let k = 0; k <= tag; k++) {
      reader.u8()
      type = reader.u32()
    }
    return { tag, values: frame.stack.splice(frame.stack.length - this.module.types[type]!.params.length) }
  }

  private throw (frames: Frame[], thrown: Thrown): void {
    for (let frame = frames.at(-1); frame !== undefined; frames.pop(), frame = frames.at(-1)) {
      for (let handler = frame.code.instructions[frame.at]!.handler; handler !== undefined; handler = handler.handler) {
        for (const { kind, tag, target } of handler.catches) {
          if (tag >= 0 && tag !== thrown.tag) continue
          if (tag >= 0) frame.stack.push(...thrown.values)
          if (kind % 2 === 1) frame.stack.push(thrown)
          this.branch(frame, target)
          return
        }
      }
    }
    trap('uncaught exception')
  }

  private branch (frame: Frame, target: Construct): void {
    const kept = frame.stack.splice(frame.stack.length - (target.loop ? target.params : target.results))
    frame.stack.length = target.base
    frame.stack.push(...kept)
    frame.at = target.loop ? target.start : target.end
    if (frame.at < frame.code.instructions.length - 1) this.pass(frame)
  }

  private step (frame: Frame, instruction: Instruction): void {
    const { stack, locals } = frame
    const { name, x } = instruction
    const top = (): number => Number(stack.pop())
    switch (name) {
      case 'unreachable': trap('unreachable'); break
      case 'nop': case 'block': case 'loop': case 'try_table': case 'end': break
      case 'if':
        if (stack.pop() === 0n) {
          frame.at = instruction.other
        }
        break
      // Only the end of the first arm comes here; a condition that failed went past it.
      case 'else': frame.at = instruction.other; this.pass(frame); return
      case 'br': this.branch(frame, instruction.targets[0]!); return
      case 'br_if':
        if (stack.pop() === 0n) break
        this.branch(frame, instruction.targets[0]!)
        return
      case 'br_table': this.branch(frame, instruction.targets[Math.min(top(), instruction.targets.length - 1)]!); return
      case 'return': frame.at = frame.code.instructions.length - 1; return
      case 'drop': stack.pop(); break
      case 'select': case 'select_t': {
        const [a, b, condition] = stack.splice(stack.length - 3)
        stack.push(condition === 0n ? b! : a!)
        break
      }
      case 'local.get': stack.push(locals[x]!); break
      case 'local.set': locals[x] = stack.pop()!; break
      case 'local.tee': locals[x] = stack.at(-1)!; break
      case 'global.get': stack.push(this.globals[x]!); break
      case 'global.set': this.globals[x] = stack.pop()!; break
      case 'ref.null': stack.push(null); break
      case 'ref.func': stack.push({ index: x }); break
      case 'ref.is_null': stack.push(stack.pop() === null ? 1n : 0n); break
      default:
        if (/^(memory|data|table|elem)\./.test(name)) this.bulk(frame, instruction)
        else if (/\.(load|store)/.test(name)) this.access(frame, instruction)
        else stack.push(calculate(instruction, () => stack.pop() as bigint))
    }
    this.pass(frame)
  }

  private access ({ stack }: Frame, { name, y }: Instruction): void {
    const [, type, action, width, extend] = /^(\w\d+)\.(load|store)(\d+)?(?:_(s|u))?$/.exec(name)!
    const bits = Number(type!.slice(1))
    const size = Number(width ?? bits) / 8
    const value = action === 'store' ? stack.pop() as bigint : 0n
    const at = Number(stack.pop()) + y
    this.range(at, size, this.memory.length)
    if (action === 'store') {
      for (let k = 0; k < size; k++) this.memory[at + k] = Number(value >> BigInt(8 * k) & 0xffn)
      return
    }
    let loaded = 0n
    for (let k = size - 1; k >= 0; k--) loaded = loaded << 8n | BigInt(this.memory[at + k]!)
    stack.push(extend === 's' ? BigInt.asUintN(bits, BigInt.asIntN(size * 8, loaded)) : loaded)
  }

  private bulk ({ stack }: Frame, { name, x, y }: Instruction): void {
    const count = /\.(fill|copy|init)$/.test(name) ? 3 : 0
    const [a, b, c] = stack.splice(stack.length - count) as [bigint, Value, bigint]
    const [to, from, length] = [Number(a), typeof b === 'bigint' ? Number(b) : 0, Number(c)]
    if (count > 0) this.burn(unitsOfLength(name, length))
    switch (name) {
      case 'memory.size': stack.push(BigInt(this.memory.length / PAGE)); break
      case 'memory.grow': stack.push(this.growMemory(Number(stack.pop()))); break
      case 'memory.fill': this.range(to, length, this.memory.length); this.memory.fill(from, to, to + length); break
      case 'memory.copy':
        this.range(to, length, this.memory.length)
        this.range(from, length, this.memory.length)
        this.memory.copyWithin(to, from, from + length)
        break
      case 'memory.init': this.initMemory(x, to, from, length); break
      case 'data.drop': this.data[x] = new Uint8Array(0); break
      case 'elem.drop': this.elements[x] = []; break
      case 'table.size': stack.push(BigInt(this.tables[x]!.length)); break
      case 'table.grow': {
        const more = Number(stack.pop())
        stack.push(this.growTable(x, stack.pop()!, more))
        break
      }
      case 'table.get': case 'table.set': {
        const value = name === 'table.set' ? stack.pop()! : null
        const at = Number(stack.pop())
        this.range(at, 1, this.tables[x]!.length)
        if (name === 'table.set') this.tables[x]![at] = value
        else stack.push(this.tables[x]![at]!)
        break
      }
      case 'table.fill': this.range(to, length, this.tables[x]!.length); this.tables[x]!.fill(b, to, to + length); break
      case 'table.copy': {
        this.range(from, length, this.tables[y]!.length)
        this.range(to, length, this.tables[x]!.length)
        const moved = this.tables[y]!.slice(from, from + length)
        moved.forEach((value, k) => { this.tables[x]![to + k] = value })
        break
      }
      case 'table.init': this.initTable(y, x, to, from, length); break
      default: throw new Error(`the counter does not know ${name}`)
    }
  }

  private growMemory (more: number): bigint {
    const pages = this.memory.length / PAGE
    if (pages + more > this.pagesMax) return 0xffff_ffffn
    this.burn(unitsOfGrowth('memory.grow', more))
    const grown = new Uint8Array((pages + more) * PAGE)
    grown.set(this.memory)
    this.memory = grown
    return BigInt(pages)
  }

  private growTable (index: number, value: Value, more: number): bigint {
    const table = this.tables[index]!
    const size = table.length
    if (size + more > Math.min(this.module.tables[index]!.max ?? TABLE_MAX, TABLE_MAX)) return 0xffff_ffffn
    this.burn(unitsOfGrowth('table.grow', more))
    for (let k = 0; k < more; k++) table.push(value)
    return BigInt(size)
  }
}

function readExpression (reader: Reader): Array<{ op: number, number: bigint }> {
  const found: Array<{ op: number, number: bigint }> = []
  for (;;) {
    const op = reader.u8()
    if (op === OP.end) return found
    let number = 0n
    if (op === OP.f32Const || op === OP.f64Const) {
      const size = op === OP.f32Const ? 4 : 8
      for (let k = size - 1; k >= 0; k--) number = number << 8n | BigInt(reader.bytes[reader.at + k]!)
      reader.skip(size)
    } else {
      let shift = 0n
      for (let byte = 0x80; byte >= 0x80; shift += 7n) {
        byte = reader.u8()
        number |= BigInt(byte & 0x7f) << shift
      }
      if (op === OP.i32Const || op === OP.i64Const) number = BigInt.asIntN(Number(shift), number)
    }
    found.push({ op, number })
  }
}
