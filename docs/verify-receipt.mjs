// node verify-receipt.mjs FILE: verifies an INOS receipt file, or a tree of them, importing nothing of INOS.
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
const claims = ({ order, item, payer, charge, cached, children, below, ...run }) => encode(run)

// A file is { receipt, order, offer }; for a result from memory also { original }, the file of the run.
function opened (bytes, isOriginal = false) {
  const bundle = canonical(bytes, 'the file')
  check(!Array.isArray(bundle), 'a tree lies inside a receipt')
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

  // What was bought for its children is billed with it, and never more than the order allows.
  const below = receipt.below ?? { fuel: 0, charge: 0 }
  check((receipt.below !== undefined) === (receipt.children.length > 0) && BigInt(below.fuel) <= BigInt(receipt.fuel), 'what is below it is wrong')
  check(cached === null || receipt.children.length === 0, 'a result from memory has no children')
  let charge = BigInt(below.charge)
  if (bundle.offer === null) {
    check(order.offer === null && same(order.executor, order.payer), 'only a job of one’s own needs no offer')
  } else {
    const offer = signed(bundle.offer, 'offer', 'executor')
    check(order.offer?.equals(cidOf(offer)), 'the order accepts another offer')
    check(same(offer.executor, order.executor), 'the offer is another executor’s')
    check(same(encode(offer.net), encode(order.net)), 'the offer is of another mesh')
    check(offer.profile === receipt.profile && offer.classes.includes(receipt.class), 'the offer does not cover this job')
    const price = name => BigInt(offer[name])
    const fuel = BigInt(receipt.fuel) - BigInt(below.fuel)
    charge += price('base')
    if (cached === null) charge += ceil(fuel * price('perMFuel'), 10n ** 6n) +
      ceil(BigInt(receipt.pages) * fuel * price('perPageSec'), 10n ** 9n) + ceil(BigInt(receipt.resultBytes + receipt.filesBytes) * price('perKiB'), 1024n)
    if (receipt.below !== undefined && charge > BigInt(order.costMax)) charge = BigInt(order.costMax)
  }
  check(BigInt(receipt.charge) === charge, `the charge is ${receipt.charge} µcr, the bill comes to ${charge}`)
  check(bundle.offer === null || charge <= BigInt(order.costMax), 'the charge is above what the order allows')
  return { receipt, order, charge, isOwn: bundle.offer === null }
}

// A tree is a list of such files, the root's first: each child was ordered by its parent's executor, for that order of the parent, and
// the parent says what was bought of their fuel and charges.
function walked (parent, found, seen, levels) {
  check(parent.receipt.children.length === 0 || levels > 0, 'the tree is too deep')
  const sums = { all: 0n, fuel: 0n, charge: 0n }
  for (const cid of parent.receipt.children) {
    const child = found.get(String(cid))
    check(child !== undefined && !seen.has(child), `the receipt ${cid} is missing, or named twice`)
    seen.add(child)
    check(same(child.order.payer, parent.receipt.executor) && same(encode(child.order.net), encode(parent.receipt.net)), 'a child was ordered by somebody else')
    check(same(child.order.nonce.subarray(0, 8), sha256(Buffer.from('inos/child/1'), cidOf(parent.order).bytes).subarray(0, 8)), 'a child was ordered for another job')
    sums.all += BigInt(child.receipt.fuel)
    sums.fuel += BigInt(child.isOwn ? child.receipt.below?.fuel ?? 0 : child.receipt.fuel)
    sums.charge += BigInt(child.receipt.charge)
    walked(child, found, seen, levels - 1)
  }
  check(sums.all <= BigInt(parent.receipt.fuel), 'children burnt more than the whole')
  if (parent.receipt.below !== undefined) check(sums.fuel === BigInt(parent.receipt.below.fuel) && sums.charge === BigInt(parent.receipt.below.charge), 'what is said of the children is wrong')
}

const file = readFileSync(process.argv[2])
const [root, ...others] = (file[0] >> 5 === 4 ? canonical(file, 'the file') : [file]).map(each => opened(each))
const below = new Set()
walked(root, new Map(others.map(each => [String(cidOf(each.receipt)), each])), below, 8)
check(below.size === others.length, 'the file holds receipts that no parent names')
const { receipt, charge } = root
console.log(`${peerId(receipt.executor)} ran ${receipt.module} for ${peerId(receipt.payer)}: ${receipt.outcome}, ${receipt.fuel} fuel, ${charge} µcr`)
console.log(`result ${receipt.result} (${receipt.resultBytes} bytes), files ${receipt.files ?? 'none'} (${receipt.filesBytes} bytes), receipt ${cidOf(receipt)}`)
if (receipt.cached) console.log(`from memory: the run was ${receipt.cached}`)
if (below.size > 0) console.log(`its guest had others computed: ${below.size} receipts below it, all valid`)
