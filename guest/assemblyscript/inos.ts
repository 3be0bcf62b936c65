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
