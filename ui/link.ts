/**
 * The one way in which the page speaks with its node, wherever that is: behind the local API (`over-http.ts`) or in this very page
 * (`in-page.ts`). What is asked has the names of the local API; amounts and fuel are decimal text, bytes an object.
 */

/** What a node answers. */
export type Told<T> = T extends bigint ? string : T extends Uint8Array ? ToldBytes : T extends object ? { [Name in keyof T]: Told<T[Name]> } : T

export interface ToldBytes { readonly '/': { readonly bytes: string } }

/** Numbered without a hole by its node: "life-number". */
export interface NodeEvent { readonly id: string, readonly name: string, readonly detail: unknown }

export interface Link {
  /** @throws {Refusal} */
  ask<T> (name: string, argument?: unknown): Promise<T>
  /** Hear events from now on, as long as the node lives; `live` is told whether they come, and why not. */
  listen (hear: (event: NodeEvent) => void, live: (is: boolean, why: string) => void): void
}

/** A refusal of the node, in its own words. */
export class Refusal extends Error {
  readonly code: string
  readonly hint: string | null
  constructor (code: string, message: string, hint: string | null) {
    super(message)
    this.code = code
    this.hint = hint
  }
}

export function encodeBytes (bytes: Uint8Array): ToldBytes { return { '/': { bytes: bytes.toBase64() } } }
export function decodeBytes (told: ToldBytes): Uint8Array<ArrayBuffer> { return Uint8Array.fromBase64(told['/'].bytes) }
