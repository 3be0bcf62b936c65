/** Actors as commands and pages ask for them: one request, one answer, at a node of the process or page that is asked. How it gets there is left to others. */
import type { ActorOptions, ActorView, Reply, SnapshotView } from '../emergent/actor.ts'
import type { ActorMethods } from '../emergent/actors.ts'
import type { BlobRef } from '../processor/processor.ts'

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
export async function operateActor<R extends ActorRequest> (node: ActorMethods, request: R, signal?: AbortSignal): Promise<ActorAnswers[R['do']]> {
  return await operate(node, request, signal) as ActorAnswers[R['do']]
}

async function operate (node: ActorMethods, request: ActorRequest, signal: AbortSignal | undefined): Promise<Answer> {
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
