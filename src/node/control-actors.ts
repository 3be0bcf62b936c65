/** Requests for actors over the control socket: their form, and a history in pieces, for it may be long. */
import { Buffer } from 'node:buffer'
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { isBytes, isMap } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { ActorAnswers, ActorRequest } from '../assembly/actor-requests.ts'
import type { ActorOptions } from '../emergent/actor.ts'
import type { BlobRef } from '../processor/processor.ts'
import { type ControlFrame, decodeRun, encodeRun } from './control-messages.ts'
import type { Operator } from './operator.ts'

/** What the socket's server does for a request. @throws {InosError} ERR_USAGE, and whatever the actor throws */
export async function serveActor (body: Uint8Array, operator: Operator, signal: AbortSignal, send: (frame: ControlFrame) => Promise<void>): Promise<unknown> {
  const answer = await operator.actor(decodeRequest(body), signal)
  if (!isBytes(answer)) return answer
  for (let at = 0; at < answer.length; at += LIMITS.wire.frameBytesMax) await send({ kind: 'item', value: answer.subarray(at, at + LIMITS.wire.frameBytesMax) })
  return null
}

/** What its client does. @param ask sends a body */
export async function askActor<R extends ActorRequest> (request: R, ask: (body: Uint8Array) => AsyncGenerator<unknown, unknown, void>): Promise<ActorAnswers[R['do']]> {
  const events = ask(encodeRequest(request))
  const pieces: Uint8Array[] = []
  for (;;) {
    const { done, value } = await events.next()
    if (done !== true) pieces.push(value as Uint8Array)
    else return (request.do === 'chain' ? new Uint8Array(Buffer.concat(pieces)) : value) as ActorAnswers[R['do']]
  }
}

const NO_INPUT = new Uint8Array(0)

function encodeRequest (request: ActorRequest): Uint8Array {
  if (request.do !== 'spawn') return encodeCanonical(request)
  const { wasm, options, ...rest } = request
  return encodeCanonical({ ...rest, job: encodeRun({ wasm, input: NO_INPUT, options }) })
}

const isText = (value: unknown): value is string => typeof value === 'string' && value.length <= LIMITS.wire.textBytesMax

/** @throws {InosError} ERR_USAGE */
function decodeRequest (body: Uint8Array): ActorRequest {
  const value = decodeCanonical(body)
  const request = isMap(value) ? value : {}
  const { name, job, message, id, peer, forget } = request
  if (request['do'] === 'ls') return { do: 'ls' }
  if (isText(name)) {
    switch (request['do']) {
      case 'spawn': if (isBytes(job)) return { do: 'spawn', name, ...spawnOf(job) }; break
      case 'call': if (isBytes(message) && (id === null || isText(id))) return { do: 'call', name, message, id }; break
      case 'migrate': if (isText(peer)) return { do: 'migrate', name, peer }; break
      case 'stop': if (typeof forget === 'boolean') return { do: 'stop', name, forget }; break
      case 'snapshot': case 'chain': return { do: request['do'], name }
    }
  }
  throw new InosError('ERR_USAGE', 'The control socket does not know this request for actors.')
}

const OPTIONS = ['entry', 'args', 'env', 'limits', 'costMax', 'where', 'verify', 'retries', 'avoid']

function spawnOf (job: Uint8Array): { wasm: Uint8Array | BlobRef, options: ActorOptions } {
  const { wasm, options } = decodeRun(job)
  const other = Object.keys(options).find(name => !OPTIONS.includes(name))
  if (other !== undefined) throw new InosError('ERR_USAGE', `The option "${other}" is not one of an actor.`)
  return { wasm, options }
}
