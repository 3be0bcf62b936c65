/** `inos peers`: whom the running node is connected to, and whom it knows. */
import type { Command } from 'commander'
import { formatCredits } from '../src/packet/amounts.ts'
import { InosError } from '../src/packet/errors.ts'
import { keyOfPeerId } from '../src/packet/identity.ts'
import type { KnownPeer } from '../src/network/known-peers.ts'
import type { Operator } from '../src/node/operator.ts'
import type { PeerView } from '../src/processor/processor.ts'
import { addData, addJson, type CommonOptions, type Context, examples } from './command.ts'
import { plain, table } from './output.ts'
import { describeWhole } from './reach.ts'
import { formatBytes } from './units.ts'

export function addPeers (program: Command, context: Context): void {
  const peers = program.command('peers').description('peers of the node that runs in the data directory')
  addJson(addData(peers), 'one JSON object a line')
  examples(peers, [
    ['inos peers', 'how far each is, what it offers, and the line to it'],
    ['inos peers known', 'also those that are away: they are dialled at the next start']
  ])
  peers.action(async (options: CommonOptions) => { context.finish(await show(options, context)) })
  addReach(peers, context)
  addKnown(peers, context)
  addForget(peers, context)
}

function addReach (peers: Command, context: Context): void {
  const command = peers.command('reach').description('how others get to the running node, why, and what it relays for whom')
  addJson(addData(command), 'one JSON object')
  examples(command, [['inos peers reach', 'public, relayed, private or unknown, and what to do next']])
  command.action(async (_options: CommonOptions, self: Command) => { context.finish(await reach(self.optsWithGlobals(), context)) })
}

async function reach (options: CommonOptions, context: Context): Promise<number> {
  await using operator = await open(options, context)
  const { output } = context
  const view = await operator.reachability()
  if (options.json === true) await output.json(view)
  else if (view === null) output.say('No node runs in this data directory; `inos up` starts one.')
  else await output.write(`${describeWhole(view)}\n${table(view.carried.map(({ peer, bytes, paid, left, connections }) => [peer, `${formatBytes(bytes)} relayed`, `${formatBytes(paid)} paid`, left < 0 ? `${formatBytes(-left)} not paid yet` : `${formatBytes(left)} left`, `${connections} open`]))}`)
  return 0
}

function addKnown (peers: Command, context: Context): void {
  const command = peers.command('known').description('peers this node has met or heard of; it dials them by itself')
  addJson(addData(command), 'one JSON object a line')
  examples(command, [['inos peers known', 'where each is, and when it was met']])
  command.action(async (_options: CommonOptions, self: Command) => { context.finish(await known(self.optsWithGlobals(), context)) })
}

function addForget (peers: Command, context: Context): void {
  const command = peers.command('forget').description('dial a peer no more, until it is met again').argument('<peer>', 'PeerId, as `inos peers known` prints it')
  addJson(addData(command))
  examples(command, [['inos peers forget 12D3KooW…', 'a machine that is gone for good']])
  command.action(async (peer: string, _options: CommonOptions, self: Command) => { context.finish(await forget(peer, self.optsWithGlobals(), context)) })
}

async function open ({ data }: CommonOptions, { output, signal }: Context): Promise<Operator> {
  const { ALONE, openOperator } = await import('./open.ts')
  return await openOperator({ data, join: ALONE, output, signal })
}

async function show (options: CommonOptions, context: Context): Promise<number> {
  await using operator = await open(options, context)
  const { output } = context
  const peers = await operator.peers()
  const view = await operator.reachability()
  if (options.json !== true && view !== null) output.say(describeWhole(view))
  if (options.json === true) {
    for (const peer of peers) await output.json(peer)
  } else if (peers.length === 0) {
    output.say(operator.pid === process.pid
      ? 'No node runs in this data directory; `inos up` starts one, with --peer ADDR for its first peer.'
      : 'The node has no peers; `inos up --peer ADDR` connects to one.')
  } else {
    await output.write(table([['peer', 'direction', 'path', 'latency', 'idle slots', 'jobs', 'price per 10⁹ fuel', 'spendable', 'due', 'owed', 'earned', 'spent', 'address'], ...peers.map(row)]))
  }
  return 0
}

function row ({ id, addresses, direction, transport, via, latencyMs, offer, history, line }: PeerView): string[] {
  return [
    id, direction, via === null ? `direct, ${transport}` : `relayed via ${via}`, latencyMs === null ? '-' : `${latencyMs} ms`,
    offer === null ? '-' : `${offer.idle} of ${offer.slots}`, jobsDone(history), offer === null ? '-' : formatCredits(offer.perMFuel * 1_000n),
    ...[line.spendable, line.due, line.owed, line.earned, line.spent].map(formatCredits), plain(addresses[0] ?? '-')
  ]
}

/** How jobs of this node ended there, lately. */
function jobsDone (history: PeerView['history']): string {
  if (history === null) return '-'
  const { ok, lost, refused, wrong } = history
  const bad = Object.entries({ lost, refused, wrong }).filter(([, count]) => count >= 0.5).map(([name, count]) => `${Math.round(count)} ${name}`)
  return [`${Math.round(ok)} ok`, ...bad].join(', ')
}

async function known (options: CommonOptions, context: Context): Promise<number> {
  await using operator = await open(options, context)
  const peers = await operator.knownPeers()
  const connected = new Set((await operator.peers()).map(({ id }) => id))
  const { output } = context
  const all = peers.map(peer => ({ ...peer, connected: connected.has(peer.id) }))
  if (options.json === true) for (const peer of all) await output.json(peer)
  else if (all.length === 0) output.say('This node knows no other; `inos up --peer ADDR` connects to one.')
  else await output.write(table([['peer', 'connected', 'last met', 'addresses'], ...all.map(knownRow)]))
  return 0
}

function knownRow ({ id, connected, met, addresses }: KnownPeer & { connected: boolean }): string[] {
  return [id, connected ? 'yes' : 'no', met === null ? 'never' : new Date(met * 1_000).toISOString().slice(0, 16).replace('T', ' '), addresses.map(plain).join(' ')]
}

async function forget (peer: string, options: CommonOptions, context: Context): Promise<number> {
  keyOfPeerId(peer)
  await using operator = await open(options, context)
  if (!await operator.forget(peer)) throw new InosError('ERR_USAGE', `This node does not know ${peer}.`, { hint: 'See `inos peers known`.' })
  if (options.json === true) await context.output.json({ forgotten: peer })
  else context.output.say(`${peer} is forgotten; if it is connected, it stays so and is met again.`)
  return 0
}
