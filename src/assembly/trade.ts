/**
 * A node's trade as its owner sees and changes it: the tariff of the processor, the CPU share of its
 * executors and the room for blobs under one roof. How prices move is the processor's, where settings are kept the platform's.
 */
import type { Processor, TradeView } from '../processor/processor.ts'
import { applyChange, type Settings, type SettingsChange } from './settings.ts'

export interface NodeTrade extends TradeView { readonly cpuPercent: number }

/** What is kept, and what holds now: options of `join()` stand above what is kept. */
export interface TradeSettings { kept: Settings, current: Settings }

/** How a platform lets settings outlive it and hold. */
export interface TradeHands { keep (settings: Settings): Promise<void>, hold (settings: Settings): void }

/** The owner's side of a running node. */
export function tradeOf (settings: TradeSettings, processor: Processor, { keep, hold }: TradeHands): { trade (): NodeTrade, setTrade (change: SettingsChange): Promise<NodeTrade> } {
  const trade = (): NodeTrade => ({ ...processor.trade(), cpuPercent: settings.current.cpuPercent })
  return {
    trade,
    async setTrade (change) {
      const [kept, current] = [applyChange(settings.kept, change), applyChange(settings.current, change)]
      await keep(kept)
      Object.assign(settings, { kept, current })
      hold(current)
      processor.setTariff(current)
      return trade()
    }
  }
}

/** The options of `join()` stand above what was kept. @throws {InosError} ERR_USAGE */
export function aboveKept (kept: Settings, { prices, buyers, cpuPercent, blobCache }: { prices?: SettingsChange['prices'], buyers?: readonly string[] | null, cpuPercent?: number, blobCache?: number }): TradeSettings {
  const change = { ...(prices === undefined ? {} : { prices }), ...(buyers === undefined ? {} : { buyers }), ...(cpuPercent === undefined ? {} : { cpuPercent }), ...(blobCache === undefined ? {} : { blobCache }) }
  return { kept, current: applyChange(kept, change) }
}
