/**
 * For suites and fuzzers: the rewriter's pipeline without a guest interface, and instances of what it
 * makes with whatever imports a test has. `src/wasm/engine.ts` and `instance.ts` do the same for jobs;
 * this is the only other place that knows what a metered module wants.
 */
import { LIMITS, PAGE_BYTES } from '../src/packet/limits.ts'
import { admit } from '../src/wasm/admit.ts'
import { invalidModule } from '../src/wasm/binary.ts'
import { STACK_BYTES } from '../src/wasm/call-stack.ts'
import type { Module } from '../src/wasm/decode.ts'
import { decode } from '../src/wasm/decode.ts'
import { capsAfterMetering, GUEST_PREFIX, meter, METER_EXPORTS, METER_MEMORY, METER_MODULE } from '../src/wasm/meter.ts'

export const CAPS = LIMITS.module
const METERED_CAPS = capsAfterMetering(CAPS)
const PAGES_MAX = 65_536
/** Whether the profile's rule of NaNs is in the meter: then what floats give is compared with that of the oracle. */
export const NAN_RULE: boolean = true

export interface Rewritten {
  readonly original: Module
  readonly wasm: Uint8Array<ArrayBuffer>
  readonly initFuel: bigint
}

/**
 * @param importFuel units per call of each imported function; 0 for those not given
 * @throws {InosError} ERR_INVALID_MODULE
 */
export function rewrite (bytes: Uint8Array<ArrayBuffer>, importFuel: readonly number[] = []): Rewritten {
  const original = decode(bytes, CAPS)
  const { graph } = admit(original, CAPS)
  if (!WebAssembly.validate(bytes)) throw invalidModule('it is not valid WebAssembly', 0)
  const fuel = Array.from({ length: original.imported.functions }, (_, i) => importFuel[i] ?? 0)
  const { wasm, initFuel } = meter(original, graph, fuel, CAPS)
  admit(decode(wasm, METERED_CAPS), METERED_CAPS)
  return { original, wasm, initFuel }
}

/** Pages a memory made here may have: V8 does not tell. */
const pagesMaxOf = new WeakMap<WebAssembly.Memory, number>()

/** A memory of which instances learn how far it may grow. */
export function createMemory (initial: number, maximum?: number): WebAssembly.Memory {
  const memory = new WebAssembly.Memory(maximum === undefined ? { initial } : { initial, maximum })
  pagesMaxOf.set(memory, maximum ?? PAGES_MAX)
  return memory
}

export interface MeteredOptions {
  /** Fuel of start function and calls; what instantiation costs is not taken from it. */
  fuel: bigint
  /** Each own memory may grow to this many pages. @default what it declares */
  pagesMax?: number
  /** Give an own memory no more maximum than it declares, as linking wants it. */
  open?: boolean
}

/** Metered modules, compiled once each. */
const compiled = new WeakMap<Uint8Array, WebAssembly.Module>()

export class Metered {
  /** The guest's own, under its own names. */
  readonly exports: Record<string, WebAssembly.ExportValue> = Object.create(null)
  readonly memory: WebAssembly.Memory | undefined
  private readonly all: WebAssembly.Exports
  private readonly fuelMax: bigint

  private readonly hasStart: boolean

  /** Instantiate, without running the start function; throws what V8 throws. */
  constructor ({ original, wasm }: Rewritten, imports: WebAssembly.Imports, { fuel, pagesMax, open = false }: MeteredOptions) {
    const own = original.memories[original.imported.memories]
    const declared = Math.min(own?.max ?? pagesMax ?? PAGES_MAX, pagesMax ?? PAGES_MAX)
    this.memory = own === undefined ? undefined : createMemory(own.min, open ? own.max : declared)
    let module = compiled.get(wasm)
    if (module === undefined) compiled.set(wasm, module = new WebAssembly.Module(wasm))
    const instance = new WebAssembly.Instance(module, this.memory === undefined ? imports : { ...imports, [METER_MODULE]: { [METER_MEMORY]: this.memory } })
    this.all = instance.exports
    this.fuelMax = fuel
    this.global('fuel').value = fuel
    this.global('pages').value = this.memory === undefined ? importedPagesMax(original, imports) : declared
    for (const { name } of original.exports) this.exports[name] = this.all[GUEST_PREFIX + name]!
    this.hasStart = original.start !== undefined
  }

  /** Give the next call from outside the whole stack of the profile. */
  arm (): void {
    this.global('stack').value = STACK_BYTES
  }

  /** Run the start function, if there is one. */
  start (): this {
    this.arm()
    if (this.hasStart) (this.all[METER_EXPORTS.start] as () => void)()
    return this
  }

  private global (name: keyof typeof METER_EXPORTS): WebAssembly.Global {
    return this.all[METER_EXPORTS[name]] as WebAssembly.Global
  }

  /** Units burnt; more than it was given if it is out of fuel. */
  get burnt (): bigint { return this.fuelMax - this.global('fuel').value }

  /** Why the rewritten code stopped itself; 0 if it did not. */
  get ended (): number { return this.global('ended').value }

  /** End the guest, as a host function does. */
  end (): void { this.global('ended').value = 1 }

  get pages (): number { return (this.memory?.buffer.byteLength ?? 0) / PAGE_BYTES }
}

/** How far the memory a module imports may grow. */
function importedPagesMax (original: Module, imports: WebAssembly.Imports): number {
  const found = original.imports.find(each => each.kind === 2)
  const memory = found === undefined ? undefined : imports[found.module]?.[found.name]
  return memory instanceof WebAssembly.Memory ? pagesMaxOf.get(memory) ?? PAGES_MAX : 0
}
