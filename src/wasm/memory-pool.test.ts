import assert from 'node:assert/strict'
import { test } from 'node:test'
import { wasm } from '../../test/wasm-builder.ts'
import { LIMITS } from '../packet/limits.ts'
import { createEngine } from './engine.ts'
import { MemoryPool } from './memory-pool.ts'

// Goal: a memory comes back clear, only where it fits, and few are kept. Method: give and take.
test('a memory is used again', () => {
  const pool = new MemoryPool()
  const first = pool.take(1, 4)
  new Uint8Array(first.buffer).fill(7)
  pool.give(first, 1, 4)
  assert.notEqual(pool.take(1, 5), first)
  const again = pool.take(1, 4)
  assert.equal(again, first)
  assert.ok(new Uint8Array(again.buffer).every(byte => byte === 0))
  again.grow(1)
  pool.give(again, 1, 4)
  assert.notEqual(pool.take(1, 4), again)
  const large = pool.take(LIMITS.executor.pooledPagesMax + 1, 100)
  pool.give(large, LIMITS.executor.pooledPagesMax + 1, 100)
  assert.notEqual(pool.take(LIMITS.executor.pooledPagesMax + 1, 100), large)
  const many = Array.from({ length: LIMITS.executor.pooledMemoriesMax + 1 }, () => pool.take(2, 2))
  for (const memory of many) pool.give(memory, 2, 2)
  const kept = Array.from({ length: many.length }, () => pool.take(2, 2)).filter(memory => many.includes(memory))
  assert.deepEqual(kept.length, LIMITS.executor.pooledMemoriesMax)
  assert.ok(!kept.includes(many[0]!))
})

// Goal: no guest sees what another left. Method: one fills its memory and ends, well or by a trap; the next looks for it.
test('the next guest finds nothing', async () => {
  const engine = createEngine()
  const memory = { memory: { min: 1, max: 1 }, exports: { memory: 'memory 0' } }
  const fill = (ending: string): Uint8Array => wasm({ ...memory, functions: [{ type: ':i32', export: 'run', code: `i32.const 0 i32.const 255 i32.const 65536 memory.fill 0 ${ending}` }] })
  const look = wasm({
    ...memory,
    functions: [{
      type: ':i32', locals: 'i32', export: 'run',
      code: 'block loop local.get 0 i32.load8_u br_if 1 local.get 0 i32.const 1 i32.add local.tee 0 i32.const 65536 i32.lt_u br_if 0 end i32.const 0 return end i32.const 1'
    }]
  })
  let ids = 0
  const run = async (module: Uint8Array): Promise<string> => {
    const { outcome, exitCode } = await engine.execute({
      moduleId: `${ids++}`, wasm: module, input: new Uint8Array(0), entry: '', args: [], env: {}, files: {}, outputs: [],
      limits: { fuelMax: 10_000_000n, memoryPagesMax: 1, outputBytesMax: 0 }, seed: new Uint8Array(32)
    }, { payer: '' })
    return `${outcome} ${exitCode}`
  }
  for (const [ending, expected] of [['i32.const 0', 'ok 0'], ['unreachable', 'trap null']] as const) {
    assert.equal(await run(fill(ending)), expected)
    assert.equal(await run(look), 'ok 0')
  }
})
