/**
 * Clearing in a private mesh: a member shows the cheques it was given to the issuer, off everybody's
 * path, and tells each payer what the issuer said. One request at a time; while the issuer is away
 * the cheques wait, and are shown at the next contact or at the next upkeep.
 */
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Packet } from '../packet/packet.pb.js'
import { own } from './job.ts'
import type { Rooms } from './rooms.ts'

export interface Clearing {
  /** Show what the issuer has not seen. @param again and what it has not cleared in full. Never throws; joins what is under way */
  claim (again?: boolean): Promise<void>
  /** As a member that meets its issuer: first the issuer's own word on each lane, which an old copy of its books lacks, then what is not cleared. Never throws. */
  remind (): Promise<void>
  /** Tell a payer what the issuer last said of its cheques to this node. Never throws: one that is not told now is told when it is next met. */
  tell (peer: string): Promise<void>
  /** Answer a peer's claims, or hear what it was told. @throws {InosError} refusals */
  answer (peer: string, packet: Packet): Promise<Partial<Packet>>
  /** Resolves when nothing is under way. */
  idle (): Promise<void>
}

/** Sends one packet and waits only so long for its answer. */
export type Ask = (peer: string, packet: Partial<Packet>) => Promise<Packet>

export function createClearing (node: Rooms, ask: Ask): Clearing {
  let wanted: { again: boolean } | null = null
  let current: Promise<void> | null = null
  const telling = new Set<Promise<void>>()

  const run = async (issuer: string): Promise<void> => {
    while (wanted !== null && !node.stopping.aborted) {
      const { again } = wanted
      wanted = null
      try {
        for (const page of await node.credits.claims(again)) await show(issuer, page)
      } catch (error) {
        node.platform.log(`clearing at ${issuer}`, error)
      }
    }
  }

  const show = async (issuer: string, cheques: readonly Uint8Array[]): Promise<void> => {
    const answer = await ask(issuer, { kind: 'clear', records: cheques.map(own) })
    if (answer.kind !== 'answer') throw new InosError('ERR_PEER_LOST', `The issuer refused to clear: ${answer.text}`)
    for (const record of answer.records.slice(0, LIMITS.wire.recordsPerPacketMax)) {
      const payer = await node.credits.takeClearing(record.slice())
      if (node.isOpen(payer)) tellSoon(payer)
    }
    node.changed()
  }

  const say = async (peer: string, clearings: readonly Uint8Array[]): Promise<void> => {
    const answer = await ask(peer, { kind: 'clearing', records: clearings.map(own) })
    if (answer.kind === 'refusal') throw new InosError('ERR_PEER_LOST', `The peer refused to hear what was cleared: ${answer.text}`)
  }

  const tell = async (peer: string): Promise<void> => {
    try {
      const clearing = node.credits.account() === null ? null : await node.credits.clearingOf(peer)
      if (clearing !== null) await say(peer, [clearing])
    } catch (error) {
      node.platform.log(`telling ${peer} what was cleared`, error)
    }
  }

  const tellSoon = (peer: string): void => {
    const told = tell(peer).finally(() => { telling.delete(told) })
    telling.add(told)
  }

  const claim = (again = false): Promise<void> => {
    const issuer = node.credits.account()?.issuer
    if (issuer === undefined || node.stopping.aborted) return Promise.resolve()
    wanted = { again: again || wanted?.again === true }
    return current ??= run(issuer).finally(() => { current = null })
  }

  return {
    claim,
    tell,
    async remind () {
      const issuer = node.credits.account()?.issuer
      if (issuer === undefined) return
      try {
        for (const page of await node.credits.clearings()) await say(issuer, page)
      } catch (error) {
        node.platform.log(`reminding ${issuer} of what it cleared`, error)
      }
      await claim(true)
    },
    async answer (peer, { kind, records }) {
      // An issuer compares its books with a member's before it moves money.
      if (node.credits.isIssuer && !node.credits.isSynced(peer)) await node.settlement.reconcile(peer)
      if (kind === 'clear') return await clear(node, peer, records)
      for (const record of records) {
        const payee = await node.credits.takeClearing(record.slice())
        if (payee !== peer) throw new InosError('ERR_RECORD_INVALID', 'A clearing is told by who was paid.')
      }
      node.changed()
      return { kind: 'answer' }
    },
    async idle () {
      await current
      await Promise.all(telling)
    }
  }
}

async function clear (node: Rooms, peer: string, records: readonly Uint8Array[]): Promise<Partial<Packet>> {
  if (records.length === 0) throw new InosError('ERR_BAD_PACKET', 'A claim carries at least one cheque.')
  const clearings = await node.credits.clear(peer, records.map(record => record.slice()))
  node.changed()
  void node.settlement.pay(peer)
  return { kind: 'answer', records: clearings.map(own) }
}
