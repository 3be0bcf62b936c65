/** A node process of the campaign, from its parent's side. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import type { Books, Bought, Crash, FromNode, NodeOptions, ToNode } from './messages.ts'

/** Nothing a point does takes longer on an idle machine than a few seconds. */
const PATIENCE_MS = 60_000

export class Child {
  readonly #process: ChildProcess
  readonly #heard: FromNode[] = []
  readonly exited: Promise<unknown>
  #wake = Promise.withResolvers<void>()
  #over = false
  id = ''
  address = ''
  readonly bought: Bought[] = []

  private constructor (options: NodeOptions) {
    this.#process = fork(new URL('./node.ts', import.meta.url), [JSON.stringify(options)], { serialization: 'advanced', stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
    this.#process.on('message', (message: FromNode) => {
      if (message.said === 'bought') this.bought.push(message.result)
      else this.#heard.push(message)
      this.#notify()
    })
    this.exited = once(this.#process, 'exit').then(() => {
      this.#over = true
      this.#notify()
    })
  }

  /** Start a node; null when it killed itself before it was ready. */
  static async start (options: NodeOptions): Promise<Child> {
    const child = new Child(options)
    const ready = await child.hear('ready')
    if (ready === null) throw new Error('a node did not start')
    child.id = ready.id
    child.address = ready.addresses[0] ?? ''
    return child
  }

  #notify (): void {
    this.#wake.resolve()
    this.#wake = Promise.withResolvers()
  }

  get alive (): boolean { return !this.#over }

  say (message: ToNode): void { if (this.#process.connected) this.#process.send(message, () => {}) }

  /** Wait for a message; null when the process has ended. */
  async hear<S extends FromNode['said']> (said: S): Promise<Extract<FromNode, { said: S }> | null> {
    const deadline = Date.now() + PATIENCE_MS
    for (;;) {
      const at = this.#heard.findIndex(message => message.said === said)
      if (at >= 0) return this.#heard.splice(at, 1)[0] as Extract<FromNode, { said: S }>
      if (this.#over) return null
      if (Date.now() > deadline) throw new Error(`a node did not say "${said}" within ${PATIENCE_MS} ms`)
      await Promise.race([this.#wake.promise, new Promise(resolve => setTimeout(resolve, 1_000))])
    }
  }

  arm (crash: Crash | null): void { this.say({ do: 'arm', crash }) }

  async books (): Promise<Books> {
    this.say({ do: 'books' })
    const answer = await this.hear('books')
    if (answer === null) throw new Error('a node ended while its books were read')
    return answer.books
  }

  async connect (address: string): Promise<void> {
    this.say({ do: 'connect', address })
    if (await this.hear('connected') === null) throw new Error('a node ended while it connected')
  }

  async stop (): Promise<void> {
    this.say({ do: 'stop' })
    const timer = setTimeout(() => { this.#process.kill('SIGKILL') }, 15_000)
    await this.exited
    clearTimeout(timer)
  }

  kill (): void { this.#process.kill('SIGKILL') }
}
