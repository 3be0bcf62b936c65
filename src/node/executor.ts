/**
 * Main of an executor process: takes one job at a time from the pipe, runs it on the engine, answers.
 * It holds no secret and decides nothing; what it may cost is watched from outside.
 */
import { Socket } from 'node:net'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { createEngine } from '../wasm/engine.ts'
import { FrameReader, writeFrame } from './executor-frames.ts'
import type { Frame } from './executor-frames.ts'
import { decodeRun, encodeOutcome, encodeRefusal, encodeReport, ORDER_LIMITS } from './executor-messages.ts'

const pipe = new Socket({ fd: 3 })
const engine = createEngine({ onEstimate: ({ cpuMs }) => { send({ header: { kind: 'estimate', job: current, cpuMs }, parts: [] }) } })
/** The job at hand: there is one at a time. */
let current = 0
/** Pages of ended guests that are not collected yet, at most. */
let leftPages = 0
let awaited: PromiseWithResolvers<Uint8Array> | undefined
/** Jobs begun and jobs done. */
let begun = 0
let done = 0

const reader = new FrameReader(() => ORDER_LIMITS, frame => { void take(frame) })
pipe.on('data', (chunk: Uint8Array) => { reader.push(chunk) })
// Without the main process there is nobody to work for.
pipe.on('error', () => { process.exit() })
pipe.on('close', () => { process.exit() })
send({ header: { kind: 'ready' }, parts: [] })
watchBurning()

function send (frame: Frame): void { writeFrame(pipe, frame) }

async function take (frame: Frame): Promise<void> {
  const job = frame.header.job as number
  switch (frame.header.kind) {
    case 'run': return perform(job, () => execute(job, frame))
    case 'inspect': return perform(job, async () => encodeReport(job, await engine.inspect(frame.parts[0]!)))
    case 'module': return awaited?.resolve(frame.parts[0]!)
    case 'absent': return awaited?.reject(new InosError('ERR_EXECUTOR_LOST', 'The module could not be fetched.'))
  }
}

async function perform (job: number, work: () => Promise<Frame>): Promise<void> {
  current = job
  begun++
  send(await work().catch((error: unknown) => {
    if (error instanceof InosError) return encodeRefusal(job, error)
    // A surprise, such as a buffer that could not be had, leaves nothing to rely on: end, and be replaced.
    throw error
  }))
  if (leftPages > LIMITS.executor.leftPagesMax) collect()
  done++
}

async function execute (job: number, frame: Frame): Promise<Frame> {
  const run = decodeRun(frame, () => ask(job))
  // Until the outcome tells, the guest may have left as much as it was allowed.
  leftPages += run.limits.memoryPagesMax
  const outcome = await engine.execute(run, { payer: '' })
  leftPages += outcome.pages - run.limits.memoryPagesMax
  return encodeOutcome(job, outcome)
}

/**
 * V8 weighs the memories of ended guests too little to collect them in time for the next guest's.
 * The first collection finds that a memory is dead, the second gives its pages back.
 */
function collect (): void {
  leftPages = 0
  globalThis.gc?.()
  globalThis.gc?.()
}

function ask (job: number): Promise<Uint8Array> {
  awaited = Promise.withResolvers()
  send({ header: { kind: 'need', job }, parts: [] })
  return awaited.promise
}

/** CPU of all threads but this one, in milliseconds. */
function backgroundMs (): number {
  const all = process.cpuUsage()
  const own = process.threadCpuUsage()
  return (all.user + all.system - own.user - own.system) / 1000
}

/**
 * After a job V8 may go on compiling in the background for a long time, which nothing but the end of
 * the process stops. Whoever burns CPU so without a job asks to be replaced; so does who burns it for
 * many polls on end, since on a busy node there may be no poll without a job. It asks once.
 */
function watchBurning (strikes = 0): void {
  const { burnMsPoll, burnShareMax, burnPollsMax } = LIMITS.executor
  const before = backgroundMs()
  const [begunBefore, idleBefore] = [begun, begun === done]
  setTimeout(() => {
    const idle = idleBefore && begun === begunBefore
    const burns = backgroundMs() - before > burnMsPoll * burnShareMax
    const count = burns ? strikes + (idle ? burnPollsMax : 1) : 0
    if (count < burnPollsMax) watchBurning(count)
    else send({ header: { kind: 'retire' }, parts: [] })
  }, burnMsPoll)
}
