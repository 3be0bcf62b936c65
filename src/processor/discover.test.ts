/** The search of a buyer that finds nobody among those it knows: whom it reaches, and for whom it waits. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { Network, PeerInfo } from '../network/network.ts'
import { unlessAborted } from '../network/talk.ts'
import { seek } from './discover.ts'
import type { Rooms } from './rooms.ts'

interface World {
  readonly peers: string[]
  /** Who offers work once it is asked; others never answer. */
  readonly offering: ReadonlySet<string>
  /** Names, then goes on searching for ever. */
  readonly names?: readonly string[]
  /** Who answers that it offers nothing. */
  readonly idle?: ReadonlySet<string>
  /** The search for names ends when all are told. */
  readonly ends?: boolean
}

const never = (signal: AbortSignal): Promise<never> => unlessAborted(new Promise<never>(() => {}), signal)

/** A node in a world where no long wait ever ends by itself. */
function nodeIn ({ peers, offering, names = [], idle = new Set(), ends = false }: World) {
  const offers = new Set<string>()
  let change = Promise.withResolvers<void>()
  const network: Pick<Network, 'id' | 'peers' | 'find' | 'routesTo'> = {
    id: 'me',
    peers: () => peers.map((id): PeerInfo => ({ id, addresses: [], direction: 'out', latencyMs: null })),
    routesTo: async () => [],
    async * find (_capability, signal) {
      yield * names
      if (!ends) await never(signal).catch(() => {})
    }
  }
  const node = {
    platform: {
      now: () => 0,
      sleep: async (ms: number, signal: AbortSignal) => {
        if (ms > 0) await never(signal)
      },
      log: () => {}
    },
    market: { candidates: () => [...offers].map(peer => ({ peer })), offerBy: (peer: string) => offers.has(peer) ? {} : null },
    sessions: () => ({
      connect: async (peer: string, signal: AbortSignal) => {
        if (offering.has(peer)) offers.add(peer)
        else if (!idle.has(peer)) await never(signal)
      }
    }),
    change: () => change.promise
  } as unknown as Rooms
  const come = (peer: string): void => {
    peers.push(peer)
    change.resolve()
    change = Promise.withResolvers()
  }
  return { seek: (where: string, hasFriends = false) => seek(node, network as Network, () => hasFriends, where, new AbortController().signal), come, offers }
}

// Goal: whoever waits for a job waits for the first that offers, not for those that are silent or for a search that goes on.
// Method: a silent peer beside one that offers, connected or found; no wait but the shortest ever ends.
test('the first one reached ends the search', { timeout: 20_000 }, async () => {
  assert.equal(await nodeIn({ peers: ['silent', 'seller'], offering: new Set(['seller']) }).seek('any'), true)
  assert.equal(await nodeIn({ peers: ['silent'], offering: new Set(['seller']), names: ['gone', 'seller'] }).seek('remote'), true)
  assert.equal(await nodeIn({ peers: ['other', 'seller'], offering: new Set(['seller']) }).seek('seller'), true)
})

// Goal: where all that could be asked have answered, the search ends, for whoever waits for a refusal is to be told at once.
// Method: connected and found peers that offer nothing, or are known already; no wait ends by itself.
test('nobody left to ask', { timeout: 20_000 }, async () => {
  const idle = new Set(['a', 'b'])
  assert.equal(await nodeIn({ peers: ['a'], names: ['b', 'a'], offering: new Set(), idle, ends: true }).seek('any'), false)
  assert.equal(await nodeIn({ peers: ['a'], offering: new Set(), idle, ends: true }).seek('b'), false)
  const { seek, offers } = nodeIn({ peers: ['a', 'seller'], offering: new Set(), idle, ends: true })
  offers.add('seller')
  assert.equal(await seek('remote'), false)
})

// Goal: a peer named that nobody can tell of is said to be missing at once. Method: a node without company or addresses.
test('nobody to ask where a peer is', { timeout: 20_000 }, async () => {
  assert.equal(await nodeIn({ peers: [], offering: new Set(['seller']) }).seek('seller'), false)
})

// Goal: a node that has just started finds those it knows, which are being dialled. Method: somebody connects while it waits, and has told its offer already.
test('who has lost all company waits for those it knows', { timeout: 20_000 }, async () => {
  const { seek, come, offers } = nodeIn({ peers: [], offering: new Set(['friend']) })
  const found = seek('any', true)
  offers.add('friend')
  come('friend')
  assert.equal(await found, true)
})
