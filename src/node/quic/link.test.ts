/** Two ends of a QUIC connection in memory: what a peer does with its streams holds up nobody, and nothing of a stream is lost. */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { createSocket, type Socket } from 'node:dgram'
import { once } from 'node:events'
import { test } from 'node:test'
import type { Logger } from '@libp2p/interface'
import { type Application, Configuration } from './application.ts'
import { createNodeCertificate } from './certificate.ts'
import { Endpoint } from './endpoint.ts'
import { Link, type LinkEvents, type Place, type StreamReader } from './link.ts'
import { loadQuiche } from './native.ts'
import { addressOf, LinkConnection, Streams } from './streams.ts'

const CODES = { end: 0, late: 1, refused: 2, givenUp: 3 }
const MS = { timeout: 20_000 }
const WORD = new Uint8Array(1_000)
const quiche = await loadQuiche()
const log: Logger = Object.assign(() => {}, { enabled: false, trace () {}, error () {}, newScope: () => log })

function application (): Application {
  const certificate = createNodeCertificate(randomBytes(32))
  return { protocol: 'test', certificate: () => certificate, isMutual: true, oneWayStreamsMax: 0, hasDatagrams: false, codes: CODES }
}

async function until (holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise(setImmediate)
}

/** Takes all, and counts. */
class Reader implements StreamReader {
  isReady = true
  bytes = 0
  isOver = false
  onTake: () => void = () => {}

  take (bytes: Uint8Array): void {
    this.bytes += bytes.length
    this.onTake()
  }

  end (): void { this.isOver = true }
  reset (): void { this.isOver = true }
}

/** Whoever waits to write to a stream, and how often it was told that it can. */
class Writer {
  readonly number: number
  told = 0
  constructor (number: number) { this.number = number }
  writable (): void { this.told++ }
}

/** What one end has seen. */
class Seen implements LinkEvents {
  isEstablished = false
  isClosed = false
  readonly accepted: { readonly stream: number, readonly reader: Reader }[] = []

  established (): void { this.isEstablished = true }

  accept (stream: number): StreamReader {
    const reader = new Reader()
    this.accepted.push({ stream, reader })
    return reader
  }

  closed (): void { this.isClosed = true }
}

interface Pair extends Disposable { readonly client: Link, readonly server: Link, readonly atClient: Seen, readonly atServer: Seen, /** Nothing passes while it is set. */ isCut: boolean }

async function connected (): Promise<Pair> {
  const [here, there]: [Place, Place] = [{ host: '127.0.0.1', port: 1 }, { host: '127.0.0.1', port: 2 }]
  const pair = { isCut: false }
  const pass = (to: () => Link, from: Place, at: Place) => (packet: Uint8Array): void => { if (!pair.isCut) setImmediate(() => { to().receive(packet, from, at) }) }
  const client: Link = new Link(quiche.Connection.connect(null, randomBytes(16), here, there, new Configuration(quiche, application()).current), quiche, 'outbound', pass(() => server, here, there))
  const server: Link = new Link(quiche.Connection.accept(randomBytes(16), null, there, here, new Configuration(quiche, application()).current), quiche, 'inbound', pass(() => client, there, here))
  const [atClient, atServer] = [new Seen(), new Seen()]
  client.begin(atClient)
  server.begin(atServer)
  client.greet()
  await until(() => atClient.isEstablished && atServer.isEstablished)
  return Object.assign(pair, {
    client, server, atClient, atServer,
    [Symbol.dispose] () {
      client.close(0)
      server.close(0)
    }
  })
}

// Goal: each end knows the other by its certificate, and bytes and their end arrive. Method: a stream of 1 MB, read to its end.
test('a link carries a stream to its end', MS, async () => {
  using pair = await connected()
  const { client, server, atServer } = pair
  assert.ok(client.certificate !== null && server.certificate !== null && !Buffer.from(client.certificate).equals(server.certificate))
  const bytes = new Uint8Array(1_000_000)
  const stream = client.open()!
  const writer = new Writer(stream)
  for (let sent = 0; sent < bytes.length;) {
    sent += client.send(stream, bytes.subarray(sent), writer)
    const told = writer.told
    if (sent < bytes.length) await until(() => writer.told > told)
  }
  client.finish(stream)
  await until(() => atServer.accepted[0]?.reader.isOver === true)
  assert.equal(atServer.accepted[0]!.reader.bytes, bytes.length)
})

// Goal: a peer that has asked and gives up on the answer holds up nobody. Method: a stream that the peer ends and of which it reads no more; when both ends are through with it, writing is an error
// and not a wait that would be tried again in every turn.
test('an answer that nobody waits for any more is an error', MS, async () => {
  using pair = await connected()
  const { client, server, atServer } = pair
  const stream = client.open()!
  client.send(stream, WORD, new Writer(stream))
  client.finish(stream)
  client.stop(stream, CODES.givenUp)
  await until(() => atServer.accepted[0]?.reader.isOver === true)
  // Until the last acknowledgement is there.
  for (let i = 0; i < 200; i++) await new Promise(setImmediate)
  const writer = new Writer(stream)
  assert.throws(() => server.send(stream, WORD, writer))
  server.finish(stream)
  for (let i = 0; i < 50; i++) await new Promise(setImmediate)
  assert.equal(writer.told, 0)
})

// Goal: what a message makes its reader do to another stream stays done. Method: two streams of the peer, both with more to read; the first to be read makes the other be forgotten. It does not come again as a new one.
test('a stream that was ended in a turn is not accepted again in it', MS, async () => {
  using pair = await connected()
  const { client, server, atServer } = pair
  const streams = [client.open()!, client.open()!]
  const send = (): void => { for (const stream of streams) client.send(stream, WORD, new Writer(stream)) }
  send()
  await until(() => atServer.accepted.length === 2 && atServer.accepted.every(({ reader }) => reader.bytes === WORD.length))
  const [first, second] = atServer.accepted as [typeof atServer.accepted[0], typeof atServer.accepted[0]]
  first.reader.onTake = () => { server.forget(second.stream, CODES.givenUp) }
  second.reader.onTake = () => { server.forget(first.stream, CODES.givenUp) }
  send()
  await until(() => first.reader.bytes + second.reader.bytes > 2 * WORD.length)
  for (let i = 0; i < 50; i++) await new Promise(setImmediate)
  assert.equal(atServer.accepted.length, 2)
  assert.equal(first.reader.bytes + second.reader.bytes, 3 * WORD.length)
})

// Goal: streams can be opened while the network takes no more. Method: a bulk transfer of which nothing is acknowledged, then a stream that begins with words of its own; when the network is back, all of it arrives.
test('a stream opened amid a bulk transfer waits, and ends nothing', MS, async () => {
  using pair = await connected()
  const { client, atClient, atServer } = pair
  const head = Uint8Array.from([1, 2, 3])
  const ground = { link: client, log, codes: CODES }
  const streams = new Streams(ground, { name: '/test', earlyMax: 10, head: () => head })
  const muxer = streams.factory.createStreamMuxer(new LinkConnection(ground, addressOf({ host: '127.0.0.1', port: 2 }, ''), 'outbound'))
  pair.isCut = true
  const bulk = client.open()!
  const sent = client.send(bulk, new Uint8Array(1_000_000), new Writer(bulk))
  assert.ok(sent < 1_000_000)
  const stream = await muxer.createStream()
  stream.send(WORD)
  assert.equal(atClient.isClosed, false)
  pair.isCut = false
  await until(() => atServer.accepted.some(({ reader }) => reader.bytes === head.length + WORD.length))
  await until(() => atServer.accepted.some(({ reader }) => reader.bytes === sent))
})

// Goal: an ended connection leaves nothing that runs. Method: a reader that ends it in the midst of a turn, and the timers before and after.
test('a link closed by a reader sets no timer', MS, async () => {
  using pair = await connected()
  const { client, server, atServer } = pair
  const timers = (): number => process.getActiveResourcesInfo().filter(name => name === 'Timeout').length
  const stream = client.open()!
  client.send(stream, WORD, new Writer(stream))
  await until(() => atServer.accepted.length === 1)
  atServer.accepted[0]!.reader.onTake = () => { server.close(CODES.end) }
  const before = timers()
  client.send(stream, WORD, new Writer(stream))
  await until(() => atServer.isClosed)
  client.close(CODES.end)
  await new Promise(setImmediate)
  // Two of each end: what keeps the way open, and when a packet is sent again.
  assert.equal(before - timers(), 4)
})

// Goal: the end of a connection is known at once on both sides, so that nobody takes a connection that is gone for one that is there. Method: one end closes; the other is told before the time has passed in which QUIC
// still listens for stragglers, three times what it waits for an answer.
test('the peer’s end of a connection is known at once', MS, async () => {
  using pair = await connected()
  const { client, server, atServer } = pair
  const began = performance.now()
  client.close(CODES.end)
  for (let i = 0; i < 5; i++) await new Promise(setImmediate)
  assert.equal(atServer.isClosed, true, `${performance.now() - began} ms`)
  assert.match(server.reason, /the peer ended it with code 0/)
})

interface Traveller { readonly link: Link, readonly sockets: readonly Socket[], through: Socket }

/** A peer with two sockets. */
async function traveller (port: number): Promise<Traveller> {
  const sockets = [createSocket('udp4'), createSocket('udp4')]
  for (const socket of sockets) await once(socket.bind(0, '127.0.0.1'), 'listening')
  const [first] = sockets as [Socket]
  const [here, there] = [{ host: '127.0.0.1', port: first.address().port }, { host: '127.0.0.1', port }]
  const link = new Link(quiche.Connection.connect(null, randomBytes(16), here, there, new Configuration(quiche, application()).current), quiche, 'outbound', packet => { self.through.send(packet, port, '127.0.0.1') })
  const self = { link, sockets, through: first }
  first.on('message', packet => { link.receive(packet, there, here) })
  return self
}

// Goal: a connection is with the place it began at: whatever was decided about its peer was about that. Method: a peer whose packets suddenly come from another port; they reach no reader, and those that come again from the first do.
test('packets from elsewhere are not of the connection', MS, async () => {
  const atServer = new Seen()
  let settle = (): void => {}
  const endpoint = new Endpoint(quiche, 4, application(), arrival => {
    arrival.link.begin(atServer)
    settle = arrival.settle
  })
  await endpoint.listen('127.0.0.1', 0)
  const peer = await traveller(endpoint.port)
  const seen = new Seen()
  peer.link.begin(seen)
  peer.link.greet()
  await until(() => seen.isEstablished && atServer.isEstablished)
  settle()
  peer.through = peer.sockets[1]!
  const stream = peer.link.open()!
  peer.link.send(stream, WORD, new Writer(stream))
  await new Promise(resolve => { setTimeout(resolve, 200) })
  assert.equal(atServer.accepted.length, 0)
  peer.through = peer.sockets[0]!
  await until(() => atServer.accepted[0]?.reader.bytes === WORD.length)
  peer.link.close(0)
  await endpoint.close()
  for (const socket of peer.sockets) socket.close()
})
