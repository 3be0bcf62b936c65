/**
 * What a person sees while the demo runs: lines of news, and on a terminal below them a table that
 * changes in place. All of it goes to stderr.
 */
import type { Writable } from 'node:stream'
import { type Colors, table } from '../../cli/output.ts'
import { formatCredits, groupDigits } from '../../src/packet/amounts.ts'
import type { Tally } from './dispatch.ts'
import type { Member } from './member.ts'

const REDRAW_MS = 100
const HEAD = ['node', 'state', 'tiles', 'for others', 'bought', 'Mfuel', 'balance'] as const

export interface Board {
  /** One line of news. */
  say (line: string): void
  /** News that the table tells as well: only where there is none. */
  count (line: string): void
  /** Something in the table changed. */
  touch (): void
  /** Draw the table a last time and leave it; it changes no more. */
  close (): void
}

export function createBoard (stream: Writable, terminal: boolean, colors: Colors, rows: () => string[][]): Board {
  let drawn = 0
  let open = terminal
  let timer: NodeJS.Timeout | undefined

  const draw = (): void => {
    timer = undefined
    const [head, ...lines] = table([HEAD, ...rows()]).trimEnd().split('\n')
    const text = [colors.bold(head ?? ''), ...lines].join('\n')
    // Up to the first line of the table, and clear from there.
    stream.write(`${drawn > 0 ? `\u001b[${drawn}A\u001b[J` : ''}${text}\n`)
    drawn = lines.length + 1
  }
  const erase = (): void => {
    clearTimeout(timer)
    timer = undefined
    if (drawn > 0) stream.write(`\u001b[${drawn}A\u001b[J`)
    drawn = 0
  }
  const say = (line: string): void => {
    const showing = drawn > 0
    erase()
    stream.write(`${line}\n`)
    if (showing) draw()
  }
  return {
    say,
    count: line => { if (!terminal) say(line) },
    touch: () => { if (open) timer ??= setTimeout(draw, REDRAW_MS).unref() },
    close: () => {
      clearTimeout(timer)
      if (open) draw()
      open = false
    }
  }
}

/** A node's row of the table. */
export function describeMember (member: Member, tally: Tally): string[] {
  return [
    member.name, describeState(member, tally), String(tally.tiles), String(tally.tilesForOthers), String(tally.bought),
    groupDigits(tally.fuel / 1_000_000n), formatCredits(member.balance)
  ]
}

function describeState ({ running, up, id }: Member, { busy }: Tally): string {
  if (running) return up ? busy > 0 ? 'working' : 'idle' : 'starting'
  return id === '' ? 'new' : 'killed'
}
