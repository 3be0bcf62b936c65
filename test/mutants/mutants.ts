/**
 * Errors planted in the engine and in credits, each as a replacement of source text, and what must find them. A
 * fuzzer that no longer finds one of these is not worth its time.
 */
import type { Edit } from './tree.ts'

export interface Mutant {
  readonly name: string
  /** Each text is found once in its file. */
  readonly edits: readonly Edit[]
  /** Source of modules that show it, and how many of its cases may be needed. */
  readonly only: string
  readonly casesMax: number
}

const SENT_EARLY: Pick<Mutant, 'name' | 'edits'> = {
  name: 'a cheque is sent before it is durable',
  edits: [{ file: 'src/credits/buyer.ts', find: /await journal\.commit\(ledger\.pay\(cheque, peer, this\.#books\.now\(\)\), true\)/g, replace: 'void journal.commit(ledger.pay(cheque, peer, this.#books.now()))' }]
}

/** What the kill campaign of credits must find within a few points. */
export const CRASH_MUTANTS: ReadonlyArray<Pick<Mutant, 'name' | 'edits'>> = [
  SENT_EARLY,
  {
    name: 'a cheque is acknowledged before it is durable',
    edits: [{ file: 'src/credits/seller.ts', find: /await journal\.commit\((\[\.\.\.due, \.\.\.ledger\.takeCheque\(.*\]), true\)/g, replace: 'void journal.commit($1)' }]
  }
]

/** What the campaign of credits must find within 1,000 sequences. */
export const CREDITS_MUTANTS: ReadonlyArray<Pick<Mutant, 'name' | 'edits'>> = [
  SENT_EARLY,
  {
    name: 'a cheque is signed before the sync',
    edits: [{ file: 'src/credits/ledger.ts', find: /return this\.recovery\.isSynced\(peer\) && !this/g, replace: 'return !this' }]
  },
  {
    name: 'a grant that is asked for again is given again',
    edits: [{ file: 'src/credits/hub.ts', find: /if \(amount === 0n \|\| this\.#granted\.has\(id\.toString\(\)\)\)/g, replace: 'if (amount === 0n)' }]
  },
  {
    name: 'the hub clears without a look at the account',
    edits: [{ file: 'src/credits/hub.ts', find: /least\(total - cleared, least\(this\.#covered\(peerIdOfKey\(from\)\), /g, replace: 'least(total - cleared, least(total, ' }]
  }
]

/** What the test of the budget of children must find. */
export const BUDGET_MUTANTS: ReadonlyArray<Pick<Mutant, 'name' | 'edits'>> = [
  {
    name: 'a budget forgets the own part of the parent',
    edits: [{ file: 'src/processor/budget.ts', find: /return costMax - charge\(this\.#own, \{.*?\}\) - this/g, replace: 'return costMax - this' }]
  },
  {
    name: 'a child under way counts as if it burnt all its fuel',
    edits: [{ file: 'src/processor/budget.ts', find: /amount - worstCase\(prices, limits\) \+ budget\.#mostBeyond\(prices, limits\)/g, replace: 'amount - budget.#saved(limits.fuelMax)' }]
  },
  {
    name: 'a budget leaves rounding out',
    edits: [{ file: 'src/processor/budget.ts', find: / \+ \(isRounded \? 1n : 0n\)/g, replace: '' }]
  }
]

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'i32.const costs one unit too much',
    edits: [{ file: 'src/wasm/meter-runs.ts', find: /this\.cost \+= UNITS\[op\]!(?=\n *if)/g, replace: 'this.cost += op === OP.i32Const ? 2 : UNITS[op]!' }],
    only: 'own', casesMax: 60
  },
  {
    name: 'no check before a host call',
    edits: [{ file: 'src/wasm/meter-parts.ts', find: /this\.endIfSpent\(out\)\n(?=\s*const params = )/g, replace: '' }],
    only: 'binaryen', casesMax: 120
  },
  {
    name: 'NaNs are left as they are',
    edits: [
      { file: 'test/metered.ts', find: /NAN_RULE: boolean = \w+/g, replace: 'NAN_RULE: boolean = true' },
      { file: 'test/metered.ts', find: /(= meter\(.*, CAPS)\)/g, replace: '$1, { nan: false })' }
    ],
    only: 'binaryen', casesMax: 240
  }
]
