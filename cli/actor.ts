/** `inos actor`: modules that keep their state from message to message. */
import { Buffer } from 'node:buffer'
import type { Command } from 'commander'
import { formatCredits, groupDigits, parseCount, parseCredits } from '../src/packet/amounts.ts'
import { InosError } from '../src/packet/errors.ts'
import { LIMITS } from '../src/packet/limits.ts'
import type { ActorOptions, ActorView } from '../src/emergent/actor.ts'
import type { VerifiedChain } from '../src/index.ts'
import type { Operator } from '../src/node/operator.ts'
import { asBlob } from './blob.ts'
import { addData, addJson, addPeers, type CommonOptions, type Context, examples, read } from './command.ts'
import { plain, table } from './output.ts'
import { collectEnv, exitCodeOf, parseWhere } from './run.ts'
import { formatBytes, parsePages } from './units.ts'

interface Common extends CommonOptions { peer?: string[] }
interface SpawnOptions extends Common { entry?: string, env: Record<string, string>, fuel?: bigint, memory?: number, maxCost?: bigint, where: string }
interface CallOptions extends Common { input?: string, id?: string }
interface StopOptions extends Common { forget?: true }
interface VerifyOptions extends Common { save?: string, file?: true }

export function addActor (program: Command, context: Context): void {
  const family = program.command('actor').description('modules that keep their state from message to message, wherever each message runs')
  examples(family, [
    ['inos actor spawn counter counter.wasm', 'begin one'],
    ['echo 5 | inos actor call counter', 'send it a message'],
    ['inos actor migrate counter 12D3Koo…', 'run it elsewhere from now on'],
    ['inos actor verify counter', 'its history, receipt by receipt']
  ])
  addSpawn(family, context)
  addCall(family, context)
  addLs(family, context)
  addOne(family, 'snapshot', 'keep the state of now until the actor is forgotten', context, async (name, operator, { json }, { output }) => {
    const view = await operator.actor({ do: 'snapshot', name })
    if (json === true) await output.json({ n: view.n, state: view.state, bytes: view.bytes })
    else output.say(`the state after message ${view.n} is kept: ${view.state}, ${formatBytes(view.bytes)}`)
  })
  addMigrate(family, context)
  addStop(family, context)
  addVerify(family, context)
}

function addSpawn (family: Command, context: Context): void {
  const command = family.command('spawn').description('begin an actor, or go on with the one of that name')
    .argument('<name>', 'its name here').argument('<file.wasm>', 'the module, or its CID; its memory, globals and tables are what it keeps')
    .option('--entry <export>', 'function to call for each message (default: run)')
    .option('--env <name=value>', 'environment variable of the guest; may be given several times', collectEnv, {})
    .option('--fuel <n>', `instructions each message may execute (default: ${groupDigits(LIMITS.job.fuelMax)})`, read(text => parseCount(text, LIMITS.spec.fuelMax)))
    .option('--memory <size>', 'memory it may have (default: 256MiB)', read(parsePages))
    .option('--max-cost <amount>', 'most each message may cost', read(parseCredits))
    .option('--where <place>', 'any, local, remote (never here), or a PeerId', read(parseWhere), 'any')
  addJson(addData(command))
  examples(command, [['inos actor spawn counter counter.wasm --fuel 10_000_000', 'begin one'], ['inos actor spawn counter bafy…', 'its module by name: whoever runs a message fetches it']])
  command.action(async (name: string, file: string, options: SpawnOptions) => {
    const { readModule } = await import('./files.ts')
    const wasm = asBlob(file) ?? await readModule(file, context.signal)
    await using operator = await open(options, context)
    const view = await operator.actor({ do: 'spawn', name, wasm, options: optionsOf(options) })
    if (options.json === true) await context.output.json(viewInOrder(view))
    else context.output.say(`${plain(name)} is ready after ${view.n} messages`)
  })
}

function optionsOf ({ entry, env, fuel, memory, maxCost, where }: SpawnOptions): ActorOptions {
  return {
    ...(entry === undefined ? {} : { entry }), env, where, ...(maxCost === undefined ? {} : { costMax: maxCost }),
    limits: { ...(fuel === undefined ? {} : { fuelMax: fuel }), ...(memory === undefined ? {} : { memoryPagesMax: memory }) }
  }
}

function addCall (family: Command, context: Context): void {
  const command = family.command('call').description('send a message; stdin is its bytes, stdout the reply')
    .argument('<name>', 'of the actor')
    .option('-i, --input <file>', 'read the message from a file, - for stdin (default: stdin unless it is a terminal)')
    .option('--id <text>', 'a name for this message: sent again it gets the reply it got before, and is not counted twice')
  addJson(addPeers(addData(command)), 'print one object: the reply in base64, its number, cost and receipt')
  examples(command, [['echo 5 | inos actor call counter', 'one message'], ['inos actor call counter -i order.json --id order-17', 'one that may be sent again']])
  command.action(async (name: string, options: CallOptions) => {
    const { readInput } = await import('./run.ts')
    const message = await readInput(options.input, context)
    await using operator = await open(options, context)
    const reply = await operator.actor({ do: 'call', name, message, id: options.id ?? null }, context.signal)
    const exitCode = exitCodeOf(reply.exitCode ?? 0)
    const { n, bytes, state, fuel, cost, executor, receiptId, repeated } = reply
    if (options.json === true) await context.output.json({ n, exitCode, guestExitCode: reply.exitCode, result: bytes, state, fuel, cost, executor, repeated, receipt: receiptId })
    else await context.output.write(bytes)
    context.output.say(`message ${n} · fuel ${groupDigits(fuel)} · cost ${formatCredits(cost)} · ran ${executor === operator.id ? 'here' : `at ${executor}`}${repeated ? ' before' : ''}`)
    context.finish(exitCode)
  })
}

function addLs (family: Command, context: Context): void {
  const command = family.command('ls').description('list actors')
  addJson(addData(command), 'one JSON object a line')
  examples(command, [['inos actor ls', 'with what each has handled and where it runs']])
  command.action(async (options: Common) => {
    await using operator = await open(options, context)
    const views = await operator.actor({ do: 'ls' })
    if (options.json === true) for (const view of views) await context.output.json(viewInOrder(view))
    else if (views.length === 0) context.output.say('There are no actors here; `inos actor spawn NAME FILE.wasm` begins one.')
    else await context.output.write(table([['name', 'messages', 'waiting', 'state', 'runs at', ''], ...views.map(row)]))
  })
}

const row = ({ name, n, queued, bytes, home, stopped }: ActorView): string[] => [plain(name), groupDigits(n), String(queued), formatBytes(bytes), home === null ? '-' : plain(home), stopped ? 'stopped' : '']

/** A control socket sorts names by their length. */
function viewInOrder ({ name, id, module, n, state, home, pages, bytes, queued, stopped }: ActorView): ActorView {
  return { name, id, module, n, state, home, pages, bytes, queued, stopped }
}

type Work = (name: string, operator: Operator, options: Common, context: Context) => Promise<void>

function addOne (family: Command, verb: string, description: string, context: Context, work: Work): Command {
  const command = family.command(verb).description(description).argument('<name>', 'of the actor')
  addJson(addData(command))
  examples(command, [[`inos actor ${verb} counter`, description]])
  command.action(async (name: string, options: Common) => {
    await using operator = await open(options, context)
    await work(name, operator, options, context)
  })
  return command
}

function addMigrate (family: Command, context: Context): void {
  const command = family.command('migrate').description('run its messages at another node from now on; its state goes along with the next one')
    .argument('<name>', 'of the actor').argument('<peer>', 'PeerId of a connected node, or of this one')
  addJson(addPeers(addData(command)))
  examples(command, [['inos actor migrate counter 12D3Koo…', 'as `inos peers` names it']])
  command.action(async (name: string, peer: string, options: Common) => {
    await using operator = await open(options, context)
    const view = await operator.actor({ do: 'migrate', name, peer })
    if (options.json === true) await context.output.json(viewInOrder(view))
    else context.output.say(`${plain(name)} runs at ${plain(peer)} from now on`)
  })
}

function addStop (family: Command, context: Context): void {
  const command = family.command('stop').description('take no more messages; spawned again it goes on')
    .argument('<name>', 'of the actor').option('--forget', 'delete its state, log and snapshots as well')
  addJson(addData(command))
  examples(command, [['inos actor stop counter', 'keep it'], ['inos actor stop counter --forget', 'and be rid of it']])
  command.action(async (name: string, options: StopOptions) => {
    const forget = options.forget === true
    await using operator = await open(options, context)
    await operator.actor({ do: 'stop', name, forget })
    if (options.json === true) await context.output.json({ stopped: name, forgotten: forget })
    else context.output.say(`${plain(name)} is ${forget ? 'forgotten' : 'stopped'}`)
  })
}

function addVerify (family: Command, context: Context): void {
  const command = family.command('verify').description('check every receipt of its history, and that each message began where the one before ended')
    .argument('<name>', 'of the actor; with --file a file that --save wrote')
    .option('--save <file>', 'write the history to a file that anybody can check').option('--file', 'check a file; no node is needed')
  addJson(addData(command))
  examples(command, [['inos actor verify counter --save counter.chain', 'keep the proof'], ['inos actor verify counter.chain --file', 'check it anywhere']])
  command.action(async (name: string, options: VerifyOptions) => {
    const { verifyChain } = await import('../src/index.ts')
    const chain = options.file === true ? await readChain(name) : await chainOf(name, options, context)
    const view = await verifyChain(chain)
    if (options.save !== undefined) await (await import('./files.ts')).writeResult(options.save, chain)
    if (options.json === true) await context.output.json({ ok: true, ...view })
    else await context.output.write(describe(view))
  })
}

async function readChain (file: string): Promise<Uint8Array> {
  const { readFile, stat } = await import('node:fs/promises')
  try {
    const { size } = await stat(file)
    if (size > LIMITS.actor.chainBytesMax) throw new InosError('ERR_INPUT_TOO_LARGE', `${file} has ${formatBytes(size)}, and a history has at most ${formatBytes(LIMITS.actor.chainBytesMax)}.`)
    return new Uint8Array(Buffer.from(await readFile(file)))
  } catch (cause) {
    throw cause instanceof InosError ? cause : new InosError('ERR_USAGE', `${file} cannot be read: ${(cause as Error).message}.`, { cause })
  }
}

async function chainOf (name: string, options: Common, context: Context): Promise<Uint8Array> {
  await using operator = await open(options, context)
  return await operator.actor({ do: 'chain', name })
}

function describe ({ actor, module, state, payer, executors, messages, unchanged, fuel, cost }: VerifiedChain): string {
  return table([
    ['good', `${groupDigits(messages)} messages, each from where the one before ended`], ['actor', actor], ['module', module], ['state', state ?? 'none yet'], ['sent by', payer], ['ran at', executors.join(', ')],
    ['unchanged by', `${groupDigits(unchanged)} that trapped, met a limit or exited`], ['fuel', groupDigits(fuel)], ['cost', formatCredits(cost)]
  ])
}

async function open ({ data, peer = [] }: Common, { output, signal }: Context): Promise<Operator> {
  const { connectPeers, openOperator } = await import('./open.ts')
  const operator = await openOperator({ data, join: { network: peer.length > 0, serve: false }, output, signal })
  await connectPeers(operator, peer, { output, signal })
  return operator
}
