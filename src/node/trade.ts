/** A node's trade, kept in its data directory. */
import type { SettingsChange } from '../assembly/settings.ts'
import { type NodeTrade, tradeOf, type TradeSettings } from '../assembly/trade.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Processor } from '../processor/processor.ts'
import type { BlobShelf } from '../assembly/blob-shelf.ts'
import type { ExecutorPool } from './executor-pool.ts'
import { writeSettings } from './settings.ts'

/** The owner's side of a running node. */
export function keptTrade (dataDir: string, settings: TradeSettings, pool: ExecutorPool, blobs: BlobShelf, processor: Processor): { trade (): NodeTrade, setTrade (change: SettingsChange): Promise<NodeTrade> } {
  return tradeOf(settings, processor, {
    keep: kept => writeSettings(dataDir, kept),
    hold: ({ cpuPercent, blobCache = LIMITS.store.blobsBytesMax }) => {
      pool.share = cpuPercent / 100
      blobs.bytesMax = blobCache
    }
  })
}
