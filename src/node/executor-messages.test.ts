import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { InosError } from '../packet/errors.ts'
import { LIMITS, PAGE_BYTES } from '../packet/limits.ts'
import type { ModuleReport, Outcome, State } from '../wasm/runtime.ts'
import { FrameError } from './executor-frames.ts'
import type { Frame } from './executor-frames.ts'
import { checkOutcome, decodeRun, encodeOutcome, encodeRefusal, encodeReport, encodeRun, parseAnswer } from './executor-messages.ts'
import { runOf } from './executor-run.fixture.ts'

/** As it looks after the pipe. */
const travel = (frame: Frame): Frame => ({ header: JSON.parse(JSON.stringify(frame.header)), parts: frame.parts })

const OUTCOME: Outcome = { outcome: 'ok', exitCode: 3, result: Uint8Array.of(1, 2), files: Uint8Array.of(4, 5, 6), stderr: Uint8Array.of(3), fuel: 2n ** 53n, pages: 4, message: '' }
const REPORT: ModuleReport = {
  bytes: 1, functions: 2, abi: 'inos', imports: ['a.b'], exports: ['run'], features: ['simd'], memoryPagesMin: 5, estimate: { cpuMs: 0.5, peakBytes: 9 }, meteredBytes: 3
}

/** Of five pages. */
const STATE = (page: Uint8Array): State => ({ pages: [null, page, null, page, null], globals: new Uint8Array(24).fill(1), tables: [[3, null], []], dropped: [1] })

// Goal: an executor gets the very run that was handed in, also when names are awkward.
// Method: encode and decode; with the module along, and without it, when it must be asked for.
test('a run arrives whole', async () => {
  const run = runOf('x', 'ü\ud83d\ude00', {
    env: JSON.parse('{"__proto__":"p","constructor":"c"}'),
    files: { '/a': Uint8Array.of(1), '/ä/ö': new Uint8Array(0) }, outputs: ['/a', '/ü'],
    input: Uint8Array.of(9, 8), entry: 'go', limits: { fuelMax: 2n ** 53n - 1n, memoryPagesMax: 5, outputBytesMax: 6 }
  })
  const never = (): Promise<Uint8Array> => Promise.reject(new Error('the module was there'))
  assert.deepEqual(decodeRun(travel(encodeRun(1, run, run.wasm as Uint8Array)), never), run)
  const asked = decodeRun(travel(encodeRun(1, run, undefined)), async () => Uint8Array.of(7))
  assert.deepEqual(await (asked.wasm as () => Promise<Uint8Array>)(), Uint8Array.of(7))
})

// Goal: a state goes to an executor and comes back, whole.
// Method: states with and without pages, tables and segments; with the module along, and none at all.
test('states arrive whole', () => {
  const page = new Uint8Array(PAGE_BYTES).fill(7).fill(0, 4_000)
  const never = (): Promise<Uint8Array> => Promise.reject(new Error('the module was there'))
  for (const state of [null, { pages: [], globals: new Uint8Array(0), tables: [], dropped: [] }, STATE(page)]) {
    const run = { ...runOf('x', 'text', { files: { '/a': Uint8Array.of(1) } }), state }
    assert.deepEqual(decodeRun(travel(encodeRun(1, run, run.wasm as Uint8Array)), never), run)
  }
  const change = { pages: 9, changed: new Map([[8, page], [0, null], [3, page]]), globals: new Uint8Array(16).fill(2), tables: [[1, null], []], dropped: [0, 5] }
  for (const files of [null, Uint8Array.of(3)]) assert.deepEqual(parseAnswer(travel(encodeOutcome(7, { ...OUTCOME, files, state: change }))), { kind: 'outcome', job: 7, outcome: { ...OUTCOME, files, state: change } })
})

// Goal: answers arrive whole, and errors with the code and hint they had.
// Method: encode, pass through JSON, parse.
test('answers arrive whole', () => {
  assert.deepEqual(parseAnswer(travel(encodeOutcome(7, OUTCOME))), { kind: 'outcome', job: 7, outcome: OUTCOME })
  assert.deepEqual(parseAnswer(travel(encodeOutcome(7, { ...OUTCOME, files: null }))), { kind: 'outcome', job: 7, outcome: { ...OUTCOME, files: null } })
  assert.deepEqual(parseAnswer(travel(encodeReport(7, REPORT))), { kind: 'report', job: 7, report: REPORT })
  const refusal = parseAnswer(travel(encodeRefusal(7, new InosError('ERR_MISSING_EXPORT', 'No run.', { hint: 'Export it.' }))))
  assert.ok(refusal.kind === 'refusal')
  assert.deepEqual([refusal.error.code, refusal.error.message, refusal.error.hint], ['ERR_MISSING_EXPORT', 'No run.', 'Export it.'])
})

// Goal: a message or a report that would break the limits of a frame is cut or refused where it is made.
// Method: a trap message of a megabyte of quotes, names of 5 MiB.
test('what is too long never leaves the executor', () => {
  const message = '\u0001'.repeat(1 << 20)
  assert.ok(JSON.stringify(encodeOutcome(1, { ...OUTCOME, message }).header).length < LIMITS.executor.answerBytesMax)
  assert.ok(JSON.stringify(encodeRefusal(1, new InosError('ERR_INTERNAL', message)).header).length < LIMITS.executor.answerBytesMax)
  assert.equal(encodeReport(1, { ...REPORT, exports: ['x'.repeat(5 << 20)] }).header.code, 'ERR_INVALID_MODULE')
})

// Goal: whatever a taken-over executor says, the main process gets a well-formed answer or a FrameError.
// Method: true answers with any one field replaced by anything JSON can say, or left out.
test('a hostile answer is a FrameError or well-formed', () => {
  const truths: Frame[] = [encodeOutcome(1, OUTCOME), encodeReport(1, REPORT), encodeRefusal(1, new InosError('ERR_INTERNAL', 'x')), { header: { kind: 'estimate', job: 1, cpuMs: 1 }, parts: [] }].map(travel)
  const fields = ['kind', 'job', 'outcome', 'exitCode', 'fuel', 'pages', 'message', 'report', 'code', 'hint', 'cpuMs']
  fc.assert(fc.property(fc.constantFrom(...truths), fc.constantFrom(...fields), fc.jsonValue(), fc.array(fc.uint8Array({ maxLength: 4 }), { maxLength: 4 }), (truth, field, value, parts) => {
    try {
      const answer = parseAnswer({ header: { ...truth.header, [field]: value }, parts })
      if ('job' in answer) assert.ok(Number.isSafeInteger(answer.job))
      if (answer.kind === 'outcome') assert.ok(typeof answer.outcome.fuel === 'bigint' && answer.outcome.fuel >= 0n && typeof answer.outcome.message === 'string' && answer.outcome.result instanceof Uint8Array)
      if (answer.kind === 'estimate') assert.ok(answer.cpuMs >= 0 && answer.cpuMs < Infinity)
      if (answer.kind === 'report') assert.ok(answer.report.exports.every(name => typeof name === 'string'))
    } catch (error) {
      assert.ok(error instanceof FrameError, String(error))
    }
  }), { numRuns: 2_000 })
})

// Goal: a state that a taken-over executor made up is a FrameError or well-formed.
// Method: a true one with any one field replaced by anything JSON can say, or with other parts.
test('a hostile state is a FrameError or well-formed', () => {
  const page = new Uint8Array(PAGE_BYTES)
  const { header, parts } = travel(encodeOutcome(1, { ...OUTCOME, state: { pages: 3, changed: new Map([[1, page], [2, null]]), globals: new Uint8Array(8), tables: [[1]], dropped: [0] } }))
  const fields = fc.constantFrom('pages', 'full', 'zero', 'tables', 'dropped')
  const values = fc.oneof(fc.jsonValue(), fc.array(fc.oneof(fc.integer(), fc.constant(null), fc.array(fc.integer()))))
  fc.assert(fc.property(fields, values, fc.subarray([...parts, page]), fc.boolean(), (field, value, others, isWhole) => {
    try {
      const answer = parseAnswer({ header: { ...header, state: { ...header.state as object, [field]: value } }, parts: isWhole ? parts : others })
      assert.ok(answer.kind === 'outcome' && answer.outcome.state !== undefined)
      const { pages, changed, globals, tables, dropped } = answer.outcome.state
      assert.ok([...changed.keys(), ...dropped].every(at => Number.isSafeInteger(at) && at >= 0) && [...changed.keys()].every(at => at < pages))
      assert.ok(globals.length % 8 === 0 && [...changed.values()].every(each => each === null || each.length === PAGE_BYTES) && tables.every(Array.isArray))
    } catch (error) {
      assert.ok(error instanceof FrameError, String(error))
    }
  }), { numRuns: 2_000 })
})

// Goal: an executor cannot claim what the job did not allow, nor codes that are not its to give.
// Method: one true outcome, broken in each way.
test('an outcome the job cannot have is refused', () => {
  const limits = { fuelMax: 100n, memoryPagesMax: 4, outputBytesMax: 5 }
  const fair: Outcome = { ...OUTCOME, fuel: 100n }
  checkOutcome(fair, { limits })
  checkOutcome({ ...fair, outcome: 'fuel', exitCode: null, result: new Uint8Array(0), files: null }, { limits })
  const broken: Partial<Outcome>[] = [
    { fuel: 101n }, { pages: 5 }, { exitCode: null }, { result: new Uint8Array(3) }, { files: new Uint8Array(4) }, { files: null, result: new Uint8Array(6) }, { stderr: new Uint8Array(LIMITS.guest.stderrBytesMax + 1) },
    { outcome: 'trap' }, { outcome: 'trap', exitCode: null, files: null }, { outcome: 'trap', exitCode: null, result: new Uint8Array(0) }, { outcome: 'fuel', exitCode: null, result: new Uint8Array(0), files: null, fuel: 99n }
  ]
  for (const change of broken) assert.throws(() => checkOutcome({ ...fair, ...change }, { limits }), FrameError, JSON.stringify(change, (_, value) => typeof value === 'bigint' ? String(value) : value))
  const state = { pages: 4, changed: new Map<number, Uint8Array | null>(), globals: new Uint8Array(0), tables: [], dropped: [] }
  checkOutcome({ ...fair, state }, { limits, state: null })
  assert.throws(() => checkOutcome({ ...fair, state }, { limits }), FrameError)
  assert.throws(() => checkOutcome({ ...fair, state: { ...state, pages: 3 } }, { limits, state: null }), FrameError)
  assert.throws(() => checkOutcome({ ...fair, state }, { limits, state: STATE(new Uint8Array(PAGE_BYTES)) }), FrameError)
  assert.throws(() => checkOutcome({ ...fair, outcome: 'trap', exitCode: null, result: new Uint8Array(0), files: null, state }, { limits, state: null }), FrameError)
  assert.throws(() => parseAnswer({ header: { kind: 'refusal', job: 1, code: 'ERR_INSUFFICIENT_CREDITS', message: '' }, parts: [] }), FrameError)
})
