/** What people watch in the dashboard, with nodes in processes of their own: the demo, and an executor that is killed. */
import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { createInterface } from 'node:readline/promises'
import { after, before, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Browser, Page } from 'playwright-core'
import { buildPage } from '../scripts/build-page.ts'
import { readPage } from '../src/node/dashboard-page.ts'
import { serveDashboard } from '../src/node/dashboard.ts'
import { join } from '../src/node/join.ts'
import { operatorOf } from '../src/node/operator.ts'
import { launch, skip } from './chromium.ts'
import { ENDLESS } from './guests.ts'
import { until } from './suites/network.ts'

const TIMEOUT = { skip, timeout: 240_000 }
/** The machine may have much else to do. */
const WAIT_MS = 60_000
const ENTRY = fileURLToPath(new URL('../cli/main.ts', import.meta.url))
const BUILT = fileURLToPath(new URL('../dist/page/', import.meta.url))

let root = ''
let browser: Browser
before(async () => {
  root = await mkdtemp(joinPath(tmpdir(), 'inos-watch-'))
  // Set-up builds it; who runs this file alone may have none.
  if (!existsSync(`${BUILT}index.html`)) await buildPage(BUILT)
  if (skip === false) browser = await launch()
})
after(async () => {
  await browser?.close()
  await rm(root, { recursive: true, force: true })
})

/** A process with those it starts, ended with the test. */
function start (stack: AsyncDisposableStack, ...args: string[]): ChildProcess {
  const child = spawn(process.execPath, [ENTRY, ...args], { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  stack.defer(() => { kill(child) })
  return child
}

function kill ({ pid, exitCode, signalCode }: ChildProcess): void {
  if (pid !== undefined && exitCode === null && signalCode === null) process.kill(-pid, 'SIGKILL')
}

async function open (stack: AsyncDisposableStack, url: string): Promise<Page> {
  const page = await browser.newPage()
  stack.defer(() => page.close())
  page.setDefaultTimeout(WAIT_MS)
  await page.goto(url)
  await page.getByText('live', { exact: true }).waitFor()
  return page
}

// Goal: who starts the demo with --ui watches its jobs live, sees books that agree when it is over, and ends it when they like.
// Method: the command; its link opened while it plays; every state of one job in the log, the ledger's sum against the balance of the report, then an interrupt.
test('inos demo --ui', TIMEOUT, async () => {
  await using stack = new AsyncDisposableStack()
  const child = start(stack, 'demo', '--ui', '0', '--size', '640x360', '--json', '--keep', joinPath(root, 'demo'))
  const exited = once(child, 'exit')
  const reported = once(createInterface(child.stdout!), 'line')
  let url: string | undefined
  for await (const line of createInterface(child.stderr!)) if ((url = /^Dashboard of node-1: (\S+)$/.exec(line)?.[1]) !== undefined) break
  assert.ok(url !== undefined, 'no link was printed')
  // What it says further is read, so that it can go on.
  child.stderr!.resume()
  const page = await open(stack, url)
  await page.getByRole('link', { name: 'Logs' }).click()
  // None has to wait here, so that none is queued.
  const states = ['offered', 'sending', 'running', 'verifying', 'settled']
  const bought = page.locator('#log li').filter({ hasText: '"role":"buyer","state":"verifying"' }).last()
  const job = /"job":"([^"]+)"/.exec(await bought.textContent() ?? '')?.[1]
  // Those before it may have been earlier than the page.
  for (const state of states.slice(-2)) await page.locator('#log li').filter({ hasText: `"job":"${job}","role":"buyer","state":"${state}"` }).first().waitFor()
  const { sumOfBalances, nodes } = JSON.parse(String(await reported)) as { sumOfBalances: string, nodes: { balance: string }[] }
  assert.equal(sumOfBalances, '0')
  await page.getByRole('link', { name: 'Jobs', exact: true }).click()
  await page.getByRole('button', { name: `Explain job ${job}`, exact: true }).click()
  for (const state of states) await page.locator('#report table').first().getByRole('cell', { name: state, exact: true }).first().waitFor()
  await page.getByRole('link', { name: 'Credits' }).click()
  await page.locator(`#sum[data-amount="${nodes[0]!.balance}"]`).waitFor()
  child.kill('SIGINT')
  assert.deepEqual(await exited, [0, null])
})

// Goal: a killed executor is seen as a retry with its cause. Method: two sellers in processes of their own, the one that costs nothing killed in the middle of the job it won; the job's row and its report in the page.
test('a killed executor is a retry with its cause', TIMEOUT, async () => {
  await using stack = new AsyncDisposableStack()
  const up = async (name: string, ...args: string[]): Promise<{ child: ChildProcess, id: string, address: string }> => {
    const child = start(stack, 'up', '--json', '--slots', '1', '--data', joinPath(root, name), ...args)
    const [line] = await once(createInterface(child.stdout!), 'line') as [string]
    child.stdout!.resume()
    child.stderr!.resume()
    const { id, addresses } = JSON.parse(line) as { id: string, addresses: [string] }
    return { child, id, address: addresses[0] }
  }
  const cheap = await up('cheap', ...['base', 'perMFuel', 'perPageSec', 'perKiB'].flatMap(name => ['--price', `${name}=0ucr`]))
  const other = await up('other')
  const dataDir = joinPath(root, 'buyer')
  const node = stack.use(await join({ dataDir, listen: ['/ip4/127.0.0.1/tcp/0'], serve: false, slots: 1, peers: [cheap.address, other.address] }))
  const dashboard = await serveDashboard({ dataDir, operator: operatorOf(node), node, port: 0, page: await readPage(BUILT), stop: () => {} })
  stack.defer(() => dashboard.stop())
  await until(() => node.peers().every(({ offer }) => offer !== null))
  const page = await open(stack, dashboard.url)
  await page.getByRole('link', { name: 'Jobs', exact: true }).click()
  const running = new Promise<void>(resolve => { node.on('job:state', ({ state, peer }) => { if (state === 'running' && peer === cheap.id) resolve() }) })
  const job = node.run(ENDLESS, '', { where: 'remote', limits: { fuelMax: 6_000_000_000n } })
  await running
  await page.getByRole('cell', { name: 'running' }).waitFor()
  kill(cheap.child)
  const result = await job
  assert.deepEqual([result.executor, result.attempts.map(({ peer }) => peer)], [other.id, [cheap.id]])
  const row = page.locator(`tr[data-key="${result.job}"]`)
  await row.getByText('settled').waitFor()
  assert.equal(await row.locator('td').nth(4).textContent(), '2')
  await page.getByRole('button', { name: `Explain job ${result.job}`, exact: true }).click()
  const attempts = page.getByRole('table').filter({ hasText: 'Tries that failed' }).locator('tbody tr')
  const [attempt] = result.attempts
  await attempts.first().waitFor()
  assert.equal(await attempts.count(), 1)
  assert.equal(await attempts.locator('.id').getAttribute('title'), cheap.id)
  await attempts.getByText(attempt!.code, { exact: true }).waitFor()
  await attempts.getByText(attempt!.message, { exact: true }).waitFor()
  await page.locator('#report').getByText(result.receiptId).waitFor()
})
