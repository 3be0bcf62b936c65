/** Nodes behind routers: `npm run nat -- --seed S`; `campaign.ts` says what happens. Last line: JSON. */
import { parseArgs } from 'node:util'
import { runNat } from './campaign.ts'
import { routerless } from './routers.ts'

const { values } = parseArgs({ options: { seed: { type: 'string', default: '1' } } })
const seed = Number(values.seed)
if (!Number.isSafeInteger(seed)) {
  console.error('usage: npm run nat -- [--seed S], a whole number')
  process.exit(64)
}
const why = routerless()
if (why !== null) {
  console.error(`No routers here: ${why}.`)
  process.exit(69)
}
const report = await runNat(seed, line => { console.error(line) })
for (const problem of [...report.scenes, report.mesh, report.upnp].flatMap(({ problems }) => problems)) console.error(problem)
console.log(JSON.stringify(report))
process.exitCode = report.ok ? 0 : 1
