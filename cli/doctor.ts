/** `inos doctor`: whether this machine and this data directory can do what a node needs, and what to do if not. */
import { constants } from 'node:fs'
import { access, statfs } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { Command } from 'commander'
import type { Operator } from '../src/node/operator.ts'
import { toInosError } from '../src/packet/errors.ts'
import { addData, addJson, addPeers, type CommonOptions, type Context, examples } from './command.ts'
import type { Output } from './output.ts'
import { plain } from './output.ts'
import { formatBytes } from './units.ts'

export interface Check {
  readonly name: string
  readonly status: 'ok' | 'warn' | 'fail'
  readonly detail: string
  /** What to do about it; null when nothing is to be done. */
  readonly next: string | null
}

interface DoctorOptions extends CommonOptions { peer: string[] }

/** Any free port, for the test of a node that is not running. */
const ANYWHERE = '/ip4/0.0.0.0/tcp/0'
const MIB = 1024 ** 2
/** Below these a store cannot grow, or soon cannot. */
const DISK_BYTES_MIN = 64 * MIB
const DISK_BYTES_WARN = 1024 * MIB
/** A job that does nothing ends within this on any machine that is fit. */
const SELF_TEST_MS_WARN = 2_000

export function addDoctor (program: Command, context: Context): void {
  const command = program.command('doctor').description('check this machine and data directory, and with --peer the way to another node; exit code 0 unless something fails')
  addJson(addData(addPeers(command)))
  examples(command, [
    ['inos doctor', 'one line a check, each with what to do next'],
    ['inos doctor --peer ADDR', 'also whether that node can dial this one, relays, and punches holes']
  ])
  command.action(async (options: DoctorOptions) => { context.finish(await examine(options, context)) })
}

async function examine ({ data, json, peer: peers }: DoctorOptions, { output, signal }: Context): Promise<number> {
  const { resolveDataDir } = await import('../src/node/data-dir.ts')
  const { ALONE, openOperator } = await import('./open.ts')
  const dataDir = resolveDataDir(data)
  const checks: Check[] = []
  const add = async (name: string, examine: () => Promise<Omit<Check, 'name'>>): Promise<void> => {
    output.status(`checking: ${name}`)
    const check = { name, ...await examine().catch(failed) }
    output.status(null)
    signal.throwIfAborted()
    checks.push(check)
    if (json !== true) await output.write(describeCheck(check, output))
  }

  await using held = new AsyncDisposableStack()
  let operator: Operator | undefined
  await add('node', async () => ok(`Node ${process.versions.node} on ${process.platform} ${process.arch}`))
  await add('isolation', checkIsolation)
  await add('data directory', async () => {
    // To be dialled back, a node that is not running has to listen for a while.
    operator = held.use(await openOperator({ data, join: peers.length === 0 ? ALONE : { listen: [ANYWHERE], serve: false }, output, signal }))
    await access(dataDir, constants.W_OK)
    return ok(operator.pid === process.pid ? `${dataDir} opens` : `${dataDir} belongs to the node of process ${operator.pid}, which answers`)
  })
  const opened = operator
  if (opened !== undefined) {
    await add('disk', () => checkDisk(dataDir))
    await add('job', () => testJob(opened, signal))
  }
  await add('listening', checkListening)
  await add('browsers', checkBrowsers)
  if (opened !== undefined && peers.length > 0) await checkPeers(opened, peers, add, signal)

  const isFit = checks.every(({ status }) => status !== 'fail')
  if (json === true) await output.json({ ok: isFit, checks })
  return isFit ? 0 : 100
}

type Add = (name: string, examine: () => Promise<Omit<Check, 'name'>>) => Promise<void>

async function checkPeers (operator: Operator, peers: readonly string[], add: Add, signal: AbortSignal): Promise<void> {
  const { tellReach, testPeer } = await import('./reach.ts')
  for (const address of peers) await testPeer(operator, address, add, signal)
  await add('reachability', async () => tellReach(await operator.reachability()))
}

export const ok = (detail: string): Omit<Check, 'name'> => ({ status: 'ok', detail, next: null })
export const warn = (detail: string, next: string): Omit<Check, 'name'> => ({ status: 'warn', detail, next })

function failed (thrown: unknown): Omit<Check, 'name'> {
  const { message, hint } = toInosError(thrown)
  return { status: 'fail', detail: message, next: hint ?? 'Run it again; if it stays, report it with this output.' }
}

function describeCheck ({ name, status, detail, next }: Check, { colors }: Output): string {
  const color = { ok: colors.green, warn: colors.yellow, fail: colors.red }[status]
  return `${color(status.padEnd(4))}  ${name.padEnd(14)}  ${plain(detail)}\n${next === null ? '' : `      ${''.padEnd(14)}  next: ${plain(next)}\n`}`
}

/** What executors are denied here beyond Node's own permissions. */
async function checkIsolation (): Promise<Omit<Check, 'name'>> {
  const { probeWalls } = await import('../src/node/executor-walls.ts')
  const { EXECUTOR_ENTRY } = await import('../src/node/executor-process.ts')
  const { cell, memory, network, parentDeath } = await probeWalls(EXECUTOR_ENTRY)
  const walls = [
    ...(cell === null ? ['no files, environment or processes by Node’s permissions'] : ['a root directory of their own with nothing but the program, no other process in sight']),
    ...(cell?.filter === true ? ['filtered system calls'] : []),
    ...(memory ? ['memory capped by the kernel'] : []), ...(network ? ['no network'] : []), ...(parentDeath ? ['their end with their parent'] : [])
  ]
  const detail = `executors have ${walls.join(', ')}`
  if (cell?.filter === true && memory) return ok(detail)
  if (memory && network && parentDeath) return { ...ok(detail), next: process.platform === 'linux' ? 'A second wall needs bubblewrap (the package has the same name) and user namespaces.' : null }
  return warn(detail, 'On Linux, install bubblewrap and util-linux (prlimit, setpriv, unshare); without them the node itself polls and watches.')
}

async function checkDisk (dataDir: string): Promise<Omit<Check, 'name'>> {
  const { bavail, bsize } = await statfs(dataDir)
  const free = bavail * bsize
  const detail = `${formatBytes(free)} free`
  if (free < DISK_BYTES_MIN) return { status: 'fail', detail, next: 'Free some space, or move the data directory with --data DIR.' }
  return free < DISK_BYTES_WARN ? warn(detail, 'Blobs of modules and results may take 2 GiB; free some space.') : ok(detail)
}

/** (module (memory (export "memory") 1) (func (export "run") (result i32) i32.const 0)) */
const NOTHING_MODULE = Uint8Array.from([
  0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00,
  0x01, 0x05, 0x01, 0x60, 0x00, 0x01, 0x7f,
  0x03, 0x02, 0x01, 0x00,
  0x05, 0x03, 0x01, 0x00, 0x01,
  0x07, 0x10, 0x02, 0x06, 0x6d, 0x65, 0x6d, 0x6f, 0x72, 0x79, 0x02, 0x00, 0x03, 0x72, 0x75, 0x6e, 0x00, 0x00,
  0x0a, 0x06, 0x01, 0x04, 0x00, 0x41, 0x00, 0x0b
])

/** The whole way of a job on this node: run, receipt, verification. */
async function testJob (operator: Operator, signal: AbortSignal): Promise<Omit<Check, 'name'>> {
  const { openBundle } = await import('../src/credits/bundle.ts')
  const { verify } = await import('../src/node/keys.ts')
  const begin = performance.now()
  const result = await operator.run(NOTHING_MODULE, new Uint8Array(0), { where: 'local', signal })
  openBundle(result.receipt, verify)
  const ms = Math.round(performance.now() - begin)
  const detail = `a job ran and its receipt verifies, ${ms} ms with the start of an executor`
  return ms > SELF_TEST_MS_WARN ? warn(detail, 'The machine is slow or busy; look at its load.') : ok(detail)
}

async function checkListening (): Promise<Omit<Check, 'name'>> {
  const server = createServer()
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  server.once('error', reject).listen(0, '127.0.0.1', resolve)
  await promise
  server.close()
  return ok('TCP and WebSocket on loopback can be listened on')
}

/** Of the transports with native parts, which a node may lack. */
async function checkBrowsers (): Promise<Omit<Check, 'name'>> {
  const [{ loadQuiche }, { loadWebRtc }] = await Promise.all([import('../src/node/quic/native.ts'), import('../src/node/webrtc.ts')])
  const transports = [
    { name: 'WebTransport (--listen /ip4/0.0.0.0/udp/4001/quic-v1/webtransport)', load: loadQuiche },
    { name: 'WebRTC (--listen /ip4/0.0.0.0/udp/4003/webrtc-direct, or /webrtc after they met through a relay)', load: loadWebRtc }
  ]
  const tried = await Promise.all(transports.map(async ({ name, load }) => await load().then(() => ({ name, error: null }), error => ({ name, error: toInosError(error) }))))
  const names = ['WebSocket (--listen /ip4/0.0.0.0/tcp/4002/ws)', ...tried.filter(({ error }) => error === null).map(({ name }) => name)]
  const errors = tried.map(({ error }) => error).filter(error => error !== null)
  const detail = [`browsers can dial this node by ${names.join(', ')}`, ...errors.map(({ message }) => message)].join('. ')
  return errors.length === 0 ? ok(detail) : { ...ok(detail), next: errors[0]!.hint ?? null }
}
