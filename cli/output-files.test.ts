import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { checkEmpty, writeFiles } from './output-files.ts'

const scratch = mkdtempSync(join(tmpdir(), 'inos-outputs-'))
after(() => { rmSync(scratch, { recursive: true, force: true }) })
const usage = { code: 'ERR_USAGE', exitCode: 64 } as const
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text)

// Goal: files go below the directory, with all directories they need. Method: one that does not exist, and an empty one.
test('files are written below a directory', async () => {
  for (const folder of [join(scratch, 'new'), join(scratch, 'empty')]) {
    if (folder.endsWith('empty')) mkdirSync(folder)
    await checkEmpty(folder)
    await writeFiles(folder, { '/a': utf8('1'), '/b/c/é': utf8('2') })
    assert.deepEqual(readdirSync(folder, { recursive: true }).sort(), ['a', 'b', join('b', 'c'), join('b', 'c', 'é')])
    assert.equal(readFileSync(join(folder, 'b', 'c', 'é'), 'utf8'), '2')
    await assert.rejects(checkEmpty(folder), usage)
  }
})

// Goal: nothing is written where it could replace something. Method: a directory that is not empty, a file, a
// directory in nothing.
test('a directory that cannot take them is refused before', async () => {
  const file = join(scratch, 'file')
  writeFileSync(file, 'mine')
  for (const folder of [scratch, file, join(scratch, 'no', 'where'), join(file, 'x')]) await assert.rejects(checkEmpty(folder), usage, folder)
})

// Goal: no name leads out of the directory, even if nothing before had refused it. Method: paths that climb, that
// lie elsewhere, a link laid there meanwhile, and a file that has come to be there.
test('no file is written outside, and none replaced', async () => {
  const folder = join(scratch, 'jail', 'inner')
  mkdirSync(folder, { recursive: true })
  for (const path of ['/../x', '/a/../../x', '../x', 'x', '//x', '/a/./x', '/', '']) {
    await assert.rejects(writeFiles(folder, { [path]: utf8('out') }), { code: 'ERR_INTERNAL' }, path)
  }
  const mine = join(scratch, 'mine')
  writeFileSync(mine, 'mine')
  symlinkSync(mine, join(folder, 'link'))
  await assert.rejects(writeFiles(folder, { '/link': utf8('out') }), { code: 'ERR_INTERNAL' })
  assert.equal(readFileSync(mine, 'utf8'), 'mine')
  assert.deepEqual(readdirSync(join(scratch, 'jail')), ['inner'])
  assert.deepEqual(readdirSync(folder), ['link'])
})
