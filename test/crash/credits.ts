/**
 * The kill campaign of credits: `npm run crash:credits -- --points N --seed S`.
 *
 * A buyer and a seller in real processes, on disks that forget whatever was not synced. At each
 * point one of them is killed, before or after a step of the money protocol or at a random time,
 * and starts again on its books; the other lives on. Then nothing may be held, due or owed, and the
 * books of both must agree: nothing lost, made or paid twice. After some points they are compared
 * whole, and a new pair begins. Last line: JSON.
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { Child } from './child.ts'
import { type Crash, type Role, STEPS } from './messages.ts'
import { compareBooks, draw, settle } from './point.ts'

const { values } = parseArgs({ options: { points: { type: 'string', default: '40' }, seed: { type: 'string', default: '1' }, pairs: { type: 'string', default: '2' } } })
const [points, seed, pairs] = [values.points, values.seed, values.pairs].map(Number) as [number, number, number]
if (![points, seed, pairs].every(Number.isSafeInteger) || points < 1 || pairs < 1) {
  console.error('usage: npm run crash:credits -- [--points N] [--seed S] [--pairs P], whole numbers')
  process.exit(64)
}

/** Points one pair of data directories goes through: their history is read whole at each. */
const POINTS_PER_PAIR = 25
const RANDOM_MS = 200
/** Cheques and acks come after the caller has its results. */
const LATE_MS = 150

interface Tally { points: number, killed: number, restartMsMax: number, problems: string[] }

const ALL: readonly (readonly [Role, Crash['point'] | null])[] = (['buyer', 'seller'] as const).flatMap(role => [
  ...STEPS[role].flatMap(step => [[role, `before ${step}`], [role, `after ${step}`]] as [Role, Crash['point']][]), [role, null] as const
])

/** A buyer and a seller, for some points. */
async function runPair (first: number, count: number, tally: Tally): Promise<void> {
  const scratch = await mkdtemp(join(tmpdir(), 'inos-crash-'))
  const open = (name: Role, peers: readonly string[]): Promise<Child> => Child.start({ dataDir: join(scratch, name), sells: name === 'seller', peers, crash: null, lossy: true })
  let seller = await open('seller', [])
  let buyer = await open('buyer', [seller.address])
  try {
    for (let index = first; index < first + count; index++) {
      const [role, point] = ALL[index % ALL.length]!
      const victim = role === 'buyer' ? buyer : seller
      victim.arm(point === null ? null : { point, nth: 1 + draw(seed, index, 'nth', 3) })
      buyer.say({ do: 'buy', items: [0, 1, 2] })
      if (point === null) setTimeout(() => { victim.kill() }, draw(seed, index, 'ms', RANDOM_MS))
      const finished = buyer.hear('all bought')
      await Promise.race([victim.exited, finished.then(() => new Promise(resolve => setTimeout(resolve, LATE_MS)))])
      // A step that did not come so often is a kill between two steps.
      victim.kill()
      await victim.exited
      const began = performance.now()
      if (role === 'buyer') buyer = await open('buyer', [seller.address])
      else seller = await open('seller', [])
      tally.restartMsMax = Math.max(tally.restartMsMax, Math.round(performance.now() - began))
      if (role === 'seller') {
        await buyer.connect(seller.address)
        await finished
      }
      const books = await settle([buyer, seller])
      const problems = compareBooks([buyer, seller].map(({ id }, at) => ({ id, books: books[at]! })))
      tally.points++
      tally.killed++
      tally.problems.push(...problems.map(problem => `point ${index} (${role}, ${point ?? 'at random'}): ${problem}`))
    }
  } finally {
    for (const child of [buyer, seller]) child.kill()
    await Promise.all([buyer.exited, seller.exited])
    await rm(scratch, { recursive: true, force: true })
  }
}

const began = Date.now()
const tally: Tally = { points: 0, killed: 0, restartMsMax: 0, problems: [] }
const firsts = Array.from({ length: Math.ceil(points / POINTS_PER_PAIR) }, (_, at) => at * POINTS_PER_PAIR)
await Promise.all(Array.from({ length: pairs }, async () => {
  for (let first = firsts.shift(); first !== undefined; first = firsts.shift()) await runPair(first, Math.min(POINTS_PER_PAIR, points - first), tally)
}))
for (const problem of tally.problems) console.error(problem)
const ok = tally.problems.length === 0 && tally.points === points
console.log(JSON.stringify({ ok, seed, points: tally.points, killed: tally.killed, failed: tally.problems.length, restartMsMax: tally.restartMsMax, ms: Date.now() - began }))
process.exitCode = ok ? 0 : 1
