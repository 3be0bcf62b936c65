/** Small guests for tests and benchmarks, on the native interface. */
import { wasm } from './wasm-builder.ts'

const IMPORTS = [
  { module: 'inos', name: 'input_size', type: ':i32' },
  { module: 'inos', name: 'input_read', type: 'i32,i32,i32:i32' },
  { module: 'inos', name: 'output_write', type: 'i32,i32:i32' }
]

/** Writes its input, at most one page of it, after counting `rounds` down to zero. */
export function echo (rounds = 0): Uint8Array {
  return wasm({
    imports: IMPORTS,
    memory: { min: 1 },
    exports: { memory: 'memory 0' },
    functions: [{
      type: ':i32',
      locals: 'i32',
      export: 'run',
      code: `i32.const ${rounds} local.set 0
        block loop local.get 0 i32.eqz br_if 1 local.get 0 i32.const 1 i32.sub local.set 0 br 0 end end
        i32.const 0 i32.const 0 call 0 call 1 drop
        i32.const 0 call 0 call 2 drop
        i32.const 0`
    }]
  })
}
