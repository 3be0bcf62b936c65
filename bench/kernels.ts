/** For tests and benchmarks: what is written in AssemblyScript here, compiled. */
import { readFileSync } from 'node:fs'
import { main as compileScript } from 'assemblyscript/asc'

export const KERNELS = new URL('kernels/', import.meta.url)

const PROGRAMS = new URL('programs/', import.meta.url)

/** A kernel of bench/kernels: loops on numbers and plain memory, which nobody cleans up. */
export function compileKernel (name: string): Promise<Uint8Array<ArrayBuffer>> { return compile(KERNELS, name, 'stub') }

/** A program of bench/programs, with the collector of the language. */
export function compileProgram (name: string): Promise<Uint8Array<ArrayBuffer>> { return compile(PROGRAMS, name, 'incremental') }

async function compile (folder: URL, name: string, runtime: string): Promise<Uint8Array<ArrayBuffer>> {
  let binary = new Uint8Array(0)
  const { error, stderr } = await compileScript([
    `${name}.ts`, '-O3', '--runtime', runtime, '--use', 'abort=', '--enable', 'simd', '--initialMemory', '1', '--outFile', 'out.wasm'
  ], {
    // The compiler knows one extension, under which our own type checker would read its language.
    readFile: file => {
      try {
        return readFileSync(new URL(file.replace(/\.ts$/, '.as'), folder), 'utf8')
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
