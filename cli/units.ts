/**
 * Numbers as people write and read them: fuel, bytes, credits. Reading is strict, because a
 * misread number costs money; what was meant is said in the refusal.
 */
import { InosError } from '../src/packet/errors.ts'
import { CREDIT, LIMITS, PAGE_BYTES } from '../src/packet/limits.ts'

const BYTES_PER: ReadonlyMap<string, bigint> = new Map([
  ['', 1n], ['B', 1n], ['KiB', 1n << 10n], ['MiB', 1n << 20n], ['GiB', 1n << 30n], ['kB', 1_000n], ['MB', 1_000_000n], ['GB', 1_000_000_000n]
])
/** No number of a command has more digits, so that none is built from an endless text. */
const DIGITS_MAX = 24

const refuse = (message: string): never => { throw new InosError('ERR_USAGE', message) }

/** "10000" or "10_000". @throws {InosError} ERR_USAGE */
export function parseCount (text: string, max: bigint): bigint {
  if (!/^\d+(_\d+)*$/.test(text) || text.length > DIGITS_MAX) {
    return refuse(`"${text.slice(0, 40)}" is not a whole number such as 10_000.`)
  }
  const count = BigInt(text.replaceAll('_', ''))
  return count <= max ? count : refuse(`${text} is too much; ${max} is the most.`)
}

/** "64MiB", "1GiB", "65536". @throws {InosError} ERR_USAGE */
export function parseBytes (text: string): bigint {
  const match = /^([\d_]+)([A-Za-z]*)$/.exec(text)
  const unit = BYTES_PER.get(match?.[2] ?? '')
  if (match === null || unit === undefined) {
    return refuse(`"${text.slice(0, 40)}" is not a size; write it like 64MiB, with B, KiB, MiB, GiB, kB, MB or GB.`)
  }
  return parseCount(match[1]!, 10n ** BigInt(DIGITS_MAX)) * unit
}

/** A memory size as pages of 64 KiB. @throws {InosError} ERR_USAGE unless it is whole pages within the limit */
export function parsePages (text: string): number {
  const bytes = parseBytes(text)
  const most = BigInt(LIMITS.spec.memoryPagesMax)
  if (bytes % BigInt(PAGE_BYTES) !== 0n) return refuse(`${text} is not a multiple of 64KiB, in which WebAssembly counts memory.`)
  const pages = bytes / BigInt(PAGE_BYTES)
  return pages <= most ? Number(pages) : refuse(`${text} is too much memory; ${formatBytes(Number(most) * PAGE_BYTES)} is the most.`)
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

export function formatBytes (bytes: number): string {
  const unit = ['GiB', 'MiB', 'KiB'].find(name => bytes >= Number(BYTES_PER.get(name))) ?? 'B'
  return `${Number((bytes / Number(BYTES_PER.get(unit))).toFixed(1))} ${unit}`
}
