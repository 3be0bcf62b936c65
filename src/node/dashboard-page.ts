/** The files of the dashboard's page and the headers they go out with. They are built by `scripts/build-page.ts`. */
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import { InosError } from '../packet/errors.ts'

export interface PageFile { readonly type: string, readonly bytes: Uint8Array }

/** By path. */
export type Page = ReadonlyMap<string, PageFile>

const FILES = [
  ['/', 'index.html', 'text/html; charset=utf-8'],
  ['/page.js', 'page.js', 'text/javascript; charset=utf-8'],
  ['/page.css', 'page.css', 'text/css; charset=utf-8'],
  ['/icon.svg', 'icon.svg', 'image/svg+xml']
] as const

/** Beside the program where it is built, in `dist` of a checkout. */
const PLACES = ['./page/', '../../dist/page/'].map(place => fileURLToPath(new URL(place, import.meta.url)))

/** Nothing from elsewhere, no frame around it, no script but its own. COOP and COEP keep other sites' windows and bytes out of its process. */
export const PAGE_HEADERS: Readonly<Record<string, string>> = {
  'content-security-policy': "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-embedder-policy': 'require-corp',
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store'
}

/** @throws {InosError} ERR_DATA_DIR when it was not built */
export async function readPage (folder = PLACES.find(place => existsSync(`${place}index.html`))): Promise<Page> {
  try {
    if (folder === undefined) throw new Error('it was not built')
    return new Map(await Promise.all(FILES.map(async ([path, name, type]) => [path, { type, bytes: await readFile(`${folder}${name}`) }] as const)))
  } catch (cause) {
    throw new InosError('ERR_DATA_DIR', 'The page of the dashboard is not here.', { cause, hint: 'Build it with `npm run build:page`.' })
  }
}
