/**
 * The command line as people use it: real processes, real data directories, loopback TCP. Each test
 * looks at exit code, stdout and stderr; modules are a few bytes, made by `guests.ts`.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { COMPILE_BOMBS } from './bombs/compile-bombs.ts'
import { ECHO, ENDLESS, EXIT_BY_LENGTH, GROW, LOG, TRAP, UNKNOWN_IMPORT, WITHOUT_RUN } from './guests.ts'
import { SAVE } from './wasi-guests.ts'

const MAIN = fileURLToPath(new URL('../cli/main.ts', import.meta.url))
const root = mkdtempSync(join(tmpdir(), 'inos-cli-'))
/** A command that hangs is killed, and its test fails by its exit code. */
const COMMAND_MS_MAX = 120_000
const children = new Set<ChildProcess>()
after(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(root, { recursive: true, force: true })
})

const modules = { echo: ECHO, endless: ENDLESS, exit: EXIT_BY_LENGTH, grow: GROW, log: LOG, trap: TRAP, unknown: UNKNOWN_IMPORT, norun: WITHOUT_RUN, save: SAVE, garbage: Uint8Array.of(1, 2, 3) }
const wasm = Object.fromEntries(Object.entries(modules).map(([name, bytes]) => {
  const file = join(root, `${name}.wasm`)
  writeFileSync(file, bytes)
  return [name, file]
})) as Record<keyof typeof modules, string>

let folders = 0
const dataDir = (): string => join(root, `data-${folders++}`)

interface Done { code: number | null, stdout: Buffer, stderr: string }
interface Options { input?: string | Uint8Array | 'open', env?: Record<string, string> }

function start (args: readonly string[], { input = '', env = {} }: Options = {}): { child: ChildProcess, done: Promise<Done> } {
  const { INOS_HOME: _home, NO_COLOR: _color, ...inherited } = process.env
  const child = spawn(process.execPath, [MAIN, ...args], { cwd: root, env: { ...inherited, ...env }, stdio: ['pipe', 'pipe', 'pipe'], timeout: COMMAND_MS_MAX, killSignal: 'SIGKILL' })
  children.add(child)
  child.stdin!.on('error', () => {})
  if (input !== 'open') child.stdin!.end(input)
  const out: Buffer[] = []
  const err: Buffer[] = []
  child.stdout!.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr!.on('data', (chunk: Buffer) => err.push(chunk))
  const done = once(child, 'close').then(([code]) => {
    children.delete(child)
    return { code: code as number | null, stdout: Buffer.concat(out), stderr: Buffer.concat(err).toString() }
  })
  return { child, done }
}

const inos = (args: readonly string[], options?: Options): Promise<Done> => start(args, options).done

/** Runs a command that must succeed and print one JSON object. */
async function json (args: readonly string[], options?: Options): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await inos([...args, '--json'], options)
  assert.equal(code, 0, stderr)
  assert.equal(stdout.toString().trimEnd().split('\n').length, 1)
  return JSON.parse(stdout.toString()) as Record<string, unknown>
}

interface Up extends AsyncDisposable { child: ChildProcess, id: string, address: string, data: string, done: Promise<Done> }

async function up (args: readonly string[] = [], data = dataDir()): Promise<Up> {
  const { child, done } = start(['up', '--json', '--data', data, ...args])
  const [line] = await Promise.race([
    once(createInterface(child.stdout!), 'line') as Promise<[string]>,
    done.then(({ code, stderr }) => { throw new Error(`up ended with ${code}: ${stderr}`) })
  ])
  const ready = JSON.parse(line) as { event: string, id: string, addresses: string[] }
  assert.equal(ready.event, 'ready')
  return {
    child, id: ready.id, address: ready.addresses[0]!, data, done,
    [Symbol.asyncDispose]: async () => { child.kill('SIGTERM'); await done }
  }
}

/** Nobody listens there without being root. */
const NOBODY = '/ip4/127.0.0.1/tcp/1'

// Goal: the version is there at once. Method: print it, and the time it took beside that of Node alone.
test('--version', async t => {
  let begin = performance.now()
  const { code, stdout, stderr } = await inos(['--version'])
  const ms = performance.now() - begin
  begin = performance.now()
  await once(spawn(process.execPath, ['-e', '0']), 'close')
  t.diagnostic(`--version ${Math.round(ms)} ms, node alone ${Math.round(performance.now() - begin)} ms`)
  assert.deepEqual([code, stderr], [0, ''])
  assert.equal(stdout.toString(), `${(JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }).version}\n`)
})

// Goal: an older Node is told in a sentence, before anything else is loaded.
// Method: the entry under a Node that says it is 22.
test('an older Node is refused', async () => {
  const pretend = `Object.defineProperty(process, 'versions', { value: { ...process.versions, node: '22.1.0' } }); await import(${JSON.stringify(MAIN)})`
  const child = spawn(process.execPath, ['--input-type=module', '-e', pretend], { stdio: ['ignore', 'pipe', 'pipe'] })
  const stderr: Buffer[] = []
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk))
  const [code] = await once(child, 'close') as [number]
  assert.equal(code, 100)
  assert.match(Buffer.concat(stderr).toString(), /^error: INOS needs Node 24 or newer; this is Node 22\.1\.0\.\nhint: .+\n$/)
})

// Goal: every command explains itself with examples. Method: ask each for help.
test('--help of every command has examples', async () => {
  const commands = ['', 'run', 'up', 'demo', 'credits', 'credits history', 'credits audit', 'mesh', 'mesh create', 'mesh invite', 'mesh join', 'mesh members', 'mesh grant', 'mesh revoke', 'receipts', 'receipts ls', 'receipts show', 'receipts verify',
    'jobs', 'jobs ls', 'jobs show', 'jobs explain', 'jobs cancel', 'price', 'price set', 'peers', 'peers known', 'peers forget', 'module', 'module check', 'module hash', 'doctor', 'id']
  for (const command of commands) {
    const { code, stdout } = await inos([...command.split(' ').filter(word => word !== ''), '--help'])
    assert.equal(code, 0, command)
    assert.match(stdout.toString(), /Examples:\n {2}# .+\n {2}.*inos /, command)
  }
})

// Goal: wrong words are told as such, with 64, nothing on stdout, and what was perhaps meant.
// Method: a table of wrong command lines.
test('usage errors exit with 64', async () => {
  const wrong: [string[], RegExp][] = [
    [[], /command is missing/],
    [['rum'], /Did you mean run/],
    [['run'], /missing required argument/],
    [['run', wasm.echo, '--agree', '2/3'], /unknown option/],
    [['price', 'set', 'gold=1cr'], /no price; there are base/],
    [['price', 'set', 'base=1'], /not an amount/],
    [['price', 'set', 'cpu=0%'], /1% to 100%/],
    [['price', 'set', 'buyers=me'], /PeerId/],
    [['up', '--price', 'base'], /no price/],
    [['run', wasm.echo, '--fule', '3'], /Did you mean [^?]*--fuel/],
    [['run', wasm.echo, '--fuel', '1e9'], /--fuel.*whole number/],
    [['run', wasm.echo, '--memory', '5'], /--memory.*64KiB/],
    [['run', wasm.echo, '--max-cost', '2'], /--max-cost.*2cr/],
    [['run', wasm.echo, '--where', 'mars'], /PeerId/],
    [['run', wasm.echo, 'more'], /too many arguments/],
    [['run', join(root, 'absent.wasm')], /no such file/],
    [['run', root], /directory/],
    [['run', wasm.echo, '-i', join(root, 'absent')], /cannot be read/],
    [['run', wasm.echo, '-o', join(root, 'no', 'where')], /cannot be written/],
    [['run', wasm.echo, '--receipt', root], /cannot be written/],
    [['run', wasm.echo, '--outputs', '/out'], /--output-dir/],
    [['run', wasm.echo, '--output-dir', join(root, 'new')], /--outputs/],
    [['run', wasm.echo, '--outputs', '/', '--output-dir', root], /not empty/],
    [['map', wasm.echo, '--each', 'word'], /--each/],
    [['credits', 'mint'], /unknown command|too many arguments/],
    [['id', '--', 'x'], /behind `--`/],
    [['demo', '--size', 'big'], /960x540/]
  ]
  for (const [args, words] of wrong) {
    const { code, stdout, stderr } = await inos(args)
    assert.equal(code, 64, `${args.join(' ')}: ${stderr}`)
    assert.equal(stdout.length, 0, args.join(' '))
    assert.match(stderr, words)
  }
  const { stdout } = await inos(['run', wasm.echo, '--max-cost', '2', '--json'])
  const { code, exitCode, hint } = JSON.parse(stdout.toString()) as Record<string, unknown>
  assert.deepEqual([code, exitCode, typeof hint], ['ERR_USAGE', 64, 'string'])
})

// Goal: stdin to stdout, byte for byte, and nothing else on stdout.
// Method: bytes that are no text, by stdin, -i FILE, -i -, -o FILE; guest's stderr and one last line on stderr.
test('run passes bytes from stdin to stdout', async () => {
  const data = dataDir()
  const input = Uint8Array.from({ length: 70_000 }, (_, i) => i * 7)
  const file = join(root, 'input.bin')
  const result = join(root, 'result.bin')
  writeFileSync(file, input)
  for (const [args, options] of [[[], { input }], [['-i', '-'], { input }], [['-i', file], { input: 'open' }]] as [string[], Options][]) {
    const { child, done } = start(['run', wasm.echo, '--data', data, ...args], options)
    const { code, stdout, stderr } = await done
    child.stdin!.destroy()
    assert.equal(code, 0, stderr)
    assert.deepEqual(new Uint8Array(stdout), input)
    assert.match(stderr, /^fuel [\d,]+ · cost 0 cr · ran here\n$/)
  }
  const written = await inos(['run', wasm.echo, '--data', data, '-i', file, '-o', result])
  assert.deepEqual([written.code, written.stdout.length], [0, 0])
  assert.deepEqual(new Uint8Array(readFileSync(result)), input)
  const logged = await inos(['run', wasm.log, '--data', data], { input: 'said by the guest\n' })
  assert.deepEqual([logged.code, logged.stdout.length], [0, 0])
  assert.match(logged.stderr, /^said by the guest\nfuel /)
})

// Goal: a closed stdin is an empty one. Method: run under a shell that closes it.
test('run with stdin closed does not hang', async () => {
  const child = spawn('/bin/sh', ['-c', 'exec "$@" <&-', 'sh', process.execPath, MAIN, 'run', wasm.echo, '--data', dataDir()], { stdio: ['ignore', 'pipe', 'ignore'] })
  const [code] = await once(child, 'close') as [number]
  assert.equal(code, 0)
})

// Goal: `run --json` has the documented shape, for results and failures. Method: compare keys and types.
test('run --json', async () => {
  const data = dataDir()
  const ok = await json(['run', wasm.echo, '--data', data], { input: 'hi' })
  assert.deepEqual(Object.keys(ok), ['outcome', 'exitCode', 'guestExitCode', 'fuel', 'cost', 'executor', 'cached', 'resultBytes', 'result', 'files', 'receipt'])
  assert.deepEqual({ ...ok, fuel: 0, executor: 0, receipt: 0 }, {
    outcome: 'ok', exitCode: 0, guestExitCode: 0, fuel: 0, cost: '0', executor: 0, cached: false, resultBytes: 2, result: Buffer.from('hi').toString('base64'), files: [], receipt: 0
  })
  assert.match(String(ok['fuel']), /^\d+$/)
  assert.match(String(ok['executor']), /^12D3KooW/)
  assert.match(String(ok['receipt']), /^bafyrei/)
  const large = await json(['run', wasm.echo, '--data', data], { input: new Uint8Array(2 ** 20 + 1) })
  assert.deepEqual([large['resultBytes'], 'result' in large], [2 ** 20 + 1, false])
  const toFile = await json(['run', wasm.echo, '--data', data, '-o', join(root, 'hi')], { input: 'hi' })
  assert.equal('result' in toFile, false)

  const trapped = await inos(['run', wasm.trap, '--data', data, '--json'])
  const trap = JSON.parse(trapped.stdout.toString()) as Record<string, unknown>
  assert.deepEqual([trapped.code, trap['outcome'], trap['exitCode'], trap['guestExitCode'], trap['code']], [102, 'trap', 102, null, 'ERR_TRAP'])
  assert.match(String(trap['receipt']), /^bafyrei/)
  const refused = await inos(['run', wasm.garbage, '--data', data, '--json'])
  const nothing = JSON.parse(refused.stdout.toString()) as Record<string, unknown>
  assert.deepEqual([refused.code, nothing['outcome'], nothing['exitCode'], nothing['files'], nothing['code']], [101, null, 101, null, 'ERR_INVALID_MODULE'])
})

// Goal: every ending has its exit code. Method: one module per ending.
test('exit codes of run', async () => {
  const data = dataDir()
  const endings: [string, string[], Options, number][] = [
    ['exit', [], { input: 'abc' }, 3],
    ['exit', [], { input: 'x'.repeat(256) }, 255],
    ['garbage', [], {}, 101],
    ['norun', [], {}, 101],
    ['unknown', [], {}, 101],
    ['trap', [], {}, 102],
    ['endless', ['--fuel', '1_000_000'], {}, 103],
    ['echo', ['--where', 'remote'], {}, 104],
    ['echo', ['--peer', NOBODY], {}, 107],
    ['echo', ['--peer', 'nonsense'], {}, 64]
  ]
  for (const [name, args, options, expected] of endings) {
    const { code, stdout, stderr } = await inos(['run', wasm[name as keyof typeof wasm], '--data', data, ...args], options)
    assert.equal(code, expected, `${name} ${args.join(' ')}: ${stderr}`)
    assert.equal(stdout.length, 0)
    if (name !== 'exit') assert.match(stderr, /^error: [\s\S]+\(ERR_\w+\)$/m)
  }
  const guest = await inos(['run', wasm.exit, '--data', data, '--json'], { input: 'x'.repeat(300) })
  const { exitCode, guestExitCode } = JSON.parse(guest.stdout.toString()) as Record<string, unknown>
  assert.deepEqual([guest.code, exitCode, guestExitCode], [44, 44, 300])
})

// Goal: memory is what was given. Method: a guest that tells how many pages it could grow to.
test('run --memory', async () => {
  const { code, stderr } = await inos(['run', wasm.grow, '--data', dataDir(), '--memory', '1MiB'])
  assert.equal(code, 16, stderr)
})

// Goal: five commands at once in one data directory all succeed. Method: start them together, count the receipts.
test('commands at once in one data directory', async () => {
  const data = dataDir()
  const all = await Promise.all(Array.from({ length: 5 }, (_, i) => inos(['run', wasm.echo, '--data', data], { input: `n${i}` })))
  for (const [i, { code, stdout, stderr }] of all.entries()) assert.deepEqual([code, stdout.toString()], [0, `n${i}`], stderr)
  const { stdout } = await inos(['receipts', 'ls', '--data', data, '--json'])
  assert.equal(stdout.toString().trimEnd().split('\n').length, 5)
})

// Goal: who waits says so and for whom; the first interrupt settles and exits 130.
// Method: an endless job holds the directory; another command waits; interrupt the first, the second ends well.
test('waiting and interrupt', async () => {
  const data = dataDir()
  const holder = start(['run', wasm.endless, '--data', data, '--fuel', '9_000_000_000_000'])
  const begin = performance.now()
  while (!existsSync(join(data, 'owner.json'))) {
    assert.ok(performance.now() - begin < 20_000, 'the first command does not start')
    await sleep(20)
  }
  const waiter = start(['id', '--data', data])
  const [said] = await once(createInterface(waiter.child.stderr!), 'line') as [string]
  assert.match(said, new RegExp(`waiting for \`inos run\` \\(process ${holder.child.pid}\\)`))
  holder.child.kill('SIGINT')
  const held = await holder.done
  assert.equal(held.code, 130, held.stderr)
  assert.equal(held.stdout.length, 0)
  const waited = await waiter.done
  assert.equal(waited.code, 0, waited.stderr)
  assert.match(waited.stdout.toString(), /^12D3KooW\w+\n$/)
})

// Goal: a second interrupt quits at once, and an idle stdin can be interrupted.
// Method: interrupt a run that reads an open stdin; interrupt an endless job twice.
test('interrupts', async () => {
  // Nothing tells when it reads: a signal that comes before it listens for any ends it without a code.
  for (const ms of [700, 5_000, 20_000]) {
    const reading = start(['run', wasm.echo, '--data', dataDir()], { input: 'open' })
    await sleep(ms)
    reading.child.kill('SIGINT')
    const { code, stderr } = await reading.done
    if (code === null && ms < 20_000) continue
    assert.equal(code, 130, stderr)
    break
  }

  const data = dataDir()
  const running = start(['run', wasm.endless, '--data', data, '--fuel', '9_000_000_000_000'])
  while (!existsSync(join(data, 'owner.json'))) await sleep(20)
  running.child.kill('SIGINT')
  running.child.kill('SIGINT')
  assert.equal((await running.done).code, 130)
})

// Goal: a reader that leaves early is no failure. Method: close stdout's other end before the result comes.
test('a closed stdout is no error', async () => {
  const { child, done } = start(['run', wasm.echo, '--data', dataDir()], { input: new Uint8Array(4_000_000) })
  child.stdout!.destroy()
  const { code, stderr } = await done
  assert.equal(code, 0, stderr)
  assert.doesNotMatch(stderr, /EPIPE|error/)
})

// Goal: a result that cannot be written is not lost silently, and what the job cost is still told.
// Method: a device that is always full, as -o and as stdout.
test('a full disk', { skip: existsSync('/dev/full') ? false : 'no /dev/full here' }, async () => {
  const data = dataDir()
  const { code, stdout, stderr } = await inos(['run', wasm.echo, '--data', data, '-o', '/dev/full', '--json'], { input: 'x' })
  const said = JSON.parse(stdout.toString()) as Record<string, unknown>
  assert.deepEqual([code, said['exitCode'], said['outcome'], said['code'], said['resultBytes']], [100, 100, 'ok', 'ERR_INTERNAL', 1])
  assert.match(stderr, /the disk is full/)
  const child = spawn('/bin/sh', ['-c', 'exec "$@" > /dev/full', 'sh', process.execPath, MAIN, 'run', wasm.echo, '--data', data], { stdio: ['pipe', 'ignore', 'ignore'] })
  child.stdin.end('x')
  assert.equal((await once(child, 'close'))[0], 100)
})

// Goal: a directory that cannot be used is told in one sentence, with a hint.
// Method: a file where the directory should be, and a place where nobody can write.
test('unusable data directories', async () => {
  for (const data of [join(wasm.echo, 'sub'), '/proc/inos']) {
    const { code, stdout, stderr } = await inos(['id', '--data', data])
    assert.deepEqual([code, stdout.length], [100, 0])
    assert.match(stderr, /^error: The data directory .+\(ERR_DATA_DIR\)\nhint: .+\n$/)
  }
})

// Goal: INOS_HOME chooses the directory, --data wins over it. Method: both, and look which exists.
test('INOS_HOME and --data', async () => {
  const [home, data] = [dataDir(), dataDir()]
  await json(['id'], { env: { INOS_HOME: home } })
  assert.ok(existsSync(home))
  await json(['id', '--data', data], { env: { INOS_HOME: join(wasm.echo, 'bad') } })
  assert.ok(existsSync(data))
})

// Goal: receipts can be listed, shown, verified offline; one changed byte is found.
// Method: make one by run, flip bytes of its file.
test('receipts', async () => {
  const data = dataDir()
  const file = join(root, 'r.inos')
  const { receipt } = await json(['run', wasm.echo, '--data', data, '--receipt', file], { input: 'x' })
  const ls = await inos(['receipts', 'ls', '--data', data, '--json'])
  const listed = JSON.parse(ls.stdout.toString()) as Record<string, unknown>
  assert.deepEqual(Object.keys(listed), ['id', 'role', 'peer', 'module', 'order', 'outcome', 'exitCode', 'fuel', 'charge', 'paid', 'givenUp'])
  assert.deepEqual([listed['id'], listed['role'], listed['charge']], [receipt, 'own', '0'])
  const text = await inos(['receipts', 'ls', '--data', data])
  assert.match(text.stdout.toString(), new RegExp(`^${receipt} {2}own {2}exit 0`))

  const shown = JSON.parse((await inos(['receipts', 'show', String(receipt), '--data', data])).stdout.toString()) as Record<string, { type: string, payload: Record<string, unknown> } | null>
  assert.deepEqual([shown['receipt']!.type, shown['receipt']!.payload['charge'], shown['order']!.type, shown['offer']], ['receipt', '0', 'order', null])
  assert.match(String(shown['receipt']!.payload['executor']), /^12D3KooW/)

  const verified = await json(['receipts', 'verify', file])
  assert.deepEqual([verified['ok'], verified['receipt'], verified['selfExecuted'], verified['outcome']], [true, receipt, true, 'ok'])
  const byId = await inos(['receipts', 'verify', file, String(receipt), '--data', data])
  assert.equal(byId.code, 0, byId.stderr)
  assert.equal(byId.stdout.toString().match(/: valid, self-executed\n/g)?.length, 2)

  const bytes = readFileSync(file)
  for (const at of [0, Math.floor(bytes.length / 2), bytes.length - 1]) {
    const changed = Buffer.from(bytes)
    changed[at]! ^= 1
    const broken = join(root, 'broken.inos')
    writeFileSync(broken, changed)
    const { code, stdout, stderr } = await inos(['receipts', 'verify', broken, '--json'])
    const said = JSON.parse(stdout.toString()) as Record<string, unknown>
    assert.deepEqual([code, said['ok'], said['code']], [106, false, 'ERR_RECEIPT_INVALID'])
    assert.match(stderr, /fails at "\w+"/)
  }
  assert.equal((await inos(['receipts', 'verify', join(root, 'none.inos')])).code, 64)
  assert.equal((await inos(['receipts', 'show', wasm.echo])).code, 106)
  assert.equal((await inos(['receipts', 'show', `bafyrei${'a'.repeat(52)}`, '--data', data])).code, 64)
})

// Goal: modules are judged and named without running. Method: a good one, one that is none, one with
// an unknown import, and a compile bomb, whose refusal names rule, function and offset.
test('module check and hash', async () => {
  const report = await json(['module', 'check', wasm.echo])
  assert.deepEqual([report['ok'], report['abi'], report['bytes']], [true, 'inos', ECHO.length])
  const { cid } = await json(['module', 'hash', wasm.echo])
  assert.equal(report['cid'], cid)
  assert.match(String(cid), /^bafkrei/)
  const bad = await inos(['module', 'check', wasm.garbage])
  assert.deepEqual([bad.code, bad.stdout.toString()], [101, `${wasm.garbage}: nodes refuse it\n`])
  assert.match((await inos(['module', 'check', wasm.unknown])).stdout.toString(), /nodes refuse it/)
  const bomb = join(root, 'bomb.wasm')
  writeFileSync(bomb, COMPILE_BOMBS.find(each => each.refused === true)!.make())
  assert.match((await inos(['module', 'check', bomb])).stderr, /function 0 has \d+ slots times blocks, and \d+ are allowed, at offset 0x/)
  assert.equal((await inos(['module', 'check', bomb, '--json'])).code, 101)
  assert.equal(report['class'], 'deterministic')
  assert.ok((report['estimate'] as { cpuMs: number }).cpuMs >= 0)
  const good = (await inos(['module', 'check', wasm.echo])).stdout.toString()
  assert.match(good, /nodes take it\n {2}cid/)
  assert.match(good, /features {3}mvp.*\n {2}memory {5}[\d.]+ [KM]iB from its start\n {2}class {6}deterministic.*\n {2}compiling {2}about/)
})

// Goal: the doctor finds this machine fit, and a broken directory not. Method: both, as JSON.
test('doctor', async () => {
  const { ok, checks } = await json(['doctor', '--data', dataDir()])
  assert.equal(ok, true)
  assert.deepEqual((checks as { name: string }[]).map(({ name }) => name), ['node', 'isolation', 'data directory', 'disk', 'job', 'listening', 'browsers'])
  const sick = await inos(['doctor', '--data', join(wasm.echo, 'sub')])
  assert.equal(sick.code, 100)
  assert.match(sick.stdout.toString(), /^fail {2}data directory .+\n.+next: /m)
})

// Goal: a node serves another directory's commands over TCP: job, price, books of both, peers.
// Method: up in one directory, run from another; then audit both.
test('up and a remote run', async () => {
  const data = dataDir()
  const receipt = join(root, 'remote.inos')
  await using node = await up(['--slots', '1'])
  const remote = ['--data', data, '--where', 'remote', '--peer', node.address]
  const result = await json(['run', wasm.echo, ...remote, '--receipt', receipt], { input: 'far' })
  assert.deepEqual([result['outcome'], result['executor'], Buffer.from(String(result['result']), 'base64').toString()], ['ok', node.id, 'far'])
  assert.ok(BigInt(String(result['cost'])) > 0n)
  const plain = await inos(['run', wasm.echo, ...remote], { input: 'far' })
  assert.equal(plain.stdout.toString(), 'far')
  assert.match(plain.stderr, new RegExp(`cost 0\\.\\d+ cr · ran at ${node.id} before, answered from memory\\n$`))
  const fresh = await inos(['run', wasm.echo, ...remote, '--no-cache'], { input: 'far' })
  assert.match(fresh.stderr, new RegExp(`cost 0\\.\\d+ cr · ran at ${node.id}\\n$`))
  const proof = await json(['receipts', 'verify', receipt])
  assert.deepEqual([proof['executor'], proof['selfExecuted'], proof['charge']], [node.id, false, result['cost']])

  assert.equal((await inos(['run', wasm.echo, ...remote, '--max-cost', '1ucr'])).code, 105)
  assert.equal((await inos(['run', wasm.trap, ...remote])).code, 102)

  const mine = await json(['credits', 'audit', '--data', data])
  const theirs = await json(['credits', 'audit', '--data', node.data])
  assert.deepEqual(Object.keys(mine), ['ok', 'id', 'balance', 'held', 'due', 'owed', 'earned', 'spent', 'records', 'bad'])
  assert.deepEqual([mine['ok'], theirs['ok'], mine['owed'], theirs['due']], [true, true, '0', '0'])
  assert.equal(BigInt(String(mine['balance'])), -BigInt(String(theirs['balance'])))
  assert.equal(theirs['id'], node.id)
  const history = (await inos(['credits', 'history', '--data', node.data, '--json'])).stdout.toString().trimEnd().split('\n').map(line => JSON.parse(line) as Record<string, unknown>)
  assert.equal(history.reduce((sum, { amount }) => sum + BigInt(String(amount)), 0n), BigInt(String(theirs['earned'])))
  assert.match((await inos(['credits', '--data', node.data])).stdout.toString(), /^balance +0\.\d+ cr/)
})

// Goal: files a guest leaves come to where they were asked for, whoever ran it and whatever its exit code.
// Method: a guest that saves its input, here, at a node, and through a control socket; a directory that is taken.
test('run --outputs', async () => {
  await using node = await up(['--slots', '1'])
  const places = { here: ['--data', dataDir()], remote: ['--data', dataDir(), '--where', 'remote', '--peer', node.address], socket: ['--data', node.data] }
  for (const [place, args] of Object.entries(places)) {
    const folder = join(root, `files-${place}`)
    const kept = await inos(['run', wasm.save, ...args, '--outputs', 'out', '--outputs', 'none', '--output-dir', folder], { input: 'keep it' })
    assert.deepEqual([kept.code, kept.stdout.toString(), readFileSync(join(folder, 'out', 'copy'), 'utf8')], [3, 'keep it', 'keep it'], kept.stderr)
    assert.deepEqual(readdirSync(folder, { recursive: true }).sort(), ['out', join('out', 'copy')])
    const again = await inos(['run', wasm.save, ...args, '--outputs', 'out', '--output-dir', folder], { input: 'else' })
    assert.deepEqual([again.code, readFileSync(join(folder, 'out', 'copy'), 'utf8')], [64, 'keep it'])
    const proof = join(root, `files-${place}.inos`)
    const said = await json(['run', wasm.save, ...args, '--outputs', '/', '--receipt', proof], { input: 'keep' })
    assert.deepEqual(said['files'], [{ path: '/out/copy', bytes: 4, content: Buffer.from('keep').toString('base64') }])
    const verified = await json(['receipts', 'verify', proof])
    assert.deepEqual([typeof verified['files'], verified['filesBytes']], ['string', 1 + 1 + 9 + 1 + 4])
  }
})

// Goal: every command works in the data directory of a running node, and a job runs there.
// Method: up, then each command with the same --data; SIGTERM ends it cleanly and takes the socket away.
test('commands beside a running node', async () => {
  const node = await up()
  const socket = join(node.data, 'control.sock')
  assert.equal(statSync(socket).mode & 0o777, 0o600)
  const result = await json(['run', wasm.echo, '--data', node.data], { input: 'near' })
  assert.equal(result['executor'], node.id)
  assert.deepEqual(await json(['id', '--data', node.data]), { id: node.id, addresses: [node.address] })
  assert.equal((await json(['credits', '--data', node.data]))['id'], node.id)
  assert.equal((await json(['credits', 'audit', '--data', node.data]))['ok'], true)
  assert.equal((await inos(['receipts', 'ls', '--data', node.data])).code, 0)
  assert.equal((await inos(['receipts', 'verify', String(result['receipt']), '--data', node.data])).code, 0)
  assert.equal((await inos(['peers', '--data', node.data])).code, 0)
  assert.equal((await json(['doctor', '--data', node.data]))['ok'], true)
  await using other = await up(['--peer', node.address])
  const peers = (await inos(['peers', '--data', node.data, '--json'])).stdout.toString().trimEnd().split('\n').map(line => JSON.parse(line) as Record<string, unknown>)
  assert.deepEqual(peers.map(({ id, direction }) => [id, direction]), [[other.id, 'in']])
  assert.match((await inos(['peers', '--data', node.data])).stdout.toString(), new RegExp(`^peer .+\n${other.id} `))

  const endless = start(['run', wasm.endless, '--data', node.data, '--fuel', '9_000_000_000_000'])
  await sleep(1_500)
  endless.child.kill('SIGINT')
  assert.equal((await endless.done).code, 130)

  node.child.kill('SIGTERM')
  const { code, stdout, stderr } = await node.done
  assert.equal(code, 0, stderr)
  assert.deepEqual(JSON.parse(stdout.toString().trimEnd().split('\n').at(-1)!), { event: 'stopped', id: node.id })
  assert.equal(existsSync(socket), false)
})

// Goal: a node killed hard leaves nothing that stops the next one. Method: SIGKILL, then commands and up again.
test('after a crash everything works again', async () => {
  const node = await up()
  node.child.kill('SIGKILL')
  await node.done
  assert.ok(existsSync(join(node.data, 'control.sock')))
  assert.deepEqual(await json(['id', '--data', node.data]), { id: node.id, addresses: [] })
  await using again = await up([], node.data)
  assert.equal(again.id, node.id)
})

// Goal: an address that is taken is told with a hint and 107. Method: listen there first.
test('a port in use', async () => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  const { port } = taken.address() as { port: number }
  const { code, stdout, stderr } = await inos(['up', '--data', dataDir(), '--listen', `/ip4/127.0.0.1/tcp/${port}`])
  taken.close()
  assert.deepEqual([code, stdout.length], [107, 0])
  assert.match(stderr, /^error: .+\(ERR_LISTEN\)\nhint: /)
})

// Goal: who cannot be reached costs ten seconds at most and 107. Method: a socket that accepts and says nothing.
test('a silent peer is given up after ten seconds', async () => {
  const silent = createServer(() => {}).listen(0, '127.0.0.1')
  await once(silent, 'listening')
  const { port } = silent.address() as { port: number }
  const begin = performance.now()
  const { code, stderr } = await inos(['run', wasm.echo, '--data', dataDir(), '--peer', `/ip4/127.0.0.1/tcp/${port}`])
  const seconds = (performance.now() - begin) / 1000
  silent.close()
  assert.equal(code, 107, stderr)
  assert.ok(seconds < 17, `${seconds} s`)
})

// Goal: three machines become a private mesh by one string, trade while its issuer is away, and put one of them out.
// Method: the whole story from the command line: create and invite on A, join on B and C, a job of B on C while A is stopped, C revoked.
test('a private mesh by one string', { timeout: 2 * COMMAND_MS_MAX }, async () => {
  const [a, b, c] = [dataDir(), dataDir(), dataDir()]
  const created = await json(['mesh', 'create', '--name', 'lab', '--fee', '1', '--offline-limit', '30cr', '--data', a]) as { id: string, mesh: Record<string, unknown> }
  assert.deepEqual({ ...created.mesh, net: '' }, { net: '', name: 'lab', issuer: created.id, version: 1, feePpm: 10_000, offlineMax: '30000000' })
  const early = await inos(['mesh', 'invite', '--data', a])
  assert.deepEqual([early.code, /inos up/.test(early.stderr)], [64, true], early.stderr)
  const issuer = await up([], a)
  const { invite } = await json(['mesh', 'invite', '--grant', '100cr', '--count', '2', '--expires', '1h', '--data', a]) as { invite: string }
  assert.match(invite, /^inos:[\w-]+$/)
  const joined = await json(['mesh', 'join', invite, '--data', b])
  assert.deepEqual([joined['grant'], (joined['mesh'] as { issuer: string }).issuer], ['100000000', created.id])
  await using nodeB = await up([], b)
  await using nodeC = await up(['--mesh', invite], c)
  const members = (await inos(['mesh', 'members', '--json', '--data', a])).stdout.toString().trim().split('\n').map(line => (JSON.parse(line) as { id: string }).id)
  assert.deepEqual(new Set(members), new Set([created.id, nodeB.id, nodeC.id]))
  const spent = await inos(['mesh', 'join', invite, '--data', dataDir()])
  assert.equal(spent.code, 107)
  assert.match(spent.stderr, /spent: it was for 2/)

  assert.equal((await inos(['mesh', 'amend', '--data', a])).code, 64)
  assert.equal((await inos(['mesh', 'amend', '--fee', '2', '--data', b])).code, 107)
  const { mesh: amended } = await json(['mesh', 'amend', '--fee', '0.5', '--data', a]) as { mesh: Record<string, unknown> }
  assert.deepEqual(amended, { ...created.mesh, version: 2, feePpm: 5_000 })
  const meshOfB = async (): Promise<unknown> => (await json(['mesh', '--data', b]))['mesh']
  for (const end = Date.now() + 30_000; JSON.stringify(await meshOfB()) !== JSON.stringify(amended);) assert.ok(Date.now() < end, 'B has the later charter')

  assert.deepEqual(await json(['mesh', 'grant', nodeB.id, '5cr', '--data', a]), { peer: nodeB.id, granted: '5000000' })
  const accountOfB = async (): Promise<unknown> => (await json(['credits', '--data', b]))['account']
  for (const end = Date.now() + 30_000; JSON.stringify(await accountOfB()) !== JSON.stringify({ issuer: created.id, cleared: '105000000', free: '105000000', uncleared: '0', promised: '0' });) {
    assert.ok(Date.now() < end, 'B has what was granted')
  }
  assert.match((await inos(['mesh', 'members', '--data', a])).stdout.toString(), /105 cr/)

  issuer.child.kill('SIGTERM')
  await issuer.done
  const away = await inos(['mesh', 'join', invite, '--data', dataDir()])
  assert.equal(away.code, 107)
  assert.match(away.stderr, /issuer of this mesh cannot be reached[\s\S]*hint: /)
  const run = await json(['run', wasm.echo, '--where', nodeC.id, '--data', b], { input: 'private' })
  assert.deepEqual([run['executor'], Buffer.from(run['result'] as string, 'base64').toString()], [nodeC.id, 'private'])
  assert.notEqual(run['cost'], '0')
  const stranger = await inos(['run', wasm.echo, '--where', 'remote', '--peer', nodeC.address, '--data', dataDir()], { input: 'stranger' })
  assert.deepEqual([stranger.code, stranger.stdout.length], [107, 0], stranger.stderr)

  await using again = await up(['--peer', nodeB.address], a)
  assert.equal(again.id, created.id)
  assert.deepEqual(await json(['mesh', 'revoke', nodeC.id, '--data', a]), { revoked: nodeC.id })
  const connected = async (): Promise<boolean> => (await inos(['peers', '--json', '--data', b])).stdout.toString().includes(nodeC.id)
  for (const end = Date.now() + 30_000; await connected();) assert.ok(Date.now() < end, 'B keeps C connected')
  const refused = await inos(['run', wasm.echo, '--where', nodeB.id, '--peer', nodeB.address, '--data', c], { input: 'revoked' })
  assert.deepEqual([refused.code, refused.stdout.length], [107, 0], refused.stderr)
  const audit = await json(['credits', 'audit', '--data', b])
  assert.equal(audit['ok'], true)
})

// Goal: a data directory belongs to one mesh, and says so. Method: each command where it may not be.
test('one mesh for a data directory', async () => {
  const [a, b] = [dataDir(), dataDir()]
  const open = await inos(['mesh', 'members', '--data', a])
  assert.deepEqual([open.code, /no private mesh/.test(open.stderr)], [107, true], open.stderr)
  assert.equal((await json(['mesh', '--data', a]))['mesh'], null)
  assert.equal((await inos(['run', wasm.echo, '--data', a], { input: 'x' })).code, 0)
  await json(['mesh', 'create', '--data', a])
  await json(['mesh', 'create', '--data', b])
  const twice = await inos(['mesh', 'create', '--data', a])
  assert.deepEqual([twice.code, /already/.test(twice.stderr)], [100, true], twice.stderr)
  const { stdout } = await inos(['mesh', 'invite', '--route', '/ip4/127.0.0.1/tcp/1', '--data', b])
  const other = await inos(['mesh', 'join', stdout.toString(), '--data', a])
  assert.deepEqual([other.code, /already/.test(other.stderr)], [100, true], other.stderr)
  assert.equal((await inos(['run', wasm.echo, '--data', a], { input: 'x' })).stdout.toString(), 'x')
  assert.equal((await json(['credits', 'audit', '--data', a]))['ok'], true)
  assert.equal((await inos(['mesh', 'join', 'inos:nonsense', '--data', dataDir()])).code, 107)
  await using node = await up()
  const running = await inos(['mesh', 'create', '--data', node.data])
  assert.deepEqual([running.code, /Stop it first/.test(running.stderr)], [100, true], running.stderr)
})

// Goal: history, line and copies of the books are there for people and programs. Method: one paid job, then each command;
// the books go through a file into an empty directory, and no file goes over newer ones.
test('credits history, --explain, frauds, export and import', async () => {
  await using seller = await up()
  const data = dataDir()
  assert.equal((await inos(['run', wasm.echo, '--where', 'remote', '--peer', seller.address, '--data', data], { input: 'paid' })).code, 0)
  const csv = (await inos(['credits', 'history', '--csv', '--data', data])).stdout.toString().trimEnd().split('\r\n')
  assert.equal(csv[0], 'at,direction,peer,amount,kind,order,module,outcome,fuel,receipt,cheque,n')
  assert.match(csv[1]!, new RegExp(`^\\d{4}-.*Z,spent,${seller.id},\\d+,job,`))
  const [line] = (await inos(['credits', 'history', '--json', '--data', seller.data])).stdout.toString().split('\n')
  assert.deepEqual(Object.keys(JSON.parse(line!) as object), csv[0].split(','))
  const { order, amount } = JSON.parse(line!) as Record<string, string>
  assert.equal((await inos(['credits', 'refund', order!, '1cr', '--data', seller.data])).code, 64, 'more than it cost')
  assert.deepEqual(await json(['credits', 'refund', order!, '--data', seller.data]), { order, peer: (JSON.parse(line!) as Record<string, string>)['peer'], amount })
  assert.match((await inos(['credits', 'refund', order!, '--data', seller.data])).stderr, /given back before/)
  assert.match((await inos(['credits', 'history', '--data', data])).stdout.toString(), /Z {2}-.* for job /)
  assert.equal((await inos(['credits', 'history', '--csv', '--json', '--data', data])).code, 64)
  const report = await json(['credits', '--explain', seller.id, '--data', data])
  assert.equal(report['lineMax'], '200000000')
  assert.match((await inos(['credits', '--explain', seller.id, '--data', data])).stdout.toString(), /spendable/)
  assert.equal((await inos(['credits', '--explain', 'nobody', '--data', data])).code, 64)
  assert.match((await inos(['credits', 'frauds', 'ls', '--data', data])).stderr, /No peer/)
  assert.equal((await inos(['credits', 'frauds', 'verify', wasm.echo])).code, 106)

  const [plainFile, whole, other] = [join(root, 'books.inos'), join(root, 'whole.inos'), dataDir()]
  assert.equal((await json(['credits', 'export', plainFile, '--data', data]))['identity'], false)
  assert.equal((await inos(['credits', 'export', plainFile, '--data', data])).code, 64)
  await json(['credits', 'export', whole, '--identity', '--data', data])
  assert.equal(statSync(whole).mode & 0o777, 0o600)
  assert.equal((await inos(['credits', 'import', plainFile, '--data', other])).code, 100, 'the books of somebody else')
  const restored = dataDir()
  await json(['credits', 'import', whole, '--data', restored])
  assert.deepEqual(await json(['credits', 'audit', '--data', restored]), await json(['credits', 'audit', '--data', data]))
  assert.equal((await inos(['run', wasm.echo, '--where', 'remote', '--peer', seller.address, '--data', data], { input: 'more' })).code, 0)
  const { code, stderr } = await inos(['credits', 'import', whole, '--data', data])
  assert.equal(code, 100)
  assert.match(stderr, /newer/)
})

// Goal: a map takes lines, NUL-ended pieces, JSON lines or files and writes results alone, in their order. Method: each of them,
// and what each refuses; the exit code says that some items failed, the others are there.
test('map: pieces, order, failures', async () => {
  const data = ['--data', dataDir()]
  const lines = await inos(['map', wasm.echo, ...data], { input: 'one\ntwo\r\n\nfour' })
  assert.deepEqual([lines.code, lines.stdout.toString()], [0, 'one\ntwo\n\nfour\n'], lines.stderr)
  assert.match(lines.stderr, /^4 done · 0 cr\n$/)
  const pieces = await inos(['map', wasm.echo, '--each', 'null', '-', ...data], { input: 'a\nb\0c\0' })
  assert.equal(pieces.stdout.toString(), 'a\nb\0c\0')
  const files = ['first', 'second'].map(name => { writeFileSync(join(root, name), name); return name })
  assert.equal((await inos(['map', wasm.echo, ...files, '-j', '1', ...data])).stdout.toString(), 'first\nsecond\n')
  const json = await inos(['map', wasm.echo, '--each', 'jsonl', '--json', ...data], { input: '{"a":1}\n\n[2]\n' })
  assert.deepEqual(json.stdout.toString().trim().split('\n').map(line => JSON.parse(line)).map(({ seq, exitCode, result }) => [seq, exitCode, Buffer.from(result, 'base64').toString()]), [[1, 0, '{"a":1}'], [2, 0, '[2]']])
  const bad = await inos(['map', wasm.echo, '--each', 'jsonl', ...data], { input: '{' })
  assert.equal(bad.code, 64)
  assert.match(bad.stderr, /line 1, is not JSON/)
  // The exit code of this guest is the length of its input.
  const some = await inos(['map', wasm.exit, ...data], { input: '\nab\n' })
  assert.equal(some.code, 109)
  const trapped = await inos(['map', wasm.trap, ...data], { input: 'x\n' })
  assert.deepEqual([trapped.code, trapped.stdout.length], [109, 0])
  assert.match(trapped.stderr, /item 1: .*ERR_TRAP/)
  assert.equal((await inos(['map', wasm.echo, join(root, 'nothing'), ...data])).code, 64)
})

// Goal: a log says what became of each item, and a map that goes on from it runs only the rest, on the same inputs. Method: some
// items fail; the same map again with another module of which all are done; other inputs.
test('map: the job log and going on from it', async () => {
  const data = ['--data', dataDir()]
  const log = join(root, 'log.tsv')
  assert.equal((await inos(['map', wasm.exit, '--joblog', log, ...data], { input: '\nab\n\n' })).code, 109)
  const [header, ...rows] = readFileSync(log, 'utf8').trimEnd().split('\n').map(line => line.split('\t'))
  assert.deepEqual(rows.map(row => [row[header!.indexOf('seq')], row[header!.indexOf('exit')]]), [['1', '0'], ['2', '2'], ['3', '0']])
  const again = await inos(['map', wasm.echo, '--resume', log, ...data], { input: '\nab\n\nnew\n' })
  assert.deepEqual([again.code, again.stdout.toString()], [0, 'ab\nnew\n'], again.stderr)
  assert.match(again.stderr, /2 were done before/)
  assert.equal((await inos(['map', wasm.echo, '--resume', log, ...data], { input: 'other\n' })).code, 64)
  assert.equal((await inos(['map', wasm.echo, '--resume', wasm.echo, ...data], { input: '' })).code, 64)
})

// Goal: a budget is hard and clear, what is bought is paid, and a running node of the data directory is used. Method: a node
// that serves, another one that runs and buys there; a budget for some of the items.
test('map: bought elsewhere, within a budget, through a running node', async () => {
  await using seller = await up()
  await using buyer = await up(['--peer', seller.address])
  const there = ['--where', 'remote', '--fuel', '10000000', '--memory', '64MiB', '--data', buyer.data]
  const lines = Array.from({ length: 20 }, (_, at) => `line ${at}`)
  const all = await inos(['map', wasm.echo, ...there], { input: lines.join('\n') })
  assert.deepEqual([all.code, all.stdout.toString()], [0, `${lines.join('\n')}\n`], all.stderr)
  const paid = await json(['credits', '--data', buyer.data]) as { spent: string, owed: string }
  assert.ok(BigInt(paid.spent) + BigInt(paid.owed) > 0n)
  const little = await inos(['map', wasm.echo, '--budget', '1ucr', ...there], { input: 'x\ny\n' })
  assert.equal(little.code, 109)
  assert.match(little.stderr, /ERR_BUDGET/)
  // What would help both is said once.
  assert.equal(little.stderr.match(/hint: .*--fuel/g)?.length, 1, little.stderr)
  const { child, done } = start(['map', wasm.endless, '--fuel', '1000000000000', '--max-cost', '2000cr', '--where', 'local', '--data', buyer.data], { input: 'x\n' })
  await sleep(1_500)
  child.kill('SIGINT')
  assert.equal((await done).code, 130)
})

// Goal: a map that is begun again by name after kill -9 writes every result and pays each input once. Method: kill the process when
// it has written some results and waits for more inputs, twice; then let it end, and count the items of its payments.
test('map: killed and begun again by name', async () => {
  await using seller = await up()
  const data = dataDir()
  const lines = Array.from({ length: 40 }, (_, at) => `line ${at}`)
  const args = ['map', wasm.echo, '--where', 'remote', '--fuel', '10000000', '--memory', '64MiB', '-j', '4', '--resume', 'sweep-42', '--peer', seller.address, '--data', data]
  for (const [given, written] of [[10, 1], [30, 15]] as const) {
    const { child, done } = start(args, { input: 'open' })
    child.stdin!.write(`${lines.slice(0, given).join('\n')}\n`)
    let count = 0
    await Promise.race([done, new Promise<void>(resolve => {
      createInterface(child.stdout!).on('line', () => { if (++count === written) resolve() })
    })])
    child.kill('SIGKILL')
    assert.equal((await done).code, null, 'it was killed in the middle')
  }
  const all = await inos(args, { input: lines.join('\n') })
  assert.deepEqual([all.code, all.stdout.toString()], [0, `${lines.join('\n')}\n`], all.stderr)
  // A node that ends under load may leave the last cheque to its next start.
  for (let tries = 0; tries < 5 && (await json(['credits', '--data', data]))['owed'] !== '0'; tries++) await inos(args, { input: lines.join('\n') })
  const history = (await inos(['credits', 'history', '--json', '--data', data])).stdout.toString().trim().split('\n').map(line => JSON.parse(line) as { direction: string, order: string })
  const paid = history.filter(({ direction }) => direction === 'spent').map(({ order }) => order)
  assert.deepEqual([paid.length, new Set(paid).size], [lines.length, lines.length])
  const other = await inos(args, { input: 'other\n' })
  assert.deepEqual([other.code, other.stdout.length], [109, 0])
  assert.match(other.stderr, /stands for another job/)
})

// Goal: a key is one job, over processes and through a running node. Method: the same run twice, with and without `up`, then another input.
test('run: a key is one job', async () => {
  const data = dataDir()
  const args = ['run', wasm.echo, '--key', 'k', '--data', data]
  const first = await json(args, { input: 'x' })
  assert.equal((await json(args, { input: 'x' }))['receipt'], first['receipt'])
  await using _node = await up([], data)
  assert.equal((await json(args, { input: 'x' }))['receipt'], first['receipt'])
  assert.equal((await inos(args, { input: 'y' })).code, 64)
})

// Goal: prices are set while a node runs and hold at once, and survive it; flags of `up` hold above them and are not kept.
// Method: `price` at a running node, a job bought there, then `price` without the node.
test('price', async () => {
  const data = dataDir()
  {
    await using seller = await up(['--price', 'perKiB=0ucr', '--cpu', '50%'], data)
    const before = await json(['price', '--data', data])
    assert.deepEqual([before['serving'], before['fixed'], before['cpuPercent'], (before['prices'] as Record<string, string>)['perKiB']], [true, ['perKiB'], 50, '0'])
    const after = await json(['price', 'set', 'base=7ucr', 'perMFuel=0ucr', 'perPageSec=0ucr', '--data', data])
    assert.equal((after['prices'] as Record<string, string>)['base'], '7')
    const bought = await json(['run', wasm.echo, '--where', 'remote', '--peer', seller.address, '--data', dataDir()], { input: 'x' })
    assert.deepEqual([bought['cost'], bought['executor']], ['7', seller.id])
    const quote = ['run', wasm.echo, '--quote', '--where', 'remote', '--peer', seller.address, '--data', dataDir()]
    const { chosen, bids } = await json(quote, { input: 'x' }) as { chosen: string, bids: { peer: string, costMax: string }[] }
    assert.deepEqual([chosen, bids.map(({ peer, costMax }) => [peer, costMax])], [seller.id, [[seller.id, '7']]])
    const dear = await inos([...quote, '--max-cost', '6ucr'], { input: 'x' })
    assert.equal(dear.code, 105)
    assert.match(dear.stdout.toString(), /nobody: No node takes this job for 0.000006 cr at these limits; the cheapest of 1 may charge up to 0.000007 cr\.\n$/)
    await json(['price', 'set', `buyers=${seller.id}`, '--data', data])
    const refused = await inos(['run', wasm.echo, '--where', 'remote', '--peer', seller.address, '--data', dataDir()], { input: 'x' })
    assert.equal(refused.code, 104)
    assert.match(refused.stderr, /only for peers that its owner has named/)
    const words = await inos(['price', '--data', data])
    assert.match(words.stdout.toString(), /base +0\.000007 cr +set +for a job\n/)
    assert.match(words.stdout.toString(), /perMB +0\.001 cr +auto/)
  }
  const kept = await json(['price', 'set', 'base=auto', 'buyers=anyone', '--data', data])
  assert.deepEqual([kept['serving'], kept['fixed'], kept['cpuPercent'], kept['buyers']], [false, ['perMFuel', 'perPageSec'], 100, null])
  writeFileSync(join(data, 'settings.json'), '{"prices":{"base":1}}')
  const damaged = await inos(['price', '--data', data])
  assert.equal(damaged.code, 100)
  assert.match(damaged.stderr, /settings\.json cannot be used: The price "base"/)
})

// Goal: jobs given to a running node can be listed, explained and cancelled from elsewhere, and who waits for one is told.
// Method: an endless guest at a running node, cancelled by its number; a job refused for its budget, explained.
test('jobs', async () => {
  await using node = await up()
  const at = ['--data', node.data]
  const endless = start(['run', wasm.endless, '--fuel', '9_000_000_000_000', '--where', 'local', ...at])
  const list = async (): Promise<Record<string, unknown>[]> =>
    (await inos(['jobs', 'ls', '--json', ...at])).stdout.toString().split('\n').filter(line => line !== '').map(line => JSON.parse(line) as Record<string, unknown>)
  let jobs = await list()
  while (jobs[0]?.['state'] !== 'running') jobs = await list()
  const id = jobs[0]!['id'] as string
  assert.deepEqual([jobs[0]!['peer'], jobs[0]!['ended']], [node.id, null])
  assert.deepEqual(await json(['jobs', 'cancel', id, ...at]), { cancelled: id })
  assert.equal((await endless.done).code, 130)
  const shown = await json(['jobs', 'show', id, ...at])
  assert.deepEqual([shown['state'], shown['code'], shown['where']], ['cancelled', 'ERR_CANCELLED', 'local'])
  const refused = await inos(['run', wasm.echo, '--where', 'remote', ...at], { input: 'x' })
  assert.equal(refused.code, 104)
  const [, last] = await list()
  const report = await json(['jobs', 'explain', last!['id'] as string, ...at]) as { state: string, rounds: { chosen: null, reason: string }[] }
  assert.deepEqual([report.state, report.rounds[0]!.chosen], ['failed', null])
  assert.match(report.rounds[0]!.reason, /^No other node that takes work is connected/)
  assert.match((await inos(['jobs', 'explain', last!['id'] as string, ...at])).stdout.toString(), /failed +No other node that takes work is connected.*\n.*chosen: nobody/s)
  for (const words of [['cancel', id], ['show', '99']]) assert.equal((await inos(['jobs', ...words, ...at])).code, 64)
  const nobody = await inos(['jobs', 'ls', '--data', dataDir()])
  assert.deepEqual([nobody.code, nobody.stdout.toString()], [0, ''])
})
