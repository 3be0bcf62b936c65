/**
 * Numbers as people write and read them: fuel, bytes, credits. Reading is strict, because a
 * misread number costs money; what was meant is said in the refusal.
 */
import { DIGITS_MAX, parseCount } from '../src/packet/amounts.ts'
import { InosError } from '../src/packet/errors.ts'
import { LIMITS, PAGE_BYTES } from '../src/packet/limits.ts'

const BYTES_PER: ReadonlyMap<string, bigint> = new Map([
  ['', 1n], ['B', 1n], ['KiB', 1n << 10n], ['MiB', 1n << 20n], ['GiB', 1n << 30n], ['kB', 1_000n], ['MB', 1_000_000n], ['GB', 1_000_000_000n]
])

const refuse = (message: string): never => { throw new InosError('ERR_USAGE', message) }

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

export function formatBytes (bytes: number): string {
  const unit = ['GiB', 'MiB', 'KiB'].find(name => bytes >= Number(BYTES_PER.get(name))) ?? 'B'
  return `${Number((bytes / Number(BYTES_PER.get(unit))).toFixed(1))} ${unit}`
}
