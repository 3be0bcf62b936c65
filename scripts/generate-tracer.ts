/**
 * Writes examples/demo/tracer.wasm from the AssemblyScript in examples/demo/tracer/. It is committed;
 * CI runs this again and expects no difference.
 */
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))

// No runtime and no abort function: the guest imports the `inos` interface and nothing else.
execFileSync(process.execPath, [
  'node_modules/assemblyscript/bin/asc.js', 'examples/demo/tracer/index.ts',
  '-O3', '--noAssert', '--runtime', 'stub', '--use', 'abort=', '--outFile', 'examples/demo/tracer.wasm'
], { cwd: root, stdio: 'inherit' })
