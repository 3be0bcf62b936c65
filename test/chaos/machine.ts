/** One machine of the campaign: an `inos up` on its host that is killed and started again on the same data directory. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { findNode } from '../../src/node/control-client.ts'
import type { Operator } from '../../src/node/operator.ts'
import { addressOf, type Hosts } from './hosts.ts'

const MAIN = fileURLToPath(new URL('../../cli/main.ts', import.meta.url))
/** Starts that may fail in a row. */
const STARTS = 5

export class Machine implements AsyncDisposable {
  readonly host: number
  readonly dataDir: string
  readonly #hosts: Pick<Hosts, 'on'>
  readonly #args: readonly string[]
  #process: ChildProcess | null = null
  #operator: Promise<Operator>
  #kills: Promise<void> = Promise.resolve()
  id = ''
  /** What it said when it ended by itself, which it never should. */
  fell: string | null = null

  /** @param args of `inos up`, beside the data directory */
  constructor (hosts: Pick<Hosts, 'on'>, host: number, dataDir: string, args: readonly string[] = ['--listen', addressOf(host)]) {
    this.#hosts = hosts
    this.#args = args
    this.host = host
    this.dataDir = dataDir
    this.#operator = this.#start(STARTS)
  }

  get address (): string { return addressOf(this.host) }

  /** The node there, when it is up. */
  async operator (): Promise<Operator> {
    for (let asked: Promise<Operator> | undefined; asked !== this.#operator;) {
      asked = this.#operator
      await asked
    }
    return await this.#operator
  }

  /** @param starts tries that are left */
  async #start (starts: number): Promise<Operator> {
    const [command, args] = this.#hosts.on(this.host, [process.execPath, MAIN, 'up', '--json', '--data', this.dataDir, '--slots', '1', ...this.#args])
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#process = child
    let says = ''
    child.stderr.on('data', chunk => { says = (says + chunk).slice(-2_000) })
    const lines = createInterface(child.stdout)
    const [line] = await Promise.race([once(lines, 'line') as Promise<[string]>, once(child, 'exit').then(() => [null] as const)])
    lines.on('line', () => {})
    const operator = line === null ? null : await findNode(this.dataDir)
    if (operator !== null) {
      this.id = operator.id
      child.once('exit', () => { if (this.#process === child) this.fell = says })
      return operator
    }
    if (starts === 0) throw new Error(`the node on host ${this.host} does not start: ${says}`)
    await end(child, 'SIGKILL')
    return await this.#start(starts - 1)
  }

  /** Power fails; after a while it comes back. Only then it can fail again. */
  async kill (downMs: number): Promise<void> {
    this.#kills = this.#kills.then(() => this.#kill(downMs))
    await this.#kills
  }

  async #kill (downMs: number): Promise<void> {
    await this.operator()
    this.#operator = this.#end('SIGKILL').then(() => sleep(downMs)).then(() => this.#start(STARTS))
    await this.operator()
  }

  /** As an interrupt ends it: what is owed is paid first. */
  async stop (): Promise<void> { await this.#end('SIGTERM') }

  async [Symbol.asyncDispose] (): Promise<void> { await this.#end('SIGKILL') }

  async #end (signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const child = this.#process
    this.#process = null
    if (child !== null) await end(child, signal)
  }
}

async function end (child: ChildProcess, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill(signal)
  await exited
}
