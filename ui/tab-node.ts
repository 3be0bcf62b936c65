/** A node in this page: joined by what a person pasted, or a refusal with what to do next. Nothing here runs before a yes. */
import { isForTabs, readJoining } from '../src/assembly/tab-link.ts'
import { join, type Node } from '../src/browser/join.ts'
import { verify } from '../src/browser/platform.ts'
import { type ErrorCode, InosError, toInosError } from '../src/packet/errors.ts'
import { decodeInvitation } from '../src/packet/invite.ts'
import { LIMITS } from '../src/packet/limits.ts'
import { byPromise } from '../src/network/places.ts'
import { WEBRTC } from '../src/network/shelter.ts'
import type { Choices } from './tab-choices.ts'

export interface Trouble { readonly message: string, readonly next: string | null }

/** What to do, in words for whoever sits before the page. */
const NEXT: Readonly<Partial<Record<ErrorCode, string>>> = {
  ERR_DATA_DIR: 'Close the other tab of this page, then try again. If there is none, the browser keeps nothing for this site: open the page over https, and not in a private window.',
  ERR_STORE: 'Free some room on this machine. If that does not help, delete what the browser keeps of this site to begin anew; what this tab has earned is lost then.',
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
    // Through relays others reach it as well, where one is met, and tabs find each other from there.
    listen: [WEBRTC], pause: { hidden, battery }, signal, log: line => { console.debug(line) },
    ...('invite' in named ? { mesh: named.invite } : {}), ...(slots === 0 ? {} : { slots })
  })
  try {
    if ('addresses' in named) await connectAny(node, named.addresses, signal)
    // A member is one without its issuer as well, which was met when the invite was new.
    else void connectAny(node, decodeInvitation(named.invite, verify).routes.filter(isForTabs), signal).catch(() => {})
    signal.throwIfAborted()
    if (work) node.serve(true)
    return node
  } catch (error) {
    await node.stop()
    throw error
  }
}

/** They are of one node, so one that answers is enough; one after another, for dials of one peer at a time are one dial. @throws {InosError} ERR_NOT_REACHABLE */
async function connectAny (node: Node, addresses: readonly string[], signal: AbortSignal): Promise<void> {
  let last: unknown
  for (const address of byPromise(addresses)) {
    try {
      await node.connect(address, AbortSignal.any([signal, AbortSignal.timeout(LIMITS.wire.dialMsMax)]))
      return
    } catch (error) {
      signal.throwIfAborted()
      last = error
    }
  }
  throw new InosError('ERR_NOT_REACHABLE', `The node of this link was not reached: ${last === undefined ? 'it has no address that a browser dials.' : toInosError(last).message}`, { cause: last })
}
