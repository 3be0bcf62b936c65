/**
 * What the main process and an executor say to each other, and the checks of what an executor says:
 * to the main process an executor is hostile, because a guest may have taken it over. The other
 * direction is trusted. Bytes and their limits are the business of `executor-frames.ts`.
 *
 *     main → executor   run (and inspect), then module or absent if asked; for each child its end, or that it is lost
 *     executor → main   ready once; per job need and estimate at most once, then outcome, report or refusal; children
 *                       that its guest wants computed, and each that the guest is suspended for
 *                       retire while idle: something still burns CPU here, replace me
 */
import { InosError } from '../packet/errors.ts'
import type { ErrorCode } from '../packet/errors.ts'
import { LIMITS, PAGE_BYTES } from '../packet/limits.ts'
import { OUTCOMES } from '../wasm/runtime.ts'
import type { Child, ChildEnd, ModuleReport, Outcome, OutcomeKind, Run, RunLimits, State, StateChange } from '../wasm/runtime.ts'
import { FrameError, isRecord, measureHeader } from './executor-frames.ts'
import type { Frame, FrameLimits } from './executor-frames.ts'
import { type Held, missing, NONE, wholePage, withoutEnd } from './executor-pages.ts'
import { FarContent } from './executor-supply.ts'
import { type Content, isStored, type Ranges } from '../wasm/ranges.ts'

/** What an executor may send while it runs a job of these limits. @param hasChildren whether its guest may have children */
export function answerLimits ({ limits, state }: { readonly limits: Pick<RunLimits, 'outputBytesMax'>, readonly state?: Run['state'] }, hasChildren = false): FrameLimits {
  const { answerBytesMax, stateHeaderBytesMax } = LIMITS.executor
  const outcome = limits.outputBytesMax + LIMITS.guest.stderrBytesMax
  const bytes = hasChildren ? Math.max(outcome, LIMITS.guest.childBytesMax + LIMITS.spec.textBytesMax) : outcome
  if (state === undefined) return { headerBytesMax: answerBytesMax, bodyBytesMax: bytes }
  const { pagesMax, slotsMax } = LIMITS.state
  return { headerBytesMax: answerBytesMax + stateHeaderBytesMax, bodyBytesMax: bytes + pagesMax * PAGE_BYTES + slotsMax * 8 }
}

/** What it may send while it inspects a module, whose names can be many, and while it is idle. */
export const REPORT_LIMITS: FrameLimits = { headerBytesMax: LIMITS.executor.reportBytesMax, bodyBytesMax: 0 }
export const IDLE_LIMITS: FrameLimits = { headerBytesMax: LIMITS.executor.answerBytesMax, bodyBytesMax: 0 }
/** What the main process sends; a backstop only, since the job was checked before. */
export const ORDER_LIMITS: FrameLimits = { headerBytesMax: LIMITS.executor.orderHeaderBytesMax, bodyBytesMax: LIMITS.executor.orderBodyBytesMax }

interface RunHeader {
  readonly job: number
  readonly moduleId: string
  readonly entry: string
  readonly args: string[]
  readonly env: Record<string, string>
  readonly paths: string[]
  /** Lengths of what is read over the pipe of supplies, by its part; nothing stands in its place. */
  readonly stored: Record<string, number>
  readonly outputs: string[]
  readonly fuelMax: string
  readonly memoryPagesMax: number
  readonly outputBytesMax: number
  /** Absent for the default. */
  readonly descendantsMax?: number
  readonly levelsMax?: number
  /** Whether its guest may have children. */
  readonly kin: boolean
  /** Absent: none is kept; null: none is there yet. */
  readonly state?: StateHeader | null
}

/** A state, or what changed of it, beside its globals and the pages at `full`, which are parts. */
interface StateHeader {
  readonly pages: number
  readonly full: number[]
  /** Pages that the executor holds. */
  readonly held?: number[]
  /** Pages that are all zero now; of a whole state, those that are not in `full`. */
  readonly zero?: number[]
  readonly tables: StateChange['tables']
  readonly dropped: readonly number[]
}

/** The input and the files of a run, in the order in which both sides count them. */
export function contentsOf ({ input, files }: Run): Content[] { return [input, ...Object.values(files)] }

/** Bytes of a run that lie outside of memory. */
export function storedBytes (run: Run): number {
  return contentsOf(run).reduce((sum, content) => sum + (isStored(content) ? content.length : 0), 0)
}

const NOTHING = new Uint8Array(0)

/** @param wasm the module, unless the executor is believed to have it compiled @param held pages that it holds */
export function encodeRun (job: number, run: Run, wasm: Uint8Array | undefined, kin = false, held: Held = NONE): Frame {
  const paths = Object.keys(run.files)
  const { fuelMax, ...limits } = run.limits
  const contents = contentsOf(run)
  const stored = [...contents.entries()].flatMap(([part, content]) => isStored(content) ? [[String(part), content.length] as const] : [])
  const header: RunHeader & { kind: 'run' } = {
    kind: 'run', job, moduleId: run.moduleId, entry: run.entry, args: [...run.args], env: run.env, paths, stored: Object.fromEntries(stored), outputs: [...run.outputs],
    fuelMax: String(fuelMax), ...limits, kin
  }
  const [input, ...files] = contents.map(content => content instanceof Uint8Array ? content : NOTHING)
  const state = run.state ?? null
  const described = state === null ? null : { ...missing(state.pages, held), pages: state.pages.length, tables: state.tables, dropped: state.dropped }
  const stateParts = state === null ? [] : [state.globals, ...described!.full.map(at => withoutEnd(state.pages[at]!))]
  return {
    header: { ...header, ...(run.state === undefined ? {} : { state: described }) },
    parts: [input!, run.seed, ...files, ...stateParts, ...(wasm === undefined ? [] : [wasm])]
  }
}

/** @param ask fetches the module from the main process if it did not come along @param held pages that are held here */
export function decodeRun (frame: Frame, ask: () => Promise<Uint8Array>, held: Held = NONE): Run {
  const header = frame.header as unknown as RunHeader
  const { fuelMax, memoryPagesMax, outputBytesMax, descendantsMax, levelsMax } = header
  const [input, seed, ...rest] = frame.parts as Uint8Array[]
  const contentOf = (part: number, bytes: Uint8Array): Uint8Array | Ranges => {
    const length = header.stored[part]
    return length === undefined ? bytes : new FarContent(header.job, part, length)
  }
  const files = rest.splice(0, header.paths.length)
  const state = header.state ? decodeRunState(header.state, rest, held) : header.state
  return {
    moduleId: header.moduleId,
    wasm: rest[0] ?? ask,
    input: contentOf(0, input!),
    entry: header.entry,
    args: header.args,
    env: header.env,
    files: Object.fromEntries(header.paths.map((path, at) => [path, contentOf(1 + at, files[at]!)])),
    outputs: header.outputs,
    limits: {
      fuelMax: BigInt(fuelMax), memoryPagesMax, outputBytesMax, ...descendantsMax === undefined ? {} : { descendantsMax }, ...levelsMax === undefined ? {} : { levelsMax }
    },
    seed: seed!,
    ...(state === undefined ? {} : { state })
  }
}

/** @param rest parts of which those of the state are taken */
function decodeRunState ({ pages: count, full, held: kept = [], tables, dropped }: StateHeader, rest: Uint8Array[], held: Held): State {
  const globals = rest.shift()!
  const pages = new Array<Uint8Array | null>(count).fill(null)
  for (const at of full) pages[at] = wholePage(rest.shift()!)
  for (const at of kept) pages[at] = held[at]!
  return { pages, globals, tables, dropped }
}

/** Whether the guest of a run may have children. */
export function mayHaveChildren ({ header }: Frame): boolean { return header.kin === true }

/** A child that the guest of a job wants computed. Its args travel as bytes: as JSON they could be six times as long. */
export function encodeChild (job: number, { input, args, module, entry, limits: { fuelMax, ...limits } }: Child, at: number): Frame {
  const text = new TextEncoder().encode(args.map(arg => `${arg}\0`).join(''))
  return { header: { kind: 'child', job, at, module, entry, fuelMax: String(fuelMax), ...limits }, parts: [input, text] }
}

/** What became of a child; null: a fault of this host, that ends the whole job. */
export function encodeChildEnd (job: number, at: number, end: ChildEnd | null): Frame {
  if (end === null) return { header: { kind: 'lost', job, at }, parts: [] }
  const { result, fuel, ...rest } = end
  return { header: { kind: 'over', job, at, ...rest, fuel: String(fuel) }, parts: [result] }
}

export function decodeChildEnd ({ header, parts }: Frame): ChildEnd {
  const { outcome, exitCode, descendants, fuel } = header as unknown as Omit<ChildEnd, 'fuel'> & { fuel: string }
  return { outcome, exitCode, descendants, fuel: BigInt(fuel), result: parts[0]! }
}

export function encodeOutcome (job: number, outcome: Outcome): Frame {
  const { result, files, stderr, fuel, message, state, ...rest } = outcome
  const header = { kind: 'outcome', job, ...rest, fuel: String(fuel), message: message.slice(0, LIMITS.executor.messageLengthMax), ...(state === undefined ? {} : { state: changeHeader(state) }) }
  const pages = state === undefined ? [] : [state.globals, ...Array.from(state.changed.values()).filter(page => page !== null).map(withoutEnd)]
  return { header, parts: [result, stderr, ...(files === null ? [] : [files]), ...pages] }
}

function changeHeader ({ pages, changed, tables, dropped }: StateChange): StateHeader {
  const at = (isZero: boolean): number[] => Array.from(changed).filter(([, page]) => (page === null) === isZero).map(([page]) => page)
  return { pages, full: at(false), zero: at(true), tables, dropped }
}

export function encodeReport (job: number, report: ModuleReport): Frame {
  const header = { kind: 'report', job, report: { ...report } }
  if (measureHeader(header) <= REPORT_LIMITS.headerBytesMax - 16) return { header, parts: [] }
  return encodeRefusal(job, new InosError('ERR_INVALID_MODULE', `The names a module imports and exports are longer than ${REPORT_LIMITS.headerBytesMax} bytes together.`))
}

export function encodeRefusal (job: number, { code, message, hint }: InosError): Frame {
  const lengthMax = LIMITS.executor.messageLengthMax
  return { header: { kind: 'refusal', job, code, message: message.slice(0, lengthMax), hint: hint?.slice(0, lengthMax) }, parts: [] }
}

/** What a job ends with. */
export type Ending = Extract<Answer, { kind: 'outcome' | 'report' | 'refusal' }>

export type Answer =
  | { readonly kind: 'ready' }
  | { readonly kind: 'retire' }
  | { readonly kind: 'need', readonly job: number }
  | { readonly kind: 'estimate', readonly job: number, readonly cpuMs: number }
  | { readonly kind: 'outcome', readonly job: number, readonly outcome: Outcome }
  | { readonly kind: 'report', readonly job: number, readonly report: ModuleReport }
  | { readonly kind: 'refusal', readonly job: number, readonly error: InosError }
  | { readonly kind: 'child', readonly job: number, readonly at: number, readonly child: Child }
  | { readonly kind: 'wait', readonly job: number, readonly at: number }

/**
 * Read what an executor sent. Nothing of it is kept that was not checked.
 * @throws {FrameError}
 */
export function parseAnswer (frame: Frame): Answer {
  const { header, parts } = frame
  const { kind } = header
  if (kind === 'ready') return { kind }
  if (kind === 'retire') return { kind }
  const job = count(header.job, Number.MAX_SAFE_INTEGER)
  switch (kind) {
    case 'need': return { kind, job }
    case 'estimate': return { kind, job, cpuMs: positive(header.cpuMs) }
    case 'outcome': return { kind, job, outcome: parseOutcome(header, parts) }
    case 'report': return { kind, job, report: parseReport(header.report) }
    case 'refusal': return { kind, job, error: parseRefusal(header) }
    case 'child': return { kind, job, at: count(header.at, LIMITS.guest.childrenMax), child: parseChild(header, parts) }
    case 'wait': return { kind, job, at: count(header.at, LIMITS.guest.childrenMax) }
    default: throw new FrameError('an answer is of no known kind')
  }
}

function parseOutcome (header: Frame['header'], parts: readonly Uint8Array[]): Outcome {
  const outcome = OUTCOMES.find(name => name === header.outcome)
  const { state, own } = parseChange(header.state, parts)
  const [result, stderr, files = null] = own
  if (outcome === undefined || result === undefined || stderr === undefined || own.length > 3) throw new FrameError('an outcome has another shape')
  return {
    outcome,
    exitCode: header.exitCode === null ? null : count(header.exitCode, 2 ** 31 - 1),
    result,
    files,
    stderr,
    fuel: fuelOf(header.fuel),
    pages: count(header.pages, LIMITS.spec.memoryPagesMax),
    message: text(header.message),
    ...(state === undefined ? {} : { state })
  }
}

/** Whether its guest may have such a child is another question. */
function parseChild (header: Frame['header'], parts: readonly Uint8Array[]): Child {
  const [input, text] = parts
  if (input === undefined || text === undefined || parts.length > 2) throw new FrameError('a child has another shape')
  const args = new TextDecoder().decode(text).split('\0')
  if (args.pop() !== '' || args.length > LIMITS.spec.argsMax || text.length > LIMITS.spec.textBytesMax) throw new FrameError('the arguments of a child are not a short list')
  const { spec, wire } = LIMITS
  return {
    module: header.module === null ? null : shortText(header.module, wire.nameBytesMax),
    input,
    entry: shortText(header.entry, spec.entryBytesMax),
    args,
    limits: {
      fuelMax: fuelOf(header.fuelMax),
      memoryPagesMax: count(header.memoryPagesMax, spec.memoryPagesMax),
      outputBytesMax: count(header.outputBytesMax, spec.outputBytesMax),
      descendantsMax: count(header.descendantsMax, spec.descendantsMax),
      levelsMax: count(header.levelsMax, spec.levelsMax)
    }
  }
}

/** What changed of a state, with its parts, which come last, and the parts before them. */
function parseChange (header: unknown, parts: readonly Uint8Array[]): { state?: StateChange, own: readonly Uint8Array[] } {
  if (header === undefined) return { own: parts }
  if (!isRecord(header) || !Array.isArray(header.tables) || header.tables.length > LIMITS.module.tablesMax) throw new FrameError('a state has another shape')
  const pages = count(header.pages, LIMITS.spec.memoryPagesMax)
  const full = indices(header.full, LIMITS.state.pagesMax, pages)
  const begin = parts.length - full.length - 1
  const [globals, ...bytes] = parts.slice(Math.max(begin, 0))
  if (begin < 2 || globals === undefined || globals.length > LIMITS.state.slotsMax * 8 || globals.length % 8 !== 0 || bytes.some(page => page.length > PAGE_BYTES)) throw new FrameError('the parts of a state have other lengths')
  const changed = new Map<number, Uint8Array | null>(full.map((at, i) => [at, wholePage(bytes[i]!)]))
  for (const at of indices(header.zero, pages, pages)) changed.set(at, null)
  const tables = header.tables.map(parseTable)
  if (tables.reduce((sum, table) => sum + table.length, 0) > LIMITS.state.tableEntriesMax) throw new FrameError('the tables of a state are too long')
  return { own: parts.slice(0, begin), state: { pages, changed, globals, tables, dropped: indices(header.dropped, LIMITS.state.slotsMax, LIMITS.state.slotsMax) } }
}

function parseTable (table: unknown): Array<number | null> {
  if (!Array.isArray(table)) throw new FrameError('a table of a state is no list')
  return table.map((entry: unknown) => entry === null ? null : count(entry, LIMITS.module.functionsMax + LIMITS.module.importsMax))
}

/** Different numbers below `end`. */
function indices (list: unknown, lengthMax: number, end: number): number[] {
  if (!Array.isArray(list) || list.length > lengthMax || new Set(list).size !== list.length) throw new FrameError('a list of a state is not one of different numbers')
  return list.map(each => count(each, end - 1))
}

/**
 * Whether a well-shaped outcome is one this job can have.
 * @throws {FrameError}
 */
export function checkOutcome (outcome: Outcome, { limits, state }: Pick<Run, 'limits' | 'state'>): void {
  const expect = (holds: boolean, rule: string): void => {
    if (!holds) throw new FrameError(rule)
  }
  const ok: OutcomeKind = 'ok'
  expect(outcome.fuel <= limits.fuelMax, 'more fuel is burnt than the job had')
  expect(outcome.outcome !== 'fuel' || outcome.fuel === limits.fuelMax, 'fuel is left where it ran out')
  expect((outcome.exitCode !== null) === (outcome.outcome === ok), 'an exit code goes with ok')
  expect(outcome.outcome === ok || (outcome.result.length === 0 && outcome.files === null), 'result and files go with ok')
  expect(outcome.result.length + (outcome.files?.length ?? 0) <= limits.outputBytesMax, 'result and files are longer than the job allows')
  expect(outcome.stderr.length <= LIMITS.guest.stderrBytesMax, 'stderr is longer than it may be')
  expect(outcome.pages <= limits.memoryPagesMax, 'more pages are held than the job allows')
  if (outcome.state === undefined) return
  expect(state !== undefined && outcome.outcome === ok, 'a state goes with ok, of a job that keeps one')
  expect(outcome.state.pages === outcome.pages && outcome.pages >= (state?.pages.length ?? 0), 'a state has the pages of its memory')
  const full = (state?.pages ?? []).filter((page, at) => page !== null && !outcome.state!.changed.has(at)).length + Array.from(outcome.state.changed.values()).filter(page => page !== null).length
  expect(full <= LIMITS.state.pagesMax, 'a state has more pages than it may')
}

function parseReport (report: unknown): ModuleReport {
  if (!isRecord(report) || !isRecord(report.estimate)) throw new FrameError('a report has another shape')
  const sizeMax = Number.MAX_SAFE_INTEGER
  return {
    bytes: count(report.bytes, sizeMax),
    functions: count(report.functions, sizeMax),
    abi: text(report.abi),
    imports: texts(report.imports),
    exports: texts(report.exports),
    features: texts(report.features),
    memoryPagesMin: count(report.memoryPagesMin, sizeMax),
    estimate: { cpuMs: positive(report.estimate.cpuMs), peakBytes: positive(report.estimate.peakBytes) },
    meteredBytes: count(report.meteredBytes, sizeMax)
  }
}

/** The codes an executor can refuse with; another one is a fault of the executor. */
const REFUSALS: readonly ErrorCode[] = [
  'ERR_INVALID_MODULE', 'ERR_MISSING_EXPORT', 'ERR_UNSUPPORTED_IMPORT', 'ERR_INVALID_SPEC', 'ERR_INPUT_TOO_LARGE', 'ERR_EXECUTOR_LOST', 'ERR_INTERNAL'
]

function parseRefusal (header: Frame['header']): InosError {
  const code = REFUSALS.find(name => name === header.code)
  if (code === undefined) throw new FrameError('a refusal has no known code')
  return new InosError(code, text(header.message), header.hint === undefined ? {} : { hint: text(header.hint) })
}

function count (value: unknown, max: number): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 && value <= max) return value
  throw new FrameError('a count is not a whole number in range')
}

function positive (value: unknown): number {
  if (typeof value === 'number' && Number.isFinite(value) && value >= 0) return value
  throw new FrameError('an amount is not a number from zero up')
}

function text (value: unknown): string {
  if (typeof value === 'string') return value
  throw new FrameError('a text is not one')
}

function shortText (value: unknown, charsMax: number): string {
  if (text(value).length > charsMax) throw new FrameError('a text is longer than it may be')
  return text(value)
}

function texts (value: unknown): string[] {
  if (Array.isArray(value)) return value.map(text)
  throw new FrameError('a list of texts is not one')
}

/** At most 20 digits, so that reading a number costs nothing. */
function fuelOf (value: unknown): bigint {
  if (typeof value === 'string' && /^[0-9]{1,20}$/.test(value)) return BigInt(value)
  throw new FrameError('fuel is not a decimal number')
}
