/** Books as a file: the same books come out, no damage goes in, and what is newer is not overwritten. */
import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { Disk, type Node, World } from '../../test/suites/credits-world.ts'
import { checkLedger, importLedger, writeLedger } from './ledger-file.ts'

const scratch = mkdtempSync(join(tmpdir(), 'inos-ledger-'))
after(() => { rmSync(scratch, { recursive: true, force: true }) })
let files = 0
const newFile = (): string => join(scratch, `${files++}.inos`)

async function traded (): Promise<{ a: Node, b: Node }> {
  const world = new World()
  const [a, b] = [await world.node('a'), await world.node('b')]
  for (let i = 0; i < 3; i++) await a.buyFrom(b)
  await a.pay(b)
  await a.buyFrom(b)
  return { a, b }
}

async function exported (node: Node, identity: Uint8Array | null = null): Promise<string> {
  const file = newFile()
  await writeLedger(file, { at: 1_800_000_000, id: node.id, identity }, node.credits.dump())
  return file
}

// Goal: what comes out is what went in, row by row, and the file is private. Method: export, import into an empty
// store and over the same books; compare rows; a file is never overwritten.
test('books go through a file unchanged', async () => {
  const { a } = await traded()
  const seed = new Uint8Array(32).fill(5)
  const file = await exported(a, seed)
  assert.deepEqual(await checkLedger(file), { at: 1_800_000_000, id: a.id, identity: seed })
  assert.equal(statSync(file).mode & 0o777, 0o600)
  await assert.rejects(writeLedger(file, { at: 1, id: a.id, identity: null }, a.credits.dump()), { code: 'ERR_USAGE' })
  const rows = [...a.disk.rows()].sort()
  const empty = new Disk()
  const before = a.credits.balance()
  await a.credits.close()
  for (const disk of [empty, a.disk]) {
    assert.equal(await importLedger(file, disk.attach()), rows.length)
    assert.deepEqual([...disk.rows()].sort(), rows)
  }
  await a.start()
  assert.deepEqual(a.credits.balance(), before)
  assert.equal((await a.credits.audit()).ok, true)
})

// Goal: newer books stay. Method: export, then one more payment each way, import: refused, nothing changed.
test('newer books are not overwritten', async () => {
  for (const more of [async ({ a, b }: { a: Node, b: Node }) => { await a.pay(b) }, async ({ a, b }: { a: Node, b: Node }) => { await b.buyFrom(a); await b.pay(a) }]) {
    const both = await traded()
    const file = await exported(both.a)
    await more(both)
    await both.a.credits.close()
    const rows = [...both.a.disk.rows()]
    await assert.rejects(importLedger(file, both.a.disk.attach()), { code: 'ERR_DATA_DIR', message: /newer/ })
    assert.deepEqual([...both.a.disk.rows()], rows)
  }
})

// Goal: no damaged file is taken. Method: one flipped bit at many places, cuts, other files.
test('a damaged file is refused', async () => {
  const { a } = await traded()
  const bytes = readFileSync(await exported(a))
  const refused = async (damaged: Uint8Array): Promise<void> => {
    const file = newFile()
    writeFileSync(file, damaged)
    await assert.rejects(checkLedger(file), { code: 'ERR_VERIFICATION' })
  }
  for (let at = 0; at < bytes.length; at += 97) {
    const copy = Uint8Array.from(bytes)
    copy[at]! ^= 1
    await refused(copy)
  }
  for (const cut of [bytes.subarray(0, -1), bytes.subarray(1), bytes.subarray(0, 40), new Uint8Array(0), new Uint8Array(1_000)]) await refused(cut)
  await assert.rejects(checkLedger(join(scratch, 'none')), { code: 'ERR_USAGE' })
})
