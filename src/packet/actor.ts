/** What makes a call of a module one message of one actor: a seed of its own, by which its receipt says which message it is. */
import { sha256 } from './cid.ts'
import { InosError } from './errors.ts'

/** Drawn once for each actor. */
export const ACTOR_ID_BYTES = 16

const DOMAIN = new TextEncoder().encode('inos/actor/1')
const COUNT_BYTES = 8

/** The seed in the spec of message `n`, counted from 1: sha256("inos/actor/1" ‖ actor ‖ n as u64, big-endian). */
export function messageSeed (actor: Uint8Array, n: number): Uint8Array {
  if (actor.length !== ACTOR_ID_BYTES || !Number.isSafeInteger(n) || n < 1) throw new InosError('ERR_USAGE', 'A message has an actor and a number from 1 on.')
  const count = new Uint8Array(COUNT_BYTES)
  new DataView(count.buffer).setBigUint64(0, BigInt(n))
  return sha256.create().update(DOMAIN).update(actor).update(count).digest()
}
