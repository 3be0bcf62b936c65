import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LIMITS } from '../../packet/limits.ts'
import { ERRNO, OFLAGS, RIGHTS_DIRECTORY } from './wasi-abi.ts'
import { COSTS } from './wasi-costs.ts'
import { Caller } from './wasi.fixture.ts'

const FILES = { '/data/in.txt': new TextEncoder().encode('in'), '/data/sub/deep.txt': new Uint8Array(3), '/top.txt': new Uint8Array(1) }

function directory (caller: Caller, path: string, dir = 3): number {
  return caller.open(path, { dir, oflags: OFLAGS.directory, rights: RIGHTS_DIRECTORY })
}

function rename (caller: Caller, from: string, to: string): number | bigint | undefined {
  return caller.call('path_rename', 3, ...caller.put(from), 3, ...caller.put(to))
}

function link (caller: Caller, from: string, to: string, lookup = 0): number | bigint | undefined {
  return caller.call('path_link', 3, lookup, ...caller.put(from), 3, ...caller.put(to))
}

function symlink (caller: Caller, target: string, path: string): number | bigint | undefined {
  return caller.call('path_symlink', ...caller.put(target), 3, ...caller.put(path))
}

// Goal: programs find "/" and each top-level directory open, and nothing else.
// Method: ask for preopens until badf, as a C library does.
test('preopens', () => {
  const caller = new Caller({ files: { ...FILES, '/b/x': new Uint8Array(1) } })
  const names: string[] = []
  for (let fd = 3; caller.call('fd_prestat_get', fd, 0) === 0; fd++) {
    const length = caller.view.getUint32(4, true)
    assert.equal(caller.call('fd_prestat_dir_name', fd, 64, length - 1), ERRNO.nametoolong)
    assert.equal(caller.call('fd_prestat_dir_name', fd, 64, length), 0)
    names.push(caller.text(64, length))
  }
  assert.deepEqual(names, ['/', 'b', 'data'])
  assert.equal(caller.call('fd_prestat_get', 1, 0), ERRNO.badf)
  assert.equal(caller.call('fd_prestat_get', caller.open('b', { rights: 0 }), 0), ERRNO.badf)
})

// Goal: a preopened name means the directory that has that name now, as C libraries take it for granted.
// Method: remove, make anew and rename it through its own descriptor and "."; use it in between.
test('a preopened name can be removed, made anew and renamed', () => {
  const caller = new Caller({ files: { '/out/x': new Uint8Array(1) } })
  const out = 4
  assert.equal(caller.path('path_remove_directory', '.', out), ERRNO.notempty)
  assert.equal(caller.path('path_unlink_file', 'x', out), 0)
  assert.equal(caller.path('path_remove_directory', '.', out), 0)
  assert.equal(caller.tryOpen('y', { dir: out, oflags: OFLAGS.creat }), ERRNO.noent)
  assert.equal(caller.path('path_create_directory', '.', out), 0)
  caller.open('y', { dir: out, oflags: OFLAGS.creat })
  assert.deepEqual(caller.names(out), ['.', '..', 'y'])
  assert.equal(caller.call('path_rename', out, ...caller.put('.'), 3, ...caller.put('moved')), 0)
  assert.equal(caller.tryOpen('y', { dir: out }), ERRNO.noent)
  caller.open('moved/y')
  assert.equal(caller.tryOpen('../moved/y', { dir: out }), ERRNO.noent)
})

// Goal: no path leaves the directory it starts from.
// Method: dots, absolute paths and symbolic links, from the root, a preopen and an opened directory.
test('paths stay below their directory', () => {
  const caller = new Caller({ files: FILES })
  for (const path of ['..', '../top.txt', 'data/../../top.txt', '/top.txt', 'data/sub/../../../etc']) {
    assert.equal(caller.tryOpen(path), ERRNO.notcapable, path)
  }
  for (const dir of [4, directory(caller, 'data')]) {
    assert.equal(caller.tryOpen('../top.txt', { dir }), ERRNO.notcapable)
    assert.equal(caller.tryOpen('sub/../in.txt', { dir }), 0)
  }
  assert.equal(symlink(caller, '../top.txt', 'data/up'), 0)
  assert.equal(caller.tryOpen('data/up'), 0)
  assert.equal(caller.tryOpen('up', { dir: directory(caller, 'data') }), ERRNO.notcapable)
  assert.equal(symlink(caller, '/top.txt', 'abs'), ERRNO.notcapable)
})

// Goal: malformed and overlong paths have their errno.
// Method: empty, NUL, bad UTF-8, long names, long paths, parts that are files.
test('malformed paths', () => {
  const caller = new Caller({ files: FILES })
  assert.equal(caller.tryOpen(''), ERRNO.noent)
  assert.equal(caller.tryOpen('top.txt\0'), ERRNO.inval)
  assert.equal(caller.call('path_open', 3, 0, ...caller.put(new Uint8Array([0xff, 0xfe])), 1, 0n, 0n, 0, 0), ERRNO.ilseq)
  assert.equal(caller.tryOpen('n'.repeat(256), { oflags: OFLAGS.creat }), ERRNO.nametoolong)
  assert.equal(caller.tryOpen('ü'.repeat(128), { oflags: OFLAGS.creat }), ERRNO.nametoolong)
  assert.equal(caller.tryOpen('ü'.repeat(127), { oflags: OFLAGS.creat }), 0)
  assert.equal(caller.tryOpen(`${'./'.repeat(LIMITS.guest.pathBytesMax / 2)}x`), ERRNO.nametoolong)
  assert.equal(caller.tryOpen('top.txt/x'), ERRNO.notdir)
  assert.equal(caller.tryOpen('top.txt/.'), ERRNO.notdir)
  assert.equal(caller.tryOpen('top.txt/'), ERRNO.notdir)
  assert.equal(caller.tryOpen('data', { oflags: OFLAGS.directory, rights: 2 }), 0)
  assert.equal(caller.tryOpen('x', { dir: 0 }), ERRNO.notdir)
})

// Goal: O_* flags mean what POSIX says.
// Method: each flag on what is there and what is not.
test('open flags', () => {
  const caller = new Caller({ files: FILES })
  const { creat, excl, trunc, directory: dir } = OFLAGS
  assert.equal(caller.tryOpen('none'), ERRNO.noent)
  assert.equal(caller.tryOpen('top.txt', { oflags: creat | excl }), ERRNO.exist)
  assert.equal(caller.tryOpen('top.txt', { oflags: dir }), ERRNO.notdir)
  assert.equal(caller.tryOpen('x', { oflags: creat | dir }), ERRNO.inval)
  assert.equal(caller.tryOpen('data', { oflags: creat, rights: 0 }), ERRNO.isdir)
  assert.equal(caller.tryOpen('data', { oflags: trunc, rights: 0 }), ERRNO.isdir)
  assert.equal(caller.tryOpen('data'), ERRNO.isdir)
  assert.equal(caller.tryOpen('x/', { oflags: creat }), ERRNO.isdir)
  assert.equal(caller.tryOpen('x', { oflags: 16 }), ERRNO.inval)
  assert.equal(caller.tryOpen('x', { flags: 32 }), ERRNO.inval)
  assert.equal(caller.tryOpen('x', { lookup: 2 }), ERRNO.inval)
  assert.equal(caller.read(caller.open('data/in.txt', { oflags: creat | trunc }), 9), '')
})

// Goal: symbolic links are followed where POSIX follows them, and loops end.
// Method: links to files, directories, nothing and themselves.
test('symbolic links', () => {
  const caller = new Caller({ files: FILES })
  symlink(caller, 'data', 'dir')
  symlink(caller, 'missing', 'dangling')
  symlink(caller, 'loop', 'loop')
  symlink(caller, 'data/', 'slash')
  assert.equal(caller.read(caller.open('dir/in.txt', { lookup: 0 }), 9), 'in')
  assert.equal(caller.tryOpen('dir', { lookup: 0, rights: 0 }), ERRNO.loop)
  assert.equal(caller.tryOpen('dir/', { lookup: 0, rights: 0 }), 0)
  assert.equal(caller.tryOpen('slash', { rights: 0 }), 0)
  assert.equal(caller.tryOpen('loop'), ERRNO.loop)
  assert.equal(caller.tryOpen('loop/x'), ERRNO.loop)
  assert.equal(caller.tryOpen('dangling'), ERRNO.noent)
  assert.equal(caller.tryOpen('dangling', { oflags: OFLAGS.creat | OFLAGS.excl, lookup: 0 }), ERRNO.exist)
  assert.equal(caller.tryOpen('dangling', { oflags: OFLAGS.creat }), 0)
  assert.equal(caller.tryOpen('missing'), 0)
  assert.equal(caller.path('path_remove_directory', 'dir'), ERRNO.notdir)
  assert.equal(caller.path('path_unlink_file', 'dir'), 0)
  assert.equal(caller.tryOpen('data/in.txt'), 0)
  assert.equal(caller.call('path_readlink', 3, ...caller.put('loop'), 64, 2, 0), 0)
  assert.equal(caller.text(64, caller.view.getUint32(0, true)), 'lo')
  assert.equal(caller.call('path_readlink', 3, ...caller.put('top.txt'), 64, 2, 0), ERRNO.inval)
})

// Goal: hard links are one file under several names.
// Method: write through one, read through the other, remove one after the other.
test('hard links', () => {
  const caller = new Caller({ files: FILES })
  assert.equal(link(caller, 'top.txt', 'data/other'), 0)
  caller.write(caller.open('data/other'), 'shared')
  assert.equal(caller.path('path_unlink_file', 'top.txt'), 0)
  assert.equal(caller.read(caller.open('data/other'), 99), 'shared')
  assert.equal(link(caller, 'data', 'd'), ERRNO.perm)
  assert.equal(link(caller, 'none', 'd'), ERRNO.noent)
  assert.equal(link(caller, 'data/other', 'data/in.txt'), ERRNO.exist)
  assert.equal(link(caller, 'data/other', 'd/'), ERRNO.noent)
  symlink(caller, 'data/other', 'sym')
  assert.equal(link(caller, 'sym', 'hard', 1), 0)
  assert.equal(caller.tryOpen('hard', { lookup: 0 }), 0)
})

// Goal: rename keeps POSIX's rules and never makes a tree that holds itself.
// Method: every pairing of kinds, a directory into itself, open files across a replacement.
test('rename', () => {
  const caller = new Caller({ files: { ...FILES, '/empty/x': new Uint8Array(1) } })
  caller.path('path_unlink_file', 'empty/x')
  assert.equal(rename(caller, 'data', 'data/sub/in'), ERRNO.inval)
  assert.equal(rename(caller, 'data', 'data/in'), ERRNO.inval)
  assert.equal(rename(caller, 'empty', 'data'), ERRNO.notempty)
  assert.equal(rename(caller, 'top.txt', 'data'), ERRNO.isdir)
  assert.equal(rename(caller, 'data', 'top.txt'), ERRNO.notdir)
  assert.equal(rename(caller, 'none', 'x'), ERRNO.noent)
  assert.equal(rename(caller, 'top.txt', 'x/'), ERRNO.notdir)
  assert.equal(rename(caller, 'data/..', 'x'), ERRNO.busy)
  assert.equal(rename(caller, 'data', 'data'), 0)
  const replaced = caller.open('data/in.txt')
  assert.equal(rename(caller, 'top.txt', 'data/in.txt'), 0)
  assert.equal(caller.read(replaced, 9), 'in')
  assert.equal(rename(caller, 'data', 'empty'), 0)
  assert.equal(caller.tryOpen('empty/sub/deep.txt'), 0)
  assert.deepEqual(caller.names(), ['.', '..', 'empty'])
})

// Goal: making and removing directories; what is removed while open is a place nothing can be made in.
// Method: the errnos of each, then create through the descriptor of a removed directory.
test('directories', () => {
  const caller = new Caller({ files: FILES })
  assert.equal(caller.path('path_create_directory', 'data'), ERRNO.exist)
  assert.equal(caller.path('path_create_directory', 'top.txt/'), ERRNO.notdir)
  assert.equal(caller.path('path_create_directory', 'new/'), 0)
  assert.equal(caller.path('path_remove_directory', 'data'), ERRNO.notempty)
  assert.equal(caller.path('path_remove_directory', 'top.txt'), ERRNO.notdir)
  assert.equal(caller.path('path_remove_directory', '.'), ERRNO.inval)
  assert.equal(caller.path('path_unlink_file', 'new'), ERRNO.isdir)
  const dir = directory(caller, 'new')
  assert.equal(caller.path('path_remove_directory', 'new'), 0)
  assert.equal(caller.tryOpen('x', { dir, oflags: OFLAGS.creat }), ERRNO.noent)
  assert.equal(caller.path('path_create_directory', 'x', dir), ERRNO.noent)
  caller.create('y')
  assert.equal(caller.call('path_rename', 3, ...caller.put('y'), dir, ...caller.put('y')), ERRNO.noent)
  assert.equal(caller.tryOpen('y'), 0)
})

// Goal: a descriptor keeps its own directory in memory and no branch of removed ones. Method: remove two nested
// directories of which the inner is open; its ".." is itself then, as the root's is.
test('a removed directory has no parent', () => {
  const caller = new Caller()
  for (const path of ['a', 'a/b']) caller.path('path_create_directory', path)
  const inner = directory(caller, 'a/b')
  const parentOf = (fd: number): bigint[] => {
    const at = caller.alloc(64)
    assert.equal(caller.call('fd_readdir', fd, at, 64, 0n, 0), 0)
    // Two entries: a head of 24 bytes, whose second word is the inode, then "." and "..".
    return [caller.view.getBigUint64(at + 8, true), caller.view.getBigUint64(at + 25 + 8, true)]
  }
  const [self, parent] = parentOf(inner)
  assert.notEqual(parent, self)
  for (const path of ['a/b', 'a']) assert.equal(caller.path('path_remove_directory', path), 0)
  assert.deepEqual(parentOf(inner), [self, self])
  assert.equal(caller.tryOpen('../x', { dir: inner, oflags: OFLAGS.creat }), ERRNO.notcapable)
})

// Goal: work that grows with the depth of the tree is paid. Method: the same refused rename at depth 10 and 1,000.
test('renaming into a deep directory costs by depth', () => {
  const fuelAt = (depth: number): bigint => {
    const caller = new Caller({ pages: 64 })
    let dir = 3
    for (let made = 0; made < depth; made++) {
      assert.equal(caller.path('path_create_directory', 'd', dir), 0)
      const next = directory(caller, 'd', dir)
      if (dir !== 3) caller.call('fd_close', dir)
      dir = next
    }
    const before = caller.fuel
    assert.equal(caller.call('path_rename', 3, ...caller.put('d'), dir, ...caller.put('x')), ERRNO.inval)
    return caller.fuel - before
  }
  assert.equal(fuelAt(1_000) - fuelAt(10), 990n * BigInt(COSTS.entryPassed))
})

// Goal: the number of names is limited, whatever they name.
// Method: hard links until nospc; removing one makes room for one.
test('names have a quota', () => {
  const caller = new Caller({ pages: 64, files: FILES })
  const before = ['data', 'data/in.txt', 'data/sub', 'data/sub/deep.txt', 'top.txt'].length
  let made = 0
  while (link(caller, 'top.txt', `link${made}`) === 0) made++
  assert.equal(made, LIMITS.guest.fsNodesMax - before)
  assert.equal(caller.path('path_create_directory', 'd'), ERRNO.nospc)
  assert.equal(caller.tryOpen('f', { oflags: OFLAGS.creat }), ERRNO.nospc)
  assert.equal(symlink(caller, 'a', 'b'), ERRNO.nospc)
  assert.equal(caller.path('path_unlink_file', 'link7'), 0)
  assert.equal(caller.path('path_create_directory', 'd'), 0)
  assert.equal(rename(caller, 'link8', 'renamed'), 0)
})
