/** A copy of what campaigns need, to plant errors in; whoever makes one removes it. */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const root = join(import.meta.dirname, '..', '..')

export interface Edit { readonly file: string, readonly find: RegExp, readonly replace: string }

export function copyTree (): string {
  const folder = mkdtempSync(join(tmpdir(), 'inos-mutant-'))
  for (const name of ['src', 'test', 'bench', 'package.json']) cpSync(join(root, name), join(folder, name), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  return folder
}

/** Each text is to be found once in its file. */
export function edit (folder: string, edits: readonly Edit[]): void {
  for (const { file, find, replace } of edits) {
    const text = readFileSync(join(folder, file), 'utf8')
    assert.equal([...text.matchAll(find)].length, 1, `${find} is not found once in ${file}: the mutant has to follow the source`)
    writeFileSync(join(folder, file), text.replace(find, replace))
  }
}

/** @param patch a file as `git diff` writes it */
export function applyPatch (folder: string, patch: string): void {
  execFileSync('git', ['apply', '-p1', resolve(patch)], { cwd: folder, stdio: 'inherit' })
}
