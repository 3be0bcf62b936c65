/** `inos receipts`: list them, show what one says, verify one offline. */
import { access } from 'node:fs/promises'
import type { Command } from 'commander'
import type { Bundle } from '../src/credits/bundle.ts'
import type { Operator } from '../src/node/operator.ts'
import { formatCredits, groupDigits } from '../src/packet/amounts.ts'
import { InosError, toInosError } from '../src/packet/errors.ts'
import { peerIdOfKey } from '../src/packet/identity.ts'
import { addData, addJson, type CommonOptions, type Context, examples } from './command.ts'
import { plain, table } from './output.ts'

export function addReceipts (program: Command, context: Context): void {
  const receipts = program.command('receipts').description('receipts of jobs run, bought and sold')
  examples(receipts, [
    ['inos receipts ls', 'all of this node'],
    ['inos receipts verify r.inos', 'check a receipt file, offline']
  ])

  const ls = receipts.command('ls').description('list the receipts of this node')
  addJson(addData(ls), 'one JSON object a line')
  examples(ls, [['inos receipts ls --json', 'one object a line']])
  ls.action(async (options: CommonOptions) => { context.finish(await list(options, context)) })

  const show = receipts.command('show').description('print what a receipt, its order and its offer say, as JSON')
    .argument('<receipt>', 'a receipt file, or the CID of a receipt of this node')
  addData(show)
  examples(show, [['inos receipts show r.inos', 'a file written by `inos run --receipt`']])
  show.action(async (name: string, options: CommonOptions) => { context.finish(await print(name, options, context)) })

  const verify = receipts.command('verify').description('check signatures, links and the bill; exit code 106 when one fails')
    .argument('<receipts...>', 'receipt files, or CIDs of receipts of this node; what one lacks of its children is looked for in the others')
  addJson(addData(verify), 'one JSON object a line')
  examples(verify, [['inos receipts verify r.inos', 'who ran what for whom, and whether the bill is right']])
  verify.action(async (names: string[], options: CommonOptions) => { context.finish(await verifyAll(names, options, context)) })
}

async function open ({ data }: CommonOptions, { output, signal }: Context): Promise<Operator> {
  const { ALONE, openOperator } = await import('./open.ts')
  return await openOperator({ data, join: ALONE, output, signal })
}

async function list (options: CommonOptions, context: Context): Promise<number> {
  const { output, signal } = context
  await using operator = await open(options, context)
  let count = 0
  for await (const { id, role, peer, module, order, outcome, exitCode, fuel, charge, paid, givenUp } of operator.receipts()) {
    signal.throwIfAborted()
    if (output.closed) break
    count++
    if (options.json === true) await output.json({ id, role, peer, module, order, outcome, exitCode, fuel, charge, paid, givenUp })
    else {
      const ended = outcome === 'ok' ? `exit ${exitCode}` : outcome
      const settled = role === 'own' ? '' : paid ? ' · paid' : givenUp ? ' · given up by its buyer' : ' · not yet paid'
      await output.write(`${plain(id)}  ${role}  ${ended}  fuel ${groupDigits(fuel)}  ${formatCredits(charge)}${settled}\n`)
    }
  }
  if (count === 0 && options.json !== true) output.say('There are no receipts yet; `inos run FILE.wasm` makes one.')
  return 0
}

/** Bundles by name: a file where there is one, else a receipt of this node, which is opened once and only if needed. */
async function withReader (options: CommonOptions, context: Context, work: (read: (name: string) => Promise<Uint8Array>) => Promise<number>): Promise<number> {
  const { readReceiptFile } = await import('./files.ts')
  await using held = new AsyncDisposableStack()
  // A promise, because several names are looked up at once.
  let operator: Promise<Operator> | undefined
  return await work(async name => {
    const isFile = await access(name).then(() => true, () => false)
    if (isFile || !/^b[a-z2-7]{58}$/.test(name)) return await readReceiptFile(name, context.signal)
    operator ??= open(options, context).then(opened => held.use(opened))
    const bytes = await (await operator).receipt(name)
    if (bytes === null) throw new InosError('ERR_USAGE', `This node has no receipt ${name}.`, { hint: '`inos receipts ls` lists those it has.' })
    return bytes
  })
}

async function print (name: string, options: CommonOptions, context: Context): Promise<number> {
  return await withReader(options, context, async read => {
    const bytes = await read(name)
    const { describeBundle } = await import('./receipt-json.ts')
    await context.output.json(describeBundle(bytes))
    return 0
  })
}

async function verifyAll (names: readonly string[], options: CommonOptions, context: Context): Promise<number> {
  const { openTree, readFiles } = await import('../src/credits/tree.ts')
  const { verify } = await import('../src/node/keys.ts')
  const { output } = context
  return await withReader(options, context, async read => {
    let exitCode = 0
    const files = await Promise.all(names.map(async name => await read(name).catch(toInosError)))
    const all = files.flatMap(file => {
      try {
        return file instanceof InosError ? [] : readFiles(file)
      } catch {
        return []
      }
    })
    for (const [at, name] of names.entries()) {
      try {
        const file = files[at]!
        if (file instanceof InosError) throw file
        const { root, below } = openTree(file, verify, all)
        if (options.json === true) await output.json({ source: name, ok: true, ...factsOf(root, below) })
        else await output.write(describeFacts(name, root, below))
      } catch (thrown) {
        const error = toInosError(thrown)
        exitCode = error.exitCode
        if (options.json === true) await output.json({ source: name, ok: false, code: error.code, message: error.message, hint: error.hint ?? null })
        output.fail(error)
      }
    }
    return exitCode
  })
}

interface Facts {
  receipt: string, executor: string, payer: string, module: string, input: string, result: string, resultBytes: number, files: string | null, filesBytes: number
  outcome: string, exitCode: number | null, fuel: bigint, charge: bigint, selfExecuted: boolean, original: string | null
  children: string[], below: { receipts: number, executors: number, fuel: bigint, charge: bigint } | null
}

function factsOf ({ receipt: { id, payload }, selfExecuted, original }: Bundle, below: readonly Bundle[]): Facts {
  const { module, input, result, resultBytes, files, filesBytes, outcome, exitCode, fuel, charge } = payload
  return {
    receipt: id.toString(),
    executor: peerIdOfKey(payload.executor),
    payer: peerIdOfKey(payload.payer),
    module: module.toString(),
    input: input.toString(),
    result: result.toString(),
    resultBytes,
    files: files?.toString() ?? null,
    filesBytes,
    outcome,
    exitCode,
    fuel,
    charge,
    selfExecuted,
    original: original?.receipt.id.toString() ?? null,
    children: payload.children.map(String),
    below: payload.below === undefined ? null : {
      receipts: below.length,
      executors: new Set(below.map(({ receipt }) => peerIdOfKey(receipt.payload.executor))).size,
      fuel: payload.below.fuel,
      charge: payload.below.charge
    }
  }
}

function describeFacts (name: string, bundle: Bundle, all: readonly Bundle[]): string {
  const facts = factsOf(bundle, all)
  const { below } = facts
  const ended = facts.outcome === 'ok' ? `exit code ${facts.exitCode}` : facts.outcome
  const rows = [
    ['  receipt', facts.receipt],
    ['  executor', facts.executor],
    ['  payer', facts.selfExecuted ? 'the executor itself' : facts.payer],
    ['  module', facts.module],
    ['  input', facts.input],
    ['  result', `${facts.result}, ${groupDigits(facts.resultBytes)} bytes, ${ended}`],
    ['  files', facts.files === null ? 'none' : `${facts.files}, ${groupDigits(facts.filesBytes)} bytes`],
    ['  fuel', groupDigits(facts.fuel)],
    ['  charge', formatCredits(facts.charge)],
    ...(below === null ? [] : [
      ['  children', `${facts.children.length}; ${below.receipts} receipts below it, of ${below.executors} executors, all valid`],
      ['  bought', `fuel ${groupDigits(below.fuel)} for ${formatCredits(below.charge)}`]
    ]),
    ...(facts.original === null ? [] : [['  from memory', `of the run with the receipt ${facts.original}, valid as well`]])
  ]
  return `${plain(name)}: valid${facts.selfExecuted ? ', self-executed' : ''}\n${table(rows)}`
}
