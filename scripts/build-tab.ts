/**
 * Builds the static page by which a tab joins a mesh: a folder for any web server, with relative addresses and its policy inside. It needs https
 * (or localhost) and no special headers.
 *
 * node scripts/build-tab.ts [FOLDER]
 */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { bundleForBrowser, TAB_BYTES_MAX } from './browser-bundle.ts'
import { buildStyle, PAGE_BYTES_MAX } from './build-page.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
/** What every tab loads, packed: the library with the dashboard around it. */
export const STATIC_BYTES_MAX = TAB_BYTES_MAX + PAGE_BYTES_MAX

/** @returns bytes after gzip that every tab loads */
export async function buildTab (folder: string): Promise<number> {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  const { files, entryBytes } = await bundleForBrowser('ui/tab.ts', 'tab')
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text)
  await buildStyle(join(folder, 'page.css'))
  cpSync(join(root, 'ui', 'tab.html'), join(folder, 'index.html'))
  cpSync(join(root, 'ui', 'icon.svg'), join(folder, 'icon.svg'))
  return ['index.html', 'page.css', 'icon.svg'].reduce((sum, name) => sum + gzipSync(readFileSync(join(folder, name))).length, entryBytes)
}

if (import.meta.main) {
  const folder = resolve(process.argv[2] ?? join(root, 'dist', 'tab'))
  const bytes = await buildTab(folder)
  console.log(JSON.stringify({ ok: bytes <= STATIC_BYTES_MAX, tab: bytes, folder, bytesMax: STATIC_BYTES_MAX }))
  if (bytes > STATIC_BYTES_MAX) process.exitCode = 1
}
