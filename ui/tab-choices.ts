/**
 * What a person has chosen for this tab. Choices are kept by the site, over reloads and visits. A yes is not: it holds for one tab and one link,
 * over reloads, until Stop or the tab's end.
 */
import type { Pauses } from './in-page.ts'

export interface Choices extends Pauses {
  /** The invite or addresses, as pasted or linked. */
  readonly joining: string
  /** Jobs at once; 0: as many as there are cores. */
  readonly slots: number
}

const CHOICES = 'inos-tab'
const YES = 'inos-tab-yes'
const DEFAULT: Choices = { joining: '', hidden: false, battery: true, slots: 0 }

export function readChoices (): Choices {
  try {
    const { joining, hidden, battery, slots } = JSON.parse(localStorage.getItem(CHOICES) ?? '{}') as Partial<Choices>
    return {
      joining: typeof joining === 'string' ? joining : DEFAULT.joining, hidden: typeof hidden === 'boolean' ? hidden : DEFAULT.hidden, battery: typeof battery === 'boolean' ? battery : DEFAULT.battery,
      slots: Number.isSafeInteger(slots) && slots! > 0 ? slots! : DEFAULT.slots
    }
  } catch {
    return DEFAULT
  }
}

export function keepChoices (choices: Choices): void { localStorage.setItem(CHOICES, JSON.stringify(choices)) }

/** Take what a link names out of the address bar, where a glance or a screenshot would have it. @returns null for a page opened without */
export function takeJoining (): string | null {
  const found = /^#join=(.+)$/.exec(location.hash)?.[1]
  if (found === undefined) return null
  history.replaceState(null, '', `${location.pathname}${location.search}`)
  return found
}

/** Whether this tab has said yes to that link: to work, or to be a node that only buys. */
export function readYes (joining: string): 'work' | 'buy' | null {
  const kept = sessionStorage.getItem(YES)
  return kept === `work ${joining}` ? 'work' : kept === `buy ${joining}` ? 'buy' : null
}

export function keepYes (joining: string, how: 'work' | 'buy' | null): void {
  if (how === null) sessionStorage.removeItem(YES)
  else sessionStorage.setItem(YES, `${how} ${joining}`)
}
