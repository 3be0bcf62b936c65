/** WASI calls about the process itself: arguments, environment, clocks, randomness, its end, and the sockets it has not. */
import { refuse } from './refusal.ts'
import { CLOCK_RESOLUTION_NANOSECONDS } from './clock.ts'
import { ERRNO } from './wasi-abi.ts'
import { COSTS } from './wasi-costs.ts'
import type { WasiProcess } from './wasi-process.ts'

function sum (strings: readonly Uint8Array[]): number {
  return strings.reduce((total, string) => total + string.length, 0)
}

/** `args_*` and `environ_*` are the same two calls on different lists. */
function stringCalls ({ memory, charge }: { memory: WasiProcess['memory'], charge: (bytes: number) => void }, strings: readonly Uint8Array[]) {
  return {
    sizes (countAt: number, bytesAt: number): void {
      memory.check(countAt, 4)
      memory.setU32(bytesAt, sum(strings))
      memory.setU32(countAt, strings.length)
    },

    get (pointersAt: number, at: number): void {
      memory.check(pointersAt, strings.length * 4)
      memory.check(at, sum(strings))
      charge(sum(strings) + strings.length * 4)
      strings.forEach((string, index) => {
        memory.setU32(pointersAt + index * 4, at)
        memory.bytes(at, string.length).set(string)
        at += string.length
      })
    }
  }
}

export function systemCalls (guest: WasiProcess) {
  const { memory, clock, random, descriptors, context } = guest
  const payer = { memory, charge: (bytes: number) => guest.charge(bytes) }
  const args = stringCalls(payer, guest.args)
  const env = stringCalls(payer, guest.env)

  /** No descriptor is a socket; a directory is not even something to send to. */
  function refuseSocket (fd: number): never {
    return refuse(descriptors.get(fd).kind === 'directory' ? ERRNO.badf : ERRNO.notsock)
  }

  return {
    args_get: args.get,
    args_sizes_get: args.sizes,
    environ_get: env.get,
    environ_sizes_get: env.sizes,

    clock_res_get (id: number, at: number): void {
      if (!clock.knows(id)) refuse(ERRNO.inval)
      memory.setU64(at, CLOCK_RESOLUTION_NANOSECONDS)
    },

    clock_time_get (id: number, _precision: bigint, at: number): void {
      if (!clock.knows(id)) refuse(ERRNO.inval)
      memory.setU64(at, clock.now(id))
    },

    random_get (at: number, length: number): void {
      const target = memory.bytes(at, length)
      guest.pay(length * COSTS.randomByte)
      random.fill(target)
    },

    /** Exit codes above 2³¹−1 count as that, so that none of them becomes a success. */
    proc_exit (code: number): void {
      context.end({ kind: 'exit', exitCode: Math.min(code, 0x7fffffff) })
    },

    proc_raise (): void {
      refuse(ERRNO.nosys)
    },

    sched_yield (): void {},

    sock_accept: refuseSocket,
    sock_recv: refuseSocket,
    sock_send: refuseSocket,
    sock_shutdown: refuseSocket
  }
}
