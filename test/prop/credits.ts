/**
 * The property campaign of credits: `npm run prop:credits -- --runs N --seed S`.
 *
 * N random sequences over two to four nodes (`sequence.ts` says of what), one in four of them a private
 * mesh with its issuer, and in half of these a member that promises more than it has; shared among processes.
 * The first that violates an invariant is shrunk and printed with its seed; `--replay JSON` runs it
 * again. `--patch FILE` applies a patch to a temporary copy of the tree and runs there: it ends with
 * 0 when a violation was found, so that a reviewer's own mutant can be tried. Last line: JSON.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { applyPatch, copyTree } from '../mutants/tree.ts'
import { type Command, drawMesh, drawSequence, runSequence, type Sequence, type Tally } from './sequence.ts'

const { values } = parseArgs({ options: {
  runs: { type: 'string', default: '2000' }, seed: { type: 'string', default: '1' }, first: { type: 'string', default: '0' },
  processes: { type: 'string', default: String(availableParallelism()) }, replay: { type: 'string' }, patch: { type: 'string' }
} })
const [runs, seed, first, processes] = [values.runs, values.seed, values.first, values.processes].map(Number) as [number, number, number, number]
if (![runs, seed, first, processes].every(Number.isSafeInteger) || runs < 1 || processes < 1) {
  console.error('usage: npm run prop:credits -- [--runs N] [--seed S] [--processes P] [--replay JSON] [--patch FILE]')
  process.exit(64)
}

interface Report extends Tally { ok: boolean, seed: number, runs: number, violations: number, ms: number }

/** What a sequence violates, as a sentence; null when nothing. */
async function violationOf (sequence: Sequence, tally: Tally = { steps: 0, crashes: 0, backups: 0, meshes: 0, bounced: 0 }): Promise<string | null> {
  try {
    await runSequence(sequence, tally)
    return null
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** Leave out commands, in ever smaller pieces, as long as something is still violated. */
async function shrink (sequence: Sequence): Promise<Sequence> {
  let { commands } = sequence
  for (let size = commands.length >> 1; size >= 1; size >>= 1) {
    for (let at = 0; at < commands.length;) {
      const fewer: readonly Command[] = [...commands.slice(0, at), ...commands.slice(at + size)]
      if (await violationOf({ ...sequence, commands: fewer }) === null) at += size
      else commands = fewer
    }
  }
  return { ...sequence, commands }
}

/** One in so many sequences is a private mesh. */
const MESH_EVERY = 4

/** Seeds of sequences are far apart, so that two campaigns share none by chance alone. */
const seedOf = (run: number): number => (Math.imul(seed, 0x9e3779b1) + Math.imul(run, 0x85ebca6b)) >>> 0

async function campaign (): Promise<Report> {
  const began = Date.now()
  const tally: Tally = { steps: 0, crashes: 0, backups: 0, meshes: 0, bounced: 0 }
  let violations = 0
  let done = 0
  for (let run = first; run < first + runs && violations === 0; run++, done++) {
    const sequence = run % MESH_EVERY === MESH_EVERY - 1 ? drawMesh(seedOf(run)) : drawSequence(seedOf(run))
    const violation = await violationOf(sequence, tally)
    if (violation === null) continue
    violations++
    const small = await shrink(sequence)
    console.error(`seed ${seed}, run ${run}: ${violation}\nshrunk: ${await violationOf(small)}\n--replay '${JSON.stringify(small)}'`)
  }
  return { ok: violations === 0, seed, runs: done, ...tally, violations, ms: Date.now() - began }
}

/** The same campaign in processes of their own, each with its share of the runs. */
async function share (): Promise<Report> {
  const began = Date.now()
  const each = Math.ceil(runs / processes)
  const reports = await Promise.all(Array.from({ length: processes }, (_, at) => {
    const from = first + at * each
    return run(import.meta.filename, ['--runs', String(Math.min(each, first + runs - from)), '--first', String(from), '--seed', String(seed), '--processes', '1'])
  }))
  const sum = (name: 'runs' | 'steps' | 'crashes' | 'backups' | 'meshes' | 'bounced' | 'violations'): number => reports.reduce((total, report) => total + report[name], 0)
  return { ok: reports.every(({ ok }) => ok), seed, runs: sum('runs'), steps: sum('steps'), crashes: sum('crashes'), backups: sum('backups'), meshes: sum('meshes'), bounced: sum('bounced'), violations: sum('violations'), ms: Date.now() - began }
}

async function run (file: string, args: readonly string[]): Promise<Report> {
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  let out = ''
  child.stdout.on('data', chunk => { out += chunk })
  await once(child, 'close')
  return JSON.parse(out.trimEnd().split('\n').at(-1)!) as Report
}

/** @returns the campaign's report from a patched copy of the tree */
async function tryPatch (patch: string): Promise<Report> {
  const folder = copyTree()
  try {
    applyPatch(folder, patch)
    return await run(join(folder, 'test', 'prop', 'credits.ts'), ['--runs', String(runs), '--seed', String(seed), '--processes', String(processes)])
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

if (values.replay !== undefined) {
  const violation = await violationOf(JSON.parse(values.replay) as Sequence)
  console.log(JSON.stringify({ ok: violation === null, violation }))
  process.exitCode = violation === null ? 0 : 1
} else if (values.patch !== undefined) {
  const report = await tryPatch(values.patch)
  console.log(JSON.stringify({ ...report, caught: !report.ok }))
  process.exitCode = report.ok ? 1 : 0
} else {
  const report = processes > 1 && runs > processes ? await share() : await campaign()
  console.log(JSON.stringify(report))
  process.exitCode = report.ok ? 0 : 1
}
