import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { decodeFiles, encodeFiles } from '../../packet/files.ts'
import { LIMITS } from '../../packet/limits.ts'
import { OFLAGS, RIGHTS_DIRECTORY } from './wasi-abi.ts'
import { Caller, type CallerOptions } from './wasi.fixture.ts'
import { wasiUnstable } from './wasi.ts'

const ROOM = 1_000_000
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

/** The archive a guest leaves; null, or why there is none. */
const left = (guest: Caller, bytesMax = ROOM): Uint8Array | null | string => guest.session.archive!(bytesMax)

/** Files by path, their content as text. */
function texts (guest: Caller, bytesMax = ROOM): Record<string, string> {
  const archive = left(guest, bytesMax)
  assert.ok(archive instanceof Uint8Array, String(archive))
  return Object.fromEntries(Object.entries(decodeFiles(archive)).map(([path, content]) => [path, new TextDecoder().decode(content as Uint8Array)]))
}

// Goal: the archive is what dag-cbor gives, which the buyer reads and hashes. Method: random names and lengths
// around each width of a length, against the encoder of everything else; then a megabyte, and hundreds of files.
test('an archive is canonical dag-cbor', () => {
  const same = (files: Record<string, Uint8Array>): void => {
    const archive = left(new Caller({ files, outputs: ['/'] }), 2 * ROOM)
    assert.ok(archive instanceof Uint8Array && Buffer.from(encodeFiles(files)).equals(archive))
  }
  const name = fc.string({ unit: fc.constantFrom('a', 'b', 'é', '\u{1f600}', '\uffff'), minLength: 1, maxLength: 12 })
  const content = fc.constantFrom(0, 1, 23, 24, 255, 256, 65_535, 65_536).map(length => new Uint8Array(length).fill(7))
  fc.assert(fc.property(fc.dictionary(name, content, { minKeys: 1, maxKeys: 30 }), files => {
    same(Object.fromEntries(Object.entries(files).map(([name, content]) => [`/${name}`, content])))
  }), { seed: 3, numRuns: 50 })
  same({ '/large': new Uint8Array(ROOM), [`/${'d'.repeat(200)}/${'f'.repeat(200)}`]: new Uint8Array(0) })
  same(Object.fromEntries(Array.from({ length: 300 }, (_, n) => [`/${n}`, new Uint8Array(n)])))
})

// Goal: what is at or below an output comes back, and nothing else. Method: a tree of both kinds, in both previews.
test('regular files at or below an output are given back', () => {
  for (const options of [{}, { guest: wasiUnstable }] satisfies CallerOptions[]) {
    const guest = new Caller({ ...options, files: { '/in': utf8('brought'), '/log/old': utf8('old') }, outputs: ['/log', '/result'] })
    for (const folder of ['log/a', 'log/a/b', 'logs', 'log/empty']) guest.path('path_create_directory', folder)
    guest.create('log/a/b/ü', 'deep')
    guest.create('logs/not', 'x')
    guest.create('result', 'one')
    guest.create('result2', 'x')
    assert.deepEqual(texts(guest), { '/log/old': 'old', '/log/a/b/ü': 'deep', '/result': 'one' })
  }
})

// Goal: the whole tree has no name of its own. Method: "/" as the only output.
test('the root gives all files', () => {
  const guest = new Caller({ files: { '/a': utf8('1'), '/b/c': utf8('2') }, outputs: ['/'] })
  assert.deepEqual(texts(guest), { '/a': '1', '/b/c': '2' })
})

// Goal: what is no regular file is not given back, and links lead nowhere. Method: links to a file and to a
// directory, as output and on the way to one; hard links; a file that is open but has no name any more.
test('links are not followed, names count', () => {
  const guest = new Caller({ outputs: ['/alias', '/dir', '/there/f'] })
  guest.path('path_create_directory', 'dir')
  guest.create('dir/f', 'f')
  for (const [target, name] of [['dir', 'alias'], ['dir', 'there'], ['f', 'dir/soft']] as const) {
    assert.equal(guest.call('path_symlink', ...guest.put(target), 3, ...guest.put(name)), 0)
  }
  assert.equal(guest.call('path_link', 3, 0, ...guest.put('dir/f'), 3, ...guest.put('dir/g')), 0)
  guest.create('dir/gone', 'gone')
  guest.path('path_unlink_file', 'dir/gone')
  assert.deepEqual(texts(guest), { '/dir/f': 'f', '/dir/g': 'f' })
})

// Goal: the limit is exact. Method: the archive fits with as many bytes as it has, and not with one less; a name
// more, and a byte more in a file, each cost what they are.
test('an archive counts by its own length, to the byte', () => {
  const guest = new Caller({ outputs: ['/'] })
  assert.equal(left(guest), null)
  assert.equal(left(guest, 0), null)
  guest.create('a', 'content')
  const one = left(guest)!
  // Map of one, text of two, bytes of seven.
  assert.equal(one.length, 1 + 1 + 2 + 1 + 7)
  assert.deepEqual(left(guest, one.length), one)
  for (const bytesMax of [one.length - 1, 9, 0]) assert.match(String(left(guest, bytesMax)), /bytes that are left for them/)
  guest.create('b', '')
  assert.equal(left(guest)!.length, one.length + 1 + 2 + 1)
})

// Goal: names alone cannot make an archive large. Method: directories nested by descriptors, so that a path grows
// beyond what any call takes; as long as no file lies in them they are nothing.
test('a file whose path is too long cannot be given back', () => {
  const guest = new Caller({ outputs: ['/'], pages: 4 })
  const name = 'd'.repeat(200)
  for (let dir = 3, bytes = 0; bytes <= LIMITS.guest.pathBytesMax; bytes += name.length + 1) {
    guest.path('path_create_directory', name, dir)
    dir = guest.open(name, { dir, oflags: OFLAGS.directory, rights: RIGHTS_DIRECTORY })
    if (bytes + name.length + 1 > LIMITS.guest.pathBytesMax) guest.open('f', { dir, oflags: OFLAGS.creat })
    else assert.equal(left(guest), null)
  }
  assert.match(String(left(guest)), /path is longer than 4096 bytes/)
})

// Goal: nor can the number of files. Method: exactly as many as there may be, then one more.
test('an archive has only so many files', () => {
  const guest = new Caller({ files: Object.fromEntries(Array.from({ length: LIMITS.spec.filesMax }, (_, n) => [`/${n}`, new Uint8Array(0)])), outputs: ['/'] })
  assert.equal(Object.keys(texts(guest)).length, LIMITS.spec.filesMax)
  guest.create('more')
  assert.match(String(left(guest)), /more than 4096 files/)
})
