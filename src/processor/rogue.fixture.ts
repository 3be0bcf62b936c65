/**
 * For tests: sellers and buyers made by hand. The seller runs what it is sent like any other and then
 * answers whatever a test wants, with every record signed as it likes; it refuses all cheques and keeps count.
 */
import { createHash, randomBytes } from 'node:crypto'
import { encodeBundle } from '../credits/bundle.ts'
import { charge } from '../credits/pricing.ts'
import { receiptOf, type RunFacts } from '../credits/seller.ts'
import { decodeQuestion, encodeAnswer } from '../credits/sync.ts'
import type { Network } from '../network/network.ts'
import { createSessions, type Sessions } from '../network/sessions.ts'
import { rawCid } from '../packet/cid.ts'
import { openEnvelope, seal, type Sealed } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { keyOfPeerId, type Signer } from '../packet/identity.ts'
import { encodeDelta } from '../packet/kept-state.ts'
import { DEFAULT_PRICES } from '../packet/limits.ts'
import type { Packet } from '../packet/packet.pb.js'
import { UNMEASURED } from '../packet/capacity.ts'
import { checkOffer, checkOrder, type Head, type Offer, type Order, type Receipt } from '../packet/records.ts'
import { decodeSpec, encodeSpec } from '../packet/spec.ts'
import { createEngine } from '../wasm/engine.ts'
import { PROFILE } from '../wasm/runtime.ts'
import { factsOf, outputOf, own, packOutput, runOf } from './job.ts'
import { timers } from '../node/timers.ts'
import { type Mesh, signerOf } from './mesh.fixture.ts'

export interface RogueJob {
  readonly packet: Packet
  readonly order: Sealed<Order>
  readonly offer: Sealed<Offer>
  readonly facts: RunFacts
  readonly result: Uint8Array
  readonly archive: Uint8Array | null
  /** A receipt with some fields changed, billed for what it says unless `charge` is among them, signed by `as`. */
  receipt (changes?: Partial<Receipt>, as?: string): Sealed<Receipt>
  /** The answer with this receipt. */
  answer (receipt: Sealed<Receipt>, changes?: Partial<Packet>): Partial<Packet>
}

export interface Rogue {
  readonly id: string
  readonly offer: Sealed<Offer>
  readonly sessions: Sessions
  /** Jobs and cheques that came. */
  readonly jobs: RogueJob[]
  cheques: number
  /** Show the buyer a receipt. @returns its answer */
  due (peer: string, job: RogueJob, receipt: Sealed<Receipt>): Promise<Packet>
}

export function startRogue (mesh: Mesh, name: string, answer: (job: RogueJob) => Partial<Packet> | Promise<Partial<Packet>>, offerChanges: Partial<Offer> = {}): Rogue {
  const signer = signerOf(name)
  const engine = createEngine()
  const offer = seal<Offer>('offer', {
    net: null, executor: signer.publicKey, ...DEFAULT_PRICES, classes: ['deterministic'], profile: PROFILE, slots: 1_000, ...UNMEASURED, idle: 1_000, expires: Math.floor(Date.now() / 1000) + 3_600, nonce: randomBytes(16), ...offerChanges
  }, signer)

  const take = async (packet: Packet): Promise<RogueJob> => {
    const order = openEnvelope(packet.records[0]!.slice(), 'order', checkOrder)
    const spec = decodeSpec(packet.spec.slice())
    const outcome = await engine.execute(runOf(spec, packet.wasm.slice(), packet.input.slice(), null, null), { payer: '' })
    const output = await outputOf(spec, outcome, null, bytes => createHash('sha256').update(bytes).digest())
    const state = output.state === undefined ? {} : { state: own(encodeDelta(null, output.state)) }
    const facts = factsOf(spec, outcome, output)
    return {
      packet,
      order,
      offer,
      facts,
      result: outcome.result,
      archive: outcome.files,
      receipt (changes = {}, as = name) {
        const said = { ...receiptOf(order, facts, 0n), ...changes }
        return seal<Receipt>('receipt', { ...said, charge: changes.charge ?? charge(offer.payload, said) }, signerOf(as))
      },
      answer: (receipt, changes = {}) => ({ kind: 'answer', ...packOutput(output), ...state, cost: receipt.payload.charge, records: [own(receipt.bytes)], ...changes })
    }
  }

  const rogue: Rogue = {
    id: signer.id,
    offer,
    jobs: [],
    cheques: 0,
    due: (peer, { order }, receipt) => rogue.sessions.request(peer, { kind: 'due', body: own(encodeBundle({ receipt, order, offer }).bytes) }),
    sessions: createSessions({
      network: mesh.hub.network(signer.id),
      timers,
      hello: () => ({ profile: PROFILE, net: '', records: [offer.bytes] }),
      blobs: { get: async () => null },
      serve: {
        async request (peer, packet) {
          if (packet.kind === 'sync') return { kind: 'answer', body: own(holdNothing(signer, peer, packet.body.slice())) }
          if (packet.kind === 'cheque') rogue.cheques++
          if (packet.kind !== 'job') throw new InosError('ERR_POLICY', 'No.')
          const job = await take(packet)
          rogue.jobs.push(job)
          return await answer(job)
        },
        async oneShot () { throw new InosError('ERR_POLICY', 'No.') }
      }
    })
  }
  mesh.opened.defer(() => rogue.sessions.stop())
  return rogue
}

/** What a node answers that has no cheque and knows no order of the asker. */
function holdNothing (signer: Signer, peer: string, question: Uint8Array): Uint8Array {
  const { orders, nonce } = decodeQuestion(question)
  const head = seal<Head>('head', { net: null, from: keyOfPeerId(peer), to: signer.publicKey, epoch: 0, n: 0, cheque: null, nonce }, signer)
  return encodeAnswer({ n: 0, last: null, head: head.bytes, cheques: [], receipts: [], kept: [], lacking: [], done: [], running: [], unknown: orders })
}

/** A buyer made by hand: it orders whatever a test wants, at the seller's current offer. */
export interface RogueBuyer {
  readonly id: string
  /** @param change of the packet as an honest buyer would send it @returns the seller's answer */
  order (wasm: Uint8Array, input: Uint8Array, change?: (packet: Partial<Packet>) => Partial<Packet>, orderChanges?: Partial<Order>, as?: Signer): Promise<Packet>
  /** The same bytes again. */
  repeat (): Promise<Packet>
}

/** @param network closed by its owner, after the sessions on it that `stack` takes */
export async function startRogueBuyer (network: Network, signer: Signer, seller: string, stack: AsyncDisposableStack): Promise<RogueBuyer> {
  let offer: Sealed<Offer> | undefined
  let last: Partial<Packet> = {}
  const sessions = createSessions({
    network,
    timers,
    hello: () => ({ profile: PROFILE, net: '', records: [] }),
    blobs: { get: async () => null },
    serve: { request: async () => { throw new InosError('ERR_POLICY', 'No.') }, oneShot: async () => { throw new InosError('ERR_POLICY', 'No.') } }
  })
  stack.defer(() => sessions.stop())
  sessions.on({ open: (_peer, hello) => { offer = openEnvelope(hello.records[0]!, 'offer', checkOffer) } })
  await sessions.connect(seller, new AbortController().signal)
  return {
    id: signer.id,
    async order (wasm, input, change = packet => packet, orderChanges = {}, as = signer) {
      const limits = { fuelMax: 1_000_000n, memoryPagesMax: 256, outputBytesMax: 65_536 }
      const spec = encodeSpec({ module: rawCid(wasm), input: rawCid(input), entry: '', args: [], env: {}, files: null, outputs: [], limits, seed: null, profile: PROFILE })
      const order = seal<Order>('order', {
        net: null, payer: signer.publicKey, executor: keyOfPeerId(seller), offer: offer!.id, spec: spec.id, costMax: 1_000_000n, level: 0, tick: 0n,
        expires: Math.floor(Date.now() / 1000) + 3_600, nonce: randomBytes(16), ...orderChanges
      }, as)
      last = change({ kind: 'job', id: own(order.id.bytes), wasm: own(wasm), input: own(input), spec: own(spec.bytes), cost: order.payload.costMax, records: [own(order.bytes)] })
      return await sessions.request(seller, last)
    },
    repeat: () => sessions.request(seller, last)
  }
}
