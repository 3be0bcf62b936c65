/**
 * Money after the work: one cheque for all that is owed to a peer, off the caller's path, and the
 * reconciliation of a line when two peers meet again. Both may be asked for at any time; per peer
 * one at a time runs.
 */
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Packet } from '../packet/packet.pb.js'
import { readBundle } from '../credits/bundle.ts'
import type { Resend, SyncResult } from '../credits/reconcile.ts'
import { decodeAnswer } from '../credits/sync.ts'
import { createClearing } from './clear.ts'
import { within } from './deadline.ts'
import { own } from './job.ts'
import { keepLate } from './keyed.ts'
import { checkLate, packDue } from './late.ts'
import type { Rooms } from './rooms.ts'

export interface Settlement {
  /** Pay what is owed to a peer; joins what is under way. Never throws: what stays is sent at the next contact. */
  pay (peer: string): Promise<void>
  /** The same soon: at once after a pause, else with what else is owed by then. One cheque on disk at both ends serves many jobs in a row. */
  paySoon (peer: string): void
  /** After a session opened, or an order's end is unknown: learn what the peer has, send what it lacks, then pay. */
  reconcile (peer: string): Promise<void>
  /**
   * A job waits for the answer to this order: until the scope of what comes back ends, its receipt
   * is taken with the answer and its result, where it is checked, and not when shown alone.
   */
  await (order: string): Disposable
  /**
   * The job is done elsewhere or not at all: its hold ends, a receipt shown for the order later is not paid, and the peer is
   * told, now or at the next contact. Durable when this resolves.
   */
  giveUp (peer: string, order: string): Promise<void>
  /** In a mesh: show the issuer cheques that it has not cleared; joins what is under way. Never throws. @param again also those that have bounced */
  claim (again: boolean): Promise<void>
  /** In a mesh, after its issuer was met: remind it of what it has cleared, then show it what it has not. Never throws. */
  remind (): Promise<void>
  /** Answer a peer's cheque, sync, due, or what clearing needs. @throws {InosError} refusals */
  answer (peer: string, packet: Packet): Promise<Partial<Packet>>
  /** Resolves when nothing is under way. */
  idle (): Promise<void>
}

/** What is under way with one peer, and whether more was asked for since. */
interface Turn { reconcile: boolean, pay: boolean, done: Promise<void> }

export function createSettlement (node: Rooms): Settlement {
  const turns = new Map<string, Turn>()
  const clearing = createClearing(node, (peer, packet) => ask(node, peer, packet))
  const awaited = new Set<string>()
  /** Whether changed lanes wait for the moment to be handed to their keepers. */
  let replicating = false
  /** Peers that were paid a moment ago, and whether there is something to pay since. */
  const resting = new Map<string, boolean>()
  /** Peers to be asked again about orders that run there without this node waiting for them. */
  const asking = new Set<string>()

  const join = (peer: string, what: 'reconcile' | 'pay'): Promise<void> => {
    const current = turns.get(peer)
    if (current !== undefined) {
      current[what] = true
      return current.done
    }
    const turn: Turn = { reconcile: false, pay: false, done: Promise.resolve() }
    turn[what] = true
    turns.set(peer, turn)
    turn.done = run(peer, turn).finally(() => { turns.delete(peer) })
    return turn.done
  }

  const run = async (peer: string, turn: Turn): Promise<void> => {
    while ((turn.reconcile || turn.pay) && node.isOpen(peer)) {
      // Sync before sign; after that, only what was asked for.
      const first = turn.reconcile || !node.credits.isSynced(peer)
      turn.reconcile = turn.pay = false
      try {
        await tellCancels(node, peer)
        if (first) {
          if (await reconcile(node, peer)) void askAgain(peer)
          await clearing.tell(peer)
        }
        await payAll(node, peer)
        void replicateLater()
      } catch (error) {
        node.platform.log(`settling with ${peer}`, error)
      }
    }
  }

  /** One question for all lanes that change within a few seconds, not a packet per job. */
  const replicateLater = async (): Promise<void> => {
    if (replicating || keepersOf(node).length === 0) return
    replicating = true
    try {
      await node.platform.sleep(LIMITS.credits.replicaMsMin, node.stopping)
    } catch {
      // A node that stops hands them out at once, in `leave`.
      return
    } finally {
      replicating = false
    }
    await Promise.all(keepersOf(node).map(peer => join(peer, 'reconcile')))
  }

  /** An order that was cancelled still ran when the peer was asked: its hold stays until the peer says otherwise. */
  const askAgain = async (peer: string): Promise<void> => {
    if (asking.has(peer)) return
    asking.add(peer)
    try {
      const { askMsMin, askMsMax } = LIMITS.market
      for (let ms: number = askMsMin, open = true; open && node.isOpen(peer); ms = Math.min(2 * ms, askMsMax)) {
        await node.platform.sleep(ms, node.stopping)
        open = node.isOpen(peer) && await reconcile(node, peer)
      }
    } catch (error) {
      if (!node.stopping.aborted) node.platform.log(`asking ${peer} about lost orders`, error)
    } finally {
      asking.delete(peer)
    }
  }

  const paySoon = async (peer: string): Promise<void> => {
    if (resting.has(peer)) {
      resting.set(peer, true)
      return
    }
    try {
      do {
        resting.set(peer, false)
        await join(peer, 'pay')
        await node.platform.sleep(LIMITS.credits.chequeMsMin, node.stopping)
      } while (resting.get(peer) === true)
    } catch {
      // A node that stops pays at once, in `leave`.
    } finally {
      resting.delete(peer)
    }
  }

  /** @returns this node's word that it gave the order up, for who shows a receipt of it */
  const takeDue = async (peer: string, bundle: Uint8Array, tree: Uint8Array): Promise<Uint8Array | null> => {
    const records = readBundle(bundle)
    const order = records.order.id.toString()
    if (awaited.has(order)) throw new InosError('ERR_BUSY', `The answer to the order ${order} is still awaited.`)
    await checkLate(node, peer, records, tree)
    try {
      await node.credits.acceptReceipt(peer, records)
    } catch (error) {
      const cancel = error instanceof InosError && error.code === 'ERR_GONE' ? await node.credits.cancelOf(order) : null
      if (cancel === null) throw error
      return cancel
    }
    // Whoever has its key will ask for what the receipt names; its seller keeps that until it is paid.
    if (node.credits.isKeyed(order)) await keepLate(node, records)
    node.changed()
    return null
  }

  const answerSync = async (peer: string, question: Uint8Array): Promise<Uint8Array> => {
    const answer = await node.credits.answerSync(peer, question)
    // Their receipts are what the peer lacks.
    if (decodeAnswer(answer).done.length > 0) void join(peer, 'reconcile')
    return answer
  }

  return {
    pay: peer => join(peer, 'pay'),
    paySoon (peer) { void paySoon(peer) },
    reconcile: peer => join(peer, 'reconcile'),
    await (order) {
      awaited.add(order)
      return { [Symbol.dispose]: () => { awaited.delete(order) } }
    },
    async giveUp (peer, order) {
      await node.credits.giveUpOrder(order)
      node.changed()
      void join(peer, 'pay')
    },
    claim: again => clearing.claim(again),
    remind: () => clearing.remind(),
    async answer (peer, packet) {
      switch (packet.kind) {
        case 'cheque': {
          const answer = await takeCheque(node, peer, packet)
          if (answer.kind === 'ack') void clearing.claim()
          return answer
        }
        case 'clear': case 'clearing': return await clearing.answer(peer, packet)
        case 'sync': return { kind: 'answer', body: own(await answerSync(peer, packet.body.slice())) }
        case 'due': {
          const cancel = await takeDue(peer, packet.body.slice(), packet.tree.slice())
          if (cancel !== null) return { kind: 'answer', records: [own(cancel)] }
          // Paid after the answer, so that whoever presents many is not kept waiting.
          void join(peer, 'pay')
          return { kind: 'answer' }
        }
        case 'cancelled': {
          await takeCancels(node, peer, packet)
          return { kind: 'answer' }
        }
        default: throw new InosError('ERR_UNKNOWN_KIND', `This node knows no packet of kind "${packet.kind}".`)
      }
    },
    async idle () {
      while (turns.size > 0) await Promise.all(Array.from(turns.values(), ({ done }) => done))
      await clearing.idle()
    }
  }
}

/** Peers that a question would hand replicas of changed lanes, as many as are to keep one. */
export function keepersOf (node: Rooms): string[] {
  return node.sessions().list().map(({ id }) => id).filter(id => node.isOpen(id) && node.credits.hasReplicasFor(id)).slice(0, LIMITS.credits.keepersMax)
}

/** Ask a peer, and wait only so long: one that never answers must not keep its other payments waiting. */
async function ask (node: Rooms, peer: string, packet: Partial<Packet>): Promise<Packet> {
  return await within(node, LIMITS.credits.answerMsMax, `${peer} did not answer`, signal => node.sessions().request(peer, packet, { signal }))
}

/** What the peer does not hear of now it hears of at the next contact, or when it shows a receipt. */
async function tellCancels (node: Rooms, peer: string): Promise<void> {
  for (let cancels = await node.credits.untoldCancels(peer); cancels.length > 0; cancels = await node.credits.untoldCancels(peer)) {
    const answer = await ask(node, peer, { kind: 'cancelled', records: cancels.map(own) })
    // Who does not want to hear of it is not paid for it either; what it is owed is another matter.
    if (answer.kind === 'refusal') {
      node.platform.log(`telling ${peer} which orders were given up`, new InosError('ERR_PEER_LOST', answer.text))
      return
    }
    await node.credits.toldCancels(peer, cancels)
  }
}

async function takeCancels (node: Rooms, peer: string, { records }: Packet): Promise<void> {
  for (const record of records.slice(0, LIMITS.wire.recordsPerPacketMax)) node.desk.cancel(peer, await node.credits.takeCancel(peer, record.slice()))
  if (records.length > 0) node.changed()
}

/** All that is owed now; what becomes owed meanwhile is asked for by whoever owes it, so that jobs in a row share a cheque. */
async function payAll (node: Rooms, peer: string): Promise<void> {
  for (let full = true; full;) {
    const cheque = await node.credits.nextCheque(peer)
    if (cheque === null) return
    full = cheque.payload.items.length === LIMITS.credits.itemsPerChequeMax
    node.changed()
    const answer = await ask(node, peer, { kind: 'cheque', records: [own(cheque.bytes)] })
    if (isBehind(answer)) await sendLacking(node, peer, answer.body.slice())
    else await takeAck(node, peer, answer)
  }
}

async function takeAck (node: Rooms, peer: string, { kind, records: [ack], text }: Packet): Promise<void> {
  if (kind !== 'ack' || ack === undefined) throw new InosError('ERR_PEER_LOST', `The peer refused a cheque: ${text}`)
  await node.credits.takeAck(peer, ack.slice())
  node.changed()
}

async function takeCheque (node: Rooms, peer: string, packet: Packet): Promise<Partial<Packet>> {
  const [record] = packet.records
  if (record === undefined || packet.records.length !== 1) throw new InosError('ERR_BAD_PACKET', 'A cheque packet carries exactly one record.')
  const taken = await node.credits.takeCheque(peer, record.slice())
  node.changed()
  return taken.kind === 'ack' ? { kind: 'ack', records: [own(taken.bytes)] } : { kind: 'answer', body: own(taken.body) }
}

/** Each further round brings back cheques that were lost here. @returns whether orders that nobody waits for still run there */
async function reconcile (node: Rooms, peer: string): Promise<boolean> {
  let running = false
  for (let more = true; more;) {
    more = false
    for (const question of await node.credits.syncQuestions(peer)) {
      const answer = await ask(node, peer, { kind: 'sync', body: own(question) })
      if (answer.kind === 'refusal') throw new InosError('ERR_PEER_LOST', `The peer refused to reconcile: ${answer.text}`)
      const result = await sendLacking(node, peer, answer.body.slice())
      more ||= result.more
      running ||= result.running.length > 0
    }
  }
  return running
}

/**
 * Send what the peer's answer says it lacks, stored bytes as they are. A cheque may pay for receipts
 * that the peer has lost as well: then it says so, and gets them and what follows again.
 */
async function sendLacking (node: Rooms, peer: string, answer: Uint8Array): Promise<SyncResult> {
  const result = await node.credits.applySync(peer, answer)
  node.changed()
  let behind = await sendAll(node, peer, result.resend)
  // Each round brings at least one cheque home, or the peer is no longer listened to.
  for (let rounds: number = LIMITS.credits.unackedChequesMax; behind !== null; rounds--) {
    if (rounds === 0) throw new InosError('ERR_PEER_LOST', 'The peer lacks what it was sent again and again.')
    behind = await sendAll(node, peer, (await node.credits.applySync(peer, behind)).resend)
  }
  return result
}

/** @returns what the peer says it lacks for a cheque among them; those after it were not sent */
async function sendAll (node: Rooms, peer: string, records: AsyncIterable<Resend>): Promise<Uint8Array | null> {
  for await (const { kind, bytes } of records) {
    if (kind === 'cheque') {
      const answer = await ask(node, peer, { kind, records: [own(bytes)] })
      if (isBehind(answer)) return answer.body.slice()
      await takeAck(node, peer, answer)
    } else {
      const reply = await ask(node, peer, await packDue(node, peer, bytes))
      await takeCancels(node, peer, reply)
      if (reply.kind === 'refusal') node.platform.log(`presenting a receipt to ${peer}`, new InosError('ERR_VERIFICATION', reply.text))
    }
  }
  return null
}

/** A cheque came too early, or pays for what the peer has lost: the answer says what to send before. */
function isBehind ({ kind, body }: Packet): boolean { return kind === 'answer' && body.length > 0 }
