/**
 * Guest modules of a few bytes for tests of the whole node, written down instruction by instruction
 * on the native interface: `memory` and `run: () → i32`, imports from `inos`.
 */

const I32 = 0x7f
const utf8 = (text: string): number[] => [...new TextEncoder().encode(text)]

/** Unsigned LEB128 (WebAssembly core specification, 5.2.2). */
function uint (value: number): number[] {
  return value < 0x80 ? [value] : [value & 0x7f | 0x80, ...uint(value >>> 7)]
}
const list = (items: readonly (readonly number[])[]): number[] => [...uint(items.length), ...items.flat()]
const name = (text: string): number[] => [...uint(utf8(text).length), ...utf8(text)]
const section = (id: number, body: readonly number[]): number[] => [id, ...uint(body.length), ...body]

type Signature = readonly [params: number, results: number]
interface Import { readonly name: string, readonly type: Signature }

const INPUT_SIZE: Import = { name: 'input_size', type: [0, 1] }
const INPUT_READ: Import = { name: 'input_read', type: [3, 1] }
const OUTPUT_WRITE: Import = { name: 'output_write', type: [2, 1] }
const SAY: Import = { name: 'log', type: [2, 0] }

/** A module whose function `export` has one local and this body; imports are functions 0, 1, … */
function guest (imports: readonly Import[], body: readonly number[], exported = 'run', pages = 1): Uint8Array {
  const types: Signature[] = [...imports.map(({ type }) => type), [0, 1]]
  const type = ([params, results]: Signature): number[] => [0x60, ...list(Array<number[]>(params).fill([I32])), ...list(Array<number[]>(results).fill([I32]))]
  const code = [1, 1, I32, ...body, 0x0b]
  return Uint8Array.from([
    0x00, 0x61, 0x73, 0x6d, 1, 0, 0, 0,
    ...section(1, list(types.map(type))),
    ...section(2, list(imports.map(({ name: field }, i) => [...name('inos'), ...name(field), 0, i]))),
    ...section(3, list([[imports.length]])),
    ...section(5, list([[0, ...uint(pages)]])),
    ...section(7, list([[...name('memory'), 2, 0], [...name(exported), 0, imports.length]])),
    ...section(10, list([[...uint(code.length), ...code]]))
  ])
}

const [CALL, GET, SET, CONST, DROP] = [0x10, 0x20, 0x21, 0x41, 0x1a]
/** 200 pages hold 12.5 MiB of input. */
const READ_ALL = [CALL, 0, SET, 0, CONST, 0, CONST, 0, GET, 0, CALL, 1, DROP]

/** Result = input. */
export const ECHO = guest([INPUT_SIZE, INPUT_READ, OUTPUT_WRITE], [...READ_ALL, CONST, 0, GET, 0, CALL, 2, DROP, CONST, 0], 'run', 200)
/** What stdin says goes to stderr. */
export const LOG = guest([INPUT_SIZE, INPUT_READ, SAY], [...READ_ALL, CONST, 0, GET, 0, CALL, 2, CONST, 0], 'run', 200)
/** Exit code = length of the input. */
export const EXIT_BY_LENGTH = guest([INPUT_SIZE], [CALL, 0])
/** (loop (br 0)) */
export const ENDLESS = guest([], [0x03, 0x40, 0x0c, 0, 0x0b, CONST, 0])
/** unreachable */
export const TRAP = guest([], [0x00])
/** Grows its memory page by page until that fails; exit code = pages it got. */
export const GROW = guest([], [0x03, 0x40, CONST, 1, 0x40, 0, CONST, 0x7f, 0x47, 0x0d, 0, 0x0b, 0x3f, 0])
/** Exports no `run` and no `_start`. */
export const WITHOUT_RUN = guest([], [CONST, 0], 'walk')
/** Imports what nobody offers. */
export const UNKNOWN_IMPORT = guest([{ name: 'launch', type: [0, 1] }], [CALL, 0])
