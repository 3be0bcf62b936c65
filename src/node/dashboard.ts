/**
 * The dashboard of a running node: a page and a local HTTP API for the browser of whoever sits at this machine. It offers
 * what the control socket offers, by the same code; who may ask is decided in `dashboard-gate.ts`.
 *
 *     GET  /              the page
 *     GET  /api/events    server-sent events, numbered (`dashboard-events.ts`)
 *     GET  /api/NAME      what needs no argument and changes nothing
 *     POST /api/NAME      the rest, a JSON value as argument; answers are { value } or { error }, `left` entries of a list left out
 */
import { Buffer } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import { isIP, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { contentsOf, keepContents, rerun, storedReceipt, verdictOf } from '../assembly/verdict.ts'
import { countWork, type WorkDone, type WorkView } from '../assembly/work-done.ts'
import { encodeCanonical } from '../packet/cbor.ts'
import { type ErrorCode, InosError, toInosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { BlobRef, Processor } from '../processor/processor.ts'
import { createGate, type Gate } from './control-gate.ts'
import { decodeRun, decodeText, encodeError, type Operation } from './control-messages.ts'
import { operate } from './control-server.ts'
import { createEventStream, type EventStream, relayEvents } from './dashboard-events.ts'
import { refusalOf, type Route } from './dashboard-gate.ts'
import { fromJson, toJson } from './dashboard-json.ts'
import { type Page, PAGE_HEADERS, readPage } from './dashboard-page.ts'
import { verify } from './keys.ts'
import type { Operator, PlainResult } from './operator.ts'
import { readText, replaceFile } from './replace-file.ts'

export interface DashboardOptions {
  readonly dataDir: string
  readonly operator: Operator
  /** What tells the news, and takes work or none. */
  readonly node: Pick<Processor, 'on' | 'serve'>
  /** 0: any that is free. */
  readonly port: number
  /** An address of this machine that no other can reach. @default 127.0.0.1 */
  readonly host?: string
  /** End the node, because its page says so. */
  readonly stop: () => void
  readonly page?: Page
}

export interface Dashboard {
  /** With the token as its fragment, which browsers send to nobody. */
  readonly url: string
  readonly token: string
  stop (): Promise<void>
}

/** Asked without an argument; nothing changes by them. */
const READS = ['status', 'credits', 'account', 'history', 'jobs', 'frauds', 'audit', 'receipts', 'peers', 'reachability', 'knownPeers', 'trade', 'mesh', 'members', 'blobs', 'blobUsage'] as const satisfies readonly Operation[]
const CALLS = [
  'run', 'quote', 'connect', 'explainLine', 'explain', 'cancel', 'receipt', 'refund', 'testReach', 'forget', 'setTrade', 'invite', 'actor', 'pinBlob', 'unpinBlob', 'removeBlob', 'collectBlobs'
] as const satisfies readonly Operation[]
/** Those that are sent entry by entry. */
const LISTS = ['history', 'jobs', 'frauds', 'receipts', 'blobs'] as const satisfies readonly Operation[]
/** What the socket has no word for. */
const OWN = ['verify', 'verifyStored', 'rerun', 'serve', 'stop'] as const
const OWN_READS = ['work'] as const
const GET: Route = { method: 'GET', open: false }
const POST: Route = { method: 'POST', open: false }
const TOKEN_NAME = 'dashboard.token'
const TOKEN_BYTES = 32
const STATUS: Readonly<Partial<Record<ErrorCode, number>>> = { ERR_USAGE: 400, ERR_BAD_PACKET: 400, ERR_INPUT_TOO_LARGE: 413, ERR_BUSY: 503, ERR_INTERNAL: 500 }

interface Scene extends DashboardOptions { readonly page: Page, readonly token: string, readonly stream: EventStream, readonly gate: Gate, readonly stopping: AbortSignal, readonly work: () => WorkDone }

/**
 * Serve the dashboard of a node.
 * @throws {InosError} ERR_LISTEN, ERR_POLICY beyond loopback, ERR_DATA_DIR when token or page cannot be read
 */
export async function serveDashboard (options: DashboardOptions): Promise<Dashboard> {
  const { host = '127.0.0.1', port, dataDir, page = await readPage() } = options
  if (!isLoopback(host)) throw new InosError('ERR_POLICY', `The dashboard is served on loopback only, not on ${host.slice(0, 64)}.`, { hint: 'From another machine, reach it through `ssh -L PORT:127.0.0.1:PORT`.' })
  const token = await keepToken(dataDir)
  const { requestMsMax, connectionsMax } = LIMITS.dashboard
  await using opened = new AsyncDisposableStack()
  const server: Server = createServer({ requestTimeout: requestMsMax, headersTimeout: requestMsMax }, (request, response) => {
    answer(request, response, scene, portOf(server)).catch(() => { response.destroy() })
  })
  server.maxConnections = connectionsMax
  opened.defer(() => close(server))
  const stream = opened.adopt(createEventStream(randomBytes(6).toString('hex')), stream => { stream.stop() })
  const stopping = opened.adopt(new AbortController(), controller => { controller.abort(new InosError('ERR_CANCELLED', 'The node was stopped before it could answer.')) })
  const work = opened.adopt(await countWork({ receipts: options.operator.receipts, on: options.node.on }), work => { work.stop() })
  const scene: Scene = { ...options, page, token, stream, gate: createGate(LIMITS.dashboard), stopping: stopping.signal, work: work.view }
  await listen(server, host, port)
  opened.defer(relayEvents(options.node, stream))
  const url = `http://${host === '::1' ? '[::1]' : host}:${portOf(server)}/#${token}`
  const resources = opened.move()
  return { token, url, stop: () => resources.disposeAsync() }
}

function isLoopback (host: string): boolean { return host === '::1' || (isIP(host) === 4 && host.startsWith('127.')) }

function portOf (server: Server): number { return (server.address() as AddressInfo).port }

/** The same token at every start, so that a page that is open stays good. */
async function keepToken (dataDir: string): Promise<string> {
  const path = join(dataDir, TOKEN_NAME)
  try {
    const kept = (await readText(path))?.trim()
    if (kept !== undefined && /^[\w-]{43}$/.test(kept)) return kept
    const token = randomBytes(TOKEN_BYTES).toString('base64url')
    await replaceFile(path, `${token}\n`)
    return token
  } catch (cause) {
    throw new InosError('ERR_DATA_DIR', `The token of the dashboard cannot be kept: ${(cause as Error).message}`, { cause })
  }
}

async function listen (server: Server, host: string, port: number): Promise<void> {
  const listening = Promise.withResolvers<void>()
  server.once('error', listening.reject)
  server.listen({ host, port, exclusive: true }, listening.resolve)
  try {
    await listening.promise
  } catch (cause) {
    throw new InosError('ERR_LISTEN', `The dashboard cannot be served on ${host}:${port}: ${(cause as Error).message}.`, { cause, hint: 'Choose another port; 0 takes any free one.' })
  }
}

/** Also one that never listened. */
async function close (server: Server): Promise<void> {
  const closed = new Promise<void>(resolve => { server.close(() => { resolve() }) })
  server.closeAllConnections()
  await closed
}

function routeOf (path: string, page: Page): Route | null {
  if (page.has(path)) return { method: 'GET', open: true }
  const name = path.startsWith('/api/') ? path.slice(5) : ''
  if (name === 'events' || isOne(READS, name) || isOne(OWN_READS, name)) return GET
  return isOne(CALLS, name) || isOne(OWN, name) ? POST : null
}

function isOne<Name extends string> (names: readonly Name[], name: string): name is Name { return (names as readonly string[]).includes(name) }

/** One request from its head to its end. */
async function answer (request: IncomingMessage, response: ServerResponse, scene: Scene, port: number): Promise<void> {
  const { method = '', url: path = '', headers } = request
  for (const [name, value] of Object.entries(PAGE_HEADERS)) response.setHeader(name, value)
  const status = refusalOf({ method, path, headers }, { port, token: scene.token, route: name => routeOf(name, scene.page) })
  if (status !== null) {
    // What comes after a refusal is not read.
    response.writeHead(status, { 'content-length': 0, connection: 'close', ...(status === 405 ? { allow: routeOf(path, scene.page)?.method } : {}) }).end()
    return
  }
  const file = scene.page.get(path)
  if (file !== undefined) response.writeHead(200, { 'content-type': file.type, 'content-length': file.bytes.length }).end(file.bytes)
  else if (path === '/api/events') attach(request, response, scene.stream)
  else await call(request, response, path.slice(5), scene)
}

function attach ({ headers }: IncomingMessage, response: ServerResponse, stream: EventStream): void {
  const last = headers['last-event-id']
  if (!stream.attach(response, typeof last === 'string' ? last : null)) response.writeHead(503, { 'content-length': 0, connection: 'close' }).end()
}

async function call (request: IncomingMessage, response: ServerResponse, name: string, scene: Scene): Promise<void> {
  const gone = new AbortController()
  response.on('close', () => { gone.abort(new InosError('ERR_CANCELLED', 'The page that asked has left.')) })
  const signal = AbortSignal.any([gone.signal, scene.stopping])
  const reply = (status: number, body: unknown): void => {
    const bytes = Buffer.from(toJson(body))
    response.writeHead(status, { 'content-type': 'application/json; charset=utf-8', 'content-length': bytes.length }).end(bytes)
  }
  try {
    using _turn = await scene.gate.enter(Number(request.headers['content-length'] ?? 0), signal)
    const argument = request.method === 'POST' ? fromJson(await readBody(request)) : null
    reply(200, isOne(OWN, name) || isOne(OWN_READS, name) ? { value: await callOwn(name, argument, scene, signal) } : await callNode(name as Operation, argument, scene, signal))
  } catch (thrown) {
    if (gone.signal.aborted) return
    const error = toInosError(thrown)
    reply(STATUS[error.code] ?? 422, { error: encodeError(error) })
  }
}

/** What the gate let in is no longer than its head says, which HTTP itself holds it to. */
async function readBody (request: IncomingMessage): Promise<string> {
  const parts: Uint8Array[] = []
  for await (const part of request as AsyncIterable<Uint8Array>) parts.push(part)
  return Buffer.concat(parts).toString('utf8')
}

/** Ask as the control socket does; of a long list the latest entries. */
async function callNode (operation: Operation, argument: unknown, { operator }: Scene, signal: AbortSignal): Promise<{ value: unknown, left?: number }> {
  const items: unknown[] = []
  let left = 0
  const body = encodeArgument(argument)
  if (operation === 'run') await keepContents(operator.blobs, contentsOfRun(body), signal)
  const value = await operate(operation as Exclude<Operation, 'map' | 'putBlob'>, body, operator, signal, async frame => {
    items.push(frame.value)
    if (items.length <= LIMITS.dashboard.itemsMax) return
    items.shift()
    left++
  // Progress of a job comes by the events; nobody waits for it here.
  }, () => operation === 'run' || operation === 'pinBlob')
  // A result is none the worse where there is no room for this.
  if (operation === 'run') await keepContents(operator.blobs, [(value as PlainResult).spec], signal).catch(() => {})
  return isOne(LISTS, operation) ? { value: items, left } : { value }
}

function encodeArgument (argument: unknown): Uint8Array {
  try {
    return encodeCanonical(argument)
  } catch (cause) {
    throw new InosError('ERR_USAGE', 'The argument of this request has no form that a node understands.', { cause })
  }
}

function contentsOfRun (body: Uint8Array): (Uint8Array | BlobRef)[] {
  const { wasm, input, options } = decodeRun(body)
  return contentsOf(wasm, input, options)
}

async function callOwn (name: typeof OWN[number] | typeof OWN_READS[number], argument: unknown, { operator, node, stream, stop, work }: Scene, signal: AbortSignal): Promise<unknown> {
  switch (name) {
    case 'verify': {
      if (argument instanceof Uint8Array) return verdictOf(argument, verify)
      throw new InosError('ERR_USAGE', 'To be verified is the content of a receipt file.')
    }
    case 'verifyStored': return verdictOf(await storedReceipt(operator, decodeText(encodeArgument(argument))), verify)
    case 'rerun': return await rerun(operator, await storedReceipt(operator, decodeText(encodeArgument(argument))), verify, signal)
    case 'work': {
      const { serving } = await operator.trade()
      return { ...work(), allowed: serving, paused: null, serving, pauses: null } satisfies WorkView
    }
    case 'serve': {
      if (typeof argument !== 'boolean') throw new InosError('ERR_USAGE', 'To serve is true or false.')
      node.serve(argument)
      stream.tell('work', { serving: argument })
      return null
    }
    case 'stop': {
      // After the answer is out.
      setImmediate(stop)
      return null
    }
  }
}
