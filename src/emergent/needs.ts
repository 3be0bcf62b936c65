/**
 * What items of a map have needed, and limits for the next ones narrowed to it. A hold is the worst case at an item's
 * limits, so narrow limits let more items run on one budget and one line.
 *
 * Only fuel and output are narrowed: a guest that meets either is ended, and until then sees nothing of them, so an answer
 * under narrow limits is the answer. Of its memory a guest is told that it does not grow, and may answer otherwise.
 */
import type { ErrorCode } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { SpecLimits } from '../packet/spec-limits.ts'
import type { Result } from '../processor/processor.ts'

/** A part of the limits, by the error that says it was too little. */
const PARTS: Readonly<Partial<Record<ErrorCode, 'fuelMax' | 'outputBytesMax'>>> = { ERR_OUT_OF_FUEL: 'fuelMax', ERR_OUTPUT_LIMIT: 'outputBytesMax' }

type Need = Record<'fuelMax' | 'outputBytesMax', bigint>

export class Needs {
  /** What the caller allows each item. */
  readonly allowed: SpecLimits
  readonly #narrows: boolean
  #bought = 0
  #most: Need = { fuelMax: 0n, outputBytesMax: 0n }
  #limits: SpecLimits

  /** @param narrows whether limits are narrowed at all */
  constructor (allowed: Partial<SpecLimits> = {}, narrows = true) {
    const { fuelMax, memoryPagesMax, outputBytesMax } = LIMITS.job
    this.allowed = { fuelMax: allowed.fuelMax ?? fuelMax, memoryPagesMax: allowed.memoryPagesMax ?? memoryPagesMax, outputBytesMax: allowed.outputBytesMax ?? outputBytesMax }
    this.#narrows = narrows
    this.#limits = this.allowed
  }

  /** For an item that begins now; the very object `allowed` where nothing is narrowed. They never become narrower than they once were. */
  get limits (): SpecLimits { return this.#limits }

  /** @param bought by another node: at home nothing is held, so that nothing is gained by narrow limits */
  finished ({ fuel, bytes, files }: Pick<Result, 'fuel' | 'bytes' | 'files'>, bought: boolean): void {
    if (bought) this.#bought++
    const outputBytes = Object.entries(files).reduce((sum, [path, content]) => sum + path.length + content.length, bytes.length)
    this.#raise({ fuelMax: fuel, outputBytesMax: BigInt(outputBytes) })
  }

  /** Whether an item ended so because its limits were narrower than the caller's; then the next ones get more. */
  isTooLittle (code: ErrorCode, limits: SpecLimits): boolean {
    const part = PARTS[code]
    if (part === undefined || limits[part] >= this.allowed[part]) return false
    this.#raise({ [part]: BigInt(limits[part]) })
    return true
  }

  #raise ({ fuelMax = 0n, outputBytesMax = 0n }: Partial<Need>): void {
    this.#most = { fuelMax: larger(this.#most.fuelMax, fuelMax), outputBytesMax: larger(this.#most.outputBytesMax, outputBytesMax) }
    if (!this.#narrows || this.#bought < LIMITS.map.samplesMin) return
    const limits: SpecLimits = {
      ...this.allowed,
      fuelMax: smaller(this.allowed.fuelMax, narrowed(this.#most.fuelMax, LIMITS.map.fuelMin)),
      outputBytesMax: Number(smaller(BigInt(this.allowed.outputBytesMax), narrowed(this.#most.outputBytesMax, BigInt(LIMITS.map.outputBytesMin))))
    }
    const isAllowed = limits.fuelMax === this.allowed.fuelMax && limits.outputBytesMax === this.allowed.outputBytesMax
    this.#limits = isAllowed ? this.allowed : limits
  }
}

/** Powers of two, because limits are part of a spec: where they change with each item, the same work has another name each time. */
function narrowed (most: bigint, min: bigint): bigint {
  const wanted = larger(most * BigInt(LIMITS.map.needsFactor), min)
  return 1n << BigInt((wanted - 1n).toString(2).length)
}

function larger (a: bigint, b: bigint): bigint { return a > b ? a : b }
function smaller (a: bigint, b: bigint): bigint { return a < b ? a : b }
