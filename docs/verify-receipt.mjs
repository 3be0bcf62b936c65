// node verify-receipt.mjs FILE: verifies an INOS receipt file, importing nothing of INOS.
// Needs Node and npm's @ipld/dag-cbor and multiformats. Exit 0 = every claim below was checked.
import { createHash, createPublicKey, verify } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { decode, encode } from '@ipld/dag-cbor'
import { base58btc } from 'multiformats/bases/base58'
import { CID } from 'multiformats/cid'
import { create } from 'multiformats/hashes/digest'

const check = (good, what) => { if (!good) { console.error(`refused: ${what}`); process.exit(106) } }
// What is so wrong that reading it fails is refused like the rest.
process.on('uncaughtException', ({ message }) => { check(false, message) })
const same = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)) === 0
const sha256 = (...parts) => createHash('sha256').update(Buffer.concat(parts)).digest()
const cidOf = value => CID.createV1(0x71, create(0x12, sha256(encode(value))))
const peerId = key => base58btc.baseEncode(Buffer.concat([Buffer.from('002408011220', 'hex'), key]))
const ceil = (a, b) => (a + b - 1n) / b

// One encoding per meaning: what is read must be what encoding it again gives.
function canonical (bytes, what) {
  let value
  try { value = decode(bytes) } catch { check(false, `${what} is not dag-cbor`) }
  check(same(encode(value), bytes), `${what} is not canonical`)
  return value
}

// A signature covers dag-cbor ["inos/record/1", type, payload], or the root of a Merkle tree of such.
function signed (bytes, type, signer) {
  const envelope = canonical(bytes, type)
  check(envelope.type === type, `a ${type} was expected`)
  const message = (kind, body) => Buffer.from(encode(['inos/record/1', kind, body]))
  let data = message(type, envelope.payload)
  let { sig } = envelope
  if (envelope.batch !== undefined) {
    let hash = sha256(Buffer.of(0), data)
    check(envelope.batch.index < 2 ** envelope.batch.path.length, `the place of the ${type} in its batch is wrong`)
    envelope.batch.path.forEach((sibling, height) => {
      check(!((envelope.batch.index >> height) & 1) || !same(sibling, hash), `the place of the ${type} in its batch is wrong`)
      hash = (envelope.batch.index >> height) & 1 ? sha256(Buffer.of(1), sibling, hash) : sha256(Buffer.of(1), hash, sibling)
    })
    data = message('batch', new Uint8Array(hash))
    sig = envelope.batch.sig
  }
  const key = createPublicKey({ key: Buffer.concat([Buffer.from('302a300506032b6570032100', 'hex'), envelope.payload[signer]]), format: 'der', type: 'spki' })
  check(verify(null, data, key, sig), `the signature of the ${type} is wrong`)
  return envelope.payload
}

// What a result from memory must have in common with the run it comes from: all but who asked, and what it cost.
const claims = ({ order, item, payer, charge, cached, ...run }) => encode(run)

// A file is { receipt, order, offer }; for a result from memory also { original }, the file of the run.
function opened (bytes, isOriginal = false) {
  const bundle = canonical(bytes, 'the file')
  const receipt = signed(bundle.receipt, 'receipt', 'executor')
  const cached = receipt.cached ?? null
  const names = cached === null ? 'offer,order,receipt' : 'offer,order,original,receipt'
  check(same(Object.keys(bundle).sort().join(), names), 'the file is no receipt bundle')
  const order = signed(bundle.order, 'order', 'payer')
  check(receipt.order.equals(cidOf(order)), 'the receipt is for another order')
  check(receipt.spec.equals(order.spec), 'the receipt is for another spec')
  for (const party of ['executor', 'payer']) check(same(receipt[party], order[party]), `the ${party} differs`)
  check(same(encode(receipt.net), encode(order.net)), 'the mesh differs')

  if (cached !== null) {
    check(!isOriginal, 'the original was no run')
    const original = opened(bundle.original, true).receipt
    check(cached.equals(cidOf(original)), 'the original is another one')
    check(same(claims(receipt), claims(original)), 'the original says something else')
  }

  let charge = 0n
  if (bundle.offer === null) {
    check(order.offer === null && same(order.executor, order.payer), 'only a job of one’s own needs no offer')
  } else {
    const offer = signed(bundle.offer, 'offer', 'executor')
    check(order.offer?.equals(cidOf(offer)), 'the order accepts another offer')
    check(same(offer.executor, order.executor), 'the offer is another executor’s')
    check(same(encode(offer.net), encode(order.net)), 'the offer is of another mesh')
    check(offer.profile === receipt.profile && offer.classes.includes(receipt.class), 'the offer does not cover this job')
    const price = name => BigInt(offer[name])
    const fuel = BigInt(receipt.fuel)
    charge = price('base')
    if (cached === null) charge += ceil(fuel * price('perMFuel'), 10n ** 6n) +
      ceil(BigInt(receipt.pages) * fuel * price('perPageSec'), 10n ** 9n) + ceil(BigInt(receipt.resultBytes + receipt.filesBytes) * price('perKiB'), 1024n)
  }
  check(BigInt(receipt.charge) === charge, `the charge is ${receipt.charge} µcr, the bill comes to ${charge}`)
  check(charge <= BigInt(order.costMax), 'the charge is above what the order allows')
  return { receipt, charge }
}

const { receipt, charge } = opened(readFileSync(process.argv[2]))
console.log(`${peerId(receipt.executor)} ran ${receipt.module} for ${peerId(receipt.payer)}: ${receipt.outcome}, ${receipt.fuel} fuel, ${charge} µcr`)
console.log(`result ${receipt.result} (${receipt.resultBytes} bytes), files ${receipt.files ?? 'none'} (${receipt.filesBytes} bytes), receipt ${cidOf(receipt)}`)
if (receipt.cached) console.log(`from memory: the run was ${receipt.cached}`)
