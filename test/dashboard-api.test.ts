/** The dashboard's local API over real sockets: who is let in, what is told, and that words of strangers stay words. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { buildPage } from '../scripts/build-page.ts'
import { createEventStream } from '../src/node/dashboard-events.ts'
import { fromJson, toJson } from '../src/node/dashboard-json.ts'
import { type Dashboard, serveDashboard } from '../src/node/dashboard.ts'
import { join, type Node } from '../src/node/join.ts'
import { type Operator, operatorOf } from '../src/node/operator.ts'
import { rawCid } from '../src/packet/cid.ts'
import { LIMITS } from '../src/packet/limits.ts'
import { packFiles } from '../src/processor/job.ts'
import { childSpec, FAN, fanInput, guestOf } from './family-guests.ts'
import { echo } from './programs.ts'

const PAGE = new Map([['/', { type: 'text/html', bytes: new Uint8Array([60]) }], ['/page.js', { type: 'text/javascript', bytes: new Uint8Array(1) }]])
/** Words that would do harm as markup, as a header, as a line of a stream or as a key of an object. */
const HOSTILE = ['<img src=x onerror=alert(1)>', '"><script>fetch("//evil")</script>', 'a\r\nset-cookie: x\r\n\r\n', 'data: x\n\nevent: gap\n\n', '__proto__', '\u2028\u202e\0', '{"/":{"bytes":"AA=="}}']

let directory = ''
let node: Node
let operator: Operator
let dashboard: Dashboard
let stops = 0
before(async () => {
  directory = await mkdtemp(joinPath(tmpdir(), 'inos-dashboard-'))
  node = await join({ dataDir: directory, network: false, slots: 1 })
  operator = operatorOf(node)
  dashboard = await serveDashboard({ dataDir: directory, operator, node, port: 0, page: PAGE, stop: () => { stops++ } })
})
after(async () => {
  await dashboard.stop()
  await node.stop()
  await rm(directory, { recursive: true, force: true })
})

interface Answer { readonly status: number, readonly headers: NodeJS.Dict<string | string[]>, readonly text: string }
interface Head { readonly method: string, readonly path: string, readonly headers: Record<string, string>, readonly body?: string | undefined }

async function ask ({ method, path, headers, body }: Head, port = Number(new URL(dashboard.url).port)): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const asked = request({ host: '127.0.0.1', port, method, path, headers, setHost: false, agent: false }, response => {
    let text = ''
    response.setEncoding('utf8').on('data', (chunk: string) => { text += chunk }).on('error', reject)
      .on('end', () => { resolve({ status: response.statusCode ?? 0, headers: response.headers, text }) })
  })
  asked.on('error', reject).end(body)
  return await promise
}

function fromJsonValue<T> ({ status, text }: Answer): T {
  assert.equal(status, 200, text)
  return (fromJson(text) as { value: T }).value
}

async function post (name: string, argument: unknown, at = dashboard): Promise<Answer> {
  const { host, port } = new URL(at.url)
  const body = toJson(argument)
  return await ask({ method: 'POST', path: `/api/${name}`, headers: { host, 'x-inos-token': at.token, 'content-type': 'application/json', 'content-length': String(Buffer.byteLength(body)) }, body }, Number(port))
}

async function read (name: string, at = dashboard): Promise<Answer> {
  const { host, port } = new URL(at.url)
  return await ask({ method: 'GET', path: `/api/${name}`, headers: { host, 'x-inos-token': at.token } }, Number(port))
}

// Goal: only who has name, origin and token right is let in, only by the method and the type of a path.
// Method: every combination of method, path, Host, Origin, content type and token, its status foretold by a rule of the test's own.
test('each combination of method, path, host, origin, type and token has exactly its status', async () => {
  const port = new URL(dashboard.url).port
  const paths: Record<string, 'file' | 'read' | 'call' | null> = { '/': 'file', '/page.js': 'file', '/api/jobs': 'read', '/api/cancel': 'call', '/api/dump': null, '/api/jobs?token=x': null, '/api/toString': null, '//page.js': null }
  const hosts = [`127.0.0.1:${port}`, `localhost:${port}`, `[::1]:${port}`, 'localhost', `evil.example:${port}`, `127.0.0.1:${Number(port) - 1}`]
  const heads: [origin: string | null, type: string | null, token: string | null][] = [
    [null, 'application/json', 'right'], ['own', 'application/json', 'right'], ['http://evil.example', 'application/json', 'right'], ['null', 'application/json', 'right'],
    [null, 'text/plain', 'right'], [null, null, 'right'], [null, 'application/json', 'wrong'], ['own', 'application/json', null]
  ]
  let count = 0
  for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'HEAD', 'OPTIONS']) {
    for (const [path, kind] of Object.entries(paths)) {
      for (const [at, host] of hosts.entries()) {
        for (const [origin, type, token] of heads) {
          const wanted = kind === 'call' ? 'POST' : 'GET'
          const expected = at > 2 || (origin !== null && origin !== 'own') ? 403
            : kind === null ? 404
            : method !== wanted ? 405
            : kind === 'file' ? 200
            : token !== 'right' ? 401
            : kind === 'read' ? 200
            : type !== 'application/json' ? 415
            // There is no such job.
            : 400
          const body = method === 'POST' ? '"12345"' : undefined
          const { status, text, headers } = await ask({
            method, path, body,
            headers: {
              host, ...(origin === null ? {} : { origin: origin === 'own' ? `http://${host}` : origin }), ...(type === null ? {} : { 'content-type': type }),
              ...(token === null ? {} : { 'x-inos-token': token === 'right' ? dashboard.token : 'A'.repeat(43) }), ...(body === undefined ? {} : { 'content-length': String(body.length) })
            }
          })
          assert.equal(status, expected, `${method} ${path} of ${host} from ${origin}, ${type}, token ${token}`)
          if (status !== 200 && status !== 400) assert.equal(text, '')
          assert.equal(headers['access-control-allow-origin'], undefined)
          count++
        }
      }
    }
  }
  assert.ok(count >= 300)
})

// Goal: a body is bounded before it is read. Method: lengths that are missing and too long, and a body that is no JSON.
test('bodies have a length, a limit and a form', async () => {
  const { host } = new URL(dashboard.url)
  const headers = { host, 'x-inos-token': dashboard.token, 'content-type': 'application/json' }
  assert.equal((await ask({ method: 'POST', path: '/api/cancel', headers: { ...headers, 'transfer-encoding': 'chunked' }, body: '"1"' })).status, 411)
  assert.equal((await ask({ method: 'POST', path: '/api/cancel', headers: { ...headers, 'content-length': String(LIMITS.dashboard.bodyBytesMax + 1) } })).status, 413)
  const broken = await ask({ method: 'POST', path: '/api/cancel', headers: { ...headers, 'content-length': '1' }, body: '{' })
  assert.deepEqual([broken.status, JSON.parse(broken.text).error.code], [400, 'ERR_USAGE'])
  assert.equal((await ask({ method: 'GET', path: '/api/jobs', headers: { host, 'x-inos-token': dashboard.token, authorization: 'x' } })).status, 200)
})

// Goal: nothing but a file that others cannot read holds the token, it outlives a restart, and other machines are refused.
// Method: look at the file's mode, open a second server on the same directory, and ask for addresses beyond loopback.
test('the token is kept privately, and only loopback is served', async () => {
  const path = joinPath(directory, 'dashboard.token')
  assert.equal((await readFile(path, 'utf8')).trim(), dashboard.token)
  if (process.platform !== 'win32') assert.equal((await stat(path)).mode & 0o777, 0o600)
  assert.equal(new URL(dashboard.url).hash, `#${dashboard.token}`)
  const options = { dataDir: directory, operator, node, port: 0, page: PAGE, stop: () => {} }
  for (const host of ['0.0.0.0', '::', '192.168.1.1', '127.evil.example', '']) await assert.rejects(serveDashboard({ ...options, host }), { code: 'ERR_POLICY' })
  const again = await serveDashboard(options)
  assert.equal(again.token, dashboard.token)
  await again.stop()
})

// Goal: a dashboard that cannot be served leaves nothing behind at its node. Method: the port is taken, then receipts that cannot be read; every
// listener it put there is gone.
test('a dashboard that fails listens to nothing', async () => {
  const listening = new Set<symbol>()
  const on = (): (() => void) => {
    const one = Symbol('listener')
    listening.add(one)
    return () => { listening.delete(one) }
  }
  const options = { dataDir: directory, operator, node: { on, serve: () => {} }, port: Number(new URL(dashboard.url).port), page: PAGE, stop: () => {} }
  await assert.rejects(serveDashboard(options), { code: 'ERR_LISTEN' })
  assert.equal(listening.size, 0)
  const unreadable: Operator = { ...operator, receipts: () => ({ [Symbol.asyncIterator]: () => ({ next: () => Promise.reject(new Error('unreadable')) }) }) }
  await assert.rejects(serveDashboard({ ...options, port: 0, operator: unreadable }), /unreadable/)
  assert.equal(listening.size, 0)
  const served = await serveDashboard({ ...options, port: 0 })
  assert.ok(listening.size > 0)
  await served.stop()
  assert.equal(listening.size, 0)
})

// Goal: the API does what the control socket does. Method: a job, its report, its receipt checked offline, run again and tampered with, and the end of the node.
test('a job is run, told, verified and run again', async () => {
  const ran = await post('run', { wasm: echo(), input: Buffer.from('hello'), options: {} })
  const { value } = fromJson(ran.text) as { value: { bytes: Uint8Array, fuel: string, receiptId: string, receipt: Uint8Array, job: string } }
  assert.deepEqual([ran.status, Buffer.from(value.bytes).toString(), typeof value.fuel], [200, 'hello', 'string'])
  assert.equal((JSON.parse((await read('jobs')).text) as { value: { id: string, state: string }[] }).value.find(({ id }) => id === value.job)?.state, 'settled')
  assert.equal(JSON.parse((await post('explain', value.job)).text).value.receipt, value.receiptId)
  assert.equal(JSON.parse((await post('verifyStored', value.receiptId)).text).value.ok, true)
  assert.match(JSON.parse((await post('rerun', value.receiptId)).text).value.message, /same outcome, bytes and fuel/)
  const tampered = value.receipt.slice()
  tampered[tampered.length - 10]! ^= 1
  const verdict = JSON.parse((await post('verify', tampered)).text).value
  assert.equal(verdict.ok, false)
  assert.match(verdict.field, /^\w+$/)
  assert.equal((await post('verify', 'words')).status, 400)
  assert.equal((await post('stop', null)).status, 200)
  while (stops === 0) await new Promise(resolve => { setImmediate(resolve) })
  assert.equal(stops, 1)
})

// Goal: a job with files, arguments and a limit of its own, and one that had others computed, run again as they ran; what is no longer here is told, not judged.
// Method: submit both as the page does, run them again, remove the archive of files, and run again.
test('a job with files, and one with children, run again', async () => {
  const run = async (wasm: Uint8Array, input: Uint8Array, options: object): Promise<string> => fromJsonValue<{ receiptId: string }>(await post('run', { wasm, input, options })).receiptId
  const again = async (id: string): Promise<unknown[]> => {
    const { ok, message } = fromJsonValue<{ ok: boolean | null, message: string }>(await post('rerun', id))
    return [ok, message]
  }
  const files = { '/in/a.txt': Buffer.from('a'), '/in/b.txt': Buffer.from('b') }
  const withFiles = await run(echo(), Buffer.from('x'), { files, args: ['one'], limits: { fuelMax: 1_000_000 } })
  const right = [true, 'Run again here, the job gave the same outcome, bytes and fuel.']
  assert.deepEqual(await again(withFiles), right)
  const fan = await run(FAN, fanInput({ levels: 2, width: 2, fuel: 100_000_000n }), { limits: { descendantsMax: 6, fuelMax: 1_000_000_000 } })
  assert.deepEqual(await again(fan), right)
  const leaf = guestOf('i32.const 0 i32.const 3 i32.store8 i32.const 0 i32.const 1 call 1 drop i32.const 0')
  const name = Buffer.from(rawCid(leaf).toString())
  const parent = await run(guestOf('i32.const 0 i32.const 56 call 2 call 3'), Buffer.concat([childSpec({ module: [56, name.length] }), name]), { modules: [leaf], limits: { descendantsMax: 1, fuelMax: 100_000_000 } })
  assert.deepEqual(await again(parent), right)
  await operator.blobs.rm(rawCid(leaf).toString())
  assert.deepEqual(await again(parent), [null, `The module ${name.toString()} of a child is not kept on this node any more, so the job cannot be run again.`])
  const { archive } = packFiles(files)
  await operator.blobs.rm(rawCid(archive!).toString())
  assert.deepEqual(await again(withFiles), [null, 'The archive of files is not kept on this node any more, so the job cannot be run again.'])
})

// Goal: what a peer says is text wherever it arrives. Method: hostile words in every field of a node's answers and events, read back as they were, in a type no browser makes a page of.
test('hostile strings stay strings', async () => {
  for (const word of HOSTILE) {
    const job = { id: word, module: word, input: word, spec: word, where: word, state: 'failed', peer: word, reason: word, began: 1, ended: 2, tries: 1, outcome: null, fuel: null, cost: null, receipt: null, code: word }
    const peer = { id: word, addresses: [word], direction: 'in', transport: word, via: word, latencyMs: 1, offer: { profile: word }, inFlight: 0, history: null, line: {} }
    const member = { id: word }
    const hostile = { ...operator, jobs: async () => [job], peers: async () => [peer], members: async () => [member], knownPeers: async () => [{ id: word, addresses: [word] }], mesh: async () => ({ name: word, net: word }), explain: async () => { throw new Error(word) } } as unknown as Operator
    const listeners: ((detail: unknown) => void)[] = []
    const server = await serveDashboard({ dataDir: directory, operator: hostile, port: 0, page: PAGE, stop: () => {}, node: { on: (_name, listener) => { listeners.push(listener as (detail: unknown) => void); return () => {} }, serve: () => {} } })
    try {
      for (const [name, expected] of Object.entries({ jobs: [job], peers: [peer] })) {
        const { status, headers, text } = await read(name, server)
        assert.deepEqual([status, headers['content-type'], headers['x-content-type-options'], headers['set-cookie']], [200, 'application/json; charset=utf-8', 'nosniff', undefined])
        assert.deepEqual(JSON.parse(text).value, expected)
      }
      assert.equal(JSON.parse((await read('members', server)).text).value[0].id, word)
      assert.equal(JSON.parse((await read('mesh', server)).text).value.name, word)
      assert.equal(JSON.parse((await read('knownPeers', server)).text).value[0].id, word)
      assert.equal((await post('explain', '1', server)).status, 500)
      assert.ok((await post('cancel', word, server)).status < 500)
    } finally {
      await server.stop()
    }
    const frames = listen(events => { events.tell('job:state', { job: word, peer: word }) })
    assert.deepEqual(frames.map(({ event, data }) => [event, event === 'hello' ? null : data]), [['hello', null], ['job:state', { job: word, peer: word }]])
  }
})

/** What a page gets that came with `last` and stayed while something happened. */
function listen (happen: (events: ReturnType<typeof createEventStream>) => void, last: string | null = null, events = createEventStream('life', 3)): { id: string, event: string, data: unknown }[] {
  let text = ''
  const response = { writeHead: () => {}, write: (part: string) => { text += part; return true }, on: () => {}, end: () => {}, writableLength: 0 }
  assert.ok(events.attach(response as never, last))
  happen(events)
  events.stop()
  return text.split('\n\n').filter(frame => frame !== '').map(frame => {
    const [id, event, data] = frame.split('\n').map(line => line.slice(line.indexOf(' ') + 1)) as [string, string, string]
    return { id, event, data: JSON.parse(data) }
  })
}

// Goal: who comes back misses nothing, or is told so. Method: name each event of a short memory as the last one seen, and ids of another life or of no kind.
test('events are numbered, replayed, and a gap is told', () => {
  const told = (last: string | null): string[] => {
    const events = createEventStream('life', 3)
    for (const n of [1, 2, 3, 4, 5]) events.tell('receipt', n)
    return listen(() => { events.tell('receipt', 6) }, last, events).map(({ id, event }) => `${event} ${id}`)
  }
  assert.deepEqual(told(null), ['hello life-5', 'receipt life-6'])
  assert.deepEqual(told('life-2'), ['hello life-2', 'receipt life-3', 'receipt life-4', 'receipt life-5', 'receipt life-6'])
  assert.deepEqual(told('life-5'), ['hello life-5', 'receipt life-6'])
  for (const last of ['life-1', 'life-6', 'other-5', '5', 'life-', '']) assert.deepEqual(told(last), ['gap life-5', 'receipt life-6'], last)
})

// Goal: `inos up --ui` serves the page, tells its link, and ends well when the page says Stop. Method: the process, its first line with a link for tabs besides, its page and its headers, then the switch for working and POST /api/stop.
test('inos up --ui', async () => {
  const built = fileURLToPath(new URL('../dist/page/', import.meta.url))
  // Set-up builds it; who runs this file alone may have none.
  if (!existsSync(`${built}index.html`)) await buildPage(built)
  const child = spawn(process.execPath, [fileURLToPath(new URL('../cli/main.ts', import.meta.url)), 'up', '--ui', '0', '--listen', '/ip4/127.0.0.1/tcp/0/ws', '--page', 'https://example.org/inos/', '--json', '--data', joinPath(directory, 'up')], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(child, 'exit')
  try {
    const lines = createInterface(child.stdout)[Symbol.asyncIterator]()
    const { ui, tab, addresses } = JSON.parse((await lines.next()).value ?? '') as { ui: string, tab: string, addresses: string[] }
    assert.equal(tab, `https://example.org/inos/#join=${addresses[0]}`)
    const { hash, host, port } = new URL(ui)
    const page = await ask({ method: 'GET', path: '/', headers: { host } }, Number(port))
    assert.equal(page.status, 200)
    assert.match(page.text, /<script type="module" src="\/page.js">/)
    assert.match(String(page.headers['content-security-policy']), /default-src 'none'.*frame-ancestors 'none'/)
    assert.deepEqual([page.headers['cross-origin-opener-policy'], page.headers['cross-origin-embedder-policy']], ['same-origin', 'require-corp'])
    const at = { url: ui, token: hash.slice(1), stop: async () => {} }
    const work = async (): Promise<unknown> => JSON.parse((await read('work', at)).text).value
    assert.deepEqual(await work(), { jobs: 0, fuel: '0', allowed: true, paused: null, serving: true, pauses: null })
    assert.deepEqual([(await post('serve', 'no', at)).status, (await post('serve', false, at)).status], [400, 200])
    assert.deepEqual(await work(), { jobs: 0, fuel: '0', allowed: false, paused: null, serving: false, pauses: null })
    assert.equal((await post('stop', null, at)).status, 200)
    assert.deepEqual(await exited, [0, null])
  } finally {
    child.kill('SIGKILL')
  }
})
