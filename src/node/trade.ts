/**
 * A node's trade as its owner sees and changes it: the tariff of the processor and the CPU share of
 * the executor pool under one roof, kept in the data directory. How prices move is the processor's.
 */
import type { Processor } from '../processor/processor.ts'
import type { ExecutorPool } from './executor-pool.ts'
import type { JoinOptions, NodeTrade } from './join.ts'
import { applyChange, readSettings, type Settings, type SettingsChange, writeSettings } from './settings.ts'

/** What is kept, and what holds now: options of `join()` stand above the file. */
export interface TradeSettings { readonly dataDir: string, kept: Settings, current: Settings }

/** @throws {InosError} ERR_DATA_DIR, ERR_USAGE */
export async function openTrade (dataDir: string, { prices, buyers, cpuPercent }: JoinOptions): Promise<TradeSettings> {
  const kept = await readSettings(dataDir)
  const current = applyChange(kept, {
    ...(prices === undefined ? {} : { prices }), ...(buyers === undefined ? {} : { buyers }), ...(cpuPercent === undefined ? {} : { cpuPercent })
  })
  return { dataDir, kept, current }
}

/** The owner's side of a running node. */
export function tradeOf (settings: TradeSettings, pool: ExecutorPool, processor: Processor): { trade: () => NodeTrade, setTrade: (change: SettingsChange) => Promise<NodeTrade> } {
  const trade = (): NodeTrade => ({ ...processor.trade(), cpuPercent: settings.current.cpuPercent })
  return {
    trade,
    async setTrade (change) {
      const [kept, current] = [applyChange(settings.kept, change), applyChange(settings.current, change)]
      await writeSettings(settings.dataDir, kept)
      Object.assign(settings, { kept, current })
      pool.share = current.cpuPercent / 100
      processor.setTariff(current)
      return trade()
    }
  }
}
