/** What a node can say of how others get to it, in words: for `inos doctor`, `inos peers` and `inos up`. */
import type { Operator } from '../src/node/operator.ts'
import type { PeerTest, Reachability } from '../src/processor/processor.ts'
import { type Check, ok, warn } from './doctor.ts'
import { plain } from './output.ts'
import { formatBytes } from './units.ts'

type Finding = Omit<Check, 'name'>
type Add = (name: string, examine: () => Promise<Finding>) => Promise<void>

function describeReach ({ status, reason }: Reachability): string { return `${status}: ${reason}` }

/** A line each: how others get to it, what it relays, what would make that better. */
export function describeWhole (view: Reachability): string {
  return [describeReach(view), describeRelay(view), view.next].filter(line => line !== null).map(plain).join('\n')
}

/** How a node stands now. */
export function tellReach (reach: Reachability | null): Finding {
  if (reach === null) return ok('works alone')
  return reach.next === null ? ok(describeReach(reach)) : warn(describeReach(reach), reach.next)
}

/** What this node relays for others; null when it does not. */
function describeRelay ({ relaying, carried }: Reachability): string | null {
  if (!relaying) return null
  const sum = (of: 'bytes' | 'paid'): number => carried.reduce((all, account) => all + account[of], 0)
  return `relays for ${carried.length === 1 ? 'one peer' : `${carried.length} peers`}: ${formatBytes(sum('bytes'))} so far, ${formatBytes(sum('paid'))} of them paid for`
}

/** Connect to a node and have it test this one: each thing on a line of its own. */
export async function testPeer (operator: Operator, address: string, add: Add, signal: AbortSignal): Promise<void> {
  let test: PeerTest | undefined
  await add('peer', async () => {
    test = await operator.testReach(await operator.connect(address, signal), signal)
    return tellPath(test)
  })
  if (test === undefined) return
  const answered = test
  await add('dial back', async () => tellDialBack(answered))
  await add('relay', async () => answered.relays ? ok('it relays for nodes that nobody can dial') : warn('it relays for nobody', 'Nothing where this node can be dialled; else use a peer that relays: `inos up --relay` there.'))
  await add('hole punch', async () => tellPunch(answered))
}

function tellPath ({ peer, address, via }: PeerTest): Finding {
  return via === null ? ok(`${peer} is connected directly, at ${address}`) : warn(`${peer} is reached through the relay ${via}`, 'Works as it is; a direct connection is tried by itself where both routers allow it.')
}

function tellDialBack ({ ports, seen, reached }: PeerTest): Finding {
  if (seen === null) return warn('it sees this node through a relay, so it cannot dial back', 'Test with a node that both can dial.')
  if (ports.length === 0) return warn(`it sees this node at ${seen}; there is no port of this node that it could dial`, 'Run `inos up --listen /ip4/0.0.0.0/tcp/4001` here first.')
  if (reached.length > 0) return ok(`it has dialled this node at ${reached.join(', ')}`)
  return warn(`it sees this node at ${seen} and could not dial port ${ports.join(', ')} there`, 'Forward that TCP port in the router or let it pass the firewall, try `inos up --upnp`, or be reached through a relay.')
}

function tellPunch ({ via, punches }: PeerTest): Finding {
  if (!punches) return warn('it does not know how', 'Update INOS there.')
  return via === null ? ok('not needed here: the connection is direct; the peer knows how') : warn('not (yet) achieved with this peer', 'It is tried three times after each connection through a relay; where a router gives each destination another port it cannot work.')
}
