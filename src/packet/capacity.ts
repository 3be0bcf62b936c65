/** What a machine can do, as its offer says it. Shapes only, for whoever shows them. */
import { LIMITS } from './limits.ts'

/**
 * What an executor says of itself, so that buyers can guess how long their job takes there. Claims,
 * rounded and renewed only when they change much: a buyer believes its own experience more.
 */
export interface Capacity {
  /** Fuel that one slot burns in a second; null until measured. */
  fuelPerSec: number | null
  /** Slots without work lately, and jobs that wait. */
  idle: number
  queued: number
  /** The most memory one job may ask for. */
  memoryPagesMax: number
  /** Free on the disk of its blobs, in bytes; null when unknown. */
  diskBytes: number | null
  /** At which modules and inputs came lately from others; null until observed. */
  bytesPerSec: number | null
  /** The graphics processor that was detected; null when none was, or nobody looked. Jobs cannot use it. */
  gpu: string | null
}

/** Of a node that has looked at nothing. */
export const UNMEASURED: Capacity = { fuelPerSec: null, idle: 0, queued: 0, memoryPagesMax: LIMITS.spec.memoryPagesMax, diskBytes: null, bytesPerSec: null, gpu: null }
