/**
 * What the owner of a node has decided about its trade: prices, who may buy, how much of the CPU
 * jobs and of the room blobs get, and its form as text. Where it is kept is the platform's choice; what `join()` is given stands above it.
 */
import { isMap } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS, type PriceList } from '../packet/limits.ts'
import { checkTariff } from '../processor/market.ts'
import type { Tariff } from '../processor/processor.ts'

export interface Settings extends Tariff {
  /** Part of all cores that jobs may have on average, 1 to 100. */
  readonly cpuPercent: number
  /** What all blobs of the data directory may take. @default LIMITS.store.blobsBytesMax */
  readonly blobCache?: number | undefined
}

/** What is to be other than before; null gives a price back to the node itself. */
export interface SettingsChange {
  readonly prices?: Readonly<Partial<Record<keyof PriceList, bigint | null>>>
  /** PeerIds; null: anyone. */
  readonly buyers?: readonly string[] | null
  readonly cpuPercent?: number
  /** µcr per MiB relayed; null gives it back to the node. */
  readonly relayPerMiB?: bigint | null
  /** Bytes for all blobs; null: the default. */
  readonly blobCache?: number | null
}

export const DEFAULT_SETTINGS: Settings = { prices: {}, buyers: null, cpuPercent: 100 }

/** @throws {InosError} ERR_USAGE for what no settings are, SyntaxError for what is no JSON */
export function parseSettings (text: string): Settings {
  const value: unknown = JSON.parse(text)
  const { prices = {}, buyers = null, cpuPercent = DEFAULT_SETTINGS.cpuPercent, relayPerMiB, blobCache, ...rest } = isMap(value) ? value : { unknown: value }
  if (Object.keys(rest).length > 0 || !isMap(prices)) throw new InosError('ERR_USAGE', 'Settings are prices, buyers, cpuPercent, relayPerMiB and blobCache.')
  const read = Object.entries(prices).map(([name, price]) => [name, parsePrice(name, price)])
  return checkSettings({
    prices: Object.fromEntries(read) as Partial<PriceList>, buyers: buyers as string[] | null, cpuPercent: cpuPercent as number, relayPerMiB: relayPerMiB === undefined ? undefined : parsePrice('relayPerMiB', relayPerMiB),
    blobCache: blobCache as number | undefined
  })
}

export function formatSettings ({ prices, buyers, cpuPercent, relayPerMiB, blobCache }: Settings): string {
  const asText = Object.fromEntries(Object.entries(prices).map(([name, price]) => [name, String(price)]))
  return `${JSON.stringify({ prices: asText, buyers, cpuPercent, ...(relayPerMiB === undefined ? {} : { relayPerMiB: String(relayPerMiB) }), ...(blobCache === undefined ? {} : { blobCache }) }, null, 2)}\n`
}

/** @throws {InosError} ERR_USAGE */
export function applyChange (settings: Settings, { prices = {}, buyers = settings.buyers, cpuPercent = settings.cpuPercent, relayPerMiB = settings.relayPerMiB, blobCache = settings.blobCache }: SettingsChange): Settings {
  const next: Partial<PriceList> = { ...settings.prices }
  for (const [name, price] of Object.entries(prices) as [keyof PriceList, bigint | null][]) {
    if (price === null) delete next[name]
    else next[name] = price
  }
  return checkSettings({ prices: next, buyers, cpuPercent, relayPerMiB: relayPerMiB ?? undefined, blobCache: blobCache ?? undefined })
}

function parsePrice (name: string, price: unknown): bigint {
  if (typeof price !== 'string' || !/^\d{1,24}$/.test(price)) throw new InosError('ERR_USAGE', `The price "${name}" is no whole number of µcr as text.`)
  return BigInt(price)
}

function checkSettings ({ prices, buyers, cpuPercent, relayPerMiB, blobCache }: Settings): Settings {
  if (!Number.isSafeInteger(cpuPercent) || cpuPercent < 1 || cpuPercent > 100) throw new InosError('ERR_USAGE', 'The share of the CPU is 1 to 100 percent.')
  const { blobsBytesMin } = LIMITS.store
  if (blobCache !== undefined && (!Number.isSafeInteger(blobCache) || blobCache < blobsBytesMin)) throw new InosError('ERR_USAGE', `The cache of blobs has at least ${blobsBytesMin / 2 ** 20} MiB, which any one of them fits.`)
  return { ...checkTariff({ prices, buyers, relayPerMiB }), cpuPercent, ...(blobCache === undefined ? {} : { blobCache }) }
}
