/**
 * Guests that have children, for tests and campaigns: `fan` computes itself, so many times on so many
 * levels, and counts who was there; `call` says what the functions of children give for numbers it is told.
 */
import { wasm } from './wasm-builder.ts'

const IMPORTS = [
  { module: 'inos', name: 'input_read', type: 'i32,i32,i32:i32' },
  { module: 'inos', name: 'output_write', type: 'i32,i32:i32' },
  { module: 'inos', name: 'compute', type: 'i32,i32:i32' },
  { module: 'inos', name: 'result_size', type: 'i32:i32' },
  { module: 'inos', name: 'result_exit', type: 'i32:i32' },
  { module: 'inos', name: 'result_read', type: 'i32,i32,i32,i32:i32' },
  { module: 'inos', name: 'result_drop', type: 'i32:i32' }
]
const EXPORTS = { memory: 'memory 0' }
export const SPEC_BYTES = 56

/**
 * Input: u32 levels, u32 width, u32 descendants, u32 work, u64 fuel. Result: u32, itself and all below it. A child gets a
 * (width + 1)-th of the fuel; `work` is turned round so many times before anything else.
 */
export const FAN = wasm({
  imports: IMPORTS,
  memory: { min: 1 },
  exports: EXPORTS,
  functions: [{
    type: ':i32',
    locals: 'i32 i32 i32 i32',
    export: 'run',
    code: `i32.const 0 i32.const 0 i32.const 24 call 0 drop
      i32.const 0 i32.load@12 local.set 3
      loop local.get 3 i32.const 1 i32.sub local.tee 3 i32.const 0 i32.gt_s br_if 0 end
      i32.const 1 local.set 2
      i32.const 0 i32.load@4 local.set 1
      i32.const 0 i32.load if
        i32.const 0 i32.const 0 i32.load i32.const 1 i32.sub i32.store@128
        i32.const 0 local.get 1 i32.store@132
        i32.const 0 i32.const 0 i32.load@8 local.get 1 i32.div_u i32.const 1 i32.sub i32.store@136
        i32.const 0 i32.const 0 i32.load@12 i32.store@140
        i32.const 0 i32.const 0 i64.load@16 local.get 1 i32.const 1 i32.add i64.extend_i32_u i64.div_u i64.store@144
        i32.const 0 i32.const 128 i32.store@72
        i32.const 0 i32.const 24 i32.store@76
        i32.const 0 i32.const 0 i64.load@144 i64.store@96
        i32.const 0 i32.const 4 i32.store@108
        i32.const 0 i32.const 0 i32.load@136 i32.store@112
        loop
          i32.const 64 i32.const 56 call 2 local.tee 3 i32.const 0 i32.lt_s if local.get 3 return end
          local.get 0 i32.const 1 i32.add local.tee 0 local.get 1 i32.lt_u br_if 0
        end
        i32.const 0 local.set 0
        loop
          local.get 0 call 3 local.tee 3 i32.const 0 i32.lt_s if local.get 3 return end
          local.get 0 i32.const 256 i32.const 0 i32.const 4 call 5 drop
          i32.const 0 i32.load@256 local.get 2 i32.add local.set 2
          local.get 0 call 6 drop
          local.get 0 i32.const 1 i32.add local.tee 0 local.get 1 i32.lt_u br_if 0
        end
      end
      i32.const 0 local.get 2 i32.store@256
      i32.const 256 i32.const 4 call 1 drop i32.const 0`
  }]
})

/** A guest of these functions whose code is told; it has read its input to address 0. Functions in the order of the imports. */
export function guestOf (code: string, locals = ''): Uint8Array<ArrayBuffer> {
  return wasm({
    imports: IMPORTS, memory: { min: 1 }, exports: EXPORTS,
    functions: [{ type: ':i32', locals, export: 'run', code: `i32.const 0 i32.const 0 i32.const 65536 call 0 drop ${code}` }]
  })
}

export interface FanOptions { levels: number, width: number, fuel: bigint, work?: number, descendants?: number }

/** Descendants of a full fan. */
export function fanSize ({ levels, width }: Pick<FanOptions, 'levels' | 'width'>): number {
  return levels === 0 ? 0 : width * (1 + fanSize({ levels: levels - 1, width }))
}

export function fanInput ({ levels, width, fuel, work = 1, descendants = fanSize({ levels, width }) }: FanOptions): Uint8Array {
  const bytes = new Uint8Array(24)
  const view = new DataView(bytes.buffer)
  view.setUint32(0, levels, true)
  view.setUint32(4, width, true)
  view.setUint32(8, descendants, true)
  view.setUint32(12, work, true)
  view.setBigUint64(16, fuel, true)
  return bytes
}

export interface ChildSpec {
  module?: [ptr: number, len: number]
  input?: [ptr: number, len: number]
  entry?: [ptr: number, len: number]
  args?: [ptr: number, len: number]
  fuel?: bigint
  pages?: number
  output?: number
  descendants?: number
  zero?: number
}

/** The 56 bytes a guest hands to `compute`. */
export function childSpec ({ module = [0, 0], input = [0, 0], entry = [0, 0], args = [0, 0], fuel = 1_000_000n, pages = 0, output = 0, descendants = 0, zero = 0 }: ChildSpec): Uint8Array {
  const bytes = new Uint8Array(SPEC_BYTES)
  const view = new DataView(bytes.buffer)
  ;[...module, ...input, ...entry, ...args].forEach((value, at) => { view.setUint32(4 * at, value, true) })
  view.setBigUint64(32, fuel, true)
  view.setUint32(40, pages, true)
  view.setUint32(44, output, true)
  view.setUint32(48, descendants, true)
  view.setUint32(52, zero, true)
  return bytes
}
