/** Guest modules of a few lines for tests of the whole node that need WASI. */
import { wasm } from './wasm-builder.ts'

const WASI = 'wasi_snapshot_preview1'
const text = (value: string): Uint8Array => new TextEncoder().encode(value)
/** At 0 the one vector that is read into and written from: 6 MB from 1,024 on. */
const VECTOR = new Uint8Array(new Uint32Array([1_024, 6_000_000]).buffer)

/** stdin goes to stdout and into the file `/out/copy`; the exit code is its length modulo 4. */
export const SAVE = wasm({
  imports: [
    { module: WASI, name: 'fd_read', type: 'i32,i32,i32,i32:i32' },
    { module: WASI, name: 'fd_write', type: 'i32,i32,i32,i32:i32' },
    { module: WASI, name: 'path_create_directory', type: 'i32,i32,i32:i32' },
    { module: WASI, name: 'path_open', type: 'i32,i32,i32,i32,i32,i64,i64,i32,i32:i32' }
  ],
  memory: { min: 100 },
  data: [{ offset: 0, bytes: VECTOR }, { offset: 16, bytes: text('out') }, { offset: 32, bytes: text('out/copy') }],
  functions: [{
    type: ':i32',
    export: 'run',
    // How much was read becomes the vector's length.
    code: `
      i32.const 0 i32.const 0 i32.const 1 i32.const 4 call 0 drop
      i32.const 1 i32.const 0 i32.const 1 i32.const 64 call 1 drop
      i32.const 3 i32.const 16 i32.const 3 call 2 drop
      i32.const 3 i32.const 0 i32.const 32 i32.const 8 i32.const 1 i64.const 64 i64.const 0 i32.const 0 i32.const 68 call 3 drop
      i32.const 68 i32.load i32.const 0 i32.const 1 i32.const 64 call 1 drop
      i32.const 4 i32.load i32.const 3 i32.and`
  }],
  exports: { memory: 'memory 0' }
})
