/**
 * Writes src/packet/packet.pb.js and packet.pb.d.ts from packet.proto. They are committed; CI runs
 * this again and expects no difference. protons writes TypeScript namespaces, which Node's type
 * stripping does not take, so its output is compiled to JavaScript and declarations.
 */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('..', import.meta.url))
const bin = (name: string): string => join(root, 'node_modules', '.bin', name)
const room = join(root, 'src', 'packet')
const scratch = mkdtempSync(join(tmpdir(), 'inos-generate-'))

try {
  execFileSync(bin('protons'), ['--output', scratch, join(room, 'packet.proto')], { stdio: 'inherit' })
  // Compiled beside the .proto so that its imports resolve.
  const source = join(room, 'packet.pb.ts')
  writeFileSync(source, shareEmpty(readFileSync(join(scratch, 'packet.ts'), 'utf8')))
  try {
    execFileSync(bin('tsc'), [source, '--ignoreConfig', '--outDir', scratch, '--declaration', '--target', 'es2022', '--module', 'nodenext', '--skipLibCheck'], { stdio: 'inherit' })
  } finally {
    rmSync(source)
  }
  const notice = '// Generated from packet.proto by `npm run generate`. Do not edit.\n'
  for (const name of ['packet.pb.js', 'packet.pb.d.ts']) {
    writeFileSync(join(room, name), notice + readFileSync(join(scratch, name), 'utf8'))
  }
} finally {
  rmSync(scratch, { recursive: true, force: true })
}

/** protons makes eight empty arrays for each packet it decodes, a third of the whole cost; one does for all. */
function shareEmpty (code: string): string {
  const shared = code
    .replace(/^import \{ alloc as uint8ArrayAlloc \} .*$/m, '')
    .replace('export namespace Packet', 'const EMPTY = new Uint8Array(0)\n\nexport namespace Packet')
    .replaceAll('uint8ArrayAlloc(0)', 'EMPTY')
  if (shared.includes('uint8ArrayAlloc') || !shared.includes('const EMPTY')) throw new Error('protons writes other code than expected')
  return shared
}
