/** The static page that `npm run build:tab` builds, in real Chromium: joined by a link, asked, at work, stopped. A plain web server has it, below a folder. */
import assert from 'node:assert/strict'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { after, before, test } from 'node:test'
import { AxeBuilder } from '@axe-core/playwright'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { buildTab, STATIC_BYTES_MAX } from '../scripts/build-tab.ts'
import { createMesh } from '../src/node/create-mesh.ts'
import { join, type Node } from '../src/node/join.ts'
import { tabLink } from '../src/assembly/tab-link.ts'
import { launch, type Site, serveSite, skip } from './chromium.ts'
import { ECHO } from './guests.ts'
import { until } from './suites/network.ts'
import { dropModule, WEBRTC_DIRECT, WEBTRANSPORT } from './tabs.ts'

const TIMEOUT = { skip, timeout: 240_000 }
/** The machine may have much else to do. */
const WAIT_MS = 60_000
const LISTEN = ['/ip4/127.0.0.1/tcp/0/ws', '/ip4/127.0.0.1/tcp/0']

let root = ''
let bytes = 0
let browser: Browser
let site: Site
let address = ''
before(async () => {
  root = await mkdtemp(joinPath(tmpdir(), 'inos-tab-'))
  const folder = joinPath(root, 'page')
  bytes = await buildTab(folder)
  if (skip !== false) return
  const files = await Promise.all((await readdir(folder)).map(async name => [`/some/where/${name}`, await readFile(joinPath(folder, name))] as const))
  site = await serveSite({ ...Object.fromEntries(files), '/frame.html': '<iframe src="/some/where/index.html"></iframe>' })
  address = `${site.address}some/where/index.html`
  // Names that hide addresses are resolved by multicast, which not every machine has.
  browser = await launch('--disable-features=WebRtcHideLocalIpsWithMdns')
})
after(async () => {
  await browser?.close()
  await site?.[Symbol.asyncDispose]()
  await rm(root, { recursive: true, force: true })
})

let count = 0
const startNode = (listen: readonly string[] = LISTEN): Promise<Node> => join({ dataDir: joinPath(root, String(++count)), listen, slots: 1 })

/** Open the page; what it asks of other web servers, and what it complains of, is collected. */
async function open (context: BrowserContext, url: string): Promise<{ page: Page, strays: string[] }> {
  const page = await context.newPage()
  page.setDefaultTimeout(WAIT_MS)
  const strays: string[] = []
  page.on('request', request => { if (!request.url().startsWith(site.address) && !request.url().startsWith('blob:')) strays.push(request.url()) })
  page.on('pageerror', error => { strays.push(String(error)) })
  page.on('console', message => { if (message.type() === 'error') strays.push(message.text()) })
  await page.goto(url)
  return { page, strays }
}

const amount = async (page: Page, place: string): Promise<number> => Number((await page.locator(place).textContent() ?? '').replaceAll(/[^\d.−-]/g, '').replace('−', '-'))

// Goal: what everybody loads stays small. Method: the files of the folder as a web server would send them.
test('the static page keeps its budget', t => {
  t.diagnostic(`${bytes} bytes of ${STATIC_BYTES_MAX}`)
  assert.ok(bytes > 100_000 && bytes <= STATIC_BYTES_MAX, `${bytes} bytes`)
})

// Goal: a link is all it takes: a person reads, says yes, and the tab works, earns, shows it, survives a reload, and stops when told.
// Method: the page below a folder of a plain web server, a node listening for each transport; a Node process buys from the tab; what the page shows against that node's books, before and after a reload.
for (const [transport, listen] of [['ws', LISTEN], ['webtransport', [WEBTRANSPORT]], ['webrtc-direct', [WEBRTC_DIRECT]]] as const) test(`join by link, say yes, earn, reload, stop, over ${transport}`, TIMEOUT, async () => {
  await using context = await browser.newContext()
  await using node = await startNode(listen)
  const { page, strays } = await open(context, tabLink(address, { addresses: node.addresses() }))
  await page.getByRole('heading', { name: 'What happens if you say yes' }).waitFor()
  assert.equal(new URL(page.url()).hash, '')
  assert.equal(await page.getByLabel('Invite or address').inputValue(), node.addresses().find(one => one.includes(`/${transport}/`)))
  assert.equal(node.peers().length, 0)
  await page.getByLabel('Jobs at once').selectOption('1')
  await page.getByRole('button', { name: 'Yes, let this tab work' }).click()
  await page.getByText('live', { exact: true }).waitFor()
  await until(() => node.peers().some(({ offer }) => offer !== null))
  const [{ id: tab } = { id: '' }] = node.peers()
  for (let job = 0; job < 3; job++) assert.equal((await node.compute(ECHO, `job ${job}`, { where: tab })).text(), `job ${job}`)
  await node.settle()
  const paid = -Number(node.credits().balance) / 1e6
  assert.ok(paid > 0)
  await page.waitForFunction(() => document.querySelector('#jobs-done')?.textContent === '3')
  // What is paid is told after what is done.
  await until(async () => await amount(page, '#balance') === paid)
  assert.equal(await amount(page, '#earned'), paid)
  assert.ok(await amount(page, '#fuel-burnt') > 0)
  assert.equal(await page.locator('#connected').textContent(), `to 1 by ${transport}`)
  // The yes holds for this tab over a reload.
  await page.reload()
  await page.waitForFunction(() => document.querySelector('#jobs-done')?.textContent === '3')
  assert.equal(await amount(page, '#balance'), paid)
  await until(() => node.peers().some(({ id, offer }) => id === tab && offer !== null))
  assert.equal((await node.compute(ECHO, 'after', { where: tab })).text(), 'after')
  // It can be a buyer alone, too.
  await page.getByRole('button', { name: 'Take no more work' }).click()
  await page.getByText('buys only').waitFor()
  await assert.rejects(node.compute(ECHO, 'too late', { where: tab, retries: 0 }), { code: 'ERR_NO_OFFER' })
  await page.getByRole('button', { name: 'Stop', exact: true }).click()
  await page.getByRole('button', { name: 'Stop the node' }).click()
  await page.locator('#left').waitFor()
  await until(() => node.peers().length === 0)
  // A stop ends the yes, and keeps what was chosen.
  await page.reload()
  await page.getByRole('button', { name: 'Yes, let this tab work' }).waitFor()
  assert.equal(await page.getByLabel('Jobs at once').inputValue(), '1')
  assert.deepEqual(strays, [])
})

// Goal: whatever keeps a tab out is told with what to do next, and no other site can frame the yes. Method: no invite, words that are none, an address that browsers cannot dial, one where nobody is, a second tab, a frame.
test('refusals say what to do next', TIMEOUT, async () => {
  await using context = await browser.newContext()
  await using node = await startNode()
  const { page } = await open(context, address)
  const refusal = async (text: string): Promise<string> => {
    await page.getByLabel('Invite or address').fill(text)
    await page.getByRole('button', { name: 'Yes, let this tab work' }).click()
    const said = await page.locator('#trouble').textContent() ?? ''
    await page.reload()
    return said
  }
  assert.match(await refusal(''), /no invite or address yet\.Paste one/)
  assert.match(await refusal('hello'), /neither an invite nor an address.*begins with inos:/)
  assert.match(await refusal(node.addresses().find(one => !one.includes('/ws'))!), /No browser can dial this address\.Ask for one with \/ws/)
  const [reached] = node.addresses().filter(one => one.includes('/ws'))
  assert.match(await refusal(reached!.replace(/tcp\/\d+/, 'tcp/9')), /was not reached.*Ask whoever sent the link/)
  const { page: first } = await open(context, tabLink(address, { addresses: [reached!] }))
  await first.getByRole('button', { name: 'Join without working for others' }).click()
  await first.getByText('live', { exact: true }).waitFor()
  assert.match(await refusal(reached!), /in use by another tab\.Close the other tab of this page/)
  const { page: framing } = await open(context, `${site.address}frame.html`)
  await framing.frameLocator('iframe').getByText('Open it in one').waitFor()
  assert.equal(await framing.frameLocator('iframe').getByRole('button').count(), 0)
})

// Goal: a link with an invite makes a tab a member of a private mesh, paid by its members, also after the issuer was away. Method: an issuer of this process; the tab by its invite, one job bought, a reload with the invite still in the field.
test('join a private mesh by invite', TIMEOUT, async () => {
  await using context = await browser.newContext()
  const dataDir = joinPath(root, 'issuer')
  await createMesh({ dataDir, name: 'lab' })
  await using node = await join({ dataDir, listen: LISTEN, slots: 1 })
  const { page } = await open(context, tabLink(address, { invite: await node.invite() }))
  await page.locator('#yes').click()
  await page.getByText('live', { exact: true }).waitFor()
  await until(() => node.peers().some(({ offer }) => offer !== null))
  const [{ id: tab } = { id: '' }] = node.peers()
  assert.equal((await node.compute(ECHO, 'member', { where: tab })).text(), 'member')
  await page.reload()
  await page.waitForFunction(() => document.querySelector('#jobs-done')?.textContent === '1')
  await until(() => node.peers().some(({ id }) => id === tab))
  await page.getByRole('link', { name: 'Mesh', exact: true }).click()
  await page.getByText('A member of the private mesh').getByText('lab').waitFor()
})

// Goal: who has no mouse, sees little or wants it dark can say yes or no. Method: Tab and Enter alone to a yes; axe on the question in both themes and on the page of the tab's node.
test('by keyboard, and clean by axe', TIMEOUT, async () => {
  await using node = await startNode()
  for (const colorScheme of ['light', 'dark'] as const) {
    await using context = await browser.newContext({ colorScheme, reducedMotion: 'reduce' })
    const { page } = await open(context, tabLink(address, { addresses: node.addresses() }))
    const clean = async (): Promise<void> => {
      const { violations } = await new AxeBuilder({ page }).analyze()
      assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`), [], colorScheme)
    }
    await page.locator('#yes').waitFor()
    await clean()
    for (let presses = 0; await page.evaluate(() => document.activeElement?.id) !== 'yes'; presses++) {
      assert.ok(presses < 20, 'the yes is not reached by Tab')
      await page.keyboard.press('Tab')
    }
    await page.keyboard.press('Enter')
    await page.getByText('live', { exact: true }).waitFor()
    await clean()
  }
})

// Goal: two people who opened the page trade with each other, tab to tab, by themselves once they have met: the relay that they met at sees bytes for a moment. Method: two pages at one
// relay; the buyer types the seller's address, and drops a module for it until the page says they are connected by WebRTC, and once more when the relay has gone.
test('two tabs of the page find each other', TIMEOUT, async () => {
  await using relay = await join({ dataDir: joinPath(root, String(++count)), listen: LISTEN, relay: true, serve: false })
  await using selling = await browser.newContext()
  await using buying = await browser.newContext()
  const { page: seller } = await open(selling, tabLink(address, { addresses: relay.addresses() }))
  await seller.getByRole('button', { name: 'Yes, let this tab work' }).click()
  await seller.getByText('live', { exact: true }).waitFor()
  const place = /\/ip4\/\S+\/ws\/p2p\/\S+\/p2p-circuit\S*/
  await seller.getByText(place).first().waitFor()
  const [found = ''] = place.exec(await seller.locator('main').innerText()) ?? []
  const { page: buyer } = await open(buying, tabLink(address, { addresses: relay.addresses() }))
  await buyer.getByRole('button', { name: 'Join without working for others' }).click()
  await buyer.getByText('live', { exact: true }).waitFor()
  await buyer.getByRole('link', { name: 'Mesh', exact: true }).click()
  await buyer.getByLabel(/address/i).fill(found)
  await buyer.getByRole('button', { name: 'Connect' }).click()
  const row = buyer.locator(`tr[data-key="${found.split('/').at(-1)}"]`)
  await row.getByText(/^webrtc, dialled/).waitFor()
  await relay.stop()
  await buyer.getByRole('link', { name: 'Overview', exact: true }).click()
  // Nobody who reads this has a command line.
  assert.doesNotMatch(await buyer.locator('main').innerText(), /inos (up|run)/)
  await buyer.getByLabel('Input').fill('from tab to tab')
  await buyer.getByLabel('Where').selectOption('remote')
  await dropModule(buyer, ECHO)
  assert.equal(await buyer.locator('#outcome pre').first().textContent(), 'from tab to tab')
  await seller.waitForFunction(() => document.querySelector('#jobs-done')?.textContent === '1')
  await until(async () => {
    const earned = await amount(seller, '#balance')
    return earned > 0 && await amount(buyer, '#balance') === -earned
  })
})

// Goal: a tab's node is seen as any other is: every view, jobs of its own, receipts checked and run again, settings kept. Method: a tab that buys from a Node process and drops
// a module of its own; each view opened, with axe; a price and a pause set, and found again after a reload.
test('the dashboard inside a tab', TIMEOUT, async () => {
  await using context = await browser.newContext({ reducedMotion: 'reduce' })
  await using node = await startNode()
  const { page, strays } = await open(context, tabLink(address, { addresses: node.addresses() }))
  await page.getByRole('button', { name: 'Join without working for others' }).click()
  await page.getByText('live', { exact: true }).waitFor()
  await page.getByLabel('Input').fill('<b>said</b>')
  await page.getByLabel('Arguments').fill('options of its own')
  await page.getByLabel('Where').selectOption('remote')
  await dropModule(page, ECHO)
  assert.equal(await page.locator('#outcome pre').first().textContent(), '<b>said</b>')
  const proof: Record<string, string> = {
    Overview: '#balance', Mesh: `tr[data-key="${node.id}"]`, Jobs: 'td .good', Credits: '#sum', Receipts: 'tbody tr', Market: 'tbody tr', Actors: 'main p', Blobs: 'tbody tr', Logs: '#log li', Settings: '[name=perMFuel]'
  }
  for (const [view, place] of Object.entries(proof)) {
    await page.getByRole('navigation').getByRole('link', { name: view, exact: true }).click()
    await page.getByRole('heading', { level: 1, name: view }).waitFor()
    await page.locator(place).first().waitFor()
    const { violations } = await new AxeBuilder({ page }).analyze()
    assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes[0]?.html}`), [], view)
  }
  await page.getByLabel('perMFuel').fill('777')
  await page.getByRole('button', { name: 'Keep' }).click()
  await page.getByText('Kept; it holds from now on.').waitFor()
  await page.getByLabel('Pause while nobody sees this page').check()
  await page.getByRole('link', { name: 'Receipts' }).click()
  await page.getByRole('button', { name: /^Verify/ }).click()
  await page.locator('#verdict.good').getByText(/Signatures, links and the bill/).waitFor()
  await page.getByRole('button', { name: /^Run again/ }).click()
  await page.locator('#verdict.good').getByText(/same outcome, bytes and fuel/).waitFor()
  await page.getByRole('link', { name: 'Settings' }).click()
  await page.reload()
  assert.equal(await page.getByLabel('perMFuel').inputValue(), '777')
  assert.equal(await page.getByLabel('Pause while nobody sees this page').isChecked(), true)
  assert.deepEqual(strays, [])
})

// Goal: a tab that is to rest on battery does, and works on when the machine is plugged in. Method: a battery of the test's own in the page, discharged and charged; who buys sees it.
test('pauses on battery', TIMEOUT, async () => {
  await using context = await browser.newContext()
  await using node = await startNode()
  // As far as the node has heard: who pauses says that its offer has expired.
  const takesWork = (): boolean => node.peers().some(({ offer }) => offer !== null && offer.expires * 1_000 > Date.now())
  await context.addInitScript(() => {
    const battery = Object.assign(new EventTarget(), { charging: true })
    Object.assign(window, { charge (is: boolean) { battery.charging = is; battery.dispatchEvent(new Event('chargingchange')) } })
    Object.defineProperty(navigator, 'getBattery', { value: async () => battery })
  })
  const { page } = await open(context, tabLink(address, { addresses: node.addresses() }))
  assert.equal(await page.getByLabel(/on its battery/).isChecked(), true)
  await page.locator('#yes').click()
  await page.getByText('works for others', { exact: false }).waitFor()
  await until(takesWork)
  const [{ id: tab } = { id: '' }] = node.peers()
  await page.evaluate('charge(false)')
  await page.getByText('paused while on battery').waitFor()
  // Who has not heard of it yet would ask, and be refused.
  await until(() => !takesWork())
  await assert.rejects(node.compute(ECHO, 'now', { where: tab, retries: 0 }), { code: 'ERR_NO_OFFER' })
  await page.evaluate('charge(true)')
  await page.getByText('works for others').waitFor()
  await until(takesWork)
  assert.equal((await node.compute(ECHO, 'then', { where: tab })).text(), 'then')
})
