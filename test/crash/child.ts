/** A node process of a campaign, from its parent's side. */
import { type ChildProcess, fork } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { Lanes } from './lanes.ts'
import type { Books, Bought, Crash, FromNode, NodeOptions, ToNode } from './messages.ts'

/** Nothing a point does takes longer on an idle machine than a few seconds. */
const PATIENCE_MS = 60_000

/** What to run: whole nodes, unless a bundle says otherwise. */
export interface NodeProgram { readonly path: string, readonly cachePath?: string }
const WHOLE: NodeProgram = { path: fileURLToPath(new URL('./node.ts', import.meta.url)) }

type Said<S extends FromNode['said']> = Extract<FromNode, { said: S }>

export class Child {
  readonly #process: ChildProcess
  readonly #heard: FromNode[] = []
  readonly exited: Promise<unknown>
  #wake = Promise.withResolvers<void>()
  #over = false
  #ending = false
  id = ''
  address = ''
  /** Its lanes as they lay on disk when it started. */
  disk: Lanes = {}
  readonly bought: Bought[] = []

  private constructor (options: NodeOptions, { path, cachePath }: NodeProgram) {
    const env = cachePath === undefined ? process.env : { ...process.env, NODE_COMPILE_CACHE: cachePath }
    this.#process = fork(path, [JSON.stringify(options)], { env, serialization: 'advanced', stdio: ['ignore', 'inherit', 'inherit', 'ipc'] })
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

  /** Start a node; it may have killed itself before it was ready. */
  static async launch (options: NodeOptions, program: NodeProgram = WHOLE): Promise<Child> {
    const child = new Child(options, program)
    const ready = await child.hear('ready')
    if (ready === null) {
      if (options.crash === null || !child.struck) throw new Error('a node did not start')
    } else {
      child.id = ready.id
      child.address = ready.addresses[0] ?? ''
      child.disk = ready.disk
    }
    return child
  }

  #notify (): void {
    this.#wake.resolve()
    this.#wake = Promise.withResolvers()
  }

  get alive (): boolean { return !this.#over }

  /** Whether it has killed itself, which it does at a named point only. */
  get struck (): boolean { return this.#over && !this.#ending && this.#process.signalCode === 'SIGKILL' }

  say (message: ToNode): void { if (this.#process.connected) this.#process.send(message, () => {}) }

  /** Wait for a message; null when the process has ended. */
  async hear<S extends FromNode['said']> (said: S): Promise<Said<S> | null> {
    let late = false
    const timer = setTimeout(() => {
      late = true
      this.#notify()
    }, PATIENCE_MS)
    try {
      for (;;) {
        const at = this.#heard.findIndex(message => message.said === said)
        if (at >= 0) return this.#heard.splice(at, 1)[0] as Said<S>
        if (this.#over) return null
        if (late) throw new Error(`a node did not say "${said}" within ${PATIENCE_MS} ms`)
        await this.#wake.promise
      }
    } finally {
      clearTimeout(timer)
    }
  }

  /** @throws when the process ends instead of an answer */
  async #ask<S extends FromNode['said']> (message: ToNode, said: S): Promise<Said<S>> {
    this.say(message)
    const answer = await this.hear(said)
    if (answer === null) throw new Error(`a node ended instead of saying "${said}"`)
    return answer
  }

  arm (crash: Crash | null): void { this.say({ do: 'arm', crash }) }

  async books (): Promise<Books> { return (await this.#ask({ do: 'books' }, 'books')).books }
  async lanes (): Promise<Lanes> { return (await this.#ask({ do: 'lanes' }, 'lanes')).lanes }
  async connect (address: string): Promise<void> {
    const { error } = await this.#ask({ do: 'connect', address }, 'connected')
    if (error !== null) throw new Error(`a node could not connect: ${error}`)
  }

  /** @returns false when it ended before */
  async synced (peer: string): Promise<boolean> {
    this.say({ do: 'sync', peer })
    return await this.hear('synced') !== null
  }

  /** Whether anything is open in its books; null when it has ended. */
  async isOpen (): Promise<boolean | null> {
    this.say({ do: 'rest' })
    return (await this.hear('rest'))?.open ?? null
  }

  async stop (): Promise<void> {
    this.#ending = true
    this.say({ do: 'stop' })
    const timer = setTimeout(() => { this.kill() }, 15_000)
    await this.exited
    clearTimeout(timer)
  }

  kill (): void {
    if (this.#over) return
    this.#ending = true
    this.#process.kill('SIGKILL')
  }
}
