import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { createHash, createPrivateKey, sign } from 'node:crypto'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import type { TestContext } from 'node:test'
import { generateKeyPairFromSeed, privateKeyFromProtobuf, privateKeyToProtobuf } from '@libp2p/crypto/keys'
import { isInUse, openDataDirectory, resolveDataDir } from './data-dir.ts'

async function folder (context: TestContext): Promise<string> {
  const path = await mkdtemp(join(tmpdir(), 'inos-'))
  context.after(() => rm(path, { recursive: true, force: true }))
  return path
}

const modeOf = async (path: string): Promise<number> => (await stat(path)).mode & 0o777

// Goal: identity and books survive a restart, and nobody else on the machine can read them.
// Method: open twice, compare seeds and a stored value; look at the modes.
test('a directory keeps its identity and its books', async context => {
  const path = join(await folder(context), 'a', 'b')
  let seed: Uint8Array
  {
    await using first = await openDataDirectory(path)
    assert.equal(first.path, path)
    seed = first.seed
    await first.db.put('key', Uint8Array.of(1, 2))
  }
  await using second = await openDataDirectory(path)
  assert.deepEqual(second.seed, seed)
  assert.equal(seed.length, 32)
  assert.deepEqual([...await second.db.get('key') ?? []], [1, 2])
  assert.deepEqual((await readdir(path)).sort(), ['blobs', 'db', 'identity.key'])
  if (process.platform === 'win32') return
  assert.equal(await modeOf(path), 0o700)
  assert.equal(await modeOf(join(path, 'db')), 0o700)
  assert.equal(await modeOf(second.blobsPath), 0o700)
  assert.equal(await modeOf(join(path, 'identity.key')), 0o600)
})

// Goal: libp2p and Node read the same identity from the file.
// Method: libp2p's own protobuf reader and writer on the file, and a signature by both.
test('the identity is a libp2p key', async context => {
  await using directory = await openDataDirectory(await folder(context))
  const file = await readFile(join(directory.path, 'identity.key'))
  const [read, made] = [privateKeyFromProtobuf(file), await generateKeyPairFromSeed('Ed25519', directory.seed)]
  assert.ok(read.equals(made))
  assert.deepEqual([...privateKeyToProtobuf(made)], [...file])
  const der = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), directory.seed])
  const message = createHash('sha256').update('message').digest()
  const signature = sign(null, message, createPrivateKey({ key: der, format: 'der', type: 'pkcs8' }))
  assert.ok(await made.publicKey.verify(message, signature))
})

// Goal: two identities are never the same.
// Method: two directories.
test('each directory has its own identity', async context => {
  await using one = await openDataDirectory(await folder(context))
  await using other = await openDataDirectory(await folder(context))
  assert.notDeepEqual(one.seed, other.seed)
})

// Goal: a second opener is told that the directory is in use, so that it can wait, and nothing else is told so.
// Method: another process holds it, then this one; after its end it opens.
test('one process at a time', async context => {
  const path = await folder(context)
  const script = `
    const { openDataDirectory } = await import(${JSON.stringify(new URL('./data-dir.ts', import.meta.url).href)})
    await openDataDirectory(${JSON.stringify(path)})
    console.log('open')
    setInterval(() => {}, 1000)`
  const holder = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(holder.stdout, 'data')
  const locked = await openDataDirectory(path).catch((error: unknown) => error)
  assert.ok(isInUse(locked), String(locked))
  assert.ok(locked instanceof Error && 'code' in locked && locked.code === 'ERR_DATA_DIR' && locked.message.includes('in use'))
  holder.kill('SIGKILL')
  await once(holder, 'exit')
  await using mine = await openDataDirectory(path)
  assert.ok(isInUse(await openDataDirectory(path).catch((error: unknown) => error)))
  assert.equal(mine.seed.length, 32)
})

// Goal: a broken identity is never replaced and never used; the directory is free again afterwards.
// Method: keys damaged in each way; the file is the same before and after, and mended it opens.
test('a broken identity is left alone', async context => {
  const path = await folder(context)
  await (await openDataDirectory(path)).close()
  const file = join(path, 'identity.key')
  const good = await readFile(file)
  const flipped = Buffer.from(good.map((byte, at) => at === 20 ? byte ^ 1 : byte))
  for (const bad of [Buffer.alloc(0), Buffer.from('garbage'), good.subarray(0, 67), Buffer.concat([good, Buffer.alloc(1)]), flipped, Buffer.alloc(68), Buffer.alloc(1 << 20)]) {
    await writeFile(file, bad)
    await assert.rejects(openDataDirectory(path), error => {
      assert.ok(error instanceof Error && 'code' in error && 'hint' in error)
      assert.deepEqual([error.code, /damaged/.test(error.message), typeof error.hint, isInUse(error)], ['ERR_DATA_DIR', true, 'string', false])
      return true
    })
    assert.equal(Buffer.compare(await readFile(file), bad), 0)
  }
  await writeFile(file, good)
  await chmod(file, 0o644)
  await (await openDataDirectory(path)).close()
  if (process.platform !== 'win32') assert.equal(await modeOf(file), 0o600)
})

// Goal: a place that cannot be used is said in a sentence with a way out, and soon.
// Method: a file as the directory, a file as its parent, a directory as the key, a file as the store, and /proc, where no one can create anything.
test('places that cannot be used', { timeout: 10_000 }, async context => {
  const path = await folder(context)
  await writeFile(join(path, 'file'), '')
  await mkdir(join(path, 'odd', 'identity.key'), { recursive: true })
  await mkdir(join(path, 'store'))
  await writeFile(join(path, 'store', 'db'), '')
  const places = [join(path, 'file'), join(path, 'file', 'deeper'), join(path, 'odd'), join(path, 'store'), ...(process.platform === 'linux' ? ['/proc/inos', '/proc/inos/deeper'] : [])]
  for (const place of places) {
    await assert.rejects(openDataDirectory(place), error => {
      assert.ok(error instanceof Error && 'code' in error && 'hint' in error)
      assert.deepEqual([error.code, typeof error.hint, error.message.includes(place), isInUse(error)], ['ERR_DATA_DIR', 'string', true, false], error.message)
      return true
    })
  }
})

// Goal: the place is what the caller says, else INOS_HOME, else the platform's.
// Method: all three; always absolute.
test('where the directory is', context => {
  const before = process.env.INOS_HOME
  context.after(() => { if (before === undefined) delete process.env.INOS_HOME; else process.env.INOS_HOME = before })
  process.env.INOS_HOME = '/somewhere/inos'
  assert.equal(resolveDataDir('here'), join(process.cwd(), 'here'))
  assert.equal(resolveDataDir(), join('/somewhere/inos'))
  delete process.env.INOS_HOME
  assert.match(resolveDataDir(), /inos/)
})
