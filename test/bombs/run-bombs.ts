/** Guests that are costly or treacherous once they run: memory, tables, stack, output, host calls, meter, imports. */
import { Writer } from '../../src/wasm/binary.ts'
import { RIGHTS_DIRECTORY } from '../../src/wasm/guest/wasi-abi.ts'
import { OP, TYPE } from '../../src/wasm/opcodes.ts'
import { wasm } from '../wasm-builder.ts'
import type { Parts } from '../wasm-builder.ts'
import type { Bomb } from './compile-bombs.ts'
import { constant, join, leb, raw, repeat } from './raw-module.ts'

const WASI = 'wasi_snapshot_preview1'
const SPIN = 'loop br 0 end'
/** Again and again, whatever it does; what it leaves is dropped. */
const forever = (code: string): string => `loop ${code} br 0 end`

function program (code: string, parts: Omit<Parts, 'functions'> = {}, type = ':'): () => Uint8Array {
  return () => wasm({ memory: { min: 1 }, ...parts, exports: { memory: 'memory 0', ...parts.exports }, functions: [{ type, code, export: 'run', locals: 'i32 i64' }] })
}

/** A guest with imports of WASI: [name, type, its arguments], called for ever. */
function calls (name: string, type: string, args: string, before = ''): () => Uint8Array {
  const drop = type.endsWith(':i') ? 'drop' : ''
  return program(`${before} ${forever(`${args} call 0 ${drop}`)}`, { imports: [{ module: WASI, name, type: types(type) }], data: [{ offset: 0, bytes: VECTORS }] })
}

function types (letters: string): string {
  const [params, results] = letters.split(':') as [string, string]
  const name = (letter: string): string => ({ i: 'i32', I: 'i64' })[letter] ?? 'f64'
  return `${[...params].map(name).join(',')}:${[...results].map(name).join(',')}`
}

/** At 0 a vector of 60,000 bytes from 1,024 on, then one out of bounds; at 512 the name "f". */
const VECTORS = (() => {
  const bytes = new Uint8Array(520)
  new Uint32Array(bytes.buffer, 0, 4).set([1_024, 60_000, 0xfffffff0, 0xffffffff])
  bytes[512] = 0x66
  return bytes
})()

function wasiImport (name: string, type: string): { module: string, name: string, type: string } { return { module: WASI, name, type: types(type) } }

/** A name of four letters that was hardly used before, at 512. */
const NEW_NAME = 'i32.const 512 local.get 0 i32.const 1103515245 i32.mul i32.const 12345 i32.add local.tee 0 i32.const 1061109567 i32.and i32.const 1077952576 i32.or i32.store'
const OPEN_TYPE = 'iiiiiIIii:i'

/** `code` so often, counting at 700. */
function times (count: number, code: string): string {
  return `loop ${code} i32.const 700 i32.const 700 i32.load i32.const 1 i32.add i32.store i32.const 700 i32.load i32.const ${count} i32.lt_u br_if 0 end`
}

/** As `calls`, with an empty file open as descriptor 4. */
function withFile (name: string, type: string, args: string): () => Uint8Array {
  const open = 'i32.const 3 i32.const 0 i32.const 512 i32.const 1 i32.const 1 i64.const -1 i64.const -1 i32.const 0 i32.const 600 call 1 drop'
  return program(`${open} ${forever(`${args} call 0 drop`)}`, { imports: [wasiImport(name, type), wasiImport('path_open', OPEN_TYPE)], data: [{ offset: 0, bytes: VECTORS }] })
}

/** Make the directory "f" in the descriptor that local `fd` holds, and open it. */
function nest (fd: number): string {
  return `local.get ${fd} i32.const 512 i32.const 1 call 0 drop
    local.get ${fd} i32.const 0 i32.const 512 i32.const 1 i32.const 2 i64.const ${RIGHTS_DIRECTORY} i64.const -1 i32.const 0 i32.const 600 call 1 drop`
}

function nesting (third: [string, string], fourth: [string, string], code: string): Uint8Array {
  const imports = [wasiImport('path_create_directory', 'iii:i'), wasiImport('path_open', OPEN_TYPE), wasiImport(...third), wasiImport(...fourth)]
  return wasm({ imports, memory: { min: 1 }, data: [{ offset: 0, bytes: VECTORS }], exports: { memory: 'memory 0' }, functions: [{ type: ':', locals: 'i32 i32', code, export: 'run' }] })
}

/** A thousand directories in each other, removed from the innermost on, which stays open: then again, with one descriptor less. */
function keptBranches (): Uint8Array {
  return nesting(['path_remove_directory', 'iii:i'], ['fd_close', 'i:i'], `i32.const 1023 local.set 0 loop
    i32.const 3 local.set 1
    loop ${nest(1)} local.get 1 i32.const 1 i32.add local.tee 1 local.get 0 i32.lt_u br_if 0 end
    loop local.get 1 i32.const 1 i32.sub local.tee 1 i32.const 512 i32.const 1 call 2 drop local.get 1 i32.const 3 i32.gt_u br_if 0 end
    loop local.get 1 i32.const 1 i32.add local.tee 1 call 3 drop local.get 1 i32.const 1 i32.add local.get 0 i32.lt_u br_if 0 end
    local.get 0 i32.const 1 i32.sub local.tee 0 i32.const 5 i32.gt_u br_if 0 end`)
}

/** The outermost of them renamed into the innermost, which is refused only at the end of the way up. */
function deepRename (): Uint8Array {
  const step = `${nest(1)} local.get 1 i32.const 3 i32.gt_u if local.get 1 call 2 drop end i32.const 600 i32.load local.set 1`
  return nesting(['fd_close', 'i:i'], ['path_rename', 'iiiiii:i'], `i32.const 3 local.set 1 ${times(8_000, step)}
    ${forever('i32.const 3 i32.const 512 i32.const 1 local.get 1 i32.const 512 i32.const 1 call 3 drop')}`)
}

/** Bytes of one section replaced in a small valid module. */
function withSection (id: number, content: readonly number[]): () => Uint8Array {
  return () => raw({ functions: [{ code: [] }], sections: new Map([[id, Uint8Array.from(content)]]) })
}

/** A function with these bytes, in a module with memory and one global. */
function bytes (...code: number[]): () => Uint8Array { return () => raw({ memory: 1, globals: 1, functions: [{ code }] }) }

function imports (module: string, name: string, type = ':'): () => Uint8Array {
  return program('call 0', { imports: [{ module, name, type }] })
}

const exit = { module: WASI, name: 'proc_exit', type: 'i32:' }
const random = (count: number): Uint8Array => {
  const out = new Uint8Array(count)
  let state = 12_345
  for (let i = 0; i < count; i++) out[i] = (state = Math.imul(state, 1_103_515_245) + 12_345 >>> 0) >>> 24
  return out
}

export const RUN_BOMBS: readonly Bomb[] = [
  // Time.
  { name: 'an empty loop', make: program(SPIN) },
  { name: 'loops in loops', make: program('loop loop loop br 2 end end end') },
  { name: 'a loop through a br_table', make: program('block loop i32.const 1 br_table[1,0,0] end end') },
  { name: 'random loads from all of a large memory', make: program(forever('local.get 0 i32.const 1103515245 i32.mul i32.const 12345 i32.add local.tee 0 i32.const 4194300 i32.and i32.load drop'), { memory: { min: 4_000 } }) },
  { name: 'random stores to all of a large memory', make: program(forever('local.get 0 i32.const 1103515245 i32.mul i32.const 12345 i32.add local.tee 0 i32.const 268435452 i32.and i32.const 1 i32.store'), { memory: { min: 4_096 } }) },
  { name: 'divisions of 64 bits', make: program(forever('i64.const -1 local.get 1 i64.const 1 i64.or i64.rem_s local.set 1')) },
  // Memory.
  { name: 'a memory of 65,536 pages', make: program('nop', { memory: { min: 65_536 } }), refused: true },
  { name: 'a memory that grows by a page for ever', make: program(forever('i32.const 1 memory.grow 0 drop')) },
  { name: 'a memory that grows by all there is', make: program(forever('i32.const -1 memory.grow 0 drop i32.const 4095 memory.grow 0 drop')) },
  { name: 'a memory that is grown and written whole', make: program(`i32.const 4095 memory.grow 0 drop ${forever('i32.const 0 i32.const 255 i32.const 268435456 memory.fill 0')}`) },
  { name: 'memory.fill of all memory', make: program(forever('i32.const 0 i32.const 1 i32.const 65536 memory.fill 0')) },
  { name: 'memory.fill of seven bytes, which costs least', make: program(forever('i32.const 3 i32.const 1 i32.const 7 memory.fill 0')) },
  { name: 'memory.copy over itself', make: program(`i32.const 2047 memory.grow 0 drop ${forever('i32.const 1 i32.const 0 i32.const 100000000 memory.copy 0 0')}`) },
  { name: 'memory.init of a large segment', make: program(forever('i32.const 0 i32.const 0 i32.const 60000 memory.init 0 0'), { data: [{ bytes: new Uint8Array(60_000) }] }) },
  { name: 'data written out of bounds at the start', make: program('nop', { data: [{ offset: 65_530, bytes: new Uint8Array(60) }] }) },
  { name: 'fifty megabytes of data', make: program('nop', { memory: { min: 1_000 }, data: [{ offset: 0, bytes: new Uint8Array(50_000_000) }] }) },
  { name: 'a hundred thousand segments and more', refused: true, make: () => join(raw({ memory: 1, functions: [{ code: [] }] }), [11, ...leb(3 + 5 * 150_000)], leb(150_000), repeat([0, OP.i32Const, 0, OP.end, 0], 150_000)) },
  // Tables.
  { name: 'a table that grows for ever', make: program(forever('ref.null:funcref i32.const 100000 table.grow 0 drop'), { tables: [{ min: 1 }] }) },
  { name: 'tables that all grow', make: program(forever(Array.from({ length: 16 }, (_, k) => `ref.null:funcref i32.const 1000000 table.grow ${k} drop`).join(' ')), { tables: Array.from({ length: 16 }, () => ({ min: 1 })) }) },
  { name: 'a hundred tables', refused: true, make: program('nop', { tables: Array.from({ length: 100 }, () => ({ min: 1 })) }) },
  { name: 'table.fill of a large table', make: program(forever('i32.const 0 ref.null:externref i32.const 1000000 table.fill 0'), { tables: [{ min: 1_000_000, type: 'externref' }] }) },
  { name: 'table.copy of a large table', make: program(forever('i32.const 1 i32.const 0 i32.const 900000 table.copy 0 0'), { tables: [{ min: 1_000_000 }] }) },
  // Stack.
  { name: 'endless recursion', make: program('call 0') },
  { name: 'endless recursion with large frames', make: () => raw({ functions: [{ locals: [[16_000, TYPE.i64]], code: [OP.call, 0] }] }) },
  { name: 'endless recursion through a table', make: program('i32.const 0 call_indirect(:)', { tables: [{ min: 1 }], elements: [{ offset: 0, functions: [0] }] }) },
  { name: 'endless recursion that catches everything', make: program(`block try_table[catch_all:0] call 0 end end ${SPIN}`, { tags: [':'] }) },
  { name: 'recursion twice over, which is a tree', make: program('call 0 call 0') },
  { name: 'endless tail calls', make: program('return_call 0') },
  { name: 'endless tail calls through a table', make: program('i32.const 0 return_call_indirect(:)', { tables: [{ min: 1 }], elements: [{ offset: 0, functions: [0] }] }) },
  { name: 'exceptions thrown and caught for ever', make: program(forever('block try_table[catch_all:0] throw 0 end end'), { tags: [':'] }) },
  { name: 'exceptions thrown through a deep stack', make: program('call 0 throw 0', { tags: [':'] }) },
  // Output and files.
  { name: 'output without end', make: program(forever('i32.const 0 i32.const 65536 call 0 drop'), { imports: [{ module: 'inos', name: 'output_write', type: 'i32,i32:i32' }] }) },
  { name: 'output byte by byte', make: program(forever('i32.const 0 i32.const 1 call 0 drop'), { imports: [{ module: 'inos', name: 'output_write', type: 'i32,i32:i32' }] }) },
  { name: 'a log without end', make: program(forever('i32.const 0 i32.const 65536 call 0'), { imports: [{ module: 'inos', name: 'log', type: 'i32,i32:' }] }) },
  { name: 'stdout without end', make: calls('fd_write', 'iiii:i', 'i32.const 1 i32.const 0 i32.const 1 i32.const 600') },
  { name: 'stderr without end', make: calls('fd_write', 'iiii:i', 'i32.const 2 i32.const 0 i32.const 1 i32.const 600') },
  { name: 'four billion vectors', make: calls('fd_write', 'iiii:i', 'i32.const 1 i32.const 0 i32.const -1 i32.const 600') },
  { name: 'files at enormous offsets', make: withFile('fd_pwrite', 'iiiIi:i', 'i32.const 4 i32.const 0 i32.const 1 i64.const 9223372036854775807 i32.const 600') },
  { name: 'files as large as can be said', make: withFile('fd_allocate', 'iII:i', 'i32.const 4 i64.const 0 i64.const 9223372036854775807') },
  { name: 'directories without end', make: calls('path_create_directory', 'iii:i', `${NEW_NAME} i32.const 3 i32.const 512 i32.const 4`) },
  { name: 'symbolic links without end', make: calls('path_symlink', 'iiiii:i', `${NEW_NAME} i32.const 1024 i32.const 4096 i32.const 3 i32.const 512 i32.const 4`, 'i32.const 1024 i32.const 97 i32.const 4096 memory.fill 0') },
  { name: 'a file that grows to its quota and shrinks', make: withFile('fd_filestat_set_size', 'iI:i', 'i32.const 4 i64.const 67108864 call 0 drop i32.const 4 i64.const 0') },
  { name: 'a directory listed entry by entry', make: program(`${times(8_000, `${NEW_NAME} i32.const 3 i32.const 512 i32.const 4 call 0 drop`)} ${forever('i32.const 3 i32.const 1024 i32.const 60000 i64.const 0 i32.const 600 call 1 drop')}`, { imports: [wasiImport('path_create_directory', 'iii:i'), wasiImport('fd_readdir', 'iiiIi:i')] }) },
  { name: 'branches of removed directories kept by descriptors', make: keptBranches },
  { name: 'a rename below eight thousand directories', make: deepRename },
  { name: 'files opened without end', make: calls('path_open', 'iiiiiIIii:i', 'i32.const 3 i32.const 0 i32.const 512 i32.const 1 i32.const 1 i64.const -1 i64.const -1 i32.const 0 i32.const 600') },
  // Host calls with bad pointers.
  { name: 'arguments to the end of memory', make: calls('args_get', 'ii:i', 'i32.const -1 i32.const -1') },
  { name: 'randomness for all of the address space', make: calls('random_get', 'ii:i', 'i32.const 0 i32.const -1') },
  { name: 'randomness without end', make: calls('random_get', 'ii:i', 'i32.const 0 i32.const 65536') },
  { name: 'reading through a vector out of bounds', make: calls('fd_read', 'iiii:i', 'i32.const 0 i32.const 8 i32.const 1 i32.const -4') },
  { name: 'polls of a billion subscriptions', make: calls('poll_oneoff', 'iiii:i', 'i32.const 0 i32.const 0 i32.const 1000000000 i32.const 600') },
  { name: 'a path of four gigabytes', make: calls('path_unlink_file', 'iii:i', 'i32.const 3 i32.const 512 i32.const -1') },
  { name: 'input read to and from everywhere', make: program(forever('i32.const -8 i32.const -8 i32.const -8 call 0 drop'), { imports: [{ module: 'inos', name: 'input_read', type: 'i32,i32,i32:i32' }] }) },
  // Forged meters: indices that exist only after the rewrite.
  { name: 'the global behind the last one is set', refused: true, make: bytes(OP.i64Const, 0x7f, OP.globalSet, 1) },
  { name: 'globals of the meter are read', refused: true, make: bytes(OP.globalGet, 2, 0x1a) },
  { name: 'a helper of the meter is called', refused: true, make: bytes(OP.i64Const, 0x80, 0x7f, OP.call, 1) },
  { name: 'a helper of the meter is taken as a reference', refused: true, make: bytes(OP.refFunc, 2, 0x1a) },
  { name: 'a type of the meter is called', refused: true, make: bytes(...constant(0), OP.callIndirect, 1, 0) },
  { name: 'the second memory', refused: true, make: bytes(...constant(0), 0x28, 0x42, 1, 0, 0x1a) },
  { name: 'locals of the meter are set', refused: true, make: bytes(OP.i64Const, 0, OP.localSet, 0) },
  { name: 'the meter’s global is exported', refused: true, make: withSection(7, [1, 1, 0x66, 3, 0]) },
  { name: 'a helper stands in a table', refused: true, make: () => raw({ tables: [1], functions: [{ code: [] }], sections: new Map([[9, Uint8Array.of(1, 0, OP.i32Const, 0, OP.end, 1, 1)]]) }) },
  { name: 'exports that are called like the meter’s', make: program(SPIN, { globals: ['mut i64 5'], exports: { 'm:fuel': 'global 0', 'm:ended': 'global 0', 'g:run': 'func 0', 'm:start': 'func 0' } }) },
  { name: 'a global for fuel that the guest keeps full', make: program(forever('i64.const 9223372036854775807 global.set 0'), { globals: ['mut i64 5'], exports: { 'm:fuel': 'global 0' } }) },
  // Start functions.
  { name: 'a start function that loops', make: program(SPIN, { start: 0 }) },
  { name: 'a start function that recurses', make: program('call 0', { start: 0 }) },
  { name: 'a start function that ends the guest and goes on', make: () => wasm({ imports: [exit], memory: { min: 1 }, functions: [{ code: `i32.const 0 call 0 ${SPIN}`, export: 'run' }], start: 1, exports: { memory: 'memory 0' } }) },
  // Catching ends.
  { name: 'an exit in catch_all', make: program(forever('block try_table[catch_all:0] i32.const 3 call 0 end end'), { imports: [exit], tags: [':'] }) },
  { name: 'an exit in catch_all_ref, thrown again', make: program(forever('block(:exnref) try_table[catch_all_ref:0] i32.const 3 call 0 end br 1 end throw_ref'), { imports: [exit], tags: [':'] }) },
  { name: 'the end of fuel in catch_all', make: program(forever(`block try_table[catch_all:0] ${SPIN} end end`), { tags: [':'] }) },
  { name: 'an output quota in catch_all', make: program(forever('block try_table[catch_all:0] i32.const 0 i32.const 65536 call 0 drop end end'), { imports: [{ module: 'inos', name: 'output_write', type: 'i32,i32:i32' }], tags: [':'] }) },
  // Imports and tail calls past the wrapper.
  { name: 'an exit by a tail call', make: () => wasm({ imports: [exit], functions: [{ code: 'i32.const 0 return_call 0' }, { code: forever('call 1'), export: 'run' }] }) },
  { name: 'an exit by a tail call through a table', make: () => wasm({ imports: [exit], tables: [{ min: 1 }], elements: [{ offset: 0, functions: [0] }], functions: [{ code: 'i32.const 0 i32.const 0 return_call_indirect(i32:)' }, { code: forever('call 1'), export: 'run' }] }) },
  { name: 'an import called through a table', make: () => wasm({ imports: [exit], tables: [{ min: 1 }], elements: [{ offset: 0, functions: [0] }], functions: [{ code: forever('i32.const 0 i32.const 0 call_indirect(i32:)'), export: 'run' }] }) },
  { name: 'an import called through a reference in a table', make: () => wasm({ imports: [exit], tables: [{ min: 1 }], elements: [{ functions: [0] }], functions: [{ code: `i32.const 0 ref.func 0 table.set 0 ${forever('i32.const 0 i32.const 0 call_indirect(i32:)')}`, export: 'run' }] }) },
  { name: 'an import as the entry', make: () => wasm({ imports: [{ module: WASI, name: 'sched_yield', type: ':i32' }], exports: { run: 'func 0' } }) },
  { name: 'an import as the start function', make: () => wasm({ imports: [{ module: 'inos', name: 'input_size', type: ':i32' }], functions: [{ code: 'nop', export: 'run' }], start: 0 }), refused: true },
  { name: 'two thousand times the same import', make: () => wasm({ imports: Array.from({ length: 1_990 }, () => exit), functions: [{ code: SPIN, export: 'run' }] }) },
  { name: 'more imports than there may be', refused: true, make: () => wasm({ imports: Array.from({ length: 2_100 }, () => exit), functions: [{ code: SPIN, export: 'run' }] }) },
  { name: 'an import called __proto__', refused: true, make: imports(WASI, '__proto__') },
  { name: 'an import called constructor', refused: true, make: imports(WASI, 'constructor') },
  { name: 'an import from __proto__', refused: true, make: imports('__proto__', 'toString') },
  { name: 'the memory of the meter as an import', refused: true, make: withSection(2, [1, 2, 0x6d, 0x3a, 6, 0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 2, 0, 0]) },
  { name: 'a function of the meter as an import', refused: true, make: imports('m:', 'memory') },
  { name: 'a host function of another type', refused: true, make: imports(WASI, 'proc_exit', 'i64:') },
  { name: 'a table as an import', refused: true, make: withSection(2, [1, 1, 0x61, 1, 0x61, 1, TYPE.funcref, 0, 0]) },
  { name: 'a global as an import', refused: true, make: withSection(2, [1, 1, 0x61, 1, 0x61, 3, TYPE.i32, 1]) },
  { name: 'a tag as an import', refused: true, make: withSection(2, [1, 1, 0x61, 1, 0x61, 4, 0, 0]) },
  { name: 'an import with a name of a megabyte', refused: true, make: imports('a'.repeat(1_000_000), 'b') },
  { name: 'an entry with a name in another encoding', refused: true, make: withSection(7, [1, 2, 0xc3, 0x28, 0, 0]) },
  // Outside of the profile, and not modules at all.
  { name: 'an atomic wait', refused: true, make: bytes(...constant(0), ...constant(0), OP.i64Const, 0x7f, 0xfe, 1, 2, 0, 0x1a) },
  { name: 'an array of a billion', refused: true, make: withSection(1, [2, 0x5e, TYPE.i32, 1, 0x60, 0, 0]) },
  { name: 'a memory of 64 bits', refused: true, make: withSection(5, [1, 4, 1]) },
  { name: 'a shared memory', refused: true, make: withSection(5, [1, 3, 1, 2]) },
  { name: 'a call by reference', refused: true, make: bytes(OP.refNull, TYPE.funcref, 0x14, 0) },
  { name: 'noise', refused: true, make: () => random(1_000_000) },
  { name: 'noise behind a header', refused: true, make: () => join([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], random(1_000_000)) },
  { name: 'a section that claims four gigabytes', refused: true, make: () => Uint8Array.of(0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0x0f) },
  ...[1, 2, 3, 4, 7, 9, 10, 11].map(id => ({
    name: `section ${id} claims four billion items`, refused: true, make: () => join([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, id, 5], [0xff, 0xff, 0xff, 0xff, 0x0f])
  })),
  { name: 'an integer of endless bytes', refused: true, make: () => join([0, 0x61, 0x73, 0x6d, 1, 0, 0, 0, 1], repeat([0x80], 1_000_000)) },
  { name: 'a module cut in two', refused: true, make: () => { const whole = program(SPIN)(); return whole.subarray(0, whole.length >> 1) } },
  { name: 'a module twice', refused: true, make: () => { const whole = program(SPIN)(); const out = new Writer(); out.copy(whole); out.copy(whole); return out.finish() } }
]
