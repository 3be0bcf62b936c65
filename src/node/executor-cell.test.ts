import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { CELL_STDIO, cellCommand, enterCell } from './executor-cell.ts'
import type { Cell } from './executor-cell.ts'
import { createExecutorPool } from './executor-pool.ts'
import { ask, FIXTURE, isAlive, until } from './executor-run.fixture.ts'
import { probeWalls } from './executor-walls.ts'

const walls = await probeWalls()
const { cell } = walls
const skip = cell === null && 'needs bubblewrap and user namespaces'
const PERL = '/usr/bin/perl'

// Goal: the cell is what SECURITY.md says, whatever the executor would tell of itself.
// Method: look at a live executor from outside, through what the kernel says of its process.
test('an executor in its cell, seen from outside', { skip }, async () => {
  await using pool = createExecutorPool({ slots: 1, entry: FIXTURE })
  await ask(pool, 'echo')
  for (const pid of pool.pids()) {
    const of = (name: string): string => `/proc/${pid}/${name}`
    await until('it has left this root', () => readlinkSync(of('ns/mnt')) !== readlinkSync('/proc/self/ns/mnt') && !existsSync(of('root/oldroot')))
    for (const space of ['net', 'pid', 'mnt', 'ipc']) assert.notEqual(readlinkSync(of(`ns/${space}`)), readlinkSync(`/proc/self/ns/${space}`), space)
    await until('it runs Node', () => /^Seccomp:\s+2$/m.test(readFileSync(of('status'), 'utf8')) || cell?.filter === false)
    const status = readFileSync(of('status'), 'utf8')
    assert.match(status, /^NSpid:\s+\d+\s+1$/m)
    assert.match(status, /^NoNewPrivs:\s+1$/m)
    assert.match(status, /^CapEff:\s+0+$/m)
    for (const hidden of ['/proc', '/dev', '/home', '/root', '/etc/passwd', '/bin/sh', '/usr/bin', fileURLToPath(import.meta.url)]) assert.ok(!existsSync(of(`root${hidden}`)), hidden)
    const program = readdirSync(of(`root${dirname(fileURLToPath(FIXTURE))}`)).sort()
    assert.deepEqual(program, ['executor-frames.ts', 'executor-messages.ts', 'executor.fixture.ts'])
  }
})

// Goal: whichever of the two processes of a cell is killed, both end, and the pool says what happened.
// Method: kill the executor inside, then the bwrap around the next.
test('a cell and its executor end together', { skip }, async () => {
  for (const which of ['inside', 'around']) {
    const log: string[] = []
    await using pool = createExecutorPool({ slots: 1, entry: FIXTURE, log: line => { log.push(line) } })
    await ask(pool, 'echo')
    const job = assert.rejects(ask(pool, 'loop'), /SIGKILL/)
    const inside = pool.pids('busy')[0]!
    const around = Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${inside}/status`, 'utf8'))?.[1])
    assert.match(readFileSync(`/proc/${around}/cmdline`, 'utf8'), /bwrap/)
    process.kill(which === 'inside' ? inside : around, 'SIGKILL')
    await job
    await until('both are gone', () => !isAlive(inside) && !isAlive(around))
    assert.equal(log.length, 1)
  }
})

// Goal: stopped at whatever moment of its start, an executor leaves no process behind.
// Method: stop pools a little later each time; afterwards nothing runs on the mount points of a cell of this process.
test('a cell that is stopped while it is built', { skip }, async () => {
  // A file that only these cells are told of tells them from those of other tests.
  const mark = fileURLToPath(import.meta.url)
  const marked = { ...walls, cell: { ...cell!, files: [...cell!.files, mark] } }
  for (let ms = 0; ms < 30; ms++) {
    const pool = createExecutorPool({ slots: 1, entry: FIXTURE, walls: marked })
    await until('it is born', () => pool.pids().length > 0)
    await sleep(ms / 4)
    await pool.stop()
  }
  const left = (): string[] => readdirSync('/proc').filter(name => {
    try {
      return /^\d+$/.test(name) && readFileSync(`/proc/${name}/cmdline`, 'latin1').includes(`--ro-bind\0${mark}`) && isAlive(Number(name))
    } catch {
      return false
    }
  })
  await until('nothing is left', () => left().length === 0)
})

const NATIVE = `
  use Socket; use Errno; $| = 1;
  sub found { print "$_[0]=", ($_[1] ? "done" : "denied"), "\\n" }
  $pid = fork(); exit 0 if defined $pid && $pid == 0; found('fork', defined $pid);
  found('socket', socket(S, PF_INET, SOCK_STREAM, 0)); found('unix', socket(S, PF_UNIX, SOCK_STREAM, 0));
  found('proc', opendir(D, '/proc/self/root') || opendir(D, '/proc')); found('environ', open(F, '<', "/proc/$ARGV[0]/environ"));
  found('secret', open(F, '<', $ARGV[1])); found('write', open(F, '>', '/written')); found('signal', kill(0, $ARGV[0])); found('all', kill(0, -1));
  found('up', chdir('..') && open(F, '<', '../../etc/passwd')); found('exec', do { no warnings; exec('/bin/true') }); print "end\\n";`

// Goal: native code that got past V8 and Node reaches nothing from inside the cell.
// Method: perl, which makes system calls as it is told, in the place of Node; the same outside the cell does it all.
test('native code in a cell', { skip: skip || (!existsSync(PERL) && 'needs perl') }, async () => {
  const outside = spawnSync(PERL, ['-e', NATIVE.replace('/written', '/dev/null').replace(/found\('exec'.*/, ''), String(process.pid), fileURLToPath(import.meta.url)], { encoding: 'utf8', cwd: '/proc' })
  for (const name of ['fork', 'socket', 'unix', 'proc', 'environ', 'secret', 'signal', 'all']) assert.match(outside.stdout, new RegExp(`^${name}=done$`, 'm'))
  const folder = await mkdtemp(join(tmpdir(), 'inos-'))
  const script = join(folder, 'native.pl')
  await writeFile(script, NATIVE)
  const text = await inCell(cell!, script, [String(process.pid), fileURLToPath(import.meta.url)])
  await rm(folder, { recursive: true })
  assert.match(text, /^end$/m)
  assert.doesNotMatch(text, /=done/)
  assert.equal(text.match(/=denied/g)?.length, 11)
})

async function inCell (own: Cell, script: string, values: string[]): Promise<string> {
  const folders = spawnSync(PERL, ['-e', 'print join "\n", grep { m{^/} } @INC'], { encoding: 'utf8' }).stdout.split('\n')
  const [command, ...args] = [...await cellCommand(own, [PERL, script, '/lib', '/usr/lib', ...folders]), PERL, script, ...values]
  const child = spawn(command!, args, { env: {}, cwd: '/', stdio: ['ignore', 'pipe', 'inherit', 'ignore', ...CELL_STDIO] })
  let text = ''
  child.stdout!.on('data', chunk => { text += String(chunk) })
  assert.notEqual(await enterCell(own, child), undefined)
  await once(child, 'close')
  return text
}
