/** The dashboard's page in real Chromium, against nodes of this process. */
import assert from 'node:assert/strict'
import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import type { IncomingMessage } from 'node:http'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { after, before, test } from 'node:test'
import { AxeBuilder } from '@axe-core/playwright'
import type { Browser, Page } from 'playwright-core'
import { buildPage, PAGE_BYTES_MAX } from '../scripts/build-page.ts'
import { readPage } from '../src/node/dashboard-page.ts'
import { type Dashboard, serveDashboard } from '../src/node/dashboard.ts'
import { join, type Node } from '../src/node/join.ts'
import { operatorOf } from '../src/node/operator.ts'
import { launch, skip } from './chromium.ts'
import { echo } from './programs.ts'
import { dropModule } from './tabs.ts'

/** The machine may have much else to do. */
const WAIT_MS = 20_000
/** A line of 200 credits holds twelve jobs of 16 at most. */
const JOBS = 16
const VIEWS = ['Overview', 'Mesh', 'Jobs', 'Credits', 'Receipts', 'Market', 'Actors', 'Blobs', 'Logs', 'Settings']

let root = ''
let browser: Browser
let pageBytes = 0
before(async () => {
  root = await mkdtemp(joinPath(tmpdir(), 'inos-page-'))
  pageBytes = await buildPage(joinPath(root, 'page'))
  if (skip === false) browser = await launch()
})
after(async () => {
  await browser?.close()
  await rm(root, { recursive: true, force: true })
})

interface Served { readonly node: Node, readonly dashboard: Dashboard }

/** A node that listens and serves, with its dashboard; both end with the test. */
async function serve (stack: AsyncDisposableStack, name: string, listens = true, says: object = {}): Promise<Served> {
  const dataDir = joinPath(root, name)
  const node = stack.use(await join({ dataDir, slots: 1, ...(listens ? { listen: ['/ip4/127.0.0.1/tcp/0'], serve: true } : { network: false }) }))
  const dashboard = await serveDashboard({ dataDir, operator: { ...operatorOf(node), ...says }, node, port: 0, page: await readPage(joinPath(root, 'page/')), stop: () => {} })
  stack.defer(() => dashboard.stop())
  return { node, dashboard }
}

/** Open the page; what it asks of others, and what it complains of, is collected. */
async function open (stack: AsyncDisposableStack, url: string, options: Parameters<Browser['newPage']>[0] = {}): Promise<{ page: Page, strays: string[] }> {
  const page = await browser.newPage(options)
  stack.defer(() => page.close())
  page.setDefaultTimeout(WAIT_MS)
  const strays: string[] = []
  const { origin } = new URL(url)
  page.on('request', request => { if (!request.url().startsWith(`${origin}/`) && !request.url().startsWith('blob:')) strays.push(request.url()) })
  page.on('pageerror', error => { strays.push(String(error)) })
  page.on('console', message => { if (message.type() === 'error') strays.push(message.text()) })
  await page.goto(url)
  await page.getByText('live', { exact: true }).waitFor()
  return { page, strays }
}

const show = async (page: Page, view: string): Promise<void> => {
  await page.getByRole('navigation').getByRole('link', { name: view, exact: true }).click()
  await page.getByRole('heading', { level: 1, name: view }).waitFor()
}

// Goal: the page stays small. Method: what a browser loads of it, packed by gzip.
test('the page keeps its budget', t => {
  t.diagnostic(`${pageBytes} bytes of ${PAGE_BYTES_MAX}`)
  assert.ok(pageBytes > 10_000 && pageBytes <= PAGE_BYTES_MAX, `${pageBytes} bytes`)
})

// Goal: a node without peers is of use: every view says what to do next, the token leaves the address, nothing is asked elsewhere.
// Method: open each view of a node without network, then drop a module and see it settled, run again and in the log.
test('useful with zero peers; a dropped file becomes a job', { skip }, async () => {
  await using stack = new AsyncDisposableStack()
  const { dashboard } = await serve(stack, 'alone', false)
  const { page, strays } = await open(stack, dashboard.url)
  assert.ok(!page.url().includes(dashboard.token))
  assert.equal(await page.evaluate('crossOriginIsolated'), true)
  await page.locator('#alone').waitFor()
  for (const view of VIEWS) await show(page, view)
  await show(page, 'Overview')
  await page.getByLabel('Input').fill('<b>said</b>')
  await page.getByLabel('Arguments').fill('options of its own')
  await dropModule(page, echo())
  assert.equal(await page.locator('#outcome pre').first().textContent(), '<b>said</b>')
  await show(page, 'Jobs')
  await page.getByRole('cell', { name: 'settled' }).waitFor()
  await show(page, 'Receipts')
  await page.getByRole('button', { name: /^Run again/ }).click()
  await page.locator('#verdict.good').getByText(/same outcome, bytes and fuel/).waitFor()
  await show(page, 'Logs')
  await page.locator('#log li').first().waitFor()
  assert.deepEqual(strays, [])
})

// Goal: a job is seen from queued to settled while it happens, and every µcr that one node pays another earns.
// Method: three nodes; one buys from the others; the states of its log, then the ledger's amounts as all three pages show them; its receipt verified, then the file with one byte changed.
test('three nodes live: from queued to settled, ledgers sum to zero, receipts green and red', { skip }, async () => {
  await using stack = new AsyncDisposableStack()
  const served = await Promise.all(['one', 'two', 'three'].map(name => serve(stack, name)))
  const [one, ...others] = served
  const pages = await Promise.all(served.map(({ dashboard }) => open(stack, dashboard.url)))
  const { page } = pages[0]!
  // These listen for TCP alone, so there is no link for tabs, and the page says what would make one.
  await page.locator('#tab-page').fill('https://example.org/inos/')
  await page.getByText('No browser can dial this node.').waitFor()
  await show(page, 'Mesh')
  await page.locator('#nobody').waitFor()
  for (const { node } of others) {
    await page.getByLabel('Address of a node').fill(node.addresses()[0]!)
    await page.getByRole('button', { name: 'Connect' }).click()
    await page.locator(`tr[data-key="${node.id}"]`).waitFor()
  }
  await page.locator('svg.graph circle').nth(2).waitFor()
  await show(page, 'Logs')
  // More at once than the seller's line covers, so that the last one waits.
  const results = await Promise.all(Array.from({ length: JOBS }, (_, at) => one!.node.compute(echo(1_000_000), String(at), { where: others[0]!.node.id })))
  const result = results.at(-1)!
  await one!.node.compute(echo(1_000_000), 'x', { where: others[1]!.node.id })
  await one!.node.settle()
  for (const state of ['queued', 'offered', 'sending', 'running', 'verifying', 'settled']) await page.locator('#log li').filter({ hasText: `"job":"${result.job}","role":"buyer","state":"${state}"` }).first().waitFor()
  await show(page, 'Jobs')
  await page.getByRole('button', { name: `Explain job ${result.job}` }).click()
  await page.locator('#report').getByText(result.receiptId).waitFor()
  let sum = 0n
  for (const [at, { page }] of pages.entries()) {
    await show(page, 'Credits')
    await page.locator('tbody [data-amount]').nth([JOBS, JOBS - 1, 0][at]!).waitFor()
    const amounts = await page.locator('tbody [data-amount]').evaluateAll(cells => cells.map(cell => cell.getAttribute('data-amount')))
    assert.equal(await page.locator('#sum').getAttribute('data-amount'), String(amounts.reduce((total, amount) => total + BigInt(amount ?? 0), 0n)))
    sum += amounts.reduce((total, amount) => total + BigInt(amount ?? 0), 0n)
    assert.ok(amounts.length > 0)
  }
  assert.equal(sum, 0n)
  await show(page, 'Receipts')
  await page.getByRole('button', { name: `Verify ${result.receiptId}`, exact: true }).click()
  await page.locator('#verdict.good').getByText('Valid').waitFor()
  const tampered = result.receipt.slice()
  tampered[tampered.length - 10]! ^= 1
  const file = joinPath(root, 'tampered.inos')
  await writeFile(file, tampered)
  await page.locator('#receipt-file').setInputFiles(file)
  await page.locator('#verdict.bad').getByText('Wrong').waitFor()
  assert.match(await page.locator('#field').textContent() ?? '', /^\w+$/)
  for (const { strays } of pages) assert.deepEqual(strays, [])
})

// Goal: every view can be reached, read and used by whoever has no mouse, sees little, or wants it dark.
// Method: Tab and Enter alone from the top of the page to each view; axe on each in both themes.
test('by keyboard alone, and clean by axe in both themes', { skip }, async () => {
  await using stack = new AsyncDisposableStack()
  const [one, two] = await Promise.all(['seen', 'other'].map(name => serve(stack, name)))
  await one!.node.connect(two!.node.addresses()[0]!)
  await one!.node.compute(echo(), 'x', { where: two!.node.id })
  await one!.node.settle()
  for (const colorScheme of ['light', 'dark'] as const) {
    const context = await browser.newContext({ colorScheme, reducedMotion: 'reduce' })
    stack.defer(() => context.close())
    const page = await context.newPage()
    page.setDefaultTimeout(WAIT_MS)
    await page.goto(one!.dashboard.url)
    await page.getByText('live', { exact: true }).waitFor()
    for (const view of VIEWS) {
      const focused = (): Promise<string> => page.evaluate(() => document.activeElement?.textContent ?? '')
      for (let presses = 0; await focused() !== view; presses++) {
        assert.ok(presses < 200, `${view} is not reached by Tab`)
        await page.keyboard.press('Tab')
      }
      await page.keyboard.press('Enter')
      await page.getByRole('heading', { level: 1, name: view }).waitFor()
      if (['Jobs', 'Receipts', 'Credits'].includes(view)) await page.locator('tbody tr').first().waitFor()
      const { violations } = await new AxeBuilder({ page }).analyze()
      assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`), [], `${view}, ${colorScheme}`)
    }
  }
})

// Goal: a cut of the stream loses no event. Method: the sockets of the stream are destroyed, and each new one as well for a while in which jobs run; the numbers in the log have no hole.
test('a stream that is cut comes back without a lost event', { skip }, async () => {
  await using stack = new AsyncDisposableStack()
  const { node, dashboard } = await serve(stack, 'cut', false)
  const streams = new Set<IncomingMessage['socket']>()
  let isCut = false
  const watch = (message: unknown): void => {
    const { request } = message as { request: IncomingMessage }
    if (request.url !== '/api/events') return
    if (isCut) request.socket.destroy()
    else streams.add(request.socket)
  }
  subscribe('http.server.request.start', watch)
  stack.defer(() => { unsubscribe('http.server.request.start', watch) })
  const { page } = await open(stack, dashboard.url)
  await show(page, 'Logs')
  await node.compute(echo(), '0')
  await page.locator('#log li').first().waitFor()
  for (let round = 1; round <= 3; round++) {
    isCut = true
    for (const socket of streams) socket.destroy()
    await page.getByText('not connected', { exact: true }).waitFor()
    for (let job = 0; job < 5; job++) await node.compute(echo(), `${round} ${job}`)
    isCut = false
    await page.getByText('live', { exact: true }).waitFor()
    const { job } = await node.compute(echo(), `${round} last`)
    await page.locator('#log li').filter({ hasText: `"job":"${job}","role":"buyer","state":"settled"` }).waitFor()
  }
  const numbers = (await page.locator('#log li').evaluateAll(rows => rows.map(row => Number(row.getAttribute('data-id')?.split('-')[1])))).reverse()
  assert.ok(numbers.length > 18)
  assert.deepEqual(numbers, numbers.map((_n, at) => numbers[0]! + at))
  assert.equal(await page.locator('#missed').count(), 0)
})

// Goal: words of strangers make no markup and no request, and a large mesh is still shown. Method: 500 peers and 10,000 jobs with hostile words in every field, each view opened, and no element or request that the words ask for.
test('hostile words, 500 peers and 10,000 jobs', { skip }, async () => {
  await using stack = new AsyncDisposableStack()
  const word = '<img src="https://evil.example/x" onerror="document.title=1"><script src="//evil.example"></script>javascript:alert(1)'
  const many = <T>(count: number, make: (at: number) => T): T[] => Array.from({ length: count }, (_, at) => make(at))
  const line = { spendable: 1n, due: 1n, owed: 1n, earned: 1n, spent: 1n }
  const peers = many(500, at => ({ id: `${word}${at}`, addresses: [word], direction: 'in', transport: word, via: null, latencyMs: 1, offer: { slots: 1, idle: 1, fuelPerSec: 1, perMFuel: 1n, profile: word, expires: 1 }, inFlight: 0, history: null, line }))
  const jobs = many(10_000, at => ({ id: `${word}${at}`, module: word, input: word, spec: word, where: word, state: word, peer: word, reason: word, began: 1, ended: 2, tries: 1, outcome: word, fuel: 1n, cost: 1n, receipt: word, code: word }))
  const row = { at: 1, direction: 'earned', peer: word, cheque: word, n: 1, order: word, receipt: word, module: word, outcome: word, fuel: 1n, kind: word, amount: 1n }
  const receipt = { id: word, order: word, module: word, role: word, peer: word, outcome: word, exitCode: null, fuel: 1n, charge: 1n, paid: true, givenUp: false }
  const actor = { name: word, id: word, module: word, state: word, n: 1, queued: 0, home: word, pages: 1, bytes: 1, stopped: false }
  const { dashboard } = await serve(stack, 'hostile', false, {
    peers: async () => peers, jobs: async () => jobs, knownPeers: async () => [{ id: word, addresses: [word], met: 1 }], actor: async () => [actor],
    mesh: async () => ({ net: word, name: word, issuer: word, version: 1, feePpm: 0, offlineMax: 0n }), reachability: async () => ({ status: word, reason: word, next: word, addresses: [word.slice(0, 100)] }),
    async * history () { yield row }, async * receipts () { yield receipt }
  })
  const { page, strays } = await open(stack, dashboard.url)
  const proof: Record<string, string> = { Overview: '#invite', Mesh: 'tbody tr', Jobs: 'tbody tr', Credits: '#sum', Receipts: 'tbody tr', Market: 'tbody tr', Actors: 'tbody tr' }
  for (const [view, place] of Object.entries(proof)) {
    await show(page, view)
    await page.locator(place).first().waitFor()
    assert.equal(await page.locator('img, main script, iframe, a[href^=javascript]').count(), 0, view)
  }
  await show(page, 'Mesh')
  await page.locator('svg.graph circle').nth(500).waitFor()
  assert.deepEqual(strays, [])
})
