/**
 * The prices of the profile: units of fuel per instruction, and by length. `meter.ts` says when they are due.
 *
 * A unit is one plain instruction, and must never take longer than the lease allows for it
 * (`LIMITS.executor.leaseNanosecondsPerFuel`); so what takes V8 a call into its runtime costs more.
 * `bench/instructions.ts` measures what each price comes to.
 */
import { NAMES, OP } from './opcodes.ts'

/** Units of each instruction by its code, besides what it costs by length. */
export const UNITS = new Uint8Array(NAMES.length).fill(1)
for (const op of [OP.block, OP.loop, OP.else, OP.end, OP.nop, OP.tryTable]) UNITS[op] = 0
for (const op of [OP.throw, OP.throwRef, OP.memoryGrow, OP.tableGrow]) UNITS[op] = 32
for (const op of [OP.memoryFill, OP.tableInit, OP.tableCopy, OP.tableFill]) UNITS[op] = 16
UNITS[OP.tableSet] = 8

/** More for a call in a module with tags: an exception may have to look at its frame. Tail calls leave none. */
export const FRAME_UNITS = 7

/** Bytes of memory instructions and data segments: ⌊bytes / 8⌋. */
export const BYTES_SHIFT = 3
/** Entries of tables and element segments: 8 each. */
export const ENTRY_SHIFT = -3
/** Pages a memory has or gets: 1024 each. */
export const PAGE_SHIFT = -10
/** Declared locals of which one costs a unit at entry: V8 zeroes them. */
export const LOCALS_PER_UNIT = 8
