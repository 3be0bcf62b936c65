/** A process of the campaign, from its parent's side: one question at a time. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { CallerOptions, FromProcess, HostOptions, ToProcess } from './messages.ts'

/** Nothing that is asked takes longer, also on a busy machine. */
const PATIENCE_MS = 120_000
const PROGRAM = fileURLToPath(new URL('./node.ts', import.meta.url))

export class Child {
  readonly #process: ChildProcess
  readonly exited: Promise<unknown>
  id = ''
  address = ''

  private constructor (options: HostOptions | CallerOptions) {
    this.#process = fork(PROGRAM, [JSON.stringify(options)], { stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.exited = once(this.#process, 'exit')
  }

  static async launch (options: HostOptions | CallerOptions): Promise<Child> {
    const child = new Child(options)
    const ready = await child.#next()
    if (ready?.said !== 'ready') throw new Error(`a ${options.role} did not start`)
    child.id = ready.id
    child.address = ready.addresses[0] ?? ''
    return child
  }

  /** @returns null when the process ended before it answered */
  async ask (message: ToProcess): Promise<FromProcess | null> {
    const answer = this.#next()
    if (this.#process.connected) this.#process.send(message, () => {})
    return await answer
  }

  async #next (): Promise<FromProcess | null> {
    const { promise, resolve, reject } = Promise.withResolvers<FromProcess | null>()
    const end = (): void => { resolve(null) }
    const timer = setTimeout(() => { reject(new Error(`a process said nothing for ${PATIENCE_MS} ms`)) }, PATIENCE_MS)
    this.#process.once('message', resolve)
    this.#process.once('exit', end)
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) end()
    try {
      return await promise
    } finally {
      clearTimeout(timer)
      this.#process.off('message', resolve)
      this.#process.off('exit', end)
    }
  }

  /** As if its machine had stopped it: nothing is said or written any more. */
  async kill (): Promise<void> {
    this.#process.kill('SIGKILL')
    await this.exited
  }
}
