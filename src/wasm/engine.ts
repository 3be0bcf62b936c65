/**
 * The engine: bytes of a module → an outcome, in the calling thread.
 *
 *   size → decode → admit → validate the original → meter → admit again → compile → keep
 *
 * What one run does with a compiled module is `instance.ts`; where it may run for how long, and how
 * it is killed, is the business of whoever calls this (`node/` has executor processes).
 */
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Admission } from './admit.ts'
import { admit } from './admit.ts'
import { invalidModule } from './binary.ts'
import type { FuncType, Import, Module } from './decode.ts'
import { decode, KIND } from './decode.ts'
import { extism } from './guest/extism.ts'
import type { GuestInterface, HostFunction } from './guest/guest.ts'
import { inos } from './guest/inos.ts'
import { wasi, wasiUnstable } from './guest/wasi.ts'
import type { ImportedFunction, Prepared } from './instance.ts'
import { runGuest, shortName } from './instance.ts'
import { MemoryPool } from './memory-pool.ts'
import { capsAfterMetering, meter } from './meter.ts'
import { TYPE } from './opcodes.ts'
import { isStored, load } from './ranges.ts'
import type { ModuleReport, Run, Runtime } from './runtime.ts'
import { planState } from './state-plan.ts'
import type { StatePlan } from './state-plan.ts'
import { isSamePage } from './state.ts'
import { CAN_SUSPEND } from './suspending.ts'

export interface EngineOptions {
  /** What guests may import. @default WASI preview 1 and 0, `inos`, and Extism's */
  interfaces?: readonly GuestInterface[]
  /** Compiled modules kept, the least recently used going first. @default LIMITS.executor.moduleCacheMax */
  moduleCacheMax?: number
  /** Told what compiling a module is expected to cost, before it begins. */
  onEstimate?: (estimate: ModuleReport['estimate']) => void
  /** Run each guest on a stack of its own (JSPI) where the platform has those: a worker of a browser has less than the budget of the profile. @default false */
  ownStacks?: boolean
  /** Whether two pages are the same, where the platform knows faster. @default compared by words */
  isEqual?: (one: Uint8Array, other: Uint8Array) => boolean
}

const CAPS = LIMITS.module
const METERED_CAPS = capsAfterMetering(CAPS)

type Interfaces = ReadonlyMap<string, GuestInterface>

/** A `Runtime` that runs guests at once, in the calling thread, and so one at a time. */
export function createEngine (options: EngineOptions = {}): Runtime {
  const interfaces: Interfaces = new Map((options.interfaces ?? [wasi, wasiUnstable, inos, extism]).map(each => [each.name, each]))
  const modules = new ModuleCache(options.moduleCacheMax ?? LIMITS.executor.moduleCacheMax)
  const memories = new MemoryPool()
  let busy = 0
  return {
    execute: async (run, { signal, compute, onWait }) => {
      checkLimits(run)
      busy++
      try {
        const keepsState = run.state !== undefined
        const prepared = await modules.get(keepsState ? `${run.moduleId} with state` : run.moduleId, () => prepare(run.wasm, keepsState, interfaces, options))
        if (signal?.aborted === true) throw new InosError('ERR_CANCELLED', 'The work was cancelled.', { cause: signal.reason })
        return await runGuest(prepared, await loaded(run), memories, compute === undefined ? undefined : { compute, onWait: onWait ?? (() => {}) })
      } finally {
        busy--
      }
    },
    inspect: async wasm => report(rewrite(wasm, false, interfaces)),
    load: () => ({ slots: 1, busy: Math.min(busy, 1), queued: Math.max(busy - 1, 0) }),
    stop: async () => {
      modules.clear()
      memories.clear()
    }
  }
}

/** What lies elsewhere comes into memory first: this engine has nobody to ask while a guest runs. */
async function loaded (run: Run): Promise<Run> {
  const contents = [run.input, ...Object.values(run.files)]
  if (!contents.some(isStored)) return run
  const files = await Promise.all(Object.entries(run.files).map(async ([path, content]) => [path, isStored(content) ? await load(content) : content] as const))
  return { ...run, input: isStored(run.input) ? await load(run.input) : run.input, files: Object.fromEntries(files) }
}

/** Prepared modules by id; two runs of one module at a time share its preparation. */
class ModuleCache {
  private readonly modules = new Map<string, Promise<Prepared>>()
  private readonly sizeMax: number

  constructor (sizeMax: number) { this.sizeMax = sizeMax }

  get (id: string, make: () => Promise<Prepared>): Promise<Prepared> {
    const { modules } = this
    let module = modules.get(id)
    if (module === undefined) {
      const made = module = make()
      // A refusal is not kept: the bytes may have been wrong, or could not be fetched this time.
      made.catch(() => { if (modules.get(id) === made) modules.delete(id) })
    }
    // Taken out and put back, the module becomes the most recently used.
    modules.delete(id)
    modules.set(id, module)
    for (const oldest of modules.keys()) {
      if (modules.size <= this.sizeMax) break
      modules.delete(oldest)
    }
    return module
  }

  clear (): void { this.modules.clear() }
}

function checkLimits ({ limits }: Run): void {
  const { fuelMax, memoryPagesMax, outputBytesMax } = limits
  if (fuelMax < 0n || fuelMax > LIMITS.spec.fuelMax) throw invalidLimit('fuelMax', fuelMax, LIMITS.spec.fuelMax)
  for (const name of ['memoryPagesMax', 'outputBytesMax'] as const) {
    const value = name === 'memoryPagesMax' ? memoryPagesMax : outputBytesMax
    if (!Number.isInteger(value) || value < 0 || value > LIMITS.spec[name]) throw invalidLimit(name, value, LIMITS.spec[name])
  }
}

function invalidLimit (name: string, value: number | bigint, max: number | bigint): InosError {
  return new InosError('ERR_INVALID_SPEC', `The limit ${name} is ${value}; it must be whole and from 0 to ${max}.`)
}

interface Rewritten {
  readonly original: Module
  readonly wasm: Uint8Array<ArrayBuffer>
  readonly initFuel: bigint
  readonly functions: readonly ImportedFunction[]
  readonly admission: Admission
  readonly plan: StatePlan | undefined
}

/** All that is decided about a module without compiling it. */
function rewrite (bytes: Uint8Array, keepsState: boolean, interfaces: Interfaces): Rewritten {
  // V8's types want bytes that no other thread can change between the checks and the rewrite.
  const wasm = bytes.buffer instanceof ArrayBuffer ? bytes as Uint8Array<ArrayBuffer> : new Uint8Array(bytes)
  const original = decode(wasm, CAPS)
  const admitted = admit(original, CAPS)
  const functions = original.imports.map(each => resolve(each, original, interfaces))
  if (!WebAssembly.validate(wasm)) throw notValid(wasm)
  const plan = keepsState ? planState(original, admitted) : undefined
  const stateless = functions.find(({ provider }) => provider.forgets === true)
  if (keepsState && stateless !== undefined) throw unsupported(`The module imports ${stateless.provider.name}, which keeps things outside of the module that no state holds.`)
  const { wasm: metered, initFuel } = meter(original, admitted.graph, functions.map(each => each.host.fuel), CAPS, plan === undefined ? {} : { state: plan })
  const admission = admit(decode(metered, METERED_CAPS), METERED_CAPS)
  return { original, wasm: metered, initFuel, functions, admission, plan }
}

/** V8 says what is wrong only when asked to compile; it has refused these bytes already. */
function notValid (wasm: Uint8Array<ArrayBuffer>): InosError {
  try {
    new WebAssembly.Module(wasm)
  } catch (error) {
    const text = error instanceof Error ? error.message.replace(/^WebAssembly\.Module\(\): /, '') : String(error)
    return new InosError('ERR_INVALID_MODULE', `The module was refused: it is not valid WebAssembly: ${text}.`)
  }
  return invalidModule('it is not valid WebAssembly', 0)
}

async function prepare (source: Run['wasm'], keepsState: boolean, interfaces: Interfaces, { onEstimate, ownStacks = false, isEqual = isSamePage }: EngineOptions): Promise<Prepared> {
  const bytes = typeof source === 'function' ? await source() : source
  const { original, wasm, initFuel, functions, admission, plan } = rewrite(bytes, keepsState, interfaces)
  onEstimate?.(admission.estimate)
  const { exports, memories, tables, types, functions: typeOf } = original
  const entries = new Map<string, string>()
  for (const { name, kind, index } of exports) {
    if (kind === KIND.func) entries.set(name, signature(types[typeOf[index]!]!))
  }
  return {
    compiled: compile(wasm),
    initFuel,
    memory: memories[0],
    start: original.start !== undefined,
    entries,
    functions,
    suspends: functions.some(({ host }) => host.suspends !== undefined),
    apart: ownStacks && CAN_SUSPEND,
    ...(plan === undefined ? {} : { keeps: { plan, isEqual, functions: typeOf.length, tables: tables.map(({ min, max }) => ({ min, max: Math.min(max ?? CAPS.tableEntriesMax, CAPS.tableEntriesMax) })) } })
  }
}

/**
 * V8 validates what it compiles; were it to refuse now, the meter would be at fault and not the module.
 * In this thread: an asynchronous compilation would wait behind whatever V8's optimising compiler still
 * does for the guest before, which can be many seconds, at the cost of another payer's lease.
 */
function compile (wasm: Uint8Array<ArrayBuffer>): WebAssembly.Module {
  try {
    return new WebAssembly.Module(wasm)
  } catch (error) {
    throw new InosError('ERR_INTERNAL', 'The metered module could not be compiled.', { cause: error })
  }
}

const TYPE_LETTERS: Readonly<Record<number, string>> = { [TYPE.i32]: 'i', [TYPE.i64]: 'I', [TYPE.f32]: 'f', [TYPE.f64]: 'F' }

/** A function type in the notation of `HostFunction.type`; "?" stands for types no host function has. */
function signature ({ params, results }: FuncType): string {
  const letters = (types: Uint8Array): string => Array.from(types, type => TYPE_LETTERS[type] ?? '?').join('')
  return `${letters(params)}:${letters(results)}`
}

/** The host function an import names. */
function resolve (wanted: Import, module: Module, interfaces: Interfaces): ImportedFunction {
  const full = `${shortName(wanted.module)}.${shortName(wanted.name)}`
  if (wanted.kind !== KIND.func) {
    const kind = Object.entries(KIND).find(([, code]) => code === wanted.kind)?.[0]
    throw unsupported(`The module imports the ${kind} ${full}; only functions can be imported.`)
  }
  const found = interfaces.get(wanted.module)
  if (found === undefined) {
    throw unsupported(`The module imports ${full}; supported are the modules ${[...interfaces.keys()].join(', ') || '(none)'}.`)
  }
  const host: HostFunction | undefined = Object.hasOwn(found.functions, wanted.name) ? found.functions[wanted.name] : undefined
  if (host === undefined) {
    throw unsupported(`The module imports ${full}; ${found.name} has ${Object.keys(found.functions).slice(0, 64).join(', ')}.`)
  }
  const type = signature(module.types[wanted.type]!)
  if (type !== host.type) throw unsupported(`The module imports ${full} as ${type}; its signature is ${host.type}.`)
  return { provider: found, name: wanted.name, host }
}

function unsupported (message: string): InosError {
  return new InosError('ERR_UNSUPPORTED_IMPORT', message)
}

function report ({ original, wasm, admission, functions }: Rewritten): ModuleReport {
  const modules = new Set(functions.map(each => each.provider.name))
  return {
    bytes: original.bytes.length,
    functions: original.functions.length - original.imported.functions,
    abi: [extism.name, wasi.name, wasiUnstable.name, inos.name].find(name => modules.has(name)) ?? 'plain',
    imports: original.imports.map(({ module, name }) => `${module}.${name}`),
    exports: original.exports.map(({ name }) => name),
    features: admission.features,
    memoryPagesMin: original.memories[0]?.min ?? 0,
    estimate: { ...admission.estimate },
    meteredBytes: wasm.length
  }
}
