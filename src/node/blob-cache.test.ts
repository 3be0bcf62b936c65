import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { type FileHandle, mkdtemp, open, readdir, readFile, rm, stat, truncate, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { rawCid, recordCid, sha256 } from '../packet/cid.ts'
import { LIMITS } from '../packet/limits.ts'
import { nameBlob } from '../packet/manifest.ts'
import { openBlobCache } from './blob-cache.ts'

async function folder (context: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'inos-'))
  context.after(() => rm(path, { recursive: true, force: true }))
  return path
}

const blob = (seed: number, length = 100): { cid: string, bytes: Uint8Array } => {
  const bytes = new Uint8Array(length).fill(seed)
  return { cid: rawCid(bytes).toString(), bytes }
}

// Goal: what is put comes back, also after a restart, and only the owner can read the files.
// Method: put, get, open again, get; look at the modes of directory and file.
test('blobs survive a restart', async context => {
  const path = join(await folder(context), 'blobs')
  const { cid, bytes } = blob(1)
  const cache = await openBlobCache(path)
  assert.equal(await cache.get(cid), null)
  await Promise.all([cache.put(cid, bytes), cache.put(cid, bytes)])
  await cache.put(cid, bytes)
  const again = await openBlobCache(path)
  assert.deepEqual([...await again.get(cid) ?? []], [...bytes])
  assert.deepEqual([again.has(cid), again.bytes, cache.bytes], [true, 100, 100])
  if (process.platform === 'win32') return
  assert.equal((await stat(join(path, cid))).mode & 0o777, 0o600)
  assert.equal((await stat(path)).mode & 0o777, 0o700)
})

// Goal: damaged bytes never leave the cache, and the damage is gone after it was found.
// Method: flip a byte, cut a file, put bytes under a wrong name; each is reported missing and can be put anew.
test('damage is found and removed', async context => {
  const path = await folder(context)
  const cache = await openBlobCache(path)
  const { cid, bytes } = blob(1)
  const damage = [
    async () => { await writeFile(join(path, cid), bytes.with(50, 9)) },
    async () => { await truncate(join(path, cid), 99) },
    async () => { await rm(join(path, cid)) }
  ]
  for (const harm of damage) {
    await cache.put(cid, bytes)
    await harm()
    assert.equal(await cache.get(cid), null)
    assert.deepEqual([cache.has(cid), cache.bytes, await readdir(path)], [false, 0, []])
  }
  await cache.put(cid, blob(2).bytes)
  assert.equal(await cache.get(cid), null)
  await cache.put(cid, bytes)
  assert.notEqual(await cache.get(cid), null)
})

// Goal: the limit holds, the least recently used go first, and the order of use survives a restart.
// Method: room for three; use the first, restart, put a fourth: the second is gone; then forty at once.
test('the least recently used go first', async context => {
  const path = await folder(context)
  const cache = await openBlobCache(path, { bytesMax: 300 })
  const [a, b, c, d] = [1, 2, 3, 4].map(seed => blob(seed))
  for (const [at, { cid, bytes }] of [a!, b!, c!].entries()) {
    await cache.put(cid, bytes)
    await utimes(join(path, cid), at, at)
  }
  await (await openBlobCache(path, { bytesMax: 300 })).get(a!.cid)
  const again = await openBlobCache(path, { bytesMax: 300 })
  await again.put(d!.cid, d!.bytes)
  assert.deepEqual([a!, b!, c!, d!].map(({ cid }) => again.has(cid)), [true, false, true, true])
  await Promise.all(Array.from({ length: 40 }, (_, at) => blob(at + 10)).map(({ cid, bytes }) => again.put(cid, bytes)))
  await again.put(a!.cid, a!.bytes)
  assert.ok(again.bytes <= 300)
  assert.equal((await readdir(path)).length * 100, again.bytes)
})

// Goal: names from peers cannot leave the directory or name anything but a blob.
// Method: paths, other spellings of a CID, CIDs of records; get gives nothing, put refuses.
test('only a CID is a name', async context => {
  const path = await folder(context)
  const cache = await openBlobCache(path)
  const { cid, bytes } = blob(1)
  await writeFile(join(path, 'stranger'), 'x')
  for (const name of ['', '.', '../x', 'stranger', '/etc/passwd', cid.toUpperCase(), `${cid}/..`, `${cid}\0`, `./${cid}`]) {
    assert.equal(await cache.get(name), null)
    await assert.rejects(cache.put(name, bytes), { code: 'ERR_STORE' }, name)
  }
  await cache.put(cid, bytes)
  assert.equal(await cache.get(recordCid(bytes).toString()), null)
  assert.deepEqual((await readdir(path)).sort(), [cid, 'stranger'].sort())
})

// Goal: what a crash left half-written is found out and written anew, and nobody else's file is touched.
// Method: cut a blob's file short between two starts; plant a stranger's file.
test('what is half-written is none', async context => {
  const path = await folder(context)
  const { cid, bytes } = blob(1)
  await (await openBlobCache(path)).put(cid, bytes)
  await truncate(join(path, cid), 50)
  await writeFile(join(path, 'notes.txt'), 'mine')
  const cache = await openBlobCache(path)
  assert.equal(await cache.get(cid), null)
  assert.equal(cache.bytes, 0)
  await cache.put(cid, bytes)
  assert.deepEqual(await cache.get(cid), bytes)
  assert.deepEqual((await readdir(path)).sort(), [cid, 'notes.txt'].sort())
})

// Goal: too large a blob and a directory that cannot be used are said by name.
// Method: 301 bytes into 300; a file in the directory's place.
test('refusals', async context => {
  const path = await folder(context)
  const cache = await openBlobCache(path, { bytesMax: 300 })
  const { cid, bytes } = blob(1, 301)
  await assert.rejects(cache.put(cid, bytes), { code: 'ERR_STORE' })
  await writeFile(join(path, 'file'), '')
  await assert.rejects(openBlobCache(join(path, 'file')), { code: 'ERR_STORE' })
})

/** Opens a cache on a disk of 64 KiB, puts a small blob, one that does not fit, and reads the small one. */
const ON_A_SMALL_DISK = `
  const { openBlobCache } = await import(process.env.CACHE)
  const { rawCid } = await import(process.env.CID)
  const cache = await openBlobCache(process.env.DISK + '/blobs')
  const put = async length => { const bytes = new Uint8Array(length); const cid = rawCid(bytes).toString(); await cache.put(cid, bytes); return cid }
  const small = await put(1000)
  const error = await put(100000).catch(error => error)
  console.log(JSON.stringify([error.code, error.hint, (await cache.get(small)).length, cache.bytes, (await put(2000)).length > 0]))`

// Goal: a full disk costs the blob that did not fit and nothing else.
// Method: a file system of 64 KiB in a mount namespace; needs Linux and the right to make one.
test('a full disk', async context => {
  const path = await folder(context)
  const command = `mount -t tmpfs -o size=64k tmpfs "$DISK" && exec "${process.execPath}" --input-type=module --eval "$SCRIPT"`
  const env = {
    PATH: process.env.PATH, DISK: path, SCRIPT: ON_A_SMALL_DISK,
    CACHE: new URL('./blob-cache.ts', import.meta.url).href, CID: new URL('../packet/cid.ts', import.meta.url).href
  }
  const { status, stdout, stderr } = spawnSync('unshare', ['--user', '--map-root-user', '--mount', 'sh', '-c', command], { env, encoding: 'utf8' })
  if (status !== 0 && stdout === '' && !stderr.includes('Error')) return context.skip(`no mount namespace here: ${stderr.trim()}`)
  assert.deepEqual(JSON.parse(stdout), ['ERR_STORE', 'The disk is full.', 1000, 1000, true])
  assert.equal(await readFile(join(path, 'blobs')).catch(error => error.code), 'ENOENT')
})

// Goal: what is pinned stays with all its parts, also after a restart, until it is unpinned. Method: a blob of two chunks pinned in a
// cache with room for it and little more; others come and go around it, and one that does not fit is refused.
test('pins keep a blob with its parts', async context => {
  const path = await folder(context)
  const { chunkBytes } = LIMITS.blobs
  const parts = [blob(1, chunkBytes), blob(2, 10)]
  const { cid, manifest } = nameBlob(chunkBytes + 10, parts.map(({ bytes }) => sha256(bytes)))
  const root = cid.toString()
  const bytesMax = chunkBytes + 10 + manifest!.length + 300
  const cache = await openBlobCache(path, { bytesMax })
  for (const part of parts) await cache.put(part.cid, part.bytes)
  await cache.put(root, manifest!)
  await cache.setLabel(root, { pinned: true, shared: true })
  const again = await openBlobCache(path, { bytesMax })
  assert.deepEqual([...again.labels()], [[root, { pinned: true, shared: true }]])
  for (let seed = 10; seed < 20; seed++) await again.put(blob(seed).cid, blob(seed).bytes)
  assert.ok([root, ...parts.map(part => part.cid)].every(name => again.has(name)))
  assert.equal(await again.remove(parts[0]!.cid), false)
  await assert.rejects(again.put(blob(30, 400).cid, blob(30, 400).bytes), { code: 'ERR_STORE' })
  await again.setLabel(root, { pinned: false, shared: true })
  await again.put(blob(31, 400).cid, blob(31, 400).bytes)
  assert.equal(again.has(parts[0]!.cid), false)
})

// Goal: a pin survives a power cut: the bytes it is about are on the disk before it is said, and so is the word. Method: every sync is noted by its
// file, for a blob of three parts; then the limit is lowered, and what is not pinned goes.
test('what is pinned is flushed before the pin', async context => {
  const path = await folder(context)
  const cache = await openBlobCache(path, { bytesMax: 10_000_000 })
  const chunks = [blob(1, LIMITS.blobs.chunkBytes), blob(2, 7)]
  const { cid: named, manifest } = nameBlob(LIMITS.blobs.chunkBytes + 7, chunks.map(({ bytes }) => sha256(bytes)))
  const cid = named.toString()
  for (const each of [...chunks, { cid, bytes: manifest! }, blob(3)]) await cache.put(each.cid, each.bytes)
  const handle = await open(path)
  const kind = Object.getPrototypeOf(handle) as FileHandle
  await handle.close()
  const synced: number[] = []
  const { sync } = kind
  const mocked = context.mock.method(kind, 'sync', async function (this: FileHandle) {
    synced.push((await this.stat()).ino)
    await sync.call(this)
  })
  await cache.setLabel(cid, { pinned: true, shared: false })
  const inodes = await Promise.all([cid, ...chunks.map(({ cid }) => cid), 'labels.json'].map(async name => (await stat(join(path, name))).ino))
  assert.deepEqual(synced.filter(ino => inodes.includes(ino)), inodes)
  const before = mocked.mock.callCount()
  await cache.setLabel(cid, { pinned: true, shared: true })
  assert.ok(mocked.mock.callCount() - before <= 2, 'pinned parts are not flushed again')
  cache.bytesMax = LIMITS.blobs.chunkBytes + 7 + manifest!.length + 150
  await cache.put(blob(4).cid, blob(4).bytes)
  assert.deepEqual([blob(3).cid, cid, blob(4).cid].map(name => cache.has(name)), [false, true, true])
})
