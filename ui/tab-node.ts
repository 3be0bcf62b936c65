/** A node in this page: joined by what a person pasted, or a refusal with what to do next. Nothing here runs before a yes. */
import { readJoining } from '../src/assembly/tab-link.ts'
import { join, type Node } from '../src/browser/join.ts'
import { type ErrorCode, InosError, toInosError } from '../src/packet/errors.ts'
import { LIMITS } from '../src/packet/limits.ts'
import { CIRCUIT } from '../src/network/shelter.ts'
import type { Choices } from './tab-choices.ts'

export interface Trouble { readonly message: string, readonly next: string | null }

/** What to do, in words for whoever sits before the page. */
const NEXT: Readonly<Partial<Record<ErrorCode, string>>> = {
  ERR_DATA_DIR: 'Close the other tab of this page, then try again. If there is none, the browser keeps nothing for this site: open the page over https, and not in a private window.',
  ERR_NOT_REACHABLE: 'Ask whoever sent the link whether their node runs and can be reached from here; then try again.',
  ERR_INVITE: 'Ask for a new invite: it may be used up, expired or cut off.',
  ERR_NOT_MEMBER: 'Ask for an invite to that mesh.'
}

export function describeTrouble (thrown: unknown): Trouble {
  const { code, message, hint } = toInosError(thrown)
  return { message, next: code === 'ERR_USAGE' || (code === 'ERR_NOT_REACHABLE' && hint !== undefined) ? hint ?? null : NEXT[code] ?? hint ?? null }
}

/** @throws {InosError} as `join` and `readJoining`; nothing is left open then */
export async function openNode ({ joining, slots, hidden, battery }: Choices, work: boolean, signal: AbortSignal): Promise<Node> {
  const named = readJoining(joining)
  const node = await join({
    // Through relays others reach it as well, where one is met.
    listen: [CIRCUIT], pause: { hidden, battery }, signal, log: line => { console.debug(line) },
    ...('invite' in named ? { mesh: named.invite } : {}), ...(slots === 0 ? {} : { slots })
  })
  try {
    if ('addresses' in named) await connectAny(node, named.addresses, signal)
    signal.throwIfAborted()
    if (work) node.serve(true)
    return node
  } catch (error) {
    await node.stop()
    throw error
  }
}

/** They are of one node, so one that answers is enough. @throws {InosError} ERR_NOT_REACHABLE */
async function connectAny (node: Node, addresses: readonly string[], signal: AbortSignal): Promise<void> {
  const late = AbortSignal.any([signal, AbortSignal.timeout(LIMITS.wire.dialMsMax)])
  const tries = await Promise.allSettled(addresses.map(address => node.connect(address, late)))
  if (tries.some(({ status }) => status === 'fulfilled')) return
  signal.throwIfAborted()
  const [first] = tries
  throw new InosError('ERR_NOT_REACHABLE', `The node of this link was not reached: ${first?.status === 'rejected' ? toInosError(first.reason).message : 'it has no address'}`, { cause: first })
}
