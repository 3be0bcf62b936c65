/** `inos credits`: what this node has, how it came to it, and whether the books agree with the signatures. */
import type { Command } from 'commander'
import type { Operator } from '../src/node/operator.ts'
import { InosError } from '../src/packet/errors.ts'
import type { AccountView, Balance, HistoryEntry, LineReport } from '../src/processor/processor.ts'
import { formatCredits, parseCredits } from '../src/packet/amounts.ts'
import { addData, addJson, type CommonOptions, type Context, examples, read } from './command.ts'
import { addCopies, addFrauds } from './credits-files.ts'
import { plain, table } from './output.ts'

/** Exit code when a record is not what it claims: verification. */
const BAD_RECORDS = 106

export function addCredits (program: Command, context: Context): void {
  const credits = program.command('credits').description('balance, history and audit of this node; proofs against peers, copies of the books')
    .option('--explain <peer>', 'what this peer would accept from this node, and this node from it, and why')
  addJson(addData(credits))
  examples(credits, [
    ['inos credits', 'balance, held, due, owed, earned, spent'],
    ['inos credits --explain 12D3KooW…', 'one line: its limit, what uses it up, and why'],
    ['inos credits history --json', 'every payment, one JSON object a line'],
    ['inos credits refund bafyrei…', 'give back what a job sold here cost'],
    ['inos credits audit', 'verify every signature and sum again']
  ])
  credits.action(async (options: ShowOptions) => { context.finish(await (options.explain === undefined ? show(options, context) : explain(options.explain, options, context))) })

  const history = credits.command('history').description('every payment, oldest first')
    .option('--csv', 'comma-separated values, with a line of names')
  addJson(addData(history), 'one JSON object a line')
  examples(history, [['inos credits history', 'when, who, which job, how much, why'], ['inos credits history --csv > payments.csv', 'for a spreadsheet']])
  history.action(async (_options: CommonOptions, command: Command) => { context.finish(await list(command.optsWithGlobals(), context)) })

  const audit = credits.command('audit').description('fold the signed records again and compare; exit code 106 when one is bad')
  addJson(addData(audit))
  examples(audit, [['inos credits audit --json', 'ok, the sums, and records that do not count']])
  audit.action(async (_options: CommonOptions, command: Command) => { context.finish(await check(command.optsWithGlobals(), context)) })
  const refund = credits.command('refund').description('give back what a job sold here cost, or a part of it, once')
    .argument('<order>', 'as `inos credits history --json` and `inos receipts ls --json` name it').argument('[amount]', 'such as 2cr (default: all of it)', read(parseCredits))
  addJson(addData(refund))
  examples(refund, [['inos credits refund bafyrei…', 'all of what the job cost'], ['inos credits refund bafyrei… 2cr', 'two credits of it']])
  refund.action(async (order: string, amount: bigint | undefined, _options: CommonOptions, command: Command) => { context.finish(await giveBack(order, amount, command.optsWithGlobals(), context)) })
  addFrauds(credits, context, open)
  addCopies(credits, context, open)
}

interface ShowOptions extends CommonOptions { explain?: string }
interface HistoryOptions extends CommonOptions { csv?: true }

async function open ({ data }: CommonOptions, { output, signal }: Context): Promise<Operator> {
  const { ALONE, openOperator } = await import('./open.ts')
  return await openOperator({ data, join: ALONE, output, signal })
}

async function show (options: CommonOptions, context: Context): Promise<number> {
  await using operator = await open(options, context)
  const balance = await operator.credits()
  const { output } = context
  const account = await operator.account()
  if (options.json === true) {
    await output.json({ id: operator.id, ...sixNames(balance), account: account === null ? null : inOrder(account) })
  } else {
    await output.write(describeBalance(balance))
    if (account !== null) await output.write(describeAccount(account))
  }
  return 0
}

const COLUMNS = ['at', 'direction', 'peer', 'amount', 'kind', 'order', 'module', 'outcome', 'fuel', 'receipt', 'cheque', 'n'] as const satisfies readonly (keyof HistoryEntry)[]

async function list (options: HistoryOptions, context: Context): Promise<number> {
  const { output, signal } = context
  if (options.csv === true && options.json === true) throw new InosError('ERR_USAGE', '--csv and --json are two forms of one list; choose one.')
  await using operator = await open(options, context)
  if (options.csv === true) await output.write(`${COLUMNS.join(',')}\r\n`)
  for await (const entry of operator.history()) {
    signal.throwIfAborted()
    if (output.closed) break
    const row = { ...entry, at: entry.at === null ? null : new Date(entry.at * 1000).toISOString() }
    if (options.json === true) await output.json(Object.fromEntries(COLUMNS.map(name => [name, row[name]])))
    else if (options.csv === true) await output.write(`${COLUMNS.map(name => field(row[name])).join(',')}\r\n`)
    else await output.write(describeEntry(entry, row.at))
  }
  return 0
}

/** A field of RFC 4180; no text of ours begins with what a spreadsheet would compute. */
function field (value: string | number | bigint | null): string {
  const text = value === null ? '' : String(value)
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

function describeEntry ({ direction, peer, cheque, n, amount, kind, order, module, outcome, receipt }: HistoryEntry, at: string | null): string {
  const [sign, word] = direction === 'earned' ? ['+', 'from'] : ['-', 'to']
  const isOwnName = kind === 'grant' || kind === 'clearing'
  const what = isOwnName ? `${kind} ${plain(order)}` : module === '' ? 'a receipt that cannot be read' : kind === 'relay' ? 'relaying' : `${plain(kind)} ${plain(module)} (${plain(outcome)})`
  return `${at ?? 'unknown time'.padEnd(24)}  ${sign}${formatCredits(amount)}  ${word} ${plain(peer)}  for ${what}  cheque ${n} ${plain(cheque)}${isOwnName ? '' : `  receipt ${plain(receipt)}`}\n`
}

async function explain (peer: string, options: CommonOptions, context: Context): Promise<number> {
  await using operator = await open(options, context)
  const report = await operator.explainLine(peer)
  if (options.json === true) await context.output.json(report)
  else await context.output.write(describeLine(report))
  return 0
}

async function giveBack (order: string, amount: bigint | undefined, options: CommonOptions, context: Context): Promise<number> {
  await using operator = await open(options, context)
  const refund = await operator.refund(order, amount ?? null)
  const { output } = context
  if (options.json === true) await output.json({ order: refund.order, peer: refund.peer, amount: refund.amount })
  else output.say(`${plain(refund.peer)} gets ${formatCredits(refund.amount)} back, by the next cheque to it`)
  return 0
}

function describeLine (report: LineReport): string {
  const rows: [string, bigint, string][] = [
    ['spendable', report.spendable, 'what the peer would still accept from this node, if it gives the line it gets'],
    ['acceptable', report.acceptable, 'what this node would still accept from the peer, pool aside'],
    ['line', report.lineMax, 'most the peer may owe this node'],
    ['net', report.net, 'what it owes, cheques included, less what this node owes it'],
    ['held', report.held, 'open orders of this node there'],
    ['running', report.running, 'its orders at work here'],
    ['due', report.due, 'earned from it, not yet on a cheque'],
    ['owed', report.owed, 'to be paid to it'],
    ['earned', report.earned, 'on its cheques'],
    ['spent', report.spent, 'on cheques to it'],
    ['pool', report.poolFree, `left for all strangers, of ${formatCredits(report.poolMax)}`],
    ['sold', report.sold, 'what this node has paid and owes it in all'],
    ['promise', report.sellerPoolFree, `left for all sellers that are new here, of ${formatCredits(report.sellerPoolMax)}`]
  ]
  const synced = report.synced === null ? 'not since this node started' : new Date(report.synced * 1000).toISOString()
  return `${plain(report.peer)}\n${table(rows.map(([name, amount, meaning]) => [name, formatCredits(amount), meaning]))}frauds ${report.frauds}, unacknowledged cheques ${report.unacked}, books compared ${synced}\n\n${report.reasons.map(reason => `- ${reason}\n`).join('')}`
}

async function check (options: CommonOptions, context: Context): Promise<number> {
  const { output, signal } = context
  const { cancellable } = await import('./open.ts')
  await using operator = await open(options, context)
  output.status('verifying every record')
  const report = await cancellable(signal, operator.audit()).finally(() => output.status(null))
  const { ok, id, records, bad } = report
  if (options.json === true) {
    await output.json({ ok, id, ...sixNames(report), records, bad })
  } else {
    await output.write(describeBalance(report))
    await output.write(`${ok ? 'the books agree with' : 'the books do NOT agree with'} ${records} signed records\n`)
    for (const { key, reason } of bad) await output.write(`not counted: ${plain(key)}: ${plain(reason)}\n`)
  }
  return ok ? 0 : BAD_RECORDS
}

function sixNames ({ balance, held, due, owed, earned, spent }: Balance): Balance {
  return { balance, held, due, owed, earned, spent }
}

const MEANING: Readonly<Record<keyof Balance, string>> = {
  balance: 'earned less spent',
  held: 'set aside for orders that are open',
  due: 'earned, not yet paid to this node',
  owed: 'to be paid by this node',
  earned: 'paid to this node',
  spent: 'paid by this node'
}

/** A control socket sorts names by their length. */
function inOrder ({ issuer, cleared, free, uncleared, promised }: AccountView): AccountView {
  return { issuer, cleared, free, uncleared, promised }
}

function describeAccount ({ issuer, cleared, free, uncleared, promised }: AccountView): string {
  return `account at the issuer ${plain(issuer)}\n${table([
    ['cleared', formatCredits(cleared), 'granted and cleared to this node, less what was cleared from it'],
    ['free', formatCredits(free), 'of it, not yet spent, owed or held'],
    ['uncleared', formatCredits(uncleared), 'cheques of others that the issuer has yet to clear'],
    ['promised', formatCredits(promised), 'cheques of this node that the issuer has yet to clear']
  ])}`
}

function describeBalance (balance: Balance): string {
  const names = Object.keys(MEANING) as (keyof Balance)[]
  return table(names.map(name => [name, formatCredits(balance[name]), MEANING[name]]))
}
