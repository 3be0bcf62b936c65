/**
 * What a node has been told about its blobs, in a small file beside them: which stay, and which may be
 * given to anybody. A file that cannot be read tells nothing.
 */
import { LIMITS } from '../packet/limits.ts'
import { type Label, NO_LABEL } from '../processor/store.ts'
import { readText, replaceFile } from './replace-file.ts'

export interface LabelsFile {
  list (): Iterable<[string, Label]>
  get (cid: string): Label
  /** On disk when it resolves. @throws {Error} of the file system */
  set (cid: string, label: Label): Promise<void>
}

export async function openLabels (path: string): Promise<LabelsFile> {
  const labels = new Map(readLabels(await readText(path)))
  let written = Promise.resolve()
  return {
    list: () => labels.entries(),
    get: cid => labels.get(cid) ?? NO_LABEL,
    async set (cid, { pinned, shared }) {
      const before = labels.get(cid) ?? NO_LABEL
      if (before.pinned === pinned && before.shared === shared) return
      labels.delete(cid)
      if (pinned || shared) labels.set(cid, { pinned, shared })
      forgetOldest(labels)
      // One after the other; whoever waits for the last has all before it.
      written = written.catch(() => {}).then(() => replaceFile(path, JSON.stringify(Object.fromEntries(labels))))
      await written
    }
  }
}

/** Pins are the owner's own; of the others the oldest go. */
function forgetOldest (labels: Map<string, Label>): void {
  for (const [cid, { pinned }] of labels) {
    if (labels.size <= LIMITS.blobs.labelsMax) return
    if (!pinned) labels.delete(cid)
  }
}

function readLabels (text: string | null): [string, Label][] {
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
