import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { rawCid, sha256 } from '../packet/cid.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { type BlobRoom, type BlobShelf, openShelf, type Stock } from './blob-shelf.ts'
import type { Label } from '../processor/store.ts'

/** A room in memory, whose writes fail when told to. */
class MemoryRoom implements BlobRoom {
  readonly bytes = new Map<string, Uint8Array>()
  readonly noted: [string, number][] = []
  readonly flushed: string[] = []
  labels: [string, Label][] = []
  changed: readonly string[] = []
  fails = false

  async read (cid: string, _size: number): Promise<Uint8Array | null> { return this.bytes.get(cid) ?? null }
  async write (cid: string, bytes: Uint8Array): Promise<void> {
    await null
    if (this.fails) throw new InosError('ERR_STORE', 'no more')
    this.bytes.set(cid, bytes)
  }

  async remove (cid: string): Promise<void> { this.bytes.delete(cid) }
  noteUse (cid: string, atMs: number): void { this.noted.push([cid, atMs]) }
  async flush (cids: readonly string[]): Promise<void> { this.flushed.push(...cids) }
  async keepLabels (labels: ReadonlyMap<string, Label>, changed: readonly string[]): Promise<void> {
    this.labels = [...labels]
    this.changed = changed
  }

  async digest (bytes: Uint8Array): Promise<Uint8Array> { return sha256(bytes) }
}

const NOTHING: Stock = { blobs: [], labels: [] }
const sizeOf = (shelf: BlobShelf): number => [...shelf.list()].reduce((sum, [, size]) => sum + size, 0)
/** Ten blobs of 10 to 100 bytes. */
const BLOBS = Array.from({ length: 10 }, (_, at) => new Uint8Array(10 * (at + 1)).fill(at)).map(bytes => ({ bytes, cid: rawCid(bytes).toString() }))
const one = BLOBS[0]!.cid

// Goal: whatever is put, removed, pinned, held and damaged, at once or one by one, the account is that of the room, the limit holds, and what is pinned or held stays.
// Method: random steps over ten blobs in a room of 250 bytes, in groups that go on together; after each group the books.
test('the account is that of the room', async () => {
  const step = fc.record({ kind: fc.constantFrom('put', 'put', 'put', 'get', 'remove', 'pin', 'unpin', 'keep', 'release', 'damage', 'fail'), at: fc.nat(9) })
  await fc.assert(fc.asyncProperty(fc.array(fc.array(step, { maxLength: 4 }), { maxLength: 15 }), async groups => {
    const room = new MemoryRoom()
    const shelf = await openShelf(room, NOTHING, 250)
    const held = new Map<string, () => void>()
    for (const group of groups) {
      const stays = [...shelf.list()].filter(([cid]) => held.has(cid) || shelf.label(cid).pinned).map(([cid]) => cid)
      const touched = new Set(group.filter(({ kind }) => kind === 'unpin' || kind === 'release' || kind === 'damage').map(({ at }) => BLOBS[at]!.cid))
      room.fails = group.some(({ kind }) => kind === 'fail')
      const ends = await Promise.allSettled(group.map(async ({ kind, at }) => {
        const { cid, bytes } = BLOBS[at]!
        if (kind === 'put') await shelf.put(cid, bytes)
        else if (kind === 'get') assert.ok([null, bytes.length].includes((await shelf.get(cid))?.length ?? null))
        else if (kind === 'remove') await shelf.remove(cid)
        else if (kind === 'pin' || kind === 'unpin') await shelf.setLabel(cid, { pinned: kind === 'pin', shared: false })
        else if (kind === 'keep' && !held.has(cid)) held.set(cid, shelf.keep([cid]))
        else if (kind === 'release') held.get(cid)?.()
        else if (kind === 'damage' && room.bytes.has(cid)) {
          room.bytes.set(cid, bytes.with(0, 99))
          assert.equal(await shelf.get(cid), null)
        }
        if (kind === 'release') held.delete(cid)
      }))
      for (const end of ends) if (end.status === 'rejected') assert.ok(end.reason instanceof InosError && end.reason.code === 'ERR_STORE', String(end.reason))
      for (const cid of stays) assert.ok(shelf.has(cid) || touched.has(cid), 'what is to stay went')
      assert.equal(shelf.bytes, sizeOf(shelf))
      assert.deepEqual(new Set(room.bytes.keys()), new Set([...shelf.list()].map(([cid]) => cid)))
      room.fails = false
    }
  }), { numRuns: 200 })
})

// Goal: blobs written at one time take no more than the limit once the next is put, and an error of the room leaves no trace in the account. Method: ten at once, one more; then a room that fails.
test('blobs written at one time', async () => {
  const room = new MemoryRoom()
  const shelf = await openShelf(room, NOTHING, 250)
  await Promise.all(BLOBS.map(({ cid, bytes }) => shelf.put(cid, bytes)))
  await shelf.remove(one)
  await shelf.put(one, BLOBS[0]!.bytes)
  assert.ok(shelf.bytes <= 250 && shelf.bytes === sizeOf(shelf), String(shelf.bytes))
  room.fails = true
  await shelf.remove(one)
  const before = shelf.bytes
  await assert.rejects(shelf.put(one, BLOBS[0]!.bytes), { code: 'ERR_STORE' })
  assert.ok(shelf.bytes <= before && shelf.bytes === sizeOf(shelf))
})

// Goal: the order of use outlives the shelf, and the room hears of uses once a minute at most. Method: a stock out of order under a clock of ours; two are used, one goes.
test('the order of use', async context => {
  const room = new MemoryRoom()
  const [a, b, c] = BLOBS.slice(0, 3).map(({ cid, bytes }) => {
    room.bytes.set(cid, bytes)
    return cid
  }) as [string, string, string]
  context.mock.timers.enable({ apis: ['Date'], now: 100_000 })
  const shelf = await openShelf(room, { blobs: [{ cid: c, size: 30, usedMs: 3_000 }, { cid: a, size: 10, usedMs: 50_000 }, { cid: b, size: 20, usedMs: 2_000 }], labels: [] }, 70)
  assert.deepEqual([...shelf.list()].map(([cid]) => cid), [b, c, a])
  for (const cid of [a, b, b]) await shelf.get(cid)
  assert.deepEqual(room.noted, [[b, 100_000]])
  await shelf.put(BLOBS[3]!.cid, BLOBS[3]!.bytes)
  assert.deepEqual([a, b, c].map(cid => shelf.has(cid)), [true, true, false])
})

// Goal: labels have a limit that spares pins, the room is told what changed and nothing twice, and a pin's bytes come to the disk first.
// Method: a pin as the oldest, a new one, then more shared ones than there is room for.
test('labels', async () => {
  const room = new MemoryRoom()
  const pin = BLOBS[2]!.cid
  const old = Array.from({ length: LIMITS.blobs.labelsMax - 2 }, (_, at) => [`old ${at}`, { pinned: false, shared: true }] as const)
  const shelf = await openShelf(room, { blobs: [], labels: [[pin, { pinned: true, shared: false }], ...old] }, 1_000)
  await shelf.put(one, BLOBS[0]!.bytes)
  await shelf.setLabel(one, { pinned: true, shared: false })
  assert.deepEqual([room.flushed, room.changed], [[one], [one]])
  await shelf.setLabel(BLOBS[1]!.cid, { pinned: false, shared: true })
  assert.deepEqual(room.changed, [BLOBS[1]!.cid, 'old 0'])
  room.changed = []
  await shelf.setLabel(BLOBS[1]!.cid, { pinned: false, shared: true })
  assert.deepEqual(room.changed, [])
  await shelf.setLabel(one, { pinned: false, shared: false })
  assert.deepEqual([shelf.label(one).pinned, shelf.label(pin).pinned, room.labels.length], [false, true, LIMITS.blobs.labelsMax - 1])
  for (const name of ['../x', one.toUpperCase()]) await assert.rejects(shelf.setLabel(name, { pinned: true, shared: true }), { code: 'ERR_STORE' })
})
