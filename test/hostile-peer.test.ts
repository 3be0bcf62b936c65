/**
 * One node, and a peer that does all it can: garbage, lies, silence, floods. After each attempt the
 * same node still does a good job for somebody else, its memory stays bounded, and its
 * books know of the good jobs only.
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { encodePacket } from '../src/network/framing.ts'
import { encodeHello } from '../src/network/hello.ts'
import type { Network, Wire } from '../src/network/network.ts'
import { join } from '../src/node/join.ts'
import { createSigner } from '../src/node/keys.ts'
import { createNetwork } from '../src/node/libp2p.ts'
import { rawCid } from '../src/packet/cid.ts'
import { LIMITS } from '../src/packet/limits.ts'
import type { Packet } from '../src/packet/packet.pb.js'
import { BY_REFERENCE, own } from '../src/processor/job.ts'
import { type RogueBuyer, startRogueBuyer } from '../src/processor/rogue.fixture.ts'
import { afterGarbage } from './garbage.ts'
import { ECHO } from './guests.ts'

/** So long may a good job take on a machine that does much else. */
const GOOD_JOB_MS_MAX = 60_000
const MEMORY_BYTES_MAX = 128 * 1024 * 1024
/** Bytes that something still holds; pages that the allocator keeps for later are not among them. */
function live (): number {
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}
const never = new AbortController().signal
const text = (value: string): Uint8Array<ArrayBuffer> => own(new TextEncoder().encode(value))
const HELLO = encodePacket(encodeHello({ profile: 'inos/1', net: '', records: [] }, LIMITS.wire))
const scratch = mkdtempSync(joinPath(tmpdir(), 'inos-hostile-'))
after(() => { rmSync(scratch, { recursive: true, force: true }) })

/** Write until the other side no longer takes it. @returns bytes taken */
async function pour (wire: Wire, chunk: Uint8Array, times: number): Promise<number> {
  let bytes = 0
  try {
    for (let i = 0; i < times; i++) {
      bytes += chunk.length
      if (!wire.write(chunk)) await wire.drained(AbortSignal.timeout(500))
    }
  } catch {
    // It was cut, or is not read from any more.
  }
  return bytes
}

/** What comes back until the stream ends, at most for a second; undecoded, for words are enough. */
async function reply (wire: Wire): Promise<string> {
  const chunks: Uint8Array[] = []
  const read = (async () => { for await (const chunk of wire.read()) chunks.push(chunk) })().catch(() => {})
  await Promise.race([read, sleep(1_000)])
  return Buffer.concat(chunks).toString('latin1')
}

/** Raw streams of one peer, and orders of another. */
interface Hostile { open (): Promise<Wire>, readonly job: RogueBuyer }
type Attack = (hostile: Hostile) => Promise<void>

const refused = async (answer: Promise<Packet>, code: string): Promise<void> => {
  const { kind, code: said, text: why } = await answer
  assert.deepEqual([kind, said], ['refusal', code], why)
}

const ATTACKS: Record<string, Attack> = {
  async 'garbage on a stream' ({ open }) {
    for (let i = 0; i < 20; i++) await pour(await open(), randomBytes(10_000), 1)
  },
  async 'a truncated packet' ({ open }) {
    const wire = await open()
    wire.write(encodePacket({ wasm: text('x'.repeat(100)) }).subarray(0, 50))
    await wire.end()
    assert.match(await reply(wire), /ERR_BAD_PACKET/)
  },
  async 'a frame over the limit' ({ open }) {
    const wire = await open()
    wire.write(Uint8Array.of(0xff, 0xff, 0xff, 0x7f))
    assert.match(await reply(wire), /ERR_BAD_PACKET/)
  },
  async 'an unknown kind' ({ open }) {
    const wire = await open()
    wire.write(encodePacket({ kind: 'gossip' }))
    assert.match(await reply(wire), /gossip/)
  },
  async 'an unknown kind in a session' ({ open }) {
    const wire = await open()
    wire.write(HELLO)
    wire.write(encodePacket({ kind: 'gossip', id: text('1') }))
    assert.match(await reply(wire), /ERR_UNKNOWN_KIND/)
  },
  async 'a job of four fields with a cost below zero' ({ open }) {
    const wire = await open()
    // Field 4, −1 as a varint of ten bytes.
    wire.write(Uint8Array.of(11, 0x20, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01))
    await wire.end()
    assert.match(await reply(wire), /ERR_BAD_PACKET/)
  },
  async 'a job of four fields with an enormous cost' ({ open }) {
    const wire = await open()
    wire.write(encodePacket({ wasm: own(ECHO), cost: 2n ** 63n - 1n }))
    await wire.end()
    assert.match(await reply(wire), /ERR_BAD_PACKET/)
  },
  async 'a job of four fields that is no module' ({ open }) {
    const wire = await open()
    wire.write(encodePacket({ wasm: text('not wasm') }))
    await wire.end()
    assert.match(await reply(wire), /ERR_INVALID_MODULE/)
  },
  'an enormous cost': ({ job }) => refused(job.order(ECHO, text('x'), packet => ({ ...packet, cost: 2n ** 63n - 1n })), 'ERR_BAD_PACKET'),
  'more than its line': ({ job }) => refused(job.order(ECHO, text('x'), undefined, { costMax: LIMITS.credits.amountMax }), 'ERR_INSUFFICIENT_CREDITS'),
  'an order signed by another key': ({ job }) => refused(job.order(ECHO, text('x'), undefined, {}, createSigner(randomBytes(32))), 'ERR_RECORD_INVALID'),
  'an input with another hash': ({ job }) => refused(job.order(ECHO, text('x'), packet => ({ ...packet, input: text('y') })), 'ERR_BAD_PACKET'),
  'an input that never comes': ({ job }) =>
    refused(job.order(ECHO, text('x'), packet => ({ ...packet, input: own(rawCid(text('x')).bytes), byReference: BY_REFERENCE.input, size: 1_000_000n })), 'ERR_GONE'),
  async 'a cost below zero in a session' ({ job }) {
    await assert.rejects(job.order(ECHO, text('x'), packet => ({ ...packet, cost: -1n })), /below zero/)
  },
  async 'a peer that stops reading' ({ open }) {
    const wire = await open()
    wire.write(HELLO)
    // Each asks about nothing and would be answered.
    await pour(wire, encodePacket({ kind: 'sync', id: text('1'), body: Uint8Array.of(0xa1, 0x66, 0x6f, 0x72, 0x64, 0x65, 0x72, 0x73, 0x80) }), 5_000)
  },
  async 'a flood of unknown kinds and offers' ({ open }) {
    const wire = await open()
    wire.write(HELLO)
    await pour(wire, Buffer.concat([encodePacket({ kind: 'gossip', text: 'x'.repeat(1_000) }), encodePacket({ kind: 'offer', records: [text('offer')] })]), 20_000)
  },
  async 'bytes that dribble' ({ open }) {
    const wires = await Promise.all(Array.from({ length: 8 }, open))
    for (let at = 0; at < 5; at++) {
      for (const wire of wires) wire.write(HELLO.subarray(at, at + 1))
      await sleep(100)
    }
  },
  async 'many silent streams' ({ open }) {
    const wires = await Promise.allSettled(Array.from({ length: 64 }, open))
    await sleep(200)
    for (const wire of wires) if (wire.status === 'fulfilled') wire.value.abort(new Error('enough'))
  },
  async 'large frames, never ended' ({ open }) {
    const wires = await Promise.allSettled(Array.from({ length: 16 }, open))
    const head = Uint8Array.of(0x80, 0x80, 0x80, 0x02)
    await Promise.all(wires.map(async wire => {
      if (wire.status === 'rejected') return
      wire.value.write(head)
      await pour(wire.value, randomBytes(65_536), 60)
    }))
  }
}

test('whatever a peer does, the node works on', async t => {
  const listen = ['/ip4/127.0.0.1/tcp/0']
  await using seller = await join({ dataDir: joinPath(scratch, 'seller'), listen, slots: 1 })
  const [address] = seller.addresses()
  await using buyer = await join({ dataDir: joinPath(scratch, 'buyer'), peers: [address!] })
  let earned = 0n
  const goodJob = async (what: string): Promise<void> => {
    const result = await buyer.compute(ECHO, what, { where: seller.id, limits: { fuelMax: 1_000_000n, memoryPagesMax: 256, outputBytesMax: 65_536 }, signal: AbortSignal.timeout(GOOD_JOB_MS_MAX) })
    assert.equal(result.text(), what)
    earned += result.cost
  }
  await goodJob('the first')
  const before = live()

  for (const [what, attack] of Object.entries(ATTACKS)) {
    // Goal: the node stays as good as it was. Method: a fresh peer attacks, then a good job, memory and books.
    await t.test(what, async () => {
      await using stack = new AsyncDisposableStack()
      const connect = async (seed: Uint8Array): Promise<Network> => {
        const network = await createNetwork({ seed })
        stack.defer(() => network.stop())
        await network.dial(address!, never)
        return network
      }
      const seed = randomBytes(32)
      const raw = await connect(randomBytes(32))
      const job = await startRogueBuyer(await connect(seed), createSigner(seed), seller.id, stack)
      await attack({ open: () => raw.open(seller.id, never), job })
      await goodJob(what)
      await buyer.settle()
      const { balance, due, held, owed } = seller.credits()
      assert.deepEqual([balance, due, held, owed], [earned, 0n, 0n, 0n])
      const grown = await afterGarbage(() => live() - before, MEMORY_BYTES_MAX)
      assert.ok(grown < MEMORY_BYTES_MAX, `${grown} bytes more`)
    })
  }
  assert.equal(buyer.credits().balance, -earned)
})
