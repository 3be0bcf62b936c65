/** `inos actor` as people use it: real processes, with a node that runs and without one. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { ECHO, TRAP } from './guests.ts'

const MAIN = fileURLToPath(new URL('../cli/main.ts', import.meta.url))
const NOTES = fileURLToPath(new URL('../examples/actor/notes.wasm', import.meta.url))
const root = mkdtempSync(join(tmpdir(), 'inos-cli-actor-'))
const children = new Set<ChildProcess>()
after(() => {
  for (const child of children) child.kill('SIGKILL')
  rmSync(root, { recursive: true, force: true })
})

interface Done { code: number | null, stdout: string, stderr: string }

function start (args: readonly string[], input = ''): { child: ChildProcess, done: Promise<Done> } {
  const child = spawn(process.execPath, [MAIN, ...args], { cwd: root, stdio: ['pipe', 'pipe', 'pipe'], timeout: 120_000, killSignal: 'SIGKILL' })
  children.add(child)
  child.stdin.on('error', () => {})
  child.stdin.end(input)
  const [out, err]: [Buffer[], Buffer[]] = [[], []]
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk))
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk))
  const done = once(child, 'close').then(([code]) => {
    children.delete(child)
    return { code: code as number | null, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() }
  })
  return { child, done }
}

async function actor (data: string, args: readonly string[], input = ''): Promise<Done> { return await start(['actor', ...args, '--data', data], input).done }

async function json (data: string, args: readonly string[], input = ''): Promise<Record<string, unknown>> {
  const { code, stdout, stderr } = await actor(data, [...args, '--json'], input)
  assert.equal(code, 0, stderr)
  return JSON.parse(stdout) as Record<string, unknown>
}

/** All that can be done with one actor; the node may run or not. */
async function live (data: string, name: string): Promise<void> {
  const spawned = await json(data, ['spawn', name, NOTES, '--fuel', '10_000_000', '--where', 'local'])
  assert.deepEqual([spawned['name'], spawned['n'], spawned['state'], spawned['stopped']], [name, 0, null, false])
  const put = await actor(data, ['call', name], 'put a one')
  assert.deepEqual([put.code, put.stdout], [0, '1 puts, 1 notes'], put.stderr)
  assert.match(put.stderr, /message 1 · fuel [\d,]+ · cost .+ · ran here/)
  const named = await json(data, ['call', name, '--id', 'x'], 'put b two')
  const again = await json(data, ['call', name, '--id', 'x'], 'put b two')
  assert.deepEqual([Buffer.from(named['result'] as string, 'base64').toString(), named['repeated'], named['n']], ['2 puts, 2 notes', false, 2])
  assert.deepEqual([again['repeated'], again['receipt'], typeof again['fuel']], [true, named['receipt'], 'string'])
  const kept = await json(data, ['snapshot', name])
  assert.deepEqual([kept['n'], kept['state']], [2, named['state']])
  const file = join(root, `${name}.chain`)
  const verified = await json(data, ['verify', name, '--save', file])
  assert.deepEqual([verified['ok'], verified['messages'], verified['state']], [true, 2, named['state']])
  const offline = await start(['actor', 'verify', file, '--file']).done
  assert.match(offline.stdout, /good +2 messages/, offline.stderr)
  const listed = await actor(data, ['ls'])
  assert.match(listed.stdout, new RegExp(`${name} +2 +0`))
  assert.match((await actor(data, ['stop', name])).stderr, /is stopped/)
  assert.equal((await actor(data, ['call', name], 'list')).code, 64)
  assert.equal((await json(data, ['spawn', name, NOTES, '--where', 'local']))['n'], 2)
  assert.equal((await actor(data, ['call', name], 'list')).stdout, 'a b')
  assert.deepEqual(await json(data, ['stop', name, '--forget']), { stopped: name, forgotten: true })
  assert.deepEqual((await actor(data, ['ls', '--json'])).stdout, '')
}

/** An actor and a map whose modules are named by their CIDs. */
async function liveByName (data: string): Promise<void> {
  writeFileSync(join(root, 'echo.wasm'), ECHO)
  const cids = await Promise.all([NOTES, join(root, 'echo.wasm')].map(async file => {
    const { code, stdout, stderr } = await start(['blob', 'put', file, '--json', '--data', data]).done
    assert.equal(code, 0, stderr)
    return (JSON.parse(stdout) as { cid: string }).cid
  }))
  const [notes, echo] = cids as [string, string]
  assert.equal((await json(data, ['spawn', 'named', notes, '--where', 'local']))['module'], notes)
  assert.equal((await actor(data, ['call', 'named'], 'put a one')).stdout, '1 puts, 1 notes')
  assert.equal((await actor(data, ['call', 'named'], 'put b two')).stdout, '2 puts, 2 notes')
  const mapped = await start(['map', echo, '--where', 'local', '--data', data], 'one\ntwo\n').done
  assert.deepEqual([mapped.code, mapped.stdout], [0, 'one\ntwo\n'], mapped.stderr)
}

// Goal: actors work from the command line, each command a process of its own. Method: all commands, with no node that runs; modules by file and by CID.
test('actors without a running node', async () => {
  await live(join(root, 'alone'), 'alone')
  await liveByName(join(root, 'alone'))
})

// Goal: the same through the socket of a node that runs, and what its guest or its words are wrong with is told.
// Method: all commands beside `inos up`; a guest that traps, peers that are none, files that are no history.
test('actors of a running node', async () => {
  const data = join(root, 'running')
  const { child, done } = start(['up', '--json', '--data', data])
  const [line] = await once(createInterface(child.stdout!), 'line') as [string]
  const { id } = JSON.parse(line) as { id: string }
  await live(data, 'served')
  await liveByName(data)
  writeFileSync(join(root, 'trap.wasm'), TRAP)
  assert.equal((await actor(data, ['spawn', 'trap', join(root, 'trap.wasm')])).code, 0)
  const trapped = await actor(data, ['call', 'trap', '--json'], 'x')
  assert.match(trapped.stdout, /"ERR_TRAP"/)
  assert.match((await actor(data, ['migrate', 'trap', id])).stderr, /runs at/)
  assert.equal((JSON.parse((await actor(data, ['migrate', 'trap', '12D3KooWRXEuTRHZ4nWsq4sS6YxG1odNjU2c6JbbxcbERa49c2JH', '--json'])).stdout) as { code: string }).code, 'ERR_NOT_REACHABLE')
  assert.equal((await actor(data, ['call', 'nobody'], '')).code, 64)
  assert.equal((await actor(data, ['spawn', 'trap', NOTES])).code, 64)
  child.kill('SIGTERM')
  await done
  const wrong = await start(['actor', 'verify', join(root, 'trap.wasm'), '--file', '--json']).done
  assert.equal((JSON.parse(wrong.stdout) as { code: string }).code, 'ERR_RECEIPT_INVALID')
  assert.notEqual(readFileSync(join(root, 'alone.chain')).length, 0)
})

// Goal: every command explains itself with examples. Method: ask each for help.
test('--help of every command of actors has examples', async () => {
  for (const command of ['', 'spawn', 'call', 'ls', 'snapshot', 'migrate', 'stop', 'verify']) {
    const { code, stdout } = await start(['actor', ...(command === '' ? [] : [command]), '--help']).done
    assert.equal(code, 0, command)
    assert.match(stdout, /Examples:\n {2}# .+\n {2}.*inos /, command)
  }
})
