import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import * as vectors from '../../test/suites/record-vectors.ts'
import { openBundle } from '../credits/bundle.ts'
import { createSigner, verify } from '../node/keys.ts'
import { rawCid } from './cid.ts'
import { openEnvelope, seal, verifySealed } from './envelope.ts'
import { InosError } from './errors.ts'
import { checkCharter, checkInvite, checkMember, checkRevocations, openCharter, openInvite, openMember, openRevocations } from './mesh.ts'
import { checkAck, checkCheque, checkOffer, checkOrder, checkReceipt } from './records.ts'
import { decodeSpec } from './spec.ts'

const committed = JSON.parse(readFileSync(new URL('../../test/vectors/records.json', import.meta.url), 'utf8')) as vectors.Vector[]
const KINDS = {
  offer: { check: checkOffer, payload: vectors.offer.payload, author: vectors.EXECUTOR_SEED },
  order: { check: checkOrder, payload: vectors.order.payload, author: vectors.PAYER_SEED },
  receipt: { check: checkReceipt, payload: vectors.receipt.payload, author: vectors.EXECUTOR_SEED },
  cheque: { check: checkCheque, payload: vectors.cheque.payload, author: vectors.PAYER_SEED },
  ack: { check: checkAck, payload: vectors.ack.payload, author: vectors.EXECUTOR_SEED },
  charter: { check: checkCharter, payload: vectors.charter.payload, author: vectors.PAYER_SEED },
  invite: { check: checkInvite, payload: vectors.invite.payload, author: vectors.PAYER_SEED },
  member: { check: checkMember, payload: vectors.member.payload, author: vectors.PAYER_SEED },
  revocations: { check: checkRevocations, payload: vectors.revocations.payload, author: vectors.PAYER_SEED }
} as const
type Kind = keyof typeof KINDS

const refuses = (kind: Kind, change: object, field: string): void => {
  const { check, payload } = KINDS[kind]
  assert.throws(() => check({ ...payload, ...change }), (error: unknown) => {
    assert.ok(error instanceof InosError && error.code === 'ERR_RECORD_INVALID')
    assert.ok(error.message.includes(field), `${field}: ${error.message}`)
    return true
  }, `${kind} ${field}`)
}

// Goal: bytes and ids of records never change unnoticed. Method: compare with what is committed, and read that back.
test('records have the committed bytes', () => {
  assert.deepEqual(vectors.makeVectors(), committed)
  for (const { name, id, bytes } of committed) {
    const encoded = new Uint8Array(Buffer.from(bytes, 'hex'))
    if (name === 'spec') assert.equal(decodeSpec(encoded).id.toString(), id)
    else if (name.startsWith('bundle')) assert.equal(openBundle(encoded, verify).receipt.id.toString(), id)
    else {
      const kind = (({ batched: 'receipt', 'order in a mesh': 'order' } as Record<string, string>)[name] ?? name) as Kind
      const record = openEnvelope<object>(encoded, kind, KINDS[kind].check)
      verifySealed(record, createSigner(KINDS[kind].author).publicKey, verify)
      assert.equal(record.id.toString(), id)
      assert.deepEqual(record.payload, name === 'order in a mesh' ? vectors.meshOrder.payload : KINDS[kind].payload)
    }
  }
})

// Goal: no field may be missing, extra, or of another type. Method: every field of every kind, taken away and replaced.
test('every field is required and typed', () => {
  for (const kind of Object.keys(KINDS) as Kind[]) {
    const { check, payload } = KINDS[kind]
    assert.deepEqual(check(payload), payload)
    for (const field of Object.keys(payload)) {
      const { [field as keyof typeof payload]: _, ...rest } = payload
      assert.throws(() => check(rest), { code: 'ERR_RECORD_INVALID', message: new RegExp(`"${field}"`) })
      for (const value of [undefined, {}, 'x'.repeat(65), -1, 1.5, Number.NaN, new Uint8Array(31), [1]]) refuses(kind, { [field]: value }, `"${field}"`)
    }
    refuses(kind, { more: 1 }, 'do not belong')
    for (const value of [null, [], 'x', 1, rawCid(new Uint8Array(0)), new Uint8Array(0)]) assert.throws(() => check(value), { code: 'ERR_RECORD_INVALID' })
    assert.throws(() => check(Object.create(payload)), { code: 'ERR_RECORD_INVALID' }, 'inherited fields are none')
  }
})

// Goal: amounts are exact from 0 to 2⁶² − 1 (invariant 10). Method: the edges, for each amount of each kind.
test('amounts are whole and within 0 … 2⁶²−1', () => {
  const amounts: [Kind, string[]][] = [
    ['offer', ['base', 'perMFuel', 'perPageSec', 'perKiB', 'perMB', 'perGiBh']], ['order', ['costMax', 'tick']], ['receipt', ['fuel', 'charge']], ['cheque', ['total']],
    ['charter', ['offlineMax']], ['member', ['grant']], ['invite', ['grant']]
  ]
  for (const [kind, fields] of amounts) {
    for (const field of fields) {
      for (const good of [0, 0n, 1, 2 ** 53 - 1, 2n ** 53n, 2n ** 53n + 1n, 2n ** 62n - 1n]) {
        assert.equal((KINDS[kind].check({ ...KINDS[kind].payload, [field]: good }) as unknown as Record<string, unknown>)[field], BigInt(good))
      }
      for (const bad of [-1, -1n, 2n ** 62n, 2n ** 63n, 2n ** 64n, 2 ** 53, 1e300, 0.5, Number.NaN, Infinity, '1', null, true]) refuses(kind, { [field]: bad }, `"${field}"`)
    }
  }
  const [item] = vectors.cheque.payload.items
  for (const bad of [-1, 2n ** 62n, 0.5, '1']) assert.throws(() => checkCheque({ ...vectors.cheque.payload, items: [{ ...item, amount: bad }] }), { message: /"amount" of a cheque item/ })
})

// Goal: the rules within one record. Method: break each.
test('fields that contradict each other are refused', () => {
  refuses('receipt', { exitCode: null }, '"exitCode"')
  refuses('receipt', { outcome: 'trap' }, '"exitCode"')
  refuses('receipt', { outcome: 'crash' }, '"outcome"')
  refuses('receipt', { class: 'none' }, '"class"')
  refuses('receipt', { children: [rawCid(new Uint8Array(0))] }, '"children"')
  refuses('receipt', { files: null }, '"files"')
  refuses('receipt', { filesBytes: 0 }, '"files"')
  refuses('receipt', { outcome: 'trap', exitCode: null }, '"files"')
  assert.equal(checkReceipt({ ...vectors.receiptPayload, files: null, filesBytes: 0, outcome: 'fuel', exitCode: null }).outcome, 'fuel')
  refuses('cheque', { items: [] }, '"items"')
  refuses('cheque', { n: 0, prev: null }, '"n"')
  refuses('cheque', { n: 2 }, '"n"')
  refuses('cheque', { prev: rawCid(new Uint8Array(0)) }, '"n"')
  refuses('cheque', { via: new Uint8Array(32).fill(9) }, '"via"')
  refuses('cheque', { items: [{ ...vectors.cheque.payload.items[0], kind: 'gift' }] }, '"kind"')
  refuses('cheque', { items: [{ ...vectors.cheque.payload.items[0], more: 1 }] }, 'do not belong')
  refuses('order', { level: 1 }, '"level"')
  for (const [kind, field] of [['offer', 'executor'], ['order', 'payer'], ['receipt', 'payer'], ['cheque', 'to'], ['ack', 'from']] as const) {
    refuses(kind, { [field]: new Uint8Array(32).with(0, 1) }, `"${field}"`)
  }
})

// Goal: the rules of a mesh's records. Method: break each.
test('a mesh is named by its issuer, and its records are in one order', () => {
  refuses('charter', { net: new Uint8Array(32) }, '"net"')
  refuses('charter', { nonce: new Uint8Array(16) }, '"net"')
  refuses('charter', { version: 0 }, '"version"')
  refuses('charter', { name: 'a\u202eb' }, '"name"')
  refuses('charter', { feePpm: 1_000_001 }, '"feePpm"')
  refuses('invite', { count: 0 }, '"count"')
  refuses('invite', { id: new Uint8Array(15) }, '"id"')
  refuses('member', { expires: 0 }, '"expires"')
  const [a, b] = [vectors.charter.payload.issuer, vectors.member.payload.member]
  const [low, high] = Buffer.compare(a, b) < 0 ? [a, b] : [b, a]
  assert.equal(checkRevocations({ ...vectors.revocations.payload, members: [low, high] }).members.length, 2)
  for (const members of [[high, low], [low, low], [new Uint8Array(32)]]) refuses('revocations', { members }, '"members"')
})

// Goal: only the issuer speaks for its mesh, and only for its own. Method: records by another key, and of another mesh.
test('records of a mesh are its issuer’s', () => {
  const issuer = createSigner(vectors.PAYER_SEED)
  const charter = openCharter(vectors.charter.bytes, verify).payload
  const all = [[openMember, vectors.member], [openInvite, vectors.invite], [openRevocations, vectors.revocations]] as const
  for (const [open, { type, payload, bytes }] of all) {
    assert.deepEqual(open(bytes, charter, verify).payload, payload)
    const stolen = seal<object>(type, payload, createSigner(vectors.EXECUTOR_SEED)).bytes
    assert.throws(() => open(stolen, charter, verify), { code: 'ERR_RECORD_INVALID' })
    const moved = seal<object>(type, { ...payload, net: new Uint8Array(32) }, issuer).bytes
    assert.throws(() => open(moved, charter, verify), { code: 'ERR_WRONG_MESH' })
  }
  const foreign = seal('charter', vectors.charter.payload, createSigner(vectors.EXECUTOR_SEED)).bytes
  assert.throws(() => openCharter(foreign, verify), { code: 'ERR_RECORD_INVALID' })
})
