/**
 * The architecture is a test: imports point down only, and what a platform offers is touched only
 * in its room. Planted violations show that each rule bites.
 */
import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join, normalize, sep } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const root = fileURLToPath(new URL('..', import.meta.url))

/** Room → rooms it may import besides itself. */
const MAY_IMPORT: Record<string, readonly string[]> = {
  'src/packet': [],
  'src/wasm': ['src/packet'],
  'src/network': ['src/packet'],
  'src/credits': ['src/packet'],
  'src/processor': ['src/packet', 'src/wasm', 'src/network', 'src/credits'],
  // Only the public Processor interface, and the words of packet/ it speaks in.
  'src/emergent': ['src/packet', 'src/processor/processor.ts'],
  // What node/ and browser/ do alike.
  'src/assembly': ['src/packet', 'src/wasm', 'src/network', 'src/credits', 'src/processor', 'src/emergent'],
  'src/node': ['src/assembly', 'src/packet', 'src/wasm', 'src/network', 'src/credits', 'src/processor', 'src/emergent'],
  'src/browser': ['src/assembly', 'src/packet', 'src/wasm', 'src/network', 'src/credits', 'src/processor', 'src/emergent'],
  // A mesh in one process: all rooms, and of the platform's nothing but its keys.
  'src/testing': ['src/packet', 'src/wasm', 'src/network', 'src/credits', 'src/processor', 'src/emergent', 'src/node/keys.ts'],
  'src/index.ts': ['src/assembly', 'src/packet', 'src/wasm', 'src/credits', 'src/processor', 'src/emergent', 'src/node'],
  // `inos demo` runs the example.
  cli: ['src', 'examples/demo/main.ts'],
  examples: ['src', 'cli'],
  web: ['src'],
  ui: ['src'],
  test: ['src', 'cli', 'examples', 'bench', 'scripts'],
  bench: ['src', 'cli', 'test', 'examples'],
  scripts: ['src', 'test', 'examples']
}
/** Rooms on web standards alone: everything a platform offers is handed in. */
const PORTABLE = ['src/packet', 'src/wasm', 'src/network', 'src/credits', 'src/processor', 'src/emergent']
/** Rooms that may import node:* and name Node's globals. */
const ON_NODE = ['src/node', 'src/testing', 'src/index.ts', 'cli', 'test', 'bench', 'examples', 'scripts']

const NODE_GLOBALS = ['process', 'Buffer', 'global', 'require', '__dirname', '__filename', 'setImmediate']
const BROWSER_GLOBALS = ['window', 'document', 'navigator', 'indexedDB', 'localStorage', 'sessionStorage', 'Worker', 'location']
/** Clock, timers, randomness and I/O: arguments in portable rooms, never globals. */
const AMBIENT_GLOBALS = ['setTimeout', 'setInterval', 'clearTimeout', 'clearInterval', 'Date', 'performance', 'crypto', 'console', 'fetch', 'WebSocket']
const AMBIENT_MEMBERS = ['Math.random', 'AbortSignal.timeout', 'globalThis.process']

function roomOf (path: string): string {
  const parts = path.split('/')
  if (parts[0] === 'src') return parts.length === 2 ? path : `src/${parts[1]}`
  return parts[0]!
}

/** Every way a file can name another module, types included. */
function importsOf (source: ts.SourceFile): string[] {
  const found: string[] = []
  const visit = (node: ts.Node): void => {
    if ((ts.isImportDeclaration(node) || ts.isExportDeclaration(node)) && node.moduleSpecifier !== undefined && ts.isStringLiteral(node.moduleSpecifier)) {
      found.push(node.moduleSpecifier.text)
    } else if (ts.isCallExpression(node) && node.expression.kind === ts.SyntaxKind.ImportKeyword) {
      const [target] = node.arguments
      // What cannot be read cannot be checked; '?' is refused below.
      found.push(target !== undefined && ts.isStringLiteralLike(target) ? target.text : '?')
    } else if (ts.isImportTypeNode(node) && ts.isLiteralTypeNode(node.argument) && ts.isStringLiteral(node.argument.literal)) {
      found.push(node.argument.literal.text)
    }
    ts.forEachChild(node, visit)
  }
  visit(source)
  return found
}

/** Names used as free-standing values that the file does not declare itself, and `a.b` pairs. */
function valuesOf (source: ts.SourceFile): { names: Set<string>, members: Set<string> } {
  const names = new Set<string>()
  const members = new Set<string>()
  const declared = new Set<string>()
  const visit = (node: ts.Node): void => {
    if (isDeclaration(node) && node.name !== undefined && ts.isIdentifier(node.name)) declared.add(node.name.text)
    if (ts.isPropertyAccessExpression(node)) members.add(`${node.expression.getText(source)}.${node.name.text}`)
    if (ts.isIdentifier(node) && isValue(node)) names.add(node.text)
    ts.forEachChild(node, visit)
  }
  visit(source)
  return { names: names.difference(declared), members }
}

function isDeclaration (node: ts.Node): node is ts.Node & { name?: ts.Node } {
  return ts.isVariableDeclaration(node) || ts.isBindingElement(node) || ts.isParameter(node) || ts.isFunctionDeclaration(node) ||
    ts.isClassDeclaration(node) || ts.isImportSpecifier(node) || ts.isImportClause(node) || ts.isNamespaceImport(node)
}

function isValue (node: ts.Identifier): boolean {
  const { parent } = node
  if (ts.isPropertyAccessExpression(parent)) return parent.expression === node
  if (ts.isShorthandPropertyAssignment(parent)) return true
  const isName = 'name' in parent && parent.name === node
  const isKey = 'propertyName' in parent && parent.propertyName === node
  return !isName && !isKey && !ts.isTypeReferenceNode(parent) && !ts.isQualifiedName(parent) && !ts.isLabeledStatement(parent)
}

/** The violations in one file, each a sentence. */
function violations (path: string, text: string): string[] {
  const source = ts.createSourceFile(path, text, ts.ScriptTarget.Latest, true)
  const room = roomOf(path)
  const allowed = MAY_IMPORT[room]
  if (allowed === undefined) return [`${path}: ${room} is no room of the architecture`]
  const found: string[] = []
  for (const target of importsOf(source)) {
    if (target === '?') {
      if (!ON_NODE.includes(room)) found.push(`${path}: imports something that is not a literal`)
    } else if (target.startsWith('.')) {
      const file = normalize(join(dirname(path), target)).split(sep).join('/')
      const inside = room === file || file.startsWith(`${room}/`)
      if (!inside && !allowed.some(other => file === other || file.startsWith(`${other}/`))) found.push(`${path}: imports ${file}`)
    } else if (target.startsWith('node:') && !ON_NODE.includes(room)) {
      found.push(`${path}: imports ${target}`)
    }
  }
  const { names, members } = valuesOf(source)
  const forbidden = [
    ...(ON_NODE.includes(room) ? [] : NODE_GLOBALS),
    ...(['src/browser', 'web', 'ui'].includes(room) ? [] : BROWSER_GLOBALS),
    ...(PORTABLE.includes(room) ? AMBIENT_GLOBALS : [])
  ]
  for (const name of forbidden) if (names.has(name)) found.push(`${path}: uses the global ${name}`)
  if (PORTABLE.includes(room)) {
    for (const member of AMBIENT_MEMBERS) if (members.has(member)) found.push(`${path}: uses ${member}`)
  }
  return found
}

// Goal: the tree follows ARCHITECTURE.md. Method: parse every source file and look at each import and global.
test('imports point down and platform globals stay in their rooms', () => {
  const files = globSync(['src/**/*.ts', 'cli/**/*.ts', 'test/**/*.ts', 'bench/**/*.ts', 'examples/**/*.ts', 'scripts/**/*.ts', 'web/**/*.ts', 'ui/**/*.ts'], { cwd: root })
    .map(file => file.split(sep).join('/'))
    // Tests and their fixtures stand beside their file but may use the platform; kernels, tracer and notes are AssemblyScript.
    .filter(file => !/\.(test|fixture)\.ts$/.test(file) && !file.endsWith('.d.ts') && !/^(bench\/kernels|examples\/demo\/tracer|examples\/actor\/notes)\//.test(file))
  assert.ok(files.length > 30)
  const all = files.flatMap(file => violations(file, readFileSync(join(root, file), 'utf8')))
  assert.deepEqual(all, [])
})

// Goal: each rule bites. Method: plant one violation of each kind and expect exactly it.
test('planted violations are found', () => {
  const planted: [string, string, RegExp][] = [
    ['src/wasm/a.ts', "import { x } from '../network/b.ts'", /imports src\/network\/b\.ts/],
    ['src/packet/a.ts', "import type { X } from '../wasm/b.ts'", /imports src\/wasm\/b\.ts/],
    ['src/credits/a.ts', "export * from '../processor/b.ts'", /imports src\/processor\/b\.ts/],
    ['src/credits/a.ts', "export { type X } from '../network/b.ts'", /imports src\/network\/b\.ts/],
    ['src/network/a.ts', "const b = await import('../credits/b.ts')", /imports src\/credits\/b\.ts/],
    ['src/network/a.ts', "const b = await import(name)", /not a literal/],
    ['src/packet/a.ts', "let b: import('../credits/b.ts').B", /imports src\/credits\/b\.ts/],
    ['src/emergent/a.ts', "import { submit } from '../processor/submit.ts'", /imports src\/processor\/submit\.ts/],
    ['src/processor/a.ts', "import { readFile } from 'node:fs'", /imports node:fs/],
    ['src/node/a.ts', "import { main } from '../../cli/main.ts'", /imports cli\/main\.ts/],
    ['src/testing/a.ts', "import { join } from '../node/join.ts'", /imports src\/node\/join\.ts/],
    ['src/processor/a.ts', "import { openNode } from '../testing/node.ts'", /imports src\/testing\/node\.ts/],
    ['src/wasm/a.ts', 'export const home = process.env', /global process/],
    ['src/packet/a.ts', 'const b = { Buffer }', /global Buffer/],
    ['src/credits/a.ts', 'const now = Date.now()', /global Date/],
    ['src/network/a.ts', 'setTimeout(() => {}, 1)', /global setTimeout/],
    ['src/credits/a.ts', 'const nonce = Math.random()', /Math\.random/],
    ['src/processor/a.ts', 'const s = AbortSignal.timeout(1)', /AbortSignal\.timeout/],
    ['src/node/a.ts', 'document.title = ""', /global document/],
    ['src/helpers/a.ts', '', /no room/]
  ]
  for (const [path, text, expected] of planted) {
    const found = violations(path, text)
    assert.equal(found.length, 1, `${path}: ${text} → ${found.join('; ')}`)
    assert.match(found[0]!, expected)
  }
  assert.deepEqual(violations('src/wasm/a.ts', "import { LIMITS } from '../packet/limits.ts'\nfunction f (fetch: () => number) { return fetch() }\nexport const o = { Date: 2 }.Date"), [])
})
