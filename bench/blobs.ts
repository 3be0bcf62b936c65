/**
 * A blob between processes over loopback TCP, from disk to disk, beside the same bytes over a bare
 * libp2p stream of the same two processes, which come from memory: dropped as they arrive, and written to one file; one
 * after the other. Then its holder is killed when half is here, and ten nodes fetch one module at once.
 *
 *   node bench/blobs.ts [--mib 1024] [--pairs 2] [--only pairs|killed|swarm] [--dir DIR]
 *
 * The last line of stdout is one JSON object. The bare stream is one of libp2p as it comes (TCP, Noise, Yamux). DIR is where the nodes keep theirs, a directory in memory shows what is not disk.
 * A ratio is a blob's bytes per second over those of the bare stream whose bytes are dropped, `fileRatio` over those of the one that writes a file; CPU is in milliseconds of
 * all threads for each MiB; memory is the reader's resident memory at its highest less that before its fetch.
 */
import { type ChildProcess, fork, spawnSync } from 'node:child_process'
import { randomFillSync } from 'node:crypto'
import { closeSync, openSync, writeSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as pathOf } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import type { Libp2p, Stream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { tcp } from '@libp2p/tcp'
import { yamux } from '@libp2p/yamux'
import { multiaddr } from '@multiformats/multiaddr'
import { createLibp2p } from 'libp2p'
import { join, LIMITS, type Node } from '../src/index.ts'

const MIB = 1024 * 1024
const BARE_PROTOCOL = '/inos/bench/bytes/1'
const LOOPBACK = '/ip4/127.0.0.1/tcp/0'
/** One write of the bare stream: about the most that one message of Noise takes. */
const BARE_BYTES = 64 * 1024
const MODULE_MIB = 24
const FETCHERS = 10
const SAMPLE_MS = 50

const PARTS = ['pairs', 'killed', 'swarm'] as const
type Part = typeof PARTS[number]

/** Milliseconds of all threads for each MiB. */
interface Cpu { reader: number, holder: number }

export interface BlobFigures {
  mib: number
  pairs?: { bareMBs: number, fileMBs: number, blobMBs: number, ratio: number, fileRatio: number, bareCpuMs: Cpu, fileCpuMs: Cpu, blobCpuMs: Cpu }[]
  /** Of the best pair. */
  ratio?: number
  fileRatio?: number
  memoryMiB?: number
  killed?: { mib: number, atMiB: number, seconds: number, chunks: number, told: number }
  swarm?: { nodes: number, moduleMiB: number, holderMiB: number, times: number, seconds: number }
}

/** What a child is told, and answers. */
interface Messages {
  put: { mib: number, seed: number }
  bare: { address: string, mib: number, isKept: boolean }
  fetch: { cid: string }
  connect: { address: string }
  forget: { cid: string }
  given: Record<string, never>
  cpu: Record<string, never>
}

class Child implements AsyncDisposable {
  readonly process: ChildProcess
  readonly #dir: string
  #waiting: ((value: unknown) => void) | null = null
  onProgress: (mib: number) => void = () => {}

  constructor (dir: string) {
    this.#dir = dir
    this.process = fork(fileURLToPath(import.meta.url), ['child', dir])
    this.process.on('message', (message: { progress?: number, value?: unknown }) => {
      if (message.progress !== undefined) this.onProgress(message.progress)
      else this.#waiting?.(message.value)
    })
  }

  static async start (): Promise<Child & { addresses: { node: string, bare: string } }> {
    const child = new Child(await mkdtemp(pathOf(tmpdir(), 'inos-bench-')))
    const addresses = await child.#next() as { node: string, bare: string }
    return Object.assign(child, { addresses })
  }

  async ask<K extends keyof Messages> (kind: K, message: Messages[K]): Promise<unknown> {
    this.process.send({ kind, ...message })
    return await this.#next()
  }

  #next (): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const ended = (): void => { reject(new Error('a child has ended')) }
      this.process.once('exit', ended)
      this.#waiting = value => {
        this.process.off('exit', ended)
        resolve(value)
      }
    })
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    this.process.kill('SIGKILL')
    await rm(this.#dir, { recursive: true, force: true })
  }
}

interface Fetched { seconds: number, told: number, memoryMiB: number }

export async function benchBlobs (mib: number, pairs: number, only?: Part): Promise<BlobFigures> {
  const isWanted = (part: Part): boolean => only === undefined || only === part
  return {
    mib,
    ...isWanted('pairs') ? await benchPairs(mib, pairs) : {},
    ...isWanted('killed') ? { killed: await benchKilled(mib) } : {},
    ...isWanted('swarm') ? { swarm: await benchSwarm() } : {}
  }
}

async function benchPairs (mib: number, pairs: number): Promise<Pick<BlobFigures, 'pairs' | 'ratio' | 'fileRatio' | 'memoryMiB'>> {
  await using holder = await Child.start()
  await using reader = await Child.start()
  const cid = await holder.ask('put', { mib, seed: 1 }) as string
  await reader.ask('connect', { address: holder.addresses.node })
  const cpuMs = async (): Promise<Cpu> => ({ reader: await reader.ask('cpu', {}) as number, holder: await holder.ask('cpu', {}) as number })
  const counted = async <T>(work: () => Promise<unknown>): Promise<[T, Cpu]> => {
    // What was written before is not to be paid for now.
    spawnSync('sync')
    const before = await cpuMs()
    const value = await work() as T
    const after = await cpuMs()
    return [value, { reader: round((after.reader - before.reader) / mib), holder: round((after.holder - before.holder) / mib) }]
  }
  const figures: NonNullable<BlobFigures['pairs']> = []
  let memoryMiB = 0
  for (let pair = 0; pair < pairs; pair++) {
    const address = holder.addresses.bare
    const [bare, bareCpuMs] = await counted<number>(() => reader.ask('bare', { address, mib, isKept: false }))
    const [file, fileCpuMs] = await counted<number>(() => reader.ask('bare', { address, mib, isKept: true }))
    const [blob, blobCpuMs] = await counted<Fetched>(() => reader.ask('fetch', { cid }))
    await reader.ask('forget', { cid })
    memoryMiB = Math.max(memoryMiB, blob.memoryMiB)
    figures.push({ bareMBs: round(mib / bare * MIB / 1e6), fileMBs: round(mib / file * MIB / 1e6), blobMBs: round(mib / blob.seconds * MIB / 1e6), ratio: round(bare / blob.seconds), fileRatio: round(file / blob.seconds), bareCpuMs, fileCpuMs, blobCpuMs })
  }
  return { pairs: figures, ratio: Math.max(...figures.map(({ ratio }) => ratio)), fileRatio: Math.max(...figures.map(({ fileRatio }) => fileRatio)), memoryMiB: round(memoryMiB) }
}

async function benchKilled (mib: number): Promise<NonNullable<BlobFigures['killed']>> {
  await using holder = await Child.start()
  await using second = await Child.start()
  await using reader = await Child.start()
  const cid = await holder.ask('put', { mib, seed: 1 }) as string
  await second.ask('put', { mib, seed: 1 })
  await reader.ask('connect', { address: holder.addresses.node })
  await reader.ask('connect', { address: second.addresses.node })
  let atMiB = 0
  reader.onProgress = here => {
    if (atMiB > 0 || here < mib / 2) return
    atMiB = here
    holder.process.removeAllListeners('exit')
    holder.process.kill('SIGKILL')
  }
  const rest = await reader.ask('fetch', { cid }) as Fetched
  return { mib, atMiB: round(atMiB), seconds: rest.seconds, chunks: mib * MIB / LIMITS.blobs.chunkBytes, told: rest.told }
}

/** Ten nodes of one process, one holder in another. */
async function benchSwarm (): Promise<NonNullable<BlobFigures['swarm']>> {
  await using holder = await Child.start()
  const cid = await holder.ask('put', { mib: MODULE_MIB, seed: 2 }) as string
  const dirs = await Promise.all(Array.from({ length: FETCHERS }, () => mkdtemp(pathOf(tmpdir(), 'inos-bench-'))))
  await using opened = new AsyncDisposableStack()
  opened.defer(async () => { await Promise.all(dirs.map(dir => rm(dir, { recursive: true, force: true }))) })
  const nodes: Node[] = []
  for (const dataDir of dirs) nodes.push(opened.use(await join({ dataDir, listen: [LOOPBACK], serve: false, slots: 1, peers: [holder.addresses.node] })))
  const began = performance.now()
  await Promise.all(nodes.map(node => node.blobs.pin(cid)))
  const seconds = round((performance.now() - began) / 1000)
  const holderMiB = round(await holder.ask('given', {}) as number / MIB)
  return { nodes: FETCHERS, moduleMiB: MODULE_MIB, holderMiB, times: round(holderMiB / MODULE_MIB), seconds }
}

function round (value: number): number { return Math.round(value * 100) / 100 }

/** Bytes that do not repeat, and are the same for the same seed. */
async function * bytesOf (mib: number, seed: number): AsyncIterable<Uint8Array> {
  const chunk = new Uint8Array(MIB).fill(seed)
  for (let at = 0; at < mib; at++) {
    new DataView(chunk.buffer).setUint32(0, at)
    yield chunk
  }
}

async function child (dataDir: string): Promise<void> {
  const node = await join({ dataDir, listen: [LOOPBACK], serve: false, slots: 1 })
  const bare = await createLibp2p({ addresses: { listen: [LOOPBACK] }, transports: [tcp()], connectionEncrypters: [noise()], streamMuxers: [yamux()] })
  await bare.handle(BARE_PROTOCOL, stream => { void sendBare(stream) })
  const fetch = async (cid: string): Promise<Fetched> => {
    globalThis.gc?.()
    const before = process.memoryUsage.rss()
    let [most, told, last] = [before, 0, 0]
    const sampling = setInterval(() => { most = Math.max(most, process.memoryUsage.rss()) }, SAMPLE_MS)
    const began = performance.now()
    await node.blobs.pin(cid, {
      onProgress ({ bytes }) {
        if (bytes > last) told++
        last = bytes
        process.send!({ progress: bytes / MIB })
      }
    })
    clearInterval(sampling)
    return { seconds: (performance.now() - began) / 1000, told, memoryMiB: (most - before) / MIB }
  }
  const work: { readonly [K in keyof Messages]: (message: Messages[K]) => unknown } = {
    put: ({ mib, seed }) => node.blobs.put(bytesOf(mib, seed)),
    bare: ({ address, mib, isKept }) => receiveBare(bare, address, mib, isKept ? pathOf(dataDir, 'bare') : null),
    fetch: ({ cid }) => fetch(cid),
    connect: ({ address }) => node.connect(address),
    forget: ({ cid }) => node.blobs.rm(cid),
    given: () => node.blobs.usage().givenBytes,
    cpu: () => {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1000
    }
  }
  process.on('message', (message: Messages[keyof Messages] & { kind: keyof Messages }) => {
    const done = Promise.resolve((work[message.kind] as (message: Messages[keyof Messages]) => unknown)(message))
    void done.then(value => { process.send!({ value: value ?? null }) })
  })
  process.on('disconnect', () => { process.exit() })
  process.send!({ value: { node: node.addresses()[0], bare: bare.getMultiaddrs()[0]!.toString() } })
}

/** The first message says how many MiB are wanted. */
async function sendBare (stream: Stream): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<number>()
  stream.addEventListener('message', ({ data }) => { resolve(new DataView(Uint8Array.from(data.subarray()).buffer).getUint32(0)) })
  const mib = await promise
  const chunk = randomFillSync(new Uint8Array(BARE_BYTES))
  for (let at = 0; at < mib * MIB; at += BARE_BYTES) if (!stream.send(chunk)) await new Promise(resolve => { stream.addEventListener('drain', resolve, { once: true }) })
}

/**
 * @param file where the bytes are written as they come, which holds the next ones back: a stream of stock libp2p that is paused ends when more
 *   arrives than it buffers; null to drop them
 * @returns seconds
 */
async function receiveBare (node: Libp2p, address: string, mib: number, file: string | null): Promise<number> {
  const stream = await node.dialProtocol(multiaddr(address), BARE_PROTOCOL)
  const fd = file === null ? null : openSync(file, 'w')
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  let left = mib * MIB
  stream.addEventListener('message', ({ data }) => {
    if (fd !== null) for (const part of data instanceof Uint8Array ? [data] : data) writeSync(fd, part)
    left -= data.byteLength
    if (left <= 0) resolve()
  })
  stream.addEventListener('close', () => { reject(new Error('the bare stream ended early')) })
  const began = performance.now()
  const wish = new Uint8Array(4)
  new DataView(wish.buffer).setUint32(0, mib)
  stream.send(wish)
  await promise
  const seconds = (performance.now() - began) / 1000
  if (fd !== null) {
    closeSync(fd)
    await rm(file!)
  }
  return seconds
}

if (process.argv[2] === 'child') {
  await child(process.argv[3]!)
} else if (import.meta.main) {
  const { values } = parseArgs({ options: { mib: { type: 'string', default: '1024' }, pairs: { type: 'string', default: '2' }, only: { type: 'string' }, dir: { type: 'string', default: tmpdir() } } })
  process.env['TMPDIR'] = values.dir
  const only = PARTS.find(part => part === values.only)
  if (values.only !== undefined && only === undefined) throw new Error(`--only takes ${PARTS.join(', ')}.`)
  console.log(JSON.stringify(await benchBlobs(Number(values.mib), Number(values.pairs), only)))
}
