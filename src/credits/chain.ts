/**
 * The history of an actor: a file of receipts that anybody can check offline, with nothing else at hand.
 *
 * Canonical dag-cbor { actor, steps }: the 16 bytes of its id, and for each message from the first on [spec, receipt file]. Each
 * receipt file is good by itself (`bundle.ts`); the spec is the one its receipt names; its seed says which message of which
 * actor it is, so that none is left out or counted twice; its state is the one that the receipt before left.
 */
import { equals, toHex } from 'multiformats/bytes'
import { ACTOR_ID_BYTES, messageSeed } from '../packet/actor.ts'
import { decodeCanonical } from '../packet/cbor.ts'
import { isBytes, isMap } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { peerIdOfKey, type Verify } from '../packet/identity.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Offer, Receipt } from '../packet/records.ts'
import type { Sealed } from '../packet/envelope.ts'
import { decodeSpec, type Spec } from '../packet/spec.ts'
import { type Bundle, checkBundle, readBundle } from './bundle.ts'

/** What a good history proves. */
export interface VerifiedChain {
  /** 32 hex digits. */
  readonly actor: string
  /** CIDs as text; the state is null while no message has left one. */
  readonly module: string
  readonly state: string | null
  /** PeerIds: who sent the messages, and who ran them. */
  readonly payer: string
  readonly executors: readonly string[]
  readonly messages: number
  /** Of these, messages that left the state as it was: their guests trapped, met a limit or exited. */
  readonly unchanged: number
  readonly fuel: bigint
  /** µcr. */
  readonly cost: bigint
}

/** @throws {InosError} ERR_RECEIPT_INVALID naming the message and what is wrong with it */
export function openChain (bytes: Uint8Array, verify: Verify): VerifiedChain {
  const { actor, steps } = readFile(bytes)
  const walk = new Walk(actor, verify)
  for (const [at, step] of steps.entries()) walk.take(at + 1, step)
  return walk.result(steps.length)
}

function readFile (bytes: Uint8Array): { actor: Uint8Array, steps: readonly unknown[] } {
  if (bytes.length > LIMITS.actor.chainBytesMax) throw invalid(0, `the file has ${bytes.length} bytes, ${LIMITS.actor.chainBytesMax} are allowed`)
  const value = within(0, () => decodeCanonical(bytes))
  if (!isMap(value) || Object.keys(value).length !== 2 || !isBytes(value['actor'], ACTOR_ID_BYTES) || !Array.isArray(value['steps'])) throw invalid(0, 'the file is not the id of an actor and its steps')
  if (value['steps'].length === 0) throw invalid(0, 'the actor has handled no message')
  return { actor: value['actor'], steps: value['steps'] as unknown[] }
}

class Walk {
  readonly #actor: Uint8Array
  readonly #verify: Verify
  readonly #executors = new Set<string>()
  /** Offers whose signature was checked: the same one stands in many receipt files. */
  readonly #offers = new Map<string, Sealed<Offer>>()
  #first: { spec: Spec, receipt: Receipt } | null = null
  #state: string | null = null
  #unchanged = 0
  #fuel = 0n
  #cost = 0n

  constructor (actor: Uint8Array, verify: Verify) {
    this.#actor = actor
    this.#verify = verify
  }

  take (n: number, step: unknown): void {
    if (!Array.isArray(step) || step.length !== 2 || !isBytes(step[0]) || !isBytes(step[1])) throw invalid(n, 'it is not a spec and a receipt file')
    const [specBytes, file] = step as [Uint8Array, Uint8Array]
    const { id, spec } = within(n, () => decodeSpec(specBytes))
    const receipt = within(n, () => this.#open(file)).receipt.payload
    const first = this.#first ??= { spec, receipt }
    const must = (holds: boolean, why: string): void => { if (!holds) throw invalid(n, why) }
    must(receipt.spec.equals(id), 'its receipt is for another spec')
    must(receipt.module.equals(spec.module) && receipt.input.equals(spec.input) && receipt.profile === spec.profile, 'its receipt is for another module, input or profile than its spec')
    must(spec.module.equals(first.spec.module), 'it is of another module than the first')
    must(spec.profile === first.spec.profile, 'it is of another profile than the first')
    must(equals(receipt.payer, first.receipt.payer), 'somebody else has sent it')
    must(spec.seed !== null && equals(spec.seed, messageSeed(this.#actor, n)), `its spec is not that of message ${n} of this actor`)
    must(spec.state !== undefined && (spec.state?.toString() ?? null) === this.#state, 'it does not begin with the state that the message before has left')
    this.#count(receipt)
  }

  #open (file: Uint8Array): Bundle {
    const bundle = checkBundle(readBundle(file), this.#verify, { order: () => undefined, offer: id => this.#offers.get(id.toString()) })
    if (bundle.offer !== null) this.#offers.set(bundle.offer.id.toString(), bundle.offer)
    return bundle
  }

  #count ({ executor, state, fuel, charge }: Receipt): void {
    this.#executors.add(peerIdOfKey(executor))
    this.#fuel += fuel
    this.#cost += charge
    if (state === undefined) this.#unchanged++
    else this.#state = state.toString()
  }

  result (messages: number): VerifiedChain {
    const { spec, receipt } = this.#first!
    return {
      actor: toHex(this.#actor), module: spec.module.toString(), state: this.#state, payer: peerIdOfKey(receipt.payer), executors: [...this.#executors],
      messages, unchanged: this.#unchanged, fuel: this.#fuel, cost: this.#cost
    }
  }
}

/** Whatever is wrong inside a step is a wrong history; the part's own sentence says where. */
function within<T> (n: number, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw invalid(n, cause instanceof Error ? cause.message.replace(/\.$/, '') : String(cause), cause)
  }
}

function invalid (n: number, why: string, cause?: unknown): InosError {
  return new InosError('ERR_RECEIPT_INVALID', `The history fails ${n === 0 ? 'as a file' : `at message ${n}`}: ${why}.`, cause === undefined ? {} : { cause })
}
