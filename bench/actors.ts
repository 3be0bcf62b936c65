/**
 * What a message to an actor costs beside a bare compute of the same module: two processes over loopback TCP, one thing at a time, in
 * alternating rounds of one run. A message restores the state, takes it again, sends what changed, and is on disk before its reply; a bare
 * compute of the same input begins anew. Both are paid, and every cheque is acknowledged before the clock stops.
 *
 *   npm run bench:actors -- [--count N]
 *
 * The last line of stdout is one JSON object.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { type Actor, join, type JoinOptions } from '../src/index.ts'
import { COUNTER, counted, number } from '../test/actor-guests.ts'
import { measureSettled, medianOf, type Rate } from './rate.ts'

const ROUNDS = 5
const LIMITS_OF_JOB = { fuelMax: 1_000_000n, memoryPagesMax: 64, outputBytesMax: 1_024 }
/** A wide line, because a buyer that never sells uses it up. */
const WIDE: JoinOptions = { lineMax: 10n ** 12n, poolMax: 10n ** 12n, sellerPoolMax: 10n ** 12n, slots: 1 }
const { values, positionals } = parseArgs({ options: { count: { type: 'string', default: '300' } }, allowPositionals: true })
const COUNT = Number(values.count)

interface Pair { readonly bare: Rate, readonly message: Rate }

async function measurePairs (dir: string): Promise<{ pairs: Pair[], stateBytes: number, fuel: { bare: string, message: string } }> {
  const child = fork(fileURLToPath(import.meta.url), ['serve', dir])
  const [address] = await once(child, 'message') as [string]
  await using node = await join({ dataDir: path(dir, 'buyer'), peers: [address], serve: false, ...WIDE })
  try {
    const module = await node.load(COUNTER)
    const actor: Actor = await node.spawn(module, { name: 'counter', where: 'remote', limits: LIMITS_OF_JOB })
    let inputs = 1
    let messages = 0
    const fuel = { bare: '', message: '' }
    const bare = async (): Promise<void> => {
      const result = await node.compute(module, number(inputs++), { where: 'remote', limits: LIMITS_OF_JOB })
      fuel.bare = String(result.fuel)
      if (counted(result.bytes).count !== 1) throw new Error('a bare compute counted')
    }
    const message = async (): Promise<void> => {
      const reply = await actor.call(number(++messages))
      fuel.message = String(reply.fuel)
      if (counted(reply.bytes).count !== messages) throw new Error('a message was not counted once')
    }
    for (const warm of [bare, message]) await measureSettled(node, warm, 1, COUNT)
    const pairs: Pair[] = []
    for (let round = 0; round < ROUNDS; round++) pairs.push({ bare: await measureSettled(node, bare, 1, COUNT), message: await measureSettled(node, message, 1, COUNT) })
    return { pairs, stateBytes: actor.view().bytes, fuel }
  } finally {
    child.disconnect()
  }
}

async function serve (dir: string): Promise<void> {
  const node = await join({ dataDir: path(dir, 'seller'), listen: ['/ip4/127.0.0.1/tcp/0'], ...WIDE })
  process.once('disconnect', () => { process.exit() })
  process.send!(node.addresses()[0]!)
}

if (positionals[0] === 'serve') {
  await serve(positionals[1]!)
} else {
  const dir = mkdtempSync(path(tmpdir(), 'inos-bench-actors-'))
  try {
    const { pairs, stateBytes, fuel } = await measurePairs(dir)
    const ms = (of: keyof Pair): number => medianOf(pairs.map(pair => pair[of].p50Ms))
    const ratio = medianOf(pairs.map(({ bare, message }) => message.p50Ms / bare.p50Ms))
    console.error(`bare compute ${ms('bare')} ms, message ${ms('message')} ms: ${ratio.toFixed(2)} times, medians of ${ROUNDS} rounds of ${COUNT}`)
    console.log(JSON.stringify({ bench: 'actors', count: COUNT, bareMs: ms('bare'), messageMs: ms('message'), ratio: Number(ratio.toFixed(3)), extraMs: Number((ms('message') - ms('bare')).toFixed(3)), stateBytes, fuel, pairs }))
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}
