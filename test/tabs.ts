/** Tabs for tests: the library's bundle on a page in real Chromium, as `window.inos`, and the node it makes, as `window.node`. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { after, before } from 'node:test'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import { bundleExecutor, bundleForBrowser } from '../scripts/browser-bundle.ts'
import { join, type Node } from '../src/index.ts'
import { LAUNCH_MS_MAX, launch, type Site, serveSite, skip } from './chromium.ts'
import { ECHO, ENDLESS } from './guests.ts'

const PAGE = '<!doctype html><title>tab</title><script type="module">import * as inos from "/browser.js"; window.inos = inos</script>'
/** Where a node listens that tabs are to dial. */
export const WEBSOCKET = '/ip4/127.0.0.1/tcp/0/ws'
export const WEBTRANSPORT = '/ip4/127.0.0.1/udp/0/quic-v1/webtransport'
export const WEBRTC_DIRECT = '/ip4/127.0.0.1/udp/0/webrtc-direct'

/** A bundle as files of a site, `/NAME.js` and its chunks. @param entry of it, the library by default */
export async function scriptsOf (entry?: string, name?: string): Promise<Record<string, string>> {
  const { files } = await bundleForBrowser(entry, name)
  return Object.fromEntries(Object.entries(files).map(([name, text]) => [`/${name}`, text]))
}

/** A page with the library, its executor as `/executor.js` as well, two guests, and `more`, which may be another `/browser.js`. */
export async function serveTab (more: Readonly<Record<string, string | Uint8Array>> = {}): Promise<Site> {
  return await serveSite({ '/index.html': PAGE, ...await scriptsOf(), '/executor.js': await bundleExecutor(), '/echo.wasm': ECHO, '/endless.wasm': ENDLESS, ...more })
}

/** What the tests of a file share: a browser, a site with the library, and a folder for what nodes keep. */
export class Stage {
  browser!: Browser
  site!: Site
  folder = ''
  #nodes = 0

  /**
   * Made before the first test, gone after the last; nothing without a Chromium.
   * @param files more of the site
   * @param flags of the browser
   */
  constructor ({ files = async () => ({}), flags = [] }: { files?: () => Promise<Readonly<Record<string, string>>>, flags?: readonly string[] } = {}) {
    if (skip !== false) return
    before(async () => {
      this.folder = await mkdtemp(joinPath(tmpdir(), 'inos-tabs-'))
      this.site = await serveTab(await files())
      this.browser = await launch(...flags)
    })
    after(async () => {
      await this.browser.close()
      await this.site[Symbol.asyncDispose]()
      await rm(this.folder, { recursive: true, force: true, maxRetries: 5 })
    })
  }

  async startNode (options: Parameters<typeof join>[0]): Promise<Node> {
    return await join({ dataDir: joinPath(this.folder, String(++this.#nodes)), slots: 2, ...options })
  }
}

export async function openPage (context: BrowserContext, { address }: Site): Promise<Page> {
  const page = await context.newPage()
  page.on('console', message => { if (process.env['INOS_DEBUG'] !== undefined) console.error(message.text()) })
  page.on('pageerror', error => { console.error('page error', error) })
  page.on('crash', () => { console.error('the page has crashed') })
  await page.goto(address, { timeout: LAUNCH_MS_MAX })
  await page.waitForFunction('window.inos !== undefined', undefined, { timeout: LAUNCH_MS_MAX })
  return page
}

/** Runs in the page, with `inos`, `node` once there is one, and `arg`. What goes in and comes out may have bigints and bytes. */
export async function run<T> (page: Page, body: string, arg?: unknown): Promise<T> {
  return await page.evaluate(async ([body, arg]) => {
    const { inos, node } = globalThis as unknown as Record<string, unknown>
    const AsyncFunction = (async () => {}).constructor as new (...words: string[]) => (...values: unknown[]) => Promise<unknown>
    return await new AsyncFunction('inos', 'node', 'arg', body)(inos, node, arg)
  }, [body, arg] as const) as T
}

/** @returns its PeerId */
export async function joinTab (page: Page, options: object = {}): Promise<string> {
  return await run(page, 'window.node = await inos.join({ log: line => console.log(line), ...arg }); return window.node.id', options)
}

/** As a person does who drops a file on the page of a node. */
export async function dropModule (page: Page, wasm: Uint8Array): Promise<void> {
  const dataTransfer = await page.evaluateHandle(bytes => {
    const data = new DataTransfer()
    data.items.add(new File([new Uint8Array(bytes)], 'dropped.wasm'))
    return data
  }, [...wasm])
  await page.dispatchEvent('#drop', 'drop', { dataTransfer })
}
