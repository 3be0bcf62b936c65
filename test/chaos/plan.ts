/** What goes wrong in a campaign, and when: drawn from the seed alone, counted in jobs that are done. */
import { draw } from '../crash/draw.ts'

export type Trouble =
  /** Power fails on a host; it starts again after `ms`. */
  | { readonly after: number, readonly do: 'kill', readonly host: number, readonly ms: number }
  /** Nothing passes between the buyer and a host for `ms`. */
  | { readonly after: number, readonly do: 'cut', readonly host: number, readonly ms: number }

/** Jobs for each kill, and for each cut. */
const JOBS_EACH = 100
const EACH_MIN = 3
/** One kill in so many strikes the buyer, and one cut in so many lasts until both ends give the other up. */
const BUYER_EVERY = 8
const LONG_EVERY = 16
const LONG_MS = 70_000
const KILL_MS = { min: 200, max: 4_000 }
const CUT_MS = { min: 500, max: 8_000 }

/** @param hosts the first one is the buyer's @returns in their order */
export function drawTroubles (seed: number, jobs: number, hosts: number): Trouble[] {
  const each = Math.max(EACH_MIN, Math.floor(jobs / JOBS_EACH))
  return Array.from({ length: each }, (_, at): Trouble[] => {
    const number = (name: string, below: number): number => draw(seed, at, name, below)
    const span = ({ min, max }: typeof KILL_MS, name: string): number => min + number(name, max - min)
    // The last ones come while there still is work.
    const after = (name: string): number => Math.floor((at + number(name, 1_000) / 1_000) * jobs * 0.9 / each)
    return [
      { after: after('kill'), do: 'kill', host: at % BUYER_EVERY === 1 ? 0 : 1 + number('victim', hosts - 1), ms: span(KILL_MS, 'down') },
      { after: after('cut'), do: 'cut', host: 1 + number('link', hosts - 1), ms: at % LONG_EVERY === LONG_EVERY - 1 ? LONG_MS : span(CUT_MS, 'length') }
    ]
  }).flat().sort((a, b) => a.after - b.after)
}
