/** What a node has done for others: counted from its receipts once, then as they come, so that nobody reads them all again to know. */
import type { Processor } from '../processor/processor.ts'

export interface WorkDone {
  /** Jobs sold, and the fuel they burnt. */
  readonly jobs: number
  readonly fuel: bigint
}

/** With whether more is taken: its owner allows it, and nothing pauses it. */
export interface WorkView extends WorkDone {
  readonly allowed: boolean
  readonly paused: 'hidden' | 'battery' | null
  readonly serving: boolean
  /** What its owner has chosen to pause it; null where there is no such choice. */
  readonly pauses: { readonly hidden: boolean, readonly battery: boolean } | null
}

/** @returns how to look, and how to stop counting @throws what reading the receipts throws */
export async function countWork (node: Pick<Processor, 'receipts' | 'on'>): Promise<{ view (): WorkDone, stop (): void }> {
  let jobs = 0
  let fuel = 0n
  // One that comes while the others are read may be among them.
  let early: Set<string> | null = new Set()
  const add = ({ id, role, fuel: burnt }: { readonly id: string, readonly role: string, readonly fuel: bigint }): void => {
    if (role !== 'sold' || early?.has(id) === true) return
    early?.add(id)
    jobs++
    fuel += burnt
  }
  const stop = node.on('receipt', add)
  try {
    for await (const receipt of node.receipts()) add(receipt)
  } catch (error) {
    stop()
    throw error
  }
  early = null
  return { view: () => ({ jobs, fuel }), stop }
}
