/** States as the library hands them out. How they are written down is in `state.ts`, how they are told in `kept-state.ts`. */

/** A CID, as far as it is looked at here. */
interface Link { equals (other: unknown): boolean, toString (): string }

export interface StateRecord {
  /** Raw CID of the module whose state it is. */
  module: Link
  profile: string
  /** sha2-256 of each page of 64 KiB; null for one that is all zero. */
  pages: Array<Uint8Array | null>
  /** Globals that change, 8 bytes for each 64 bits or less. */
  globals: Uint8Array
  /** Entries of tables: functions by index, or null; none where code changes no table. */
  tables: Array<Array<number | null>>
  /** Passive segments that were dropped. */
  dropped: number[]
}

/** A state with all its bytes. They are shared between states that follow one another, and nobody changes them. */
export interface KeptState {
  /** Raw CID of the record, as text. */
  readonly id: string
  readonly bytes: Uint8Array
  readonly record: StateRecord
  /** Pages that are not all zero, by their sha2-256 in hex. */
  readonly pages: ReadonlyMap<string, Uint8Array>
}
