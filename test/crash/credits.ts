/**
 * The kill campaign of credits: `npm run crash:credits -- --points N --seed S`.
 *
 * A buyer and a seller in real processes, on disks that forget whatever was not synced. At each
 * point one of them is killed, before or after a step of the money protocol or at a random time,
 * some once more while it comes back; the other lives on. What the other was given must be on the
 * disk of the dead. It starts again on its books, the line drains, and then the books of both must
 * agree and audit: nothing lost, made or paid twice. Last line: JSON. `killed` counts processes that
 * died at the step named (`steps`) or without one (`atRandom`: at a random time, or at rest where the
 * step on the way back did not come); a step that did not come is in `missed` and kills nobody.
 */
import { parseArgs } from 'node:util'
import { bundle } from './bundle.ts'
import type { NodeProgram } from './child.ts'
import type { Finding } from './compare.ts'
import { type Outcome, Pair, PLANS } from './pair.ts'

const { values } = parseArgs({ options: { points: { type: 'string', default: '40' }, seed: { type: 'string', default: '1' }, pairs: { type: 'string', default: '2' } } })
const [points, seed, pairs] = [values.points, values.seed, values.pairs].map(Number) as [number, number, number]
if (![points, seed, pairs].every(Number.isSafeInteger) || points < 1 || pairs < 1) {
  console.error('usage: npm run crash:credits -- [--points N] [--seed S] [--pairs P], whole numbers')
  process.exit(64)
}

/** Points one pair of data directories goes through: their history is read whole at each. */
const POINTS_PER_PAIR = 25
/** Coprime to the number of plans, so that a short campaign meets all kinds. */
const STRIDE = 7

interface Verdict extends Outcome { readonly index: number }

async function runPair (program: NodeProgram, first: number, count: number, verdicts: Verdict[]): Promise<void> {
  await using pair = await Pair.start(program, seed)
  for (let index = first; index < first + count; index++) {
    const plan = PLANS[index * STRIDE % PLANS.length]!
    const verdict = { index, ...await pair.run(index, plan) }
    verdicts.push(verdict)
    for (const { kind, text } of verdict.findings) console.error(`point ${index} (${plan.role}, ${plan.when}, ${plan.step ?? 'at any time'}): ${kind}: ${text}`)
    // What is wrong once stays wrong: the next point begins with clean books.
    if (verdict.findings.length > 0) return await runPair(program, index + 1, first + count - index - 1, verdicts)
  }
}

function report (verdicts: readonly Verdict[], seconds: number): Record<string, unknown> & { ok: boolean } {
  const findings = verdicts.flatMap(verdict => verdict.findings)
  const count = (kind: Finding['kind']): number => findings.filter(finding => finding.kind === kind).length
  const steps: Record<string, number> = {}
  for (const step of verdicts.flatMap(verdict => verdict.steps).sort()) steps[step] = (steps[step] ?? 0) + 1
  const atRandom = verdicts.reduce((sum, verdict) => sum + verdict.atRandom, 0)
  const missed = verdicts.reduce((sum, verdict) => sum + verdict.missed, 0)
  const restarts = verdicts.map(({ restartMs }) => Math.round(restartMs)).sort((a, b) => a - b)
  const failed = verdicts.filter(verdict => verdict.findings.length > 0).length
  return {
    ok: failed === 0 && verdicts.length === points,
    seed,
    points: verdicts.length,
    killed: atRandom + Object.values(steps).reduce((sum, times) => sum + times, 0),
    atRandom,
    missed,
    steps,
    failed,
    lost: count('lost'),
    made: count('made'),
    doubled: count('doubled'),
    restartMsMedian: restarts[restarts.length >> 1],
    restartMsMax: restarts.at(-1),
    seconds
  }
}

const began = Date.now()
const verdicts: Verdict[] = []
await using program = await bundle('light.ts')
const firsts = Array.from({ length: Math.ceil(points / POINTS_PER_PAIR) }, (_, at) => at * POINTS_PER_PAIR)
await Promise.all(Array.from({ length: pairs }, async () => {
  for (let first = firsts.shift(); first !== undefined; first = firsts.shift()) {
    await runPair(program, first, Math.min(POINTS_PER_PAIR, points - first), verdicts)
    console.error(`${verdicts.length}/${points}`)
  }
}))
const result = report(verdicts, Math.round((Date.now() - began) / 1000))
console.log(JSON.stringify(result))
process.exitCode = result.ok ? 0 : 1
