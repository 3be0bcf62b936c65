/**
 * Money after the work: one cheque for all that is owed to a peer, off the caller's path, and the
 * reconciliation of a line when two peers meet again. Both may be called at any time; per peer each
 * runs once at a time.
 */
import { InosError } from '../packet/errors.ts'
import type { Packet } from '../packet/packet.pb.js'
import { own } from './job.ts'
import type { Rooms } from './rooms.ts'

export interface Settlement {
  /** Pay what is owed to a peer; joins the payment under way. Never throws: what stays is sent at the next contact. */
  pay (peer: string): Promise<void>
  /** After a session opened: learn what the peer has, send again what it lacks, then pay. */
  reconcile (peer: string): Promise<void>
  /** Answer a peer's cheque, sync or due. @throws {InosError} refusals */
  answer (peer: string, packet: Packet): Promise<Partial<Packet>>
  /** Resolves when no payment is under way. */
  idle (): Promise<void>
}

export function createSettlement (node: Rooms): Settlement {
  const paying = new Map<string, Promise<void>>()
  const again = new Set<string>()

  /** One at a time per peer; a call during a run asks for one more. */
  const pay = (peer: string): Promise<void> => {
    again.add(peer)
    const current = paying.get(peer)
    if (current !== undefined) return current
    const work = (async () => {
      while (again.delete(peer)) await payAll(node, peer)
    })().catch(error => { node.platform.log(`paying ${peer}`, error) }).finally(() => { paying.delete(peer) })
    paying.set(peer, work)
    return work
  }

  return {
    pay,
    async reconcile (peer) {
      await reconcile(node, peer).catch(error => { node.platform.log(`reconciling with ${peer}`, error) })
      await pay(peer)
    },
    async answer (peer, packet) {
      switch (packet.kind) {
        case 'cheque': return await takeCheque(node, peer, packet)
        case 'sync': return { kind: 'answer', body: own(await node.credits.answerSync(peer, packet.body.slice())) }
        case 'due': {
          await node.credits.acceptReceipt(peer, packet.body.slice())
          // Paid after the answer, so that whoever presents many is not kept waiting.
          void pay(peer)
          return { kind: 'answer' }
        }
        default: throw new InosError('ERR_UNKNOWN_KIND', `This node knows no packet of kind "${packet.kind}".`)
      }
    },
    async idle () {
      while (paying.size > 0) await Promise.all(paying.values())
    }
  }
}

async function payAll (node: Rooms, peer: string): Promise<void> {
  for (let cheque = await node.credits.nextCheque(peer); cheque !== null; cheque = await node.credits.nextCheque(peer)) {
    node.changed()
    if (!await sendCheque(node, peer, cheque.bytes)) return
  }
}

/** @returns whether it was acknowledged */
async function sendCheque (node: Rooms, peer: string, bytes: Uint8Array): Promise<boolean> {
  const answer = await node.sessions().request(peer, { kind: 'cheque', records: [own(bytes)] })
  const [ack] = answer.records
  if (answer.kind === 'ack' && ack !== undefined) {
    await node.credits.takeAck(peer, ack.slice())
    node.changed()
    return true
  }
  if (answer.kind === 'answer' && answer.body.length > 0) {
    await resend(node, peer, answer.body.slice())
    return false
  }
  throw new InosError('ERR_PEER_LOST', `The peer refused a cheque: ${answer.text}`)
}

async function takeCheque (node: Rooms, peer: string, packet: Packet): Promise<Partial<Packet>> {
  const [record] = packet.records
  if (record === undefined || packet.records.length !== 1) throw new InosError('ERR_BAD_PACKET', 'A cheque packet carries exactly one record.')
  const taken = await node.credits.takeCheque(peer, record.slice())
  node.changed()
  return taken.kind === 'ack' ? { kind: 'ack', records: [own(taken.bytes)] } : { kind: 'answer', body: own(taken.body) }
}

async function reconcile (node: Rooms, peer: string): Promise<void> {
  for (const question of node.credits.syncQuestions(peer)) {
    const answer = await node.sessions().request(peer, { kind: 'sync', body: own(question) })
    if (answer.kind === 'refusal') throw new InosError('ERR_PEER_LOST', `The peer refused to reconcile: ${answer.text}`)
    await resend(node, peer, answer.body.slice())
  }
}

/** Send what the peer's answer says it lacks, stored bytes as they are. */
async function resend (node: Rooms, peer: string, answer: Uint8Array): Promise<void> {
  const { resend } = await node.credits.applySync(peer, answer)
  node.changed()
  for await (const { kind, bytes } of resend) {
    if (kind === 'due') {
      const reply = await node.sessions().request(peer, { kind: 'due', body: own(bytes) })
      if (reply.kind === 'refusal') node.platform.log(`presenting a receipt to ${peer}`, new InosError('ERR_VERIFICATION', reply.text))
    } else {
      const reply = await node.sessions().request(peer, { kind: 'cheque', records: [own(bytes)] })
      const [ack] = reply.records
      if (reply.kind !== 'ack' || ack === undefined) throw new InosError('ERR_PEER_LOST', `The peer refused a cheque: ${reply.text}`)
      await node.credits.takeAck(peer, ack.slice())
      node.changed()
    }
  }
}
