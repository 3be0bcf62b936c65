import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LIMITS } from '../../packet/limits.ts'
import type { Ranges } from '../ranges.ts'
import { FDFLAGS, ERRNO, OFLAGS, RIGHTS } from './wasi-abi.ts'
import { Caller } from './wasi.fixture.ts'

const bytes = (text: string) => new TextEncoder().encode(text)

/** Size and link count by `fd_filestat_get`. */
function stat (caller: Caller, fd: number): { size: number, links: number, mtim: bigint } {
  const at = caller.alloc(64)
  assert.equal(caller.call('fd_filestat_get', fd, at), 0)
  const u64 = (offset: number) => caller.view.getBigUint64(at + offset, true)
  return { size: Number(u64(32)), links: Number(u64(24)), mtim: u64(48) }
}

// Goal: a guest changes its own files, never the bytes of the run it shares them with.
// Method: overwrite, truncate and extend a file of the run; look at the run's bytes.
test('files of the run are copied when written', () => {
  const content = bytes('original')
  const caller = new Caller({ files: { '/f': content } })
  const fd = caller.open('f')
  assert.equal(caller.write(fd, 'ORI'), 0)
  assert.equal(caller.call('fd_seek', fd, 0n, 0, 0), 0)
  assert.equal(caller.read(fd, 100), 'ORIginal')
  const again = caller.open('f', { oflags: OFLAGS.trunc })
  caller.write(again, 'a much longer text than before')
  assert.equal(stat(caller, fd).size, 30)
  assert.equal(new TextDecoder().decode(content), 'original')
})

// Goal: shrinking and growing again shows zeros, not what was there.
// Method: set sizes down and up on a file of the run and on one of the guest.
test('growing a file shows zeros', () => {
  const caller = new Caller({ files: { '/f': bytes('abcdef') } })
  for (const fd of [caller.open('f'), caller.create('g', 'abcdef')]) {
    for (const size of [4n, 1n, 6n]) assert.equal(caller.call('fd_filestat_set_size', fd, size), 0)
    caller.call('fd_seek', fd, 0n, 0, 0)
    assert.equal(caller.read(fd, 100), 'a\0\0\0\0\0')
  }
})

// Goal: positions follow POSIX: append, pwrite, holes, seeking before the start.
// Method: one small file and each call in turn.
test('positions', () => {
  const caller = new Caller()
  const fd = caller.open('f', { oflags: OFLAGS.creat, flags: FDFLAGS.append })
  caller.write(fd, 'one')
  caller.call('fd_seek', fd, 0n, 0, 0)
  caller.write(fd, 'two')
  caller.call('fd_tell', fd, 0)
  assert.equal(caller.view.getBigUint64(0, true), 6n)
  assert.equal(caller.call('fd_pwrite', fd, ...caller.vectors(caller.put('X')), 8n, 0), 0)
  const at = caller.alloc(16)
  assert.equal(caller.call('fd_pread', fd, ...caller.vectors([at, 16]), 0n, 0), 0)
  assert.equal(caller.text(at, caller.view.getUint32(0, true)), 'onetwo\0\0X')
  assert.equal(caller.call('fd_seek', fd, -10n, 2, 0), ERRNO.inval)
  assert.equal(caller.call('fd_seek', fd, 0n, 3, 0), ERRNO.inval)
  assert.equal(caller.call('fd_seek', fd, 2n ** 62n, 0, 0), ERRNO.inval)
  assert.equal(caller.call('fd_seek', fd, -1n, 2, 0), 0)
  assert.equal(caller.read(fd, 10), 'X')
})

// Goal: an unlinked file lives as long as it is open, and its bytes come back to the quota afterwards.
// Method: fill the quota with one file, unlink it, read it, close it, and fill the quota again.
test('unlinked files and the quota', () => {
  const caller = new Caller()
  const all = BigInt(LIMITS.guest.fsBytesMax)
  const fd = caller.create('f', 'still here')
  assert.equal(caller.call('fd_filestat_set_size', fd, all), 0)
  assert.equal(caller.path('path_unlink_file', 'f'), 0)
  const other = caller.create('g')
  assert.equal(caller.write(other, 'x'), ERRNO.nospc)
  caller.call('fd_seek', fd, 0n, 0, 0)
  assert.equal(caller.read(fd, 10), 'still here')
  assert.equal(caller.call('fd_close', fd), 0)
  assert.equal(caller.call('fd_filestat_set_size', other, all), 0)
})

// Goal: holes cost the host nothing beyond the quota.
// Method: write, allocate and set sizes far out; the errno is nospc and the file unchanged.
test('sparse files stay within the quota', () => {
  const caller = new Caller()
  const fd = caller.create('f', 'abc')
  for (const far of [2n ** 53n - 1n, 2n ** 40n, BigInt(LIMITS.guest.fsBytesMax)]) {
    assert.equal(caller.call('fd_filestat_set_size', fd, far + 1n) !== 0, true)
    assert.equal(caller.call('fd_allocate', fd, far, 1n) !== 0, true)
    assert.equal(caller.call('fd_seek', fd, far, 0, 0), 0)
    assert.equal(caller.write(fd, 'x'), ERRNO.nospc)
    assert.equal(caller.call('fd_pwrite', fd, ...caller.vectors(caller.put('x')), far, 0), ERRNO.nospc)
  }
  assert.equal(stat(caller, fd).size, 3)
  assert.equal(caller.call('fd_filestat_set_size', fd, 2n ** 64n - 1n), ERRNO.inval)
})

// Goal: descriptors have a limit, numbers are given lowest first, and a failed open leaves no file behind.
// Method: open until it fails, close one, open again.
test('descriptors', () => {
  const caller = new Caller({ pages: 64 })
  caller.create('f')
  let fd = 0
  while (caller.tryOpen('f') === 0) fd = caller.view.getUint32(0, true)
  assert.equal(fd, LIMITS.guest.descriptorsMax - 1)
  assert.equal(caller.tryOpen('f'), ERRNO.mfile)
  assert.equal(caller.tryOpen('fresh', { oflags: OFLAGS.creat }), ERRNO.mfile)
  assert.deepEqual(caller.names(), ['.', '..', 'f'])
  caller.call('fd_close', 0)
  caller.call('fd_close', 500)
  assert.equal(caller.open('f'), 0)
  assert.equal(caller.open('f'), 500)
  assert.equal(caller.call('fd_close', 5000), ERRNO.badf)
})

// Goal: renumbering closes the target and needs both to be open.
// Method: move a file over stdout; what is written to 1 then goes into the file.
test('fd_renumber', () => {
  const caller = new Caller()
  const fd = caller.create('f')
  assert.equal(caller.call('fd_renumber', fd, 900), ERRNO.badf)
  assert.equal(caller.call('fd_renumber', 900, fd), ERRNO.badf)
  assert.equal(caller.call('fd_renumber', fd, fd), 0)
  assert.equal(caller.call('fd_renumber', fd, 1), 0)
  assert.equal(caller.write(1, 'into the file'), 0)
  assert.equal(caller.write(fd, 'x'), ERRNO.badf)
  assert.equal(caller.read(caller.open('f'), 100), 'into the file')
  assert.equal(caller.session.finish().result.length, 0)
})

// Goal: rights only shrink, and a lacking one is told apart: badf for read and write, else notcapable.
// Method: open for reading only, try the rest, try to get rights back.
test('rights', () => {
  const caller = new Caller({ files: { '/f': bytes('abc') } })
  const fd = caller.open('f', { rights: RIGHTS.fdRead | RIGHTS.pathOpen })
  assert.equal(caller.write(fd, 'x'), ERRNO.badf)
  assert.equal(caller.call('fd_filestat_set_size', fd, 0n), ERRNO.notcapable)
  assert.equal(caller.call('fd_fdstat_set_rights', fd, BigInt(RIGHTS.fdRead | RIGHTS.fdWrite), 0n), ERRNO.notcapable)
  assert.equal(caller.call('fd_fdstat_set_rights', fd, 0n, 0n), 0)
  assert.equal(caller.call('fd_read', fd, ...caller.vectors([64, 8]), 0), ERRNO.badf)
  const dir = caller.open('.', { rights: RIGHTS.pathOpen | RIGHTS.fdReaddir })
  assert.equal(caller.call('fd_fdstat_set_rights', dir, BigInt(RIGHTS.pathOpen), BigInt(RIGHTS.fdRead)), 0)
  assert.equal(caller.tryOpen('f', { dir, rights: RIGHTS.fdWrite }), ERRNO.notcapable)
  assert.equal(caller.call('fd_readdir', dir, 64, 64, 0n, 0), ERRNO.notcapable)
})

// Goal: a directory can be read in small pieces, each entry once, and emptied while it is read.
// Method: read with a buffer that fits one entry and continue with its cookie; the second time unlink
// each entry seen.
test('fd_readdir survives changes', () => {
  const caller = new Caller()
  for (let i = 0; i < 20; i++) caller.call('fd_close', caller.create(`file${i}`))
  const at = caller.alloc(40)
  const all = caller.names().slice(2)
  const readOneByOne = (visit: (name: string) => void): void => {
    for (let cookie = 2n; ; cookie = caller.view.getBigUint64(at, true)) {
      assert.equal(caller.call('fd_readdir', 3, at, 40, cookie, 0), 0)
      if (caller.view.getUint32(0, true) < 24) return
      visit(caller.text(at + 24, caller.view.getUint32(at + 16, true)))
    }
  }
  for (const removes of [false, true]) {
    const seen: string[] = []
    readOneByOne(name => {
      seen.push(name)
      assert.ok(seen.length <= all.length)
      if (removes) assert.equal(caller.path('path_unlink_file', name), 0)
    })
    assert.deepEqual(seen, all)
  }
  assert.deepEqual(caller.names(), ['.', '..'])
})

// Goal: time stamps come from virtual time and can be set.
// Method: write later in fuel, compare; set one time and not the other.
test('time stamps', () => {
  const caller = new Caller()
  const fd = caller.create('f', 'a')
  const before = stat(caller, fd).mtim
  caller.fuel += 5_000n
  caller.write(fd, 'b')
  assert.ok(stat(caller, fd).mtim >= before + 5_000n)
  assert.equal(caller.call('fd_filestat_set_times', fd, 1n, 42n, 4), 0)
  assert.equal(stat(caller, fd).mtim, 42n)
  assert.equal(caller.call('fd_filestat_set_times', fd, 1n, 42n, 12), ERRNO.inval)
  assert.equal(caller.call('fd_filestat_set_times', fd, 1n, 42n, 16), ERRNO.inval)
})

// Goal: content that lies elsewhere is read like any file, in any order, and cannot be changed. Method: a file of 3 GiB that
// is never in memory; read at its ends, try all that would change it, and give it back as an output.
test('files that lie elsewhere are only read', () => {
  const length = 3 * 2 ** 30
  const far: Ranges = {
    length,
    read (at, target) {
      const count = Math.min(target.length, Math.max(length - at, 0))
      for (let i = 0; i < count; i++) target[i] = (at + i) % 251
      return count
    }
  }
  const caller = new Caller({ files: { '/far': far, '/near': bytes('near') }, outputs: ['/far'] })
  const fd = caller.open('far')
  assert.equal(stat(caller, fd).size, length)
  assert.deepEqual([...bytes(caller.read(fd, 3))], [0, 1, 2])
  assert.equal(caller.call('fd_seek', fd, BigInt(length - 2), 0, 0), 0)
  assert.equal(caller.read(fd, 10).length, 2)
  assert.equal(caller.write(fd, 'x'), ERRNO.rofs)
  assert.equal(caller.call('fd_filestat_set_size', fd, 5n), ERRNO.rofs)
  assert.equal(caller.tryOpen('far', { oflags: OFLAGS.trunc }), ERRNO.rofs)
  assert.equal(stat(caller, fd).size, length)
  assert.equal(caller.write(caller.open('near'), 'NEAR'), 0)
  assert.match(String(caller.session.archive!(1_000_000)), /more than/)
  assert.equal(caller.path('path_unlink_file', 'far'), 0)
})
