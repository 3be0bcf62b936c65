/**
 * The kill campaign: `npm run crash -- --points N --seed S`.
 *
 * Each point runs real node processes over loopback TCP: a buyer, a seller, in every second point a
 * second seller. One of them ends itself with SIGKILL where the seed says. It starts again on its
 * data directory, the lines reconcile, and then the books of both sides must agree: nothing lost,
 * made or paid twice, and every item the caller was given is proven by a receipt. Last line: JSON.
 */
import { parseArgs } from 'node:util'
import { runPoint, type Verdict } from './point.ts'

const { values } = parseArgs({ options: { points: { type: 'string', default: '60' }, seed: { type: 'string', default: '1' } } })
const points = Number(values.points)
const seed = Number(values.seed)
if (!Number.isSafeInteger(points) || points < 1 || !Number.isSafeInteger(seed)) {
  console.error('usage: npm run crash -- [--points N] [--seed S], both whole numbers')
  process.exit(64)
}

const verdicts: Verdict[] = []
for (let index = 0; index < points; index++) {
  const verdict = await runPoint(seed, index)
  verdicts.push(verdict)
  const what = verdict.problems.length === 0 ? 'ok' : `FAILED: ${verdict.problems.join('; ')}`
  console.error(`${index + 1}/${points} ${verdict.role} at "${verdict.point}" (${verdict.nth}), ${verdict.sellers} seller${verdict.sellers === 1 ? '' : 's'}: ${what}`)
}

const failed = verdicts.filter(({ problems }) => problems.length > 0)
const sum = (of: (verdict: Verdict) => number): number => verdicts.reduce((total, verdict) => total + of(verdict), 0)
const ok = failed.length === 0 && verdicts.every(({ killed }) => killed)
console.log(JSON.stringify({
  ok, seed, points, killed: sum(({ killed }) => killed ? 1 : 0), failed: failed.length,
  items: sum(({ items }) => items), receipts: sum(({ receipts }) => receipts), retriedElsewhere: sum(({ retried }) => retried), peerLost: sum(({ peerLost }) => peerLost)
}))
process.exitCode = ok ? 0 : 1
