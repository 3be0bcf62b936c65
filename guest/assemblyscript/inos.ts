/**
 * The native interface of INOS for AssemblyScript. A guest exports its memory, as asc does by itself, and
 *
 *   export function run (): i32 { return 0 }
 *
 * whose value is the job's exit code. Compile with `--use abort=`, since there is no `env.abort`.
 */

@external('inos', 'input_size')
declare function input_size (): u32

@external('inos', 'input_read')
declare function input_read (to: usize, offset: u32, length: u32): i32

@external('inos', 'output_write')
declare function output_write (from: usize, length: u32): i32

@external('inos', 'log')
declare function log_write (text: usize, length: u32): void

/** Bytes of the input. */
export function inputSize (): i32 {
  return input_size()
}

/** Copies input from `offset` on: bytes copied, fewer than there is room for only at the end of the input. */
export function inputRead (offset: i32, to: Uint8Array): i32 {
  return input_read(to.dataStart, offset, to.length)
}

/** The whole input. */
export function input (): Uint8Array {
  const bytes = new Uint8Array(input_size())
  input_read(bytes.dataStart, 0, bytes.length)
  return bytes
}

/** The whole input as text. */
export function inputText (): string {
  return String.UTF8.decode(input().buffer)
}

/** Appends to the result. */
export function output (bytes: Uint8Array): void {
  output_write(bytes.dataStart, bytes.length)
}

export function outputText (text: string): void {
  const bytes = String.UTF8.encode(text)
  output_write(changetype<usize>(bytes), bytes.byteLength)
}

/** A line for whoever runs the job, on stderr and outside of any proof; 64 KiB are kept. */
export function log (text: string): void {
  const bytes = String.UTF8.encode(text)
  log_write(changetype<usize>(bytes), bytes.byteLength)
}

@external('inos', 'compute')
declare function compute (spec: usize, length: u32): i32

@external('inos', 'result_size')
declare function result_size (handle: i32): i32

@external('inos', 'result_exit')
declare function result_exit (handle: i32): i32

@external('inos', 'result_read')
declare function result_read (handle: i32, to: usize, offset: u32, length: u32): i32

@external('inos', 'result_drop')
declare function result_drop (handle: i32): i32

/**
 * Other WASM, computed anywhere. What it gets is carved from what this guest has; what it does not burn comes back when it is
 * waited for. Everything but `fuelMax` has a default.
 */
export class Child {
  /** The CID of a module as text, which the job's caller hands over; empty: this module itself. */
  module: string = ''
  input: Uint8Array = new Uint8Array(0)
  /** Exported function; empty: `_start`, else `run`. */
  entry: string = ''
  args: string[] = []
  /** Fuel it may burn, with all below it. */
  fuelMax: u64 = 0
  /** 0: as many as this guest may have. */
  memoryPagesMax: u32 = 0
  /** 0: 64 KiB. */
  outputBytesMax: u32 = 0
  /** Children it may have in turn, and they again, all together. */
  descendantsMax: u32 = 0
  private handle: i32 = -8

  /** Starts it, and does not wait: 0, or below zero why not, as inos.h lists it. Costs 1,000,000 fuel and the copying of its input. */
  start (): i32 {
    const module = String.UTF8.encode(this.module)
    const entry = String.UTF8.encode(this.entry)
    const args = String.UTF8.encode(this.args.length == 0 ? '' : this.args.join('\0') + '\0')
    const spec = new DataView(new ArrayBuffer(56))
    put(spec, 0, changetype<usize>(module), module.byteLength)
    put(spec, 8, this.input.dataStart, this.input.length)
    put(spec, 16, changetype<usize>(entry), entry.byteLength)
    put(spec, 24, changetype<usize>(args), args.byteLength)
    spec.setUint64(32, this.fuelMax, true)
    spec.setUint32(40, this.memoryPagesMax, true)
    spec.setUint32(44, this.outputBytesMax, true)
    spec.setUint32(48, this.descendantsMax, true)
    this.handle = compute(spec.dataStart, 56)
    return this.handle < 0 ? this.handle : 0
  }

  /** Waits: its exit code, or below zero how it ended. */
  exitCode (): i32 {
    return result_exit(this.handle)
  }

  /** Waits: its result, whose room is given back; empty where it did not end by itself. */
  result (): Uint8Array {
    const size = result_size(this.handle)
    const bytes = new Uint8Array(max(size, 0))
    result_read(this.handle, bytes.dataStart, 0, bytes.length)
    result_drop(this.handle)
    return bytes
  }
}

function put (spec: DataView, at: i32, from: usize, length: i32): void {
  spec.setUint32(at, <u32>from, true)
  spec.setUint32(at + 4, length, true)
}
