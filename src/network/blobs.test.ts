/** Blobs and jobs of four fields: streams of their own beside the session. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { isCode } from '../../test/suites/network.ts'
import { decodeCid, rawCid } from '../packet/cid.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Packet } from '../packet/packet.pb.js'
import { createMemoryHub } from './memory.ts'
import { HandClock, joinNode, never, openRaw, RawStream, settle } from './network.fixture.ts'

const MIB = 1024 * 1024
const blobOf = (length: number): Uint8Array<ArrayBuffer> => Uint8Array.from({ length }, (_, i) => i * 31 + (i >> 8))
const ALL = { bytesMax: 96 * MIB }

/** A node with this blob, and one without. */
function pairWith (blob: Uint8Array, limits = {}): { fetch: (bytesMax?: number, signal?: AbortSignal) => Promise<Uint8Array>, cid: string, asked: string[], timers: HandClock, events: string[] } {
  const hub = createMemoryHub()
  const timers = new HandClock()
  const cid = rawCid(blob).toString()
  const asked: string[] = []
  joinNode(hub, 'b', { timers, limits, blobs: { get: async (peer, id) => { asked.push(`${peer}:${id}`); return id === cid ? blob : null } } })
  const a = joinNode(hub, 'a', { timers, limits })
  return { cid, asked, timers, events: a.events, fetch: (bytesMax = ALL.bytesMax, signal = never) => a.sessions.fetch('b', cid, { bytesMax, signal }) }
}

/** A node and a raw peer that answers each `want` as told. */
function against (answer: (raw: RawStream) => void): { fetch: (cid: string, bytesMax?: number) => Promise<Uint8Array>, timers: HandClock } {
  const hub = createMemoryHub()
  const timers = new HandClock()
  const a = joinNode(hub, 'a', { timers })
  hub.network('evil').handle(wire => { answer(new RawStream(wire)) })
  return { timers, fetch: (cid, bytesMax = MIB) => a.sessions.fetch('evil', cid, { bytesMax }) }
}

// Goal: blobs of all sizes around a chunk arrive whole. Method: fetch and compare.
test('blobs of every size', async () => {
  const chunk = LIMITS.wire.blobChunkBytes
  for (const length of [0, 1, chunk - 1, chunk, chunk + 1, 3 * chunk, 5 * MIB + 7]) {
    const blob = blobOf(length)
    const { fetch, asked, cid, timers } = pairWith(blob)
    assert.deepEqual(await fetch(), blob)
    assert.deepEqual(asked, [`a:${cid}`])
    await settle()
    assert.equal(timers.pending, 0)
  }
})

// Goal: two who want one blob share one stream, and one who gives up takes it from nobody.
// Method: three fetches at once, one aborted; count what the holder was asked.
test('fetches of one blob share a stream', async () => {
  const blob = blobOf(2 * MIB)
  const { fetch, asked } = pairWith(blob)
  const stop = new AbortController()
  const [one, two, three] = [fetch(), fetch(), assert.rejects(fetch(ALL.bytesMax, stop.signal), isCode('ERR_CANCELLED'))]
  stop.abort()
  await three
  assert.equal(await one, await two)
  assert.equal(asked.length, 1)
})

// Goal: only so many blobs are on their way from one peer, the rest wait and arrive. Method: 20 at
// once from a holder that refuses more than 4; the most at once is counted there.
test('fetches queue behind the limit', async () => {
  const hub = createMemoryHub()
  const timers = new HandClock()
  const blobs = Array.from({ length: 20 }, (_, i) => blobOf(1000 + i))
  let now = 0
  let most = 0
  joinNode(hub, 'b', {
    timers,
    blobs: {
      get: async (_peer, cid) => {
        most = Math.max(most, ++now)
        await settle()
        now--
        return blobs.find(blob => rawCid(blob).toString() === cid) ?? null
      }
    }
  })
  const a = joinNode(hub, 'a', { timers })
  const got = await Promise.all(blobs.map(blob => a.sessions.fetch('b', rawCid(blob).toString(), ALL)))
  assert.deepEqual(got, blobs)
  assert.equal(most, LIMITS.wire.blobsPerPeerMax)
})

// Goal: a holder refuses more blobs at once than it wants to send. Method: raw wants that are not read.
test('a holder sends only so many blobs at once', async () => {
  const timers = new HandClock()
  const hub = createMemoryHub()
  joinNode(hub, 'b', { timers, blobs: { get: () => new Promise(() => {}) } })
  const network = hub.network('greedy')
  const raws = await Promise.all(Array.from({ length: 6 }, () => openRaw(network, 'b')))
  for (const raw of raws) raw.send({ kind: 'want', id: Uint8Array.from(rawCid(blobOf(1)).bytes) })
  await settle()
  assert.deepEqual(raws.map(({ packets }) => packets[0]?.code), [undefined, undefined, undefined, undefined, 'ERR_BUSY', 'ERR_BUSY'])
})

// Goal: a blob a peer may not have, and one whose holder fails, are refused with the right code.
// Method: null, and an error that must not leak.
test('a blob that is refused', async () => {
  const hub = createMemoryHub()
  const timers = new HandClock()
  const cid = rawCid(blobOf(9)).toString()
  let error: Error | null = null
  joinNode(hub, 'b', { timers, blobs: { get: async () => { if (error !== null) throw error; return null } } })
  const a = joinNode(hub, 'a', { timers })
  await assert.rejects(a.sessions.fetch('b', cid, ALL), isCode('ERR_GONE'))
  error = new Error('disk at /home/x')
  await assert.rejects(a.sessions.fetch('b', cid, ALL), (error: unknown) => isCode('ERR_INTERNAL')(error) && !(error as Error).message.includes('disk'))
  await assert.rejects(a.sessions.fetch('b', 'no cid', ALL), isCode('ERR_USAGE'))
  await assert.rejects(a.sessions.fetch('nobody', cid, ALL), isCode('ERR_NOT_REACHABLE'))
})

// Goal: the announced size is checked before memory is taken. Method: a holder announces 90 MiB to one
// who takes 1 MiB; what the process holds must not grow.
test('a blob above bytesMax is refused before it is allocated', async () => {
  const { fetch } = pairWith(blobOf(2000))
  await assert.rejects(fetch(1999), isCode('ERR_INPUT_TOO_LARGE'))
  assert.equal((await fetch(2000)).length, 2000)
  const before = process.memoryUsage().arrayBuffers
  const huge = against(raw => { raw.send({ kind: 'chunk', size: BigInt(90 * MIB), result: new Uint8Array(10) }) })
  await assert.rejects(huge.fetch(rawCid(blobOf(1)).toString()), isCode('ERR_INPUT_TOO_LARGE'))
  assert(process.memoryUsage().arrayBuffers - before < 10 * MIB)
})

// Goal: every way a holder can cheat has its error. Method: one raw holder each.
test('holders that cheat', async () => {
  const blob = blobOf(1000)
  const cid = rawCid(blob).toString()
  const size = BigInt(blob.length)
  const cheats: Array<[string, (raw: RawStream) => void]> = [
    // Other bytes, fewer, more, endless, of no size, empty chunks, another kind, nothing.
    ['ERR_VERIFICATION', raw => { raw.send({ kind: 'chunk', size, result: blobOf(1001).subarray(1) }); void raw.wire.end() }],
    ['ERR_VERIFICATION', raw => { raw.send({ kind: 'chunk', size, result: blob.subarray(1) }); void raw.wire.end() }],
    ['ERR_BAD_PACKET', raw => { raw.send({ kind: 'chunk', size, result: blobOf(1001) }) }],
    ['ERR_BAD_PACKET', raw => { for (let i = 0; i < 3; i++) raw.send({ kind: 'chunk', size, result: blob.subarray(0, 500) }) }],
    ['ERR_BAD_PACKET', raw => { raw.send({ kind: 'chunk', result: blob }) }],
    ['ERR_BAD_PACKET', raw => { for (let i = 0; i < 3; i++) raw.send({ kind: 'chunk', size }) }],
    ['ERR_BAD_PACKET', raw => { raw.send({ kind: 'answer', size, result: blob }) }],
    ['ERR_VERIFICATION', raw => { void raw.wire.end() }],
    ['ERR_PEER_LOST', raw => { raw.send({ kind: 'chunk', size, result: blob }); raw.wire.abort(new Error('gone')) }]
  ]
  for (const [code, cheat] of cheats) {
    const { fetch, timers } = against(cheat)
    await assert.rejects(fetch(cid), isCode(code), cheat.toString())
    await timers.turn(6_000)
    assert.equal(timers.pending, 0)
  }
})

// Goal: a holder that stops amid a blob is not waited for. Method: half a blob, then the clock.
test('a holder that stops amid a blob is cut', async () => {
  const blob = blobOf(1000)
  const { fetch, timers } = against(raw => { raw.send({ kind: 'chunk', size: 1000n, result: blob.subarray(0, 500) }) })
  const fetching = assert.rejects(fetch(rawCid(blob).toString()), isCode('ERR_BAD_PACKET'))
  await timers.turn(LIMITS.wire.stallMsMax + 1)
  await fetching
  assert.equal(timers.pending, 0)
})

// Goal: what is fetched is asked for by its CID, and a want with another id is refused. Method: raw wants.
test('a want names a CID of ours', async () => {
  const seen: string[] = []
  const { fetch } = against(raw => {
    void settle().then(() => {
      seen.push(decodeCid(raw.packets[0]!.id).toString())
      void raw.wire.end()
    })
  })
  const cid = rawCid(blobOf(3)).toString()
  await assert.rejects(fetch(cid), isCode('ERR_VERIFICATION'))
  assert.deepEqual(seen, [cid])
  const hub = createMemoryHub()
  joinNode(hub, 'b', { timers: new HandClock() })
  const raw = await openRaw(hub.network('evil'), 'b')
  raw.send({ kind: 'want', id: Uint8Array.of(1, 2, 3) })
  await settle()
  assert.equal(raw.packets[0]!.code, 'ERR_BAD_PACKET')
})

// Goal: a fetch reports how far it is. Method: collect the reports.
test('a fetch reports its bytes', async () => {
  const blob = blobOf(600_000)
  const hub = createMemoryHub()
  const timers = new HandClock()
  joinNode(hub, 'b', { timers, blobs: { get: async () => blob } })
  const a = joinNode(hub, 'a', { timers })
  const reports: Array<[number, number]> = []
  await a.sessions.fetch('b', rawCid(blob).toString(), { ...ALL, onBytes: (bytes, total) => { reports.push([bytes, total]) } })
  assert.deepEqual(reports, [[262_144, 600_000], [524_288, 600_000], [600_000, 600_000]])
})

// Goal: a job of four fields, byte for byte as committed, is answered byte for byte as committed.
// Method: the vectors over a raw stream that half-closes.
test('four fields in, two fields out', async () => {
  const vectors = JSON.parse(readFileSync(new URL('../../test/vectors/four-fields.json', import.meta.url), 'utf8')) as Record<'job' | 'answer', { frame: string }>
  const hub = createMemoryHub()
  const jobs: Packet[] = []
  joinNode(hub, 'b', {
    timers: new HandClock(),
    serve: { oneShot: async (_peer, job) => { jobs.push(job); return { result: Uint8Array.from(Buffer.from('HI')), cost: 104n, kind: 'answer', stderr: Uint8Array.of(1) } } }
  })
  const wire = await hub.network('plain').open('b', never)
  wire.write(Buffer.from(vectors.job.frame, 'hex'))
  await settle()
  assert.equal(jobs.length, 0, 'the request has not ended')
  await wire.end()
  const answer: number[] = []
  for await (const chunk of wire.read()) answer.push(...chunk)
  assert.equal(Buffer.from(answer).toString('hex'), vectors.answer.frame)
  assert.deepEqual([Buffer.from(jobs[0]!.input).toString(), jobs[0]!.cost], ['hi', 1000n])
})

// Goal: a refusal to a peer of four fields is an empty result with code and text in fields it ignores.
// Method: throw one of ours and one of somebody else's.
test('refusals of four fields', async () => {
  const hub = createMemoryHub()
  const thrown: Error[] = [new InosError('ERR_ALLOWANCE_SPENT', 'The free allowance is spent.'), new Error('inner')]
  joinNode(hub, 'b', { timers: new HandClock(), serve: { oneShot: () => { throw thrown.shift()! } } })
  const network = hub.network('plain')
  for (const [code, text] of [['ERR_ALLOWANCE_SPENT', 'The free allowance is spent.'], ['ERR_INTERNAL', 'internal error']]) {
    const raw = await openRaw(network, 'b')
    raw.send({ wasm: Uint8Array.of(1) })
    await raw.wire.end()
    await settle()
    assert.deepEqual(raw.packets.map(({ kind, result, code, text }) => [kind, result.length, code, text]), [['', 0, code, text]])
    assert.equal(raw.over, 'end')
  }
})

// Goal: jobs of four fields are bounded per peer, one per stream, and stop when their peer is gone.
// Method: five at once, a second job on a stream, and a cut.
test('limits of four fields', async () => {
  const hub = createMemoryHub()
  const timers = new HandClock()
  const signals: AbortSignal[] = []
  joinNode(hub, 'b', { timers, serve: { oneShot: (_peer, _job, signal) => { signals.push(signal); return new Promise(() => {}) } } })
  const network = hub.network('plain')
  const raws: RawStream[] = []
  for (let i = 0; i < LIMITS.wire.oneShotsPerPeerMax + 1; i++) {
    const raw = await openRaw(network, 'b')
    raw.send({ wasm: Uint8Array.of(1) })
    await raw.wire.end()
    raws.push(raw)
  }
  await settle()
  assert.equal(signals.length, LIMITS.wire.oneShotsPerPeerMax)
  assert.deepEqual(raws.map(({ packets }) => packets[0]?.code), [undefined, undefined, undefined, undefined, 'ERR_BUSY'])
  hub.cut('plain', 'b')
  assert(signals.every(({ aborted }) => aborted))
  hub.heal('plain', 'b')
  const twice = await openRaw(hub.network('other'), 'b')
  twice.send({ wasm: Uint8Array.of(1) })
  twice.send({ wasm: Uint8Array.of(1) })
  await settle()
  assert.deepEqual(twice.packets.map(({ kind, code }) => [kind, code]), [['refusal', 'ERR_BAD_PACKET']])
  await timers.turn(31_000)
  assert.equal(timers.pending, 0)
})
