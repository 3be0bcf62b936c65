/**
 * The campaign of actors: `npm run actors -- --messages N --kills K --migrations M --seed S`.
 *
 * A counter is sent N messages. At seeded ones its host is killed (SIGKILL) while it handles them, its caller while it waits, or it is
 * told to move. Each message must be counted once, in order, and the history must verify. Last line: JSON.
 */
import { parseArgs } from 'node:util'
import { runCampaign } from './campaign.ts'

const { values } = parseArgs({
  options: {
    messages: { type: 'string', default: '1000' }, kills: { type: 'string', default: '10' }, 'caller-kills': { type: 'string', default: '5' },
    migrations: { type: 'string', default: '5' }, seed: { type: 'string', default: '1' }
  }
})
const [messages, kills, callerKills, migrations, seed] = [values.messages, values.kills, values['caller-kills'], values.migrations, values.seed].map(Number) as [number, number, number, number, number]
if (![messages, kills, callerKills, migrations, seed].every(each => Number.isSafeInteger(each) && each >= 0) || messages <= kills + callerKills + migrations) {
  console.error('usage: npm run actors -- [--messages N] [--kills N] [--caller-kills N] [--migrations N] [--seed S], whole numbers, and more messages than events')
  process.exit(64)
}
const report = await runCampaign({ seed, messages, kills, callerKills, migrations }, line => { console.error(line) })
console.log(JSON.stringify({ seed, ...report }))
process.exitCode = report.ok ? 0 : 1
