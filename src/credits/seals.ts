/**
 * Signing many records at once: those that wait for the same write share one signature, each with its
 * own path to it, so that each still verifies alone. One that waits alone is signed alone.
 */
import { seal, type Sealed, sealBatch } from '../packet/envelope.ts'
import type { Signer } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'

export interface Draft { readonly type: string, readonly payload: object }

/** @returns the records in the order of their drafts */
export function sealAll (drafts: readonly Draft[], signer: Signer): Sealed[] {
  const sealed = new Map<Draft, Sealed>()
  for (const [type, ofType] of Map.groupBy(drafts, ({ type }) => type)) {
    for (let at = 0; at < ofType.length; at += LIMITS.credits.recordsPerSealMax) {
      const part = ofType.slice(at, at + LIMITS.credits.recordsPerSealMax)
      const payloads = part.map(({ payload }) => payload)
      const records = part.length === 1 ? [seal(type, payloads[0]!, signer)] : sealBatch(type, payloads, signer)
      for (const [i, draft] of part.entries()) sealed.set(draft, records[i]!)
    }
  }
  return drafts.map(draft => sealed.get(draft)!)
}
