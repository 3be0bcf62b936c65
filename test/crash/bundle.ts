/** A node's program as one file, which starts several times as fast as its sources do. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

export interface Program extends AsyncDisposable {
  readonly path: string
  /** Where processes keep compiled code for the next. */
  readonly cachePath: string
}

/** @param name file beside this one */
export async function bundle (name: string): Promise<Program> {
  const folder = await mkdtemp(join(tmpdir(), 'inos-crash-program-'))
  const path = join(folder, 'node.mjs')
  await build({
    entryPoints: [fileURLToPath(new URL(name, import.meta.url))],
    outfile: path,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node24',
    logLevel: 'warning',
    // Native code cannot be bundled, and is not to be found from where the bundle lies.
    plugins: [{
      name: 'native',
      setup (build) { build.onResolve({ filter: /^classic-level$/ }, ({ path }) => ({ path: import.meta.resolve(path), external: true })) }
    }]
  })
  return { path, cachePath: join(folder, 'cache'), [Symbol.asyncDispose]: () => rm(folder, { recursive: true, force: true }) }
}
