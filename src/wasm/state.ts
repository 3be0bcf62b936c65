/**
 * The state of a guest between two calls: put into a fresh instance before one, taken out after it. Which parts there are
 * is `state-plan.ts`'s; what a state is called, and where its pages lie, is the business of other rooms.
 */
import { InosError } from '../packet/errors.ts'
import { LIMITS, PAGE_BYTES } from '../packet/limits.ts'
import { BYTES_SHIFT, ENTRY_SHIFT, PAGE_SHIFT } from './fuel-costs.ts'
import type { State, StateChange } from './runtime.ts'
import { STATE_EXPORTS } from './state-plan.ts'
import type { StatePlan } from './state-plan.ts'

const SLOT_BYTES = 8
const ZEROS = new Uint8Array(PAGE_BYTES)
const WORDS_PER_PAGE = PAGE_BYTES / Int32Array.BYTES_PER_ELEMENT
const UNITS_PER_PAGE = 2 ** -PAGE_SHIFT
const UNITS_PER_ENTRY = 2 ** -ENTRY_SHIFT
/** A page that differs is hashed and carried to whoever keeps the state: a unit for 8 bytes, as for copying. */
const UNITS_PER_CHANGE = PAGE_BYTES >> BYTES_SHIFT

type Call = (...args: Array<number | bigint>) => bigint | undefined

/** Units due before a state is put back, besides what instantiation costs. @param pagesMin of the module's memory, which are paid for */
export function restoreFuel (state: State, pagesMin: number): bigint {
  return BigInt(Math.max(0, state.pages.length - pagesMin) * UNITS_PER_PAGE + entriesOf(state.tables) * UNITS_PER_ENTRY)
}

/** Units due when a state is taken. */
export function takeFuel ({ pages, changed, tables }: StateChange): bigint {
  return BigInt(pages * UNITS_PER_PAGE + changed.size * UNITS_PER_CHANGE + entriesOf(tables) * UNITS_PER_ENTRY)
}

function entriesOf (tables: State['tables']): number { return tables.reduce((sum, table) => sum + table.length, 0) }

/** What is known of a module that keeps a state. */
export interface Keeper {
  readonly plan: StatePlan
  /** How many functions the guest itself has, imported ones included. */
  readonly functions: number
  readonly isEqual: (one: Uint8Array, other: Uint8Array) => boolean
}

/** The state of one instance of a module. */
export class StateAccess {
  readonly #plan: StatePlan
  readonly #exports: WebAssembly.Exports
  readonly #memory: WebAssembly.Memory | undefined
  /** Functions of the metered module before those of ours. */
  readonly #functions: number
  readonly #isEqual: Keeper['isEqual']

  constructor ({ plan, functions, isEqual }: Keeper, exports: WebAssembly.Exports, memory: WebAssembly.Memory | undefined) {
    this.#plan = plan
    this.#exports = exports
    this.#memory = memory
    this.#functions = functions
    this.#isEqual = isEqual
  }

  /** Put a state that fits into a fresh instance, whose memory has as many pages. @param pagesMin pages that instantiation may have written to */
  restore ({ pages, globals, tables, dropped }: State, pagesMin: number): void {
    const memory = new Uint8Array(this.#memory?.buffer ?? new ArrayBuffer(0))
    for (const [at, page] of pages.entries()) {
      if (page !== null) memory.set(page, at * PAGE_BYTES)
      else if (at < pagesMin) memory.fill(0, at * PAGE_BYTES, (at + 1) * PAGE_BYTES)
    }
    const words = new DataView(globals.buffer, globals.byteOffset, globals.length)
    for (let slot = 0; slot < this.#plan.slots.length; slot++) this.#call(STATE_EXPORTS.set)(slot, words.getBigInt64(slot * SLOT_BYTES, true))
    tables.forEach((entries, table) => { this.#fillTable(this.#table(table), entries) })
    for (const segment of dropped) this.#call(STATE_EXPORTS.drop)(segment)
  }

  /**
   * What changed since `before`, or why there is too much to keep.
   * @param before null for a fresh instance: then everything is new
   */
  take (before: State | null): StateChange | string {
    const memory = new Uint8Array(this.#memory?.buffer ?? new ArrayBuffer(0))
    const pages = memory.length / PAGE_BYTES
    const changed = new Map<number, Uint8Array | null>()
    let full = 0
    for (let at = 0; at < pages; at++) {
      const page = memory.subarray(at * PAGE_BYTES, (at + 1) * PAGE_BYTES)
      const earlier = before?.pages[at] ?? null
      const isSame = this.#isEqual(page, earlier ?? ZEROS)
      const isEmpty = isSame ? earlier === null : earlier !== null && this.#isEqual(page, ZEROS)
      if (!isEmpty && ++full > LIMITS.state.pagesMax) return `Its state has more than ${LIMITS.state.pagesMax} pages that are not all zero.`
      if (!isSame) changed.set(at, isEmpty ? null : page.slice())
    }
    const tables = Array.from({ length: this.#plan.tables }, (_, table) => this.#table(table))
    const entries = tables.reduce((sum, { length }) => sum + length, 0)
    if (entries > LIMITS.state.tableEntriesMax) return `Its tables have ${entries} entries, and a state keeps at most ${LIMITS.state.tableEntriesMax}.`
    return { pages, changed, globals: this.#globals(), tables: tables.map(table => this.#entries(table)), dropped: this.#dropped() }
  }

  #call (name: string): Call { return this.#exports[name] as Call }

  #table (table: number): WebAssembly.Table { return this.#exports[STATE_EXPORTS.table + table] as WebAssembly.Table }

  #globals (): Uint8Array {
    const { slots } = this.#plan
    const words = new DataView(new ArrayBuffer(slots.length * SLOT_BYTES))
    for (let slot = 0; slot < slots.length; slot++) words.setBigInt64(slot * SLOT_BYTES, this.#call(STATE_EXPORTS.get)(slot) as bigint, true)
    return new Uint8Array(words.buffer)
  }

  /** Functions are told by their names, which are their indices in the metered module (WebAssembly JavaScript Interface, "name of the WebAssembly function"). */
  #entries (table: WebAssembly.Table): Array<number | null> {
    return Array.from({ length: table.length }, (_, at) => {
      const entry = table.get(at) as { readonly name: string } | null
      if (entry === null) return null
      const index = Number(entry.name)
      // Behind the guest's own functions stand the wrappers of those it imports, in their order.
      return index < this.#functions ? index : index - this.#functions
    })
  }

  #fillTable (table: WebAssembly.Table, entries: ReadonlyArray<number | null>): void {
    const { functions } = this.#plan
    const named = this.#exports[STATE_EXPORTS.functions] as WebAssembly.Table | undefined
    const byIndex = new Map(functions.map((index, at) => [index, named!.get(at) as unknown]))
    if (entries.length > table.length) growTable(table, entries.length - table.length)
    for (const [at, index] of entries.entries()) table.set(at, index === null ? null : byIndex.get(index))
  }

  /** A dropped segment is empty, so that even nothing cannot be copied from where it ended. */
  #dropped (): number[] {
    return this.#plan.segments.map((_, segment) => segment).filter(segment => {
      try {
        this.#call(STATE_EXPORTS.kept)(segment)
        return false
      } catch (error) {
        if (error instanceof WebAssembly.RuntimeError) return true
        throw error
      }
    })
  }
}

function growTable (table: WebAssembly.Table, entries: number): void {
  try {
    table.grow(entries)
  } catch (cause) {
    throw new InosError('ERR_EXECUTOR_LOST', 'A table could not be made as large as its state says.', { cause })
  }
}

/** A state from the one before it and what changed since. */
export function applyChange (before: State | null, { pages, changed, ...rest }: StateChange): State {
  return { ...rest, pages: Array.from({ length: pages }, (_, at) => changed.has(at) ? changed.get(at)! : before?.pages[at] ?? null) }
}

/** Words of a page, which comes from anywhere in a larger buffer. */
function wordsOf (page: Uint8Array): Int32Array {
  const { buffer, byteOffset } = page.byteOffset % Int32Array.BYTES_PER_ELEMENT === 0 ? page : page.slice()
  return new Int32Array(buffer, byteOffset, WORDS_PER_PAGE)
}

/** Whether two pages have the same bytes. */
export function isSamePage (one: Uint8Array, other: Uint8Array): boolean {
  const [a, b] = [wordsOf(one), wordsOf(other)]
  for (let i = 0; i < WORDS_PER_PAGE; i++) if (a[i] !== b[i]) return false
  return true
}

/** Room a module gives to a state: pages of its memory, and entries per table. */
export interface Room { readonly pagesMin: number, readonly pagesMax: number, readonly tables: ReadonlyArray<{ readonly min: number, readonly max: number }> }

/**
 * Whether a state that anybody may have made up is one this module can be in.
 * @throws {InosError} ERR_INVALID_SPEC naming what does not fit
 */
export function checkState ({ pages, globals, tables, dropped }: State, plan: StatePlan, room: Room): void {
  const within = (count: number, min: number, max: number): boolean => count >= min && count <= max
  if (!within(pages.length, room.pagesMin, room.pagesMax)) throw misfit(`it has ${pages.length} pages, and the memory has ${room.pagesMin} to ${room.pagesMax} in this job`)
  if (pages.some(page => page !== null && page.length !== PAGE_BYTES)) throw misfit(`a page has not ${PAGE_BYTES} bytes`)
  if (pages.filter(page => page !== null).length > LIMITS.state.pagesMax) throw misfit(`more than ${LIMITS.state.pagesMax} of its pages are not all zero`)
  if (globals.length !== plan.slots.length * SLOT_BYTES) throw misfit(`it has ${globals.length} bytes of globals, and the module has ${plan.slots.length * SLOT_BYTES}`)
  if (tables.length !== plan.tables) throw misfit(`it has ${tables.length} tables, and the module changes ${plan.tables}`)
  const known = new Set(plan.functions)
  for (const [at, entries] of tables.entries()) {
    const { min, max } = room.tables[at]!
    if (!within(entries.length, min, max)) throw misfit(`its table ${at} has ${entries.length} entries, and can have ${min} to ${max}`)
    if (entries.some(index => index !== null && !known.has(index))) throw misfit(`its table ${at} holds a function that no table of the module can hold`)
  }
  if (dropped.some((segment, at) => !within(segment, at === 0 ? 0 : dropped[at - 1]! + 1, plan.segments.length - 1))) throw misfit('it drops segments that the module does not have, or not in their order')
}

function misfit (why: string): InosError {
  return new InosError('ERR_INVALID_SPEC', `The state does not fit its module: ${why}.`)
}
