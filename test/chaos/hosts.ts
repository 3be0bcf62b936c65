/**
 * Network namespaces with a seeded relay between them (`relay.py`), from the campaign's side: where
 * a command runs in one, and links that are cut and healed. Needs Linux, a TUN device that this user
 * may open, and Python 3; without root, user namespaces, too.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { accessSync, constants } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'

/** What the relay did with packets: all it was given, lost by chance, overtaken by others, dropped at a cut, and for want of room. */
export interface RelayStats { readonly packets: number, readonly lost: number, readonly late: number, readonly cut: number, readonly full: number }

const IS_ROOT = process.getuid?.() === 0

type Program = readonly [command: string, ...args: string[]]

/** Who is not root becomes it in a user namespace. */
function asRoot (...program: Program): Program { return IS_ROOT ? program : ['unshare', '--user', '--map-root-user', ...program] }

export const addressOf = (host: number): string => `/ip4/10.77.0.${host + 1}/tcp/4001`

/** Why there can be no such hosts on this machine; null when there can. */
export function hostless (): string | null {
  if (process.platform !== 'linux') return 'network namespaces are Linux’s'
  try {
    accessSync('/dev/net/tun', constants.R_OK | constants.W_OK)
  } catch {
    return 'there is no TUN device that this user may open'
  }
  for (const [command, ...args] of [['nsenter', '--version'], ['python3', '--version'], asRoot('unshare', '--net', 'true')] satisfies Program[]) {
    if (spawnSync(command, args).status !== 0) return `\`${[command, ...args].join(' ')}\` fails`
  }
  return null
}

export class Hosts implements AsyncDisposable {
  readonly #relay: ChildProcess
  readonly #lines: AsyncIterator<string>
  readonly #keepers: readonly number[]

  private constructor (relay: ChildProcess, lines: AsyncIterator<string>, keepers: readonly number[]) {
    this.#relay = relay
    this.#lines = lines
    this.#keepers = keepers
  }

  static async open (seed: number, count: number): Promise<Hosts> {
    const [command, ...args] = asRoot('python3', join(import.meta.dirname, 'relay.py'), String(seed), String(count))
    const relay = spawn(command, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    relay.stdin.on('error', () => {})
    const lines = createInterface(relay.stdout)[Symbol.asyncIterator]()
    const { value } = await lines.next()
    if (value === undefined) throw new Error('the relay did not start')
    return new Hosts(relay, lines, (JSON.parse(value) as { keepers: number[] }).keepers)
  }

  /** The arguments of a command that runs `argv` on a host, as the very process that is started. */
  on (host: number, argv: readonly string[]): readonly [command: string, args: string[]] {
    const space = `/proc/${this.#keepers[host]}/ns`
    return ['nsenter', [...(IS_ROOT ? [] : [`--user=${space}/user`, '--preserve-credentials']), `--net=${space}/net`, ...argv]]
  }

  cut (a: number, b: number): void { this.#relay.stdin!.write(`cut ${a} ${b}\n`) }
  heal (a: number, b: number): void { this.#relay.stdin!.write(`heal ${a} ${b}\n`) }

  /** End the relay; connections between hosts end in silence. */
  async close (): Promise<RelayStats> {
    this.#relay.stdin!.end()
    const { value } = await this.#lines.next()
    if (value === undefined) throw new Error('the relay ended before its time')
    return JSON.parse(value) as RelayStats
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    if (this.#relay.exitCode !== null || this.#relay.signalCode !== null) return
    const ended = once(this.#relay, 'exit')
    this.#relay.stdin!.end()
    await ended
  }
}
