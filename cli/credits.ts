/** `inos credits`: what this node has, how it came to it, and whether the books agree with the signatures. */
import type { Command } from 'commander'
import type { Operator } from '../src/node/operator.ts'
import type { AccountView, Balance } from '../src/processor/processor.ts'
import { addData, addJson, type CommonOptions, type Context, examples } from './command.ts'
import { plain, table } from './output.ts'
import { formatCredits } from './units.ts'

/** Exit code when a record is not what it claims: verification. */
const BAD_RECORDS = 106

export function addCredits (program: Command, context: Context): void {
  const credits = program.command('credits').description('balance, history and audit of this node')
  addJson(addData(credits))
  examples(credits, [
    ['inos credits', 'balance, held, due, owed, earned, spent'],
    ['inos credits history --json', 'every payment, one JSON object a line'],
    ['inos credits audit', 'verify every signature and sum again']
  ])
  credits.action(async (options: CommonOptions) => { context.finish(await show(options, context)) })

  const history = credits.command('history').description('every payment, oldest first')
  addJson(addData(history), 'one JSON object a line')
  examples(history, [['inos credits history', 'who paid whom, for which job']])
  history.action(async (_options: CommonOptions, command: Command) => { context.finish(await list(command.optsWithGlobals(), context)) })

  const audit = credits.command('audit').description('fold the signed records again and compare; exit code 106 when one is bad')
  addJson(addData(audit))
  examples(audit, [['inos credits audit --json', 'ok, the sums, and records that do not count']])
  audit.action(async (_options: CommonOptions, command: Command) => { context.finish(await check(command.optsWithGlobals(), context)) })
}

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

async function list (options: CommonOptions, context: Context): Promise<number> {
  const { output, signal } = context
  await using operator = await open(options, context)
  for await (const entry of operator.history()) {
    signal.throwIfAborted()
    if (output.closed) break
    const { direction, peer, cheque, n, order, amount, receipt } = entry
    if (options.json === true) await output.json({ direction, peer, cheque, n, order, receipt, amount })
    else await output.write(`${direction === 'earned' ? '+' : '-'}${formatCredits(amount)}  ${direction === 'earned' ? 'from' : 'to'} ${plain(peer)}  cheque ${n} ${plain(cheque)}  receipt ${plain(receipt)}\n`)
  }
  return 0
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
