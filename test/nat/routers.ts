/**
 * An internet of network namespaces: two public hosts, and two homes behind a router each that translates
 * addresses and lets in only answers. Needs Linux with nftables and iproute2; without root, user namespaces, too.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'

/** `open`: a port keeps its number on the way out, whomever it leads to; `strict`: each destination sees another one. */
export type Nat = 'open' | 'strict'

/** Hosts that nodes run on, in the order of their numbers. */
export const HOSTS = ['relay', 'spare', 'a', 'b'] as const
export type Host = typeof HOSTS[number]

/** Documentation networks count as private, so these are somebody's; no packet leaves the namespaces. */
const PUBLIC: Readonly<Record<string, string>> = { relay: '5.1.1', spare: '5.2.2', routerA: '5.3.3', routerB: '5.4.4' }
const HOME: Readonly<Record<string, readonly [host: string, net: string]>> = { routerA: ['a', '192.168.1'], routerB: ['b', '192.168.2'] }
const SPACES = ['internet', 'relay', 'spare', 'routerA', 'routerB', 'a', 'b'] as const
type Space = typeof SPACES[number]

const IS_ROOT = process.getuid?.() === 0

/** Where a public host listens. */
export const addressOf = (host: 'relay' | 'spare'): string => `/ip4/${PUBLIC[host]}.2/tcp/4001`

/** Why there can be no such internet on this machine; null when there can. */
export function routerless (): string | null {
  if (process.platform !== 'linux') return 'network namespaces are Linux’s'
  const tries = [['nsenter', '--version'], ['ip', '-V'], ['nft', '--version'], [...asRoot(), 'unshare', '--net', 'sh', '-c', `${rules('strict')} && echo 1 > /proc/sys/net/ipv4/ip_forward`]]
  for (const [command, ...args] of tries) if (spawnSync(command!, args).status !== 0) return `\`${command} ${args.slice(0, 3).join(' ')}\` fails`
  return null
}

/** Who is not root becomes it in a user namespace. */
function asRoot (): string[] { return IS_ROOT ? [] : ['unshare', '--user', '--map-root-user'] }

function rules (nat: Nat): string {
  return `nft '
    table ip home {
      chain out { type nat hook postrouting priority 100; oifname "wan" masquerade ${nat === 'strict' ? 'fully-random' : ''}; }
      chain here { type filter hook input priority 0; iifname "wan" ct state established,related accept; iifname "wan" drop; }
      chain through { type filter hook forward priority 0; iifname "wan" ct state established,related accept; iifname "wan" drop; }
    }'`
}

export class Routers implements AsyncDisposable {
  /** Each keeps one namespace until its input ends. */
  readonly #keepers = new Map<Space, ChildProcess>()

  static async open (nat: Nat): Promise<Routers> {
    const routers = new Routers()
    try {
      for (const space of SPACES) await routers.#add(space)
      routers.#connect(nat)
    } catch (error) {
      await routers[Symbol.asyncDispose]()
      throw error
    }
    return routers
  }

  /** The arguments of a command that runs `argv` on a host, as the very process that is started. */
  on (host: number, argv: readonly string[]): readonly [command: string, args: string[]] { return this.#in(HOSTS[host]!, argv) }

  /** The same on the router of the first home. */
  atRouter (argv: readonly string[]): readonly [command: string, args: string[]] { return this.#in('routerA', argv) }

  /** One keeper of a user namespace is enough: the first. */
  async #add (space: Space): Promise<void> {
    const program = ['unshare', '--net', 'sh', '-c', 'echo up; read end']
    const first = this.#keepers.get('internet')
    const [command, ...args] = first === undefined ? [...asRoot(), ...program] : IS_ROOT ? program : ['nsenter', `--user=/proc/${first.pid}/ns/user`, '--preserve-credentials', ...program]
    const keeper = spawn(command!, args, { stdio: ['pipe', 'pipe', 'inherit'] })
    this.#keepers.set(space, keeper)
    const [said] = await Promise.race([once(keeper.stdout, 'data') as Promise<[Buffer]>, once(keeper, 'exit').then(() => [null] as const)])
    if (said === null) throw new Error(`there is no namespace for ${space}`)
  }

  #connect (nat: Nat): void {
    const forward = 'echo 1 > /proc/sys/net/ipv4/ip_forward'
    this.#run('internet', `ip link set lo up && ${forward}`)
    for (const [space, net] of Object.entries(PUBLIC) as [Space, string][]) this.#link('internet', `to-${space}`, space, 'wan', net)
    for (const [router, [home, net]] of Object.entries(HOME) as [Space, [Space, string]][]) {
      this.#run(router, `${forward} && ${rules(nat)}`)
      this.#link(router, 'lan', home, 'lan', net)
    }
  }

  /** A cable from a router to whoever has it for its way out. */
  #link (router: Space, port: string, space: Space, device: string, net: string): void {
    this.#run(router, `ip link add ${port} type veth peer name ${device} netns ${this.#keepers.get(space)!.pid} && ip addr add ${net}.1/24 dev ${port} && ip link set ${port} up`)
    this.#run(space, `ip link set lo up && ip addr add ${net}.2/24 dev ${device} && ip link set ${device} up && ip route add default via ${net}.1`)
  }

  #run (space: Space, script: string): void {
    const [command, args] = this.#in(space, ['sh', '-c', script])
    const { status, stderr } = spawnSync(command, args)
    if (status !== 0) throw new Error(`${space}: ${script}: ${stderr}`)
  }

  #in (space: Space, argv: readonly string[]): readonly [command: string, args: string[]] {
    const of = `/proc/${this.#keepers.get(space)!.pid}/ns`
    return ['nsenter', [...(IS_ROOT ? [] : [`--user=${of}/user`, '--preserve-credentials']), `--net=${of}/net`, ...argv]]
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    await Promise.all(Array.from(this.#keepers.values(), async keeper => {
      if (keeper.exitCode !== null || keeper.signalCode !== null) return
      const ended = once(keeper, 'exit')
      keeper.stdin!.end()
      await ended
    }))
  }
}
