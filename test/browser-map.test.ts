/** One map over a process of Node and a tab in real Chromium: each does its part, and a tab that dies costs retries. */
import assert from 'node:assert/strict'
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join as joinPath } from 'node:path'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { join, type MapItem, type MapOptions, type Node, verifyReceipt } from '../src/index.ts'
import { LAUNCH_MS_MAX, skip } from './chromium.ts'
import { echo } from './programs.ts'
import { until } from './suites/network.ts'
import { joinTab, openPage, run, WEBSOCKET, Stage } from './tabs.ts'

const TIMEOUT = { skip, timeout: 240_000 }
const ITEMS = 200
const MAIN = fileURLToPath(new URL('../cli/main.ts', import.meta.url))
/** The same at all sellers and for all items, whatever their load: neither is dearer. */
const PRICES = { base: 1_000n, perMFuel: 0n, perPageSec: 0n, perKiB: 0n }

const stage = new Stage()

interface Seller extends AsyncDisposable { readonly id: string, readonly addresses: readonly string[], readonly dataDir: string }

/** `inos up` with two slots. */
async function startSeller (dataDir: string): Promise<Seller> {
  const prices = Object.entries(PRICES).flatMap(([name, price]) => ['--price', `${name}=${price}ucr`])
  const child = spawn(process.execPath, [MAIN, 'up', '--json', '--data', dataDir, '--listen', '/ip4/127.0.0.1/tcp/0', '--slots', '2', ...prices], { stdio: ['ignore', 'pipe', 'pipe'] })
  const said = text(child.stderr)
  const ended = once(child, 'exit')
  const [line] = await Promise.race([once(createInterface(child.stdout), 'line') as Promise<[string]>, ended.then(async ([code]) => { throw new Error(`the seller ended with ${code}: ${await said}`) })])
  const { id, addresses } = JSON.parse(line) as Seller
  return {
    id, addresses, dataDir,
    async [Symbol.asyncDispose] () {
      child.kill('SIGTERM')
      await ended
    }
  }
}

async function booksOf ({ dataDir }: Seller): Promise<{ readonly balance: string }> {
  const { stdout } = await promisify(execFile)(process.execPath, [MAIN, 'credits', '--json', '--data', dataDir], { timeout: LAUNCH_MS_MAX })
  return JSON.parse(stdout) as { balance: string }
}

async function startBuyer (name: string, seller: Seller): Promise<Node> {
  return await join({ dataDir: joinPath(stage.folder, name), listen: [WEBSOCKET], serve: false, peers: seller.addresses })
}

async function offersOf (buyer: Node, ids: readonly string[]): Promise<void> {
  await until(() => ids.every(peer => buyer.peers().some(({ id, offer }) => id === peer && offer !== null)))
}

/** All in flight at once: then who gets an item is decided by price and what is ahead of it there, not by who happens to be quicker. */
const ALL_AT_ONCE: MapOptions & { onError?: 'throw' } = { where: 'remote', ordered: false, concurrency: ITEMS, hedge: false, narrow: false, limits: { fuelMax: 400_000n, memoryPagesMax: 1, outputBytesMax: 1_024 } }

/** Every item came once and is right, each has a receipt of its own that verifies, and nothing else was paid. */
async function assertItems (buyer: Node, items: readonly MapItem[]): Promise<void> {
  assert.deepEqual(items.map(({ index }) => index).sort((a, b) => a - b), Array.from({ length: ITEMS }, (_, at) => at))
  for (const item of items) assert.equal(item.text(), `item ${item.index}`)
  const receipts = await Promise.all(items.map(({ receipt }) => verifyReceipt(receipt)))
  assert.equal(new Set(receipts.map(({ id }) => id)).size, ITEMS)
  assert.equal(new Set(receipts.map(({ input }) => input)).size, ITEMS)
  assert.ok(receipts.every(({ selfExecuted, charge }) => !selfExecuted && charge === PRICES.base))
  await buyer.settle()
  const { spent, held, owed } = buyer.credits()
  assert.deepEqual([spent + owed, held], [PRICES.base * BigInt(ITEMS), 0n])
  assert.equal((await buyer.audit()).ok, true)
}

// Goal: a process and a tab each execute half of one map. Method: two sellers with the same slots and prices, all items asked for at once;
// who did how many, every item and receipt looked at, and the books of all three, which together are zero.
test('a Node process and a tab each execute half of one map', TIMEOUT, async context => {
  await using chrome = await stage.browser.newContext()
  await using seller = await startSeller(joinPath(stage.folder, 'half-seller'))
  await using buyer = await startBuyer('half-buyer', seller)
  const page = await openPage(chrome, stage.site)
  const tab = await joinTab(page, { peers: buyer.addresses(), serve: true, slots: 2, prices: PRICES })
  await offersOf(buyer, [seller.id, tab])
  const items = await Array.fromAsync(buyer.map(echo(20_000), Array.from({ length: ITEMS }, (_, at) => `item ${at}`), ALL_AT_ONCE))
  await assertItems(buyer, items)
  const done = (id: string): number => items.filter(({ executor }) => executor === id).length
  context.diagnostic(`the process did ${done(seller.id)}, the tab ${done(tab)}`)
  assert.equal(done(seller.id) + done(tab), ITEMS)
  for (const id of [seller.id, tab]) assert.ok(done(id) >= ITEMS / 3, `${done(seller.id)} and ${done(tab)}`)
  assert.equal(await run(page, 'return node.credits().balance'), PRICES.base * BigInt(done(tab)))
  assert.equal(buyer.credits().spent, PRICES.base * BigInt(ITEMS))
  assert.equal((await booksOf(seller)).balance, String(PRICES.base * BigInt(done(seller.id))))
  assert.equal(await run(page, 'return (await node.audit()).ok'), true)
})

// Goal: a tab that is killed in the middle of a map costs tries, and nothing else; when it is opened again, it has been paid for what it did.
// Method: as above, but the tab's process is crashed when its first item is done and many of its items are not; attempts, items, receipts and
// books, then the same identity in a new page, which meets its buyer again.
test('a tab killed in the middle of a map costs retries', TIMEOUT, async context => {
  await using chrome = await stage.browser.newContext()
  await using seller = await startSeller(joinPath(stage.folder, 'killed-seller'))
  await using buyer = await startBuyer('killed-buyer', seller)
  const page = await openPage(chrome, stage.site)
  const options = { peers: buyer.addresses(), serve: true, slots: 2, prices: PRICES }
  const tab = await joinTab(page, options)
  await offersOf(buyer, [seller.id, tab])
  const devtools = await chrome.newCDPSession(page)
  const crashed = page.waitForEvent('crash', { timeout: LAUNCH_MS_MAX })
  const items: MapItem[] = []
  let isKilled = false
  for await (const item of buyer.map(echo(2_000_000), Array.from({ length: ITEMS }, (_, at) => `item ${at}`), { ...ALL_AT_ONCE, limits: { ...ALL_AT_ONCE.limits, fuelMax: 40_000_000n } })) {
    items.push(item)
    if (item.executor !== tab || isKilled) continue
    isKilled = true
    // It has nobody left to answer.
    devtools.send('Page.crash').catch(() => {})
    await crashed
  }
  await assertItems(buyer, items)
  const done = items.filter(({ executor }) => executor === tab).length
  const lost = items.flatMap(({ attempts }) => attempts)
  context.diagnostic(`the tab did ${done} and lost ${lost.length}`)
  assert.ok(lost.length > 0 && lost.every(({ peer, code }) => peer === tab && ['ERR_PEER_LOST', 'ERR_NOT_REACHABLE'].includes(code)), JSON.stringify(lost.slice(0, 3)))

  const again = await openPage(chrome, stage.site)
  assert.equal(await joinTab(again, options), tab)
  await offersOf(buyer, [tab])
  await until(async () => {
    await buyer.settle()
    return await run(again, 'return node.credits().balance') === PRICES.base * BigInt(done)
  })
  assert.equal(buyer.credits().spent, PRICES.base * BigInt(ITEMS))
  assert.equal(await run(again, 'return (await node.audit()).ok'), true)
})
