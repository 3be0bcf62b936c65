/**
 * The contract of a `Network` that belongs to a private mesh, run against every one there is:
 * within one process (src/network/admission.test.ts) and libp2p over TCP (test/mesh-libp2p.test.ts).
 */
import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type { test as nodeTest } from 'node:test'
import { MemoryLevel } from 'memory-level'
import { foundMesh, type InviteTerms, type Membership, type MembershipParts, openMembership, pendingMembership } from '../../src/network/membership.ts'
import type { Network, Wire } from '../../src/network/network.ts'
import { createSigner, verify } from '../../src/node/keys.ts'
import { decodeInvitation } from '../../src/packet/invite.ts'
import { isCode, until } from './network.ts'

export interface MeshSuiteOptions {
  /** Goes before each test's name. */
  name: string
  test: typeof nodeTest
  /** A started network that others can dial; without a membership it belongs to the open mesh. */
  factory (seed: Uint8Array, membership?: Membership): Promise<Network>
}

export interface MeshNode { readonly network: Network, readonly membership: Membership, readonly parts: MembershipParts, readonly seed: Uint8Array }

const MS = 20_000
const inTime = (): AbortSignal => AbortSignal.timeout(MS)

export function partsOf (seed: Uint8Array): MembershipParts {
  return { store: new MemoryLevel<string, Uint8Array>({ valueEncoding: 'view' }), signer: createSigner(seed), verify, now: () => Math.floor(Date.now() / 1000), randomBytes }
}

/** Nodes of one test, stopped together. */
export class MeshWorld implements AsyncDisposable {
  readonly #factory: MeshSuiteOptions['factory']
  readonly #started: Network[] = []

  constructor (factory: MeshSuiteOptions['factory']) { this.#factory = factory }

  async found (): Promise<MeshNode> {
    const seed = randomBytes(32)
    const parts = partsOf(seed)
    return await this.start(seed, parts, await foundMesh(parts, { name: 'test' }))
  }

  /** Whoever is a member already starts again on the same books. */
  async start (seed: Uint8Array, parts: MembershipParts, membership: Membership): Promise<MeshNode> {
    return { network: await this.open(seed, membership), membership, parts, seed }
  }

  async open (seed: Uint8Array = randomBytes(32), membership?: Membership): Promise<Network> {
    const network = await this.#factory(seed, membership)
    this.#started.push(network)
    return network
  }

  invite ({ membership, network }: MeshNode, terms: InviteTerms = {}): string { return membership.inviteText(terms, network.addresses()) }

  /** Redeem an invite over the network. */
  async join (text: string, issuer: MeshNode, seed: Uint8Array = randomBytes(32)): Promise<MeshNode> {
    const parts = partsOf(seed)
    const node = await this.start(seed, parts, pendingMembership(parts, decodeInvitation(text, verify)))
    assert.equal(await node.network.dial(issuer.network.addresses()[0]!, inTime()), issuer.network.id)
    return node
  }

  async [Symbol.asyncDispose] (): Promise<void> {
    await Promise.all(this.#started.map(network => network.stop()))
  }
}

/** Wires that came in, each answered with "served". */
export function serve (network: Network): Wire[] {
  const wires: Wire[] = []
  network.handle(wire => {
    wires.push(wire)
    try {
      wire.write(new TextEncoder().encode('served'))
    } catch {
      // Whoever asked has gone.
    }
    wire.end().catch(() => {})
  })
  return wires
}

/** What comes back on a stream to `peer`; what it ended with instead of nothing. */
export async function ask (network: Network, peer: string): Promise<string> {
  let text = ''
  const wire = await network.open(peer, inTime())
  for await (const chunk of wire.read()) text += new TextDecoder().decode(chunk)
  return text
}

export function meshSuite ({ name, test, factory }: MeshSuiteOptions): void {
  const check = (title: string, run: (world: MeshWorld) => Promise<void>): void => {
    test(`${name}: ${title}`, { timeout: 3 * MS }, async () => {
      await using world = new MeshWorld(factory)
      await run(world)
    })
  }

  // Goal: an invite makes a member, members serve each other, and need no issuer for it.
  // Method: two join; the issuer stops; both directions between them, also with a node started anew on its books.
  check('members work with each other while the issuer is away', async world => {
    const issuer = await world.found()
    const text = world.invite(issuer, { count: 2, grant: 7n })
    const [b, c] = [await world.join(text, issuer), await world.join(text, issuer)]
    for (const { network } of [b, c]) serve(network)
    await until(() => issuer.network.peers().length === 2)
    assert.equal(b.membership.certificate?.payload.grant, 7n)
    await issuer.network.stop()
    assert.equal(await c.network.dial(b.network.addresses()[0]!, inTime()), b.network.id)
    assert.equal(await ask(c.network, b.network.id), 'served')
    assert.equal(await ask(b.network, c.network.id), 'served')
    assert.deepEqual(b.network.peers().map(({ id }) => id), [c.network.id])
    await b.network.stop()
    const membership = await openMembership(b.parts)
    const again = await world.start(b.seed, b.parts, membership!)
    assert.equal(await again.network.dial(c.network.addresses()[0]!, inTime()), c.network.id)
    assert.equal(await ask(again.network, c.network.id), 'served')
  })

  // Goal: strangers are served nothing, whoever dials, and are not kept. Method: a node of the open mesh and
  // one of another mesh dial a member, and a member dials them.
  check('strangers get nothing', async world => {
    const issuer = await world.found()
    const other = await world.found()
    const open = await world.open()
    const served = serve(issuer.network)
    const elsewhere = [serve(other.network), serve(open)]
    for (const stranger of [other.network, open]) {
      await stranger.dial(issuer.network.addresses()[0]!, inTime()).catch(() => {})
      await assert.rejects(ask(stranger, issuer.network.id))
      await assert.rejects(issuer.network.dial(stranger.addresses()[0]!, inTime()), isCode('ERR_NOT_MEMBER', 'ERR_WRONG_MESH'))
      await assert.rejects(ask(issuer.network, stranger.id))
      await until(() => !stranger.peers().some(({ id }) => id === issuer.network.id))
    }
    assert.deepEqual([served, ...elsewhere], [[], [], []])
    assert.deepEqual(issuer.network.peers(), [])
  })

  // Goal: revocation reaches everybody who is connected to somebody, cuts live connections, and lasts.
  // Method: B and C know each other, A revokes C; then C and B start again.
  check('who is revoked is cut, and stays out', async world => {
    const issuer = await world.found()
    const text = world.invite(issuer, { count: 2 })
    const [b, c] = [await world.join(text, issuer), await world.join(text, issuer)]
    const served = serve(b.network)
    if (!c.network.peers().some(({ id }) => id === b.network.id)) await c.network.dial(b.network.addresses()[0]!, inTime())
    assert.equal(await ask(c.network, b.network.id), 'served')
    await issuer.membership.revoke(c.network.id)
    await issuer.membership.revoke(c.network.id)
    await until(() => b.membership.isRevoked(c.network.id))
    await until(() => [issuer, b].every(({ network }) => !network.peers().some(({ id }) => id === c.network.id)))
    // Its own end of a connection that was cut may look alive for a moment.
    await until(() => c.network.peers().length === 0)
    const before = served.length
    for (const { network } of [b, issuer]) {
      await assert.rejects(c.network.dial(network.addresses()[0]!, inTime()), isCode('ERR_NOT_MEMBER', 'ERR_PEER_LOST', 'ERR_NOT_REACHABLE'))
      await assert.rejects(ask(c.network, network.id))
    }
    assert.equal(served.length, before)
    // Whoever dialled it would show it a certificate, and be let in there until it is cut.
    let entered = 0
    c.network.on({ connect: () => { entered++ }, disconnect: () => {} })
    for (const { network } of [b, issuer]) await assert.rejects(network.dial(c.network.addresses()[0]!, inTime()), isCode('ERR_NOT_MEMBER', 'ERR_NOT_REACHABLE'))
    assert.equal(entered, 0)
    await issuer.network.stop()
    const kept = await openMembership(b.parts)
    assert.equal(kept!.isMember(c.network.id), false)
    assert.equal(kept!.isMember(issuer.network.id), true)
  })

  // Goal: a later charter reaches everybody, its issuer being up or not, lasts, and comes from nobody else. Method: B is up when it is
  // amended, C starts when the issuer has gone and meets B; an older charter changes nothing; the issuer starts again.
  check('a later charter is taken over from any member', async world => {
    const issuer = await world.found()
    const text = world.invite(issuer, { count: 2 })
    const [b, c] = [await world.join(text, issuer), await world.join(text, issuer)]
    await c.network.stop()
    const before = issuer.membership.charter.bytes
    await issuer.membership.amend({ feePpm: 5_000 })
    await Promise.all([issuer.membership.amend({ offlineMax: 7n }), issuer.membership.amend({ name: 'amended' })])
    const rules = ({ charter: { payload: { version, name, feePpm, offlineMax } } }: Membership): unknown[] => [version, name, feePpm, offlineMax]
    const amended = [4, 'amended', 5_000, 7n]
    assert.deepEqual(rules(issuer.membership), amended)
    await until(() => b.membership.charter.payload.version === 4)
    await issuer.network.stop()
    const again = await world.start(c.seed, c.parts, (await openMembership(c.parts))!)
    assert.equal(again.membership.charter.payload.version, 1)
    await again.network.dial(b.network.addresses()[0]!, inTime())
    await until(() => again.membership.charter.payload.version === 4)
    await again.membership.learn('somebody', before, null)
    for (const { parts, membership } of [issuer, b, again]) for (const known of [membership, (await openMembership(parts))!]) assert.deepEqual(rules(known), amended)
    await assert.rejects(b.membership.amend({ feePpm: 0 }), isCode('ERR_NOT_MEMBER'))
    await assert.rejects(issuer.membership.amend({ feePpm: -1 }), isCode('ERR_USAGE'))
    assert.deepEqual(rules(issuer.membership), amended)
  })

  // Goal: an invite brings as many as it says, and a lost answer costs nothing. Method: count 1; the same PeerId twice,
  // on a store that lost the certificate; then another PeerId.
  check('an invite is counted by PeerId', async world => {
    const issuer = await world.found()
    const text = world.invite(issuer)
    const seed = randomBytes(32)
    const first = await world.join(text, issuer, seed)
    await first.network.stop()
    const again = await world.join(text, issuer, seed)
    assert.ok(again.membership.certificate!.id.equals(first.membership.certificate!.id))
    await assert.rejects(world.join(text, issuer), isCode('ERR_INVITE'))
    assert.equal(issuer.membership.members().length, 2)
  })
}
