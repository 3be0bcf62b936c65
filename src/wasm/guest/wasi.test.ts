import assert from 'node:assert/strict'
import { test } from 'node:test'
import { InosError } from '../../packet/errors.ts'
import { LIMITS } from '../../packet/limits.ts'
import { ERRNO } from './wasi-abi.ts'
import { wasi, wasiUnstable } from './wasi.ts'
import { Caller } from './wasi.fixture.ts'

const NO_TEXT = new TextDecoder()

// Goal: no module fails to link for a WASI function we forgot.
// Method: the session offers exactly what the table says; preview 1 has 46 functions, preview 0 has 45.
test('every function of both previews is there', () => {
  for (const [guest, count] of [[wasi, 46], [wasiUnstable, 45]] as const) {
    const { session } = new Caller({ guest })
    const declared = Object.keys(guest.functions)
    assert.equal(declared.length, count)
    for (const name of declared) assert.equal(typeof session.functions[name], 'function', name)
    for (const { type, fuel } of Object.values(guest.functions)) assert.ok(/^[iI]*:i?$/.test(type) && fuel > 0)
  }
})

// Goal: arguments and environment arrive as C wants them, the environment in sorted order.
// Method: read both lists out of memory after the two calls of each.
test('args and environment', () => {
  const caller = new Caller({ args: ['a b', 'ü'], env: { Z: '1', A: 'x=y' } })
  const list = (sizes: string, get: string): string[] => {
    assert.equal(caller.call(sizes, 0, 4), 0)
    const count = caller.view.getUint32(0, true)
    const [pointers, at] = [caller.alloc(count * 4), caller.alloc(caller.view.getUint32(4, true))]
    assert.equal(caller.call(get, pointers, at), 0)
    return caller.text(at, caller.view.getUint32(4, true)).split('\0').slice(0, -1)
  }
  assert.deepEqual(list('args_sizes_get', 'args_get'), ['main', 'a b', 'ü'])
  assert.deepEqual(list('environ_sizes_get', 'environ_get'), ['A=x=y', 'Z=1'])
})

// Goal: what cannot be given to a guest is refused before it runs.
// Method: open sessions with a NUL, a bad name, and impossible files.
test('an impossible run is an invalid spec', () => {
  const file = new Uint8Array(1)
  const deep = Object.fromEntries([1, 2, 3, 4, 5, 6].map(i => [`/${`${i}/`.repeat(LIMITS.guest.fsNodesMax / 5)}f`, file]))
  const impossible = [
    { args: ['a\0b'] }, { env: { 'A=B': '' } }, { env: { '': '' } }, { env: { A: '\0' } },
    { files: { 'relative': file } }, { files: { '/a/../b': file } }, { files: { '/a//b': file } }, { files: { '/': file } },
    { files: { '/a': file, '/a/b': file } }, { files: { [`/${'x'.repeat(256)}`]: file } }, { files: deep },
    { files: { '/big': new Uint8Array(LIMITS.guest.fsBytesMax + 1) } }
  ]
  for (const options of impossible) {
    assert.throws(() => new Caller(options), (error: unknown) => error instanceof InosError && error.code === 'ERR_INVALID_SPEC')
  }
})

// Goal: stdin is the input, stdout the result, stderr is kept up to its limit and never blocks a guest.
// Method: scattered reads and writes, and more to stderr than is kept.
test('streams', () => {
  const caller = new Caller({ input: new TextEncoder().encode('hello world') })
  const [a, b] = [caller.alloc(4), caller.alloc(4)]
  assert.equal(caller.call('fd_read', 0, ...caller.vectors([a, 4], [b, 3]), 0), 0)
  assert.equal(caller.text(a, 4) + caller.text(b, 3), 'hello w')
  assert.equal(caller.read(0, 100), 'orld')
  assert.equal(caller.read(0, 100), '')
  assert.equal(caller.call('fd_write', 1, ...caller.vectors(caller.put('to '), caller.put('stdout')), 0), 0)
  assert.equal(caller.view.getUint32(0, true), 9)
  for (let i = 0; i < 3; i++) assert.equal(caller.write(2, new Uint8Array(30_000).fill(65 + i)), 0)
  assert.equal(caller.view.getUint32(0, true), 30_000)
  assert.equal(caller.write(0, 'x'), ERRNO.badf)
  assert.equal(caller.call('fd_read', 1, ...caller.vectors([a, 1]), 0), ERRNO.badf)
  assert.equal(caller.call('fd_seek', 1, 0n, 0, 0), ERRNO.spipe)
  const { result, stderr } = caller.session.finish()
  assert.equal(NO_TEXT.decode(result), 'to stdout')
  assert.equal(stderr.length, LIMITS.guest.stderrBytesMax)
  assert.equal(stderr.at(-1), 67)
})

// Goal: the output limit is exact, and one byte more ends the guest.
// Method: fill it to the brim, then write one byte.
test('output limit', () => {
  const caller = new Caller({ outputBytesMax: 10 })
  assert.equal(caller.write(1, '0123456789'), 0)
  assert.ok(!('kind' in (caller.ending ?? {})))
  caller.write(1, 'x')
  assert.equal(caller.ending?.kind, 'output')
  assert.equal(caller.session.finish().result.length, 10)
})

// Goal: exit codes stay in their range and no failure becomes a success.
// Method: exit with codes at the edges.
test('proc_exit', () => {
  for (const [code, seen] of [[0, 0], [7, 7], [255, 255], [-1, 0x7fffffff], [0x80000000 | 0, 0x7fffffff]] as const) {
    const caller = new Caller()
    caller.call('proc_exit', code)
    assert.deepEqual(caller.ending, { kind: 'exit', exitCode: seen })
  }
})

// Goal: there are no sockets and no signals, and saying so is an errno.
// Method: socket calls on every kind of descriptor.
test('sockets and signals', () => {
  const caller = new Caller()
  for (const name of ['sock_accept', 'sock_recv', 'sock_send', 'sock_shutdown']) {
    assert.equal(caller.call(name, 1, 0, 0, 0, 0, 0), ERRNO.notsock)
    assert.equal(caller.call(name, 3, 0, 0, 0, 0, 0), ERRNO.badf)
    assert.equal(caller.call(name, 99, 0, 0, 0, 0, 0), ERRNO.badf)
  }
  assert.equal(caller.call('proc_raise', 6), ERRNO.nosys)
  assert.equal(caller.call('sched_yield'), 0)
})

// Goal: a guest without fuel gets no work done for it.
// Method: allow less than a large random buffer costs; nothing may be written.
test('work is paid before it is done', () => {
  const caller = new Caller({ fuelMax: 10_000n })
  caller.call('random_get', 2048, 60_000)
  assert.ok(caller.fuel > 10_000n)
  assert.ok(caller.memory.subarray(2048, 62_048).every(byte => byte === 0))
})

// Goal: nothing outside the memory is read or written, and a call that fails for it does nothing else.
// Method: addresses at and beyond the end, wrapped ones, and too many buffers.
test('addresses are checked', () => {
  const caller = new Caller({ input: new Uint8Array(100) })
  const end = caller.memory.length
  assert.equal(caller.call('clock_time_get', 0, 0n, end - 7), ERRNO.fault)
  assert.equal(caller.call('clock_time_get', 0, 0n, -8), ERRNO.fault)
  assert.equal(caller.call('random_get', end - 4, 5), ERRNO.fault)
  assert.equal(caller.call('random_get', 16, -1), ERRNO.fault)
  assert.equal(caller.call('fd_read', 0, ...caller.vectors([end - 1, 2]), 0), ERRNO.fault)
  assert.equal(caller.call('fd_read', 0, ...caller.vectors([64, 8]), end), ERRNO.fault)
  assert.equal(caller.call('fd_read', 0, 0, LIMITS.guest.vectorsMax + 1, 0), ERRNO.inval)
  assert.equal(caller.call('fd_read', 0, end - 8, 2, 0), ERRNO.fault)
  assert.equal(caller.read(0, 200).length, 100)
  assert.equal(caller.call('path_open', 3, 0, end - 1, 2, 0, 0n, 0n, 0, 0), ERRNO.fault)
  assert.equal(caller.call('path_open', 3, 0, ...caller.put('new'), 1, 0n, 0n, 0, end), ERRNO.fault)
  assert.deepEqual(caller.names(), ['.', '..'])
})
