/**
 * The children of one job, where it runs: each becomes a job of this node, run here or bought like any other, on what
 * the parent's order allows. Their receipts make the parent's. A guest learns only what every node
 * would tell it; whatever else goes wrong with a child is a fault of this host, and ends the whole job.
 */
import { belowOf, encodeBelow } from '../credits/tree.ts'
import type { Bundle } from '../credits/bundle.ts'
import { CID } from '../packet/cid.ts'
import { type ErrorCode, InosError, toInosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { SpecLimits } from '../packet/spec-limits.ts'
import type { RunFacts } from '../credits/seller.ts'
import type { Child, ChildEnd, Compute, OutcomeKind } from '../wasm/runtime.ts'
import { Budget, type BudgetParts } from './budget.ts'
import { type Blob, describeBlob, describeJob } from './job.ts'
import type { JobEntry } from './jobs.ts'
import { type Kin, keyOfChild, type Modules } from './kin.ts'
import type { Where } from './processor.ts'
import type { Rooms } from './rooms.ts'

/** A child that is over, as far as its parent asks. */
export interface Grown {
  readonly outcome: OutcomeKind
  readonly exitCode: number | null
  readonly bytes: Uint8Array
  readonly fuel: bigint
  readonly bundle: Bundle
  /** Receipt files of all that its guest had computed. */
  readonly below: readonly Uint8Array[]
}

export interface FamilyParts extends Pick<BudgetParts, 'costMax' | 'prices' | 'outer'> {
  /** The parent's own module. */
  readonly module: CID
  readonly limits: SpecLimits
  readonly modules: Modules
  readonly payer: string
  /** Its order, asked for when the first child is begun, and for each again. */
  order (): CID | Promise<CID>
  /** What was bought when it ran before: as it stands, where its own parent has opened it, or to be opened. @default it will not run again */
  readonly kin?: Kin | (() => Promise<Kin>) | undefined
  /** Where its children may run. */
  readonly where: Where
  readonly signal: AbortSignal
}

/** What a parent's receipt says of its children, and the receipt files of all below it, one by one and in the blob that the receipt names. */
export interface Offspring { readonly facts: Pick<RunFacts, 'children' | 'below'>, readonly files: readonly Uint8Array[], readonly tree: Blob | undefined }

/** A module can be at fault for these; every node finds the same. */
const OF_CHILD: ReadonlySet<ErrorCode> = new Set<ErrorCode>(['ERR_INVALID_MODULE', 'ERR_UNSUPPORTED_IMPORT', 'ERR_MISSING_EXPORT', 'ERR_INVALID_SPEC'])
const REFUSED: ChildEnd = { outcome: 'refused', exitCode: null, result: new Uint8Array(0), fuel: 0n, descendants: 0 }

interface Born { readonly bundle: Bundle, readonly below: readonly Uint8Array[] }

interface Means { readonly budget: Budget, readonly kin: Promise<Kin | undefined>, readonly places: Places, readonly cancel: AbortController, readonly signal: AbortSignal }

export class Family {
  readonly #node: Rooms
  readonly #parts: FamilyParts
  /** Made for the first child: most jobs have none. */
  #means: Means | undefined
  /** By number; refused ones are left out. */
  readonly #born: Born[] = []
  readonly #atWork = new Set<Promise<unknown>>()
  #fault: InosError | undefined

  constructor (node: Rooms, parts: FamilyParts) {
    this.#node = node
    this.#parts = parts
  }

  /** Do the work of the parent; when it is over, so are its children, and a child's fault is its own. */
  async raise<T> (work: (compute: Compute) => Promise<T>): Promise<T> {
    try {
      return await work((child, at) => this.#compute(child, at))
    } catch (error) {
      throw this.#parts.signal.aborted ? error : this.#fault ?? error
    } finally {
      this.#means?.cancel.abort(new InosError('ERR_CANCELLED', 'The parent of this job is over.'))
      await Promise.allSettled(this.#atWork)
    }
  }

  /** Whether a child was lost. */
  get isBroken (): boolean { return this.#fault !== undefined }

  async offspring (): Promise<Offspring> {
    const born = Object.values(this.#born)
    const files = born.flatMap(({ bundle, below }) => [bundle.bytes, ...below])
    if (born.length === 0) return { facts: {}, files, tree: undefined }
    const bundles = born.map(({ bundle }) => bundle)
    const tree = await describeBlob(encodeBelow(files), this.#node.platform.digest)
    return { facts: { children: bundles.map(({ receipt }) => receipt.id), below: { ...belowOf(bundles), tree: tree.cid } }, files, tree }
  }

  #compute (child: Child, at: number): Promise<ChildEnd> {
    const work = this.#bear(child, at, this.#means ??= meansOf(this.#parts)).finally(() => { this.#atWork.delete(work) })
    this.#atWork.add(work)
    return work
  }

  /** Its receipt stands: it will not run again, and what was kept of its children is forgotten. */
  async forget (): Promise<void> {
    if (this.#means === undefined || typeof this.#parts.kin !== 'function') return
    const kin = await this.#means.kin
    if (kin !== undefined) await this.#node.credits.forgetBelow(kin.base)
  }

  async #bear (child: Child, at: number, means: Means): Promise<ChildEnd> {
    const { places, signal, cancel } = means
    try {
      using _place = await places.take(signal)
      const { bundle, below, ...grown } = await this.#submit(child, at, means)
      this.#born[at] = { bundle, below }
      return { outcome: grown.outcome, exitCode: grown.exitCode, result: grown.bytes, fuel: grown.fuel, descendants: below.length }
    } catch (thrown) {
      const error = toInosError(thrown)
      if (OF_CHILD.has(error.code) && !signal.aborted) return REFUSED
      this.#fault ??= new InosError(error.code, `A child of the job was not computed: ${error.message}`, { cause: error, attempts: error.attempts, ...error.hint === undefined ? {} : { hint: error.hint } })
      // Without it the parent can't end well: nothing more is bought for it.
      cancel.abort(this.#fault)
      throw this.#fault
    }
  }

  async #submit ({ module, input, entry, args, limits }: Child, at: number, { budget, kin: opening, signal }: Means): Promise<Grown> {
    const { modules, payer, where } = this.#parts
    const cid = module === null ? this.#parts.module : CID.parse(module)
    const bytes = await modules(cid.toString())
    const job = await describeJob({ cid, bytes }, input, { entry, args, limits }, this.#node.platform.digest)
    const [parent, kin] = [await this.#parts.order(), await opening]
    const key = kin === undefined ? undefined : keyOfChild(kin, parent, at, job.spec.id)
    using purse = budget.purseFor(limits, key === undefined ? 0n : kin!.bought.get(key))
    return await this.#node.submit(job, { where, purse }, quietly(signal), { modules, parent, payer, kept: key === undefined ? undefined : { key, kin: kin! } })
  }
}

function meansOf (parts: FamilyParts): Means {
  const cancel = new AbortController()
  const budget = new Budget(parts)
  return { budget, kin: kinOf(parts, budget), places: new Places(LIMITS.market.childrenAtOnceMax), cancel, signal: AbortSignal.any([parts.signal, cancel.signal]) }
}

/** What was bought before counts from the start, whatever is asked for first this time: that of its children's children, too. */
async function kinOf ({ kin }: FamilyParts, budget: Budget): Promise<Kin | undefined> {
  if (typeof kin !== 'function') return kin
  const opened = await kin()
  budget.claim(opened.bought.values().reduce((sum, amount) => sum + amount, 0n))
  return opened
}

/** A job that nobody lists: its parent is listed, and its end is known by its receipt. */
function quietly (signal: AbortSignal): JobEntry {
  const nothing = (): void => {}
  return { id: '', signal, say: nothing, decided: nothing, tried: nothing, done: nothing, failed: nothing }
}

/** So many at a time; the others wait in the order in which they came. */
class Places {
  #free: number
  readonly #waiting = new Set<() => void>()

  constructor (count: number) { this.#free = count }

  async take (signal: AbortSignal): Promise<Disposable> {
    signal.throwIfAborted()
    if (this.#free > 0) this.#free--
    else await this.#turn(signal)
    return { [Symbol.dispose]: () => { this.#leave() } }
  }

  async #turn (signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const enter = (): void => {
        signal.removeEventListener('abort', onAbort)
        resolve()
      }
      const onAbort = (): void => { if (this.#waiting.delete(enter)) reject(signal.reason as Error) }
      this.#waiting.add(enter)
      signal.addEventListener('abort', onAbort, { once: true })
    })
  }

  #leave (): void {
    const [next] = this.#waiting
    if (next === undefined) this.#free++
    else if (this.#waiting.delete(next)) next()
  }
}

