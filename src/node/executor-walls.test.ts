import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { createExecutorPool } from './executor-pool.ts'
import { ask, FIXTURE } from './executor-run.fixture.ts'
import { NO_WALLS, probeWalls } from './executor-walls.ts'
import type { Walls } from './executor-walls.ts'

interface Reach {
  env: string[], cwd: string, files: unknown[], seen: unknown[], home: unknown, write: unknown, spawn: unknown, worker: unknown
  addon: unknown, code: unknown, signalParent: unknown, network: string
}

/** Let planted code try everything, as the pool would run it. */
async function reach (walls: Walls): Promise<Reach> {
  await using pool = createExecutorPool({ slots: 1, entry: FIXTURE, walls })
  const folder = await mkdtemp(join(tmpdir(), 'inos-'))
  const server = createServer(socket => socket.destroy())
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  try {
    const secret = join(folder, 'identity.key')
    await writeFile(secret, 'secret')
    const here = fileURLToPath(import.meta.url)
    // A file of this room that is none of the executor's, and the repository's root, must be closed as well.
    const files = ['/etc/passwd', secret, '/proc/self/environ', here, join(dirname(here), 'executor-pool.ts'), process.execPath, `/proc/${process.pid}/cmdline`]
    const targets = { files, writable: join(folder, 'written'), parent: process.pid, port: (server.address() as AddressInfo).port }
    const reached = JSON.parse(await ask(pool, 'reach', { argument: JSON.stringify(targets) })) as Reach
    assert.equal(await readFile(targets.writable).catch(() => 'absent'), 'absent')
    assert.equal(reached.files.length, files.length)
    return reached
  } finally {
    server.close()
    await rm(folder, { recursive: true })
  }
}

function expectDenied (reached: Reach, network: boolean): void {
  // bwrap tells where it went.
  assert.deepEqual(reached.env.filter(name => name !== 'PWD'), [])
  assert.equal(reached.cwd, '/')
  for (const one of [...reached.files, reached.home, reached.write, reached.spawn, reached.worker, reached.addon, reached.code]) assert.equal(one, 'denied')
  // Even whether a file exists stays hidden.
  assert.ok(reached.seen.every(one => one === false || one === 'denied'), String(reached.seen))
  if (network) assert.equal(reached.network, 'denied')
}

// Goal: code that took over an executor finds no secret, no file, no way to start anything, and no network where the kernel can deny it.
// Method: code planted in an executor that the pool starts in the usual way tries all of it.
test('an executor reaches nothing', async () => {
  const walls = await probeWalls(FIXTURE)
  expectDenied(await reach(walls), walls.network)
})

// Goal: where none of the system's tools exists, Node's own permissions still deny all but network and signals.
// Method: the same without walls; from Node 25 on they deny the network as well.
test('an executor without walls reaches no file', async () => {
  expectDenied(await reach(NO_WALLS), Number(process.versions.node.split('.')[0]) >= 25)
})

// Goal: on Linux with util-linux, which nearly every machine has, memory is capped and executors end with their parent.
// Method: probe this machine.
test('the tools of Linux are found', { skip: process.platform !== 'linux' && 'only Linux has them' }, async () => {
  const { memory, parentDeath, prefix } = await probeWalls(FIXTURE)
  assert.ok(memory && parentDeath)
  assert.ok(prefix.every(part => !part.includes('undefined')))
  assert.ok(homedir().length > 0)
})
