/** The list of known peers on disk: kept over restarts, and no obstacle when it is damaged. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { HandClock } from '../network/network.fixture.ts'
import { LIMITS } from '../packet/limits.ts'
import { createSigner } from './keys.ts'
import { openPeersFile, PEERS_NAME, type PeersFile } from './peers-file.ts'

const scratch = mkdtempSync(join(tmpdir(), 'inos-peers-'))
after(() => { rmSync(scratch, { recursive: true, force: true }) })

const [self, peer] = [createSigner(randomBytes(32)).id, createSigner(randomBytes(32)).id]
const ADDRESS = '/ip4/192.0.2.1/tcp/4001'

async function open (dir: string): Promise<{ file: PeersFile, clock: HandClock, warnings: string[] }> {
  const [clock, warnings] = [new HandClock(), [] as string[]]
  return { file: await openPeersFile(dir, { self, timers: clock, warn: message => { warnings.push(message) } }), clock, warnings }
}

const fresh = (): string => mkdtempSync(join(scratch, 'dir-'))

// Goal: what was met is known after a restart, whether the node was stopped or lost. Method: one list closed, one left open after the time it may take.
test('known peers survive a restart', async () => {
  const dir = fresh()
  {
    const { file } = await open(dir)
    await using _file = file
    file.known.meet(peer, [ADDRESS])
  }
  const again = await open(dir)
  assert.deepEqual(again.file.known.list().map(({ id, addresses }) => [id, addresses]), [[peer, [ADDRESS]]])
  again.file.known.forget(peer)
  await again.clock.turn(LIMITS.peers.saveMs)
  // Written behind the clock's back; closing waits for it and has nothing left to write.
  await again.file[Symbol.asyncDispose]()
  assert.deepEqual(JSON.parse(readFileSync(join(dir, PEERS_NAME), 'utf8')), { version: 1, peers: [] })
  assert.equal(again.clock.pending, 0)
  assert.deepEqual(again.warnings, [])
  assert.deepEqual(readdirSync(dir), [PEERS_NAME], 'nothing is left beside it')
})

// Goal: a damaged list costs a clear warning and nothing else. Method: lists cut, of another version, too large, with bad entries.
test('a damaged list is put aside with a warning', async () => {
  const good = JSON.stringify({ version: 1, peers: [{ id: peer, addresses: [ADDRESS], met: 1 }] })
  for (const text of ['', good.slice(0, -3), 'null', good.replace('"version":1', '"version":2'), good.replace(peer, 'someone'), good.replace(ADDRESS, ''), good + ' '.repeat(LIMITS.peers.fileBytesMax)]) {
    const dir = fresh()
    const path = join(dir, PEERS_NAME)
    writeFileSync(path, text)
    const { file, warnings } = await open(dir)
    assert.deepEqual(file.known.list(), [])
    assert.equal(warnings.length, 1)
    assert.match(warnings[0]!, /peers\.json is damaged: .+ It was moved to .+\.damaged\. Peers are learnt anew\./)
    file.known.meet(peer, [ADDRESS])
    await file[Symbol.asyncDispose]()
    assert.equal(readFileSync(`${path}.damaged`, 'utf8'), text)
    assert.equal((await open(dir)).warnings.length, 0)
  }
})

// Goal: a list that cannot be written is said once and harms nobody. Method: a directory that is gone.
test('a list that cannot be written is said once', async () => {
  const dir = fresh()
  const { file, clock, warnings } = await open(dir)
  rmSync(dir, { recursive: true })
  for (let i = 0; i < 3; i++) {
    file.known.hear(createSigner(randomBytes(32)).id, [ADDRESS])
    await clock.turn(LIMITS.peers.saveMs)
  }
  await file[Symbol.asyncDispose]()
  assert.equal(warnings.length, 1)
  assert.match(warnings[0]!, /cannot be written/)
})
