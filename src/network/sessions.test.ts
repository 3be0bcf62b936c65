/** Sessions between well-behaved nodes, and against peers that are not. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isCode } from '../../test/suites/network.ts'
import { InosError } from '../packet/errors.ts'
import type { Packet } from '../packet/packet.pb.js'
import { encodePacket } from './framing.ts'
import { createMemoryHub } from './memory.ts'
import { HandClock, joinNode, never, openRaw, RawStream, settle } from './network.fixture.ts'

const bytes = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(new TextEncoder().encode(text))
const textOf = (data: Uint8Array): string => new TextDecoder().decode(data)

// Goal: 10,000 requests, 64 in flight, each get their own answer, in whatever order they come.
// Method: the server answers in a scrambled order; every answer repeats its question.
test('answers are matched by id, not by order', async () => {
  const hub = createMemoryHub()
  const timers = new HandClock()
  let now = 0
  let most = 0
  const held: Array<() => void> = []
  joinNode(hub, 'b', {
    timers,
    limits: { windowPacketsMax: 64 },
    serve: {
      request: async (_peer, { input }) => {
        most = Math.max(most, ++now)
        const copy = input.slice()
        if (held.length < 40 && now < 64) await new Promise<void>(resolve => { held.push(resolve) })
        else while (held.length > 0) held.splice(Math.floor(held.length / 2), 1)[0]!()
        now--
        return { result: copy }
      }
    }
  })
  const a = joinNode(hub, 'a', { timers })
  let next = 0
  const worker = async (): Promise<void> => {
    for (let i = next++; i < 10_000; i = next++) {
      const answer = await a.sessions.request('b', { kind: 'job', input: bytes(String(i)) })
      assert.equal(answer.kind, 'answer')
      assert.equal(textOf(answer.result), String(i))
    }
  }
  const release = setInterval(() => { held.shift()?.() }, 1)
  await Promise.all(Array.from({ length: 64 }, worker))
  clearInterval(release)
  assert(most > 30 && most <= 64, `${most} were at work at once`)
  assert.equal(a.sessions.list()[0]!.inFlight, 0)
})

// Goal: the sender keeps to the window its peer grants, by packets and by bytes, and what waits goes
// out in order as answers come. Method: a peer that grants 2 and answers by hand.
test('the sender waits for the peer’s window', async () => {
  for (const limits of [{ windowPacketsMax: 2 }, { windowBytesMax: 260 }]) {
    const hub = createMemoryHub()
    const timers = new HandClock()
    const held: Array<() => void> = []
    const b = joinNode(hub, 'b', { timers, limits, serve: { request: () => new Promise(resolve => { held.push(() => { resolve({}) }) }) } })
    const a = joinNode(hub, 'a', { timers })
    const done: number[] = []
    const all = [0, 1, 2, 3].map(i => a.sessions.request('b', { kind: 'job', input: new Uint8Array(100) }).then(() => { done.push(i) }))
    await settle()
    assert.equal(held.length, 2)
    assert.equal(a.sessions.list()[0]!.inFlight, 2)
    held.shift()!()
    await settle()
    assert.deepEqual([done, held.length], [[0], 2])
    while (held.length > 0) {
      held.shift()!()
      await settle()
    }
    await Promise.all(all)
    assert.deepEqual(b.events, ['open:a'])
  }
})

// Goal: a request that can never fit the window fails at once. Method: one byte too many.
test('a request above the whole window is refused here', async () => {
  const hub = createMemoryHub()
  const timers = new HandClock()
  joinNode(hub, 'b', { timers, limits: { windowBytesMax: 1_000 } })
  const a = joinNode(hub, 'a', { timers })
  await assert.rejects(a.sessions.request('b', { kind: 'job', input: new Uint8Array(1_000) }), isCode('ERR_INPUT_TOO_LARGE'))
  assert.equal((await a.sessions.request('b', { kind: 'job', input: new Uint8Array(900) })).kind, 'answer')
})

// Goal: the receiver enforces what it granted. Method: a raw peer sends one request, or one byte, too many.
test('a peer that exceeds its window is told and cut', async () => {
  for (const [limits, count] of [[{ windowPacketsMax: 3 }, 3], [{ windowBytesMax: 400 }, 3]] as const) {
    const hub = createMemoryHub()
    const timers = new HandClock()
    const signals: AbortSignal[] = []
    joinNode(hub, 'b', { timers, limits, serve: { request: (_peer, _packet, signal) => { signals.push(signal); return new Promise(() => {}) } } })
    const raw = await openRaw(hub.network('evil'), 'b')
    raw.greet()
    await settle()
    for (let i = 0; i <= count; i++) raw.send({ kind: 'job', id: Uint8Array.of(i), input: new Uint8Array(100) })
    await settle()
    assert.deepEqual(raw.packets.map(({ kind, code }) => [kind, code]), [['hello', ''], ['refusal', 'ERR_BAD_PACKET']])
    assert.match(raw.packets[1]!.text, /granted/)
    assert.equal(raw.over, 'end')
    assert(signals.length === count && signals.every(({ aborted }) => aborted))
  }
})

// Goal: the queue for a window is bounded. Method: a limit of 3 and a peer that answers nothing.
test('requests beyond the queue are ERR_BUSY', async () => {
  const hub = createMemoryHub()
  const timers = new HandClock()
  joinNode(hub, 'b', { timers, limits: { windowPacketsMax: 1 }, serve: { request: () => new Promise(() => {}) } })
  const a = joinNode(hub, 'a', { timers, limits: { requestsQueuedMax: 3 } })
  await a.sessions.connect('b', never)
  const waiting = [1, 2, 3, 4].map(() => a.sessions.request('b', { kind: 'job' }))
  await settle()
  await assert.rejects(a.sessions.request('b', { kind: 'job' }), isCode('ERR_BUSY'))
  hub.drop('b')
  for (const request of waiting) await assert.rejects(request, isCode('ERR_PEER_LOST'))
})

// Goal: an aborted request ends here at once; there its signal aborts; its place in the window is
// given back only when the peer has answered. Method: abort one that is queued and one that was sent.
test('cancelling reaches the server and keeps the window honest', async () => {
  const hub = createMemoryHub()
  const timers = new HandClock()
  const works: Array<{ signal: AbortSignal, finish: () => void }> = []
  joinNode(hub, 'b', {
    timers,
    limits: { windowPacketsMax: 1 },
    serve: { request: (_peer, _packet, signal) => new Promise(resolve => { works.push({ signal, finish: () => { resolve({}) } }) }) }
  })
  const a = joinNode(hub, 'a', { timers })
  await a.sessions.connect('b', never)
  const [sent, queued] = [new AbortController(), new AbortController()]
  const first = assert.rejects(a.sessions.request('b', { kind: 'job' }, sent), isCode('ERR_CANCELLED'))
  const second = assert.rejects(a.sessions.request('b', { kind: 'job' }, queued), isCode('ERR_CANCELLED'))
  const third = a.sessions.request('b', { kind: 'job' })
  await settle()
  queued.abort()
  await second
  sent.abort()
  await first
  await settle()
  assert.equal(works.length, 1)
  assert.equal(works[0]!.signal.aborted, true)
  works[0]!.finish()
  await settle()
  assert.equal(works.length, 2)
  works[1]!.finish()
  assert.equal((await third).kind, 'answer')
  await assert.rejects(a.sessions.request('b', { kind: 'job' }, { signal: AbortSignal.abort() }), isCode('ERR_CANCELLED'))
})

// Goal: refusals carry our errors and hide the rest. Method: a server that throws three kinds of things.
test('what a server throws becomes a refusal', async () => {
  const hub = createMemoryHub()
  const timers = new HandClock()
  const thrown: unknown[] = [new InosError('ERR_BUSY', 'All slots are taken.'), new Error('secret'), 'secret']
  joinNode(hub, 'b', { timers, serve: { request: () => { throw thrown.shift() } } })
  const a = joinNode(hub, 'a', { timers })
  const answers: Packet[] = []
  for (let i = 0; i < 3; i++) answers.push(await a.sessions.request('b', { kind: 'job' }))
  assert.deepEqual(answers.map(({ kind, code, text }) => [kind, code, text]), [
    ['refusal', 'ERR_BUSY', 'All slots are taken.'],
    ['refusal', 'ERR_INTERNAL', 'internal error'],
    ['refusal', 'ERR_INTERNAL', 'internal error']
  ])
})

// Goal: an id of the caller travels and comes back; two requests with one id get both answers.
// Method: the same id twice at once.
test('ids of the caller, even twice', async () => {
  const hub = createMemoryHub()
  const timers = new HandClock()
  const ids: string[] = []
  joinNode(hub, 'b', { timers, serve: { request: async (_peer, { id, input }) => { ids.push(textOf(id)); return { result: input } } } })
  const a = joinNode(hub, 'a', { timers })
  const answers = await Promise.all(['x', 'y'].map(input => a.sessions.request('b', { kind: 'job', id: bytes('same'), input: bytes(input) })))
  assert.deepEqual(ids, ['same', 'same'])
  assert.deepEqual(answers.map(({ result, id }) => [textOf(result), textOf(id)]), [['x', 'same'], ['y', 'same']])
})

// Goal: kinds of a later version are refused by name and cost no session. Method: a raw peer sends one, then a job.
test('an unknown kind is refused by name, the session stays', async () => {
  const hub = createMemoryHub()
  const timers = new HandClock()
  const b = joinNode(hub, 'b', { timers })
  const raw = await openRaw(hub.network('new'), 'b')
  raw.greet()
  raw.send({ kind: 'telepathy', id: bytes('1') })
  await settle()
  raw.send({ kind: 'job', id: bytes('2'), input: bytes('still here') })
  await settle()
  const [, refusal, answer] = raw.packets
  assert.deepEqual([refusal!.code, textOf(refusal!.id)], ['ERR_UNKNOWN_KIND', '1'])
  assert.match(refusal!.text, /telepathy/)
  assert.equal(textOf(answer!.result), 'still here')
  assert.equal(b.sessions.list().length, 1)
})

// Goal: what breaks the course of a session is told once, then the stream closes.
// Method: raw peers, one fault each; the text must name it.
test('faults of a peer are named and close the stream', async () => {
  const faults: Array<[RegExp, (raw: RawStream) => Promise<void>]> = [
    [/second/, async raw => { raw.greet(); await settle(); raw.greet() }],
    [/begin with a packet of kind "job"/, async raw => { raw.send({ kind: 'job', id: bytes('1') }) }],
    [/no kind/, async raw => { raw.send({ id: bytes('1') }) }],
    [/version/, async raw => { raw.send({ kind: 'hello', body: Uint8Array.of(0xa1, 0x67, ...bytes('version'), 2) }) }],
    [/canonical/, async raw => { raw.send({ kind: 'hello', body: bytes('garbage') }) }],
    [/windowPackets/, async raw => { raw.greet({ windowPacketsMax: 0 }) }],
    [/answers no request/, async raw => { raw.greet(); await settle(); raw.send({ kind: 'answer', id: bytes('1') }) }],
    [/no record/, async raw => { raw.greet(); await settle(); raw.send({ kind: 'offer' }) }],
    [/protobuf/, async raw => { raw.greet(); await settle(); raw.wire.write(Uint8Array.of(3, 0x0a, 0x7f, 0)) }],
    [/limit is/, async raw => { raw.greet(); await settle(); raw.wire.write(Uint8Array.of(0xff, 0xff, 0xff, 0x7f)) }],
    [/inside a packet/, async raw => { raw.greet(); await settle(); raw.wire.write(Uint8Array.of(9, 1)); await raw.wire.end() }]
  ]
  for (const [text, commit] of faults) {
    const hub = createMemoryHub()
    const timers = new HandClock()
    const b = joinNode(hub, 'b', { timers })
    const raw = await openRaw(hub.network('evil'), 'b')
    await commit(raw)
    await settle()
    const last = raw.packets.at(-1)!
    assert.deepEqual([last.kind, last.code], ['refusal', 'ERR_BAD_PACKET'])
    assert.match(last.text, text)
    assert.equal(raw.over, 'end')
    assert.deepEqual(b.sessions.list(), [])
    // The peer never ends its own side: the stream is cut nevertheless, and nothing stays behind.
    await timers.turn(6_000)
    assert.throws(() => raw.wire.write(Uint8Array.of(0)), isCode('ERR_PEER_LOST'))
    assert.equal(timers.pending, 0)
  }
})

// Goal: who opens a session and gets anything but a hello learns it, and goes on. Method: raw peers
// that answer our hello with a request, garbage, a refusal.
test('what answers a hello must be a hello', async () => {
  const replies: Array<[string, (raw: RawStream) => void]> = [
    ['ERR_BAD_PACKET', raw => { raw.send({ kind: 'job' }) }],
    ['ERR_BAD_PACKET', raw => { raw.wire.write(Uint8Array.of(2, 0x0a, 0x7f)) }],
    ['ERR_NOT_REACHABLE', raw => { raw.send({ kind: 'refusal', code: 'ERR_POLICY', text: 'Not in this mesh.' }); void raw.wire.end() }],
    ['ERR_PEER_LOST', raw => { raw.wire.abort(new Error('go away')) }]
  ]
  for (const [code, reply] of replies) {
    const hub = createMemoryHub()
    const a = joinNode(hub, 'a', { timers: new HandClock() })
    hub.network('odd').handle(wire => { reply(new RawStream(wire)) })
    await assert.rejects(a.sessions.connect('odd', never), isCode(code))
    assert.deepEqual(a.sessions.list(), [])
  }
})

// Goal: a peer of four fields is connected, without a session; asking it for one says so.
// Method: one answers our hello with an empty answer, one just closes, one waits for us to end.
test('peers of four fields are connected without a session', async () => {
  const kinds: Array<(raw: RawStream) => void> = [
    raw => { raw.send({ cost: 1n }) },
    raw => { void raw.wire.end() },
    () => {}
  ]
  for (const behave of kinds) {
    const hub = createMemoryHub()
    const timers = new HandClock()
    const a = joinNode(hub, 'a', { timers })
    hub.network('plain').handle(wire => { behave(new RawStream(wire)) })
    const connecting = a.sessions.connect('/memory/plain', never)
    await timers.turn(11_000)
    assert.equal(await connecting, 'plain')
    assert.deepEqual(a.sessions.list(), [])
    const asking = assert.rejects(a.sessions.request('plain', { kind: 'job' }), isCode('ERR_NOT_REACHABLE'))
    await timers.turn(11_000)
    await asking
    await timers.turn(6_000)
    assert.equal(timers.pending, 0)
  }
})

// Goal: both sides opening at once end with one session, the one opened by the smaller id, and no
// request is lost. Method: many rounds with delays that let the hellos cross at every phase.
test('opening from both sides at once leaves one session', async () => {
  for (let phase = 0; phase < 12; phase++) {
    const timers = new HandClock()
    const hub = createMemoryHub({ timers })
    hub.carry(() => ({ ms: 10, copies: 1 }))
    const [a, b] = ['a', 'b'].map(id => joinNode(hub, id, { timers }))
    const first = phase % 2 === 0 ? a! : b!
    const second = phase % 2 === 0 ? b! : a!
    const ask = (from: typeof first): Promise<Packet> => from.sessions.request(from === a ? 'b' : 'a', { kind: 'job', input: bytes('?') })
    const one = ask(first)
    await timers.turn(phase * 2)
    const two = ask(second)
    await timers.turn(200)
    assert.deepEqual([textOf((await one).result), textOf((await two).result)], ['?', '?'])
    const [ofA, ofB] = [a!.sessions.list(), b!.sessions.list()]
    assert.deepEqual([ofA.length, ofB.length], [1, 1])
    // The two ends belong together, and when both had begun the smaller id is the opener.
    assert.notEqual(ofA[0]!.direction, ofB[0]!.direction)
    if (phase === 0) assert.equal(ofA[0]!.direction, 'out')
    await timers.turn(20_000)
    assert.deepEqual([a!.events, b!.events], [['open:b'], ['open:a']])
    assert.equal(timers.pending, 0)
  }
})

// Goal: a peer that lost its session and opens anew is not kept waiting by the one this side still
// believes in. Method: a raw peer opens a second stream, as the smaller and as the larger id.
test('a second stream of a peer replaces a session it has lost', async () => {
  for (const id of ['a', 'z']) {
    const timers = new HandClock()
    const hub = createMemoryHub()
    const b = joinNode(hub, 'm', { timers })
    const network = hub.network(id)
    const incoming: RawStream[] = []
    network.handle(wire => {
      incoming.push(new RawStream(wire))
      incoming.at(-1)!.greet()
    })
    await b.sessions.connect(id, never)
    const again = await openRaw(network, 'm')
    again.greet()
    await timers.turn(6_000)
    assert.equal(again.packets[0]?.kind, 'hello')
    assert.deepEqual(b.events, [`open:${id}`, `close:${id}`, `open:${id}`])
    again.send({ kind: 'job', id: bytes('1'), input: bytes('me again') })
    await settle()
    assert.equal(textOf(again.packets[1]!.result), 'me again')
  }
})

// Goal: losing a peer fails what was asked of it and stops what it asked, and both sides say so once.
// Method: cut the pair while each serves the other; then heal and ask again.
test('a lost peer rejects what is in flight, and comes back', async () => {
  const hub = createMemoryHub()
  const timers = new HandClock()
  let signal: AbortSignal | undefined
  const b = joinNode(hub, 'b', { timers, serve: { request: (_peer, { input }, work) => { signal = work; return input.length > 0 ? Promise.resolve({}) : new Promise(() => {}) } } })
  const a = joinNode(hub, 'a', { timers })
  const request = assert.rejects(a.sessions.request('b', { kind: 'job' }), isCode('ERR_PEER_LOST'))
  await settle()
  hub.cut('a', 'b')
  await request
  await settle()
  assert.equal(signal?.aborted, true)
  assert.deepEqual([a.events, b.events], [['open:b', 'close:b'], ['open:a', 'close:a']])
  await assert.rejects(a.sessions.request('b', { kind: 'job' }), isCode('ERR_NOT_REACHABLE'))
  hub.heal('a', 'b')
  assert.equal((await a.sessions.request('b', { kind: 'job', input: bytes('!') })).kind, 'answer')
})

// Goal: offers reach the other side, as the latest one and as events. Method: hello, then notify twice.
test('offers ride in the hello and on change', async () => {
  const hub = createMemoryHub()
  const timers = new HandClock()
  const b = joinNode(hub, 'b', { timers })
  const a = joinNode(hub, 'a', { timers, greeting: { profile: 'p', net: 'n', records: [Uint8Array.of(5)] } })
  assert.equal(a.sessions.notify('b', { kind: 'offer', records: [Uint8Array.of(6)] }), false)
  await a.sessions.connect('b', never)
  await settle()
  const [peer] = b.sessions.list()
  assert.deepEqual([peer!.profile, peer!.net, [...peer!.offer!], peer!.direction, peer!.addresses], ['p', 'n', [5], 'in', ['/memory/a']])
  assert.equal(a.sessions.notify('b', { kind: 'offer', records: [Uint8Array.of(6)] }), true)
  await settle()
  assert.deepEqual([...b.sessions.list()[0]!.offer!], [6])
  assert.deepEqual(b.events, ['open:a', 'offer:a:6'])
})

// Goal: a session may rest as long as it likes. Method: a day passes; no timers keep running.
test('an idle session stays', async () => {
  const hub = createMemoryHub()
  const timers = new HandClock()
  joinNode(hub, 'b', { timers })
  const a = joinNode(hub, 'a', { timers })
  await a.sessions.connect('b', never)
  await timers.turn(86_400_000)
  assert.equal(timers.pending, 0)
  assert.equal((await a.sessions.request('b', { kind: 'job' })).kind, 'answer')
})

// Goal: a stream that says nothing, dribbles a frame, or never ends one, is cut in its time.
// Method: three raw peers and the clock.
test('silent and dribbling peers are cut', async () => {
  const behaviours: Array<[number, (raw: RawStream, timers: HandClock) => Promise<void>]> = [
    [11_000, async () => {}],
    [13_000, async raw => { raw.greet(); await settle(); raw.wire.write(encodePacket({ kind: 'job', input: new Uint8Array(100) }).subarray(0, 50)) }],
    [31_000, async (raw, timers) => {
      raw.greet()
      await settle()
      const frame = encodePacket({ kind: 'job', input: new Uint8Array(1_000_000) })
      raw.wire.write(frame.subarray(0, 10))
      for (let i = 10; i < 30; i++) {
        await timers.turn(1_000)
        raw.wire.write(frame.subarray(i, i + 1))
      }
    }]
  ]
  for (const [ms, behave] of behaviours) {
    const hub = createMemoryHub()
    const timers = new HandClock()
    joinNode(hub, 'b', { timers })
    const raw = await openRaw(hub.network('slow'), 'b')
    await behave(raw, timers)
    assert.equal(raw.over, null)
    await timers.turn(ms - timers.now())
    assert.match(String(raw.over), /reset/)
    assert.equal(timers.pending, 0)
  }
})

// Goal: a peer that reads no answers costs a bounded outbox: its answers wait within its window, and
// what it asks beyond that is a fault. Method: a raw peer that asks on for 60 KiB each, reading nothing.
test('answers nobody reads keep their place in the window', async () => {
  const timers = new HandClock()
  const hub = createMemoryHub({ windowBytes: 64 * 1024 })
  const limits = { windowPacketsMax: 20, windowBytesMax: 1024 * 1024, outboxBytesMax: 2 * 1024 * 1024 }
  let served = 0
  const b = joinNode(hub, 'b', { timers, limits, serve: { request: async () => { served++; return { result: new Uint8Array(60 * 1024) } } } })
  const raw = await openRaw(hub.network('evil'), 'b', false)
  raw.greet()
  for (let i = 0; i < 200; i++) {
    raw.send({ kind: 'job', id: Uint8Array.of(i), input: bytes('x') })
    await settle()
  }
  // 1 MiB of answers in the outbox, 20 that wait, one on its way.
  assert(served > 30 && served < 45, `${served} were served`)
  assert.deepEqual(b.sessions.list(), [])
  await timers.turn(6_000)
  assert.throws(() => raw.wire.write(Uint8Array.of(1)), isCode('ERR_PEER_LOST'))
  assert.equal(timers.pending, 0)
})

// Goal: a peer that stops reading is cut in its time, not before. Method: a full wire and the clock.
test('a peer that stops reading is cut', async () => {
  const timers = new HandClock()
  const hub = createMemoryHub({ windowBytes: 64 * 1024 })
  const b = joinNode(hub, 'b', { timers, serve: { request: async () => ({ result: new Uint8Array(100 * 1024) }) } })
  const raw = await openRaw(hub.network('evil'), 'b', false)
  raw.greet()
  raw.send({ kind: 'job', id: bytes('1') })
  await timers.turn(29_000)
  assert.equal(b.sessions.list().length, 1)
  await timers.turn(2_000)
  assert.deepEqual(b.sessions.list(), [])
  assert.throws(() => raw.wire.write(Uint8Array.of(1)), isCode('ERR_PEER_LOST'))
  assert.equal(timers.pending, 0)
})

// Goal: a peer faster than its pace is read more slowly, and loses nothing. Method: a pace of 10 a second, 40 requests.
test('packets per second slow a peer down', async () => {
  const timers = new HandClock()
  const hub = createMemoryHub()
  let served = 0
  joinNode(hub, 'b', { timers, limits: { packetsPerSecondMax: 10 }, serve: { request: async () => { served++; return {} } } })
  const a = joinNode(hub, 'a', { timers })
  await a.sessions.connect('b', never)
  await timers.turn(1_000)
  const answers: Array<Promise<Packet>> = []
  for (let i = 0; i < 40; i++) {
    answers.push(a.sessions.request('b', { kind: 'job' }))
    await settle()
  }
  assert(served < 20, `${served} were read at once`)
  await timers.turn(4_000)
  await Promise.all(answers)
  assert.equal(served, 40)
})

// Goal: streams of one peer are bounded, and its ending ones make room. Method: open more than the limit.
test('streams of a peer are limited', async () => {
  const timers = new HandClock()
  const hub = createMemoryHub()
  joinNode(hub, 'b', { timers, limits: { streamsPerPeerMax: 5 } })
  const network = hub.network('many')
  const raws = await Promise.all(Array.from({ length: 8 }, () => openRaw(network, 'b')))
  await settle()
  assert.equal(raws.filter(({ over }) => over instanceof Error).length, 3)
  for (const raw of raws.slice(0, 2)) raw.wire.abort(new Error('bye'))
  await settle()
  const next = await Promise.all(Array.from({ length: 3 }, () => openRaw(network, 'b')))
  await settle()
  assert.deepEqual(next.map(({ over }) => over instanceof Error), [false, false, true])
})

// Goal: stopping finishes what was answered, fails what was not, and closes everything within its bound.
// Method: stop with one answer just given and one request open, beside a peer that never ends its side.
test('stop finishes writes and closes all', async () => {
  const timers = new HandClock()
  const hub = createMemoryHub()
  const b = joinNode(hub, 'b', { timers, serve: { request: (_peer, { input }) => input.length > 0 ? Promise.resolve({ result: input }) : new Promise(() => {}) } })
  const a = joinNode(hub, 'a', { timers })
  const raw = await openRaw(hub.network('evil'), 'b')
  raw.greet()
  const answered = await a.sessions.request('b', { kind: 'job', input: bytes('done') })
  const open = assert.rejects(a.sessions.request('b', { kind: 'job' }), isCode('ERR_PEER_LOST'))
  await settle()
  const stopping = b.sessions.stop()
  await timers.turn(6_000)
  await stopping
  await open
  assert.equal(textOf(answered.result), 'done')
  assert(raw.over !== null)
  await assert.rejects(b.sessions.request('a', { kind: 'job' }), isCode('ERR_PEER_LOST'))
  await assert.rejects(a.sessions.connect('b', AbortSignal.timeout(50)), isCode('ERR_PEER_LOST', 'ERR_CANCELLED'))
  await timers.turn(11_000)
  assert.equal(timers.pending, 0)
})
