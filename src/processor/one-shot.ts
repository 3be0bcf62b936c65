/**
 * A job from a peer that knows only the first four fields: served out of the free allowance, no
 * credit moves, nothing is stored. `cost` in the answer is what it would have cost.
 */
import { charge } from '../credits/pricing.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Packet } from '../packet/packet.pb.js'
import { describeJob, describeModule, own, runOf } from './job.ts'
import { outcomeError } from '../packet/outcome.ts'
import type { Rooms } from './rooms.ts'

/** @throws {InosError} ERR_ALLOWANCE_SPENT, ERR_POLICY, ERR_BUSY, and whatever the module deserves */
export async function serveOneShot (node: Rooms, peer: string, packet: Packet, signal: AbortSignal): Promise<Partial<Packet>> {
  const offer = node.market.offer()
  if (offer === null) throw new InosError('ERR_POLICY', 'This node takes no work.')
  node.market.requireBuyer(peer)
  if (packet.wasm.length === 0) throw new InosError('ERR_BAD_PACKET', 'A job carries its module in field 1.')
  if (packet.cost < 0n || packet.cost > LIMITS.credits.amountMax) throw new InosError('ERR_BAD_PACKET', `A job cannot cost ${packet.cost} µcr.`)
  const grant = node.allowance.take(peer, LIMITS.job.fuelMax)
  const began = node.platform.now()
  let fuel: bigint | undefined
  try {
    const wasm = await describeModule(packet.wasm, node.platform.digest)
    const limits = { fuelMax: grant.fuelMax, outputBytesMax: LIMITS.wire.frameBytesMax / 2 }
    const job = await describeJob(wasm, packet.input, { limits }, node.platform.digest)
    const outcome = await node.runtime.execute(runOf(job.spec, wasm.bytes, packet.input, null, null), { payer: peer, signal })
    fuel = outcome.fuel
    const failure = outcomeError(outcome)
    if (failure !== null) throw failure
    return { result: own(outcome.result), cost: charge(offer.payload, { fuel, pages: outcome.pages, resultBytes: outcome.result.length, filesBytes: 0 }) }
  } finally {
    // Refusing a module takes time as well: without an outcome that is what counts, a second like 10⁹ fuel.
    grant.end(fuel ?? BigInt(Math.max(0, Math.ceil(node.platform.now() - began))) * 1_000_000n)
  }
}
