/**
 * Actors as commands ask for them: one request, one answer, in the process of the node or over its control socket. A history
 * is sent in pieces, for it may be long.
 */
import { Buffer } from 'node:buffer'
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { isBytes, isMap } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { ActorOptions, ActorView, Reply, SnapshotView } from '../emergent/actor.ts'
import type { BlobRef } from '../processor/processor.ts'
import { type ControlFrame, decodeRun, encodeRun } from './control-messages.ts'
import type { Node } from './join.ts'
import type { Operator } from './operator.ts'

export type ActorRequest =
  | { readonly do: 'spawn', readonly name: string, readonly wasm: Uint8Array | BlobRef, readonly options: ActorOptions }
  /** `id`: the caller's name for the message, null for none. */
  | { readonly do: 'call', readonly name: string, readonly message: Uint8Array, readonly id: string | null }
  | { readonly do: 'ls' }
  | { readonly do: 'snapshot', readonly name: string }
  | { readonly do: 'migrate', readonly name: string, readonly peer: string }
  | { readonly do: 'stop', readonly name: string, readonly forget: boolean }
  | { readonly do: 'chain', readonly name: string }

/** A reply without the library's methods. */
export type PlainReply = Omit<Reply, 'text' | 'json'>

export interface ActorAnswers {
  spawn: ActorView
  call: PlainReply
  ls: ActorView[]
  snapshot: SnapshotView
  migrate: ActorView
  stop: null
  /** The file that `verifyChain` reads. */
  chain: Uint8Array
}

type Answer = ActorAnswers[keyof ActorAnswers]

/** Do what is asked, at a node of this process. */
export async function operateActor<R extends ActorRequest> (node: Node, request: R, signal?: AbortSignal): Promise<ActorAnswers[R['do']]> {
  return await operate(node, request, signal) as ActorAnswers[R['do']]
}

async function operate (node: Node, request: ActorRequest, signal: AbortSignal | undefined): Promise<Answer> {
  switch (request.do) {
    case 'spawn': return (await node.spawn(request.wasm, { ...request.options, name: request.name })).view()
    case 'call': {
      const actor = await node.actor(request.name)
      const { text: _text, json: _json, ...reply } = await actor.call(request.message, { ...(request.id === null ? {} : { id: request.id }), ...(signal === undefined ? {} : { signal }) })
      return reply
    }
    case 'ls': return await node.actors()
    case 'snapshot': return await (await node.actor(request.name)).snapshot()
    case 'migrate': {
      const actor = await node.actor(request.name)
      await actor.migrate(request.peer)
      return actor.view()
    }
    case 'stop': {
      await (await node.actor(request.name)).stop({ forget: request.forget })
      return null
    }
    case 'chain': return await (await node.actor(request.name)).chain()
  }
}

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
