/**
 * The free allowance of peers that speak only the first four fields: fuel per peer and hour, and
 * for all of them together. Nothing of it is stored; a restart begins a new hour.
 */
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'

/** Fuel set aside for one job; what it did not burn is given back. */
export interface Grant {
  readonly fuelMax: bigint
  /** Count what was burnt and free the rest. Once. */
  end (fuel: bigint): void
}

export interface Allowance {
  /**
   * Set aside what is left, up to `fuelMax`.
   * @throws {InosError} ERR_ALLOWANCE_SPENT when nothing is left for this peer or for all, ERR_BUSY while jobs at work may give some back
   */
  take (peer: string, fuelMax: bigint): Grant
}

/** Fuel an hour, for each peer and for all of them together. */
export interface AllowanceLimits { readonly perPeer: bigint, readonly total: bigint }

const DEFAULTS: AllowanceLimits = { perPeer: LIMITS.credits.freeFuelPerPeerHour, total: LIMITS.credits.freeFuelPerHour }
const HOUR_MS = 3_600_000

/** @param now unix milliseconds */
export function createAllowance (now: () => number, limits: AllowanceLimits = DEFAULTS): Allowance {
  let hour = 0
  let all: Use = { fuel: 0n, jobs: 0 }
  let peers = new Map<string, Use>()

  return {
    take (peer, fuelMax) {
      const current = Math.floor(now() / HOUR_MS)
      if (current !== hour) {
        hour = current
        all = { fuel: 0n, jobs: 0 }
        peers = new Map()
      }
      const own = peers.get(peer) ?? { fuel: 0n, jobs: 0 }
      if (own.fuel >= limits.perPeer) throw nothingLeft('yours', limits.perPeer, own)
      if (all.fuel >= limits.total) throw nothingLeft('that of all guests together', limits.total, all)
      const granted = min(min(limits.perPeer - own.fuel, limits.total - all.fuel), fuelMax)
      const [uses, byPeer] = [[own, all], peers]
      for (const use of uses) {
        use.fuel += granted
        use.jobs++
      }
      byPeer.set(peer, own)
      let open = true
      return {
        fuelMax: granted,
        end (fuel) {
          if (!open) return
          open = false
          for (const use of uses) {
            use.fuel -= granted - min(fuel, granted)
            use.jobs--
          }
          // Names cost nothing: one that has burnt nothing needs no memory.
          if (own.fuel === 0n && own.jobs === 0) byPeer.delete(peer)
        }
      }
    }
  }
}

/** Fuel burnt or set aside this hour, and the jobs that set some aside. */
interface Use { fuel: bigint, jobs: number }

function nothingLeft (whose: string, limit: bigint, { jobs }: Use): InosError {
  if (jobs > 0) {
    return new InosError('ERR_BUSY', `The free allowance of this hour is set aside for jobs that run: ${whose}, ${limit} fuel.`, { hint: 'What they do not burn comes back; try again when they have ended.' })
  }
  return new InosError('ERR_ALLOWANCE_SPENT', `The free allowance of this hour is spent: ${whose}, ${limit} fuel.`, { hint: 'Come back in the next hour, or speak the whole protocol and pay.' })
}

function min (a: bigint, b: bigint): bigint { return a < b ? a : b }
