/**
 * The control socket of a running node: HTTP over a Unix socket in its data directory, through
 * which every command of the same user works while the node runs. Who may connect is decided by
 * the file's mode (0600) alone; what is asked is checked like anything from outside.
 */
import { Buffer } from 'node:buffer'
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { InosError, toInosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import {
  CONTROL_VERSION, type ControlFrame, decodeCharter, decodeGrant, decodeInvite, decodeRefund, decodeRun, decodeText, decodeTradeChange, encodeError, encodeFrame, OPERATIONS, type Operation, PATH_NAME, SOCKET_NAME,
  type Status
} from './control-messages.ts'
import { serveGet, servePin, servePut } from './control-blobs.ts'
import { serveActor } from './control-actors.ts'
import { serveMap } from './control-map.ts'
import { createGate, type Gate } from './control-gate.ts'
import type { Operator } from './operator.ts'

export interface ControlServer {
  /** Where it listens. */
  readonly path: string
  /** Cancel what is being worked on, answer it so, and take the socket away. */
  stop (): Promise<void>
}

/**
 * Serve `operator` in `dataDir`. The caller holds the directory's store, so that whatever socket
 * lies there is the remains of a node that crashed, and is replaced.
 * @throws {InosError} ERR_DATA_DIR when the socket cannot be made
 */
export async function serveControl (dataDir: string, operator: Operator): Promise<ControlServer> {
  const path = await preparePath(dataDir).catch((error: unknown) => { throw unusable(join(dataDir, SOCKET_NAME), error) })
  const stopping = new AbortController()
  const gate = createGate(LIMITS.control)
  const open = new Set<Promise<void>>()
  // A request may wait for its turn longer than any time-out of HTTP; its body has one of our own.
  const server = createServer({ requestTimeout: 0 }, (request, response) => {
    const work = answer(request, response, operator, gate, stopping.signal).catch(() => { response.destroy() })
    open.add(work)
    void work.finally(() => open.delete(work))
  })
  server.maxConnections = LIMITS.control.requestsMax + LIMITS.control.waitingMax
  await listen(server, path)
  return {
    path,
    stop: async () => {
      stopping.abort(new InosError('ERR_CANCELLED', 'The node was stopped before it could answer.'))
      server.close()
      await Promise.race([Promise.all(open), new Promise(resolve => { setTimeout(resolve, LIMITS.credits.leaveMsMax).unref() })])
      server.closeAllConnections()
      await removePath(dataDir, path)
    }
  }
}

async function preparePath (dataDir: string): Promise<string> {
  const path = join(dataDir, SOCKET_NAME)
  await rm(path, { force: true })
  await rm(join(dataDir, PATH_NAME), { force: true })
  if (Buffer.byteLength(path) <= LIMITS.control.pathBytesMax) return path
  // A fresh directory of mode 0700, so that nobody else can lay a socket there first.
  const short = join(await mkdtemp(join(tmpdir(), 'inos-')), SOCKET_NAME)
  await writeFile(join(dataDir, PATH_NAME), short, { mode: 0o600 })
  return short
}

async function removePath (dataDir: string, path: string): Promise<void> {
  await rm(path, { force: true })
  if (dirname(path) === dataDir) return
  await rm(dirname(path), { recursive: true, force: true })
  await rm(join(dataDir, PATH_NAME), { force: true })
}

async function listen (server: Server, path: string): Promise<void> {
  // The mask makes the socket private from its first moment; chmod tells it where masks do not count.
  const mask = process.umask(0o177)
  try {
    const listening = Promise.withResolvers<void>()
    server.once('error', listening.reject)
    server.listen(path, listening.resolve)
    process.umask(mask)
    await listening.promise
    await chmod(path, 0o600)
  } catch (cause) {
    process.umask(mask)
    throw unusable(path, cause)
  }
}

function unusable (path: string, cause: unknown): InosError {
  return new InosError('ERR_DATA_DIR', `The control socket ${path} could not be made: ${(cause as Error).message}.`, {
    cause, hint: 'Choose another directory with --data DIR.'
  })
}

/** One request from its head to its last frame. */
async function answer (request: IncomingMessage, response: ServerResponse, operator: Operator, gate: Gate, stopping: AbortSignal): Promise<void> {
  const gone = new AbortController()
  response.on('close', () => gone.abort(new InosError('ERR_CANCELLED', 'Who asked has left.')))
  const signal = AbortSignal.any([gone.signal, stopping])
  const send = async (frame: ControlFrame): Promise<void> => {
    if (!response.write(encodeFrame(frame))) await drained(response, signal)
  }
  response.writeHead(200, { 'content-type': 'application/octet-stream', connection: 'close' })
  try {
    const operation = OPERATIONS.find(name => request.method === 'POST' && request.url === `/${name}`)
    if (operation === undefined) throw new InosError('ERR_USAGE', 'The control socket does not know this operation.')
    if (operation === 'map') {
      using _turn = await gate.enter(0, signal)
      await send({ kind: 'done', value: await serveMap(request as AsyncIterable<Uint8Array>, operator, signal, send, () => response.writableNeedDrain) })
      response.end()
      return
    }
    if (operation === 'putBlob') {
      using _turn = await gate.enter(0, signal)
      await send({ kind: 'done', value: await servePut(request as AsyncIterable<Uint8Array>, operator.blobs, signal) })
      response.end()
      return
    }
    const bytes = bodyLength(request)
    using _turn = await gate.enter(bytes, signal)
    const body = await readBody(request, bytes, signal)
    await send({ kind: 'done', value: await operate(operation, body, operator, signal, send, () => response.writableNeedDrain) })
  } catch (error) {
    // What is left of the body is read away, because the client sends it all before it listens.
    request.resume()
    if (!gone.signal.aborted) response.write(encodeFrame({ kind: 'error', value: encodeError(stopping.aborted ? stopping.reason : error) }))
  }
  response.end()
}

function bodyLength (request: IncomingMessage): number {
  const bytes = Number(request.headers['content-length'])
  if (!Number.isSafeInteger(bytes) || bytes < 1 || bytes > LIMITS.control.bodyBytesMax) {
    throw new InosError('ERR_INPUT_TOO_LARGE', `A request to the control socket has 1 to ${LIMITS.control.bodyBytesMax} bytes.`)
  }
  return bytes
}

async function readBody (request: IncomingMessage, bytes: number, signal: AbortSignal): Promise<Uint8Array> {
  const slow = AbortSignal.timeout(LIMITS.control.bodyMsMax)
  const stop = (): void => { request.destroy() }
  const either = AbortSignal.any([signal, slow])
  either.addEventListener('abort', stop)
  try {
    const body = new Uint8Array(bytes)
    let at = 0
    // HTTP itself holds the body to its announced length.
    for await (const chunk of request as AsyncIterable<Uint8Array>) {
      body.set(chunk, at)
      at += chunk.length
    }
    return body
  } finally {
    either.removeEventListener('abort', stop)
  }
}

/** Do what is asked, whichever way it came: over this socket or from the dashboard. @throws {InosError} whatever the operation throws */
export async function operate (
  operation: Exclude<Operation, 'map' | 'putBlob'>, body: Uint8Array, operator: Operator, signal: AbortSignal,
  send: (frame: ControlFrame) => Promise<void>, isFull: () => boolean
): Promise<unknown> {
  switch (operation) {
    case 'status': return { version: CONTROL_VERSION, id: operator.id, pid: operator.pid, addresses: await operator.addresses() } satisfies Status
    case 'run': {
      const { wasm, input, options } = decodeRun(body)
      // Only the latest state matters: a client that does not read misses the others.
      const onProgress: NonNullable<typeof options.onProgress> = state => { if (!isFull()) void send({ kind: 'item', value: { ...state } }).catch(() => {}) }
      return await operator.run(wasm, input, { ...options, signal, onProgress })
    }
    case 'actor': return await serveActor(body, operator, signal, send)
    case 'quote': {
      const { wasm, input, options } = decodeRun(body)
      return await operator.quote(wasm, input, { ...options, signal })
    }
    case 'connect': return await operator.connect(decodeText(body), signal)
    case 'credits': return await operator.credits()
    case 'account': return await operator.account()
    case 'history': return await sendAll(operator.history(), send)
    case 'explainLine': return await operator.explainLine(decodeText(body))
    case 'jobs': return await sendAll(await operator.jobs(), send)
    case 'explain': return await operator.explain(decodeText(body))
    case 'cancel': {
      await operator.cancel(decodeText(body))
      return null
    }
    case 'frauds': return await sendAll(operator.frauds(), send)
    case 'dump': return await sendAll(operator.dump(), send)
    case 'audit': return await operator.audit()
    case 'receipts': return await sendAll(operator.receipts(), send)
    case 'receipt': return await operator.receipt(decodeText(body))
    case 'refund': {
      const { order, amount } = decodeRefund(body)
      return await operator.refund(order, amount)
    }
    case 'peers': return await operator.peers()
    case 'reachability': return await operator.reachability()
    case 'testReach': return await operator.testReach(decodeText(body), signal)
    case 'knownPeers': return await operator.knownPeers()
    case 'forget': return await operator.forget(decodeText(body))
    case 'trade': return await operator.trade()
    case 'setTrade': return await operator.setTrade(decodeTradeChange(body))
    case 'mesh': return await operator.mesh()
    case 'amend': return await operator.amend(decodeCharter(body))
    case 'invite': return await operator.invite(decodeInvite(body))
    case 'members': return await operator.members()
    case 'grant': {
      const { peer, amount } = decodeGrant(body)
      await operator.grant(peer, amount)
      return null
    }
    case 'getBlob': return await serveGet(decodeText(body), operator.blobs, signal, send, isFull)
    case 'pinBlob': return await servePin(decodeText(body), operator.blobs, signal, send, isFull)
    case 'blobs': return await sendAll(await operator.blobs.ls(), send)
    case 'blobUsage': return await operator.blobs.usage()
    case 'unpinBlob': {
      await operator.blobs.unpin(decodeText(body))
      return null
    }
    case 'removeBlob': {
      await operator.blobs.rm(decodeText(body))
      return null
    }
    case 'collectBlobs': return await operator.blobs.gc()
    case 'revoke': {
      await operator.revoke(decodeText(body))
      return null
    }
  }
}

async function sendAll (list: Iterable<unknown> | AsyncIterable<unknown>, send: (frame: ControlFrame) => Promise<void>): Promise<null> {
  for await (const value of list) await send({ kind: 'item', value })
  return null
}

async function drained (response: ServerResponse, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const leave = (): void => reject(toInosError(signal.reason))
  response.once('drain', resolve)
  signal.addEventListener('abort', leave, { once: true })
  try {
    signal.throwIfAborted()
    await promise
  } finally {
    response.off('drain', resolve)
    signal.removeEventListener('abort', leave)
  }
}
