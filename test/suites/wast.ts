/**
 * Reads the official spec scripts (`*.wast`): commands with their lines, and the constants in them
 * as bytes. Modules in the text format are wabt's work, and so is every literal: all constants of a
 * script become globals of one module, out of whose binary their bits are read.
 */
import binaryen from 'binaryen'
import wabt from 'wabt'
import { Reader } from '../../src/wasm/binary.ts'
import { SECTION } from '../../src/wasm/decode.ts'
import { OP } from '../../src/wasm/opcodes.ts'

const tools = await wabt()
const TEXT_FEATURES = {
  exceptions: true, mutable_globals: true, sat_float_to_int: true, sign_extension: true, simd: true, threads: true, function_references: true,
  multi_value: true, tail_call: true, bulk_memory: true, reference_types: true, annotations: true, code_metadata: true, gc: true, memory64: true,
  extended_const: true, relaxed_simd: true, multi_memory: true
}

/** An atom or string is text, strings keeping their quotes; a list knows where it stands. */
export type Node = string | List
export interface List { readonly items: Node[], readonly start: number, end: number, readonly line: number }

export function isList (node: Node | undefined): node is List { return typeof node === 'object' }

/** The word a list begins with. */
export function head (node: Node | undefined): string {
  return isList(node) && typeof node.items[0] === 'string' ? node.items[0] : ''
}

const TOKEN = /\(;|;;[^\n\r]*|\(@|[()]|"(?:[^"\\]|\\[\s\S])*"|[^\s()";]+|\s+|;/y

/** Read a script, given with one character per byte so that places in it are places in the file. */
export function parse (text: string): List[] {
  const top: List = { items: [], start: 0, end: text.length, line: 1 }
  const open = [top]
  let line = 1
  for (let at = 0; at < text.length;) {
    TOKEN.lastIndex = at
    const token = TOKEN.exec(text)?.[0]
    if (token === undefined) throw new Error(`line ${line}: cannot be read`)
    const end = token === '(;' ? endOfComment(text, at) : at + token.length
    const list = open.at(-1)!
    if (token === '(' || token === '(@') {
      const inner: List = { items: token === '(@' ? ['@'] : [], start: at, end, line }
      list.items.push(inner)
      open.push(inner)
    } else if (token === ')') {
      list.end = end
      open.pop()
      if (open.length === 0) throw new Error(`line ${line}: one ")" too many`)
    } else if (!/^(\(;|;;|\s)/.test(token)) {
      list.items.push(token)
    }
    for (let i = at; i < end; i++) if (text.charCodeAt(i) === 10) line++
    at = end
  }
  return top.items.filter(isList)
}

function endOfComment (text: string, start: number): number {
  let depth = 0
  for (let at = start; at < text.length; at++) {
    if (text.startsWith('(;', at)) { depth++; at++ }
    else if (text.startsWith(';)', at)) {
      at++
      if (--depth === 0) return at + 1
    }
  }
  throw new Error('a comment does not end')
}

const ESCAPES: Readonly<Record<string, string>> = { t: '\t', n: '\n', r: '\r', '"': '"', "'": "'", '\\': '\\' }

/** A quoted string as bytes, one character each. */
export function unquote (text: string): string {
  return text.slice(1, -1).replace(/\\(u\{([0-9a-fA-F_]+)\}|[0-9a-fA-F]{2}|.)/gs, (_, short: string, code: string | undefined) => {
    if (code !== undefined) return Buffer.from(String.fromCodePoint(Number.parseInt(code.replaceAll('_', ''), 16))).toString('latin1')
    return ESCAPES[short] ?? String.fromCharCode(Number.parseInt(short, 16))
  })
}

/** A name as JavaScript has it. */
export function nameOf (node: Node | undefined): string {
  return Buffer.from(unquote(node as string), 'latin1').toString()
}

/**
 * The module a `(module …)` stands for; undefined if its text is not known.
 * @param valid whether it is meant to be: then binaryen may try what wabt is too old for
 */
export function binaryOf (module: List, text: string, valid: boolean): Uint8Array<ArrayBuffer> | undefined {
  const at = module.items.findIndex((item, i) => i > 0 && (item === 'binary' || item === 'quote'))
  const form = at >= 0 && at <= 3 ? module.items[at] : ''
  const quoted = (): string => module.items.slice(at + 1).map(item => unquote(item as string)).join(form === 'quote' ? ' ' : '')
  if (form === 'binary') return Uint8Array.from(Buffer.from(quoted(), 'latin1'))
  const source = form === 'quote' ? quoted() : text.slice(module.start, module.end).replace(/^\(module\s+definition\b/, '(module')
  const bytes = Buffer.from(source, 'latin1')
  return assemble(bytes) ?? (valid ? assembleNew(bytes.toString()) : undefined)
}

/** binaryen rewrites what it reads, so wabt comes first; but it knows the newest types. */
function assembleNew (source: string): Uint8Array<ArrayBuffer> | undefined {
  try {
    const module = binaryen.parseText(source)
    try {
      module.setFeatures(binaryen.Features.All)
      return new Uint8Array(module.emitBinary())
    } finally {
      module.dispose()
    }
  } catch {
    return undefined
  }
}

function assemble (source: Uint8Array): Uint8Array<ArrayBuffer> | undefined {
  try {
    // wabt takes all of the buffer a view is of.
    const module = tools.parseWat('script', new Uint8Array(source), TEXT_FEATURES)
    try {
      module.resolveNames()
      return new Uint8Array(module.toBinary({}).buffer)
    } finally {
      module.destroy()
    }
  } catch {
    return undefined
  }
}

/** The bits of a value or, for a NaN of which the script says only the kind, of one lane. */
export interface Lane { readonly bytes: Uint8Array, readonly nan: 'no' | 'canonical' | 'arithmetic' }
/** A constant, or a value that is expected. */
export type Value =
  | { readonly type: 'i32' | 'i64' | 'f32' | 'f64' | 'v128', readonly lanes: readonly Lane[] }
  | { readonly type: 'null' | 'func' | 'other' }
  | { readonly type: 'extern', readonly id: number | undefined }
  | { readonly type: 'either', readonly of: readonly Value[] }

const NAN = /^nan:(canonical|arithmetic)$/

/** All constants of a script, by their text. */
export class Constants {
  private readonly bits = new Map<string, Uint8Array>()

  constructor (commands: readonly List[]) {
    const texts = new Set<string>()
    const visit = (node: Node): void => {
      if (!isList(node)) return
      if (isNumeric(node)) texts.add(literal(node))
      else for (const item of node.items) visit(item)
    }
    for (const command of commands) for (const item of command.items) if (head(item) !== 'module') visit(item)
    this.read([...texts])
  }

  value (node: Node): Value {
    const word = head(node)
    const list = node as List
    if (word === 'either') return { type: 'either', of: list.items.slice(1).map(item => this.value(item)) }
    if (word === 'ref.null') return { type: 'null' }
    if (word === 'ref.func') return { type: 'func' }
    if (word === 'ref.extern') return { type: 'extern', id: list.items[1] === undefined ? undefined : Number(list.items[1]) }
    if (!isNumeric(list)) return { type: 'other' }
    const type = word.slice(0, word.indexOf('.')) as 'i32' | 'i64' | 'f32' | 'f64' | 'v128'
    const all = this.bits.get(literal(list))
    if (all === undefined) return { type: 'other' }
    const kinds = list.items.slice(type === 'v128' ? 2 : 1).map(item => NAN.exec(item as string)?.[1] ?? 'no') as Lane['nan'][]
    const size = all.length / kinds.length
    return { type, lanes: kinds.map((nan, i) => ({ nan, bytes: all.subarray(i * size, (i + 1) * size) })) }
  }

  private read (texts: readonly string[]): void {
    const wasm = assemble(Buffer.from(`(module ${texts.map(text => `(global ${text.slice(1, text.indexOf('.'))} ${text})`).join('\n')})`))
    if (wasm === undefined) {
      // One literal wabt does not know spoils all: find it by halves.
      if (texts.length < 2) return
      this.read(texts.slice(0, texts.length / 2))
      this.read(texts.slice(texts.length / 2))
      return
    }
    const reader = new Reader(wasm, 8)
    while (!reader.done) {
      const id = reader.u8()
      const size = reader.u32()
      if (id === SECTION.global) break
      reader.skip(size)
    }
    if (texts.length === 0) return
    reader.u32()
    for (const text of texts) {
      reader.skip(2)
      this.bits.set(text, bitsOf(reader))
      reader.skip(1)
    }
  }
}

function isNumeric (list: List): boolean { return /^(i32|i64|f32|f64|v128)\.const$/.test(head(list)) }

function literal (list: List): string {
  return `(${list.items.map(item => NAN.test(item as string) ? '0' : item as string).join(' ')})`
}

function bitsOf (reader: Reader): Uint8Array {
  const op = reader.u8()
  const take = (count: number): Uint8Array => {
    reader.skip(count)
    return reader.bytes.slice(reader.at - count, reader.at)
  }
  switch (op) {
    case OP.i32Const: return new Uint8Array(Int32Array.of(Number(BigInt.asIntN(32, signedLeb(reader)))).buffer)
    case OP.i64Const: return new Uint8Array(BigInt64Array.of(signedLeb(reader)).buffer)
    case OP.f32Const: return take(4)
    case OP.f64Const: return take(8)
    default:
      reader.u32()
      return take(16)
  }
}

function signedLeb (reader: Reader): bigint {
  let value = 0n
  for (let shift = 0n; ; shift += 7n) {
    const byte = reader.u8()
    value |= BigInt(byte & 0x7f) << shift
    if (byte < 0x80) return BigInt.asIntN(64, (byte & 0x40) === 0 ? value : value - (1n << (shift + 7n)))
  }
}
