/** `inos peers`: whom the running node is connected to. */
import type { Command } from 'commander'
import type { PeerView } from '../src/processor/processor.ts'
import { addData, addJson, type CommonOptions, type Context, examples } from './command.ts'
import { plain, table } from './output.ts'
import { formatCredits } from './units.ts'

export function addPeers (program: Command, context: Context): void {
  const command = program.command('peers').description('peers of the node that runs in the data directory')
  addJson(addData(command), 'one JSON object a line')
  examples(command, [['inos peers', 'address, price and line of each']])
  command.action(async (options: CommonOptions) => { context.finish(await show(options, context)) })
}

async function show ({ data, json }: CommonOptions, { output, signal }: Context): Promise<number> {
  const { ALONE, openOperator } = await import('./open.ts')
  await using operator = await openOperator({ data, join: ALONE, output, signal })
  const peers = await operator.peers()
  if (json === true) {
    for (const peer of peers) await output.json(peer)
  } else if (peers.length === 0) {
    output.say(operator.pid === process.pid
      ? 'No node runs in this data directory; `inos up` starts one, with --peer ADDR for its first peer.'
      : 'The node has no peers; `inos up --peer ADDR` connects to one.')
  } else {
    await output.write(table([['peer', 'direction', 'price per 10⁹ fuel', 'spendable', 'due', 'owed', 'address'], ...peers.map(row)]))
  }
  return 0
}

function row ({ id, addresses, direction, offer, line }: PeerView): string[] {
  return [
    id, direction, offer === null ? '-' : formatCredits(offer.perMFuel * 1_000n),
    formatCredits(line.spendable), formatCredits(line.due), formatCredits(line.owed), plain(addresses[0] ?? '-')
  ]
}
