/**
 * `poll_oneoff` in virtual time. Streams and files are always ready; if nothing a guest asks about is, the
 * clock jumps to the earliest timeout. No host time passes.
 */
import { LIMITS } from '../../packet/limits.ts'
import { Refusal, refuse } from './refusal.ts'
import { CLOCK_ABSTIME, ERRNO, type Errno, EVENT_BYTES, EVENT_HANGUP, EVENTTYPE, RIGHTS } from './wasi-abi.ts'
import { COSTS } from './wasi-costs.ts'
import type { WasiProcess } from './wasi-process.ts'

/** What a stream or file says it takes at once. */
const WRITABLE_BYTES = 65_536n

interface Event {
  readonly userdata: bigint
  readonly type: number
  readonly errno: Errno
  readonly bytes: bigint
  readonly flags: number
}

/** A clock to wait for: its event comes when `remaining` nanoseconds have passed. */
interface Timeout { readonly userdata: bigint, readonly remaining: bigint }

function event (userdata: bigint, type: number, details: Partial<Event> = {}): Event {
  return { userdata, type, errno: ERRNO.success, bytes: 0n, flags: 0, ...details }
}

function readClock (guest: WasiProcess, userdata: bigint, at: number): Event | Timeout {
  const { memory, clock } = guest
  const id = memory.u32(at)
  const timeout = memory.u64(at + 8)
  const flags = memory.u16(at + 24)
  if ((flags & ~CLOCK_ABSTIME) !== 0) refuse(ERRNO.inval)
  if (!clock.knows(id)) return event(userdata, EVENTTYPE.clock, { errno: ERRNO.inval })
  if (!clock.canWait(id)) return event(userdata, EVENTTYPE.clock, { errno: ERRNO.notsup })
  const remaining = flags === CLOCK_ABSTIME ? timeout - clock.now(id) : timeout
  return { userdata, remaining: remaining > 0n ? remaining : 0n }
}

function readable (guest: WasiProcess, fd: number): Partial<Event> {
  const descriptor = guest.descriptors.get(fd, RIGHTS.fdRead | RIGHTS.pollFdReadwrite)
  if (descriptor.kind === 'directory') return refuse(ERRNO.isdir)
  if (descriptor.kind === 'file') {
    return { bytes: BigInt(Math.max(descriptor.inode.content.size - descriptor.offset, 0)) }
  }
  const left = guest.context.input.length - guest.inputOffset
  return { bytes: BigInt(left), flags: left === 0 ? EVENT_HANGUP : 0 }
}

function writable (guest: WasiProcess, fd: number): Partial<Event> {
  const descriptor = guest.descriptors.get(fd, RIGHTS.fdWrite | RIGHTS.pollFdReadwrite)
  return descriptor.kind === 'directory' ? refuse(ERRNO.isdir) : { bytes: WRITABLE_BYTES }
}

/** A descriptor's event; what is wrong with the descriptor is told in the event, not by the call. */
function readDescriptor (guest: WasiProcess, userdata: bigint, type: number, fd: number): Event {
  try {
    return event(userdata, type, type === EVENTTYPE.fdRead ? readable(guest, fd) : writable(guest, fd))
  } catch (error) {
    if (!(error instanceof Refusal)) throw error
    return event(userdata, type, { errno: error.errno })
  }
}

function readSubscription (guest: WasiProcess, at: number): Event | Timeout {
  const { memory, dialect } = guest
  const userdata = memory.u64(at)
  const type = memory.u8(at + 8)
  if (type === EVENTTYPE.clock) return readClock(guest, userdata, at + dialect.subscriptionClock)
  if (type !== EVENTTYPE.fdRead && type !== EVENTTYPE.fdWrite) refuse(ERRNO.inval)
  return readDescriptor(guest, userdata, type, memory.u32(at + 16))
}

function writeEvent ({ memory }: WasiProcess, at: number, { userdata, errno, type, bytes, flags }: Event): void {
  memory.bytes(at, EVENT_BYTES).fill(0)
  memory.setU64(at, userdata)
  memory.setU16(at + 8, errno)
  memory.setU8(at + 10, type)
  memory.setU64(at + 16, bytes)
  memory.setU16(at + 24, flags)
}

/** The timeouts that come first, once their time has passed. */
function wait (guest: WasiProcess, timeouts: readonly Timeout[], isReady: boolean): Event[] {
  let earliest = timeouts[0]?.remaining ?? 0n
  for (const { remaining } of timeouts) if (remaining < earliest) earliest = remaining
  const passed = isReady ? 0n : earliest
  guest.clock.sleep(passed)
  return timeouts.filter(({ remaining }) => remaining <= passed).map(({ userdata }) => event(userdata, EVENTTYPE.clock))
}

export function pollCalls (guest: WasiProcess) {
  const { memory, dialect } = guest
  return {
    poll_oneoff (subscriptionsAt: number, eventsAt: number, count: number, countAt: number): void {
      // Without subscriptions a guest would wait for ever.
      if (count === 0 || count > LIMITS.guest.vectorsMax) refuse(ERRNO.inval)
      memory.check(subscriptionsAt, count * dialect.subscriptionBytes)
      memory.check(eventsAt, count * EVENT_BYTES)
      memory.check(countAt, 4)
      guest.pay(count * COSTS.subscription)
      const events: Event[] = []
      const timeouts: Timeout[] = []
      for (let index = 0; index < count; index++) {
        const outcome = readSubscription(guest, subscriptionsAt + index * dialect.subscriptionBytes)
        if ('remaining' in outcome) timeouts.push(outcome)
        else events.push(outcome)
      }
      events.push(...wait(guest, timeouts, events.length > 0))
      for (const [index, each] of events.entries()) writeEvent(guest, eventsAt + index * EVENT_BYTES, each)
      memory.setU32(countAt, events.length)
    }
  }
}
