/** The jobs of the campaign: a guest whose result is known for each input, and who calls it until there is an answer. */
import { setTimeout as sleep } from 'node:timers/promises'
import { rawCid } from '../../src/packet/cid.ts'
import { type Attempt, InosError } from '../../src/packet/errors.ts'
import type { PlainResult } from '../../src/node/operator.ts'
import { verifyReceipt } from '../../src/index.ts'
import { wasm } from '../wasm-builder.ts'
import type { Machine } from './machine.ts'

/** Multiplier and increment of Numerical Recipes' generator, chapter 7.1. */
const [FACTOR, STEP] = [1_664_525, 1_013_904_223]
/** A few milliseconds, so that nodes are killed while a guest runs. */
const ROUNDS = 200_000
const LIMITS = { fuelMax: 20_000_000n, memoryPagesMax: 1, outputBytesMax: 64 }

/** Steps a linear congruential generator from the seed it is given, and writes where it came to. */
export const GUEST = wasm({
  imports: [{ module: 'inos', name: 'input_read', type: 'i32,i32,i32:i32' }, { module: 'inos', name: 'output_write', type: 'i32,i32:i32' }],
  memory: { min: 1 },
  exports: { memory: 'memory 0' },
  functions: [{
    type: ':i32',
    locals: 'i32',
    export: 'run',
    code: `i32.const ${ROUNDS} local.set 0
      i32.const 0 i32.const 0 i32.const 4 call 0 drop
      block loop local.get 0 i32.eqz br_if 1
        i32.const 0 i32.const 0 i32.load i32.const ${FACTOR} i32.mul i32.const ${STEP} i32.add i32.store
        local.get 0 i32.const 1 i32.sub local.set 0 br 0 end end
      i32.const 0 i32.const 4 call 1 drop
      i32.const 0`
  }]
})

/** The seed of a job; no two have the same. */
export function inputOf (job: number): Uint8Array { return new Uint8Array(Uint32Array.of(job).buffer) }

function resultOf (job: number): number {
  let state = job
  for (let round = 0; round < ROUNDS; round++) state = (Math.imul(state, FACTOR) + STEP) | 0
  return state >>> 0
}

/** The name under which receipts speak of a job's input. */
export function nameOf (job: number): string { return rawCid(inputOf(job)).toString() }

/** What became of a job for its caller. */
export interface Call {
  readonly job: number
  /** The CID of the receipt of the answer; null: there is none. */
  receipt: string | null
  isRight: boolean
  /** Tries at a seller that was lost before it answered: it may have run the job, and is paid then. */
  lostTries: number
  /** Tries whose answer nobody waited for any more, because the buyer was killed. */
  orphans: number
  /** Every other try that failed: refused, or the guest's executor was lost. */
  failedTries: number
  /** Calls that failed, or whose own node was killed. */
  repeats: number
}

const MAYBE_RUN: readonly string[] = ['ERR_PEER_LOST', 'ERR_NOT_REACHABLE', 'ERR_CANCELLED']
const REPEATS_MAX = 50
const PAUSE_MS = 500

/** Call until there is an answer. */
export async function call (caller: Machine, job: number, signal: AbortSignal): Promise<Call> {
  const made: Call = { job, receipt: null, isRight: false, lostTries: 0, orphans: 0, failedTries: 0, repeats: 0 }
  for (; made.repeats < REPEATS_MAX && !signal.aborted; made.repeats++) {
    let sent = 0
    try {
      const operator = await caller.operator()
      const result = await operator.run(GUEST, inputOf(job), { where: 'remote', limits: LIMITS, signal, onProgress: ({ state }) => { if (state === 'sending') sent++ } })
      count(made, result.attempts)
      made.receipt = result.receiptId
      made.isRight = await isRight(job, result)
      return made
    } catch (error) {
      const attempts = error instanceof InosError ? error.attempts : []
      count(made, attempts)
      // Whose own node was killed knows only what it had sent, and may not have heard of the last one.
      if (attempts.length === 0) made.orphans += sent + 1
      await sleep(PAUSE_MS)
    }
  }
  return made
}

function count (made: Call, attempts: readonly Attempt[]): void {
  const lost = attempts.filter(({ code }) => MAYBE_RUN.includes(code)).length
  made.lostTries += lost
  made.failedTries += attempts.length - lost
}

/** The bytes are those this test computes itself, and the receipt says so of this very job. */
async function isRight (job: number, { bytes, outcome, receipt }: PlainResult): Promise<boolean> {
  const { input } = await verifyReceipt(receipt)
  return outcome === 'ok' && bytes.length === 4 && new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true) === resultOf(job) && input === nameOf(job)
}
