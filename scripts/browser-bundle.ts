/**
 * Bundles for browsers: the library with the program of its executors inside it as text, and beside it what it loads on demand. Who writes
 * them where is left to who calls.
 */
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'
import { build, type BuildOptions, type Plugin } from 'esbuild'
import '../src/packet/limits.ts'

/** What every tab loads, gzipped: the entry with all it imports statically. */
export const TAB_BYTES_MAX = 300_000

const root = fileURLToPath(new URL('..', import.meta.url))
const COMMON = { absWorkingDir: root, bundle: true, format: 'esm', platform: 'browser', target: 'es2024', minify: true, legalComments: 'none', write: false } satisfies BuildOptions

/** The program of an executor. */
export async function bundleExecutor (): Promise<string> {
  return await bundle({ entryPoints: ['src/browser/executor.ts'], plugins: [withoutRelations] })
}

/**
 * What no tab needs: keys of other kinds than ours, Ed25519, so that whoever has one is refused in the handshake; and relaying, which
 * takes somebody who can be dialled.
 */
const UNUSED = /@libp2p\/(crypto\/dist\/src\/keys\/(rsa|secp256k1|ecdsa)\/(utils|index|index\.browser)|circuit-relay-v2\/dist\/src\/server\/index)\.js$/

const withoutUnused: Plugin = {
  name: 'what no tab needs',
  setup ({ onLoad }) {
    // A base that no address is written in, a table.
    onLoad({ filter: /multiformats\/dist\/src\/bases\/base256emoji\.js$/ }, () => ({ contents: "export { base64url as base256emoji } from './base64.js'", loader: 'js' }))
    // It would ask servers of others over HTTPS; tabs are given addresses that need no look-up.
    onLoad({ filter: /@multiformats\/dns\/dist\/src\/resolvers\/default(\.browser)?\.js$/ }, () => ({ contents: 'export const defaultResolver = () => []', loader: 'js' }))
    onLoad({ filter: UNUSED }, async ({ path }) => {
      const names = (await readFile(path, 'utf8')).matchAll(/export (?:async )?(?:function|const|class) (\w+)/g)
      return { contents: ["const refuse = () => { throw new Error('No tab does this.') }", ...Array.from(names, ([, name]) => `export const ${name} = refuse`), 'export { refuse as publicKeyLength, refuse as privateKeyLength }'].join('\n') }
    })
  }
}

/** Limits are constants: that they fit each other was checked when this script loaded them. */
const withoutRelations: Plugin = {
  name: 'limits without their relations',
  setup ({ onLoad }) {
    onLoad({ filter: /src\/packet\/limits\.ts$/ }, async ({ path }) => ({ contents: (await readFile(path, 'utf8')).replaceAll(/^relate\(.*\)$/gm, ''), loader: 'ts' }))
  }
}

export interface Bundle {
  /** Name of the script to load, `NAME.js`. */
  readonly entry: string
  /** Scripts by name, all of one folder: the entry, and chunks that it imports, `NAME-….js`. */
  readonly files: Readonly<Record<string, string>>
  /** Gzipped bytes by name, and of all that is loaded with the entry. */
  readonly sizes: Readonly<Record<string, number>>
  readonly entryBytes: number
}

/** A program for a page, such as the library itself. @param entry path from the root of the repository @param name of its script, without ending */
export async function bundleForBrowser (entry = 'src/browser/index.ts', name = 'browser'): Promise<Bundle> {
  const executor = await bundleExecutor()
  const inside: Plugin = {
    name: 'executor',
    setup ({ onResolve, onLoad }) {
      onResolve({ filter: /^inos:executor$/ }, ({ path }) => ({ path, namespace: 'executor' }))
      onLoad({ filter: /.*/, namespace: 'executor' }, () => ({ contents: executor, loader: 'text' }))
    }
  }
  const { outputFiles, metafile } = await build({
    ...COMMON, entryPoints: { [name]: entry }, plugins: [inside, withoutUnused, withoutRelations], splitting: true, metafile: true, outdir: root, chunkNames: `${name}-[name]-[hash]`
  })
  const files = Object.fromEntries(outputFiles.map(({ path, text }) => [basename(path), text]))
  const sizes = Object.fromEntries(Object.entries(files).map(([file, text]) => [file, gzipSync(text, { level: 9 }).length]))
  const loaded = new Set([`${name}.js`])
  for (const file of loaded) for (const { path, kind } of metafile.outputs[file]!.imports) if (kind === 'import-statement') loaded.add(path)
  return { entry: `${name}.js`, files, sizes, entryBytes: [...loaded].reduce((sum, file) => sum + sizes[file]!, 0) }
}

async function bundle (options: BuildOptions): Promise<string> {
  const { outputFiles } = await build({ ...COMMON, ...options, write: false })
  return outputFiles[0]!.text
}
