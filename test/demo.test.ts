/**
 * The demo from outside: `inos demo` as people and CI start it, small pictures, its JSON checked
 * against the data directories by other processes, and no process left whichever way it ends.
 */
import assert from 'node:assert/strict'
import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { isAbsolute, join } from 'node:path'
import { after, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { rawCid } from '../src/packet/cid.ts'

const ENTRY = fileURLToPath(new URL('../cli/main.ts', import.meta.url))
const TRACER = new URL('../examples/demo/tracer.wasm', import.meta.url)
const SIZE = '160x90'
const TILES = 48
const run = promisify(execFile)

interface Report {
  readonly nodes: readonly { readonly id: string, readonly balance: string, readonly earned: string, readonly spent: string, readonly jobs: number }[]
  readonly jobs: number
  readonly receipts: { readonly verified: number, readonly failed: number }
  readonly sumOfBalances: string
  readonly killed: number
  readonly rerunElsewhere: number
  readonly image: string
  readonly dirs: readonly string[]
}
interface Receipt { readonly id: string, readonly role: 'own' | 'bought' | 'sold', readonly module: string }

const scratch = await mkdtemp(join(tmpdir(), 'inos-demo-test-'))
after(() => rm(scratch, { recursive: true, force: true }))

async function inos (...args: string[]): Promise<string> {
  const { stdout } = await run(process.execPath, [ENTRY, ...args], { timeout: 120_000, maxBuffer: 16 * 1024 * 1024 })
  return stdout
}

const jsonLines = <T>(text: string): T[] => text.trimEnd().split('\n').map(line => JSON.parse(line) as T)

async function runDemo (...args: string[]): Promise<Report> {
  return jsonLines<Report>(await inos('demo', '--size', SIZE, '--json', ...args)).at(-1)!
}

describe('three nodes', () => {
  for (const seed of ['5', '4294967295']) {
    // Goal: the demo does what it says, and what it says is what the books say.
    // Method: run it, hold its JSON against audits and receipts that other processes read from the
    // data directories, and its picture against the one a single node draws.
    test(`seed ${seed}`, async () => {
      const keep = join(scratch, `three-${seed}`)
      const report = await runDemo('--seed', seed, '--keep', keep)
      assert.deepEqual(Object.keys(report), ['nodes', 'jobs', 'receipts', 'sumOfBalances', 'killed', 'rerunElsewhere', 'image', 'dirs'])
      assert.deepEqual([report.sumOfBalances, report.killed, report.receipts.failed], ['0', 1, 0])
      assert.ok(report.rerunElsewhere >= 1)
      assert.equal(report.receipts.verified, report.jobs)
      assert.equal(report.nodes.reduce((sum, { jobs }) => sum + jobs, 0), report.jobs)
      assert.equal(new Set(report.nodes.map(({ id }) => id)).size, 3)
      assert.deepEqual(report.dirs, [1, 2, 3].map(place => join(keep, `node-${place}`)))
      for (const [place, dir] of report.dirs.entries()) await checkNode(report.nodes[place]!, dir)

      const alone = await runDemo('--seed', seed, '--nodes', '1', '--keep', join(scratch, `one-${seed}`))
      assert.deepEqual([alone.killed, alone.rerunElsewhere, alone.sumOfBalances], [0, 0, '0'])
      assert.deepEqual(alone.nodes.map(({ earned, spent, balance }) => [earned, spent, balance]), [['0', '0', '0']])
      assert.ok(alone.jobs >= TILES && alone.receipts.verified === alone.jobs)
      assert.ok((await readFile(report.image)).equals(await readFile(alone.image)))
    })
  }

  // Goal: without --keep the picture stays all the same, under an absolute path.
  // Method: run two nodes without it and read the picture.
  test('the picture stays', async () => {
    const { image, dirs, killed } = await runDemo('--nodes', '2')
    try {
      assert.ok(isAbsolute(image) && (await readFile(image)).length > 1_000)
      assert.equal(killed, 1)
      assert.equal(dirs.length, 2)
    } finally {
      await rm(join(image, '..'), { recursive: true })
    }
  })
})

/** One node of three: its audit, its receipts, and its share of the work. */
async function checkNode ({ id, balance, earned, spent, jobs }: Report['nodes'][number], dir: string): Promise<void> {
  const audit = JSON.parse(await inos('credits', 'audit', '--data', dir, '--json')) as Record<string, unknown>
  assert.deepEqual([audit['ok'], audit['id'], audit['balance'], audit['earned'], audit['spent']], [true, id, balance, earned, spent])
  assert.deepEqual([audit['due'], audit['owed']], ['0', '0'])

  const receipts = jsonLines<Receipt>(await inos('receipts', 'ls', '--data', dir, '--json'))
  assert.equal(receipts.filter(({ role }) => role !== 'bought').length, jobs)
  const verdicts = jsonLines<Record<string, unknown>>(await inos('receipts', 'verify', '--data', dir, '--json', ...receipts.map(({ id }) => id)))
  assert.equal(verdicts.length, receipts.length)

  const tracer = rawCid(await readFile(TRACER)).toString()
  const tiles = (role: Receipt['role']): number => receipts.filter(receipt => receipt.module === tracer && receipt.role === role).length
  assert.ok(tiles('own') + tiles('sold') >= 0.2 * TILES, `${tiles('own') + tiles('sold')} tiles`)
  assert.ok(tiles('sold') >= 1)
  assert.ok(receipts.some(({ role }) => role === 'bought'))
}

/** Every process below this one, with those that nodes started. */
async function descendants (pid: number): Promise<number[]> {
  const { stdout } = await run('ps', ['-A', '-o', 'pid=,ppid='])
  const pairs = stdout.trim().split('\n').map(line => line.trim().split(/\s+/).map(Number) as [number, number])
  const below = (parent: number): number[] => pairs.filter(([, ppid]) => ppid === parent).flatMap(([pid]) => [pid, ...below(pid)])
  return below(pid)
}

const lives = (pid: number): boolean => {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Start a demo that takes a while, and wait until its nodes work. */
async function startDemo (keep: string): Promise<{ child: ChildProcess, pids: number[] }> {
  const child = spawn(process.execPath, [ENTRY, 'demo', '--size', '1920x1080', '--keep', keep], { stdio: ['ignore', 'ignore', 'pipe'] })
  let said = ''
  child.stderr!.setEncoding('utf8').on('data', (text: string) => { said += text })
  while (!/\d+ of \d+ tiles/.test(said)) {
    assert.equal(child.exitCode, null, said)
    await sleep(20)
  }
  const pids = await descendants(child.pid!)
  assert.ok(pids.length >= 3, `${pids.length} processes`)
  return { child, pids }
}

async function ended (child: ChildProcess): Promise<unknown[]> {
  return await new Promise(resolve => { child.once('exit', (...exit) => { resolve(exit) }) })
}

/** None of these runs any more, nor any other on the directory, within five seconds. */
async function nothingLeft (pids: readonly number[], keep: string): Promise<void> {
  let left: number[] = []
  let others = ''
  for (let tries = 0; tries < 50; tries++) {
    left = pids.filter(lives)
    others = (await run('ps', ['-A', '-o', 'args='])).stdout.split('\n').filter(line => line.includes(keep)).join('\n')
    if (left.length === 0 && others === '') return
    await sleep(100)
  }
  assert.fail(`still there: ${left.join(' ')} ${others}`)
}

describe('the end of the demo is the end of its processes', { skip: process.platform === 'win32' ? 'there is no ps' : false }, () => {
  // Goal: Ctrl-C ends everything at once, with the exit code of an interrupt.
  // Method: interrupt a demo at work, then look for each process it had.
  test('SIGINT', async () => {
    const keep = join(scratch, 'interrupted')
    const { child, pids } = await startDemo(keep)
    const exit = ended(child)
    child.kill('SIGINT')
    assert.deepEqual(await exit, [130, null])
    await nothingLeft(pids, keep)
  })

  // Goal: not even a demo that is killed leaves processes behind.
  // Method: SIGKILL to the demo alone, then the same.
  test('SIGKILL', async () => {
    const keep = join(scratch, 'killed')
    const { child, pids } = await startDemo(keep)
    const exit = ended(child)
    child.kill('SIGKILL')
    assert.deepEqual(await exit, [null, 'SIGKILL'])
    await nothingLeft(pids, keep)
  })
})

// Goal: wrong options are told, and nothing is started.
// Method: one out of range, and a directory with the books of another number of nodes.
test('usage errors', async () => {
  await assert.rejects(inos('demo', '--nodes', '9'), { code: 64 })
  const keep = join(scratch, 'alone')
  await runDemo('--nodes', '1', '--keep', keep)
  await assert.rejects(inos('demo', '--keep', keep), { code: 64 })
})
