/** A peer in a process of its own, for tests that stop it: says its address and waits. */
import { randomBytes } from 'node:crypto'
import { createNetwork } from '../src/node/libp2p.ts'

const network = await createNetwork({ seed: randomBytes(32), listen: ['/ip4/127.0.0.1/tcp/0'] })
process.send!(network.addresses()[0])
process.once('disconnect', () => { process.exit() })
