/**
 * Counts, amounts of credits and spans of time as people write them. Reading is strict, because a
 * misread number costs money; what was meant is said in the refusal.
 */
import { InosError } from './errors.ts'
import { CREDIT, LIMITS } from './limits.ts'

/** No number that people write has more digits, so that none is built from an endless text. */
export const DIGITS_MAX = 24

const refuse = (message: string): never => { throw new InosError('ERR_USAGE', message) }

/** "10000" or "10_000". @throws {InosError} ERR_USAGE */
export function parseCount (text: string, max: bigint): bigint {
  if (!/^\d+(_\d+)*$/.test(text) || text.length > DIGITS_MAX) {
    return refuse(`"${text.slice(0, 40)}" is not a whole number such as 10_000.`)
  }
  const count = BigInt(text.replaceAll('_', ''))
  return count <= max ? count : refuse(`${text} is too much; ${max} is the most.`)
}

/** "2cr", "0.5cr", "500ucr" as µcr. @throws {InosError} ERR_USAGE */
export function parseCredits (text: string): bigint {
  const match = /^(\d[\d_]*)(?:\.(\d{1,6}))?(cr|ucr|µcr)$/.exec(text)
  if (match === null || (match[3] !== 'cr' && match[2] !== undefined)) {
    return refuse(`"${text.slice(0, 40)}" is not an amount; write it like 2cr, 0.5cr (up to six decimals) or 500ucr.`)
  }
  const whole = parseCount(match[1]!, LIMITS.credits.amountMax)
  const amount = match[3] === 'cr' ? whole * CREDIT + BigInt((match[2] ?? '').padEnd(6, '0')) : whole
  return amount <= LIMITS.credits.amountMax ? amount : refuse(`${text} is more than any amount can be.`)
}

const SECONDS_PER = { s: 1, m: 60, h: 3_600, d: 86_400 } as const
/** A hundred years. */
const SECONDS_MAX = 36_525n * 86_400n

/** "7d", "12h", "30m", "90s" as seconds. @throws {InosError} ERR_USAGE */
export function parseSeconds (text: string): number {
  const match = /^(\d[\d_]*)([smhd])$/.exec(text)
  if (match === null) return refuse(`"${text.slice(0, 40)}" is not a span of time; write it like 7d, 12h, 30m or 90s.`)
  const seconds = parseCount(match[1]!, SECONDS_MAX) * BigInt(SECONDS_PER[match[2] as keyof typeof SECONDS_PER])
  return seconds <= SECONDS_MAX ? Number(seconds) : refuse(`${text} is too long; a hundred years is the most.`)
}

/** µcr as credits: "1.25 cr". */
export function formatCredits (amount: bigint): string {
  const size = amount < 0n ? -amount : amount
  const decimals = (size % CREDIT).toString().padStart(6, '0').replace(/0+$/, '')
  return `${amount < 0n ? '-' : ''}${groupDigits(size / CREDIT)}${decimals === '' ? '' : `.${decimals}`} cr`
}

/** 1234567n → "1,234,567" */
export function groupDigits (count: bigint | number): string {
  return count.toString().replace(/\B(?=(\d{3})+$)/g, ',')
}
