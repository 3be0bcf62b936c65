import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LIMITS } from '../../packet/limits.ts'
import { EPOCH_NANOSECONDS } from './clock.ts'
import { CLOCK, ERRNO } from './wasi-abi.ts'
import { Caller } from './wasi.fixture.ts'

type Subscription = { fd: number, type: 1 | 2 } | { clock: number, timeout: bigint, absolute?: boolean }

/** Poll and give back what was ready: [index of the subscription, errno, bytes, flags]. */
function poll (caller: Caller, ...subscriptions: Subscription[]): Array<[number, number, number, number]> {
  const at = caller.alloc(48 * subscriptions.length)
  const events = caller.alloc(32 * subscriptions.length)
  subscriptions.forEach((subscription, index) => {
    const start = at + 48 * index
    caller.view.setBigUint64(start, BigInt(index), true)
    if ('fd' in subscription) {
      caller.view.setUint8(start + 8, subscription.type)
      caller.view.setUint32(start + 16, subscription.fd, true)
    } else {
      caller.view.setUint32(start + 16, subscription.clock, true)
      caller.view.setBigUint64(start + 24, subscription.timeout, true)
      caller.view.setUint16(start + 40, subscription.absolute === true ? 1 : 0, true)
    }
  })
  assert.equal(caller.call('poll_oneoff', at, events, subscriptions.length, 0), 0)
  return Array.from({ length: caller.view.getUint32(0, true) }, (_, index) => {
    const event = events + 32 * index
    const { view } = caller
    return [Number(view.getBigUint64(event, true)), view.getUint16(event + 8, true), Number(view.getBigUint64(event + 16, true)), view.getUint16(event + 24, true)]
  })
}

function now (caller: Caller, id: number): bigint {
  assert.equal(caller.call('clock_time_get', id, 0n, 0), 0)
  return caller.view.getBigUint64(0, true)
}

// Goal: clocks show fuel and slept time, from a fixed start.
// Method: read all four clocks at a known fuel count.
test('virtual clocks', () => {
  const caller = new Caller()
  caller.fuel = 1_000_000n
  const cost = BigInt(caller.guest.functions['clock_time_get']!.fuel)
  assert.equal(now(caller, CLOCK.realtime), EPOCH_NANOSECONDS + 1_000_000n + cost)
  for (const [id, calls] of [[CLOCK.monotonic, 2n], [CLOCK.processCputime, 3n], [CLOCK.threadCputime, 4n]] as const) {
    assert.equal(now(caller, id), 1_000_000n + calls * cost)
  }
  assert.equal(caller.call('clock_time_get', 4, 0n, 0), ERRNO.inval)
  assert.equal(caller.call('clock_res_get', 4, 0), ERRNO.inval)
  assert.equal(new Date(Number(EPOCH_NANOSECONDS / 1_000_000n)).toISOString(), '2025-01-01T00:00:00.000Z')
})

// Goal: sleeping passes virtual time at once, to the earliest timeout, and no CPU time.
// Method: wait for three clocks, relative and absolute.
test('sleep', () => {
  const caller = new Caller()
  const start = now(caller, CLOCK.monotonic)
  const hour = 3_600_000_000_000n
  assert.deepEqual(poll(caller, { clock: 1, timeout: 2n * hour }, { clock: 0, timeout: hour }, { clock: 1, timeout: hour }).map(([index]) => index), [1, 2])
  assert.ok(now(caller, CLOCK.monotonic) - start >= hour)
  assert.ok(now(caller, CLOCK.monotonic) - start < hour + 10_000_000n)
  assert.ok(now(caller, CLOCK.processCputime) < 10_000_000n)
  assert.deepEqual(poll(caller, { clock: 0, timeout: EPOCH_NANOSECONDS + 5n * hour, absolute: true }), [[0, 0, 0, 0]])
  assert.ok(now(caller, CLOCK.realtime) >= EPOCH_NANOSECONDS + 5n * hour)
  assert.deepEqual(poll(caller, { clock: 0, timeout: 1n, absolute: true }), [[0, 0, 0, 0]])
})

// Goal: the end of time is no way to make clocks run backwards.
// Method: sleep for ever, twice.
test('time saturates', () => {
  const caller = new Caller()
  for (let i = 0; i < 2; i++) poll(caller, { clock: 1, timeout: 2n ** 64n - 1n })
  for (const id of [CLOCK.realtime, CLOCK.monotonic]) assert.equal(now(caller, id), 2n ** 64n - 1n)
})

// Goal: a ready descriptor wins over a timeout, and troubles come as events.
// Method: stdin with and without bytes, stdout, a bad descriptor, clocks nobody can wait for.
test('descriptors', () => {
  const caller = new Caller({ input: new Uint8Array(5) })
  const before = now(caller, CLOCK.monotonic)
  assert.deepEqual(poll(caller, { clock: 1, timeout: 10n ** 12n }, { fd: 0, type: 1 }, { fd: 1, type: 2 }), [[1, 0, 5, 0], [2, 0, 65_536, 0]])
  assert.ok(now(caller, CLOCK.monotonic) - before < 10n ** 9n)
  caller.read(0, 10)
  assert.deepEqual(poll(caller, { fd: 0, type: 1 }), [[0, 0, 0, 1]])
  assert.deepEqual(
    poll(caller, { fd: 77, type: 1 }, { fd: 0, type: 2 }, { fd: 3, type: 1 }, { clock: 2, timeout: 1n }, { clock: 9, timeout: 1n }, { clock: 1, timeout: 0n }),
    [[0, ERRNO.badf, 0, 0], [1, ERRNO.notcapable, 0, 0], [2, ERRNO.notcapable, 0, 0], [3, ERRNO.notsup, 0, 0], [4, ERRNO.inval, 0, 0], [5, 0, 0, 0]]
  )
})

// Goal: a poll that could never return, or is nonsense, is refused as a whole.
// Method: no subscriptions, too many, an unknown type, unknown flags, lists outside the memory.
test('refused polls', () => {
  const caller = new Caller()
  const at = caller.alloc(48)
  assert.equal(caller.call('poll_oneoff', at, 512, 0, 0), ERRNO.inval)
  assert.equal(caller.call('poll_oneoff', at, 512, LIMITS.guest.vectorsMax + 1, 0), ERRNO.inval)
  assert.equal(caller.call('poll_oneoff', caller.memory.length - 47, 512, 1, 0), ERRNO.fault)
  assert.equal(caller.call('poll_oneoff', at, caller.memory.length - 31, 1, 0), ERRNO.fault)
  caller.view.setUint8(at + 8, 3)
  assert.equal(caller.call('poll_oneoff', at, 512, 1, 0), ERRNO.inval)
  caller.view.setUint8(at + 8, 0)
  caller.view.setUint16(at + 40, 2, true)
  assert.equal(caller.call('poll_oneoff', at, 512, 1, 0), ERRNO.inval)
})
