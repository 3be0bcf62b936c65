/**
 * A node process as the demo sees it: started, asked, seen to die, started again on the same data
 * directory. Which jobs it gets is left to `dispatch.ts`.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { InosError } from '../../src/packet/errors.ts'
import type { Call, Calls, Command, News } from './messages.ts'

/** `node-process.ts` beside this file, or `node-process.js` where the program is built. */
const ENTRY = fileURLToPath(new URL(`./node-process${import.meta.url.endsWith('.ts') ? '.ts' : '.js'}`, import.meta.url))
/** A start on a busy machine takes two seconds; one that takes this long has failed. */
const START_MS_MAX = 60_000
/** A call is a job at most, and a job has a deadline of its own. */
const CALL_MS_MAX = 300_000
/** End of what a node wrote to stderr, kept to say why it died. */
const DIAGNOSIS_CHARS_MAX = 4_000
const ON_WINDOWS = process.platform === 'win32'

interface Waiting { resolve (answer: unknown): void, reject (error: Error): void }

export interface Exit { readonly code: number | null, readonly signal: NodeJS.Signals | null }

export class Member {
  readonly name: string
  readonly dataDir: string
  /** PeerId; empty before the first start. */
  id = ''
  addresses: readonly string[] = []
  balance = 0n
  /** Whether jobs may go to it and come from it; the demo says so, not the process. */
  up = false
  #child: ChildProcess | null = null
  #exited: Promise<Exit> = Promise.resolve({ code: 0, signal: null })
  #diagnosis = ''
  #calls = new Map<number, Waiting>()
  #lastCall = 0
  #startup: Waiting | null = null
  /** Link of its dashboard; null without. */
  ui: string | null = null
  readonly #uiPort: number | null
  readonly #changed: () => void
  readonly #stop: () => void

  /** @param uiPort where its dashboard is served; null: nowhere @param stop called when that says Stop */
  constructor (name: string, dataDir: string, uiPort: number | null, { changed, stop }: { changed: () => void, stop: () => void }) {
    this.name = name
    this.dataDir = dataDir
    this.#uiPort = uiPort
    this.#changed = changed
    this.#stop = stop
  }

  get running (): boolean { return this.#child !== null }

  /** Settles when the process that runs now is gone. */
  get exited (): Promise<Exit> { return this.#exited }

  /** @throws {InosError} what kept the node from starting */
  async start (): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    this.#startup = { resolve, reject }
    this.#diagnosis = ''
    // A group of its own: Ctrl-C reaches the demo only, and one signal reaches a node with its executors.
    const child = fork(ENTRY, [this.dataDir, ...this.#uiPort === null ? [] : [String(this.#uiPort)]], { execArgv: [], serialization: 'advanced', detached: !ON_WINDOWS, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
    this.#child = child
    this.#exited = new Promise(resolve => {
      child.once('exit', (code, signal) => { resolve({ code, signal }) })
      child.on('error', () => { resolve({ code: null, signal: null }) })
    })
    void this.#exited.then(exit => { this.#gone(exit) })
    child.on('message', (news: News) => { this.#hear(news) })
    child.stderr?.setEncoding('utf8').on('data', (text: string) => { this.#diagnosis = (this.#diagnosis + text).slice(-DIAGNOSIS_CHARS_MAX) })
    await this.#within(promise, START_MS_MAX, 'start')
  }

  /** @throws {InosError} the node's refusal; ERR_PEER_LOST when the process is gone */
  async call<Name extends Command> (command: Name, ask: Calls[Name]['ask']): Promise<Calls[Name]['answer']> {
    const child = this.#child
    if (child === null) throw new InosError('ERR_PEER_LOST', `${this.name} does not run.`)
    const { promise, resolve, reject } = Promise.withResolvers<unknown>()
    const call = ++this.#lastCall
    this.#calls.set(call, { resolve, reject })
    // A failed send has no news of its own: the end of the process follows.
    child.send({ call, command, ask } as Call, () => {})
    try {
      return await this.#within(promise, CALL_MS_MAX, command) as Calls[Name]['answer']
    } finally {
      this.#calls.delete(call)
    }
  }

  /** SIGKILL to the node and its executors; harmless when it is gone. */
  kill (): void {
    const pid = this.#child?.pid
    if (pid === undefined) return
    try {
      process.kill(ON_WINDOWS ? pid : -pid, 'SIGKILL')
    } catch {
      // It went first.
    }
  }

  async #within (answer: Promise<unknown>, ms: number, what: string): Promise<unknown> {
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(() => { late.reject(new InosError('ERR_DEADLINE', `${this.name} did not ${what} within ${ms / 1000} s.`)) }, ms)
    try {
      return await Promise.race([answer, late.promise])
    } finally {
      clearTimeout(timer)
    }
  }

  #hear (news: News): void {
    switch (news.news) {
      case 'started':
        this.id = news.id
        this.addresses = news.addresses
        this.balance = news.balance
        this.ui = news.ui
        this.#startup?.resolve(null)
        break
      case 'balance':
        this.balance = news.balance
        this.#changed()
        break
      case 'stop':
        this.#stop()
        break
      case 'answer':
        this.#calls.get(news.call)?.resolve(news.answer)
        break
      case 'refusal': {
        const { code, message, hint } = news.refusal
        const waiting = news.call === null ? this.#startup : this.#calls.get(news.call)
        waiting?.reject(new InosError(code, message, hint === undefined ? {} : { hint }))
      }
    }
  }

  #gone ({ code, signal }: Exit): void {
    this.#child = null
    this.up = false
    const why = signal === null ? `with exit code ${code}` : `by ${signal}`
    const hint = this.#diagnosis.trim()
    const error = new InosError('ERR_PEER_LOST', `The process of ${this.name} ended ${why}.`, hint === '' ? {} : { hint })
    for (const { reject } of this.#calls.values()) reject(error)
    this.#startup?.reject(error)
    this.#startup = null
    this.#changed()
  }
}
