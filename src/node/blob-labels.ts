/**
 * What a node has been told about its blobs, in a small file beside them: which stay, and which may be
 * given to anybody. A file that cannot be read tells nothing.
 */
import type { Label } from '../processor/store.ts'
import { readText, replaceFile } from './replace-file.ts'

/** On disk when it resolves. @throws {Error} of the file system */
export async function writeLabels (path: string, labels: ReadonlyMap<string, Label>): Promise<void> {
  await replaceFile(path, JSON.stringify(Object.fromEntries(labels)))
}

/** @throws {Error} of the file system */
export async function readLabels (path: string): Promise<[string, Label][]> {
  const text = await readText(path)
  try {
    const value: unknown = JSON.parse(text ?? '{}')
    return Object.entries(value as Record<string, unknown>).flatMap(([cid, label]) => {
      const { pinned, shared } = label as Record<string, unknown>
      return typeof pinned === 'boolean' && typeof shared === 'boolean' ? [[cid, { pinned, shared }]] : []
    })
  } catch {
    return []
  }
}
