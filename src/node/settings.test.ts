/** What a node's owner has decided: how it is kept, and what an option of a start does to it. */
import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { test } from 'node:test'
import { LIMITS } from '../packet/limits.ts'
import { join } from './join.ts'
import { applyChange, DEFAULT_SETTINGS } from '../assembly/settings.ts'
import { readSettings, SETTINGS_NAME, writeSettings } from './settings.ts'

const { blobsBytesMin, blobsBytesMax } = LIMITS.store

// Goal: settings come back as they were kept, and what cannot be is refused. Method: write and read each kind, wrong sizes of the cache.
test('settings are kept', async context => {
  const dir = await mkdtemp(path(tmpdir(), 'inos-'))
  context.after(() => rm(dir, { recursive: true, force: true }))
  assert.deepEqual(await readSettings(dir), DEFAULT_SETTINGS)
  const changed = applyChange(DEFAULT_SETTINGS, { prices: { base: 5n }, cpuPercent: 20, relayPerMiB: 7n, blobCache: 5 * 2 ** 30 })
  await writeSettings(dir, changed)
  assert.deepEqual(await readSettings(dir), changed)
  await writeSettings(dir, applyChange(changed, { blobCache: null, relayPerMiB: null }))
  assert.doesNotMatch(await readFile(path(dir, SETTINGS_NAME), 'utf8'), /blobCache|relayPerMiB/)
  for (const blobCache of [0, blobsBytesMin - 1, 0.5, Number.NaN]) assert.throws(() => applyChange(changed, { blobCache }), { code: 'ERR_USAGE', message: /128 MiB/ })
})

// Goal: the room for blobs is that of the start, else what was kept, and a change is in force at once. Method: one data directory, three starts.
test('the cache of blobs has the size its owner gives it', async context => {
  const dataDir = await mkdtemp(path(tmpdir(), 'inos-'))
  context.after(() => rm(dataDir, { recursive: true, force: true }))
  const alone = { dataDir, network: false, slots: 1 }
  {
    await using node = await join({ ...alone, blobCache: blobsBytesMin })
    assert.equal(node.blobs.usage().bytesMax, blobsBytesMin)
  }
  {
    await using node = await join(alone)
    assert.equal(node.blobs.usage().bytesMax, blobsBytesMax)
    await node.setTrade({ blobCache: 2 * blobsBytesMax })
    assert.equal(node.blobs.usage().bytesMax, 2 * blobsBytesMax)
  }
  await using node = await join(alone)
  assert.equal(node.blobs.usage().bytesMax, 2 * blobsBytesMax)
})
