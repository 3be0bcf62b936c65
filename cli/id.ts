/** `inos id`: who this node is, and where others reach it. */
import type { Command } from 'commander'
import { addData, addJson, type CommonOptions, type Context, examples } from './command.ts'

export function addId (program: Command, context: Context): void {
  const command = program.command('id').description('PeerId of this node, and its addresses while it runs')
  addJson(addData(command))
  examples(command, [['inos id --data ./a', 'make the identity there, if there is none']])
  command.action(async (options: CommonOptions) => { context.finish(await show(options, context)) })
}

async function show ({ data, json }: CommonOptions, { output, signal }: Context): Promise<number> {
  const { ALONE, openOperator } = await import('./open.ts')
  await using operator = await openOperator({ data, join: ALONE, output, signal })
  const addresses = await operator.addresses()
  if (json === true) await output.json({ id: operator.id, addresses })
  else await output.write([operator.id, ...addresses].map(line => `${line}\n`).join(''))
  return 0
}
