/**
 * What a stranger's module can do to a node that sells: nothing but end. The node is `inos up` in a
 * process of its own; each module is bought from it over TCP, and after each a good job is served.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { join, type Node } from '../src/index.ts'
import { toInosError } from '../src/packet/errors.ts'
import { echo } from './programs.ts'
import { wasm, type Parts } from './wasm-builder.ts'

const CLI = fileURLToPath(new URL('../cli/main.ts', import.meta.url))
/** A good job after a bad one waits for nothing: tens of milliseconds on an idle machine, never a lease. */
const GOOD_JOB_MS_MAX = 10_000
const EXIT = { module: 'wasi_snapshot_preview1', name: 'proc_exit', type: 'i32:' }

let scratch = ''
let seller: ChildProcess
let buyer: Node

before(async () => {
  scratch = await mkdtemp(path(tmpdir(), 'inos-guest-'))
  seller = spawn(process.execPath, [CLI, 'up', '--data', path(scratch, 'seller'), '--json'], { stdio: ['ignore', 'pipe', 'ignore'] })
  const [line] = await once(seller.stdout!, 'data') as [Buffer]
  const { addresses } = JSON.parse(line.toString()) as { addresses: string[] }
  buyer = await join({ dataDir: path(scratch, 'buyer'), peers: addresses })
})

after(async () => {
  await buyer.stop()
  seller.kill('SIGTERM')
  if (seller.exitCode === null) await once(seller, 'exit')
  await rm(scratch, { recursive: true, force: true })
})

function guest (code: string, parts: Partial<Parts> = {}): Uint8Array {
  return wasm({ memory: { min: 1 }, exports: { memory: 'memory 0' }, functions: [{ type: ':i32', export: 'run', code }], ...parts })
}

/** A catch-all around a call, again and again: whoever survives an ending here goes on for ever. */
const CLINGING = 'loop block try_table[catch_all:0] i32.const 7 call 0 end end br 0 end unreachable'
const LIMIT = 20_000_000n

interface Case { wasm: Uint8Array, ends: string, fuel?: bigint, exitCode?: number }
const CASES: Record<string, Case> = {
  'an endless loop': { wasm: guest('loop br 0 end unreachable'), ends: 'fuel', fuel: LIMIT },
  'an endless memory.fill': { wasm: guest('loop i32.const 0 i32.const 1 i32.const 65536 memory.fill 0 br 0 end unreachable'), ends: 'fuel', fuel: LIMIT },
  'endless recursion': { wasm: guest('call 0'), ends: 'stack' },
  'catch-all around proc_exit': { wasm: guest(CLINGING, { imports: [EXIT] }), ends: 'ok', exitCode: 7 },
  'catch-all around running out of fuel': {
    wasm: guest(CLINGING, { functions: [{ type: 'i32:', code: 'loop br 0 end' }, { type: ':i32', export: 'run', code: CLINGING }] }), ends: 'fuel', fuel: LIMIT
  },
  'a trap': { wasm: guest('unreachable'), ends: 'trap' },
  'garbage': { wasm: new TextEncoder().encode('not a module at all'), ends: 'ERR_INVALID_MODULE' },
  'a truncated module': { wasm: echo().subarray(0, 60), ends: 'ERR_INVALID_MODULE' },
  'a missing export': { wasm: guest('i32.const 0', { functions: [{ type: ':i32', export: 'walk', code: 'i32.const 0' }] }), ends: 'ERR_MISSING_EXPORT' },
  'an unknown import': { wasm: guest('i32.const 0', { imports: [{ module: 'env', name: 'open', type: ':' }] }), ends: 'ERR_UNSUPPORTED_IMPORT' },
  'a forged meter global': { wasm: guest('i64.const 9 global.set 0 i32.const 0'), ends: 'ERR_INVALID_MODULE' },
  'a forged meter function': { wasm: guest('call 1 i32.const 0'), ends: 'ERR_INVALID_MODULE' }
}

for (const [name, { wasm: module, ends, fuel, exitCode }] of Object.entries(CASES)) {
  // Goal: a bad module ends as it should, is charged at most by fuel, and the node goes on at once.
  // Method: buy it, look at the outcome, then time a good job at the same seller.
  test(`${name} ends, and the node goes on`, async () => {
    const limits = { fuelMax: LIMIT }
    const ended = await buyer.run(module, '', { where: 'remote', limits }).then(result => result, toInosError)
    if (ended instanceof Error) {
      assert.equal(ended.code, ends, ended.message)
      assert.equal(ended.exitCode, 101)
      assert.match(ended.message, /^[A-Z].*\.$/)
    } else {
      assert.equal(ended.outcome, ends)
      if (fuel !== undefined) assert.equal(ended.fuel, fuel)
      if (exitCode !== undefined) assert.equal(ended.exitCode, exitCode)
    }
    const dispatched = performance.now()
    const good = await buyer.compute(echo(), name, { where: 'remote', limits })
    assert.equal(good.text(), name)
    assert.ok(performance.now() - dispatched < GOOD_JOB_MS_MAX)
  })
}
