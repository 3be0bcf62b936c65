/** WebRTC with real tabs: to a process, straight or after a relay, and from tab to tab. */
import assert from 'node:assert/strict'
import { join as joinPath } from 'node:path'
import { test } from 'node:test'
import { createMesh, type Node } from '../src/index.ts'
import { compileKernel } from '../bench/kernels.ts'
import { skip } from './chromium.ts'
import { ECHO } from './guests.ts'
import { until } from './suites/network.ts'
import { joinTab, openPage, run, Stage, WEBRTC_DIRECT, WEBSOCKET } from './tabs.ts'

const TIMEOUT = { skip, timeout: 240_000 }

// Names that hide addresses are resolved by multicast, which not every machine has.
const stage = new Stage({ flags: ['--disable-features=WebRtcHideLocalIpsWithMdns'] })
const loaded: string[] = []

interface Tab { readonly id: string, run<T> (body: string, arg?: unknown): Promise<T> }

/** A node in a context of its own: another person's browser. */
async function openTab (options: object): Promise<Tab> {
  const context = await stage.browser.newContext()
  context.on('request', request => { loaded.push(new URL(request.url()).pathname) })
  const page = await openPage(context, stage.site)
  return { id: await joinTab(page, options), run: async (body, arg) => await run(page, body, arg) }
}

// Goal: a tab joins a private mesh by its invite over WebRTC alone, and works: outcome, bytes and fuel are Node's, what it earns is booked on both sides, and a large input
// gets through. Method: an issuer that listens for nothing else; the invite is all the tab is given.
test('a tab joins by invite over WebRTC and works', TIMEOUT, async () => {
  const dataDir = joinPath(stage.folder, 'issuer')
  await createMesh({ dataDir, name: 'tabs' })
  await using node = await stage.startNode({ dataDir, listen: [WEBRTC_DIRECT] })
  const tab = await openTab({ mesh: await node.invite({ count: 1 }), serve: true })
  await until(() => node.peers().some(({ id, offer }) => id === tab.id && offer !== null))
  assert.deepEqual(node.peers().map(({ transport }) => transport), ['webrtc-direct'])
  await worksFor(node, tab)
})

// Goal: a tab joins by the link of a node that only a relay leads to, and works for it over WebRTC: outcome, bytes and fuel are Node's, and what it earns is booked on
// both sides. Method: a relay, a node behind it that lets itself be asked for WebRTC, and a tab that is given nothing but its address; jobs while they move, and after.
test('a tab joins a node by WebRTC and works', TIMEOUT, async () => {
  await using relay = await stage.startNode({ listen: [WEBSOCKET], relay: true, serve: false })
  await using node = await stage.startNode({ listen: ['/webrtc'], peers: relay.addresses() })
  await until(() => node.addresses().length > 0)
  const tab = await openTab({ peers: node.addresses().slice(0, 1), serve: true })
  const seen = (): { transport: string, offer: unknown } | undefined => node.peers().find(({ id }) => id === tab.id)
  await until(() => (seen()?.offer ?? null) !== null)
  const echo = async (text: string): Promise<void> => assert.equal((await node.compute(ECHO, text, { where: tab.id })).text(), text)
  for (let jobs = 0; seen()?.transport !== 'webrtc'; jobs++) await echo(`job ${jobs}`)
  await worksFor(node, tab)
  assert.equal(seen()?.transport, 'webrtc')
})

async function worksFor (node: Node, tab: Tab): Promise<void> {
  for (const name of ['fib', 'sha256']) {
    const kernel = await compileKernel(name)
    const [there, here] = [await node.compute(kernel, '', { where: tab.id }), await node.compute(kernel, '', { where: 'local' })]
    assert.deepEqual([there.executor, there.fuel, Buffer.from(there.bytes)], [tab.id, here.fuel, Buffer.from(here.bytes)], name)
  }
  // More than any window lets through at once.
  const input = new Uint8Array(12_000_000).map((_value, i) => i * 7)
  assert.ok(Buffer.from(input).equals((await node.compute(ECHO, input, { where: tab.id })).bytes))
  await node.settle()
  assert.ok(node.credits().spent > 0n)
  assert.equal(await tab.run('return String(node.credits().earned)'), String(node.credits().spent))
}

// Goal: two tabs that only a relay leads to find each other directly, without a server of others, and trade: a job is bought and paid, also after the relay has gone.
// Method: three nodes of which two are tabs; jobs until the connection is WebRTC's, then the relay is stopped.
test('tab to tab through a relay', TIMEOUT, async () => {
  const relay = await stage.startNode({ listen: [WEBSOCKET], relay: true, serve: false })
  try {
    const seller = await openTab({ listen: ['/webrtc'], peers: relay.addresses(), serve: true })
    const addresses = await seller.run<string[]>(`
      while (!node.addresses().some(address => address.includes('/p2p-circuit'))) await new Promise(resolve => { setTimeout(resolve, 20) })
      return node.addresses()`)
    const buyer = await openTab({ peers: addresses })
    const buy = async (text: string): Promise<{ text: string, transport: string }> => await buyer.run(`
      const wasm = new Uint8Array(await (await fetch('/echo.wasm')).arrayBuffer())
      const result = await node.compute(wasm, arg.text, { where: arg.seller })
      return { text: result.text(), transport: node.peers().find(({ id }) => id === arg.seller).transport }`, { text, seller: seller.id })
    let jobs = 0
    await until(async () => {
      const input = `job ${jobs++}`
      const { text, transport } = await buy(input)
      assert.equal(text, input)
      return transport === 'webrtc'
    })
    await relay.stop()
    assert.deepEqual(await buy('without the relay'), { text: 'without the relay', transport: 'webrtc' })
    await buyer.run('await node.settle()')
    const spent = await buyer.run<string>('return String(node.credits().spent)')
    assert.ok(BigInt(spent) > 0n)
    assert.equal(await seller.run('return String(node.credits().earned)'), spent)
    assert.deepEqual([await buyer.run('return (await node.audit()).ok'), await seller.run('return (await node.audit()).ok')], [true, true])
  } finally {
    await relay.stop()
  }
})

// Goal: who needs no WebRTC does not load it. Method: what the pages above asked for, and a tab that joins by WebSocket.
test('WebRTC is loaded by those who need it', TIMEOUT, async () => {
  const isOfWebRtc = (path: string): boolean => path.startsWith('/browser-webrtc-')
  assert.ok(loaded.some(isOfWebRtc))
  loaded.length = 0
  await using node = await stage.startNode({ listen: [WEBSOCKET] })
  await openTab({ peers: node.addresses() })
  assert.ok(loaded.includes('/browser.js') && !loaded.some(isOfWebRtc), loaded.join())
})
