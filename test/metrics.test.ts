/** What `inos up --metrics` tells Prometheus, of a node that others buy from. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { createInterface } from 'node:readline'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { join } from '../src/node/join.ts'
import { ECHO, TRAP } from './guests.ts'

/** Name with labels → value; lines of another form fail. */
function parse (text: string): Map<string, number> {
  const samples = new Map<string, number>()
  for (const line of text.split('\n')) {
    if (line === '' || /^# (HELP|TYPE) [a-zA-Z_:][a-zA-Z0-9_:]* /.test(line)) continue
    const match = /^([a-zA-Z_:][a-zA-Z0-9_:]*(?:\{(?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\]|\\.)*",?)+\})?) (NaN|[+-]?Inf|[+-]?[\d.]+(?:e[+-]?\d+)?)$/.exec(line)
    assert.ok(match !== null, line)
    samples.set(match[1]!, Number(match[2]))
  }
  return samples
}

// Goal: the numbers are those of the books and the jobs, beside libp2p's, and name nobody. Method: a job that ends well, one that traps and
// one that is refused, bought from the node that is measured; then read its page as Prometheus does.
test('metrics say what a node did', async () => {
  const folder = await mkdtemp(joinPath(tmpdir(), 'inos-metrics-'))
  try {
    await using seller = await join({ dataDir: joinPath(folder, 'seller'), listen: ['/ip4/127.0.0.1/tcp/0'], slots: 1, metrics: 0 })
    await using buyer = await join({ dataDir: joinPath(folder, 'buyer'), peers: seller.addresses() })
    assert.equal(buyer.metricsUrl, null)
    const there = { where: seller.id, limits: { fuelMax: 100_000_000n }, retries: 0 }
    const { cost, fuel } = await buyer.compute(ECHO, 'hello', there)
    const trapped = await buyer.run(TRAP, '', there)
    await assert.rejects(buyer.compute(Uint8Array.of(0, 0x61, 0x73, 0x6d), '', there))
    await seller.compute(ECHO, 'own', { where: 'local' })
    await buyer.settle()
    const response = await fetch(seller.metricsUrl!)
    assert.match(response.headers.get('content-type')!, /^text\/plain; version=0\.0\.4/)
    const text = await response.text()
    const samples = parse(text)
    const value = (name: string): number | undefined => samples.get(name)
    assert.equal(value('inos_jobs_total{role="seller",state="ok"}'), 1)
    assert.equal(value('inos_jobs_total{role="seller",state="trap"}'), 1)
    assert.equal(value('inos_jobs_total{role="seller",state="ERR_INVALID_MODULE"}'), 1)
    assert.equal(value('inos_jobs_total{role="buyer",state="ok"}'), 1)
    assert.equal(value('inos_job_seconds_count{role="seller"}'), 3)
    assert.equal(value('inos_receipts_total{role="seller",outcome="trap"}'), 1)
    assert.equal(value('inos_fuel_total{role="seller"}'), Number(fuel + trapped.fuel))
    assert.equal(value('inos_credits{kind="earned"}'), Number(cost + trapped.cost) / 1e6)
    assert.equal(value('inos_peers'), 1)
    assert.deepEqual([value('inos_executor_slots{state="free"}'), value('inos_executor_slots{state="busy"}'), value('inos_executor_queue')], [1, 0, 0])
    assert.ok((value('libp2p_data_transfer_bytes_total{protocol="/inos/packet/1 received"}') ?? 0) > 0)
    assert.ok((value('process_resident_memory_bytes') ?? 0) > 0)
    for (const { id } of [seller, buyer]) assert.ok(!text.includes(id), 'no PeerId')
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
})

// Goal: the command says where they are, and an empty node has its page. Method: `inos up --metrics 0`, read, and stop it.
test('inos up --metrics serves them', async () => {
  const folder = await mkdtemp(joinPath(tmpdir(), 'inos-metrics-'))
  const up = spawn(process.execPath, [fileURLToPath(new URL('../cli/main.ts', import.meta.url)), 'up', '--json', '--metrics', '0', '--data', folder], { stdio: ['ignore', 'pipe', 'inherit'] })
  const exited = once(up, 'exit')
  try {
    const [line] = await once(createInterface(up.stdout), 'line') as [string]
    const { event, metrics } = JSON.parse(line) as { event: string, metrics: string }
    assert.equal(event, 'ready')
    assert.equal(parse(await (await fetch(metrics)).text()).get('inos_peers'), 0)
    up.kill('SIGTERM')
    assert.deepEqual(await exited, [0, null])
  } finally {
    up.kill('SIGKILL')
    await exited
    await rm(folder, { recursive: true, force: true })
  }
})
