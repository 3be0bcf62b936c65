/** Guests for tests of modules that keep a state between their calls. */
import { wasm } from './wasm-builder.ts'

const READ = { module: 'inos', name: 'input_read', type: 'i32,i32,i32:i32' }
const WRITE = { module: 'inos', name: 'output_write', type: 'i32,i32:i32' }

/**
 * A message is a number, u32: it is added up in a global, and messages are counted in memory. The reply is count and sum, u64 each.
 * Zero traps after it was counted, and −1 grows the memory by a page.
 */
export const COUNTER: Uint8Array = wasm({
  imports: [READ, WRITE],
  memory: { min: 3, max: 64 },
  globals: ['mut i64 0'],
  functions: [{
    type: ':i32',
    code: `i32.const 64 i32.const 0 i32.const 4 call 0 drop
      i32.const 65536 i32.const 65536 i64.load i64.const 1 i64.add i64.store
      i32.const 64 i32.load i32.eqz if unreachable end
      i32.const 64 i32.load i32.const -1 i32.eq if i32.const 1 memory.grow 0 drop end
      global.get 0 i32.const 64 i32.load i64.extend_i32_u i64.add global.set 0
      i32.const 72 i32.const 65536 i64.load i64.store i32.const 80 global.get 0 i64.store
      i32.const 72 i32.const 16 call 1 drop i32.const 0`,
    export: 'run'
  }],
  // A page that no message changes.
  data: [{ offset: 131_072, bytes: Uint8Array.of(1, 2, 3) }],
  exports: { memory: 'memory 0' }
})

/** What the counter is told. */
export function number (value: number): Uint8Array {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, value, true)
  return bytes
}

/** What it replies. */
export function counted (reply: Uint8Array): { count: number, sum: number } {
  const view = new DataView(reply.buffer, reply.byteOffset, reply.length)
  return { count: Number(view.getBigUint64(0, true)), sum: Number(view.getBigUint64(8, true)) }
}
