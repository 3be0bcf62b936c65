/** What a job may use at most, as a spec says it. */
export interface SpecLimits {
  fuelMax: bigint
  memoryPagesMax: number
  outputBytesMax: number
  /** WASM that the guest may have computed, with all that they have computed again. @default LIMITS.guest */
  descendantsMax?: number
  /** Levels of those below it. @default LIMITS.guest */
  levelsMax?: number
}
