/** Prices, buyers and shares of the CPU as people write them, the same for `inos price` and `inos up`. */
import { InvalidArgumentError } from 'commander'
import { parseCount, parseCredits } from '../src/packet/amounts.ts'
import { InosError } from '../src/packet/errors.ts'
import { keyOfPeerId } from '../src/packet/identity.ts'
import { DEFAULT_PRICES, type PriceList } from '../src/packet/limits.ts'

export type Prices = Partial<PriceList>

/** What each price is for. */
export const PRICE_MEANINGS: Readonly<Record<keyof PriceList, string>> = {
  base: 'a job',
  perMFuel: 'a million of fuel',
  perPageSec: '64 KiB of memory during 10⁹ fuel',
  perKiB: 'KiB of result and files',
  perMB: 'MB of module compiled; not charged yet',
  perGiBh: 'GiB stored for an hour; not charged yet'
}

const refuse = (message: string): never => { throw new InosError('ERR_USAGE', message) }

/** "perMFuel". @throws {InosError} ERR_USAGE */
export function parsePriceName (text: string): keyof PriceList {
  return Object.hasOwn(DEFAULT_PRICES, text) ? text as keyof PriceList : refuse(`"${text.slice(0, 40)}" is no price; there are ${Object.keys(DEFAULT_PRICES).join(', ')}.`)
}

/** "perMFuel=500ucr", one more of them. */
export function collectPrices (text: string, before: Prices): Prices {
  const at = text.indexOf('=')
  try {
    return { ...before, [parsePriceName(text.slice(0, Math.max(0, at)))]: parseCredits(text.slice(at + 1)) }
  } catch (error) {
    throw error instanceof InosError ? new InvalidArgumentError(error.message) : error
  }
}

/** "anyone", or PeerIds with commas between; null is anyone. @throws {InosError} ERR_USAGE */
export function parseBuyers (text: string): readonly string[] | null {
  if (text === 'anyone') return null
  const peers = text.split(',').filter(peer => peer !== '')
  const wrong = peers.find(peer => !isPeerId(peer)) ?? (peers.length === 0 ? text : undefined)
  return wrong === undefined ? peers : refuse(`"${wrong.slice(0, 80)}" is no PeerId. Buyers are "anyone" (in a private mesh: its members), or PeerIds with commas between.`)
}

function isPeerId (text: string): boolean {
  try {
    return keyOfPeerId(text).length > 0
  } catch {
    return false
  }
}

/** "50%". @throws {InosError} ERR_USAGE */
export function parsePercent (text: string): number {
  const percent = /^(\d+)%?$/.exec(text)?.[1]
  const count = percent === undefined ? 0 : Number(parseCount(percent, 100n))
  return count >= 1 ? count : refuse(`"${text.slice(0, 40)}" is not a share from 1% to 100%.`)
}
