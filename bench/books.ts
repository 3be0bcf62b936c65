/**
 * Books of a long life: a store of so many cheques on disk, how long a node takes to open it, and
 * whether asking for the balance takes longer there than in empty books.
 */
import { randomBytes } from 'node:crypto'
import { ClassicLevel } from 'classic-level'
import { createCredits } from '../src/credits/credits.ts'
import { encodeLanes, newLine } from '../src/credits/line.ts'
import { SCHEMA } from '../src/credits/migrations.ts'
import { encodeText, KEYS, type Op, put } from '../src/credits/store.ts'
import { createSigner, verify } from '../src/node/keys.ts'
import { rawCid } from '../src/packet/cid.ts'
import { seal, type Sealed } from '../src/packet/envelope.ts'
import type { Signer } from '../src/packet/identity.ts'
import type { Ack, Cheque } from '../src/packet/records.ts'

const CHEQUES_PER_PEER = 1_000
const ASKS = 1_000_000
const OPENINGS = 5

export interface BooksFigures {
  cheques: number
  /** createCredits() on that store, the store itself opened anew each time; median and worst of five, milliseconds. */
  openMs: number
  openMsMax: number
  /** One balance(), nanoseconds, after that many cheques and in empty books. */
  balanceNs: number
  balanceNsEmpty: number
}

export async function benchBooks (dir: string, cheques: number): Promise<BooksFigures> {
  const signer = createSigner(randomBytes(32))
  await generate(dir, signer, cheques)
  const times: number[] = []
  let balanceNs = 0
  for (let i = 0; i < OPENINGS; i++) {
    const start = performance.now()
    await using store = new ClassicLevel<string, Uint8Array>(dir, { valueEncoding: 'view' })
    const credits = await createCredits({ store, signer, verify, now: () => 1_800_000_000, randomBytes })
    times.push(performance.now() - start)
    if (credits.balance().earned !== BigInt(cheques)) throw new Error('the generated books say something else')
    balanceNs = ask(() => credits.balance())
  }
  times.sort((a, b) => a - b)
  await using empty = new ClassicLevel<string, Uint8Array>(`${dir}-empty`, { valueEncoding: 'view' })
  const credits = await createCredits({ store: empty, signer, verify, now: () => 1_800_000_000, randomBytes })
  return { cheques, openMs: Math.round(times[OPENINGS >> 1]!), openMsMax: Math.round(times.at(-1)!), balanceNs, balanceNsEmpty: ask(() => credits.balance()) }
}

function ask (balance: () => unknown): number {
  const start = performance.now()
  for (let i = 0; i < ASKS; i++) balance()
  return Math.round((performance.now() - start) * 1e6 / ASKS)
}

/** Lanes of true cheques and acks, each chained to the one before; opening does not verify, so that they are signed with zeros. */
async function generate (dir: string, to: Signer, cheques: number): Promise<void> {
  await using store = new ClassicLevel<string, Uint8Array>(dir, { valueEncoding: 'view' })
  await store.put(KEYS.version, encodeText(String(SCHEMA)))
  for (let done = 0; done < cheques; done += CHEQUES_PER_PEER) {
    const from: Signer = { ...createSigner(randomBytes(32)), sign: () => new Uint8Array(64) }
    const line = newLine(from.id, from.publicKey)
    const ops: Op[] = []
    for (let n = 1; n <= Math.min(CHEQUES_PER_PEER, cheques - done); n++) {
      const order = rawCid(encodeText(`${done} ${n}`))
      const cheque: Sealed<Cheque> = seal('cheque', {
        net: null, from: from.publicKey, to: to.publicKey, via: null, epoch: 0, n, prev: line.in.last, total: BigInt(n), items: [{ order, amount: 1n, kind: 'job' }], ack: 0
      }, from)
      const ack = seal<Ack>('ack', { net: null, from: from.publicKey, to: to.publicKey, epoch: 0, n, cheque: cheque.id }, from)
      ops.push(put(KEYS.in(from.id, n), cheque.bytes), put(KEYS.ack(from.id, n), ack.bytes))
      Object.assign(line.in, { n, total: BigInt(n), last: cheque.id })
    }
    await store.batch([...ops, put(KEYS.line(from.id), encodeLanes(line))], { sync: false })
  }
}
