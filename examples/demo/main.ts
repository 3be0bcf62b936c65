/**
 * The demo, as `npm start` and `inos demo` run it: nodes in processes of their own buy and sell the
 * tiles of a picture and a sweep of jobs, one of them is killed and comes back, and the books are
 * summed. This file takes the options and tells the end; what happens between is `stage.ts`.
 */
import { mkdir, mkdtemp, readdir, realpath } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { createOutput, table } from '../../cli/output.ts'
import { InosError } from '../../src/packet/errors.ts'
import { formatCredits } from '../../src/packet/amounts.ts'
import { checkOptions, type DemoOptions } from './plan.ts'
import { type Chain, type Report, Stage } from './stage.ts'
import { createColors } from 'picocolors'

/**
 * Run the demo.
 * @returns the exit code, 0; with a dashboard, when the signal or its Stop ends the watching
 * @throws {InosError} ERR_USAGE, ERR_CANCELLED when the signal aborts, and whatever a node refused
 */
export async function demo (options: DemoOptions): Promise<number> {
  checkOptions(options)
  const { stdout, stderr, env } = process
  const noColor = (env['NO_COLOR'] ?? '') !== ''
  const output = createOutput({ stdout, stderr, noColor })
  const directory = await openDirectory(options)
  const { signal } = options
  const interrupted = Promise.withResolvers<never>()
  const interrupt = (): void => { interrupted.reject(new InosError('ERR_CANCELLED', 'The demo was interrupted.')) }
  signal.addEventListener('abort', interrupt)
  try {
    if (signal.aborted) interrupt()
    // Closing the stage ends every process, whichever way this scope is left.
    await using stage = new Stage(options, directory, stderr, createColors(stderr.isTTY && !noColor), interrupt)
    const report = await Promise.race([stage.play(), interrupted.promise])
    await (options.json ? output.json(report) : output.write(summarise(report, stage.chain)))
    if (stage.ui !== null) {
      output.say(`The dashboard stays open until Ctrl-C: ${stage.ui}`)
      await interrupted.promise.catch(() => {})
    }
    await stage.stop()
    return 0
  } finally {
    signal.removeEventListener('abort', interrupt)
  }
}

/** The kept directory, else a fresh one, which stays: the picture lies there. */
async function openDirectory ({ keep, nodes }: DemoOptions): Promise<string> {
  if (keep === undefined) return await realpath(await mkdtemp(join(tmpdir(), 'inos-demo-')))
  const directory = resolve(keep)
  await mkdir(directory, { recursive: true })
  const kept = (await readdir(directory)).filter(name => /^node-\d+$/.test(name)).length
  if (kept !== 0 && kept !== nodes) {
    throw new InosError('ERR_USAGE', `${directory} holds the books of ${kept} nodes, and these are ${nodes}.`, { hint: `Pass --nodes ${kept}, or another directory.` })
  }
  return directory
}

function summarise ({ nodes, jobs, receipts, sumOfBalances, killed, rerunElsewhere, image, dirs }: Report, chain: Chain | null): string {
  const rows = nodes.map(({ balance, earned, spent, jobs }, place) => [
    `node-${place + 1}`, String(jobs), formatCredits(earned), formatCredits(spent), formatCredits(balance)
  ])
  const lines = [
    '',
    table([['node', 'jobs run', 'earned', 'spent', 'balance'], ...rows]),
    `${jobs} jobs, ${receipts.verified} receipts verified, ${receipts.failed} failed; the balances sum to ${sumOfBalances}.`
  ]
  if (killed > 0) lines.push(`Killed: ${killed} node, back with its books; ${rerunElsewhere} of its tiles done elsewhere.`)
  if (chain !== null) lines.push(`The sweep in CPython found its longest Collatz chain at ${chain.start}: ${chain.steps} steps.`)
  lines.push(`Picture:  ${image}`, `Receipts: inos receipts ls --data ${dirs[0]}`, '')
  return lines.join('\n')
}
