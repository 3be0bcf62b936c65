/** The speed of a node's executors, by a short run. */
import type { Runtime } from '../wasm/runtime.ts'

/** `(func (export "run") (result i32) (local i32) (loop (br_if 0 (i32.lt_u (local.tee 0 (i32.add (local.get 0) (i32.const 1))) (i32.const 12000000)))) (i32.const 0))` and a memory. */
const LOOP = Uint8Array.from([
  0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
  1, 5, 1, 0x60, 0, 1, 0x7f,
  3, 2, 1, 0,
  5, 3, 1, 0, 1,
  7, 16, 2, 6, 0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 2, 0, 3, 0x72, 0x75, 0x6e, 0, 0,
  10, 26, 1, 24, 1, 1, 0x7f,
  0x03, 0x40, 0x20, 0, 0x41, 1, 0x6a, 0x22, 0, 0x41, 0x80, 0xb6, 0xdc, 0x05, 0x49, 0x0d, 0, 0x0b, 0x41, 0, 0x0b
])

/** Let an executor run a loop of some 80 million fuel, twice: only warm runs count, and while the first goes on V8 compiles it well. */
export async function calibrate (runtime: Runtime): Promise<void> {
  const run = {
    moduleId: 'calibration', wasm: LOOP, input: new Uint8Array(0), entry: '', args: [], env: {}, files: {}, outputs: [],
    limits: { fuelMax: 1_000_000_000n, memoryPagesMax: 1, outputBytesMax: 0 }, seed: new Uint8Array(32)
  }
  for (let runs = 0; runs < 2; runs++) await runtime.execute(run, { payer: '' })
}
