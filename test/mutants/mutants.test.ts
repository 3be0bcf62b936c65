/** Goal: the engine's fuzzer finds errors. Method: plant one at a time in a copy of the sources and let it run there. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { MUTANTS } from './mutants.ts'
import type { Mutant } from './mutants.ts'

const root = join(import.meta.dirname, '..', '..')
const SEED = '1'

/** A copy of what the fuzzer needs, with one error in it. */
function plant ({ edits }: Pick<Mutant, 'edits'>): string {
  const folder = mkdtempSync(join(tmpdir(), 'inos-mutant-'))
  for (const name of ['src', 'test', 'bench', 'package.json']) cpSync(join(root, name), join(folder, name), { recursive: true })
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  for (const { file, find, replace } of edits) {
    const text = readFileSync(join(folder, file), 'utf8')
    assert.equal([...text.matchAll(find)].length, 1, `${find} is not found once in ${file}: the mutant has to follow the source`)
    writeFileSync(join(folder, file), text.replace(find, replace))
  }
  return folder
}

async function fuzz (folder: string, only: string, casesMax: number): Promise<{ ok: boolean, ran: number, differences: number }> {
  const args = ['--seconds', '120', '--seed', SEED, '--cases', `${casesMax}`, '--only', only]
  const child = spawn(process.execPath, [join(folder, 'test', 'fuzz', 'engine.ts'), ...args], { stdio: ['ignore', 'pipe', 'ignore'] })
  let out = ''
  child.stdout.on('data', chunk => { out += chunk })
  await once(child, 'close')
  return JSON.parse(out.trimEnd().split('\n').at(-1)!) as { ok: boolean, ran: number, differences: number }
}

for (const mutant of MUTANTS) {
  test(`the fuzzer finds it when ${mutant.name}`, async () => {
    const folder = plant(mutant)
    try {
      const { ok, differences } = await fuzz(folder, mutant.only, mutant.casesMax)
      assert.equal(ok, false)
      assert(differences > 0)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
}

// Were the copy to fail by itself, nothing above would say anything.
test('the fuzzer finds nothing when nothing is planted', async () => {
  const folder = plant({ edits: [] })
  try {
    const { ok, ran } = await fuzz(folder, 'own', 60)
    assert(ok)
    assert(ran > 10)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
