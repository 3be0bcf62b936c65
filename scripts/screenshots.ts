/**
 * Makes the pictures of the dashboard in docs/dashboard/: three nodes of this process with some jobs between them, every view; and the page of a tab that
 * one of them buys from.
 *
 * node scripts/screenshots.ts [FOLDER]
 */
import { mkdirSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as joinPath, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { readPage } from '../src/node/dashboard-page.ts'
import { serveDashboard } from '../src/node/dashboard.ts'
import { join } from '../src/node/join.ts'
import { operatorOf } from '../src/node/operator.ts'
import { tabLink } from '../src/assembly/tab-link.ts'
import { launch, serveSite } from '../test/chromium.ts'
import { echo } from '../test/programs.ts'
import { buildPage } from './build-page.ts'
import { buildTab } from './build-tab.ts'

const folder = resolve(process.argv[2] ?? fileURLToPath(new URL('../docs/dashboard', import.meta.url)))
const VIEWS = ['overview', 'mesh', 'jobs', 'credits', 'receipts', 'market', 'actors', 'blobs', 'logs', 'settings']
/** Small, for they are in the repository. */
const SIZE = { width: 1_080, height: 720 }
const JOBS = 8

const root = await mkdtemp(joinPath(tmpdir(), 'inos-pictures-'))
await using stack = new AsyncDisposableStack()
stack.defer(() => rm(root, { recursive: true, force: true }))
await buildPage(joinPath(root, 'page'))
const nodes = await Promise.all(['a', 'b', 'c'].map(async name => stack.use(await join({ dataDir: joinPath(root, name), listen: ['/ip4/127.0.0.1/tcp/0', '/ip4/127.0.0.1/tcp/0/ws'], serve: true, slots: 1 }))))
const [one, ...others] = nodes
const dashboard = await serveDashboard({ dataDir: joinPath(root, 'a'), operator: operatorOf(one!), node: one!, port: 0, page: await readPage(joinPath(root, 'page/')), stop: () => {} })
stack.defer(() => dashboard.stop())
const browser = await launch()
stack.defer(() => browser.close())
const page = await browser.newPage({ viewport: SIZE, colorScheme: 'light' })
await page.goto(dashboard.url)
await page.getByText('live', { exact: true }).waitFor()
for (const other of others) await one!.connect(other.addresses()[0]!)
for (let job = 0; job < JOBS; job++) {
  await one!.compute(echo(1_000_000 * (1 + job % 3)), `input ${job}`, { where: others[job % 2]!.id })
  await others[job % 2]!.compute(echo(500_000), `order ${job}`, { where: one!.id })
}
await one!.blobs.put(new TextEncoder().encode('a blob'))
await Promise.all(nodes.map(node => node.settle()))
mkdirSync(folder, { recursive: true })
for (const view of VIEWS) {
  await page.goto(`${new URL(dashboard.url).origin}/#/${view}`)
  await page.waitForTimeout(1_500)
  if (view === 'jobs') await page.getByRole('button', { name: 'Explain' }).first().click()
  if (view === 'receipts') {
    await page.getByRole('button', { name: 'Verify' }).first().click()
    await page.locator('#verdict').waitFor()
  }
  await page.screenshot({ path: joinPath(folder, `${view}.png`) })
}
const tab = joinPath(root, 'tab')
await buildTab(tab)
await using site = await serveSite(Object.fromEntries(await Promise.all((await readdir(tab)).map(async name => [`/${name}`, await readFile(joinPath(tab, name))] as const))))
await page.goto(tabLink(site.address, { addresses: one!.addresses() }))
await page.locator('#yes').waitFor()
await page.screenshot({ path: joinPath(folder, 'tab-question.png') })
const known = new Set(one!.peers().map(({ id }) => id))
await page.locator('#yes').click()
const isNew = (): string | undefined => one!.peers().find(({ id, offer }) => !known.has(id) && offer !== null)?.id
while (isNew() === undefined) await page.waitForTimeout(100)
for (let job = 0; job < JOBS; job++) await one!.compute(echo(500_000), `tab ${job}`, { where: isNew()! })
await one!.settle()
await page.waitForTimeout(1_500)
await page.screenshot({ path: joinPath(folder, 'tab-working.png') })
console.log(`${VIEWS.length + 2} pictures in ${folder}`)
