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
   * @throws {InosError} ERR_ALLOWANCE_SPENT when nothing is left for this peer or for all
   */
  take (peer: string, fuelMax: bigint): Grant
}

const HOUR_MS = 3_600_000

/** @param now unix milliseconds */
export function createAllowance (now: () => number, limits: {
  perPeer: bigint
  total: bigint
} = { perPeer: LIMITS.credits.freeFuelPerPeerHour, total: LIMITS.credits.freeFuelPerHour }): Allowance {
  let hour = 0
  let total = 0n
  let peers = new Map<string, bigint>()

  return {
    take (peer, fuelMax) {
      const current = Math.floor(now() / HOUR_MS)
      if (current !== hour) {
        hour = current
        total = 0n
        peers = new Map()
      }
      const used = peers.get(peer) ?? 0n
      const left = min(limits.perPeer - used, limits.total - total)
      if (left <= 0n) {
        const whose = used >= limits.perPeer ? 'yours' : 'that of all guests together'
        throw new InosError('ERR_ALLOWANCE_SPENT', `The free allowance of this hour is spent: ${whose}, ${used >= limits.perPeer ? limits.perPeer : limits.total} fuel.`, {
          hint: 'Come back in the next hour, or speak the whole protocol and pay.'
        })
      }
      const granted = min(left, fuelMax)
      const open = { hour, used: false }
      const add = (fuel: bigint): void => {
        if (open.hour !== hour) return
        total += fuel
        peers.set(peer, (peers.get(peer) ?? 0n) + fuel)
      }
      add(granted)
      return {
        fuelMax: granted,
        end (fuel) {
          if (open.used) return
          open.used = true
          add(min(fuel, granted) - granted)
        }
      }
    }
  }
}

function min (a: bigint, b: bigint): bigint { return a < b ? a : b }
