/** For tests and benchmarks: the kernels of bench/kernels, compiled. */
import { readFileSync } from 'node:fs'
import { main as compileScript } from 'assemblyscript/asc'

export const KERNELS = new URL('kernels/', import.meta.url)

export async function compileKernel (name: string): Promise<Uint8Array<ArrayBuffer>> {
  let binary = new Uint8Array(0)
  const { error, stderr } = await compileScript([
    `${name}.ts`, '-O3', '--runtime', 'stub', '--use', 'abort=', '--enable', 'simd', '--initialMemory', '1', '--outFile', 'out.wasm'
  ], {
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
  if (error !== null) throw new Error(`${name} does not compile: ${error.message}\n${stderr.toString()}`)
  return binary
}
