/** A browser tab is a node: the library's bundle in real Chromium, with processes of Node at the other end of its connections. */
import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { after, before, test } from 'node:test'
import { gzipSync } from 'node:zlib'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { join, type Node } from '../src/index.ts'
import { bundleExecutor, bundleForBrowser, TAB_BYTES_MAX } from '../scripts/browser-bundle.ts'
import { LAUNCH_MS_MAX, launch, type Site, serveSite, skip } from './chromium.ts'
import { ECHO } from './guests.ts'
import { until } from './suites/network.ts'

const PAGE = '<!doctype html><title>tab</title><script type="module">import * as inos from "/inos.js"; window.inos = inos</script>'
const WEBSOCKET = '/ip4/127.0.0.1/tcp/0/ws'
const WEBTRANSPORT = '/ip4/127.0.0.1/udp/0/quic-v1/webtransport'
const TIMEOUT = { skip, timeout: 240_000 }

let browser: Browser
let site: Site
let folder = ''

before(async () => {
  if (skip !== false) return
  folder = await mkdtemp(joinPath(tmpdir(), 'inos-browser-'))
  site = await serveSite({ '/index.html': PAGE, '/inos.js': await bundleForBrowser(), '/executor.js': await bundleExecutor(), '/echo.wasm': ECHO })
  browser = await launch()
})
after(async () => {
  if (skip !== false) return
  await browser.close()
  await site[Symbol.asyncDispose]()
  await rm(folder, { recursive: true, force: true })
})

let count = 0
function startNode (options: Parameters<typeof join>[0] = {}): Promise<Node> {
  return join({ dataDir: joinPath(folder, String(++count)), listen: [WEBSOCKET], slots: 2, ...options })
}

async function openPage (context: BrowserContext): Promise<Page> {
  const page = await context.newPage()
  page.on('console', message => { if (process.env['INOS_DEBUG'] !== undefined) console.error(message.text()) })
  page.on('pageerror', error => { console.error('page error', error) })
  await page.goto(site.address, { timeout: LAUNCH_MS_MAX })
  await page.waitForFunction('window.inos !== undefined', undefined, { timeout: LAUNCH_MS_MAX })
  return page
}

/** Runs in the page, with `inos`, `node` once there is one, and `arg`. */
async function run<T> (page: Page, body: string, arg?: unknown): Promise<T> {
  return await page.evaluate(`(async arg => { const { inos } = window; const { node } = window; ${body} })(${JSON.stringify(arg ?? null)})`) as T
}

async function joinTab (page: Page, options: object = {}): Promise<string> {
  return await run(page, 'window.node = await inos.join({ log: line => console.log(line), ...arg }); return window.node.id', options)
}

const BUY = `
  const wasm = new Uint8Array(await (await fetch('/echo.wasm')).arrayBuffer())
  const result = await node.compute(wasm, 'from the tab', { where: 'remote' })
  await node.settle()
  const { charge, selfExecuted } = await inos.verifyReceipt(result.receipt)
  return { text: result.text(), fuel: String(result.fuel), cost: String(charge), selfExecuted, balance: String(node.credits().balance) }`

// Goal: a tab buys from a process, and works for it once its user has said yes and not before; both books agree and outlive a reload.
// Method: one context of Chromium and one node that listens for it, over each transport; balances of both sides before and after the page is loaded again.
for (const [transport, listen] of [['ws', WEBSOCKET], ['webtransport', WEBTRANSPORT]] as const) test(`a tab buys and sells over ${transport}`, TIMEOUT, async () => {
  await using context = await browser.newContext()
  await using node = await startNode({ listen: [listen] })
  const page = await openPage(context)
  const tab = await joinTab(page, { peers: node.addresses() })
  const bought = await run<{ text: string, fuel: string, cost: string, selfExecuted: boolean, balance: string }>(page, BUY)
  assert.equal(bought.text, 'from the tab')
  assert.equal(bought.selfExecuted, false)
  assert.deepEqual(node.peers().map(peer => peer.transport), [transport])
  assert.equal(BigInt(bought.balance), -BigInt(bought.cost))
  assert.equal(node.credits().balance, BigInt(bought.cost))

  await assert.rejects(node.compute(ECHO, 'too soon', { where: tab }), { code: 'ERR_NO_OFFER' })
  await run(page, 'node.serve(true)')
  await until(() => node.peers().some(({ id, offer }) => id === tab && offer !== null))
  const sold = await node.compute(ECHO, 'from the node', { where: tab })
  const local = await node.compute(ECHO, 'from the node', { where: 'local' })
  assert.equal(sold.text(), 'from the node')
  assert.equal(sold.fuel, local.fuel)
  await node.settle()
  const balance = BigInt(bought.cost) - sold.cost
  assert.equal(node.credits().balance, balance)
  assert.equal(await run(page, 'return String(node.credits().balance)'), String(-balance))

  await page.reload()
  await page.waitForFunction('window.inos !== undefined')
  assert.equal(await joinTab(page, { peers: node.addresses() }), tab)
  assert.equal(await run(page, 'return String(node.credits().balance)'), String(-balance))
  assert.equal(await run(page, 'return (await node.audit()).ok'), true)
  assert.deepEqual(await run(page, 'return node.work()'), { allowed: false, paused: null, serving: false })
})

// Goal: what a page loads stays small. Method: the bundle as a web server would send it.
test('the bundle for tabs is within its budget', async context => {
  const bytes = gzipSync(await bundleForBrowser(), { level: 9 }).length
  context.diagnostic(`${bytes} bytes`)
  assert.ok(bytes <= TAB_BYTES_MAX, `${bytes} bytes`)
})
