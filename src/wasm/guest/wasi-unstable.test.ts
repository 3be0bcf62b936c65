import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ERRNO } from './wasi-abi.ts'
import { wasi, wasiUnstable } from './wasi.ts'
import { Caller } from './wasi.fixture.ts'

// Goal: preview 0 differs from preview 1 in numbers and layouts only, and exactly where its witx says so.
// Method: the same calls through both; whence, filestat and subscriptions are read by each one's layout.
test('whence', () => {
  for (const [guest, [set, current, end]] of [[wasi, [0, 1, 2]], [wasiUnstable, [2, 0, 1]]] as const) {
    const caller = new Caller({ guest, files: { '/f': new Uint8Array(10) } })
    const fd = caller.open('f')
    const seek = (delta: bigint, whence: number) => {
      assert.equal(caller.call('fd_seek', fd, delta, whence, 0), 0)
      return caller.view.getBigUint64(0, true)
    }
    assert.deepEqual([seek(4n, set), seek(1n, current), seek(-1n, end)], [4n, 5n, 9n])
    assert.equal(caller.call('fd_seek', fd, 0n, 3, 0), ERRNO.inval)
  }
})

test('filestat', () => {
  const caller = new Caller({ guest: wasiUnstable, files: { '/f': new Uint8Array(10) } })
  caller.memory.fill(0xaa, 64, 128)
  assert.equal(caller.call('fd_filestat_get', caller.open('f'), 64), 0)
  const { view } = caller
  assert.equal(view.getUint8(80), 4)
  assert.equal(view.getUint32(84, true), 1)
  assert.equal(view.getBigUint64(88, true), 10n)
  assert.equal(view.getBigUint64(96, true), view.getBigUint64(112, true))
  assert.equal(view.getUint8(120), 0xaa)
})

test('poll_oneoff', () => {
  const caller = new Caller({ guest: wasiUnstable })
  const at = caller.alloc(112)
  caller.view.setBigUint64(at, 7n, true)
  caller.view.setUint32(at + 24, 1, true)
  caller.view.setBigUint64(at + 32, 5_000_000_000n, true)
  caller.view.setBigUint64(at + 56, 8n, true)
  caller.view.setUint32(at + 80, 1, true)
  caller.view.setBigUint64(at + 88, 9_000_000_000n, true)
  assert.equal(caller.call('poll_oneoff', at, 512, 2, 0), 0)
  assert.equal(caller.view.getUint32(0, true), 1)
  assert.equal(caller.view.getBigUint64(512, true), 7n)
  caller.call('clock_time_get', 1, 0n, 0)
  assert.ok(caller.view.getBigUint64(0, true) >= 5_000_000_000n)
})
