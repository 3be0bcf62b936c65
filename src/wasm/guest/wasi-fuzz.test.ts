import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LIMITS, PAGE_BYTES } from '../../packet/limits.ts'
import { ERRNO, OFLAGS, RIGHTS, RIGHTS_ALL, RIGHTS_DIRECTORY } from './wasi-abi.ts'
import { wasi, wasiUnstable } from './wasi.ts'
import { Caller } from './wasi.fixture.ts'

const PAGES = 16
const BYTES = PAGES * PAGE_BYTES

// What arguments mean: d descriptor, p path (address and length), v buffer list (address and count),
// a address, n number, w whence, f flags, l lookup flags, I u64, r rights.
const SHAPES: Readonly<Record<string, string>> = {
  args_get: 'aa', args_sizes_get: 'aa', environ_get: 'aa', environ_sizes_get: 'aa', clock_res_get: 'na', clock_time_get: 'nIa',
  fd_advise: 'dIIn', fd_allocate: 'dII', fd_close: 'd', fd_datasync: 'd', fd_fdstat_get: 'da', fd_fdstat_set_flags: 'df',
  fd_fdstat_set_rights: 'drr', fd_filestat_get: 'da', fd_filestat_set_size: 'dI', fd_filestat_set_times: 'dIIf', fd_pread: 'dvIa',
  fd_prestat_get: 'da', fd_prestat_dir_name: 'dan', fd_pwrite: 'dvIa', fd_read: 'dva', fd_readdir: 'danIa', fd_renumber: 'dd',
  fd_seek: 'dIwa', fd_sync: 'd', fd_tell: 'da', fd_write: 'dva', path_create_directory: 'dp', path_filestat_get: 'dlpa',
  path_filestat_set_times: 'dlpIIf', path_link: 'dlpdp', path_open: 'dlpfrrfa', path_readlink: 'dpana', path_remove_directory: 'dp',
  path_rename: 'dpdp', path_symlink: 'pdp', path_unlink_file: 'dp', poll_oneoff: 'aana', proc_exit: 'n', proc_raise: 'n',
  random_get: 'an', sched_yield: '', sock_accept: 'dna', sock_recv: 'dvfaa', sock_send: 'dvfa', sock_shutdown: 'dn'
}
const PATHS = ['a', 'b', 'c', 'd', 'd/a', 'd/e', 'd/e/f', '..', '.', 'd/..', '../x', '/a', 'l', 'l/', 'a/', 'd/', '', '\0', 'd/../b']
const PATHS_AT = 1024
const VECTORS_AT = 2048
const JUNK_AT = 4096

/** Random numbers from a seed (xorshift32), so that a failure names the seed that repeats it. */
class Dice {
  #state: number

  constructor (seed: number) { this.#state = Math.imul(seed + 1, 0x9e3779b1) | 1 }

  /** 0 … n − 1. */
  below (n: number): number {
    this.#state ^= this.#state << 13
    this.#state ^= this.#state >>> 17
    this.#state ^= this.#state << 5
    return (this.#state >>> 0) % n
  }

  pick<T> (list: readonly T[]): T { return list[this.below(list.length)]! }
}

const WILD = [BYTES - 8, BYTES - 1, BYTES, -1, 0x7fffffff, -0x80000000, 1024, 1025]
const WILD_U64 = [2n ** 63n - 1n, -(2n ** 63n), -1n, BigInt(LIMITS.guest.fsBytesMax), 2n ** 40n]
// Half of all calls open, make and move things, so that the others find something.
const MAKERS = ['path_open', 'path_open', 'path_open', 'fd_write', 'path_create_directory', 'path_symlink', 'path_rename']

function argument (dice: Dice, kind: string): Array<number | bigint> {
  const isWild = dice.below(50) === 0
  if (kind === 'I') return [isWild ? dice.pick(WILD_U64) : BigInt(dice.below(300))]
  if (kind === 'r') return [BigInt(dice.pick([0, RIGHTS_ALL, RIGHTS_ALL & ~RIGHTS.fdWrite, dice.below(RIGHTS_ALL)]))]
  if (isWild) return kind === 'p' || kind === 'v' ? [dice.pick(WILD), dice.pick(WILD)] : [dice.pick(WILD)]
  if (kind === 'd') return [dice.below(4) === 0 ? dice.below(4) : 3 + dice.below(8)]
  if (kind === 'a') return [JUNK_AT + dice.below(200) * 8]
  if (kind === 'w') return [dice.below(4)]
  if (kind === 'l') return [dice.below(2)]
  if (kind === 'v') return [VECTORS_AT + dice.below(60) * 8, dice.below(4)]
  if (kind !== 'p') return [dice.below(kind === 'f' ? 10 : 300) >> dice.below(9)]
  const index = dice.below(PATHS.length)
  return [PATHS_AT + index * 16, PATHS[index]!.length]
}

interface Call { readonly name: string, readonly args: ReadonlyArray<number | bigint> }

function drawCalls (dice: Dice, count: number): Call[] {
  return Array.from({ length: count }, () => {
    const name = dice.pick(dice.below(2) === 0 ? MAKERS : Object.keys(SHAPES))
    return { name, args: [...SHAPES[name]!].flatMap(kind => argument(dice, kind)) }
  })
}

/** A session with some files, and a memory with paths, buffer lists and junk where the calls look for them. */
function prepare (dice: Dice, guest = wasi): Caller {
  const caller = new Caller({
    guest, pages: PAGES, input: new Uint8Array(1000), outputBytesMax: 200_000, files: { '/a': new Uint8Array(100), '/d/a': new Uint8Array(10) }
  })
  PATHS.forEach((text, index) => { caller.memory.set(new TextEncoder().encode(text), PATHS_AT + index * 16) })
  for (let index = 0; index < 64; index++) {
    caller.view.setUint32(VECTORS_AT + index * 8, dice.below(BYTES), true)
    caller.view.setUint32(VECTORS_AT + index * 8 + 4, dice.below(5_000), true)
  }
  for (let at = JUNK_AT; at < JUNK_AT + 512; at++) caller.memory[at] = dice.below(4) === 0 ? dice.below(256) : 0
  return caller
}

// Goal: whatever a guest passes, a call answers with one of the 77 errnos, throws nothing, and makes the
// host hold no more than the quotas.
// Method: random calls that mostly make sense, on sessions with files, in both dialects; buffers of the
// host are watched.
test('no call throws or grows the host', () => {
  let worst = 0
  const succeeded = new Set<string>()
  for (let seed = 0; seed < 400; seed++) {
    const dice = new Dice(seed)
    const before = process.memoryUsage().arrayBuffers
    const caller = prepare(dice, seed % 4 === 0 ? wasiUnstable : wasi)
    for (const { name, args } of drawCalls(dice, 150)) {
      if (caller.guest.functions[name] === undefined) continue
      const errno = caller.call(name, ...args)
      assert.ok(typeof errno === 'number' && errno >= 0 && errno <= 76, `seed ${seed}, ${name}: ${errno}`)
      if (errno === 0) succeeded.add(name)
    }
    worst = Math.max(worst, process.memoryUsage().arrayBuffers - before)
    const { result, stderr } = caller.session.finish()
    assert.ok(result.length <= 200_000 && stderr.length <= LIMITS.guest.stderrBytesMax)
  }
  assert.ok(worst < 2 * LIMITS.guest.fsBytesMax, `grew by ${worst}`)
  // If the calls only ever failed, the test would show nothing: all but sockets and signals must succeed.
  assert.deepEqual(Object.keys(SHAPES).filter(name => !succeeded.has(name) && !/^(sock_|proc_raise)/.test(name)), [])
})

/** Close all but the root and remove everything below it. */
function clear (caller: Caller): void {
  for (let fd = 0; fd < LIMITS.guest.descriptorsMax; fd++) if (fd !== 3) caller.call('fd_close', fd)
  const empty = (directory: string) => {
    const fd = caller.open(directory, { oflags: OFLAGS.directory, rights: RIGHTS_DIRECTORY })
    const names = caller.names(fd, 2n, 4_096).map(name => `${directory}/${name}`)
    caller.call('fd_close', fd)
    for (const name of names) {
      if (caller.path('path_unlink_file', name) !== ERRNO.isdir) continue
      empty(name)
      assert.equal(caller.path('path_remove_directory', name), 0)
    }
  }
  empty('.')
}

// Goal: no sequence of calls leaks quota or gives some away.
// Method: after random calls remove everything; then exactly the whole quota must be free again.
test('quotas add up', () => {
  for (let seed = 0; seed < 100; seed++) {
    const dice = new Dice(1_000 + seed)
    const caller = prepare(dice)
    for (const { name, args } of drawCalls(dice, 150)) {
      const losesRoot = /^fd_(close|renumber|fdstat_set_rights)/.test(name) && args.includes(3)
      if (!losesRoot) caller.call(name, ...args)
    }
    clear(caller)
    const fd = caller.create('all')
    const all = BigInt(LIMITS.guest.fsBytesMax)
    assert.equal(caller.call('fd_filestat_set_size', fd, all), 0, `seed ${seed}`)
    assert.equal(caller.call('fd_filestat_set_size', fd, all + 1n), ERRNO.nospc, `seed ${seed}`)
  }
})

// Goal: two sessions of one run answer alike, to the byte of the memory and the unit of fuel.
// Method: the same random calls twice.
test('two sessions agree', () => {
  for (let seed = 0; seed < 20; seed++) {
    const [one, other] = [0, 1].map(() => {
      const dice = new Dice(2_000 + seed)
      const caller = prepare(dice)
      const errnos = drawCalls(dice, 150).map(({ name, args }) => caller.call(name, ...args))
      return { errnos, fuel: caller.fuel, memory: Buffer.from(caller.memory), ...caller.session.finish() }
    })
    assert.ok(one!.memory.equals(other!.memory), `seed ${seed}`)
    assert.deepEqual({ ...one, memory: null }, { ...other, memory: null }, `seed ${seed}`)
  }
})
