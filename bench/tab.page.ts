/** What `bench/browser.ts` loads into a tab: the library, and a bare libp2p node of the same parts to compare it with. */
import { generateKeyPairFromSeed } from '@libp2p/crypto/keys'
import { noise } from '@libp2p/noise'
import { webSockets } from '@libp2p/websockets'
import { webTransport } from '@libp2p/webtransport'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { randomBytes, timers } from '../src/browser/platform.ts'
import { dialDirect } from '../src/browser/webrtc.ts'
import { Access } from '../src/network/access.ts'
import { commonOptions } from '../src/network/libp2p-options.ts'
import { serveBare } from './bare.ts'

export * from '../src/browser/index.ts'

/** Echoes for whom it has dialled. @returns its PeerId */
export async function startBare (addresses: readonly string[]): Promise<string> {
  const node = await createLibp2p({
    ...commonOptions({ timers, access: new Access({ listen: [], relay: false, timers }) }),
    privateKey: await generateKeyPairFromSeed('Ed25519', randomBytes(32)),
    transports: [webTransport(), dialDirect, webSockets()],
    connectionEncrypters: [noise()]
  })
  await serveBare(node)
  for (const address of addresses) await node.dial(multiaddr(address))
  return node.peerId.toString()
}
