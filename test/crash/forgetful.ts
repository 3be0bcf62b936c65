/**
 * A disk at its worst: what was not synced is in memory alone, until the next synced batch writes it,
 * or a kill takes it. A sync takes its time, in which whatever does not wait for it has long left.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Op, Store } from '../../src/credits/store.ts'
import type { Step } from './messages.ts'

const SYNC_MS = 10

/** @param pass told before and after each batch, and while one is about to be synced */
export function forgetful (store: Store, pass: (step: Step) => void): Store {
  const loose = new Map<string, Uint8Array | null>()
  return {
    async get (key) {
      const value = loose.get(key)
      return value === undefined ? await store.get(key) : value ?? undefined
    },
    async batch (ops, { sync }) {
      pass(sync ? 'before synced batch' : 'before batch')
      for (const op of ops) loose.set(op.key, op.type === 'put' ? op.value : null)
      if (sync) {
        await sleep(SYNC_MS)
        pass('amid synced batch')
        const all = Array.from(loose, ([key, value]): Op => value === null ? { type: 'del', key } : { type: 'put', key, value })
        await store.batch(all, { sync })
        loose.clear()
      }
      pass(sync ? 'after synced batch' : 'after batch')
    },
    iterator ({ gte, lt }) {
      const over = new Map(loose)
      const under = store.iterator({ gte, lt })
      return (async function * () {
        const rows = new Map<string, Uint8Array>()
        for await (const [key, value] of under) rows.set(key, value)
        for (const [key, value] of over) {
          if (key < gte || key >= lt) continue
          if (value === null) rows.delete(key)
          else rows.set(key, value)
        }
        yield * [...rows].sort(([a], [b]) => a < b ? -1 : 1)
      })()
    }
  }
}
