/** Outcomes that are not ok, as the errors a caller of `compute` gets. */
import { type ErrorCode, InosError } from './errors.ts'
import { LARGER_RESULTS } from './spec.ts'

const OUTCOME_ERRORS: Record<'trap' | 'fuel' | 'memory' | 'output' | 'stack', { code: ErrorCode, text: string, hint?: string }> = {
  trap: { code: 'ERR_TRAP', text: 'The guest trapped' },
  fuel: { code: 'ERR_OUT_OF_FUEL', text: 'The guest ran out of fuel', hint: 'Allow more with limits.fuelMax, `--fuel` on the command line.' },
  memory: { code: 'ERR_MEMORY_LIMIT', text: 'The guest met a memory quota', hint: 'Allow more with limits.memoryPagesMax, `--memory` on the command line.' },
  output: { code: 'ERR_OUTPUT_LIMIT', text: 'The guest wrote more than it may', hint: `Allow more with limits.outputBytesMax. ${LARGER_RESULTS}` },
  stack: { code: 'ERR_STACK_LIMIT', text: 'The guest recursed too deep' }
}

/** Null when the outcome is ok. */
export function outcomeError ({ outcome, fuel, message }: { outcome: 'ok' | keyof typeof OUTCOME_ERRORS, fuel: bigint, message?: string }): InosError | null {
  if (outcome === 'ok') return null
  const { code, text, hint } = OUTCOME_ERRORS[outcome]
  // Only of a trap does the engine know more than the outcome already says.
  const detail = outcome === 'trap' && message !== undefined && message !== '' ? `: ${message.replace(/\.$/, '')}` : ''
  return new InosError(code, `${text} after ${fuel} fuel${detail}.`, hint === undefined ? {} : { hint })
}
