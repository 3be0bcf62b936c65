/**
 * Files as one archive: canonical dag-cbor of plain absolute path → bytes, or the name of a blob whose bytes are meant. A job brings its files along
 * as one, and what it leaves at the paths its spec names comes back as one. Who keeps them is left to others.
 */
import { decodeCanonical, encodeCanonical } from './cbor.ts'
import type { CID } from './cid.ts'
import { isBytes, isLink, isMap } from './envelope.ts'
import { InosError } from './errors.ts'
import { LIMITS } from './limits.ts'

const encoder = new TextEncoder()

/** @throws {InosError} ERR_INVALID_SPEC when a path is not plain and absolute, or there are too many */
export function encodeFiles (files: Readonly<Record<string, Uint8Array | CID>>): Uint8Array {
  return encodeCanonical(checkFiles(files, 'ERR_INVALID_SPEC', isFile))
}

/** @throws {InosError} ERR_INVALID_SPEC, ERR_RECORD_INVALID */
export function decodeFiles (archive: Uint8Array): Record<string, Uint8Array | CID> {
  return checkFiles(decodeCanonical(archive), 'ERR_INVALID_SPEC', isFile)
}

function isFile (value: unknown): value is Uint8Array | CID { return isBytes(value) || isLink(value) }

/**
 * Read what a run left. An archive is only there when a file is, and has nothing that was not asked for.
 * @param outputs as the spec has them
 * @throws {InosError} ERR_RECORD_INVALID
 */
export function decodeOutputs (archive: Uint8Array | null, outputs: readonly string[]): Record<string, Uint8Array> {
  if (archive === null) return {}
  const files = checkFiles(decodeCanonical(archive), 'ERR_RECORD_INVALID', value => isBytes(value))
  const paths = Object.keys(files)
  if (paths.length === 0) refuse('ERR_RECORD_INVALID', 'is empty')
  const stray = paths.find(path => !outputs.some(output => isWithin(path, output)))
  if (stray !== undefined) refuse('ERR_RECORD_INVALID', `has "${stray.slice(0, 80)}", for which nobody asked`)
  return files
}

/**
 * Paths as people write them in the one form a spec takes: absolute from the root, without empty parts and
 * dots, sorted by UTF-16 units, none at or below another. "/" is the whole tree. `..` stays, to be refused.
 */
export function canonicalOutputs (paths: readonly string[]): string[] {
  const clean = paths.map(path => `/${path.split('/').filter(part => part !== '' && part !== '.').join('/')}`)
  const sorted = [...new Set(clean)].sort()
  return sorted.filter(path => !sorted.some(other => other !== path && isWithin(path, other)))
}

/** Whether text is "/" or a plain absolute path: what `canonicalOutputs` gives where it makes sense. */
export function isOutput (path: string): boolean { return path === '/' || isPlainPath(path) }

function isWithin (path: string, output: string): boolean {
  return output === '/' || path === output || path.startsWith(`${output}/`)
}

function isPlainPath (path: string): boolean {
  const parts = path.split('/').slice(1)
  return path.startsWith('/') && parts.every(part => part !== '' && part !== '.' && part !== '..' && !part.includes('\0')) &&
    encoder.encode(path).length <= LIMITS.guest.pathBytesMax
}

type Code = 'ERR_INVALID_SPEC' | 'ERR_RECORD_INVALID'

function checkFiles<T> (value: unknown, code: Code, isContent: (value: unknown) => value is T): Record<string, T> {
  if (!isMap(value)) refuse(code, 'is not a map of path to bytes')
  const paths = Object.keys(value)
  if (paths.length > LIMITS.spec.filesMax) refuse(code, `has ${paths.length} files, ${LIMITS.spec.filesMax} are allowed`)
  for (const path of paths) {
    if (!isContent(value[path])) refuse(code, `has a file "${path.slice(0, 80)}" that is not bytes`)
    if (!isPlainPath(path)) refuse(code, `has a file at "${path.slice(0, 80)}", which is not a plain absolute path`)
  }
  // Sorted with a slash behind it, whatever lies below a path follows it at once.
  const sorted = paths.map(path => `${path}/`).sort()
  const blocked = sorted.find((path, at) => at > 0 && path.startsWith(sorted[at - 1]!))
  if (blocked !== undefined) refuse(code, `has a file "${blocked.slice(0, -1).slice(0, 80)}" below another file`)
  return value as Record<string, T>
}

function refuse (code: Code, why: string): never {
  throw new InosError(code, `A files archive ${why}.`)
}
