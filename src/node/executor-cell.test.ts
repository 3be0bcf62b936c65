import assert from 'node:assert/strict'
import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { cellCommand, lookInto } from './executor-cell.ts'
import { createExecutorPool } from './executor-pool.ts'
import { ask, FIXTURE, isAlive, until } from './executor-run.fixture.ts'
import { probeWalls, spawnLaunch } from './executor-walls.ts'

const walls = await probeWalls(FIXTURE)
const { cell } = walls
const skip = cell === null && 'needs bubblewrap and user namespaces'
const PERL = '/usr/bin/perl'

// Goal: the cell is what SECURITY.md says, whatever the executor would tell of itself.
// Method: look at a live executor from outside, through what the kernel says of its process.
test('an executor in its cell, seen from outside', { skip }, async () => {
  await using pool = createExecutorPool({ slots: 1, entry: FIXTURE })
  await ask(pool, 'echo')
  await until('both are up', () => pool.pids('ready').length === 2)
  for (const pid of pool.pids()) {
    const of = (name: string): string => `/proc/${pid}/${name}`
    for (const space of ['net', 'pid', 'mnt', 'ipc']) assert.notEqual(readlinkSync(of(`ns/${space}`)), readlinkSync(`/proc/self/ns/${space}`), space)
    const status = readFileSync(of('status'), 'utf8')
    assert.match(status, /^NSpid:(\s+\d+){2}\s+1$/m)
    assert.match(status, cell?.filter === true ? /^Seccomp:\s+2$/m : /^Seccomp:\s+0$/m)
    assert.match(status, /^NoNewPrivs:\s+1$/m)
    assert.match(status, /^CapEff:\s+0+$/m)
    for (const hidden of ['/proc', '/dev', '/home', '/root', '/etc/passwd', '/bin/sh', '/usr/bin', fileURLToPath(import.meta.url)]) assert.ok(!existsSync(of(`root${hidden}`)), hidden)
    const program = readdirSync(of(`root${dirname(fileURLToPath(FIXTURE))}`)).sort()
    assert.deepEqual(program, ['executor-frames.ts', 'executor-messages.ts', 'executor-pages.ts', 'executor-supply.ts', 'executor.fixture.ts'])
  }
})

// Goal: whichever of the three processes of a cell is killed, all end, and the pool says what happened.
// Method: kill the executor, then the bwrap around the next, then the unshare around that of the third.
test('a cell and its executor end together', { skip }, async () => {
  for (const which of [0, 1, 2]) {
    const log: string[] = []
    await using pool = createExecutorPool({ slots: 1, entry: FIXTURE, log: line => { log.push(line) } })
    await ask(pool, 'echo')
    const job = assert.rejects(ask(pool, 'loop'), /SIGKILL|exited/)
    const executor = pool.pids('busy')[0]!
    const all = [executor, parentOf(executor), parentOf(parentOf(executor))]
    assert.equal(parentOf(all[2]!), process.pid)
    assert.deepEqual(lookInto(all[2]!), { bwrap: all[1], executor })
    process.kill(all[which]!, 'SIGKILL')
    await job
    await until('all are gone', () => !all.some(isAlive))
    assert.equal(log.length, 1)
  }
})

function parentOf (pid: number): number {
  return Number(/^PPid:\s+(\d+)$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}

// A file that only these cells are told of tells their processes from those of other tests.
const MARK = fileURLToPath(import.meta.url)
const marked = { ...walls, cell: cell && { ...cell, files: [...cell.files, MARK] } }

/** Processes of marked cells: those that build one have its plan in their command, those in one have it in their mounts. */
function leftOver (): string[] {
  return readdirSync('/proc').filter(name => {
    try {
      return /^\d+$/.test(name) && isAlive(Number(name)) && ['cmdline', 'mountinfo'].some(file => /--ro-bind\0|^\d/.test(read(name, file)) && read(name, file).includes(MARK))
    } catch {
      return false
    }
  })
}

const read = (pid: string, file: string): string => readFileSync(`/proc/${pid}/${file}`, 'latin1')

// Goal: stopped at whatever moment of its start, an executor leaves no process behind.
// Method: stop pools a little later each time; a pool that works shows that the count counts.
test('a cell that is stopped while it is built', { skip, timeout: 120_000 }, async () => {
  const options = { slots: 1, entry: FIXTURE, walls: marked }
  for (let ms = 0; ms < 30; ms++) {
    const pool = createExecutorPool(options)
    await until('it is born', () => pool.pids().length > 0)
    await sleep(ms / 4)
    await pool.stop()
  }
  await until('nothing is left', () => leftOver().length === 0)
  await using pool = createExecutorPool(options)
  await ask(pool, 'echo')
  assert.ok(leftOver().length >= 3)
})

// Goal: nor does a node that is killed at whatever moment of its executors' start.
// Method: a process of its own opens a pool and is killed a little later each time.
test('a node that is killed while its cells are built', { skip, timeout: 120_000 }, async () => {
  const script = `
    const { createExecutorPool } = await import(${JSON.stringify(new URL('./executor-pool.ts', import.meta.url).href)})
    const pool = createExecutorPool({ slots: 1, entry: new URL(${JSON.stringify(FIXTURE.href)}), walls: ${JSON.stringify(marked)} })
    while (pool.pids().length === 0) await new Promise(setImmediate)
    console.log('born')
    setInterval(() => {}, 1000)`
  for (let ms = 0; ms < 12; ms++) {
    const node = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(node.stdout, 'data')
    await sleep(ms)
    node.kill('SIGKILL')
    await once(node, 'exit')
  }
  await until('nothing is left', () => leftOver().length === 0)
})

const NATIVE = `
  use Socket; use Errno; $| = 1; open(STDOUT, '>&', \\*STDERR);
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
  for (const name of ['fork', 'socket', 'unix', 'proc', 'environ', 'secret', 'signal', 'all']) assert.match(outside.stderr, new RegExp(`^${name}=done$`, 'm'))
  const folder = await mkdtemp(join(tmpdir(), 'inos-'))
  const script = join(folder, 'native.pl')
  await writeFile(script, NATIVE)
  const text = await inCell(script, [String(process.pid), fileURLToPath(import.meta.url)])
  await rm(folder, { recursive: true })
  assert.match(text, /^end$/m)
  assert.doesNotMatch(text, /=done/)
  assert.equal(text.match(/=denied/g)?.length, 11)
})

/** What a script says on descriptor 2, which it has in common with an executor. */
async function inCell (script: string, values: string[]): Promise<string> {
  const folders = spawnSync(PERL, ['-e', 'print join "\n", grep { m{^/} } @INC'], { encoding: 'utf8' }).stdout.split('\n')
  const argv = [...walls.prefix, ...await cellCommand(cell!, [PERL, script, '/lib', '/usr/lib', ...folders]), PERL, script, ...values]
  const child = spawnLaunch({ walls, argv }, 'pipe')
  let text = ''
  child.stderr!.on('data', chunk => { text += String(chunk) })
  await once(child, 'close')
  return text
}
