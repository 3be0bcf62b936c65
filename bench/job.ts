/**
 * What a paid job costs: no-op jobs between two processes over loopback TCP, every input different,
 * each receipt verified, and the clock stops only when every cheque is acknowledged. Beside it, in
 * the same run, a bare libp2p echo in the same framing, bytes and depth. Then what a user waits for:
 * join() to the first local result, the command line's --version, and what an idle node weighs.
 *
 *   node bench/job.ts
 *
 * The last line of stdout is one JSON object.
 */
import { execFileSync, fork, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join as path } from 'node:path'
import { fileURLToPath } from 'node:url'
import { randomBytes } from 'node:crypto'
import { join, type JoinOptions, verifyReceipt } from '../src/index.ts'
import { startNode } from '../src/node/libp2p.ts'
import { echo } from '../test/programs.ts'
import { openBare, serveBare } from './bare.ts'
import { measure, measureSettled, type Rate } from './rate.ts'

const DEPTHS = { sequential: { inFlight: 1, count: 500 }, parallel: { inFlight: 64, count: 4_000 } }
type Depth = keyof typeof DEPTHS
const ROUNDS = 3
/** A job packet of this bench, as it was measured on the wire: order, spec, module and input. */
const PACKET_BYTES = 1_100
const ROOT = fileURLToPath(new URL('..', import.meta.url))
const SCRATCH = mkdtempSync(path(tmpdir(), 'inos-bench-'))
/** Small limits, so that the line is not what is measured; a wide line, because a buyer that never sells uses it up. */
const LIMITS_OF_JOB = { fuelMax: 100_000n, memoryPagesMax: 1, outputBytesMax: 1_024 }
const WIDE: JoinOptions = { lineMax: 10n ** 12n, poolMax: 10n ** 12n, sellerPoolMax: 10n ** 12n }

interface JobRate extends Rate { ratio: number, bare: Rate }

async function benchJobs (): Promise<Record<Depth, JobRate>> {
  const child = fork(fileURLToPath(import.meta.url), ['serve', SCRATCH])
  const [addresses] = await once(child, 'message') as [{ node: string, bare: string }]
  await using node = await join({ dataDir: path(SCRATCH, 'buyer'), peers: [addresses.node], ...WIDE })
  const bareNode = await startNode({ seed: randomBytes(32) })
  try {
    const bare = await openBare(bareNode, addresses.bare, PACKET_BYTES)
    const module = await node.load(echo())
    let inputs = 0
    const job = async (): Promise<void> => {
      const input = `input ${inputs++}`
      const result = await node.compute(module, input, { where: 'remote', limits: LIMITS_OF_JOB })
      await verifyReceipt(result.receipt)
      if (result.text() !== input) throw new Error('the job came back wrong')
    }
    await measure(job, 64, 500)
    await measure(bare, 64, 2_000)
    const figures = {} as Record<Depth, JobRate>
    for (let round = 0; round < ROUNDS; round++) {
      for (const depth of Object.keys(DEPTHS) as Depth[]) {
        const { inFlight, count } = DEPTHS[depth]
        const bareRate = await measure(bare, inFlight, count)
        const rate = await measureSettled(node, job, inFlight, count)
        const ratio = Number((rate.perSecond / bareRate.perSecond).toFixed(4))
        const before = figures[depth]
        if (before === undefined || rate.perSecond > before.perSecond) figures[depth] = { ...rate, ratio, bare: bareRate }
      }
    }
    return figures
  } finally {
    await bareNode.stop()
    child.disconnect()
  }
}

/** A fresh process: import, join() on an empty directory, one local job. Milliseconds, the median of five. */
function joinToFirstResult (): number {
  const times = Array.from({ length: 5 }, (_, i) => {
    const out = execFileSync(process.execPath, [fileURLToPath(import.meta.url), 'first', path(SCRATCH, `first-${i}`)], { encoding: 'utf8' })
    return Number(out)
  })
  return times.sort((a, b) => a - b)[2]!
}

function versionMs (): { inos: number, node: number } {
  const time = (args: string[]): number => {
    const times = Array.from({ length: 7 }, () => {
      const start = performance.now()
      execFileSync(process.execPath, args)
      return performance.now() - start
    })
    return Math.round(times.sort((a, b) => a - b)[3]!)
  }
  return { inos: time([path(ROOT, 'cli', 'main.ts'), '--version']), node: time(['--version']) }
}

/** Resident MiB of an `inos up` that has nothing to do, and of all its executors. */
async function idleMemory (): Promise<{ node: number, executors: number }> {
  const up = spawn(process.execPath, [path(ROOT, 'cli', 'main.ts'), 'up', '--data', path(SCRATCH, 'idle'), '--json'], { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(up.stdout, 'data')
  await new Promise(resolve => setTimeout(resolve, 2_000))
  const figures = { node: residentMib(up.pid!), executors: descendantsOf(up.pid!).reduce((sum, pid) => sum + residentMib(pid), 0) }
  up.kill('SIGTERM')
  await once(up, 'exit')
  return figures
}

/** Executors and what their cells consist of. */
function descendantsOf (pid: number): number[] {
  const { stdout } = spawnSync('ps', ['-o', 'pid=', '--ppid', String(pid)], { encoding: 'utf8' })
  return stdout.trim().split(/\s+/).filter(Boolean).map(Number).flatMap(child => [child, ...descendantsOf(child)])
}

function residentMib (pid: number): number {
  const kib = /^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))
  return Math.round(Number(kib?.[1] ?? 0) / 1024)
}

async function serve (dir: string): Promise<void> {
  const node = await join({ dataDir: path(dir, 'seller'), listen: ['/ip4/127.0.0.1/tcp/0'], ...WIDE })
  const bare = await startNode({ seed: randomBytes(32), listen: ['/ip4/127.0.0.1/tcp/0'] })
  await serveBare(bare)
  process.once('disconnect', () => { process.exit() })
  process.send!({ node: node.addresses()[0], bare: bare.getMultiaddrs()[0]!.toString() })
}

async function first (dir: string): Promise<void> {
  const start = performance.now()
  await using node = await join({ dataDir: dir })
  await node.compute(echo(), 'hello')
  process.stdout.write(String(Math.round(performance.now() - start)))
}

const [mode, dir = ''] = process.argv.slice(2)
if (mode === 'serve') {
  await serve(dir)
} else if (mode === 'first') {
  await first(dir)
} else {
  try {
    const jobs = await benchJobs()
    for (const depth of Object.keys(DEPTHS) as Depth[]) {
      const { perSecond, p50Ms, ratio, bare } = jobs[depth]
      console.error(`${depth.padEnd(10)}  ${perSecond} jobs/s, p50 ${p50Ms} ms   bare echo ${bare.perSecond}/s, p50 ${bare.p50Ms} ms   ratio ${ratio}`)
    }
    const built = JSON.parse(execFileSync(process.execPath, [path(ROOT, 'scripts', 'build.ts')], { encoding: 'utf8' }).trim().split('\n').at(-1)!) as { bytes: number }
    console.log(JSON.stringify({ bench: 'job', ...jobs, joinToFirstResultMs: joinToFirstResult(), versionMs: versionMs(), idleMib: await idleMemory(), packageBytes: built.bytes }))
  } finally {
    rmSync(SCRATCH, { recursive: true, force: true })
  }
}
