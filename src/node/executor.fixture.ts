/**
 * Stands in for `executor.ts` in tests: an executor taken over by a guest. It is started by the same
 * function with the same denials, and does what the job's input says.
 */
import { spawnSync } from 'node:child_process'
import { randomUUID } from 'node:crypto'
import { existsSync, readFileSync, writeFileSync, writeSync } from 'node:fs'
import { connect, Socket } from 'node:net'
import { homedir } from 'node:os'
import { Worker } from 'node:worker_threads'
import { InosError } from '../packet/errors.ts'
import { load } from '../wasm/ranges.ts'
import type { Outcome, Run } from '../wasm/runtime.ts'
import { FrameReader, writeFrame } from './executor-frames.ts'
import type { Frame } from './executor-frames.ts'
import { decodeRun, encodeOutcome, encodeRefusal, ORDER_LIMITS } from './executor-messages.ts'

const pipe = new Socket({ fd: 3 })
const NAME = randomUUID()
const known = new Set<string>()
const reader = new FrameReader(() => ORDER_LIMITS, frame => { void obey(frame) })
/** Jobs come several at a time and are answered in their order. */
let last: Promise<void> = Promise.resolve()
let supply: PromiseWithResolvers<Uint8Array> | undefined

pipe.on('data', (chunk: Uint8Array) => { reader.push(chunk) })
pipe.on('close', () => { process.exit() })
writeFrame(pipe, { header: { kind: 'ready' }, parts: [] })

async function obey (frame: Frame): Promise<void> {
  const job = frame.header.job as number
  if (frame.header.kind === 'module') return supply?.resolve(frame.parts[0]!)
  if (frame.header.kind === 'absent') return supply?.reject(new InosError('ERR_EXECUTOR_LOST', 'absent'))
  const run = decodeRun(frame, () => {
    supply = Promise.withResolvers()
    writeFrame(pipe, { header: { kind: 'need', job }, parts: [] })
    return supply.promise
  })
  last = last.then(async () => {
    writeFrame(pipe, await perform(job, run).catch((error: unknown) => {
      if (error instanceof InosError) return encodeRefusal(job, error)
      throw error
    }))
  })
}

async function perform (job: number, run: Run): Promise<Frame> {
  if (!known.has(run.moduleId) && typeof run.wasm === 'function') await run.wasm()
  known.add(run.moduleId)
  const [command, argument] = run.args
  return encodeOutcome(job, outcome(await act(command ?? '', argument ?? '', await load(run.input))))
}

function outcome (text: string): Outcome {
  return { outcome: 'ok', exitCode: 0, result: new TextEncoder().encode(text), files: null, stderr: new Uint8Array(0), fuel: 1n, pages: 0, message: '' }
}

async function act (command: string, argument: string, input: Uint8Array): Promise<string> {
  switch (command) {
    case 'echo': return argument
    // In a cell every executor is process 1.
    case 'name': return NAME
    case 'wait': return new Promise(resolve => setTimeout(resolve, Number(argument), argument))
    case 'loop': return spin(Infinity)
    case 'burn': return burn()
    case 'exit': return process.exit(Number(argument))
    case 'write': return writeAndExit(input)
    case 'flood': return flood()
    case 'hog': return fillMemory(argument === 'touch')
    case 'reach': return JSON.stringify(await reach(JSON.parse(argument)))
  }
  throw new Error(`no such command: ${command}`)
}

function spin (ms: number): string {
  for (const end = performance.now() + ms; performance.now() < end;) Math.random()
  return 'spun'
}

/** Burn CPU after the job, as a compiler in the background does, and ask to be replaced. */
function burn (): string {
  setTimeout(() => {
    spin(200)
    writeFrame(pipe, { header: { kind: 'retire' }, parts: [] })
  }, 10)
  return NAME
}

function writeAndExit (bytes: Uint8Array): never {
  writeSync(3, bytes)
  process.exit()
}

/** Done when it is all out, or the answer could come first. */
async function flood (): Promise<string> {
  for (let i = 0; i < 1000; i++) await new Promise<void>(resolve => { process.stderr.write('flood '.repeat(1000), () => { resolve() }) })
  return 'flooded'
}

/** @param touch whether to make the memory resident, which takes a second per GiB */
function fillMemory (touch: boolean): string {
  const hog: Uint8Array[] = []
  while (hog.length < 100) hog.push(touch ? new Uint8Array(64 * 1024 * 1024).fill(1) : new Uint8Array(64 * 1024 * 1024))
  return 'full'
}

/** What a taken-over executor can reach: for each attempt what it got, or "denied". */
async function reach (targets: { files: string[], writable: string, parent: number, port: number }): Promise<Record<string, unknown>> {
  const attempt = (work: () => unknown): unknown => {
    try {
      return work() ?? 'done'
    } catch {
      return 'denied'
    }
  }
  return {
    env: Object.keys(process.env),
    cwd: process.cwd(),
    files: targets.files.map(file => attempt(() => readFileSync(file).length)),
    seen: targets.files.map(file => attempt(() => existsSync(file))),
    home: attempt(() => readFileSync(homedir())),
    write: attempt(() => writeFileSync(targets.writable, 'here')),
    spawn: attempt(() => spawnSync('/bin/true').status),
    worker: attempt(() => new Worker('0', { eval: true })),
    addon: attempt(() => process.dlopen({ exports: {} }, targets.writable)),
    code: attempt(() => new Function('return 1')()),
    signalParent: attempt(() => process.kill(targets.parent, 0)),
    network: await dial(targets.port)
  }
}

async function dial (port: number): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  try {
    connect(port, '127.0.0.1').on('connect', () => { resolve('connected') }).on('error', () => { resolve('denied') })
  } catch {
    resolve('denied')
  }
  return promise
}
