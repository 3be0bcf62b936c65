/**
 * What a node that takes work knows of itself: how busy it was lately, and what follows for its
 * price; at which rate bytes come in. Looked at every few seconds, so that one quiet moment moves nothing.
 */
import { LIMITS } from '../packet/limits.ts'
import type { Capacity } from '../packet/capacity.ts'
import type { Runtime } from '../wasm/runtime.ts'

/** What the platform knows of the machine. */
export interface Machine {
  /** The most memory one job may have. */
  readonly memoryPagesMax: number
  readonly gpu: string | null
  /** Free on the disk of the blobs; null when unknown. */
  diskBytes (): number | null
}

export interface Gauge {
  /** Look at the load; to be called every `LIMITS.market.measureMs`. */
  sample (): void
  /** Bytes came from another node in so many milliseconds. */
  fetched (bytes: number, ms: number): void
  /** Quarters of the price list that the load of late asks for. */
  readonly quarters: number
  /** Work at hand per slot lately, in percent. */
  readonly loadPercent: number
  /** As it stands in an offer, rounded so that small changes are none. */
  capacity (): Capacity
}

/** Transfers shorter than this say more of the way there than of its width. */
const FETCHED_BYTES_MIN = 256 * 1_024
/** How much of an average stays when the next value comes. */
const KEPT = 0.75

export function createGauge (runtime: Runtime, machine: Machine | undefined, now: () => number): Gauge {
  const { priceMs, priceQuartersMin, priceQuartersMax, idlePercent, busyPercent } = LIMITS.market
  let quarters = 4
  let load = 0
  let busy = 0
  let queued = 0
  let movedAt = now()
  let bytesPerMs: number | null = null

  /** One step when the load asks for it; between idle and busy the price comes back to the list. */
  const move = (): void => {
    const step = load > busyPercent ? 1 : load < idlePercent ? -1 : Math.sign(4 - quarters)
    quarters = Math.min(priceQuartersMax, Math.max(priceQuartersMin, quarters + step))
    movedAt = now()
  }

  return {
    get quarters () { return quarters },
    get loadPercent () { return Math.round(load) },
    sample () {
      const current = runtime.load()
      load = KEPT * load + (1 - KEPT) * 100 * (current.busy + current.queued) / current.slots
      busy = KEPT * busy + (1 - KEPT) * current.busy
      queued = KEPT * queued + (1 - KEPT) * current.queued
      if (Math.abs(now() - movedAt) >= priceMs) move()
    },
    fetched (bytes, ms) {
      if (bytes < FETCHED_BYTES_MIN) return
      const seen = bytes / Math.max(1, ms)
      bytesPerMs = bytesPerMs === null ? seen : KEPT * bytesPerMs + (1 - KEPT) * seen
    },
    capacity () {
      const { slots, fuelPerSec } = runtime.load()
      const disk = machine?.diskBytes() ?? null
      return {
        fuelPerSec: fuelPerSec === undefined ? null : round(fuelPerSec),
        idle: Math.max(0, slots - Math.round(busy)),
        queued: Math.min(LIMITS.executor.queueMax, Math.round(queued)),
        memoryPagesMax: machine?.memoryPagesMax ?? LIMITS.spec.memoryPagesMax,
        diskBytes: disk === null ? null : round(disk),
        bytesPerSec: bytesPerMs === null ? null : round(bytesPerMs * 1_000),
        gpu: machine?.gpu ?? null
      }
    }
  }
}

/** Two digits: more would be noise, and tell more of a machine than a buyer needs. */
function round (value: number): number {
  const unit = 10 ** Math.max(0, Math.floor(Math.log10(Math.max(1, value))) - 1)
  return Math.round(value / unit) * unit
}

/** Whether an offer with `next` would tell buyers something that the one with `said` does not. */
export function isNews (said: Capacity, next: Capacity, slots: number): boolean {
  const moved = (a: number | null, b: number | null): boolean =>
    a === null || b === null ? a !== b : Math.abs(a - b) * 100 > LIMITS.market.changePercent * Math.max(a, b)
  return moved(said.fuelPerSec, next.fuelPerSec) || moved(said.diskBytes, next.diskBytes) || moved(said.bytesPerSec, next.bytesPerSec) ||
    (said.idle === 0) !== (next.idle === 0) || Math.abs(said.idle - next.idle) * 2 > slots || Math.abs(said.queued - next.queued) > slots + said.queued / 2 ||
    said.memoryPagesMax !== next.memoryPagesMax || said.gpu !== next.gpu
}
