/** Goal: the engine's fuzzer and the campaigns of credits find errors. Method: plant one at a time in a copy of the sources and let it run there. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { BUDGET_MUTANTS, CRASH_MUTANTS, CREDITS_MUTANTS, MUTANTS } from './mutants.ts'
import type { Mutant } from './mutants.ts'
import { copyTree, edit } from './tree.ts'

const SEED = '1'

/** A copy of what the fuzzer needs, with one error in it. */
function plant ({ edits }: Pick<Mutant, 'edits'>): string {
  const folder = copyTree()
  edit(folder, edits)
  return folder
}

interface Report { ok: boolean, lost: number, ran: number, differences: number, runs: number, violations: number, meshes: number }

async function report (file: string, args: readonly string[]): Promise<Report> {
  const child = spawn(process.execPath, [file, ...args], { stdio: ['ignore', 'pipe', 'ignore'] })
  let out = ''
  child.stdout.on('data', chunk => { out += chunk })
  await once(child, 'close')
  return JSON.parse(out.trimEnd().split('\n').at(-1)!) as Report
}

async function fuzz (folder: string, only: string, casesMax: number): Promise<Report> {
  const args = ['--seconds', '120', '--seed', SEED, '--cases', `${casesMax}`, '--only', only]
  return await report(join(folder, 'test', 'fuzz', 'engine.ts'), args)
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

for (const { name, edits } of BUDGET_MUTANTS) {
  test(`the test of budgets finds it when ${name}`, async () => {
    const folder = plant({ edits })
    try {
      const child = spawn(process.execPath, [join(folder, 'src', 'processor', 'budget.test.ts')], { stdio: 'ignore' })
      assert.deepEqual(await once(child, 'close'), [1, null])
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
}

for (const { name, edits } of CREDITS_MUTANTS) {
  test(`the campaign of credits finds it when ${name}`, async () => {
    const folder = plant({ edits })
    try {
      const { ok, runs, violations } = await report(join(folder, 'test', 'prop', 'credits.ts'), ['--runs', '1000', '--seed', SEED, '--processes', '1'])
      assert.equal(ok, false)
      assert.equal(violations, 1)
      assert.ok(runs < 1_000)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
}

// Goal: the invariants of credits hold under loss, repetition, reordering, kills and old copies. Method: a slice of the campaign.
test('the campaign of credits finds nothing when nothing is planted', async () => {
  const { ok, runs, meshes } = await report(join(import.meta.dirname, '..', 'prop', 'credits.ts'), ['--runs', '150', '--seed', SEED, '--processes', '1'])
  assert.ok(ok)
  assert.equal(runs, 150)
  assert.equal(meshes, 37, 'one in four')
})

for (const { name, edits } of CRASH_MUTANTS) {
  test(`the kill campaign of credits finds it when ${name}`, async () => {
    const folder = plant({ edits })
    try {
      const { ok, lost } = await report(join(folder, 'test', 'crash', 'credits.ts'), ['--points', '12', '--seed', SEED, '--pairs', '1'])
      assert.equal(ok, false)
      assert.ok(lost > 0)
    } finally {
      rmSync(folder, { recursive: true, force: true })
    }
  })
}
