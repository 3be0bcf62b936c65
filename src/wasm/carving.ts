/**
 * What a guest carves from its own limits for its children: fuel, descendants, levels, and room for their
 * inputs and results. Fuel that a child does not burn comes back, so that a whole tree burns at most what
 * its root may. The engine asks before it starts a child; whoever watches an engine keeps the same
 * account of what it asks for, and believes nothing else.
 */
import { LIMITS } from '../packet/limits.ts'
import type { Child, ChildEnd, RunLimits } from './runtime.ts'

/** Why a child is not started: too many, no more of them allowed below here, too much fuel or memory, no room to hold it. */
export type NoChild = 'count' | 'descendants' | 'fuel' | 'memory' | 'bytes'

interface Open { readonly fuel: bigint, readonly descendants: number, readonly bytes: number }

export class Carving {
  /** Levels below the guest; its children have one less. */
  readonly levels: number
  readonly #pagesMax: number
  readonly #fuelMax: bigint
  /** By number: children under way. */
  readonly #open = new Map<number, Open>()
  /** By number: bytes of results that are held. */
  readonly #held = new Map<number, number>()
  #descendants: number
  #carved = 0n
  #burnt = 0n
  #bytes = 0
  #count = 0

  constructor ({ fuelMax, memoryPagesMax, descendantsMax = LIMITS.guest.descendantsMax, levelsMax = LIMITS.guest.levelsMax }: RunLimits) {
    this.#fuelMax = fuelMax
    this.#pagesMax = memoryPagesMax
    this.#descendants = descendantsMax
    this.levels = levelsMax
  }

  /** Children started so far; the next one's number. */
  get count (): number { return this.#count }
  /** Numbers of those under way. */
  get open (): number[] { return [...this.#open.keys()] }
  /** Fuel the guest may have burnt or may still burn itself, beside what its children have or had. */
  get fuelLeft (): bigint { return this.#fuelMax - this.#carved - this.#burnt }
  /** Fuel burnt by children that are over. */
  get burnt (): bigint { return this.#burnt }

  /**
   * Take what a child gets. @param fuelLeft what the guest has
   * @returns why it gets nothing; null when it was started
   */
  start ({ input, limits }: Pick<Child, 'input' | 'limits'>, fuelLeft: bigint): NoChild | null {
    const { fuelMax, memoryPagesMax, outputBytesMax, descendantsMax } = limits
    const bytes = input.length + outputBytesMax
    if (this.#count >= LIMITS.guest.childrenMax) return 'count'
    if (this.levels === 0 || 1 + descendantsMax > this.#descendants) return 'descendants'
    if (fuelMax > fuelLeft || fuelMax > this.fuelLeft) return 'fuel'
    if (memoryPagesMax > this.#pagesMax) return 'memory'
    if (this.#bytes + bytes > LIMITS.guest.childBytesMax) return 'bytes'
    this.#open.set(this.#count++, { fuel: fuelMax, descendants: 1 + descendantsMax, bytes })
    this.#carved += fuelMax
    this.#descendants -= 1 + descendantsMax
    this.#bytes += bytes
    return null
  }

  /** A child is over: what it did not use comes back, and its result is held. @returns fuel that was carved for it */
  end (at: number, { fuel, descendants, result }: ChildEnd): bigint {
    const child = this.#open.get(at)
    if (child === undefined) throw new Error(`the child ${at} is not under way`)
    this.#open.delete(at)
    this.#held.set(at, result.length)
    this.#carved -= child.fuel
    this.#burnt += fuel
    this.#descendants += child.descendants - 1 - descendants
    this.#bytes += result.length - child.bytes
    return child.fuel
  }

  /** The result of a child that is over is held no longer. */
  drop (at: number): void {
    this.#bytes -= this.#held.get(at) ?? 0
    this.#held.delete(at)
  }
}
