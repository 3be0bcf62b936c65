/** `inos jobs`: jobs that were given to the node of a data directory, what became of them and why. */
import type { Command } from 'commander'
import { formatCredits, groupDigits } from '../src/packet/amounts.ts'
import type { JobReport, JobView } from '../src/processor/processor.ts'
import type { Operator } from '../src/node/operator.ts'
import { addData, addJson, type CommonOptions, type Context, examples } from './command.ts'
import { plain, table } from './output.ts'
import { bidInOrder, describeBids } from './quote.ts'

export function addJobs (program: Command, context: Context): void {
  const jobs = program.command('jobs').description('jobs given to the node that runs in the data directory')
  examples(jobs, [['inos jobs ls', 'each with its state and what it waits for'], ['inos jobs explain 12', 'who was asked, what each said, why one won']])
  const ls = jobs.command('ls').description('list jobs at work and the latest that are over')
  addJson(addData(ls), 'one JSON object a line')
  examples(ls, [['inos jobs ls', 'oldest first']])
  ls.action(async (options: CommonOptions) => { context.finish(await list(options, context)) })
  addOne(jobs, 'show', 'state, cost and receipt of one job', context, show)
  addOne(jobs, 'explain', 'everyone asked for a job, each bid or refusal with its reason, and why one won', context, explain)
  addOne(jobs, 'cancel', 'end a job that is at work', context, cancel)
}

type Work = (id: string, operator: Operator, json: boolean, context: Context) => Promise<void>

function addOne (jobs: Command, name: string, description: string, context: Context, work: Work): void {
  const command = jobs.command(name).description(description).argument('<job>', 'its number, as of `inos jobs ls`')
  addJson(addData(command), 'one object')
  examples(command, [[`inos jobs ${name} 12`, description]])
  command.action(async (id: string, options: CommonOptions) => {
    await using operator = await open(options, context)
    await work(id, operator, options.json === true, context)
  })
}

async function open ({ data }: CommonOptions, { output, signal }: Context): Promise<Operator> {
  const { ALONE, openOperator } = await import('./open.ts')
  return await openOperator({ data, join: ALONE, output, signal })
}

async function list (options: CommonOptions, context: Context): Promise<number> {
  await using operator = await open(options, context)
  const jobs = await operator.jobs()
  const { output } = context
  if (options.json === true) {
    for (const job of jobs) await output.json(viewInOrder(job))
  } else if (jobs.length === 0) {
    output.say(operator.pid === process.pid ? 'No node runs in this data directory; `inos up` starts one, and jobs given to it are listed here.' : 'The node has got no jobs since it started.')
  } else {
    await output.write(table([['job', 'state', 'began', 'time', 'cost', 'peer', 'why'], ...jobs.map(row)]))
  }
  return 0
}

async function show (id: string, operator: Operator, json: boolean, { output }: Context): Promise<void> {
  const report = await operator.explain(id)
  if (json) await output.json(viewInOrder(report))
  else await output.write(describe(report))
}

async function explain (id: string, operator: Operator, json: boolean, { output }: Context): Promise<void> {
  const report = await operator.explain(id)
  if (json) await output.json(reportInOrder(report))
  else await output.write(`${describe(report)}${describeRounds(report)}`)
}

async function cancel (id: string, operator: Operator, json: boolean, { output }: Context): Promise<void> {
  await operator.cancel(id)
  if (json) await output.json({ cancelled: id })
  else output.say(`job ${plain(id)} is cancelled`)
}

const time = (ms: number): string => new Date(ms).toISOString()
const spanOf = ({ began, ended }: JobView): string => ended === null ? '-' : `${((ended - began) / 1_000).toFixed(2)} s`

function row (job: JobView): string[] {
  const { id, state, began, cost, peer, reason, fuelEstimate } = job
  return [plain(id), fuelEstimate === null ? state : `${state} ~${groupDigits(fuelEstimate)} fuel`, time(began), spanOf(job), cost === null ? '-' : formatCredits(cost), peer === null ? '-' : plain(peer), reason === null ? '' : plain(reason)]
}

function describe (job: JobReport): string {
  const { id, state, reason, module, input, where, peer, began, tries, outcome, fuel, fuelEstimate, cost, receipt, code, hint } = job
  const rows: [string, string | null][] = [
    ['job', id], ['state', reason === null ? state : `${state}: ${reason}`], ['module', module], ['input', input], ['where', where], ['peer', peer], ['began', time(began)], ['time', spanOf(job)],
    ['tries', String(tries)], ['outcome', outcome], ['fuel', fuel === null ? null : groupDigits(fuel)], ['fuel so far', fuelEstimate === null ? null : `about ${groupDigits(fuelEstimate)}`], ['cost', cost === null ? null : formatCredits(cost)], ['receipt', receipt], ['code', code], ['hint', hint]
  ]
  return table(rows.filter(([, value]) => value !== null).map(([name, value]) => [name, plain(value!)]))
}

function describeRounds ({ steps, rounds, attempts }: JobReport): string {
  const states = steps.map(({ at, state, peer, reason }) => [time(at), state, plain(peer ?? ''), plain(reason ?? '')])
  const choices = rounds.map(({ at, chosen, reason, asked, bids }) =>
    `\n${time(at)}  chosen: ${plain(chosen ?? 'nobody')}\n${plain(reason)}\n${describeBids(bids)}${asked > bids.length ? `and ${asked - bids.length} more\n` : ''}`)
  const failures = attempts.map(({ peer, code, message }) => `tried ${plain(peer)}: ${plain(message)} (${plain(code)})\n`)
  return `\n${states.length === 0 ? '' : table(states)}${choices.join('')}${failures.length === 0 ? '' : `\n${failures.join('')}`}`
}

/** A control socket sorts names by their length. */
function viewInOrder ({ id, state, reason, peer, where, module, input, spec, began, ended, tries, outcome, fuel, fuelEstimate, cost, receipt, code }: JobView): JobView {
  return { id, state, reason, peer, where, module, input, spec, began, ended, tries, outcome, fuel, fuelEstimate, cost, receipt, code }
}

function reportInOrder (report: JobReport): object {
  const steps = report.steps.map(({ at, state, peer, reason }) => ({ at, state, peer, reason }))
  const rounds = report.rounds.map(({ at, chosen, reason, asked, bids }) => ({ at, chosen, reason, asked, bids: bids.map(bidInOrder) }))
  return { ...viewInOrder(report), steps, rounds, attempts: report.attempts, hint: report.hint }
}
