/** `inos run`: one module or script, one input, one result on stdout. */
import { type Command, InvalidArgumentError } from 'commander'
import { formatCredits, groupDigits, parseCount, parseCredits } from '../src/packet/amounts.ts'
import { InosError, toInosError } from '../src/packet/errors.ts'
import { keyOfPeerId } from '../src/packet/identity.ts'
import { LIMITS } from '../src/packet/limits.ts'
import type { PlainResult } from '../src/node/operator.ts'
import { outcomeError } from '../src/packet/outcome.ts'
import type { ComputeOptions, JobState } from '../src/processor/processor.ts'
import { asBlob } from './blob.ts'
import { addData, addJson, addPeers, type Context, examples, read } from './command.ts'
import { parsePages } from './units.ts'

interface RunOptions {
  input?: string
  output?: string
  outputs: string[]
  outputDir?: string
  json?: true
  fuel?: bigint
  memory?: number
  maxCost?: bigint
  where: string
  peer: string[]
  receipt?: string
  module: string[]
  children?: number
  key?: string
  file: Record<string, { cid: string }>
  quote?: true
  cache: boolean
  entry?: string
  env: Record<string, string>
  data?: string
}

export function addRun (program: Command, context: Context): void {
  const command = program.command('run')
    .description('run a WASM module, or a script in JavaScript or Python; stdin is its input, stdout its result')
    .usage('[options] <file.wasm|file.js|file.py> [-- args...]')
    .argument('<file>', 'the module or script, or the CID of a module')
    .option('-i, --input <file>', 'read the input from a file, - for stdin, or name it by its CID (default: stdin unless it is a terminal)')
    .option('-o, --output <file>', 'write the result to a file instead of stdout')
    .option('--outputs <path>', 'bring back the files the guest leaves at or below this path; may be given several times', collect, [])
    .option('--output-dir <dir>', 'write these files below a directory that is empty or new')
    .option('--fuel <n>', `instructions it may execute (default: ${groupDigits(LIMITS.job.fuelMax)})`, read(text => parseCount(text, LIMITS.spec.fuelMax)))
    .option('--memory <size>', 'memory it may have (default: 256MiB)', read(parsePages))
    .option('--max-cost <amount>', 'most it may cost, such as 2cr or 500ucr (default: what the limits allow, up to 20cr)', read(parseCredits))
    .option('--where <place>', 'any, local, remote (never here), or a PeerId', read(parseWhere), 'any')
    .option('--module <file>', 'a module that the guest may have computed, by its CID; may be given several times', collect, [])
    .option('--children <n>', 'other WASM it may have computed, on all levels together; what the job may cost then covers a base price for each', read(text => Number(parseCount(text, BigInt(LIMITS.spec.descendantsMax)))))
    .option('--entry <export>', 'function to call, such as that of an Extism plug-in (default: _start, else run)')
    .option('--env <name=value>', 'environment variable of the guest, config of a plug-in; may be given several times', collectEnv, {})
    .option('--file <path=cid>', 'mount a blob at an absolute path of the guest, to be read only; may be given several times', collectFile, {})
    .option('--key <text>', 'a name for this job: the same name again gives the same result and is never paid twice')
    .option('--receipt <file>', 'write the signed receipt to a file')
    .option('--no-cache', 'run it, also where the same job ran before, and leave its result in no memory')
    .option('--quote', 'show who would run it and what it would cost; run nothing')
  addJson(addData(addPeers(command)), 'print one object: outcome, result in base64, costs and receipt')
  examples(command, [
    ['echo 1 2 3 | inos run sum.wasm', 'run here'],
    ['inos run sum.wasm -i numbers.txt -o sum.txt --fuel 1_000_000', 'files, and a limit'],
    ['echo \'{"a":2}\' | inos run python.wasm -- -c \'import json; print(json.load(open(0))["a"] * 21)\'', 'arguments for the guest'],
    ['echo \'{"a":2}\' | inos run job.js', 'a script: console.log(JSON.parse(std.in.readAsString()).a * 21)'],
    ['echo hello | inos run plugin.wasm --entry count_vowels --env vowels=aeiou', 'an Extism plug-in'],
    ['inos run bafy… -i bafy… --where remote', 'module and input by name: whoever runs it fetches them'],
    ['inos run render.wasm --outputs /out --output-dir frames', 'files the guest leaves in /out, as frames/out/…'],
    ['inos run sort.wasm --module leaf.wasm --children 100', 'a guest that has others compute, across the mesh'],
    ['inos run big.wasm --where remote --quote', 'who would run it, for what price, in what time'],
    ['inos run big.wasm --where remote --peer /ip4/10.0.0.7/tcp/4001 --max-cost 2cr --receipt r.inos', 'run elsewhere, keep the proof']
  ])
  command.action(async (file: string, options: RunOptions) => {
    context.finish(await run(file, options, context))
  })
}

function collect (text: string, before: readonly string[]): string[] { return [...before, text] }

export function collectEnv (text: string, before: Readonly<Record<string, string>>): Record<string, string> {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError(`"${text}" is not NAME=VALUE.`)
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) }
}

function collectFile (text: string, before: Readonly<Record<string, { cid: string }>>): Record<string, { cid: string }> {
  const at = text.lastIndexOf('=')
  const blob = asBlob(text.slice(at + 1))
  if (at < 1 || blob === null) throw new InvalidArgumentError(`"${text}" is not PATH=CID.`)
  return { ...before, [text.slice(0, at)]: blob }
}

export function parseWhere (text: string): string {
  if (!['any', 'local', 'remote'].includes(text)) keyOfPeerId(text)
  return text
}

async function run (file: string, options: RunOptions, context: Context): Promise<number> {
  const { output } = context
  try {
    return await compute(file, options, context)
  } catch (thrown) {
    const error = toInosError(thrown)
    if (options.json === true) await output.json({ ...NOTHING_RAN, exitCode: error.exitCode, ...describe(error) })
    output.fail(error)
    return error.exitCode
  }
}

async function compute (file: string, options: RunOptions, { output, signal, guestArgs }: Context): Promise<number> {
  const { checkWritable, readModule } = await import('./files.ts')
  const { readProgram } = await import('./script.ts')
  for (const target of [options.output, options.receipt]) if (target !== undefined) await checkWritable(target)
  await checkOutputs(options)
  const program = await readProgram(file, guestArgs, signal)
  const input = asBlob(options.input ?? '') ?? await readInput(options.input, { output, signal })
  const { connectPeers, openOperator } = await import('./open.ts')
  await using operator = await openOperator({ data: options.data, join: { network: options.peer.length > 0, serve: false }, output, signal })
  await connectPeers(operator, options.peer, { output, signal })
  const job: ComputeOptions = {
    ...program.job,
    ...(options.entry === undefined ? {} : { entry: options.entry }),
    ...(options.key === undefined ? {} : { key: options.key }),
    env: options.env,
    files: { ...program.job.files, ...options.file },
    outputs: options.outputs,
    limits: {
      ...(options.fuel === undefined ? {} : { fuelMax: options.fuel }),
      ...(options.memory === undefined ? {} : { memoryPagesMax: options.memory }),
      ...(options.children === undefined ? {} : { descendantsMax: options.children })
    },
    ...(options.module.length === 0 ? {} : { modules: await Promise.all(options.module.map(each => readModule(each, signal))) }),
    ...(options.maxCost === undefined ? {} : { costMax: options.maxCost }),
    where: options.where,
    cache: options.cache,
    signal,
    onProgress: state => output.status(describeState(state))
  }
  if (options.quote === true) {
    const quote = await operator.quote(program.wasm, input, job).finally(() => output.status(null))
    return await (await import('./quote.ts')).printQuote(quote, operator.id, options.json === true, output)
  }
  const result = await operator.run(program.wasm, input, job).finally(() => output.status(null))
  return await deliver(result, options, result.executor === operator.id ? 'here' : `at ${result.executor}`, output)
}

/** Files that nobody would see are not paid for. @throws {InosError} ERR_USAGE */
async function checkOutputs ({ outputs, outputDir, json }: RunOptions): Promise<void> {
  if (outputDir === undefined && outputs.length > 0 && json !== true) throw new InosError('ERR_USAGE', '--outputs needs --output-dir to write files to, or --json to print them.')
  if (outputDir === undefined) return
  if (outputs.length === 0) throw new InosError('ERR_USAGE', '--output-dir needs --outputs: which of the files the guest leaves.', { hint: '`--outputs /` brings back all of them.' })
  await (await import('./output-files.ts')).checkEmpty(outputDir)
}

export async function readInput (source: string | undefined, { output, signal }: Pick<Context, 'output' | 'signal'>): Promise<Uint8Array> {
  const { readInputFile, readInputStream } = await import('./files.ts')
  if (source !== undefined && source !== '-') return await readInputFile(source, signal)
  if (source === undefined && process.stdin.isTTY) return new Uint8Array(0)
  output.status('reading the input from stdin, to its end; -i FILE reads a file instead')
  return await readInputStream(process.stdin, signal).finally(() => output.status(null))
}

/** The result to where it belongs, then one line of what it took. @returns the exit code */
async function deliver (result: PlainResult, options: RunOptions, ranWhere: string, output: Context['output']): Promise<number> {
  const { writeResult } = await import('./files.ts')
  let error = outcomeError(result)
  output.pass(result.stderr)
  try {
    // A trap has a receipt as well: it is the proof of what was charged.
    if (options.receipt !== undefined) await writeResult(options.receipt, result.receipt)
    if (options.output !== undefined && error === null) await writeResult(options.output, result.bytes)
    if (options.outputDir !== undefined && error === null) await (await import('./output-files.ts')).writeFiles(options.outputDir, result.files)
  } catch (thrown) {
    error ??= toInosError(thrown)
  }
  const exitCode = error?.exitCode ?? exitCodeOf(result.exitCode ?? 0)
  if (options.json === true) await output.json({ ...describeResult(result, exitCode, options), ...(error === null ? {} : describe(error)) })
  else if (options.output === undefined && error === null) await output.write(result.bytes)
  if (error !== null) output.fail(error)
  output.say(`fuel ${groupDigits(result.fuel)} · cost ${formatCredits(result.cost)} · ran ${ranWhere}${result.cached ? ' before, answered from memory' : ''}`)
  return exitCode
}

const NOTHING_RAN = { outcome: null, guestExitCode: null, fuel: null, cost: null, executor: null, cached: null, resultBytes: null, files: null, receipt: null }

function describeResult (result: PlainResult, exitCode: number, { output, outputDir }: RunOptions): object {
  const { outcome, fuel, cost, executor, cached, bytes, receiptId } = result
  const { jsonResultBytesMax } = LIMITS.control
  const inline = output === undefined && bytes.length <= jsonResultBytesMax
  const withContent = outputDir === undefined && Object.values(result.files).reduce((sum, { length }) => sum + length, 0) <= jsonResultBytesMax
  const files = Object.entries(result.files).map(([path, content]) => ({ path, bytes: content.length, ...(withContent ? { content } : {}) }))
  return {
    outcome, exitCode, guestExitCode: result.exitCode, fuel, cost, executor, cached, resultBytes: bytes.length, ...(inline ? { result: bytes } : {}), files, receipt: receiptId
  }
}

function describe ({ code, message, hint }: InosError): object {
  return { code, message, hint: hint ?? null }
}

/** A process ends with 8 bits; a code that is not 0 must not become 0 by losing the others. */
export function exitCodeOf (guest: number): number {
  const low = guest & 0xff
  return low === 0 && guest !== 0 ? 0xff : low
}

function describeState (state: JobState): string {
  switch (state.state) {
    case 'queued': return state.reason
    case 'offered': return `chosen: ${state.peer}`
    case 'sending': return `sending to ${state.peer}`
    case 'running': return `running at ${state.peer}`
    case 'retrying': return `trying again: ${state.peer} ${state.reason}`
    case 'verifying': return `verifying the receipt of ${state.peer}`
    case 'settled': return `done by ${state.peer}`
    case 'failed': case 'cancelled': return state.reason
  }
}
