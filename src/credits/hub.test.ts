/**
 * The hub: its pure core under random commands, its signed answers between whole books, and what
 * somebody who pays twice, replays or loses power can get out of it.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { assertCleared, charterOf, cidOf, grant, readClearing } from '../../test/suites/credits-mesh.ts'
import { factsOf, hashOf, LIMITS_OF_JOB, type Node, signerOf, World } from '../../test/suites/credits-world.ts'
import { openEnvelope, seal, type Sealed } from '../packet/envelope.ts'
import { checkCheque, checkClearing, type Cheque, type Clearing } from '../packet/records.ts'
import { Hub } from './hub.ts'
import { Ledger } from './ledger.ts'
import type { Rules } from './terms.ts'

const ISSUER = signerOf('issuer')
const MEMBERS = ['a', 'b', 'c'].map(signerOf)

function rulesOf (changes: Partial<Rules> = {}): Rules { return charterOf(ISSUER.publicKey, changes) }

/** The issuer's pure core, and everything it was ever shown. */
class Bank {
  readonly rules = rulesOf()
  readonly ledger = new Ledger(ISSUER.id, ISSUER.publicKey, { charter: this.rules })
  readonly hub: Hub
  /** Cheques of each lane, oldest first; the hub may be shown any of them at any time. */
  readonly lanes = new Map<string, Sealed<Cheque>[]>()
  readonly clearings = new Map<string, Clearing>()
  readonly grants = new Map<string, bigint>()

  constructor (make: (ledger: Ledger) => Hub = ledger => new Hub(ledger)) {
    this.hub = make(this.ledger)
  }

  grant (member: number, id: number, amount: bigint): void {
    this.hub.grant(MEMBERS[member]!.id, cidOf(`grant ${id}`), amount)
    if (amount > 0n && !this.grants.has(`${id}`)) this.grants.set(`${id}`, amount)
  }

  /** A member writes one more cheque to another one, covered or not. */
  write (from: number, to: number, amount: bigint): void {
    const lane = this.lanes.get(`${from}${to}`) ?? []
    this.lanes.set(`${from}${to}`, lane)
    const last = lane.at(-1)
    const total = (last?.payload.total ?? 0n) + amount
    lane.push(seal<Cheque>('cheque', {
      net: this.rules.net, from: MEMBERS[from]!.publicKey, to: MEMBERS[to]!.publicKey, via: ISSUER.publicKey, epoch: 0, n: lane.length + 1, prev: last?.id ?? null, total,
      items: [{ order: cidOf(`${from}${to}${lane.length}`), amount, kind: 'job' }], ack: 0
    }, MEMBERS[from]!))
  }

  show (from: number, to: number, which: number): void {
    const lane = this.lanes.get(`${from}${to}`) ?? []
    const cheque = lane[which % lane.length]
    if (cheque === undefined) return
    const draft = this.hub.draftClearing(cheque)
    if (draft !== null) {
      const before = this.clearings.get(`${from}${to}`)
      assert.ok(before === undefined || (draft.total >= before.total && draft.cleared >= before.cleared && draft.fee >= before.fee), 'sums only grow')
      this.hub.clear(seal('clearing', checkClearing(draft), ISSUER))
      this.clearings.set(`${from}${to}`, draft)
    }
    assert.equal(this.hub.draftClearing(cheque), null, 'what is shown again changes nothing')
  }

  pay (member: number): void {
    this.ledger.recovery.sync(MEMBERS[member]!.id, 0)
    const draft = this.ledger.draftCheque(MEMBERS[member]!.id)
    if (draft === null) return
    const cheque = seal('cheque', checkCheque(draft), ISSUER)
    this.ledger.pay(cheque, MEMBERS[member]!.id, 0)
    this.ledger.acknowledge(MEMBERS[member]!.id, cheque.payload.n)
  }

  check (): void {
    const accounts = MEMBERS.map(({ id }) => this.hub.account(id))
    const issued = this.grants.values().reduce((sum, amount) => sum + amount, 0n)
    const fees = this.clearings.values().reduce((sum, { fee }) => sum + fee, 0n)
    assert.ok(accounts.every(account => account >= 0n), `no account falls below zero: ${accounts.join(' ')}`)
    assert.equal(accounts.reduce((sum, account) => sum + account), issued - fees, 'members have what was issued, less the fees')
    const onCheques = MEMBERS.reduce((sum, { id }) => sum + this.ledger.line(id).out.granted, 0n)
    assert.equal(this.ledger.balance().balance, fees - onCheques, 'what the issuer gave away is what it is short of')
    for (const [lane, { cleared }] of this.clearings) assert.ok(cleared <= this.lanes.get(lane)!.at(-1)!.payload.total, 'nothing is cleared that was not signed')
  }
}

type Command =
  | { do: 'grant', member: number, id: number, amount: bigint }
  | { do: 'write', from: number, to: number, amount: bigint }
  | { do: 'show', from: number, to: number, which: number }
  | { do: 'pay', member: number }

const member = fc.nat({ max: MEMBERS.length - 1 })
const pair = fc.constantFrom<[number, number]>([0, 1], [1, 0], [0, 2], [2, 0], [1, 2], [2, 1])
const amount = fc.oneof(fc.bigInt(1n, 100n), fc.bigInt(1n, 10n ** 9n))
const command: fc.Arbitrary<Command> = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant('grant' as const), member, id: fc.nat({ max: 6 }), amount }) },
  { weight: 4, arbitrary: fc.tuple(pair, amount).map(([[from, to], amount]) => ({ do: 'write' as const, from, to, amount })) },
  { weight: 6, arbitrary: fc.tuple(pair, fc.nat()).map(([[from, to], which]) => ({ do: 'show' as const, from, to, which })) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('pay' as const), member }) }
)

function run (commands: readonly Command[], make?: (ledger: Ledger) => Hub): Bank {
  const bank = new Bank(make)
  for (const command of commands) {
    switch (command.do) {
      case 'grant': bank.grant(command.member, command.id, command.amount); break
      case 'write': bank.write(command.from, command.to, command.amount); break
      case 'show': bank.show(command.from, command.to, command.which); break
      case 'pay': bank.pay(command.member)
    }
    bank.check()
  }
  return bank
}

/** A mutant: it forgets what it has cleared on a lane, and so clears a cheque whenever it is shown. */
class Forgetful extends Hub {
  readonly #account: (key: Uint8Array) => bigint

  constructor (ledger: Ledger) {
    super(ledger)
    this.#account = key => this.account(MEMBERS.find(({ publicKey }) => publicKey === key)!.id)
  }

  override draftClearing (cheque: Sealed<Cheque>): Clearing | null {
    const draft = super.draftClearing(cheque)
    const { net, from, to, epoch, n, total } = cheque.payload
    return draft ?? { net: net!, from, to, epoch, n, cheque: cheque.id, total, cleared: this.#account(from), fee: 0n }
  }
}

const commands = fc.array(command, { maxLength: 60, size: 'max' })

// Goal: invariant 2, exact to the µcr, and that clearing is idempotent, whatever is shown in whatever order, twice or never.
// Method: seeded random grants, cheques and clearings, covered or not; after each one the sums; and a mutant that must be caught.
test('members have what was issued less the fees, after every command', () => {
  const seeded = { numRuns: 300, seed: 20_261_123 }
  fc.assert(fc.property(commands, commands => { run(commands) }), seeded)
  assert.throws(() => { fc.assert(fc.property(commands, commands => { run(commands, ledger => new Forgetful(ledger)) }), seeded) }, error => /changes nothing/.test(String((error as Error).cause)))
})

// Goal: invariant 8 for the hub. Method: the same cheques to accounts that cover them, in two orders and with repeats: all accounts are the same.
test('the order in which cheques are shown makes no difference', () => {
  const shows = fc.array(fc.tuple(pair, fc.nat({ max: 4 })), { maxLength: 30 })
  fc.assert(fc.property(shows, shows, (one, other) => {
    const [a, b] = [one, other].map(order => {
      const bank = new Bank()
      for (const member of MEMBERS.keys()) bank.grant(member, member, 10n ** 9n)
      for (let n = 0; n < 5; n++) for (const [from, to] of [[0, 1], [1, 0], [0, 2], [2, 1]] as const) bank.write(from, to, BigInt(1_000_003 * (n + 1) * (from + 1)))
      for (const [[from, to], which] of order) bank.show(from, to, which)
      for (const [from, to] of [[0, 1], [1, 0], [0, 2], [2, 1]] as const) bank.show(from, to, 4)
      bank.check()
      return bank
    }) as [Bank, Bank]
    for (const [lane, { cleared, total }] of a.clearings) assert.deepEqual([cleared, total], [b.clearings.get(lane)!.cleared, b.clearings.get(lane)!.total])
    // Each step is rounded up by itself, so fees may differ by a µcr a step, and by nothing else.
    for (const bank of [a, b]) assert.ok(bank.clearings.values().every(({ cleared, fee }) => fee - cleared * 12_345n / 1_000_000n <= 5n))
  }), { numRuns: 100, seed: 20_261_123 })
})

async function meshOf (changes: Partial<Rules> = {}): Promise<{ world: World, hub: Node, a: Node, b: Node, c: Node }> {
  const world = new World({ charter: rulesOf(changes) })
  const mesh = { world, hub: await world.node('issuer'), a: await world.node('a'), b: await world.node('b'), c: await world.node('c') }
  for (const node of [mesh.a, mesh.b, mesh.c]) await mesh.hub.meet(node)
  return mesh
}

type Step =
  | { do: 'buy' | 'pay' | 'sync' | 'trade', who: number, whom: number }
  | { do: 'claim', who: number }
  | { do: 'wire', fate: 'deliver' | 'drop' | 'repeat', which: number }
  | { do: 'cut', who: number, kept: number }

const who = fc.nat({ max: 3 })
const which = fc.nat({ max: 1_000 })
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ do: fc.constantFrom('buy' as const, 'buy' as const, 'pay' as const, 'sync' as const, 'trade' as const, 'trade' as const), who, whom: who }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('claim' as const), who }) },
  { weight: 10, arbitrary: fc.record({ do: fc.constant('wire' as const), fate: fc.constantFrom('deliver' as const, 'deliver' as const, 'deliver' as const, 'drop' as const, 'repeat' as const), which }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('cut' as const), who, kept: fc.nat({ max: 6 }) }) }
)

/** A job and its cheque, with nothing lost on the way; what follows of it is up to the next steps. */
async function trade (world: World, buyer: Node, seller: Node): Promise<void> {
  await world.buy(buyer, seller)
  await world.settle()
  await world.pay(buyer, seller)
  await world.settle()
  await world.claim(seller)
}

async function take (world: World, nodes: readonly Node[], step: Step): Promise<void> {
  const { wire } = world
  if (step.do === 'wire') {
    const message = wire[step.which % Math.max(1, wire.length)]
    if (message === undefined) return
    if (step.fate !== 'repeat') wire.splice(wire.indexOf(message), 1)
    if (step.fate !== 'drop') await world.deliver(message)
    return
  }
  const node = nodes[step.who]!
  if (step.do === 'cut') {
    node.disk.cut(step.kept)
    await node.start()
  } else if (step.do === 'claim') await world.claim(node)
  else if (step.who !== step.whom) {
    const other = nodes[step.whom]!
    if (step.do === 'sync') await world.sync(node, other)
    else if (step.do === 'trade') await trade(world, node, other)
    else await (step.do === 'buy' ? world.buy(node, other) : world.pay(node, other))
  }
}

// Goal: invariants 2, 5, 7, 8, 9 and 12 for a mesh with its hub, over a hostile wire and through power cuts at any node.
// Method: seeded random steps; no account ever below zero; when all has arrived, all books agree to the µcr.
test('any sequence of work, loss and power cuts ends cleared', async () => {
  await fc.assert(fc.asyncProperty(fc.array(step, { maxLength: 80, size: 'max' }), async steps => {
    const { world, hub, a, b, c } = await meshOf({ offlineMax: 100_000_000n })
    const nodes = [hub, a, b, c]
    for (const node of [a, b, c]) await grant(world, hub, node, 100_000_000n)
    for (const step of steps) {
      await take(world, nodes, step)
      for (const { id } of [a, b, c]) assert.ok(hub.credits.accountOf(id) >= 0n)
    }
    await world.drain(nodes)
    assert.deepEqual(world.forks, [], 'no lane holds two signed contents for one number')
    await assertCleared(hub, [a, b, c], 300_000_000n)
  }), { numRuns: 30, seed: 20_261_123 })
})

/** A grant, two jobs, a cheque and its clearing; the process that does the write `crashAt` ends there, and starts again. */
async function scenario (crashAt: number): Promise<number> {
  const { world, hub, a, b } = await meshOf()
  let writes = 0
  let isKilled = false
  const killed = Promise.withResolvers<Node>()
  for (const node of [hub, a, b]) {
    node.disk.beforeWrite = () => {
      if (writes++ !== crashAt) return
      isKilled = true
      node.disk.detach()
      killed.resolve(node)
    }
  }
  const attempt = async (work: () => Promise<unknown>): Promise<void> => {
    const end = work().then(() => world.settle()).then(() => null)
    const dead = await (isKilled ? end : Promise.race([end, killed.promise]))
    if (dead === null) return
    await dead.start()
    world.wire.length = 0
    await world.drain([hub, a, b])
  }
  while (a.credits.account()!.free === 0n) await attempt(() => grant(world, hub, a, 50_000_000n))
  const bought = async (): Promise<number> => (await Array.fromAsync(a.credits.receipts())).length
  for (const wanted of [1, 2]) while (await bought() < wanted) await attempt(() => world.buy(a, b))
  await attempt(() => world.pay(a, b))
  await attempt(() => world.claim(b))
  await attempt(() => world.drain([hub, a, b]))
  await assertCleared(hub, [a, b], 50_000_000n)
  assert.ok(hub.credits.accountOf(b.id) > 0n)
  return writes
}

// Goal: invariant 9 with a hub. Method: kill the writing process at each write of a grant, two jobs and a clearing, in turn.
test('killed at any write, a grant is given once and a cheque cleared once', async () => {
  const writes = await scenario(-1)
  assert.ok(writes > 15, `${writes} writes`)
  for (let crashAt = 0; crashAt < writes; crashAt++) await scenario(crashAt)
})

const COST_MAX = 1_100_000n

/** One job, paid. @returns its charge, or why the seller refused */
async function buyAndPay (buyer: Node, seller: Node): Promise<bigint | string> {
  const order = await buyer.order(seller, COST_MAX)
  try {
    await using hold = await seller.credits.acceptOrder(buyer.id, order, seller.offer, LIMITS_OF_JOB)
    const { bytes, receipt } = await hold.settle(factsOf(order.id), bundle => bundle.bytes)
    await buyer.credits.acceptReceipt(seller.id, bytes)
    await buyer.pay(seller)
    return receipt.payload.charge
  } catch (error) {
    await buyer.credits.refuseOrder(order.id.toString())
    return (error as { code: string }).code
  }
}

async function buyAll (buyer: Node, seller: Node, after = async (): Promise<void> => {}): Promise<bigint> {
  let paid = 0n
  for (let jobs = 0; jobs < 1_000; jobs++) {
    const charge = await buyAndPay(buyer, seller)
    if (charge === 'ERR_INSUFFICIENT_CREDITS') return paid
    assert.ok(typeof charge === 'bigint', String(charge))
    paid += charge
    await after()
  }
  throw new Error('no end of credit')
}

/** A member whose own books say that it has much more than the issuer gave it. */
async function forger (name: string, changes: Partial<Rules>): Promise<Node> {
  const world = new World({ charter: rulesOf({ ...changes, offlineMax: 10n ** 12n }) })
  const node = await world.node(name)
  await grant(world, await world.node('issuer'), node, 10n ** 12n)
  return node
}

// Goal: double spend costs each payee the offline limit at most while the hub is away, and nothing once it has cleared; what bounced stays due and heals.
// Method: one who forged its own books buys from two, to the end; then the hub comes back; then the payer gets more.
test('who pays two with the same credit cheats each of the offline limit at most', async () => {
  const offlineMax = 3_000_000n
  const { world, hub, a: honest, b, c } = await meshOf({ offlineMax })
  await grant(world, hub, honest, 2_000_000n)
  const a = await forger('a', { offlineMax })
  const paid = [await buyAll(a, b), await buyAll(a, c)] as const
  for (const amount of paid) assert.ok(amount > 1_000_000n && amount <= offlineMax)
  for (const payee of [b, c, b]) {
    await world.claim(payee)
    await world.settle()
  }
  assert.equal(hub.credits.accountOf(a.id), 0n)
  const lost = [b, c].map(({ credits }, at) => {
    assert.equal(credits.balance().due, credits.line(a.id).due)
    return [paid[at]!, credits.line(a.id).due] as const
  })
  assert.equal(lost.reduce((sum, [amount, due]) => sum + amount - due, 0n), 2_000_000n, 'what was there is cleared')
  // The bounced one gets nothing more, and says why.
  assert.equal(await buyAndPay(a, c), 'ERR_INSUFFICIENT_CREDITS')
  await assert.rejects(c.credits.acceptOrder(a.id, await a.order(c, COST_MAX), c.offer, LIMITS_OF_JOB), { message: /have bounced/, hint: /ask the issuer/ })
  const audited = await c.credits.audit()
  assert.ok(audited.ok, JSON.stringify(audited.bad))
  assert.equal(audited.due, c.credits.balance().due)
  // Covered later, it is cleared later.
  await grant(world, hub, honest, 10_000_000n, 'more')
  for (const payee of [b, c]) {
    await world.claim(payee)
    await world.settle()
  }
  assert.equal(c.credits.balance().due + b.credits.balance().due, 0n)
  assert.ok(typeof await buyAndPay(a, c) === 'bigint')
})

// Goal: with the hub there, what has been cleared stays: nobody who was paid loses by what the payer does next.
// Method: the same forger, each cheque shown to the hub at once.
test('what is cleared is final', async () => {
  const { world, hub, a: honest, b, c } = await meshOf({ feePpm: 0 })
  await grant(world, hub, honest, 2_000_000n)
  const a = await forger('a', { feePpm: 0 })
  const show = (payee: Node) => async (): Promise<void> => { await world.claim(payee); await world.settle() }
  const first = await buyAll(a, b, show(b))
  assert.equal(hub.credits.accountOf(b.id), 2_000_000n)
  await buyAll(a, c, show(c))
  assert.equal(hub.credits.accountOf(b.id), 2_000_000n)
  // The one job that passed the end of the account, for b and for c.
  for (const [{ credits }, bound] of [[b, first - 2_000_000n], [c, COST_MAX]] as const) assert.ok(credits.line(a.id).due <= bound && bound <= COST_MAX)
})

// Goal: the hub clears nothing that is not a member's signed promise on its own lane, and what it answered once it answers again, to the byte.
// Method: each field of a good cheque changed and signed again, by others, in another mesh; old ones and repeats.
test('what is not owed is not cleared, and a repeat gets the same bytes', async () => {
  const { world, hub, a, b, c } = await meshOf()
  await grant(world, hub, a, 20_000_000n)
  for (let n = 0; n < 2; n++) await buyAndPay(a, b)
  const [older, bytes] = [...b.disk.rows()].filter(([key]) => key.startsWith('in!')).map(([, value]) => value) as [Uint8Array, Uint8Array]
  const { payload } = openEnvelope(bytes, 'cheque', checkCheque)
  const resigned = (changes: Partial<Cheque>, signer = a.signer) => seal<Cheque>('cheque', { ...payload, ...changes }, signer).bytes
  const accounts = (): bigint[] => [a, b, c].map(({ id }) => hub.credits.accountOf(id))
  const before = accounts()
  const wrong: [Uint8Array, Node, string][] = [
    [resigned({}, b.signer), b, 'ERR_RECORD_INVALID'],
    [resigned({ net: hashOf('elsewhere') }), b, 'ERR_WRONG_MESH'],
    [resigned({ via: c.signer.publicKey }), b, 'ERR_RECORD_INVALID'],
    [resigned({ via: null }), b, 'ERR_RECORD_INVALID'],
    [resigned({ epoch: 1 }), b, 'ERR_RECORD_INVALID'],
    [resigned({ from: b.signer.publicKey }, b.signer), b, 'ERR_RECORD_INVALID'],
    [resigned({ from: hub.signer.publicKey }, hub.signer), b, 'ERR_RECORD_INVALID'],
    [bytes, c, 'ERR_RECORD_INVALID'],
    [bytes.with(40, bytes[40]! ^ 1), b, 'ERR_RECORD_INVALID']
  ]
  for (const [cheque, payee, code] of wrong) await assert.rejects(hub.credits.clear(payee.id, [bytes, cheque]), { code })
  assert.deepEqual(accounts(), before, 'a claim with one wrong cheque clears none')
  await assert.rejects(b.credits.clear(a.id, [bytes]), { code: 'ERR_USAGE' })
  const [first] = await hub.credits.clear(b.id, [bytes])
  const after = accounts()
  assert.equal(readClearing(first!).cleared, payload.total)
  for (const cheque of [bytes, older, bytes]) assert.deepEqual(await hub.credits.clear(b.id, [cheque]), [first])
  // Power fails as soon as the answer is out.
  hub.disk.cut(0)
  await hub.start()
  assert.deepEqual(accounts(), after, 'what was answered is on disk')
  await assert.rejects(hub.credits.clear(b.id, [bytes]), { code: 'ERR_BUSY' })
  await hub.meet(b)
  assert.deepEqual(await hub.credits.clear(b.id, [older, bytes]), [first, first])
  assert.deepEqual(accounts(), after)
  // Whose word it is, and about whom, is checked at the other end.
  assert.equal(await b.credits.takeClearing(first!), a.id)
  assert.equal(await a.credits.takeClearing(first!), b.id)
  await assert.rejects(c.credits.takeClearing(first!), { code: 'ERR_RECORD_INVALID' })
  for (const changes of [{ net: hashOf('elsewhere') }, { epoch: 1 }, { total: payload.total + 1n }]) {
    await assert.rejects(a.credits.takeClearing(seal<Clearing>('clearing', { ...readClearing(first!), ...changes }, hub.signer).bytes))
  }
  await assert.rejects(b.credits.takeClearing(seal<Clearing>('clearing', readClearing(first!), a.signer).bytes), { code: 'ERR_RECORD_INVALID' })
  await world.drain([hub, a, b, c])
  await assertCleared(hub, [a, b, c], 20_000_000n)
})

// Goal: only the issuer makes credit. Method: a member's cheque with a grant on it, and one that passes a clearing on.
test('a member can grant nothing', async () => {
  const { world, hub, a, b } = await meshOf()
  await grant(world, hub, a, 20_000_000n)
  await assert.rejects(a.credits.grant(b.id, cidOf('x'), 1n), { code: 'ERR_USAGE' })
  for (const kind of ['grant', 'clearing'] as const) {
    const cheque = (via: Uint8Array | null) => seal<Cheque>('cheque', {
      net: rulesOf().net, from: a.signer.publicKey, to: b.signer.publicKey, via, epoch: 0, n: 1, prev: null, total: 5n, items: [{ order: cidOf(kind), amount: 5n, kind }], ack: 0
    }, a.signer).bytes
    for (const via of [hub.signer.publicKey, null]) await assert.rejects(b.credits.takeCheque(a.id, cheque(via)), { code: 'ERR_RECORD_INVALID' })
  }
  assert.equal(b.credits.balance().balance, 0n)
})

// Goal: an issuer whose books are an old copy gives no grant twice and clears no cheque twice, whatever order it learns of them in.
// Method: a grant, two clearings that were paid on and one that was not, all lost with the disk; claims before the sync and before the clearings are back.
test('an issuer with an old copy of its books grants and clears nothing twice', async () => {
  const { world, hub, a, b, c } = await meshOf()
  await grant(world, hub, a, 20_000_000n)
  const copy = new Map(hub.disk.rows())
  await grant(world, hub, b, 5_000_000n)
  for (const payee of [b, c]) {
    await buyAndPay(a, payee)
    await world.claim(payee)
    await world.settle()
  }
  await buyAndPay(a, b)
  const [unpaid] = (await b.credits.claims(false)).flat()
  for (const clearing of await hub.credits.clear(b.id, [unpaid!])) await b.credits.takeClearing(clearing)
  const accounts = (): bigint[] => [a, b, c].map(({ id }) => hub.credits.accountOf(id))
  const before = accounts()
  hub.disk.restore(copy)
  await hub.start()
  await hub.credits.grant(b.id, cidOf(b.id), 5_000_000n)
  assert.equal(await hub.credits.nextCheque(b.id), null, 'nothing is signed before the sync')
  const busy = { code: 'ERR_BUSY' }
  const known = (await b.credits.clearings()).flat()
  await assert.rejects(hub.credits.clear(b.id, [unpaid!]), busy)
  await assert.rejects(hub.credits.takeClearing(known[0]!), busy)
  for (const member of [a, b, c]) for (let round = 0; round < 2; round++) await hub.meet(member)
  await assert.rejects(hub.credits.clear(b.id, [unpaid!]), busy, 'clearings of its cheques lack here')
  await hub.credits.grant(b.id, cidOf(b.id), 5_000_000n)
  for (const clearing of [...known, ...known]) assert.equal(await hub.credits.takeClearing(clearing), b.id)
  await world.drain([hub, a, b, c])
  assert.deepEqual(accounts(), before)
  assert.deepEqual(world.forks, [])
  await assertCleared(hub, [a, b, c], 25_000_000n)
})

// Goal: proof of fraud bars a member whatever its account covers, at other members and at the issuer. Method: two cheques with one number.
test('who is caught in a fraud gets no work in a mesh', async () => {
  const { world, hub, a, b } = await meshOf()
  await grant(world, hub, a, 20_000_000n)
  await hub.meet(a)
  for (const seller of [b, hub]) {
    await buyAndPay(a, seller)
    const [, bytes] = [...seller.disk.rows()].find(([key]) => key.startsWith(`in!${a.id}!`))!
    const { payload } = openEnvelope(bytes, 'cheque', checkCheque)
    await assert.rejects(seller.credits.takeCheque(a.id, seal<Cheque>('cheque', { ...payload, ack: payload.ack + 1 }, a.signer).bytes), { code: 'ERR_RECORD_INVALID' })
    assert.ok(seller.credits.isFraud(a.id))
    const order = await a.order(seller, COST_MAX)
    await assert.rejects(seller.credits.acceptOrder(a.id, order, seller.offer, LIMITS_OF_JOB), { code: 'ERR_POLICY', message: /proof of fraud/ })
    assert.equal(seller.credits.spendable(a.id), 0n)
    const report = seller.credits.explain(a.id)
    assert.deepEqual({ lineMax: report.lineMax, acceptable: report.acceptable, frauds: report.frauds }, { lineMax: 0n, acceptable: 0n, frauds: 1 })
    assert.ok(report.reasons.some(reason => reason.includes('proof of fraud')))
  }
})
