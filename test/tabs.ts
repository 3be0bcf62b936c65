/** Tabs for tests: the library's bundle on a page in real Chromium, as `window.inos`, and the node it makes, as `window.node`. */
import type { BrowserContext, Page } from 'playwright-core'
import { bundleExecutor, bundleForBrowser } from '../scripts/browser-bundle.ts'
import { LAUNCH_MS_MAX, type Site, serveSite } from './chromium.ts'
import { ECHO, ENDLESS } from './guests.ts'

const PAGE = '<!doctype html><title>tab</title><script type="module">import * as inos from "/browser.js"; window.inos = inos</script>'
/** Where a node listens that tabs are to dial. */
export const WEBSOCKET = '/ip4/127.0.0.1/tcp/0/ws'
export const WEBTRANSPORT = '/ip4/127.0.0.1/udp/0/quic-v1/webtransport'

/** A bundle as files of a site, `/NAME.js` and its chunks. @param entry of it, the library by default */
export async function scriptsOf (entry?: string, name?: string): Promise<Record<string, string>> {
  const { files } = await bundleForBrowser(entry, name)
  return Object.fromEntries(Object.entries(files).map(([name, text]) => [`/${name}`, text]))
}

/** A page with the library, its executor as `/executor.js` as well, two guests, and `more`, which may be another `/browser.js`. */
export async function serveTab (more: Readonly<Record<string, string | Uint8Array>> = {}): Promise<Site> {
  return await serveSite({ '/index.html': PAGE, ...await scriptsOf(), '/executor.js': await bundleExecutor(), '/echo.wasm': ECHO, '/endless.wasm': ENDLESS, ...more })
}

export async function openPage (context: BrowserContext, { address }: Site): Promise<Page> {
  const page = await context.newPage()
  page.on('console', message => { if (process.env['INOS_DEBUG'] !== undefined) console.error(message.text()) })
  page.on('pageerror', error => { console.error('page error', error) })
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
