/**
 * Plays one spec script twice on the V8 at hand, with the modules as they are and metered, and
 * judges each command: what plain V8 passes, the metered module has to pass too.
 */
import { InosError } from '../../src/packet/errors.ts'
import type { FuncType, Module } from '../../src/wasm/decode.ts'
import { createMemory, Metered, rewrite } from '../metered.ts'
import type { Rewritten } from '../metered.ts'
import { callExactly } from './spec-bridge.ts'
import type { Result } from './spec-bridge.ts'
import { binaryOf, Constants, head, nameOf, parse, type List, type Node, type Value } from './wast.ts'

/** More than any script burns. */
const FUEL = 1n << 60n

export interface Verdict {
  readonly line: number
  readonly command: string
  readonly kind: 'pass' | 'fail' | 'skip'
  /** Why it failed, or the feature for which it is left out. */
  readonly reason: string
}

type Exports = Record<string, WebAssembly.ExportValue>
const WORLDS = ['plain', 'metered'] as const
type World = typeof WORLDS[number]

/** An instance in both worlds, or the reason why there is none. */
interface Pair {
  readonly original?: Module
  readonly exports?: Readonly<Record<World, Exports>>
  readonly metered?: Metered
  readonly excluded?: string
}

/** How an action ended. */
type Ending = { readonly results: Result[] } | { readonly error: unknown }

/** What V8 itself does not do as the script says, or does not know. */
const PLAIN = 'plain V8 differs'

class Excluded extends Error {}

/** The feature a refusal names. */
function featureOf (error: unknown): string {
  if (!(error instanceof InosError)) throw error
  if (error.message.includes('not valid WebAssembly')) return PLAIN
  const [, profile] = /refused: (.*?) (?:is|are) not in the profile/.exec(error.message) ?? []
  if (profile !== undefined) return profile.replace(/ \((function|0x).*/, '').replace(/^instruction 0x[0-9a-f]+$/, 'other instructions').replace(/^an? /, '')
  return /and \d+ are allowed|is the limit/.test(error.message) ? 'limits of modules' : `refused: ${error.message.replace(/\d+/g, 'N')}`
}

function spectest (): Exports {
  const nothing = (): void => {}
  const print = Object.fromEntries(['print', 'print_i32', 'print_i64', 'print_f32', 'print_f64', 'print_i32_f32', 'print_f64_f64'].map(name => [name, nothing]))
  return {
    ...print,
    global_i32: new WebAssembly.Global({ value: 'i32' }, 666),
    global_i64: new WebAssembly.Global({ value: 'i64' }, 666n),
    global_f32: new WebAssembly.Global({ value: 'f32' }, 666.6),
    global_f64: new WebAssembly.Global({ value: 'f64' }, 666.6),
    table: new WebAssembly.Table({ element: 'anyfunc', initial: 10, maximum: 20 }),
    memory: createMemory(1, 2)
  }
}

export function play (text: string): Verdict[] {
  const script = new Script(text)
  return script.commands.map(command => script.judge(command))
}

class Script {
  readonly commands: List[]
  private readonly text: string
  private readonly constants: Constants
  private readonly named = new Map<string, Pair>()
  private readonly registered = new Map<string, Pair>([['spectest', { exports: { plain: spectest(), metered: spectest() } }]])
  private readonly definitions = new Map<string, List>()
  private last: Pair = { excluded: 'no module' }
  private readonly externs = new Map<number, object>()

  constructor (text: string) {
    const top = parse(text)
    // A file of module fields alone is a module.
    const bare = /^(func|type|memory|table|global|import|export|start|elem|data|tag|rec)$/.test(head(top[0]))
    this.text = bare ? `(module ${text})` : text
    this.commands = bare ? parse(this.text) : top
    this.constants = new Constants(this.commands)
  }

  judge (command: List): Verdict {
    const verdict = (kind: Verdict['kind'], reason: string): Verdict => ({ line: command.line, command: head(command), kind, reason })
    try {
      return verdict(...this.perform(command))
    } catch (error) {
      if (error instanceof Excluded) return verdict('skip', error.message)
      return verdict('fail', error instanceof Error ? `${error.stack}` : String(error))
    }
  }

  private perform (command: List): [Verdict['kind'], string] {
    const [, first, second] = command.items
    switch (head(command)) {
      case 'module': return this.define(command)
      case 'register': return this.register(nameOf(first), second as string | undefined)
      case 'invoke': case 'get': return this.compare(command, ending => 'results' in ending)
      case 'assert_return': return this.compare(first as List, ending => this.matches(ending, command.items.slice(2)))
      case 'assert_trap':
        return head(first) === 'module'
          ? this.fails(first as List, error => error instanceof WebAssembly.RuntimeError)
          : this.compare(first as List, ending => 'error' in ending && ending.error instanceof WebAssembly.RuntimeError)
      case 'assert_exception': return this.compare(first as List, ending => 'error' in ending && ending.error instanceof WebAssembly.Exception)
      case 'assert_exhaustion': return this.compare(first as List, (ending, pair) => 'error' in ending && exhausted(ending.error, pair))
      case 'assert_unlinkable': return this.fails(first as List, error => error instanceof WebAssembly.LinkError || error instanceof TypeError)
      case 'assert_invalid': case 'assert_malformed': return this.refuses(first as List)
      default: throw new Excluded(`command ${head(command)}`)
    }
  }

  /** A module that instantiates in both worlds. */
  private define (command: List): [Verdict['kind'], string] {
    const names = command.items.filter(item => typeof item === 'string' && item.startsWith('$')) as string[]
    const word = command.items[1]
    this.last = { excluded: 'no module' }
    if (names[0] !== undefined) this.named.set(names[0], this.last)
    if (word === 'definition') {
      if (names[0] !== undefined) this.definitions.set(names[0], command)
      const wasm = this.assemble(command)
      this.rewritten(wasm)
      return ['pass', '']
    }
    const source = word === 'instance' ? this.definitions.get(names[1] ?? '') : command
    if (source === undefined) throw new Excluded('no definition')
    try {
      this.last = this.instantiate(this.assemble(source))
    } catch (error) {
      if (error instanceof Excluded) this.last = { excluded: error.message }
      throw error
    } finally {
      if (names[0] !== undefined) this.named.set(names[0], this.last)
    }
    return ['pass', '']
  }

  private assemble (module: List, valid = true): Uint8Array<ArrayBuffer> {
    const wasm = binaryOf(module, this.text, valid)
    if (wasm === undefined) throw new Excluded('text not known here')
    return wasm
  }

  private rewritten (wasm: Uint8Array<ArrayBuffer>): Rewritten {
    try {
      return rewrite(wasm)
    } catch (error) {
      throw new Excluded(featureOf(error))
    }
  }

  private instantiate (wasm: Uint8Array<ArrayBuffer>): Pair {
    const rewritten = this.rewritten(wasm)
    const { original } = rewritten
    const imports = { plain: this.imports(original, 'plain'), metered: this.imports(original, 'metered') }
    let plain: WebAssembly.Instance
    try {
      plain = new WebAssembly.Instance(new WebAssembly.Module(wasm), imports.plain)
    } catch {
      throw new Excluded(PLAIN)
    }
    const metered = new Metered(rewritten, imports.metered, { fuel: FUEL, open: true }).start()
    return { original, metered, exports: { plain: plain.exports, metered: metered.exports } }
  }

  private imports (original: Module, world: World): WebAssembly.Imports {
    const imports: WebAssembly.Imports = Object.create(null)
    for (const { module, name } of original.imports) {
      const pair = this.registered.get(module)
      if (pair?.excluded !== undefined) throw new Excluded(pair.excluded)
      const value = pair?.exports?.[world][name]
      imports[module] ??= Object.create(null) as WebAssembly.ModuleImports
      if (value !== undefined) imports[module][name] = value
    }
    return imports
  }

  private register (name: string, id: string | undefined): [Verdict['kind'], string] {
    const pair = this.pair(id)
    this.registered.set(name, pair)
    if (pair.excluded !== undefined) throw new Excluded(pair.excluded)
    return ['pass', '']
  }

  private pair (id: string | undefined): Pair { return id === undefined ? this.last : this.named.get(id) ?? this.last }

  /** Do an action in both worlds. */
  private compare (action: List, holds: (ending: Ending, pair: Pair) => boolean): [Verdict['kind'], string] {
    const [, first, second] = action.items
    const id = (first as string).startsWith('$') ? first as string : undefined
    const pair = this.pair(id)
    if (pair.excluded !== undefined) throw new Excluded(pair.excluded)
    const name = nameOf(id === undefined ? first : second)
    const args = action.items.slice(id === undefined ? 2 : 3).map(node => this.argument(node))
    const [plain, metered] = WORLDS.map(world => this.act(pair, world, head(action), name, args))
    if (!holds(plain!, pair)) throw new Excluded(PLAIN)
    if (!holds(metered!, pair)) return ['fail', `plain ${describe(plain!)}; metered ${describe(metered!)}`]
    // The trap must be the guest's own and not one of ours; how deep calls nest before the stack ends is V8's affair.
    if ('error' in plain! && !(plain.error instanceof RangeError) && describe(plain) !== describe(metered!)) {
      return ['fail', `plain ${describe(plain)}; metered ${describe(metered!)}`]
    }
    return ['pass', '']
  }

  private act (pair: Pair, world: World, kind: string, name: string, args: readonly unknown[]): Ending {
    const target = pair.exports?.[world][name]
    const found = pair.original?.exports.find(each => each.name === name)
    if (target === undefined || found === undefined) throw new Excluded('no such export')
    try {
      if (world === 'metered') pair.metered?.arm()
      if (kind === 'get') return { results: [bytesOf((target as WebAssembly.Global).value)] }
      return { results: callExactly(target, typeOf(pair.original!, found.index), args) }
    } catch (error) {
      return { error }
    }
  }

  private argument (node: Node): unknown {
    const value = this.constants.value(node)
    switch (value.type) {
      case 'null': return null
      case 'extern': return this.extern(value.id!)
      case 'func': case 'other': case 'either': throw new Excluded(`argument ${head(node)}`)
      default: return join(value.lanes.map(lane => lane.bytes))
    }
  }

  private extern (id: number): object {
    let object = this.externs.get(id)
    if (object === undefined) this.externs.set(id, object = { id })
    return object
  }

  private matches (ending: Ending, expected: readonly Node[]): boolean {
    if (!('results' in ending) || ending.results.length !== expected.length) return false
    return expected.every((node, i) => this.equals(ending.results[i]!, this.constants.value(node)))
  }

  private equals (result: Result, value: Value): boolean {
    if (value.type === 'either') return value.of.some(each => this.equals(result, each))
    if (!(result instanceof Uint8Array)) {
      const { reference } = result
      switch (value.type) {
        case 'null': return reference === null
        case 'func': return typeof reference === 'function'
        case 'extern': return value.id === undefined ? reference !== null : reference === this.extern(value.id)
        default: return false
      }
    }
    if (!('lanes' in value)) return false
    let at = 0
    return value.lanes.every(({ bytes, nan }) => {
      const lane = result.subarray(at, at += bytes.length)
      return nan === 'no' ? lane.every((byte, i) => byte === bytes[i]) : isNan(lane, nan)
    })
  }

  /** A module that cannot be instantiated, in both worlds for the same reason. */
  private fails (module: List, expected: (error: unknown) => boolean): [Verdict['kind'], string] {
    const wasm = this.assemble(module)
    const rewritten = this.rewritten(wasm)
    const attempt = (make: () => void): unknown => {
      try { make() } catch (error) { return error }
      return undefined
    }
    const imports = { plain: this.imports(rewritten.original, 'plain'), metered: this.imports(rewritten.original, 'metered') }
    const plain = attempt(() => new WebAssembly.Instance(new WebAssembly.Module(wasm), imports.plain))
    const metered = attempt(() => new Metered(rewritten, imports.metered, { fuel: FUEL, open: true }).start())
    if (!expected(plain)) throw new Excluded(PLAIN)
    return expected(metered) ? ['pass', ''] : ['fail', `plain ${String(plain)}; metered ${String(metered)}`]
  }

  /** A module that neither V8 nor the engine takes; the engine says so in its own words. */
  private refuses (module: List): [Verdict['kind'], string] {
    if (module.items.includes('quote')) throw new Excluded('text format')
    const wasm = this.assemble(module, false)
    if (WebAssembly.validate(wasm)) throw new Excluded(PLAIN)
    try {
      rewrite(wasm)
    } catch (error) {
      return error instanceof InosError && error.code === 'ERR_INVALID_MODULE' ? ['pass', ''] : ['fail', String(error)]
    }
    return ['fail', 'the engine takes an invalid module']
  }
}

function exhausted (error: unknown, pair: Pair): boolean {
  return error instanceof RangeError || (error instanceof WebAssembly.RuntimeError && pair.metered?.ended !== 0)
}

function typeOf (module: Module, index: number): FuncType {
  return module.types[module.functions[index]!]!
}

function describe (ending: Ending): string {
  if ('error' in ending) return String(ending.error)
  return `gave ${ending.results.map(result => result instanceof Uint8Array ? Buffer.from(result).toString('hex') : String(result.reference)).join(' ')}`
}

function isNan (lane: Uint8Array, kind: 'canonical' | 'arithmetic'): boolean {
  const [sign, quiet] = lane.length === 4 ? [1n << 31n, 0x7fc00000n] : [1n << 63n, 0x7ff8000000000000n]
  let bits = 0n
  for (let i = lane.length - 1; i >= 0; i--) bits = bits << 8n | BigInt(lane[i]!)
  bits &= ~sign
  return kind === 'canonical' ? bits === quiet : (bits & quiet) === quiet
}

/** A global as 16 bytes; scripts read only integers so. */
function bytesOf (value: unknown): Result {
  if (typeof value !== 'number' && typeof value !== 'bigint') return { reference: value }
  const bytes = new Uint8Array(16)
  const view = new DataView(bytes.buffer)
  if (typeof value === 'bigint') view.setBigInt64(0, value, true)
  else view.setInt32(0, value, true)
  return bytes
}

function join (parts: readonly Uint8Array[]): Uint8Array {
  return new Uint8Array(parts.flatMap(part => [...part]))
}

export function isAssertion (command: string): boolean { return command.startsWith('assert_') }
