/**
 * A node's trade as its owner sees and changes it: the tariff of the processor, the CPU share of
 * the executor pool and the room for blobs under one roof, kept in the data directory. How prices move is the processor's.
 */
import { applyChange, type Settings, type SettingsChange } from '../assembly/settings.ts'
import type { Processor } from '../processor/processor.ts'
import { LIMITS } from '../packet/limits.ts'
import type { BlobCache } from './blob-cache.ts'
import type { ExecutorPool } from './executor-pool.ts'
import type { JoinOptions, NodeTrade } from './join.ts'
import { readSettings, writeSettings } from './settings.ts'

/** What is kept, and what holds now: options of `join()` stand above the file. */
export interface TradeSettings { readonly dataDir: string, kept: Settings, current: Settings }

/** @throws {InosError} ERR_DATA_DIR, ERR_USAGE */
export async function openTrade (dataDir: string, { prices, buyers, cpuPercent, blobCache }: JoinOptions): Promise<TradeSettings> {
  const kept = await readSettings(dataDir)
  const current = applyChange(kept, {
    ...(prices === undefined ? {} : { prices }), ...(buyers === undefined ? {} : { buyers }), ...(cpuPercent === undefined ? {} : { cpuPercent }), ...(blobCache === undefined ? {} : { blobCache })
  })
  return { dataDir, kept, current }
}

/** The owner's side of a running node. */
export function tradeOf (settings: TradeSettings, pool: ExecutorPool, blobs: BlobCache, processor: Processor): { trade: () => NodeTrade, setTrade: (change: SettingsChange) => Promise<NodeTrade> } {
  const trade = (): NodeTrade => ({ ...processor.trade(), cpuPercent: settings.current.cpuPercent })
  return {
    trade,
    async setTrade (change) {
      const [kept, current] = [applyChange(settings.kept, change), applyChange(settings.current, change)]
      await writeSettings(settings.dataDir, kept)
      Object.assign(settings, { kept, current })
      pool.share = current.cpuPercent / 100
      blobs.bytesMax = current.blobCache ?? LIMITS.store.blobsBytesMax
      processor.setTariff(current)
      return trade()
    }
  }
}
