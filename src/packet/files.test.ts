import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { encodeCanonical } from './cbor.ts'
import { canonicalOutputs, decodeFiles, decodeOutputs, encodeFiles, isOutput } from './files.ts'

const refused = { code: 'ERR_INVALID_SPEC' } as const

// Goal: files are plain absolute paths and bytes. Method: there and back, then paths that climb, repeat, or are none.
test('a files archive holds plain paths only', () => {
  const files = { '/a.txt': Uint8Array.of(1), '/dir/b': new Uint8Array(0) }
  assert.deepEqual(decodeFiles(encodeFiles(files)), files)
  for (const path of ['a', '', '/', '/a/', '//a', '/a//b', '/../a', '/a/./b', '/a/..', '/a\0b', `/${'x'.repeat(5_000)}`]) {
    assert.throws(() => decodeFiles(encodeCanonical({ [path]: new Uint8Array(0) })), refused, path.slice(0, 20))
  }
  assert.throws(() => decodeFiles(encodeCanonical({ '/a': 'text' })), refused)
  assert.throws(() => decodeFiles(encodeCanonical([])), refused)
  assert.throws(() => decodeFiles(encodeCanonical(Object.fromEntries(Array.from({ length: 4_097 }, (_, n) => [`/${n}`, new Uint8Array(0)])))), refused)
  const nothing = new Uint8Array(0)
  for (const files of [{ '/a': nothing, '/a/b': nothing }, { '/a': nothing, '/a!': nothing, '/a/b/c': nothing }]) assert.throws(() => decodeFiles(encodeCanonical(files)), refused)
  assert.equal(Object.keys(decodeFiles(encodeFiles({ '/a': nothing, '/a!/b': nothing, '/ab': nothing }))).length, 3)
})

// Goal: whatever way paths are written, a spec has one form of them. Method: by hand, then random paths: what
// comes out is sorted, has nothing below anything else, and comes out the same again.
test('outputs have one form', () => {
  assert.deepEqual(canonicalOutputs(['out', './out/', '/out//', 'b/./c', '/out/x']), ['/b/c', '/out'])
  assert.deepEqual(canonicalOutputs(['/a', '.']), ['/'])
  assert.deepEqual(canonicalOutputs(['/a/b', '/a!', '/a']), ['/a', '/a!'])
  assert.equal(canonicalOutputs(['../x']).every(isOutput), false)
  assert.deepEqual(canonicalOutputs([]), [])
  const path = fc.array(fc.constantFrom('', '.', 'a', 'a!', 'b', 'é'), { maxLength: 4 }).map(parts => parts.join('/'))
  fc.assert(fc.property(fc.array(path, { maxLength: 6 }), paths => {
    const outputs = canonicalOutputs(paths)
    assert.ok(outputs.every(isOutput))
    assert.deepEqual(canonicalOutputs([...outputs].reverse()), outputs)
    for (const one of outputs) for (const other of outputs) assert.ok(one === other || !`${one}/`.startsWith(other === '/' ? other : `${other}/`), `${one} below ${other}`)
  }), { seed: 7 })
})

// Goal: what a run left holds nothing but what was asked for. Method: good archives, then strays, nothing, garbage.
test('an archive of outputs is held to what was asked for', () => {
  const files = { '/out': Uint8Array.of(1), '/log/a/b': Uint8Array.of(2) }
  assert.deepEqual(decodeOutputs(encodeFiles(files), ['/log', '/out']), files)
  assert.deepEqual(decodeOutputs(encodeFiles(files), ['/']), files)
  assert.deepEqual(decodeOutputs(null, ['/']), {})
  const archives = [encodeFiles({}), new Uint8Array(0), Uint8Array.of(1), encodeFiles({ '/outer': Uint8Array.of(1) }), encodeFiles({ ...files, '/else': Uint8Array.of(3) }), encodeCanonical({ '/out/../x': Uint8Array.of(1) })]
  for (const archive of archives) assert.throws(() => decodeOutputs(archive, ['/log', '/out']), { code: 'ERR_RECORD_INVALID' })
  assert.throws(() => decodeOutputs(encodeFiles(files), []), { code: 'ERR_RECORD_INVALID' })
})
