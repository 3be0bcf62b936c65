/**
 * All node processes of one demo: started together, connected each with each, killed and brought
 * back one at a time, and on every way out none is left.
 */
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { InosError } from '../../src/packet/errors.ts'
import { reconcile } from './books.ts'
import { type Exit, Member } from './member.ts'

/** A node that was told to fall, or was killed, ends within this time. */
const END_MS_MAX = 120_000

export class Crew implements AsyncDisposable {
  readonly members: readonly Member[]
  #over = false
  /** Kills without waiting, for an exit that waits for nobody. */
  readonly #onExit = (): void => { for (const member of this.members) member.kill() }

  /** @param ui whose dashboard is served, and at which port; null: nobody's */
  constructor (directory: string, nodes: number, ui: { readonly place: number, readonly port: number } | null, hear: { changed: () => void, stop: () => void }) {
    this.members = Array.from({ length: nodes }, (_, place) => {
      const name = `node-${place + 1}`
      return new Member(name, join(directory, name), ui?.place === place ? ui.port : null, hear)
    })
    process.on('exit', this.#onExit)
  }

  /** Start every node, then connect each with each. */
  async start (): Promise<void> {
    await Promise.all(this.members.map(member => member.start()))
    for (const [place, member] of this.members.entries()) {
      await Promise.all(this.members.slice(0, place).map(other => member.call('connect', other.addresses)))
    }
    for (const member of this.members) member.up = true
  }

  /** Resolves when a node that was told to fall has been killed. */
  async seeFall (member: Member): Promise<void> {
    const { signal } = await this.#ended(member)
    if (signal !== 'SIGKILL') throw new InosError('ERR_INTERNAL', `${member.name} was to be killed, and ended by itself.`)
  }

  /** Start a killed node on what it left, connect it, and wait until its lines agree with the others'. */
  async bringBack (member: Member): Promise<void> {
    if (this.#over) throw new InosError('ERR_CANCELLED', 'The demo is over.')
    const before = member.id
    await member.start()
    if (member.id !== before) throw new InosError('ERR_INTERNAL', `${member.name} came back as another.`)
    const others = this.members.filter(other => other !== member)
    await Promise.all(others.map(other => member.call('connect', other.addresses)))
    await reconcile([member], others)
    member.up = true
  }

  /** Let every node pay what it owes and close its books; its process ends with the crew. */
  async stop (): Promise<void> {
    await Promise.all(this.members.map(member => member.call('stop', null)))
  }

  /** Whatever still runs is killed and seen to end. */
  async [Symbol.asyncDispose] (): Promise<void> {
    this.#over = true
    this.#onExit()
    await Promise.all(this.members.map(member => this.#ended(member)))
    process.off('exit', this.#onExit)
  }

  async #ended (member: Member): Promise<Exit> {
    const late = new AbortController()
    try {
      return await Promise.race([
        member.exited,
        sleep(END_MS_MAX, null, { signal: late.signal }).then(() => { throw new InosError('ERR_DEADLINE', `${member.name} did not end.`) })
      ])
    } finally {
      late.abort()
    }
  }
}
