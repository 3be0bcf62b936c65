/**
 * What this node has seen of others when it bought from them, and of modules when they ran: own
 * evidence only, so nobody can praise or slander. It fades, is kept over restarts, and weighs in the choice.
 */
import { isMap } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { SpecLimits } from '../packet/spec-limits.ts'
import type { Usage } from '../credits/pricing.ts'
import type { Experience, PeerHistory } from './processor.ts'

export interface History {
  /** @param pace how many times longer than expected it took; undefined where that says nothing */
  note (peer: string, experience: Experience, pace?: number): void
  /** By how much a peer counts as dearer and slower than it says; 1 for one that never failed, or nobody knows. */
  burden (peer: string): number
  of (peer: string): PeerHistory | null
  /** A module ran and used this much. */
  ran (module: string, usage: Usage): void
  /** What a run is expected to use: as lately, and at first all that its limits allow. */
  expect (module: string, limits: SpecLimits): Usage
  /** As text to be kept. */
  save (): string
  /** Called after each change that is worth keeping. */
  onChange (listener: () => void): void
}

type Row = { -readonly [K in keyof PeerHistory]: number } & { at: number }

const EXPERIENCES: readonly Experience[] = ['ok', 'lost', 'refused', 'wrong']
/** Jobs done right that make up for one try that ended so. */
const WEIGHTS: Readonly<Record<Experience, number>> = { ok: 0, lost: 4, refused: 1, wrong: 64 }

/**
 * @param now Unix milliseconds
 * @param saved what `save` gave
 * @throws {InosError} ERR_RECORD_INVALID for a text that `save` did not give
 */
export function createHistory (now: () => number, saved?: string): History {
  const rows = saved === undefined ? new Map<string, Row>() : parse(saved)
  const modules = new Map<string, Usage>()
  let changed = (): void => {}

  /** Faded to now. */
  const fade = (row: Row): Row => {
    const ms = Math.max(0, now() - row.at)
    const { historyHalfMs, wrongHalfMs } = LIMITS.market
    const half = 2 ** (-ms / historyHalfMs)
    return { ok: row.ok * half, lost: row.lost * half, refused: row.refused * half, wrong: row.wrong * 2 ** (-ms / wrongHalfMs), pace: 1 + (row.pace - 1) * half, at: now() }
  }

  return {
    note (peer, experience, pace) {
      const known = rows.get(peer)
      const row = known === undefined ? { ok: 0, lost: 0, refused: 0, wrong: 0, pace: 1, at: now() } : fade(known)
      row[experience]++
      if (pace !== undefined) row.pace = (3 * row.pace + Math.min(LIMITS.market.paceMax, Math.max(1, pace))) / 4
      remember(rows, peer, row, LIMITS.market.historyPeersMax)
      changed()
    },
    burden (peer) {
      const row = rows.get(peer)
      if (row === undefined) return 1
      const { ok, pace, ...faded } = fade(row)
      const bad = EXPERIENCES.reduce((sum, name) => sum + WEIGHTS[name] * (name === 'ok' ? 0 : faded[name]), 0)
      const { distrustMin, distrustTimes, distrustFactor } = LIMITS.market
      // Whoever never means to work can offer it for nothing, and no number of failures makes up for that.
      const distrust = bad >= distrustMin && bad > distrustTimes * ok ? distrustFactor : 1
      return distrust * pace * (1 + ok + bad) / (1 + ok)
    },
    of (peer) {
      const row = rows.get(peer)
      if (row === undefined) return null
      const { at: _at, ...faded } = fade(row)
      return faded
    },
    ran (module, { fuel, pages, resultBytes, filesBytes }) {
      remember(modules, module, { fuel, pages, resultBytes, filesBytes }, LIMITS.market.historyModulesMax)
    },
    expect (module, { fuelMax, memoryPagesMax, outputBytesMax }) {
      const last = modules.get(module)
      if (last === undefined) return { fuel: fuelMax, pages: memoryPagesMax, resultBytes: outputBytesMax, filesBytes: 0 }
      return { ...last, fuel: last.fuel < fuelMax ? last.fuel : fuelMax }
    },
    save: () => JSON.stringify({ version: 1, peers: [...rows].map(([peer, { ok, lost, refused, wrong, pace, at }]) => [peer, ok, lost, refused, wrong, pace, at]) }),
    onChange (listener) { changed = listener }
  }
}

/** Set as the latest of at most `max`. */
function remember<T> (map: Map<string, T>, key: string, value: T, max: number): void {
  map.delete(key)
  map.set(key, value)
  if (map.size > max) map.delete(map.keys().next().value!)
}

function parse (text: string): Map<string, Row> {
  const wrong = (cause?: unknown): InosError => new InosError('ERR_RECORD_INVALID', 'It is no history of peers.', { cause })
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (error) {
    throw wrong(error)
  }
  if (!isMap(value) || value['version'] !== 1 || !Array.isArray(value['peers'])) throw wrong()
  return new Map(value['peers'].slice(-LIMITS.market.historyPeersMax).map((row: unknown) => {
    if (!Array.isArray(row) || row.length !== 7 || typeof row[0] !== 'string' || !row.slice(1).every(count => Number.isFinite(count) && count >= 0)) throw wrong()
    const [ok, lost, refused, bad, pace, at] = row.slice(1) as [number, number, number, number, number, number]
    return [row[0], { ok, lost, refused, wrong: bad, pace: Math.min(LIMITS.market.paceMax, Math.max(1, pace)), at }]
  }))
}
