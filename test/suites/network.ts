/**
 * The contract of a `Network`, run against every one there is: within one process
 * (src/network/memory.test.ts) and libp2p over TCP (test/network-libp2p.test.ts).
 */
import assert from 'node:assert/strict'
import type { test as nodeTest } from 'node:test'
import { InosError } from '../../src/packet/errors.ts'
import type { Network, Wire } from '../../src/network/network.ts'

export interface SuiteOptions {
  /** Goes before each test's name. */
  name: string
  test: typeof nodeTest
  /** A started network that others can dial. */
  factory (): Promise<Network>
  /** Text of the right form at which nobody is. */
  nowhere: string
  /** A well-formed id that nobody has. */
  nobody: string
  /** What a writer may have given to a reader that does not read. */
  windowBytesMax: number
  /** Whether nodes are found that nobody has dialled. @default true */
  discovers?: boolean
}

const MS = 20_000
const MIB = 1024 * 1024

export function suite ({ name, test, factory, nowhere, nobody, windowBytesMax, discovers = true }: SuiteOptions): void {
  const inTime = (): AbortSignal => AbortSignal.timeout(MS)
  const started: Network[] = []

  async function start (count: number): Promise<Network[]> {
    const networks = await Promise.all(Array.from({ length: count }, () => factory()))
    started.push(...networks)
    return networks
  }

  /** Two nodes, connected, and a stream between them; further streams are echoed. */
  async function pair (): Promise<{ a: Network, b: Network, ours: Wire, theirs: Wire }> {
    const [a, b] = await start(2) as [Network, Network]
    const incoming = Promise.withResolvers<Wire>()
    let streams = 0
    b.handle(wire => {
      if (streams++ === 0) incoming.resolve(wire)
      else void echo(wire)
    })
    await a.dial(b.addresses()[0]!, inTime())
    const ours = await a.open(b.id, inTime())
    return { a, b, ours, theirs: await incoming.promise }
  }

  const check = (title: string, run: () => Promise<void>): void => {
    test(`${name}: ${title}`, { timeout: 2 * MS }, async () => {
      try {
        await run()
      } finally {
        await Promise.all(started.splice(0).map(network => network.stop()))
      }
    })
  }

  // Goal: a dial gives the PeerId that is really there, and both sides learn of the connection.
  // Method: dial with events on both sides, then hang up.
  check('dials, tells both sides, hangs up', async () => {
    const [a, b] = await start(2) as [Network, Network]
    const told: string[] = []
    const gone = Promise.withResolvers<string>()
    a.on({ connect: peer => { told.push(`a:${peer}`) }, disconnect: () => {} })
    b.on({ connect: peer => { told.push(`b:${peer}`) }, disconnect: gone.resolve })
    assert.equal(await a.dial(b.addresses()[0]!, inTime()), b.id)
    await until(() => told.length === 2)
    assert.deepEqual(told.sort(), [`a:${b.id}`, `b:${a.id}`])
    assert.deepEqual(a.peers().map(({ id, direction }) => [id, direction]), [[b.id, 'out']])
    assert.deepEqual(b.peers().map(({ id, direction }) => [id, direction]), [[a.id, 'in']])
    await a.hangUp(b.id)
    assert.equal(await gone.promise, a.id)
    assert.deepEqual(a.peers(), [])
  })

  // Goal: every way a target can be wrong has its own error. Method: one dial each.
  check('names what is wrong with a target', async () => {
    const [a] = await start(1) as [Network]
    await assert.rejects(a.dial('no address', inTime()), isCode('ERR_USAGE'))
    await assert.rejects(a.dial(nowhere, inTime()), isCode('ERR_NOT_REACHABLE'))
    await assert.rejects(a.open(nobody, AbortSignal.timeout(2_000)), isCode('ERR_NOT_REACHABLE', 'ERR_CANCELLED'))
    await assert.rejects(a.dial(a.addresses()[0]!, AbortSignal.abort()), isCode('ERR_CANCELLED'))
  })

  // Goal: half-closing one direction leaves the other. Method: ask, end, be answered after the end was seen.
  check('half-closes', async () => {
    const { ours, theirs, a } = await pair()
    assert.equal(theirs.peer, a.id)
    ours.write(text('question'))
    await ours.end()
    assert.equal(await readAll(theirs), 'question')
    theirs.write(text('answer'))
    await theirs.end()
    assert.equal(await readAll(ours), 'answer')
    assert.throws(() => ours.write(text('late')), isCode('ERR_PEER_LOST'))
  })

  // Goal: a reset reaches a reader and a writer on the other side. Method: abort while they wait.
  check('a reset ends the other side', async () => {
    const { ours, theirs } = await pair()
    ours.write(text('x'))
    const reading = readAll(theirs)
    ours.abort(new Error('enough'))
    await assert.rejects(reading, isCode('ERR_PEER_LOST'))
    assert.throws(() => theirs.write(text('y')), isCode('ERR_PEER_LOST'))
  })

  // Goal: a peer that vanishes does not look like one that has finished. Method: stop it amid a read.
  check('a lost peer is no end of stream', async () => {
    const { b, ours } = await pair()
    const reading = assert.rejects(readAll(ours), isCode('ERR_PEER_LOST'))
    await b.stop()
    await reading
  })

  // Goal: a writer learns when its reader does not read, and nothing buffers without end.
  // Method: write until told to stop, count; then read and see the writer go on.
  check('holds back a writer whose peer does not read', async () => {
    const { ours, theirs } = await pair()
    let written = 0
    const chunk = new Uint8Array(64 * 1024)
    const full = new AbortController()
    for (;;) {
      written += chunk.length
      if (ours.write(chunk)) {
        await pause(0)
      } else {
        const timer = setTimeout(() => { full.abort() }, 300)
        const drained = await ours.drained(full.signal).then(() => true, () => false)
        clearTimeout(timer)
        if (!drained) break
      }
      assert(written <= windowBytesMax, `${written} bytes were taken for a peer that reads nothing`)
    }
    const ending = ours.drained(inTime()).then(() => ours.end())
    let read = 0
    for await (const part of theirs.read()) read += part.length
    await ending
    assert.equal(read, written)
  })

  // Goal: bulk both ways neither drops the connection nor makes small packets wait long.
  // Method: 20 MB each way on one stream while another echoes; the slowest echo counts.
  check('carries bulk both ways with small packets between', async () => {
    const { a, b, ours, theirs } = await pair()
    let lost = 0
    a.on({ connect: () => {}, disconnect: () => { lost++ } })
    const small = await a.open(b.id, inTime())
    const replies = small.read()[Symbol.asyncIterator]()
    let running = true
    const bulk = Promise.all([pour(ours, 20 * MIB), pour(theirs, 20 * MIB), drink(ours), drink(theirs)]).finally(() => { running = false })
    const waits: number[] = []
    while (running || waits.length < 5) {
      const at = performance.now()
      small.write(text('ping'))
      await replies.next()
      waits.push(performance.now() - at)
    }
    const [, , there, back] = await bulk
    assert.deepEqual([there, back], [20 * MIB, 20 * MIB])
    assert.equal(lost, 0)
    assert(Math.max(...waits) < 2_000, `an echo took ${Math.max(...waits)} ms beside bulk`)
  })

  // Goal: after a connection is lost, a stream opens again without being told an address.
  // Method: hang up, wait until both have been told, open, talk. The peers need not be gone for long:
  // what a network does for itself, such as a DHT's refresh, may connect them again.
  check('reconnects', async () => {
    const { a, b } = await pair()
    const gone = [a, b].map(async network => {
      const { promise, resolve } = Promise.withResolvers<string>()
      network.on({ connect: () => {}, disconnect: resolve })
      return await promise
    })
    await a.hangUp(b.id)
    assert.deepEqual(await Promise.all(gone), [b.id, a.id])
    const wire = await a.open(b.id, inTime())
    wire.write(text('again'))
    await wire.end()
    assert.equal(await readAll(wire), 'again')
  })

  // Goal: a node is found that nobody named. Method: A and C know only B; A asks who computes, and talks to C.
  if (discovers) check('finds a third node by its capability', async () => {
    const [a, b, c] = await start(3) as [Network, Network, Network]
    await a.dial(b.addresses()[0]!, inTime())
    await c.dial(b.addresses()[0]!, inTime())
    await c.provide('compute', inTime())
    c.handle(wire => { void echo(wire) })
    let found: string | undefined
    for await (const peer of a.find('compute', inTime())) {
      found = peer
      break
    }
    assert.equal(found, c.id)
    const wire = await a.open(c.id, inTime())
    wire.write(text('hello'))
    await wire.end()
    assert.equal(await readAll(wire), 'hello')
    for await (const peer of c.find('compute', AbortSignal.timeout(500))) assert.notEqual(peer, c.id)
  })
}

/** Whether an error is ours with one of these codes. */
export function isCode (...codes: string[]): (error: unknown) => boolean {
  return error => {
    assert(error instanceof InosError, String(error))
    assert(codes.includes(error.code), `${error.code}: ${error.message}`)
    return true
  }
}

export async function until (holds: () => boolean | Promise<boolean>): Promise<void> {
  for (const end = Date.now() + MS; !await holds();) {
    assert(Date.now() < end, `never: ${holds}`)
    await pause(5)
  }
}

export function pause (ms: number): Promise<void> {
  return new Promise(resolve => { setTimeout(resolve, ms) })
}

function text (string: string): Uint8Array {
  return new TextEncoder().encode(string)
}

async function readAll (wire: Wire): Promise<string> {
  let all = ''
  for await (const chunk of wire.read()) all += new TextDecoder().decode(chunk)
  return all
}

async function echo (wire: Wire): Promise<void> {
  try {
    for await (const chunk of wire.read()) wire.write(chunk)
    await wire.end()
  } catch {
    // A test that is over takes its streams with it.
  }
}

async function pour (wire: Wire, bytes: number): Promise<void> {
  const chunk = new Uint8Array(256 * 1024)
  for (let at = 0; at < bytes; at += chunk.length) {
    if (!wire.write(chunk)) await wire.drained(AbortSignal.timeout(MS))
  }
  await wire.end()
}

async function drink (wire: Wire): Promise<number> {
  let bytes = 0
  for await (const chunk of wire.read()) bytes += chunk.length
  return bytes
}
