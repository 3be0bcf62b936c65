/**
 * What `join()` does alike on every platform, once its parts are open: being let into a private mesh, meeting
 * the peers that were named, and the methods of a member. Which parts there are is the platform's choice.
 */
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Membership } from '../network/membership.ts'
import type { Network } from '../network/network.ts'
import type { Processor } from '../processor/processor.ts'
import type { Platform } from '../processor/rooms.ts'
import type { MeshMethods } from './mesh-methods.ts'
import { amountOf, beLetIn, rulesOf, termsOf, viewOf } from './mesh.ts'
import type { CommonOptions } from './node.ts'

/** With an invite that is not redeemed yet: redeem it. @throws {InosError} ERR_USAGE, and as `beLetIn` */
export async function redeem (membership: Membership, network: Network | null, signal: AbortSignal | undefined): Promise<void> {
  if (!membership.isPending) return
  if (network === null) throw new InosError('ERR_USAGE', 'An invite is redeemed over the network, and this node has none.')
  await beLetIn(membership, network, signal)
}

/** A member gets what its certificate promises when it is met; what was given before is not given again. */
export function giveGrants (membership: Membership, platform: Platform, processor: Processor): void {
  processor.on('peer:connect', ({ peer }) => {
    const certificate = membership.certificateOf(peer)
    if (certificate === null) return
    processor.giveGrant(peer, certificate.payload.grant, certificate.id.toString()).catch((error: unknown) => { platform.log(`giving ${peer} its grant`, error) })
  })
}

export function meshOf (membership: Membership | null, processor: Processor): MeshMethods {
  const member = (): Membership => {
    if (membership !== null) return membership
    throw new InosError('ERR_NOT_MEMBER', 'This node belongs to no private mesh.', { hint: 'Found one with `inos mesh create`, or join one with `inos mesh join INVITE`.' })
  }
  return {
    mesh: () => membership === null ? null : viewOf(membership),
    amend: async changes => {
      await member().amend(rulesOf(changes))
      return viewOf(member())
    },
    invite: async (options = {}) => member().inviteText(termsOf(options), options.routes?.length ? options.routes : processor.addresses()),
    members: () => member().members().map(view => ({ ...view, account: member().isIssuer && !view.issuer ? processor.accountOf(view.id) : null })),
    grant: async (peer, amount) => {
      const { id, payload: { grant } } = member().promise(peer, amountOf(amount))
      await processor.giveGrant(peer, grant, id.toString())
    },
    revoke: async peer => { await member().revoke(peer) }
  }
}

/** Connect to each of them. @throws {InosError} ERR_NOT_REACHABLE when one can't be reached, ERR_USAGE */
export async function connectAll (processor: Processor, addresses: readonly string[], signal: AbortSignal | undefined): Promise<void> {
  await Promise.all(addresses.map(address => connect(processor, address, signal)))
}

async function connect (processor: Processor, address: string, signal: AbortSignal | undefined): Promise<void> {
  const late = AbortSignal.timeout(LIMITS.wire.dialMsMax)
  try {
    await processor.connect(address, signal === undefined ? late : AbortSignal.any([late, signal]))
  } catch (error) {
    if (!late.aborted || signal?.aborted === true) throw error
    throw new InosError('ERR_NOT_REACHABLE', `${address} was not reached within ${LIMITS.wire.dialMsMax / 1000} s.`, { cause: error })
  }
}

/** What `join()` is told of lines and pools, as the books take it. */
export function creditsOptions ({ lineMax, poolMax, sellerPoolMax }: CommonOptions): Pick<CommonOptions, 'lineMax' | 'poolMax' | 'sellerPoolMax'> {
  return { ...(lineMax === undefined ? {} : { lineMax }), ...(poolMax === undefined ? {} : { poolMax }), ...(sellerPoolMax === undefined ? {} : { sellerPoolMax }) }
}

/** One call, however often it is asked for. */
export function once<T> (make: () => Promise<T>): () => Promise<T> {
  let made: Promise<T> | undefined
  return () => made ??= make()
}
