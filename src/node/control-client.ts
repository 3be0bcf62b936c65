/**
 * Finds the node that runs in a data directory and speaks with it through its control socket, as
 * an `Operator` like one of this process. The socket belongs to the same user; answers are held to
 * size and form, and what they say is believed once both ends agree on the version.
 */
import { readFile } from 'node:fs/promises'
import { type ClientRequest, type IncomingMessage, request as httpRequest } from 'node:http'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { encodeCanonical } from '../packet/cbor.ts'
import { isMap } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { AccountView, AuditReport, Balance, FraudView, HistoryEntry, JobReport, JobState, JobView, LineReport, PeerTest, PeerView, Quote, Reachability, ReceiptView, RefundView } from '../processor/processor.ts'
import { askActor } from './control-actors.ts'
import { blobsBehind } from './control-blobs.ts'
import { decodeItems, encodeMap } from './control-map.ts'
import { CONTROL_VERSION, decodeError, encodeRun, type Operation, PATH_NAME, readFrames, reviveBigints, SOCKET_NAME, type Status } from './control-messages.ts'
import type { KnownPeer } from '../network/known-peers.ts'
import type { MemberView, MeshView } from '../network/mesh-views.ts'
import type { NodeTrade } from '../assembly/trade.ts'
import type { Operator, PlainResult } from './operator.ts'

/** One request; yields its items, returns what stands in `done`. */
type Ask = (operation: Operation, body?: Uint8Array | AsyncIterable<Uint8Array>, signal?: AbortSignal) => AsyncGenerator<unknown, unknown, void>

/** Operations without arguments carry one byte: dag-cbor null. */
const NO_BODY = encodeCanonical(null)

/**
 * @returns the node that runs there, or null when none answers at all
 * @throws {InosError} ERR_DATA_DIR when one is there but is hung or speaks another version
 */
export async function findNode (dataDir: string): Promise<Operator | null> {
  const path = await readFile(join(dataDir, PATH_NAME), 'utf8').catch(() => join(dataDir, SOCKET_NAME))
  const ask: Ask = (operation, body = NO_BODY, signal) => exchange(path, operation, body, signal)
  let status: unknown
  try {
    status = await last(ask('status', NO_BODY, AbortSignal.timeout(LIMITS.control.answerMsMax)))
  } catch (error) {
    // Nobody listens, or a node is just leaving: its store is free now or in a moment.
    if (error instanceof InosError && ['ERR_PEER_LOST', 'ERR_CANCELLED'].includes(error.code)) return null
    throw new InosError('ERR_DATA_DIR', `A node runs in ${dataDir}, but does not answer.`, {
      cause: error, hint: 'Stop it, or use another directory with --data DIR.'
    })
  }
  return clientOf(checkStatus(status, dataDir), ask)
}

function checkStatus (status: unknown, dataDir: string): Status {
  if (isMap(status) && status['version'] === CONTROL_VERSION && typeof status['id'] === 'string' && typeof status['pid'] === 'number') {
    return status as unknown as Status
  }
  throw new InosError('ERR_DATA_DIR', `The node that runs in ${dataDir} is of another version of INOS.`, {
    hint: 'Stop it and start it again with this version.'
  })
}

function clientOf ({ id, pid }: Status, ask: Ask): Operator {
  return {
    id,
    pid,
    addresses: async () => [...(await last(ask('status')) as Status).addresses],
    run: async (wasm, input, options) => {
      const events = ask('run', encodeRun({ wasm, input, options }), options.signal)
      return await last(events, state => options.onProgress?.(state as JobState)) as PlainResult
    },
    map: (wasm, inputs, options) => decodeItems(ask('map', encodeMap(wasm, inputs, options), options.signal), options.onProgress),
    actor: (request, signal) => askActor(request, body => ask('actor', body, signal)),
    quote: async (wasm, input, options) => await last(ask('quote', encodeRun({ wasm, input, options }), options.signal)) as Quote,
    blobs: blobsBehind(ask),
    connect: async (address, signal) => await last(ask('connect', encodeCanonical(address), signal)) as string,
    credits: async () => await last(ask('credits')) as Balance,
    account: async () => await last(ask('account')) as AccountView | null,
    history: () => ask('history') as AsyncIterable<HistoryEntry>,
    explainLine: async peer => await last(ask('explainLine', encodeCanonical(peer))) as LineReport,
    jobs: async () => await Array.fromAsync(ask('jobs')) as JobView[],
    explain: async job => await last(ask('explain', encodeCanonical(job))) as JobReport,
    cancel: async job => { await last(ask('cancel', encodeCanonical(job))) },
    frauds: () => ask('frauds') as AsyncIterable<FraudView>,
    dump: () => ask('dump') as AsyncIterable<readonly [string, Uint8Array]>,
    audit: async () => await last(ask('audit')) as AuditReport,
    receipts: () => ask('receipts') as AsyncIterable<ReceiptView>,
    receipt: async id => await last(ask('receipt', encodeCanonical(id))) as Uint8Array | null,
    refund: async (order, amount) => await last(ask('refund', encodeCanonical({ order, amount }))) as RefundView,
    peers: async () => await last(ask('peers')) as PeerView[],
    reachability: async () => await last(ask('reachability')) as Reachability | null,
    testReach: async (peer, signal) => await last(ask('testReach', encodeCanonical(peer), signal)) as PeerTest,
    knownPeers: async () => await last(ask('knownPeers')) as KnownPeer[],
    forget: async peer => await last(ask('forget', encodeCanonical(peer))) as boolean,
    trade: async () => await last(ask('trade')) as NodeTrade,
    setTrade: async change => await last(ask('setTrade', encodeCanonical({ ...change }))) as NodeTrade,
    mesh: async () => await last(ask('mesh')) as MeshView | null,
    amend: async changes => await last(ask('amend', encodeCanonical({ ...changes }))) as MeshView,
    invite: async options => await last(ask('invite', encodeCanonical({ ...options }))) as string,
    members: async () => await last(ask('members')) as MemberView[],
    grant: async (peer, amount) => { await last(ask('grant', encodeCanonical({ peer, amount }))) },
    revoke: async peer => { await last(ask('revoke', encodeCanonical(peer))) },
    [Symbol.asyncDispose]: async () => {}
  }
}

/** Run an exchange to its end. */
async function last (events: AsyncGenerator<unknown, unknown, void>, onItem: (item: unknown) => void = () => {}): Promise<unknown> {
  for (;;) {
    const { done, value } = await events.next()
    if (done === true) return value
    onItem(value)
  }
}

async function * exchange (path: string, operation: Operation, body: Uint8Array | AsyncIterable<Uint8Array>, signal?: AbortSignal): AsyncGenerator<unknown, unknown, void> {
  const isWhole = body instanceof Uint8Array
  if (isWhole && body.length > LIMITS.control.bodyBytesMax) {
    throw new InosError('ERR_INPUT_TOO_LARGE', `Module, input and files have ${body.length} bytes together; ${LIMITS.control.bodyBytesMax} are allowed.`)
  }
  signal?.throwIfAborted()
  const request = httpRequest({ socketPath: path, method: 'POST', path: `/${operation}`, headers: isWhole ? { 'content-length': body.length } : {}, agent: false })
  // Closing the request is how a client cancels; the node aborts the job and settles.
  const cancel = (): void => { request.destroy(signal?.reason as Error) }
  signal?.addEventListener('abort', cancel, { once: true })
  // A source of inputs may fail at any time; the request is not told of it when its answer has begun.
  let failed: unknown
  try {
    const response = await send(request, body, error => { failed = error })
    for await (const { kind, value } of readFrames(response as AsyncIterable<Uint8Array>)) {
      if (kind === 'error') throw decodeError(value)
      if (kind === 'done') return reviveBigints(value)
      yield reviveBigints(value)
    }
    throw lost()
  } catch (error) {
    signal?.throwIfAborted()
    if (failed instanceof InosError) throw failed
    throw error instanceof InosError ? error : lost(error)
  } finally {
    signal?.removeEventListener('abort', cancel)
    request.destroy()
  }
}

async function send (request: ClientRequest, body: Uint8Array | AsyncIterable<Uint8Array>, onFault: (error: unknown) => void): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  request.on('response', resolve)
  request.on('error', reject)
  if (body instanceof Uint8Array) request.end(body)
  else {
    pipeline(body, request).catch((error: Error) => {
      onFault(error)
      reject(error)
      request.destroy(error)
    })
  }
  return await promise
}

function lost (cause?: unknown): InosError {
  return new InosError('ERR_PEER_LOST', 'The node of this data directory ended before it answered.', {
    cause, hint: 'See with `inos receipts ls` whether the job was done.'
  })
}
