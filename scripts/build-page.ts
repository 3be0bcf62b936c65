/**
 * Builds the dashboard's page into a folder: one script, one style sheet, one document, nothing from elsewhere.
 *
 * node scripts/build-page.ts [FOLDER]
 */
import { cpSync, mkdirSync, readFileSync, rmSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build } from 'esbuild'

const root = fileURLToPath(new URL('..', import.meta.url))
/** What a browser loads, script and style and document together, packed. */
export const PAGE_BYTES_MAX = 80_000

/** @returns bytes after gzip */
export async function buildPage (folder: string): Promise<number> {
  rmSync(folder, { recursive: true, force: true })
  mkdirSync(folder, { recursive: true })
  await build({
    absWorkingDir: root, outdir: folder, entryPoints: { page: 'ui/main.ts', 'page-style': 'ui/page.css' }, bundle: true, format: 'esm', platform: 'browser', target: 'es2024', minify: true, legalComments: 'none'
  })
  for (const name of ['index.html', 'icon.svg']) cpSync(join(root, 'ui', name), join(folder, name))
  cpSync(join(folder, 'page-style.css'), join(folder, 'page.css'))
  rmSync(join(folder, 'page-style.css'))
  return ['index.html', 'page.js', 'page.css', 'icon.svg'].reduce((sum, name) => sum + gzipSync(readFileSync(join(folder, name))).length, 0)
}

if (import.meta.main) {
  const folder = resolve(process.argv[2] ?? join(root, 'dist', 'page'))
  const bytes = await buildPage(folder)
  console.log(JSON.stringify({ ok: bytes <= PAGE_BYTES_MAX, page: bytes, folder, bytesMax: PAGE_BYTES_MAX }))
  if (bytes > PAGE_BYTES_MAX) process.exitCode = 1
}
