/** A node process of a campaign, from inside: it does what its parent says until the parent is gone. */
import type { Credits } from '../../src/credits/credits.ts'
import { toInosError } from '../../src/packet/errors.ts'
import type { Processor } from '../../src/processor/processor.ts'
import type { Fuse } from './fuse.ts'
import type { Lanes } from './lanes.ts'
import type { Books, Bought, FromNode, ToNode } from './messages.ts'

export interface Player {
  readonly node: Processor
  readonly credits: Credits
  readonly fuse: Fuse
  readonly wasm: Uint8Array
  readonly peers: readonly string[]
  /** The latest records of each lane, as these books have them now, and as they lay on disk at the start. */
  readonly lanes: () => Promise<Lanes>
  readonly disk: Lanes
}

/** How often a condition is looked at that no event tells. */
const LOOK_MS = 2

export async function play (player: Player): Promise<void> {
  const { node, credits, fuse, disk } = player
  process.on('disconnect', () => process.exit())
  for (const peer of player.peers) await node.connect(peer)
  process.on('message', async (message: ToNode) => {
    switch (message.do) {
      case 'buy':
        for (const item of message.items) say({ said: 'bought', result: await buy(player, item) })
        return say({ said: 'all bought' })
      case 'connect':
        return say({ said: 'connected', error: await node.connect(message.address).then(() => null, String) })
      case 'sync':
        while (!credits.isSynced(message.peer)) await new Promise(resolve => setTimeout(resolve, LOOK_MS))
        return say({ said: 'synced' })
      case 'arm':
        return fuse.arm(message.crash)
      case 'books':
        return say({ said: 'books', books: await booksOf(node) })
      case 'lanes':
        return say({ said: 'lanes', lanes: await player.lanes() })
      case 'rest': {
        const { held, due, owed } = credits.balance()
        return say({ said: 'rest', open: held + due + owed > 0n || credits.creditors().length > 0 })
      }
      case 'stop':
        await node.stop()
        process.disconnect()
    }
  })
  say({ said: 'ready', id: node.id, addresses: node.addresses(), disk })
}

function say (message: FromNode): void { process.send!(message) }

async function buy ({ node, wasm }: Player, item: number): Promise<Bought> {
  try {
    const result = await node.compute(wasm, `item ${item}`, { where: 'remote', limits: { fuelMax: 50_000_000n } })
    // Jobs in a row share a cheque; here each has one, or there were too few to die over.
    await node.settle()
    return { item, ok: true, text: result.text(), receiptId: result.receiptId, attempts: result.attempts.length }
  } catch (thrown) {
    const error = toInosError(thrown)
    return { item, ok: false, code: error.code, attempts: error.attempts.length }
  }
}

async function booksOf (node: Processor): Promise<Books> {
  return { audit: await node.audit(), history: await Array.fromAsync(node.history()), receipts: await Array.fromAsync(node.receipts()), peers: node.peers() }
}
