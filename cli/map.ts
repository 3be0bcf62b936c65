/** `inos map`: one module over many inputs, wherever there is room; results on stdout, in the order of the inputs. */
import { existsSync } from 'node:fs'
import type { Command } from 'commander'
import { Option } from 'commander'
import { formatCredits, groupDigits, parseCount, parseCredits } from '../src/packet/amounts.ts'
import { InosError, toInosError } from '../src/packet/errors.ts'
import { LIMITS } from '../src/packet/limits.ts'
import type { MapFailure, MapOptions, MapProgress } from '../src/emergent/map.ts'
import type { PlainItem } from '../src/node/operator.ts'
import { addData, addJson, addPeers, type Context, examples, read } from './command.ts'
import { PIECES, type Piece, readInputs } from './inputs.ts'
import { hashInput, type Joblog, openJoblog } from './joblog.ts'
import { collectEnv, exitCodeOf, parseWhere } from './run.ts'
import { parsePages } from './units.ts'

/** Some items failed; the others are done. */
const SOME_FAILED = 109

interface Options {
  each?: Piece
  jobs?: number
  unordered?: true
  budget?: bigint
  audit?: number
  joblog?: string
  resume?: string
  json?: true
  fuel?: bigint
  memory?: number
  maxCost?: bigint
  where: string
  cache: boolean
  peer: string[]
  entry?: string
  env: Record<string, string>
  data?: string
}

export function addMap (program: Command, context: Context): void {
  const command = program.command('map')
    .description('run a WASM module, or a script, once per input; results come in the order of the inputs')
    .usage('[options] <file.wasm|file.js|file.py> [inputs...] [-- args...]')
    .argument('<file>', 'the module or script, or the CID of a module')
    .argument('[inputs...]', 'files to read, - for stdin (default: stdin)')
    .addOption(new Option('--each <what>', 'what is one input (default: file where files are named, else line)').choices(PIECES))
    .option('-j, --jobs <n>', 'items at once (default: by itself)', read(text => Number(parseCount(text, BigInt(LIMITS.wire.requestsQueuedMax)))))
    .option('--unordered', 'write results as they are done')
    .option('--budget <amount>', 'most that all items together may cost, such as 50cr; never passed, and no less than one item may cost at its limits', read(parseCredits))
    .option('--audit <share>', 'share of bought results to run again here and compare, such as 0.1, and the first of each node', read(parseShare))
    .option('--joblog <file>', 'write a line per item: number, exit code, cost, receipt')
    .option('--resume <name>', 'continue the log of that name; where there is none, the map that was begun with this name: nothing is paid twice')
    .option('--fuel <n>', `instructions each may execute (default: ${groupDigits(LIMITS.job.fuelMax)})`, read(text => parseCount(text, LIMITS.spec.fuelMax)))
    .option('--memory <size>', 'memory each may have (default: 256MiB)', read(parsePages))
    .option('--max-cost <amount>', 'most each may cost', read(parseCredits))
    .option('--where <place>', 'any, local, remote (never here), or a PeerId', read(parseWhere), 'any')
    .option('--no-cache', 'run each, also where the same one ran before')
    .option('--entry <export>', 'function to call (default: _start, else run)')
    .option('--env <name=value>', 'environment variable of the guest; may be given several times', collectEnv, {})
  addJson(addData(addPeers(command)), 'print an object per item, as JSON lines')
  examples(command, [
    ['inos map sum.wasm numbers.txt --each line', 'once per line'],
    ['find . -name "*.png" -print0 | inos map name.wasm --each null', 'once per NUL-ended piece of stdin'],
    ['inos map shrink.wasm *.png --json --budget 2cr', 'once per file, never above 2 credits'],
    ['inos map big.wasm inputs.jsonl --each jsonl --joblog done.tsv', 'keep a log …'],
    ['inos map big.wasm inputs.jsonl --each jsonl --resume done.tsv', '… and go on from there'],
    ['inos map bafy… numbers.txt --where remote', 'module by name: whoever runs an item fetches it'],
    ['inos map big.wasm inputs.jsonl --each jsonl --resume sweep-42', 'begin a map by name; the same again after a crash buys only the rest']
  ])
  command.action(async (file: string, inputs: string[], options: Options) => {
    context.finish(await run(file, inputs, options, context))
  })
}

async function run (file: string, inputs: readonly string[], options: Options, context: Context): Promise<number> {
  const { output, signal, guestArgs } = context
  const isLog = options.resume !== undefined && existsSync(options.resume)
  if (options.joblog !== undefined && isLog) throw new InosError('ERR_USAGE', '--resume continues the log it names; --joblog begins one anew.', { hint: 'Give one of the two.' })
  const { readProgram } = await import('./script.ts')
  const { wasm, job } = await readProgram(file, guestArgs, signal)
  const log = isLog ? options.resume : options.joblog
  const resume = isLog ? undefined : options.resume
  if (resume !== undefined) output.say(`There is no log "${resume}": this map has it as its name.`)
  await using joblog = log === undefined ? null : await openJoblog(log, isLog)
  const { connectPeers, openOperator } = await import('./open.ts')
  await using operator = await openOperator({ data: options.data, join: { network: options.peer.length > 0, serve: false }, output, signal })
  await connectPeers(operator, options.peer, { output, signal })
  const work = new Work(options, joblog, context)
  const piece = options.each ?? (inputs.length > 0 && inputs.every(input => input !== '-') ? 'file' : 'line')
  const source = work.inputs(readInputs(inputs.length === 0 ? ['-'] : inputs, piece, signal))
  const total = piece === 'file' ? Math.max(1, inputs.length) : null
  try {
    for await (const item of operator.map(wasm, source, { ...job, ...optionsOf(options), ...(resume === undefined ? {} : { resume }), signal, onProgress: progress => work.show(progress, total) })) {
      await work.deliver(item, piece)
      if (output.closed) break
    }
  } catch (error) {
    work.end()
    throw signal.aborted ? signal.reason : toInosError(error)
  }
  return work.end()
}

function optionsOf ({ entry, env, fuel, memory, maxCost, where, jobs, unordered, budget, audit, cache }: Options): MapOptions {
  return {
    env,
    where,
    cache,
    ordered: unordered !== true,
    ...(entry === undefined ? {} : { entry }),
    limits: { ...(fuel === undefined ? {} : { fuelMax: fuel }), ...(memory === undefined ? {} : { memoryPagesMax: memory }) },
    ...(maxCost === undefined ? {} : { costMax: maxCost }),
    ...(jobs === undefined ? {} : { concurrency: jobs }),
    ...(audit === undefined ? {} : { verify: { audit } }),
    ...(budget === undefined ? {} : { budget })
  }
}

function parseShare (text: string): number {
  const share = /^(0|1|0?\.\d{1,9})$/.test(text) ? Number(text) : Number.NaN
  if (Number.isNaN(share)) throw new InosError('ERR_USAGE', `"${text.slice(0, 40)}" is no share; write it like 0.1.`)
  return share
}

/** What the command knows of its items: their numbers and inputs, and how many ended how. */
class Work {
  readonly #options: Options
  readonly #joblog: Joblog | null
  readonly #context: Context
  /** By the map's own index: number and hash of what is under way. */
  readonly #open = new Map<number, { readonly seq: number, readonly hash: string }>()
  #skipped = 0
  #failed = 0
  readonly #hints = new Set<string>()
  #last: MapProgress | null = null
  #shownAt = Number.NEGATIVE_INFINITY

  constructor (options: Options, joblog: Joblog | null, context: Context) {
    this.#options = options
    this.#joblog = joblog
    this.#context = context
  }

  /** Inputs that are not done by the log. @throws {InosError} ERR_USAGE when the log is of other inputs */
  async * inputs (all: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    let seq = 0
    let index = 0
    for await (const input of all) {
      seq++
      const hash = this.#joblog === null ? '' : hashInput(input)
      const before = this.#joblog?.done.get(seq)
      if (before !== undefined && before !== hash) throw new InosError('ERR_USAGE', `Input ${seq} is not the one that ${this.#options.resume} says is done.`, { hint: 'Resume with the same inputs in the same order.' })
      if (before !== undefined) this.#skipped++
      else {
        this.#open.set(index++, { seq, hash })
        yield input
      }
    }
  }

  /** The result to stdout, then its line to the log: what stands there as done was written. */
  async deliver (item: PlainItem | MapFailure, piece: Piece): Promise<void> {
    const { output } = this.#context
    const { seq, hash } = this.#open.get(item.index)!
    this.#open.delete(item.index)
    const exit = item.error?.exitCode ?? exitCodeOf((item as PlainItem).exitCode ?? 0)
    if (exit !== 0) this.#failed++
    if (item.error === undefined) output.pass(item.stderr)
    if (this.#options.json === true) await output.json(describe(item, seq, exit))
    else if (item.error === undefined) await output.write(ended(item.bytes, piece))
    else this.#sayFailure(seq, item.error)
    const facts = item.error === undefined
      ? { outcome: item.outcome, cost_ucr: `${item.cost}`, fuel: `${item.fuel}`, executor: item.executor, receipt: item.receiptId }
      : { outcome: item.error.code, cost_ucr: '', fuel: '', executor: '', receipt: '' }
    await this.#joblog?.write({ seq: `${seq}`, input: hash, at: new Date().toISOString(), exit: `${exit}`, ...facts })
  }

  /** What would help is said once, however many items it would help. */
  #sayFailure (seq: number, { message, code, hint }: InosError): void {
    const { output } = this.#context
    output.say(`item ${seq}: ${message} (${code})`)
    if (hint === undefined || this.#hints.has(hint)) return
    this.#hints.add(hint)
    output.say(`hint: ${hint}`)
  }

  show (progress: MapProgress, total: number | null): void {
    this.#last = progress
    const now = performance.now()
    if (now - this.#shownAt < LIMITS.control.progressMs) return
    this.#shownAt = now
    this.#context.output.status(describeProgress(progress, total === null ? null : total - this.#skipped))
  }

  /** @returns the exit code */
  end (): number {
    const { output } = this.#context
    output.status(null)
    if (this.#last !== null) output.say(describeProgress(this.#last, null))
    if (this.#skipped > 0) output.say(`${groupDigits(this.#skipped)} were done before`)
    return this.#failed > 0 ? SOME_FAILED : 0
  }
}

const BAR_CHARS = 20

function describeProgress ({ done, failed, running, repeats, cost }: MapProgress, total: number | null): string {
  const filled = total === null ? 0 : Math.min(BAR_CHARS, Math.floor((done + failed) * BAR_CHARS / Math.max(1, total)))
  return [
    ...(total === null ? [] : [`[${'#'.repeat(filled)}${'-'.repeat(BAR_CHARS - filled)}] ${groupDigits(done + failed)} of ${groupDigits(total)}`]),
    `${groupDigits(done)} done`,
    ...(failed > 0 ? [`${groupDigits(failed)} failed`] : []),
    ...(running > 0 ? [`${groupDigits(running)} running`] : []),
    ...(repeats > 0 ? [`${groupDigits(repeats)} begun again`] : []),
    formatCredits(cost)
  ].join(' · ')
}

/** Results of one line each stay lines; those of NUL-ended pieces end with NUL. */
function ended (bytes: Uint8Array, piece: Piece): Uint8Array {
  const end = piece === 'null' ? 0 : 0x0a
  if (bytes.at(-1) === end) return bytes
  const whole = new Uint8Array(bytes.length + 1)
  whole.set(bytes)
  whole[bytes.length] = end
  return whole
}

function describe (item: PlainItem | MapFailure, seq: number, exitCode: number): object {
  if (item.error !== undefined) {
    const { code, message, hint } = item.error
    return { seq, exitCode, code, message, hint: hint ?? null }
  }
  const { outcome, exitCode: guestExitCode, fuel, cost, executor, cached, bytes, receiptId } = item
  const inline = bytes.length <= LIMITS.control.jsonResultBytesMax
  return { seq, exitCode, outcome, guestExitCode, fuel, cost, executor, cached, resultBytes: bytes.length, ...(inline ? { result: bytes } : {}), receipt: receiptId }
}
