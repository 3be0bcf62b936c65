/**
 * Builds the dashboard's page into a folder: one script, one style sheet, one document, nothing from elsewhere.
 *
 * node scripts/build-page.ts [FOLDER]
 */
import { cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build, type BuildOptions } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
/** What a browser loads, script and style and document together, packed. */
export const PAGE_BYTES_MAX = 80_000

const COMMON = { absWorkingDir: root, bundle: true, format: 'esm', platform: 'browser', target: 'es2024', minify: true, legalComments: 'none' } satisfies BuildOptions

/** The style sheet, which the page of a tab has as well. */
export async function buildStyle (outfile: string): Promise<void> {
  await build({ ...COMMON, outfile, entryPoints: ['ui/page.css'] })
}

/** @returns bytes after gzip */
export async function buildPage (folder: string): Promise<number> {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  await build({ ...COMMON, outfile: join(folder, 'page.js'), entryPoints: ['ui/main.ts'] })
  await buildStyle(join(folder, 'page.css'))
  for (const name of ['index.html', 'icon.svg']) cpSync(join(root, 'ui', name), join(folder, name))
  return ['index.html', 'page.js', 'page.css', 'icon.svg'].reduce((sum, name) => sum + gzipSync(readFileSync(join(folder, name))).length, 0)
}

if (import.meta.main) {
  const folder = resolve(process.argv[2] ?? join(root, 'dist', 'page'))
  const bytes = await buildPage(folder)
  console.log(JSON.stringify({ ok: bytes <= PAGE_BYTES_MAX, page: bytes, folder, bytesMax: PAGE_BYTES_MAX }))
  if (bytes > PAGE_BYTES_MAX) process.exitCode = 1
}
