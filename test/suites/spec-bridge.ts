/**
 * Calls an exported function with exact bits. A number that passes through JavaScript may lose the
 * bits of a NaN, and a vector cannot pass at all; so a small module per signature loads arguments
 * from a memory, calls, and stores results there. References go through JavaScript.
 */
import { Writer } from '../../src/wasm/binary.ts'
import type { FuncType } from '../../src/wasm/decode.ts'
import { OP, TYPE } from '../../src/wasm/opcodes.ts'

/** Bytes a value has in memory, and where results begin. */
const SLOT = 16
const RESULTS = 128 * SLOT

/** Codes of load and store, v128's behind the prefix. */
const LOAD: Readonly<Record<number, readonly number[]>> = {
  [TYPE.i32]: [0x28], [TYPE.i64]: [0x29], [TYPE.f32]: [0x2a], [TYPE.f64]: [0x2b], [TYPE.v128]: [OP.fd, 0]
}
const STORE: Readonly<Record<number, readonly number[]>> = {
  [TYPE.i32]: [0x36], [TYPE.i64]: [0x37], [TYPE.f32]: [0x38], [TYPE.f64]: [0x39], [TYPE.v128]: [OP.fd, 11]
}

const compiled = new Map<string, WebAssembly.Module>()
const bridges = new WeakMap<WebAssembly.ExportValue, Bridge>()

/** One memory for all: nothing in it outlives a call. */
const shared = new WebAssembly.Memory({ initial: 1 })
const memory = new Uint8Array(shared.buffer)

type Bridge = (...references: unknown[]) => unknown

/** What a call gave: the bytes of a number's slot, or a reference. */
export type Result = Uint8Array | { readonly reference: unknown }

/** @param args bytes of numbers, references as they are */
export function callExactly (target: WebAssembly.ExportValue, type: FuncType, args: readonly unknown[]): Result[] {
  const call = bridgeTo(target, type)
  memory.fill(0, 0, RESULTS + SLOT * type.results.length)
  const references: unknown[] = []
  args.forEach((arg, i) => {
    if (LOAD[type.params[i]!] === undefined) references.push(arg)
    else memory.set(arg as Uint8Array, i * SLOT)
  })
  const returned = call(...references)
  const given = Array.isArray(returned) ? [...returned] : [returned]
  return Array.from(type.results, (code, i) => {
    const at = RESULTS + i * SLOT
    return STORE[code] === undefined ? { reference: given.shift() } : memory.slice(at, at + SLOT)
  })
}

function bridgeTo (target: WebAssembly.ExportValue, type: FuncType): Bridge {
  let bridge = bridges.get(target)
  if (bridge === undefined) {
    const key = `${type.params}:${type.results}`
    let module = compiled.get(key)
    if (module === undefined) compiled.set(key, module = new WebAssembly.Module(bridgeModule(type)))
    bridge = new WebAssembly.Instance(module, { t: { f: target, memory: shared } }).exports['call'] as Bridge
    bridges.set(target, bridge)
  }
  return bridge
}

function bridgeModule ({ params, results }: FuncType): Uint8Array<ArrayBuffer> {
  const out = new Writer()
  const section = (id: number, write: (content: Writer) => void): void => {
    const content = new Writer()
    write(content)
    out.u8(id)
    out.u32(content.length)
    out.copy(content.view())
  }
  const own = params.filter(code => LOAD[code] === undefined)
  out.ops(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0)
  section(1, content => {
    content.ops(2, TYPE.function, params.length, ...params, results.length, ...results)
    const references = results.filter(code => STORE[code] === undefined)
    content.ops(TYPE.function, own.length, ...own, references.length, ...references)
  })
  section(2, content => {
    content.u8(2)
    content.name('t')
    content.name('f')
    content.ops(0, 0)
    content.name('t')
    content.name('memory')
    content.ops(2, 0, 1)
  })
  section(3, content => { content.ops(1, 1) })
  section(7, content => {
    content.u8(1)
    content.name('call')
    content.ops(0, 1)
  })
  section(10, content => {
    const body = bridgeBody(params, results, own.length)
    content.u8(1)
    content.u32(body.length)
    content.copy(body.view())
  })
  return out.finish()
}

function bridgeBody (params: Uint8Array, results: Uint8Array, references: number): Writer {
  const body = new Writer()
  body.u32(results.length)
  for (const code of results) body.ops(1, code)
  let reference = 0
  params.forEach((code, i) => {
    const load = LOAD[code]
    if (load === undefined) body.ops(OP.localGet, reference++)
    else access(body, i * SLOT, load)
  })
  body.ops(OP.call, 0)
  for (let i = results.length - 1; i >= 0; i--) {
    body.u8(OP.localSet)
    body.u32(references + i)
  }
  results.forEach((code, i) => {
    const store = STORE[code]
    if (store === undefined) return
    body.ops(OP.i32Const, 0, OP.localGet)
    body.u32(references + i)
    body.ops(...store, 0)
    body.u32(RESULTS + i * SLOT)
  })
  results.forEach((code, i) => {
    if (STORE[code] !== undefined) return
    body.u8(OP.localGet)
    body.u32(references + i)
  })
  body.u8(OP.end)
  return body
}

function access (body: Writer, offset: number, op: readonly number[]): void {
  body.ops(OP.i32Const, 0, ...op, 0)
  body.u32(offset)
}
