/** Compiles the guest of this example, which imports the interface of guest/assemblyscript as it is. */
import { readFileSync } from 'node:fs'
import { main as compileScript } from 'assemblyscript/asc'

const SOURCES: Readonly<Record<string, URL>> = {
  'sieve.ts': new URL('sieve.as', import.meta.url),
  'inos.ts': new URL('../../guest/assemblyscript/inos.ts', import.meta.url)
}

export async function compileSieve (): Promise<Uint8Array> {
  let binary = new Uint8Array(0)
  const { error, stderr } = await compileScript(['sieve.ts', '-O3', '--runtime', 'stub', '--use', 'abort=', '--outFile', 'out.wasm'], {
    readFile: file => {
      const source = SOURCES[file]
      return source === undefined ? null : readFileSync(source, 'utf8')
    },
    writeFile: (_, contents) => { if (contents instanceof Uint8Array) binary = new Uint8Array(contents) },
    listFiles: () => []
  })
  if (error !== null) throw new Error(`the guest does not compile: ${error.message}\n${stderr.toString()}`)
  return binary
}
