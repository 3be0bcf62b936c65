/**
 * A guest in this V8 with and without the profile, as `bench/engine.ts` measures it in Node and `bench/browser.ts` in a page. Which
 * guests, which parts of the profile, and by which clock, is left to them.
 */
import { LIMITS } from '../src/packet/limits.ts'
import { admit } from '../src/wasm/admit.ts'
import { STACK_BYTES } from '../src/wasm/call-stack.ts'
import { decode } from '../src/wasm/decode.ts'
import type { GuestContext } from '../src/wasm/guest/guest.ts'
import { wasi } from '../src/wasm/guest/wasi.ts'
import { GUEST_PREFIX, meter, METER_EXPORTS, METER_MEMORY, METER_MODULE, type MeterOptions } from '../src/wasm/meter.ts'
import { ENDED } from '../src/wasm/meter-parts.ts'
import { rangesOf } from '../src/wasm/ranges.ts'
import type { Guest } from './engine-guests.ts'
import { medianOf } from './rate.ts'

const FUEL = 2n ** 53n
const WARM_UPS = 2
/** Any bytes as text. */
const LATIN1 = new TextDecoder('latin1')
const utf8 = (text: string): Uint8Array<ArrayBuffer> => new TextEncoder().encode(text)

/** A module ready to be run again and again; what it gives says whether two runs computed the same. */
export interface Ready { run: () => string, burnt: () => number }
type Call = () => unknown

function context (guest: Guest, memory: () => WebAssembly.Memory, exports: () => WebAssembly.Exports, metered: boolean): GuestContext {
  const fuel = (): WebAssembly.Global<'i64'> => exports()[METER_EXPORTS.fuel] as WebAssembly.Global<'i64'>
  // Go refuses a clock that stands still; here it goes on by the call, the same with and without fuel.
  let now = 0n
  return {
    input: rangesOf(utf8(guest.input)),
    run: {
      moduleId: '', wasm: guest.wasm, input: utf8(guest.input), entry: '', args: guest.args, env: {}, files: guest.files ?? {}, outputs: [], seed: new Uint8Array(32),
      limits: { fuelMax: FUEL, memoryPagesMax: LIMITS.job.memoryPagesMax, outputBytesMax: 1 << 24 }
    },
    stdoutIsTalk: false,
    memory: () => new Uint8Array(memory().buffer),
    fuelUsed: () => now += 1_000n,
    charge: units => {
      if (metered) fuel().value -= units
      return true
    },
    end: () => {
      if (metered) (exports()[METER_EXPORTS.ended] as WebAssembly.Global<'i32'>).value = ENDED.byHost
      else throw new Error('exit')
    }
  }
}

/** Run a guest afresh each time: programs end in proc_exit, after which nothing of theirs can be used. */
export function ready (guest: Guest, options: MeterOptions | undefined): Ready {
  const original = decode(guest.wasm, LIMITS.module)
  const { graph } = admit(original, LIMITS.module)
  const prices = original.imports.map(({ name }) => wasi.functions[name]!.fuel)
  const module = new WebAssembly.Module(options === undefined ? guest.wasm : meter(original, graph, prices, LIMITS.module, options).wasm)
  const pages = Math.min(original.memories[0]?.max ?? LIMITS.job.memoryPagesMax, LIMITS.job.memoryPagesMax)
  const prefix = options === undefined ? '' : GUEST_PREFIX
  let burnt = 0
  const once = (): string => {
    let exports: WebAssembly.Exports = {}
    const memory = options === undefined ? undefined : new WebAssembly.Memory({ initial: original.memories[0]?.min ?? 0, maximum: pages })
    const session = wasi.open(context(guest, () => memory ?? exports['memory'] as WebAssembly.Memory, () => exports, options !== undefined))
    const imports: WebAssembly.Imports = { [wasi.name]: session.functions as WebAssembly.ModuleImports }
    if (memory !== undefined) imports[METER_MODULE] = { [METER_MEMORY]: memory }
    exports = new WebAssembly.Instance(module, imports).exports
    const set = (name: string, value: number | bigint): void => { (exports[name] as { value: number | bigint }).value = value }
    if (options !== undefined) {
      set(METER_EXPORTS.fuel, FUEL)
      set(METER_EXPORTS.pages, pages)
      set(METER_EXPORTS.stack, STACK_BYTES)
      ;(exports[METER_EXPORTS.start] as Call | undefined)?.()
      set(METER_EXPORTS.stack, STACK_BYTES)
    }
    let value: unknown
    try {
      value = ((exports[`${prefix}_start`] ?? exports[`${prefix}run`]) as Call)()
    } catch (error) {
      if ((error as Error).message !== 'exit' && (options === undefined || (exports[METER_EXPORTS.ended] as WebAssembly.Global).value !== ENDED.byHost)) throw error
    }
    if (options !== undefined) burnt = Number(FUEL - (exports[METER_EXPORTS.fuel] as WebAssembly.Global<'i64'>).value)
    if (value === undefined && session.finish().result.length === 0) throw new Error(`${guest.name} says nothing: ${new TextDecoder().decode(session.finish().stderr)}`)
    return `${value} ${LATIN1.decode(session.finish().result)}`
  }
  return { run: once, burnt: () => burnt }
}

/** Runs something so many times. @returns the milliseconds that one took */
export type Time = (run: () => unknown, rounds?: number) => number

/** How often, so that a sample is long enough for the clock. */
export function roundsOf (run: () => unknown, time: Time, sampleMsMin: number): number {
  let rounds = 1
  while (time(run, rounds) * rounds < sampleMsMin) rounds *= 2
  return rounds
}

/** Run them all until they are optimised. @throws when one computes something else than the plain one */
export function warmUp ({ name }: Guest, plain: Ready, variants: readonly Ready[]): void {
  for (let i = 0; i < WARM_UPS; i++) {
    const expected = plain.run()
    for (const variant of variants) if (variant.run() !== expected) throw new Error(`${name} computes something else when metered`)
  }
}

export const geomean = (values: readonly number[]): number => Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length)
export const round = (value: number): number => Number(value.toFixed(3))

/** Ratios of pairs, and the medians of both times. */
export function compare (plain: Ready, metered: Ready, time: Time, rounds: number, pairs: number): { ratios: number[], plainMs: number, meteredMs: number } {
  const times: Array<[number, number]> = []
  for (let pair = 0; pair < pairs; pair++) {
    // Which goes first alternates, so that neither always has the warmer caches.
    const first = time(pair % 2 === 0 ? plain.run : metered.run, rounds)
    const second = time(pair % 2 === 0 ? metered.run : plain.run, rounds)
    times.push(pair % 2 === 0 ? [first, second] : [second, first])
  }
  return { ratios: times.map(([a, b]) => b / a), plainMs: medianOf(times.map(([a]) => a)), meteredMs: medianOf(times.map(([, b]) => b)) }
}
