import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import * as vectors from '../../test/suites/record-vectors.ts'
import fc from 'fast-check'
import { openBundle } from '../credits/bundle.ts'
import { openFraud } from '../credits/frauds.ts'
import { createSigner, verify } from '../node/keys.ts'
import { rawCid } from './cid.ts'
import { openEnvelope, seal, type Sealed, verifySealed } from './envelope.ts'
import { InosError } from './errors.ts'
import { checkCharter, checkInvite, checkMember, checkRevocations, openCharter, openInvite, openMember, openRevocations } from './mesh.ts'
import { checkAck, checkCancel, checkCheque, checkClearing, checkHead, checkOffer, checkOrder, checkReceipt } from './records.ts'
import { decodeSpec } from './spec.ts'
import { decodeState } from './state.ts'

const committed = JSON.parse(readFileSync(new URL('../../test/vectors/records.json', import.meta.url), 'utf8')) as vectors.Vector[]
const KINDS = {
  offer: { check: checkOffer, payload: vectors.offer.payload, author: vectors.EXECUTOR_SEED },
  order: { check: checkOrder, payload: vectors.order.payload, author: vectors.PAYER_SEED },
  cancel: { check: checkCancel, payload: vectors.cancel.payload, author: vectors.PAYER_SEED },
  receipt: { check: checkReceipt, payload: vectors.receipt.payload, author: vectors.EXECUTOR_SEED },
  cheque: { check: checkCheque, payload: vectors.cheque.payload, author: vectors.PAYER_SEED },
  ack: { check: checkAck, payload: vectors.ack.payload, author: vectors.EXECUTOR_SEED },
  head: { check: checkHead, payload: vectors.head.payload, author: vectors.EXECUTOR_SEED },
  clearing: { check: checkClearing, payload: vectors.clearing.payload, author: vectors.PAYER_SEED },
  charter: { check: checkCharter, payload: vectors.charter.payload, author: vectors.PAYER_SEED },
  invite: { check: checkInvite, payload: vectors.invite.payload, author: vectors.PAYER_SEED },
  member: { check: checkMember, payload: vectors.member.payload, author: vectors.PAYER_SEED },
  revocations: { check: checkRevocations, payload: vectors.revocations.payload, author: vectors.PAYER_SEED }
} as const
type Kind = keyof typeof KINDS
/** Further vectors of a kind that has one. */
const SPECIAL: Readonly<Record<string, Sealed>> = {
  batched: vectors.batched, repeated: vectors.repeated, 'order in a mesh': vectors.meshOrder, 'cheque in a mesh': vectors.meshCheque, 'cheque of the issuer': vectors.grantCheque, 'receipt of a step': vectors.stepReceipt
}

const refuses = (kind: Kind, change: object, field: string): void => {
  const { check, payload } = KINDS[kind]
  assert.throws(() => check({ ...payload, ...change }), (error: unknown) => {
    assert.ok(error instanceof InosError && error.code === 'ERR_RECORD_INVALID')
    assert.ok(error.message.includes(field), `${field}: ${error.message}`)
    return true
  }, `${kind} ${field}`)
}

/** Open and verify a vector of one record. @returns it, and the payload it was made of */
function openVector (name: string, bytes: Uint8Array): { record: Sealed, payload: object } {
  const special = SPECIAL[name]
  const kind = special?.type as Kind | undefined ?? name as Kind
  const record = openEnvelope<object>(bytes, kind, KINDS[kind].check)
  verifySealed(record, name === 'cheque in a mesh' ? vectors.meshCheque.payload.from : createSigner(KINDS[kind].author).publicKey, verify)
  return { record, payload: special?.payload ?? KINDS[kind].payload }
}

// Goal: bytes and ids of records never change unnoticed. Method: compare with what is committed, and read that back.
test('records have the committed bytes', () => {
  assert.deepEqual(vectors.makeVectors(), committed)
  for (const { name, id, bytes } of committed) {
    const encoded = new Uint8Array(Buffer.from(bytes, 'hex'))
    if (name.startsWith('spec')) assert.equal(decodeSpec(encoded).id.toString(), id)
    else if (name === 'state') assert.equal(decodeState(encoded).id.toString(), id)
    else if (name.startsWith('bundle')) assert.equal(openBundle(encoded, verify).receipt.id.toString(), id)
    else if (name.startsWith('fraud')) assert.equal(openFraud(encoded, verify).id.toString(), id)
    else {
      const { record, payload } = openVector(name, encoded)
      assert.equal(record.id.toString(), id)
      assert.deepEqual(record.payload, payload)
    }
  }
})

/** Receipts from before there was a memory of results lack it. */
const LATER_FIELDS: readonly string[] = ['cached']

// Goal: no field may be missing, extra, or of another type. Method: every field of every kind, taken away and replaced.
test('every field is required and typed', () => {
  for (const kind of Object.keys(KINDS) as Kind[]) {
    const { check, payload } = KINDS[kind]
    assert.deepEqual(check(payload), payload)
    for (const field of Object.keys(payload)) {
      const { [field as keyof typeof payload]: _, ...rest } = payload
      if (LATER_FIELDS.includes(field)) assert.deepEqual(check(rest), { ...payload, [field]: null })
      else assert.throws(() => check(rest), { code: 'ERR_RECORD_INVALID', message: new RegExp(`"${field}"`) })
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
  for (const state of [null, undefined, 'x', {}]) refuses('receipt', { state }, '"state"')
  refuses('receipt', { state: vectors.state.id, files: null, filesBytes: 0, outcome: 'trap', exitCode: null }, '"state"')
  assert.equal(checkReceipt({ ...vectors.receiptPayload, files: null, filesBytes: 0, outcome: 'fuel', exitCode: null }).outcome, 'fuel')
  refuses('cheque', { items: [] }, '"items"')
  refuses('cheque', { n: 0, prev: null }, '"n"')
  refuses('cheque', { n: 2 }, '"n"')
  refuses('cheque', { prev: rawCid(new Uint8Array(0)) }, '"n"')
  refuses('cheque', { via: new Uint8Array(32).fill(9) }, '"via"')
  refuses('cheque', { items: [{ ...vectors.cheque.payload.items[0], kind: 'gift' }] }, '"kind"')
  refuses('cheque', { items: [{ ...vectors.cheque.payload.items[0], more: 1 }] }, 'do not belong')
  // A grant or a clearing is its issuer's to give, in a mesh, with nobody between.
  const given = vectors.grantCheque.payload
  refuses('cheque', { ...given, net: null }, '"items"')
  refuses('cheque', { ...given, via: vectors.meshCheque.payload.via }, '"items"')
  refuses('cheque', { ...vectors.meshCheque.payload, via: new Uint8Array(32).with(0, 1) }, '"via"')
  refuses('head', { n: 0 }, '"cheque"')
  refuses('head', { cheque: null }, '"cheque"')
  refuses('head', { nonce: new Uint8Array(15) }, '"nonce"')
  refuses('clearing', { n: 0 }, '"n"')
  refuses('clearing', { net: null }, '"net"')
  refuses('clearing', { to: vectors.clearing.payload.from }, '"to"')
  refuses('clearing', { cleared: vectors.clearing.payload.total + 1n }, '"cleared"')
  refuses('clearing', { fee: vectors.clearing.payload.cleared + 1n }, '"fee"')
  for (const field of ['total', 'cleared', 'fee'] as const) for (const bad of [-1, 2n ** 62n, 0.5, '1']) refuses('clearing', { [field]: bad }, `"${field}"`)
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

/** Read what a committed vector holds, as whoever gets it from outside would. */
function readVector (name: string, bytes: Uint8Array): void {
  if (name.startsWith('spec')) decodeSpec(bytes)
  else if (name === 'state') decodeState(bytes)
  else if (name.startsWith('bundle')) openBundle(bytes, verify)
  else if (name.startsWith('fraud')) openFraud(bytes, verify)
  else openVector(name, bytes)
}

// Goal: no bit of any signed record can change, and no other encoding means it (invariant 11). Method: every vector,
// random bits flipped; its first header in a longer form, in the indefinite form, a byte more, a byte less.
test('a changed bit or another encoding is refused by code', () => {
  const isUnsigned = (name: string): boolean => name.startsWith('spec') || name === 'state'
  const signed = committed.filter(({ name }) => !isUnsigned(name))
  const isRefused = (name: string, bytes: Uint8Array): void => {
    const code = name.startsWith('bundle') ? 'ERR_RECEIPT_INVALID' : 'ERR_RECORD_INVALID'
    assert.throws(() => { readVector(name, bytes) }, { code }, name)
  }
  fc.assert(fc.property(fc.constantFrom(...signed), fc.nat(), ({ name, bytes }, at) => {
    const encoded = new Uint8Array(Buffer.from(bytes, 'hex'))
    const bit = at % (encoded.length * 8)
    isRefused(name, encoded.with(bit >> 3, encoded[bit >> 3]! ^ 1 << (bit & 7)))
  }), { numRuns: 3_000 })
  for (const { name, bytes } of committed) {
    const encoded = new Uint8Array(Buffer.from(bytes, 'hex'))
    const count = encoded[0]! & 31
    for (const other of [Uint8Array.of(0xb8, count, ...encoded.subarray(1)), Uint8Array.of(0xbf, ...encoded.subarray(1), 0xff), Uint8Array.of(...encoded, 0), encoded.subarray(0, -1)]) {
      if (isUnsigned(name)) assert.throws(() => { readVector(name, other) })
      else isRefused(name, other)
    }
  }
})

// Goal: a key under which anybody can sign stands for nobody. Method: each small-order key as each party of each record.
test('small-order keys are parties of nothing', () => {
  const y = ['00'.repeat(32), `01${'00'.repeat(31)}`, '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05', 'c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a', `ec${'ff'.repeat(30)}7f`, `ee${'ff'.repeat(30)}7f`]
  const parties: [Kind, string[]][] = [['offer', ['executor']], ['order', ['payer', 'executor']], ['receipt', ['payer', 'executor']], ['cheque', ['from', 'to']], ['ack', ['from', 'to']], ['head', ['from', 'to']], ['clearing', ['from', 'to']]]
  for (const hex of y) {
    const key = new Uint8Array(Buffer.from(hex, 'hex'))
    for (const sign of [0, 0x80]) for (const [kind, fields] of parties) for (const field of fields) refuses(kind, { [field]: key.with(31, key[31]! | sign) }, `"${field}"`)
  }
})
