/**
 * Whether a tab works for others now: as long as its user has said yes, and what was chosen to pause it does not hold. Nothing
 * runs before that yes, and what is at work when it ends is finished.
 */
import type { Processor } from '../processor/processor.ts'

/** What pauses the work of a tab. */
export interface PauseOptions {
  /** While nobody can see the page. @default false */
  readonly hidden?: boolean
  /** While the machine runs on its battery, where the browser tells. @default false */
  readonly battery?: boolean
}

/** What a tab does for others. */
export interface Work {
  /** Whether its user has said yes. */
  readonly allowed: boolean
  /** Why it takes nothing all the same; null where nothing pauses it. */
  readonly paused: 'hidden' | 'battery' | null
  /** Both: it takes work. */
  readonly serving: boolean
}

/** https://www.w3.org/TR/battery-status/, which TypeScript's types do not know. */
interface Battery extends EventTarget { readonly charging: boolean }
type WithBattery = Navigator & { getBattery? (): Promise<Battery> }

export interface Serving {
  allow (yes: boolean): void
  /** Choose anew what pauses it. */
  pause (options: PauseOptions): void
  view (): Work
  close (): void
}

/** @param serve what starts and ends the taking of work @param changed told of each change */
export function createServing (serve: Processor['serve'], chosen: PauseOptions, changed: () => void): Serving {
  const closed = new AbortController()
  let allowed = false
  let { hidden = false, battery: onBattery = false } = chosen
  let isWatched = false
  let charging = true
  const paused = (): Work['paused'] => hidden && document.hidden ? 'hidden' : onBattery && !charging ? 'battery' : null
  const view = (): Work => ({ allowed, paused: paused(), serving: allowed && paused() === null })
  const look = (): void => {
    if (closed.signal.aborted) return
    serve(view().serving)
    changed()
  }
  // The battery is asked for when somebody wants to know, and once.
  const watchBattery = (): void => {
    if (!onBattery || isWatched) return
    isWatched = true
    void (navigator as WithBattery).getBattery?.().then(found => {
      const heed = (): void => {
        charging = found.charging
        look()
      }
      found.addEventListener('chargingchange', heed, closed)
      heed()
    }, () => {})
  }
  document.addEventListener('visibilitychange', look, closed)
  watchBattery()
  return {
    allow (yes) {
      allowed = yes
      look()
    },
    pause (options) {
      ({ hidden = false, battery: onBattery = false } = options)
      watchBattery()
      look()
    },
    view,
    close () { closed.abort() }
  }
}
