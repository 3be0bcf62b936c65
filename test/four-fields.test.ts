/** The committed client that knows four fields and nothing of INOS, against a node and against the committed bytes. */
import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { after, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { openParts, start } from '../src/node/parts.ts'
import { createNetwork } from '../src/node/libp2p.ts'
import { ECHO, ENDLESS } from './guests.ts'

const CLIENT = fileURLToPath(new URL('../examples/four-fields/client.mjs', import.meta.url))
const LISTEN = ['/ip4/127.0.0.1/tcp/0']
const scratch = mkdtempSync(joinPath(tmpdir(), 'inos-four-fields-'))
after(() => { rmSync(scratch, { recursive: true, force: true }) })

function client (address: string, wasm: Uint8Array, input: string): Promise<{ code: number, stdout: string, stderr: string }> {
  const file = joinPath(scratch, `${randomBytes(4).toString('hex')}.wasm`)
  writeFileSync(file, wasm)
  return new Promise(resolve => {
    execFile(process.execPath, [CLIENT, address, file, input], { timeout: 60_000 }, (error, stdout, stderr) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), stdout, stderr })
    })
  })
}

// Goal: a stranger's job is done for free until the allowance is spent, which is said plainly; no credit moves.
// Method: an allowance of two endless loops; each run of the client is another peer.
test('a client of four fields gets its job done, then a clear refusal', async () => {
  const options = { dataDir: joinPath(scratch, 'node'), listen: LISTEN, slots: 1 }
  const open = await openParts(options)
  await using node = await start({ ...open, parts: { ...open.parts, allowance: { perPeer: 5_000_000n, total: 10_000_000n } } }, options)
  const [address] = node.addresses()
  const good = await client(address!, ECHO, 'four fields')
  assert.deepEqual([good.code, good.stdout], [0, 'four fields'], good.stderr)
  assert.match(good.stderr, /would have cost [1-9]\d* µcr/)
  for (let i = 0; i < 2; i++) {
    const endless = await client(address!, ENDLESS, '')
    assert.deepEqual([endless.code, endless.stdout], [1, ''])
    assert.match(endless.stderr, /refused: The guest ran out of fuel after \d+ fuel/)
  }
  const refused = await client(address!, ECHO, 'more')
  assert.deepEqual([refused.code, refused.stdout], [1, ''])
  assert.match(refused.stderr, /refused: The free allowance of this hour is spent/)
  assert.deepEqual(Object.values(node.credits()), [0n, 0n, 0n, 0n, 0n, 0n])
  assert.deepEqual(await Array.fromAsync(node.receipts()), [])
})

// Goal: the client's bytes are the committed ones, and it reads the committed answer. Method: a server that
// keeps what comes and answers with the vector.
test('the client speaks the committed bytes', async () => {
  const vectors = JSON.parse(readFileSync(new URL('vectors/four-fields.json', import.meta.url), 'utf8')) as Record<'job' | 'answer', { frame: string }>
  const network = await createNetwork({ seed: randomBytes(32), listen: LISTEN })
  const heard = Promise.withResolvers<string>()
  network.handle(wire => {
    void (async () => {
      const chunks = await Array.fromAsync(wire.read())
      heard.resolve(Buffer.concat(chunks).toString('hex'))
      wire.write(Buffer.from(vectors.answer.frame, 'hex'))
      await wire.end()
    })().catch(heard.reject)
  })
  try {
    const answer = client(network.addresses()[0]!, Buffer.from('0061736d01000000', 'hex'), 'hi')
    assert.equal(await heard.promise, vectors.job.frame)
    const { code, stdout, stderr } = await answer
    assert.deepEqual([code, stdout, stderr], [0, 'HI', 'would have cost 104 µcr\n'])
  } finally {
    await network.stop()
  }
})
