/**
 * Main of an executor process: takes jobs from the pipe, runs one at a time on the engine, answers in their order.
 * It holds no secret and decides nothing; what it may cost is watched from outside.
 */
import { Buffer } from 'node:buffer'
import { Socket } from 'node:net'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { createEngine } from '../wasm/engine.ts'
import { FrameReader, writeFrame } from './executor-frames.ts'
import type { Frame } from './executor-frames.ts'
import type { ChildEnd, Compute } from '../wasm/runtime.ts'
import { decodeChildEnd, decodeRun, encodeChild, encodeOutcome, encodeRefusal, encodeReport, mayHaveChildren, ORDER_LIMITS } from './executor-messages.ts'
import { alone, heldAfter, NONE } from './executor-pages.ts'

const pipe = new Socket({ fd: 3 })
const engine = createEngine({
  onEstimate: ({ cpuMs }) => { send({ header: { kind: 'estimate', job: current, cpuMs }, parts: [] }) },
  isEqual: (one, other) => Buffer.compare(one, other) === 0
})
/** The job at hand: there is one at a time. */
let current = 0
/** The end of the last job that came. */
let last: Promise<void> = Promise.resolve()
/** Pages of ended guests that are not collected yet, at most. */
let leftPages = 0
/** Pages that the last run left, if it kept a state. */
let held = NONE
let awaited: PromiseWithResolvers<Uint8Array> | undefined
/** Children of the job at hand that are not over. */
const children = new Map<number, PromiseWithResolvers<ChildEnd>>()
let burnTimer: NodeJS.Timeout | undefined

const reader = new FrameReader(() => ORDER_LIMITS, frame => { void take(frame) })
pipe.on('data', (chunk: Uint8Array) => { reader.push(chunk) })
// Without the main process there is nobody to work for.
pipe.on('error', () => { process.exit() })
pipe.on('close', () => { process.exit() })
send({ header: { kind: 'ready' }, parts: [] })

function send (frame: Frame): void { writeFrame(pipe, frame) }

async function take (frame: Frame): Promise<void> {
  const job = frame.header.job as number
  const at = frame.header.at as number
  switch (frame.header.kind) {
    case 'over': return ofCurrent(job, at)?.resolve(decodeChildEnd(frame))
    case 'lost': return ofCurrent(job, at)?.reject(new InosError('ERR_EXECUTOR_LOST', 'A child could not be computed.'))
    case 'run': return enqueue(() => perform(job, () => execute(job, frame)))
    case 'inspect': return enqueue(() => perform(job, async () => encodeReport(job, await engine.inspect(frame.parts[0]!))))
    case 'module': return awaited?.resolve(frame.parts[0]!)
    case 'absent': return awaited?.reject(new InosError('ERR_EXECUTOR_LOST', 'The module could not be fetched.'))
  }
}

/** Jobs come several at a time and run one after the other. None begins before the answer of the last has left, lest it be lost with it. */
function enqueue (work: () => Promise<void>): void {
  last = last.then(work)
}

async function perform (job: number, work: () => Promise<Frame>): Promise<void> {
  clearTimeout(burnTimer)
  current = job
  const answer = await work().catch((error: unknown) => {
    if (error instanceof InosError) return encodeRefusal(job, error)
    // A surprise, such as a buffer that could not be had, leaves nothing to rely on: end, and be replaced.
    throw error
  })
  const { promise: flushed, resolve } = Promise.withResolvers<void>()
  writeFrame(pipe, answer, resolve)
  if (pipe.writableLength > 0) await flushed
  if (leftPages > LIMITS.executor.leftPagesMax) collect()
  // On Linux the parent measures it from outside.
  if (process.platform !== 'linux') watchBurning()
}

async function execute (job: number, frame: Frame): Promise<Frame> {
  const run = decodeRun(frame, () => ask(job), held)
  held = NONE
  // Until the outcome tells, the guest may have left as much as it was allowed.
  leftPages += run.limits.memoryPagesMax
  children.clear()
  const outcome = await engine.execute(run, mayHaveChildren(frame) ? { payer: '', compute: computeFor(job), onWait: at => { send({ header: { kind: 'wait', job, at }, parts: [] }) } } : { payer: '' })
  leftPages += outcome.pages - run.limits.memoryPagesMax
  held = alone(heldAfter(run.state, outcome.state))
  return encodeOutcome(job, outcome)
}

/** A word on a child may come after its guest has ended by another one's fault. */
function ofCurrent (job: number, at: number): PromiseWithResolvers<ChildEnd> | undefined {
  return job === current ? children.get(at) : undefined
}

function computeFor (job: number): Compute {
  return (child, at) => {
    const over = Promise.withResolvers<ChildEnd>()
    children.set(at, over)
    send(encodeChild(job, child, at))
    return over.promise
  }
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

/**
 * After a job V8 may go on compiling in the background for a long time, which nothing but the end of
 * the process stops. Whoever is idle and yet burns CPU asks to be replaced.
 */
function watchBurning (): void {
  const before = process.cpuUsage()
  burnTimer = setTimeout(() => {
    const { user, system } = process.cpuUsage(before)
    if ((user + system) / 1000 > LIMITS.executor.burnMsPollOwn * LIMITS.executor.burnShareMax) send({ header: { kind: 'retire' }, parts: [] })
    watchBurning()
  }, LIMITS.executor.burnMsPollOwn)
}
