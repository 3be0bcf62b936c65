import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { ModuleReport, Outcome } from '../wasm/runtime.ts'
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

// Goal: an executor cannot claim what the job did not allow, nor codes that are not its to give.
// Method: one true outcome, broken in each way.
test('an outcome the job cannot have is refused', () => {
  const limits = { fuelMax: 100n, memoryPagesMax: 4, outputBytesMax: 5 }
  const fair: Outcome = { ...OUTCOME, fuel: 100n }
  checkOutcome(fair, limits)
  checkOutcome({ ...fair, outcome: 'fuel', exitCode: null, result: new Uint8Array(0), files: null }, limits)
  const broken: Partial<Outcome>[] = [
    { fuel: 101n }, { pages: 5 }, { exitCode: null }, { result: new Uint8Array(3) }, { files: new Uint8Array(4) }, { files: null, result: new Uint8Array(6) }, { stderr: new Uint8Array(LIMITS.guest.stderrBytesMax + 1) },
    { outcome: 'trap' }, { outcome: 'trap', exitCode: null, files: null }, { outcome: 'trap', exitCode: null, result: new Uint8Array(0) }, { outcome: 'fuel', exitCode: null, result: new Uint8Array(0), files: null, fuel: 99n }
  ]
  for (const change of broken) assert.throws(() => checkOutcome({ ...fair, ...change }, limits), FrameError, JSON.stringify(change, (_, value) => typeof value === 'bigint' ? String(value) : value))
  assert.throws(() => parseAnswer({ header: { kind: 'refusal', job: 1, code: 'ERR_INSUFFICIENT_CREDITS', message: '' }, parts: [] }), FrameError)
})
