/** A host, or the caller with its actor, in a process of its own that may be killed at any time. */
import { writeFile } from 'node:fs/promises'
import { join } from '../../src/index.ts'
import { COUNTER, counted, number } from '../actor-guests.ts'
import type { CallerOptions, FromProcess, HostOptions, ToProcess } from './messages.ts'

const options = JSON.parse(process.argv[2]!) as HostOptions | CallerOptions
const say = (message: FromProcess): void => { process.send!(message) }
const { dataDir } = options
const node = options.role === 'host' ? await join({ dataDir, listen: [options.listen], slots: 1 }) : await join({ dataDir, serve: false })
if (options.role === 'caller') {
  // A host that is being killed is met later.
  await Promise.allSettled(options.peers.map(peer => node.connect(peer)))
  await node.spawn(COUNTER, { name: 'counter', where: 'remote', limits: { fuelMax: 1_000_000n, memoryPagesMax: 64, outputBytesMax: 1_024 } })
}

async function work (message: ToProcess): Promise<FromProcess> {
  switch (message.do) {
    case 'call': {
      const actor = await node.actor('counter')
      const { bytes, executor, repeated } = await actor.call(number(message.n), { id: String(message.n) })
      return { said: 'reply', n: message.n, ...counted(bytes), executor, repeated }
    }
    case 'connect': await node.connect(message.address); break
    case 'migrate': await (await node.actor('counter')).migrate(message.peer); break
    case 'chain': await writeFile(message.file, await (await node.actor('counter')).chain()); break
    case 'stop': await node.stop(); break
  }
  return { said: 'done', error: null }
}

process.on('message', (message: ToProcess) => {
  void work(message)
    .catch((error: unknown): FromProcess => ({ said: 'done', error: error instanceof Error ? error.message : String(error) }))
    .then(answer => {
      say(answer)
      if (message.do === 'stop') process.disconnect()
    })
})
process.on('disconnect', () => { process.exit() })
say({ said: 'ready', id: node.id, addresses: node.addresses() })
