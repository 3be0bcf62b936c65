import assert from 'node:assert/strict'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { request as httpRequest } from 'node:http'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import { encodeCanonical } from '../packet/cbor.ts'
import { InosError } from '../packet/errors.ts'
import type { ComputeOptions, JobState } from '../processor/processor.ts'
import type { ActorAnswers, ActorRequest } from '../assembly/actor-requests.ts'
import { findNode } from './control-client.ts'
import { createGate } from './control-gate.ts'
import { decodeRun, encodeFrame, encodeRun, readFrames } from './control-messages.ts'
import { type ControlServer, serveControl } from './control-server.ts'
import type { OperatorBlobs } from './control-blobs.ts'
import type { Operator, PlainResult } from './operator.ts'

const root = mkdtempSync(join(tmpdir(), 'inos-control-'))
after(() => rmSync(root, { recursive: true, force: true }))
let folders = 0
function folder (name = ''): string {
  const path = join(root, `${folders++}${name}`)
  mkdirSync(path)
  return path
}

const RESULT: PlainResult = {
  outcome: 'ok', exitCode: 7, bytes: Uint8Array.of(1, 2), files: { '/cost': Uint8Array.of(6), '/out/fuel': new Uint8Array(0) }, stderr: Uint8Array.of(3), fuel: 2n ** 60n, pages: 2, cost: 5n, executor: 'peer', cached: true, receipt: Uint8Array.of(9),
  receiptId: 'bafy', spec: Uint8Array.of(7), job: '1', attempts: [{ peer: 'a', code: 'ERR_PEER_LOST', message: 'It left.' }]
}
const BALANCE = { balance: -5n, held: 0n, due: 2n ** 61n, owed: 1n, earned: 2n, spent: 7n }
const LINE = { spendable: 1n, due: 2n, owed: 3n, earned: 4n, spent: 5n }
const PEER = {
  id: 'p', addresses: ['/ip4/1.2.3.4/tcp/1'], direction: 'in' as const, transport: 'tcp', via: null, latencyMs: 1.5, offer: { slots: 2, idle: 1, fuelPerSec: null, perMFuel: 1000n, profile: 'inos/1', expires: 9 }, inFlight: 1, history: { ok: 2.5, lost: 0, refused: 1, wrong: 0, pace: 1 }, line: LINE
}
const QUOTE = {
  chosen: 'p', reason: 'why', code: null, bids: [{
    peer: 'p', costMax: 5n, cost: 4n, seconds: 0.5, burden: 1, score: 2.5, waits: false, code: null, reason: null, hint: null, memoryPagesMax: null
  }]
}
const JOB = {
  id: '7', module: 'm', input: 'i', spec: 's', where: 'any', state: 'settled' as const, peer: 'p', reason: null, began: 1_800_000_000_000, ended: 1_800_000_000_001, tries: 1, outcome: 'ok' as const,
  fuel: 2n ** 60n, fuelEstimate: null, cost: 3n, receipt: 'r', code: null
}
const JOB_REPORT = {
  ...JOB, steps: [{ at: 1, state: 'queued' as const, peer: null, reason: 'why' }], rounds: [{ at: 1, chosen: 'p', reason: 'why', asked: 1, bids: QUOTE.bids }], attempts: RESULT.attempts, hint: null
}
const ENTRY = { at: 1_800_000_000, direction: 'earned' as const, peer: 'p', cheque: 'c', n: 1, order: 'o', receipt: 'r', module: 'm', outcome: 'ok', fuel: null, kind: 'job', amount: 3n }
const REPORT = {
  ...LINE, peer: 'p', lineMax: 0n, net: -1n, held: 1n, running: 2n, acceptable: 3n, poolFree: 4n, poolMax: 2n ** 61n, sold: 31n, sellerPoolFree: 32n, sellerPoolMax: 33n, unacked: 0, frauds: 1, synced: null, reasons: ['why']
}
const FRAUD = { id: 'f', peer: 'p', kind: 'cheque' as const, witness: null, first: 'a', second: 'b', bytes: Uint8Array.of(5) }
const ROWS = [['a', Uint8Array.of(1)], ['b', Uint8Array.of(2)]] as const
const RECEIPT = { id: 'r', order: 'o', role: 'sold' as const, peer: 'p', module: 'm', outcome: 'ok' as const, exitCode: 0, fuel: 3n, charge: 4n, paid: true, givenUp: false }

const CARRIED = { peer: 'p', bytes: 2 ** 40, paid: 3, left: -4, connections: 1 }
const REACH = { status: 'relayed' as const, reason: 'why', next: null, addresses: ['/ip4/192.0.2.1/tcp/1/p2p/r/p2p-circuit'], relays: ['r'], relaying: true, carried: [CARRIED] }
const TEST = { address: '/ip4/192.0.2.1/tcp/1', via: null, ports: [1], seen: null, reached: ['/ip4/192.0.2.1/tcp/1'], relays: true, punches: false }
const KNOWN = { id: 'k', addresses: ['/ip4/192.0.2.1/tcp/1'], met: null }
const MESH = { net: 'ab', name: 'n', issuer: 'i', version: 1, feePpm: 2, offlineMax: 3n }
const MEMBER = { id: 'p', issuer: false, self: false, issued: 1, expires: 2, grant: 4n, revoked: false, account: 6n }
const TRADE = {
  serving: true, prices: { base: 1n, perMFuel: 2n, perPageSec: 3n, perKiB: 4n, perMB: 5n, perGiBh: 2n ** 60n }, fixed: ['base' as const], quarters: 4, loadPercent: 5, slots: 2, buyers: ['q'], relayPerMiB: 2n ** 61n, cpuPercent: 50,
  fuelPerSec: 1_000, idle: 1, queued: 0, memoryPagesMax: 16, diskBytes: 2 ** 40, bytesPerSec: null, gpu: null
}
const ACCOUNT = { issuer: 'i', cleared: 1n, free: 2n, uncleared: 3n, promised: 4n }

const ACTOR = { name: 'a', id: 'ab', module: 'm', state: 's', n: 3, queued: 0, home: 'p', pages: 2, bytes: 65_536, stopped: false }
const ACTOR_ANSWERS: ActorAnswers = {
  spawn: ACTOR, call: { n: 3, bytes: Uint8Array.of(1), exitCode: 0, state: null, fuel: 2n ** 60n, cost: 3n, executor: 'p', receiptId: 'r', repeated: true }, ls: [ACTOR, ACTOR],
  snapshot: { n: 3, state: 's', bytes: 7 }, migrate: ACTOR, stop: null, chain: new Uint8Array(10_000_000).fill(3)
}

const BLOB = { cid: 'c', size: 3, here: 2, pinned: true, shared: false }

/** Blobs that say what was asked of them. */
function fakeBlobs (asked: unknown[] = []): OperatorBlobs {
  return {
    async put (source, { pin, share } = {}) {
      const parts = await Array.fromAsync(source as AsyncIterable<Uint8Array>)
      asked.push(['put', Buffer.concat(parts).toString(), pin, share])
      return 'c'
    },
    async * get (cid, { onProgress } = {}) {
      onProgress?.({ bytes: 1, total: 2 })
      for (const text of [cid, 'end']) yield Buffer.from(text)
    },
    ls: async () => [BLOB, BLOB],
    usage: async () => ({ bytes: 1, bytesMax: 2, givenBytes: 3 }),
    async pin (cid, { onProgress } = {}) {
      onProgress?.({ bytes: 5, total: 6 })
      asked.push(['pin', cid])
    },
    async unpin (cid) { asked.push(['unpin', cid]) },
    async rm (cid) { asked.push(['rm', cid]) },
    gc: async () => ({ bytes: 7 })
  }
}

/** A node that answers from fixed values; a test replaces what it looks at. */
function fakeOperator (replaced: Partial<Operator> = {}): Operator {
  return {
    id: '12D3KooWfake',
    pid: process.pid,
    addresses: async () => ['/ip4/127.0.0.1/tcp/1'],
    blobs: fakeBlobs(),
    run: async () => RESULT,
    map: async function * (_wasm, inputs, { onProgress, concurrency }) {
      let index = 0
      for await (const input of inputs as AsyncIterable<Uint8Array>) {
        onProgress?.({ done: index, failed: 0, running: concurrency ?? 0, repeats: 0, cost: 1n, held: 2n, fuel: 3n })
        yield input.length === 0 ? { index: index++, error: new InosError('ERR_TRAP', 'It trapped.') } : { ...RESULT, bytes: input, index: index++ }
      }
    },
    actor: async request => ACTOR_ANSWERS[request.do] as never,
    quote: async () => QUOTE,
    connect: async address => `at ${address}`,
    credits: async () => BALANCE,
    account: async () => ACCOUNT,
    history: async function * () { yield ENTRY; yield ENTRY },
    explainLine: async peer => ({ ...REPORT, peer }),
    jobs: async () => [JOB, JOB],
    explain: async id => ({ ...JOB_REPORT, id }),
    cancel: async id => { if (id !== '7') throw new InosError('ERR_USAGE', `not ${id}`) },
    frauds: async function * () { yield FRAUD },
    dump: async function * () { yield * ROWS },
    audit: async () => ({ ok: false, id: 'x', records: 2, bad: [{ key: 'k', reason: 'why' }], ...BALANCE }),
    receipts: async function * () { yield RECEIPT },
    receipt: async id => id === 'none' ? null : Uint8Array.of(4),
    refund: async (order, amount) => ({ order, peer: 'p', amount: amount ?? 7n }),
    peers: async () => [PEER],
    reachability: async () => REACH,
    testReach: async peer => ({ ...TEST, peer }),
    knownPeers: async () => [KNOWN],
    forget: async peer => peer === 'p',
    trade: async () => TRADE,
    setTrade: async change => ({ ...TRADE, buyers: change.buyers ?? null, fixed: Object.entries(change.prices ?? {}).map(([name, price]) => `${name} ${typeof price} ${price}` as 'base') }),
    mesh: async () => MESH,
    amend: async ({ name = 'n', feePpm = 2, offlineMax = 3n }) => ({ ...MESH, version: 2, name, feePpm, offlineMax: BigInt(offlineMax) }),
    invite: async options => JSON.stringify(options, (_name, value: unknown) => typeof value === 'bigint' ? `${value}n` : value),
    members: async () => [MEMBER],
    grant: async (peer, amount) => { if (peer !== 'p' || amount !== 5n) throw new InosError('ERR_USAGE', `not ${peer}`) },
    revoke: async peer => { if (peer !== 'p') throw new InosError('ERR_USAGE', `not ${peer}`) },
    [Symbol.asyncDispose]: async () => {},
    ...replaced
  }
}

async function pair (replaced: Partial<Operator> = {}, dataDir = folder()): Promise<{ dataDir: string, server: ControlServer, client: Operator } & AsyncDisposable> {
  const server = await serveControl(dataDir, fakeOperator(replaced))
  const client = await findNode(dataDir)
  assert.ok(client !== null)
  return { dataDir, server, client, [Symbol.asyncDispose]: () => server.stop() }
}

const EMPTY = new Uint8Array(0)

// Goal: a command sees the same values whether the node is here or behind the socket.
// Method: ask for everything through the socket and compare with what the fake gives, bigints and all.
test('every operation gives what the node gives', async () => {
  await using both = await pair()
  const { client } = both
  const fake = fakeOperator()
  assert.equal(client.id, fake.id)
  assert.equal(client.pid, process.pid)
  assert.deepEqual(await client.addresses(), await fake.addresses())
  assert.deepEqual(await client.run(EMPTY, EMPTY, {}), RESULT)
  assert.deepEqual(await client.quote(EMPTY, EMPTY, { where: 'remote' }), QUOTE)
  assert.equal(await client.connect('/ip4/1.2.3.4'), 'at /ip4/1.2.3.4')
  assert.deepEqual(await client.credits(), BALANCE)
  assert.deepEqual(await Array.fromAsync(client.history()), [ENTRY, ENTRY])
  assert.deepEqual(await client.explainLine('q'), { ...REPORT, peer: 'q' })
  assert.deepEqual(await client.jobs(), [JOB, JOB])
  assert.deepEqual(await client.explain('8'), { ...JOB_REPORT, id: '8' })
  await client.cancel('7')
  await assert.rejects(client.cancel('8'), { code: 'ERR_USAGE', message: 'not 8' })
  assert.deepEqual(await Array.fromAsync(client.frauds()), [FRAUD])
  assert.deepEqual(await Array.fromAsync(client.dump()), ROWS)
  assert.deepEqual(await client.trade(), TRADE)
  assert.deepEqual(await client.setTrade({ prices: { base: 5n, perKiB: null }, buyers: ['a'], cpuPercent: 20 }), { ...TRADE, fixed: ['base bigint 5', 'perKiB object null'], buyers: ['a'] })
  assert.deepEqual((await client.setTrade({ buyers: null })).buyers, null)
  for (const wrong of [{ prices: { base: '1' } }, { buyers: 'anyone' }, { cpuPercent: -1 }, { more: 1 }]) await assert.rejects(client.setTrade(wrong as never), { code: 'ERR_USAGE' })
  assert.deepEqual(await client.mesh(), MESH)
  assert.deepEqual(await client.members(), [MEMBER])
  const terms = { grant: 5n, expires: '7d', count: 2, routes: ['/ip4/1.2.3.4'] }
  assert.equal(await client.invite(terms), await fake.invite(terms))
  assert.equal(await client.invite({}), '{}')
  await assert.rejects(client.invite({ more: 1 } as never), { code: 'ERR_USAGE' })
  assert.deepEqual(await client.account(), ACCOUNT)
  assert.deepEqual(await client.amend({ feePpm: 9, offlineMax: 8n }), { ...MESH, version: 2, feePpm: 9, offlineMax: 8n })
  assert.deepEqual(await client.amend({ name: 'm' }), { ...MESH, version: 2, name: 'm' })
  await assert.rejects(client.amend({ feePpm: -1 }), { code: 'ERR_USAGE', message: /A charter has/ })
  assert.deepEqual(await client.refund('o', null), { order: 'o', peer: 'p', amount: 7n })
  assert.deepEqual(await client.refund('o', 6n), { order: 'o', peer: 'p', amount: 6n })
  await assert.rejects(client.refund('o', 'much' as never), { code: 'ERR_USAGE', message: /A refund takes/ })
  await client.grant('p', 5n)
  await assert.rejects(client.grant('q', 5n), { code: 'ERR_USAGE', message: 'not q' })
  await assert.rejects(client.grant('p', 'much' as never), { code: 'ERR_USAGE', message: /A grant takes/ })
  await client.revoke('p')
  await assert.rejects(client.revoke('q'), { code: 'ERR_USAGE', message: 'not q' })
  assert.deepEqual(await client.audit(), await fake.audit())
  assert.deepEqual(await Array.fromAsync(client.receipts()), [RECEIPT])
  assert.deepEqual(await client.receipt('some'), Uint8Array.of(4))
  assert.equal(await client.receipt('none'), null)
  assert.deepEqual(await client.peers(), [PEER])
  assert.deepEqual([await client.reachability(), await client.testReach('p')], [REACH, { ...TEST, peer: 'p' }])
  assert.deepEqual(await client.knownPeers(), [KNOWN])
  assert.deepEqual([await client.forget('p'), await client.forget('q')], [true, false])
})

// Goal: a job arrives as it was given, and its states come back in order.
// Method: send every option once; the fake keeps what it got and reports three states.
test('options of a job travel whole, progress comes back', async () => {
  const options: ComputeOptions = {
    entry: 'go', args: ['-c', 'x'], env: { fuel: '1' }, files: { '/a': Uint8Array.of(1) }, limits: { fuelMax: 10n, memoryPagesMax: 3 }, seed: new Uint8Array(32),
    costMax: 2n ** 54n, where: 'remote', avoid: ['p'], cache: false, retries: 2
  }
  const states: JobState[] = [{ state: 'queued', reason: 'busy' }, { state: 'sending', peer: 'p' }, { state: 'offered', peer: 'p', costMax: 5n }, { state: 'settled', peer: 'p' }]
  let got: unknown
  await using both = await pair({
    run: async (wasm, input, { signal, onProgress, ...rest }) => {
      got = { wasm, input, rest }
      assert.ok(signal !== undefined)
      for (const state of states) onProgress?.(state)
      return RESULT
    }
  })
  const seen: JobState[] = []
  await both.client.run(Uint8Array.of(0), Uint8Array.of(1), { ...options, onProgress: state => seen.push(state) })
  assert.deepEqual(got, { wasm: Uint8Array.of(0), input: Uint8Array.of(1), rest: options })
  assert.deepEqual(seen, states)
})

// Goal: all that can be done with blobs passes the socket. Method: each of it once, with what the node was asked and answered.
test('blobs behind the socket', async () => {
  const asked: unknown[] = []
  await using both = await pair({ blobs: fakeBlobs(asked) })
  const { blobs } = both.client
  const progress: unknown[] = []
  const onProgress = (seen: unknown): void => { progress.push(seen) }
  assert.equal(await blobs.put('a text', { pin: false }), 'c')
  assert.equal(Buffer.concat(await Array.fromAsync(blobs.get('name', { onProgress }))).toString(), 'nameend')
  await blobs.pin('p', { onProgress })
  await blobs.unpin('u')
  await blobs.rm('r')
  assert.deepEqual(asked, [['put', 'a text', false, true], ['pin', 'p'], ['unpin', 'u'], ['rm', 'r']])
  assert.deepEqual([await blobs.ls(), await blobs.usage(), await blobs.gc()], [[BLOB, BLOB], { bytes: 1, bytesMax: 2, givenBytes: 3 }, { bytes: 7 }])
  assert.deepEqual(progress, [{ bytes: 1, total: 2 }, { bytes: 5, total: 6 }])
})

// Goal: large modules, inputs and results pass. Method: 30 MB there, 20 MB back.
test('large bytes pass both ways', async () => {
  const big = new Uint8Array(30_000_000).fill(7)
  await using both = await pair({ run: async (wasm, input) => ({ ...RESULT, bytes: (input as Uint8Array).subarray(0, (wasm as Uint8Array).length - 10_000_000) }) })
  const { bytes } = await both.client.run(big, big, {})
  assert.equal(bytes.length, 20_000_000)
  assert.equal(bytes.every(byte => byte === 7), true)
})

// Goal: an error keeps code, hint and attempts; a surprise does not lose its sentence.
// Method: throw both on the node's side, catch on the other.
test('errors cross the socket whole', async () => {
  const attempts = [{ peer: 'p', code: 'ERR_BUSY', message: 'Full.' }]
  await using both = await pair({
    run: async () => { throw new InosError('ERR_NO_OFFER', 'Nobody offers.', { hint: 'Ask later.', attempts }) },
    credits: async () => { throw new TypeError('odd') },
    history: async function * () { yield ENTRY; throw new InosError('ERR_STORE', 'The store broke.') }
  })
  await assert.rejects(both.client.run(EMPTY, EMPTY, {}), (error: InosError) => {
    assert.deepEqual([error.code, error.message, error.hint, error.attempts], ['ERR_NO_OFFER', 'Nobody offers.', 'Ask later.', attempts])
    return error instanceof InosError
  })
  await assert.rejects(both.client.credits(), { code: 'ERR_INTERNAL', message: /odd/ })
  await assert.rejects(Array.fromAsync(both.client.history()), { code: 'ERR_STORE' })
})

// Goal: a cancelled command cancels its job in the node, and nothing else.
// Method: abort the client while the fake waits for its signal; then ask again.
test('an abort on the client reaches the job', async () => {
  const started = Promise.withResolvers<void>()
  const aborted = Promise.withResolvers<void>()
  await using both = await pair({
    run: async (_wasm, _input, { signal }) => {
      started.resolve()
      await once(signal!, 'abort')
      aborted.resolve()
      throw new InosError('ERR_CANCELLED', 'Cancelled.')
    }
  })
  const cancel = new AbortController()
  const run = both.client.run(EMPTY, EMPTY, { signal: cancel.signal })
  await started.promise
  cancel.abort(new InosError('ERR_CANCELLED', 'Interrupted.'))
  await assert.rejects(run, { code: 'ERR_CANCELLED' })
  await aborted.promise
  assert.deepEqual(await both.client.credits(), BALANCE)
})

// Goal: leaving a list half-way frees the node. Method: break after one entry of an endless list.
test('breaking out of a list ends it in the node', async () => {
  const ended = Promise.withResolvers<void>()
  await using both = await pair({
    history: async function * () {
      try {
        for (;;) { yield ENTRY; await sleep(0) }
      } finally {
        ended.resolve()
      }
    }
  })
  for await (const entry of both.client.history()) {
    assert.deepEqual(entry, ENTRY)
    break
  }
  await ended.promise
})

// Goal: a node that stops tells its clients so. Method: stop the server while a job waits.
test('stopping cancels what is open and removes the socket', async () => {
  const started = Promise.withResolvers<void>()
  const { client, server, dataDir } = await pair({
    run: async (_wasm, _input, { signal }) => {
      started.resolve()
      await once(signal!, 'abort')
      throw new Error('whatever the job says')
    }
  })
  const run = client.run(EMPTY, EMPTY, {})
  await started.promise
  await Promise.all([server.stop(), assert.rejects(run, { code: 'ERR_CANCELLED', message: /stopped/ })])
  assert.equal(existsSync(server.path), false)
  assert.equal(await findNode(dataDir), null)
  await assert.rejects(client.credits(), { code: 'ERR_PEER_LOST' })
})

// Goal: only the user of the data directory may connect. Method: look at the socket's mode.
test('the socket has mode 0600', async () => {
  await using both = await pair()
  assert.equal(statSync(both.server.path).mode & 0o777, 0o600)
})

// Goal: the remains of a crashed node are no obstacle. Method: leave a dead socket and a file under its name.
test('a stale socket is found dead, and replaced', async () => {
  const dataDir = folder()
  const path = join(dataDir, 'control.sock')
  const dead = createServer().listen(path)
  await once(dead, 'listening')
  dead.close()
  writeFileSync(path, 'not even a socket')
  assert.equal(await findNode(dataDir), null)
  await using both = await pair({}, dataDir)
  assert.deepEqual(await both.client.credits(), BALANCE)
})

// Goal: a data directory deep in the tree works too. Method: a path of more than 108 bytes.
test('a long path gets a socket elsewhere, privately', async () => {
  const dataDir = folder('x'.repeat(120))
  const { client, server } = await pair({}, dataDir)
  assert.ok(server.path.length < 100)
  assert.equal(readFileSync(join(dataDir, 'control.path'), 'utf8'), server.path)
  assert.equal(statSync(join(server.path, '..')).mode & 0o777, 0o700)
  assert.deepEqual(await client.credits(), BALANCE)
  await server.stop()
  assert.equal(existsSync(join(server.path, '..')), false)
  assert.equal(existsSync(join(dataDir, 'control.path')), false)
})

// Goal: a node of another version is named, not misunderstood. Method: a server that answers another version number.
test('another version is refused with a hint', async () => {
  const dataDir = folder()
  const { createServer: createHttp } = await import('node:http')
  const server = createHttp((_request, response) => {
    response.end(encodeFrame({ kind: 'done', value: { version: 99, id: 'x', pid: 1, addresses: [] } }))
  }).listen(join(dataDir, 'control.sock'))
  await once(server, 'listening')
  await assert.rejects(findNode(dataDir), { code: 'ERR_DATA_DIR', message: /another version/ })
  server.close()
})

async function post (path: string, url: string, body: Uint8Array | string, headers: Record<string, string | number> = {}): Promise<unknown> {
  const request = httpRequest({ socketPath: path, method: 'POST', path: url, headers, agent: false })
  request.end(body)
  const [response] = await once(request, 'response') as [AsyncIterable<Uint8Array>]
  const frames = await Array.fromAsync(readFrames(response))
  return (frames.at(-1)!.value as { code: string }).code
}

// Goal: whatever is sent to the socket, it answers with a code and lives on.
// Method: unknown operations, garbage, wrong types, no length, too much; then a good request.
test('bad requests are refused and harm nothing', async () => {
  await using both = await pair()
  const { path } = both.server
  assert.equal(await post(path, '/nothing', Uint8Array.of(0xf6)), 'ERR_USAGE')
  assert.equal(await post(path, '/../status', Uint8Array.of(0xf6)), 'ERR_USAGE')
  assert.equal(await post(path, '/run', Uint8Array.of(0xff, 0xff)), 'ERR_RECORD_INVALID')
  assert.equal(await post(path, '/run', encodeCanonical({ wasm: 'x', input: EMPTY, options: {} })), 'ERR_USAGE')
  assert.equal(await post(path, '/run', encodeCanonical({ wasm: EMPTY, input: EMPTY, options: { signal: 1 } })), 'ERR_USAGE')
  assert.equal(await post(path, '/run', encodeCanonical({ wasm: EMPTY, input: EMPTY, options: { limits: { other: 1 } } })), 'ERR_USAGE')
  assert.equal(await post(path, '/run', encodeCanonical({ wasm: EMPTY, input: EMPTY, options: { toString: 1 } })), 'ERR_USAGE')
  assert.equal(await post(path, '/connect', encodeCanonical('x'.repeat(5000))), 'ERR_USAGE')
  assert.equal(await post(path, '/status', Uint8Array.of(0xf6), { 'transfer-encoding': 'chunked' }), 'ERR_INPUT_TOO_LARGE')
  const endless = httpRequest({ socketPath: path, method: 'POST', path: '/run', headers: { 'content-length': 2 ** 40 }, agent: false })
  endless.on('error', () => {})
  endless.write('x')
  const [response] = await once(endless, 'response') as [AsyncIterable<Uint8Array>]
  const [frame] = await Array.fromAsync(readFrames(response))
  assert.equal((frame!.value as { code: string }).code, 'ERR_INPUT_TOO_LARGE')
  endless.destroy()
  assert.deepEqual(await both.client.credits(), BALANCE)
})

// Goal: a hundred commands at once all get their answer, at most 64 of them worked on at a time.
// Method: 100 jobs that count how many run together.
test('many commands at once take turns', async () => {
  let running = 0
  let most = 0
  await using both = await pair({
    run: async () => {
      most = Math.max(most, ++running)
      await sleep(5)
      running--
      return RESULT
    }
  })
  const results = await Promise.all(Array.from({ length: 100 }, () => both.client.run(EMPTY, EMPTY, {})))
  assert.equal(results.length, 100)
  assert.ok(most > 1 && most <= 64, `${most} at once`)
})

// Goal: the gate holds count, bytes and order, and forgets who leaves.
// Method: one seat of ten bytes; a waiter leaves, two are admitted in order, one too many is refused.
test('the gate admits in order and within its limits', async () => {
  const gate = createGate({ requestsMax: 2, bodiesBytesMax: 10, waitingMax: 2 })
  const { signal } = new AbortController()
  const first = await gate.enter(8, signal)
  const leaving = new AbortController()
  const gone = gate.enter(5, leaving.signal)
  const order: string[] = []
  const second = gate.enter(2, signal).then(turn => { order.push('second'); return turn })
  await assert.rejects(gate.enter(1, signal), { code: 'ERR_BUSY' })
  assert.deepEqual(order, [])
  leaving.abort(new InosError('ERR_CANCELLED', 'Left.'))
  await assert.rejects(gone, { code: 'ERR_CANCELLED' })
  // Two bytes fit beside the eight once nobody larger is ahead.
  const turn = await second
  assert.deepEqual(order, ['second'])
  first[Symbol.dispose]()
  turn[Symbol.dispose]()
  using _all = await gate.enter(10, signal)
})

// Goal: frames survive any cutting of the stream, and a cut-off one is an error, not a silence.
// Method: seeded random values and chunk sizes; then the same stream without its last byte.
test('frames are read however they are cut', async () => {
  await fc.assert(fc.asyncProperty(fc.array(fc.uint8Array({ maxLength: 50 }), { minLength: 1, maxLength: 8 }), fc.integer({ min: 1, max: 70 }), async (values, size) => {
    const bytes = Buffer.concat(values.map(value => encodeFrame({ kind: 'item', value })))
    const cut = async function * (end: number): AsyncIterable<Uint8Array> {
      for (let at = 0; at < end; at += size) yield bytes.subarray(at, Math.min(at + size, end))
    }
    assert.deepEqual((await Array.fromAsync(readFrames(cut(bytes.length)))).map(({ value }) => value), values)
    await assert.rejects(Array.fromAsync(readFrames(cut(bytes.length - 1))), { code: 'ERR_BAD_PACKET' })
  }), { seed: 1, numRuns: 200 })
})

// Goal: no bytes make the request decoder do anything but decode or refuse. Method: seeded mutations of a good request.
test('a mutated job request is decoded or refused by a code', () => {
  const good = encodeRun({ wasm: Uint8Array.of(1, 2, 3), input: Uint8Array.of(4), options: { args: ['a'], env: { A: 'b' }, limits: { fuelMax: 9n }, costMax: 3n, where: 'any' } })
  fc.assert(fc.property(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 }), (at, flip) => {
    const bytes = good.slice()
    bytes[at]! ^= flip
    try {
      decodeRun(bytes)
    } catch (error) {
      assert.ok(error instanceof InosError && ['ERR_USAGE', 'ERR_RECORD_INVALID'].includes(error.code), String(error))
    }
  }), { seed: 2, numRuns: 2000 })
})

// Goal: a map behind the socket is the same: inputs are read as they are taken, items, failures and progress come back, its
// options arrive checked. Method: a source that waits for the item before; a failure among the items; bad options; a source that throws.
test('a map goes through the socket', async () => {
  await using both = await pair()
  const seen: unknown[] = []
  const progress: unknown[] = []
  let woken = Promise.withResolvers<void>()
  const inputs = async function * (): AsyncIterable<Uint8Array | string> {
    for (const input of ['one', new Uint8Array(0), 'three']) {
      yield input
      await woken.promise
      woken = Promise.withResolvers()
    }
  }
  for await (const item of both.client.map(EMPTY, inputs(), { concurrency: 2, budget: 5n, onProgress: report => progress.push(report) })) {
    seen.push(item.error === undefined ? [item.index, new TextDecoder().decode(item.bytes), item.cost] : [item.index, item.error.code])
    woken.resolve()
  }
  assert.deepEqual(seen, [[0, 'one', RESULT.cost], [1, 'ERR_TRAP'], [2, 'three', RESULT.cost]])
  assert.deepEqual(progress[0], { done: 0, failed: 0, running: 2, repeats: 0, cost: 1n, held: 2n, fuel: 3n })
  await assert.rejects(Array.fromAsync(both.client.map(EMPTY, ['x'], { budget: 'much' } as never)), { code: 'ERR_USAGE' })
  await assert.rejects(Array.fromAsync(both.client.map(EMPTY, ['x'], { purse: 1 } as never)), { code: 'ERR_USAGE' })
  const broken = async function * (): AsyncIterable<string> { yield 'one'; throw new InosError('ERR_USAGE', 'No such file.') }
  await assert.rejects(Array.fromAsync(both.client.map(EMPTY, broken(), {})), /No such file/)
  await assert.rejects(Array.fromAsync(both.client.map(EMPTY, ['x'], { signal: AbortSignal.abort(new InosError('ERR_CANCELLED', 'enough')) })), { code: 'ERR_CANCELLED' })
})

// Goal: actors behind the socket are the same: requests arrive checked, answers come back whole, a long history in pieces.
// Method: every request with all it may have, and some that are none.
test('actors go through the socket', async () => {
  const requests: ActorRequest[] = [
    { do: 'spawn', name: 'a', wasm: Uint8Array.of(1), options: { entry: 'go', env: { fuel: '1' }, limits: { fuelMax: 5n }, costMax: 2n ** 54n, where: 'remote' } },
    { do: 'call', name: 'a', message: Uint8Array.of(2), id: null }, { do: 'call', name: 'a', message: new Uint8Array(0), id: 'x' }, { do: 'ls' }, { do: 'snapshot', name: 'a' },
    { do: 'migrate', name: 'a', peer: 'p' }, { do: 'stop', name: 'a', forget: true }, { do: 'chain', name: 'a' }
  ]
  const got: unknown[] = []
  await using both = await pair({ actor: async request => { got.push(request); return ACTOR_ANSWERS[request.do] as never } })
  for (const request of requests) assert.deepEqual(await both.client.actor(request), ACTOR_ANSWERS[request.do])
  assert.deepEqual(got, requests)
  const wrong: object[] = [
    { do: 'call', name: 'a', message: 'x', id: null }, { do: 'call', name: 'a', message: EMPTY }, { do: 'call', message: EMPTY, id: null }, { do: 'stop', name: 'a' }, { do: 'migrate', name: 'a' },
    { do: 'spawn', name: 'a', wasm: EMPTY, options: { key: 'k' } }, { do: 'spawn', name: 'a', wasm: 'x', options: {} }, { do: 'dance', name: 'a' }, { do: 'snapshot', name: 'x'.repeat(10_000) }
  ]
  for (const request of wrong) await assert.rejects(both.client.actor(request as ActorRequest), { code: 'ERR_USAGE' }, JSON.stringify(request).slice(0, 80))
})
