/** Chromium for tests: where it is, and how it is started. Tests that need it are skipped by name where there is none. */
import { existsSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { type Browser, chromium } from 'playwright-core'

const PLACES = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome', '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome']
/** A Chromium elsewhere. */
const executablePath = process.env['INOS_CHROMIUM'] ?? PLACES.find(existsSync) ?? ''
export const skip = existsSync(executablePath) ? false : 'no Chromium: `apt-get install chromium`, or name one in INOS_CHROMIUM'
/** The machine may have much else to do. */
export const LAUNCH_MS_MAX = 120_000

export async function launch (...more: string[]): Promise<Browser> {
  // Chromium's own sandbox does not start as root, and what runs here is ours.
  const args = [...(process.getuid?.() === 0 ? ['--no-sandbox'] : []), '--disable-background-networking', ...more]
  return await chromium.launch({ executablePath, args, timeout: LAUNCH_MS_MAX })
}

export interface Site extends AsyncDisposable {
  /** `http://127.0.0.1:PORT/` */
  readonly address: string
}

const TYPES: Readonly<Record<string, string>> = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' }

/** A site on loopback, which browsers take for a secure context. @param files path → content; the usual files of a page get their type */
export async function serveSite (files: Readonly<Record<string, string | Uint8Array>>): Promise<Site> {
  const server = createServer((request, response) => {
    const path = new URL(request.url ?? '/', 'http://site').pathname
    const content = files[path === '/' ? '/index.html' : path]
    if (content === undefined) response.writeHead(404).end()
    else response.setHeader('content-type', TYPES[/\.\w+$/.exec(path === '/' ? '/index.html' : path)?.[0] ?? ''] ?? 'application/octet-stream').end(content)
  })
  await new Promise<void>(resolve => { server.listen(0, '127.0.0.1', resolve) })
  return {
    address: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    async [Symbol.asyncDispose] () {
      server.closeAllConnections()
      await new Promise(resolve => { server.close(resolve) })
    }
  }
}
