/**
 * Builds what is published: dist/ with the whole program bundled (library, command line, executor), the library for
 * browsers and type declarations, then says how large it is. Without Node, the program of a node stays under 5 MB, and what a tab loads, which is not counted there, under 300 KB.
 *
 * node scripts/build.ts [FOLDER]
 */
import { execFileSync } from 'node:child_process'
import { cpSync, globSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build, type BuildOptions } from 'esbuild'
import { bundleExecutor, bundleForBrowser, TAB_BYTES_MAX } from './browser-bundle.ts'
import { buildPage, PAGE_BYTES_MAX } from './build-page.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const dist = resolve(process.argv[2] ?? join(root, 'dist'))
/** Without what only tabs load. */
const BYTES_MAX = 5_000_000
const TAB_EXECUTOR = 'browser-executor.js'

rmSync(dist, { recursive: true, force: true })
const common: BuildOptions = {
  absWorkingDir: root,
  outdir: dist,
  bundle: true,
  format: 'esm',
  platform: 'node',
  target: 'node24',
  minify: true,
  legalComments: 'none',
  // Native: found in node_modules, where npm put the build for this machine, if there is one.
  external: ['classic-level', '@matrixai/quic', 'node-datachannel'],
  // Some dependencies are CommonJS and call require for Node's own modules.
  banner: { js: "import { createRequire as inosRequire } from 'node:module';const require=inosRequire(import.meta.url);" }
}
await build({
  ...common,
  splitting: true,
  entryPoints: { index: 'src/index.ts', testing: 'src/testing/index.ts', cli: 'cli/main.ts', 'node-process': 'examples/demo/node-process.ts', 'webrtc-process': 'src/node/webrtc-process.ts' }
})
// One file by itself, since an executor may read nothing else.
await build({ ...common, entryPoints: { executor: 'src/node/executor.ts' } })
const tab = await bundleForBrowser()
for (const [name, text] of Object.entries(tab.files)) writeFileSync(join(dist, name), text)
writeFileSync(join(dist, TAB_EXECUTOR), await bundleExecutor())
cpSync(join(root, 'examples', 'demo', 'tracer.wasm'), join(dist, 'tracer.wasm'))
const page = await buildPage(join(dist, 'page'))
cpSync(join(root, 'guest'), join(dist, 'guest'), { recursive: true })
mkdirSync(join(dist, 'types'), { recursive: true })
execFileSync(join(root, 'node_modules', '.bin', 'tsc'), ['-p', join(root, 'tsconfig.build.json'), '--outDir', join(dist, 'types')], { stdio: 'inherit' })
for (const file of ['packet.pb.d.ts']) cpSync(join(root, 'src', 'packet', file), join(dist, 'types', 'packet', file))
// Most of what was emitted describes what no program that imports this one sees.
const seen = new Set<string>()
for (const entry of ['index', 'testing/index', 'browser/index']) follow(join(dist, 'types', `${entry}.d.ts`))
for (const file of globSync(join(dist, 'types', '**/*.d.ts'))) if (!seen.has(file)) rmSync(file)

const sum = (files: string[]): number => files.reduce((total, file) => total + statSync(file).size, 0)
const isTabs = (file: string): boolean => dirname(file) === dist && (basename(file) === TAB_EXECUTOR || basename(file) in tab.files)
const own = sum(globSync(join(dist, '**/*')).filter(file => statSync(file).isFile() && !isTabs(file)))
const prebuilds = join(root, 'node_modules', 'classic-level', 'prebuilds')
const native = sum(globSync(join(prebuilds, `${process.platform}-${process.arch}*`, '*.node')))
const ok = own + native <= BYTES_MAX && tab.entryBytes <= TAB_BYTES_MAX && page <= PAGE_BYTES_MAX
console.log(JSON.stringify({ ok, bytes: own + native, dist: own, native, folder: dist, bytesMax: BYTES_MAX, tabGzipped: tab.entryBytes, tabBytesMax: TAB_BYTES_MAX, tabFiles: tab.sizes, pageGzipped: page, pageBytesMax: PAGE_BYTES_MAX }))
if (!ok) process.exitCode = 1

/** A file of declarations, and all that it names. */
function follow (file: string): void {
  if (seen.has(file)) return
  seen.add(file)
  for (const [, path = ''] of readFileSync(file, 'utf8').matchAll(/(?:from |import\()['"](\.[^'"]+)['"]/g)) follow(join(dirname(file), path.replace(/(?:\.d)?\.[jt]s$/, '.d.ts')))
}
