import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { MemoryLevel } from 'memory-level'
import { echo } from '../../test/programs.ts'
import { timers } from '../node/timers.ts'
import { openNode } from '../testing/node.ts'
import { createEngine } from '../wasm/engine.ts'
import { signerOf } from './mesh.fixture.ts'

// Goal: a node whose books cannot be written says so at once, whoever asks for what; what it says is what every later job gets.
// Method: a disk that fails after the start; one job, whose rows nobody waits for.
test('a failed write is told when it fails', { timeout: 60_000 }, async () => {
  const store = new MemoryLevel<string, Uint8Array>({ valueEncoding: 'view' })
  const blobs = new Map<string, Uint8Array>()
  const node = await openNode({
    signer: signerOf('broken'), store, blobs, engine: createEngine(), network: null, timers, now: Date.now, sleep: async (ms, signal) => { await sleep(ms, undefined, { signal }) }, randomBytes
  })
  const heard = new Promise<{ readonly code: string }>(resolve => node.on('credits:broken', resolve))
  store.batch = () => Promise.reject(new Error('disk full')) as never
  await node.compute(echo(), 'once').catch(() => {})
  assert.equal((await heard).code, 'ERR_STORE')
  await assert.rejects(node.compute(echo(), 'again'), { code: 'ERR_STORE' })
  await node.stop().catch(() => {})
})
