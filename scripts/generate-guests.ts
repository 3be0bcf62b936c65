/**
 * Writes the modules of the examples from their AssemblyScript: examples/demo/tracer.wasm and examples/actor/notes.wasm. They are
 * committed; CI runs this again and expects no difference.
 */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

/** The tracer needs no runtime; notes are kept in what the language's own gives. No abort function: guests import the `inos` interface and nothing else. */
const GUESTS = [
  ['examples/demo/tracer', '--noAssert', '--runtime', 'stub'],
  ['examples/actor/notes', '--runtime', 'incremental']
] as const

for (const [name, ...options] of GUESTS) {
  execFileSync(process.execPath, [
    'node_modules/assemblyscript/bin/asc.js', `${name}/index.ts`, '-O3', ...options, '--use', 'abort=', '--outFile', `${name}.wasm`
  ], { cwd: root, stdio: 'inherit' })
}
