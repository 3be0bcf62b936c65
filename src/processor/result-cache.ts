/**
 * Results of jobs that ran here, in memory, by spec: a deterministic job that comes again is answered
 * from here, whoever asks, with the receipt of the run that made it. Who may ask is the caller's to
 * see to: nobody gets a result for a hash alone. What was used longest ago goes first.
 */
import { LIMITS } from '../packet/limits.ts'
import type { Bundle } from '../credits/bundle.ts'
import type { Outcome } from '../wasm/runtime.ts'
import type { Output } from './job.ts'
import { Lru } from './lru.ts'

/** A run as it ended. Its bytes are shared: nobody changes them. */
export interface Computed {
  readonly outcome: Outcome
  readonly output: Output
  readonly original: Bundle
}

export interface ResultCache {
  /** @param spec CID as text */
  get (spec: string): Computed | undefined
  /** Keep a copy; what is too large is not kept. */
  keep (spec: string, computed: Computed): void
}

export function createResultCache ({ entryBytesMax, ...limits }: Readonly<Record<keyof typeof LIMITS.cache, number>> = LIMITS.cache): ResultCache {
  const entries = new Lru<Computed>(limits)
  return {
    get: spec => entries.get(spec),
    keep (spec, computed) {
      const bytes = sizeOf(computed)
      if (bytes <= entryBytesMax) entries.keep(spec, copyOf(computed), bytes)
    }
  }
}

function sizeOf ({ outcome: { result, files, stderr, message }, original }: Computed): number {
  return result.length + (files?.length ?? 0) + stderr.length + 2 * message.length + original.bytes.length
}

/** Results lie inside larger buffers that would be kept with them, and belong to callers who may write into them. */
export function copyOf ({ outcome, output, original }: Computed): Computed {
  const [result, files] = [outcome.result.slice(), outcome.files?.slice() ?? null]
  return {
    outcome: { ...outcome, result, files, stderr: outcome.stderr.slice() },
    output: { result: { cid: output.result.cid, bytes: result }, files: output.files === null || files === null ? null : { cid: output.files.cid, bytes: files } },
    original
  }
}
