/** Trees of receipts: what one must hold together by, and that whatever differs is refused. */
import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { FAN, fanInput } from '../../test/family-guests.ts'
import { verify } from '../node/keys.ts'
import { InosError } from '../packet/errors.ts'
import { CREDIT } from '../packet/limits.ts'
import { Mesh } from '../processor/mesh.fixture.ts'
import { type Bundle, readBundle } from './bundle.ts'
import { checkTree, encodeTree, openTree, readFiles } from './tree.ts'

/** Two trees of the same job: a root at home with children there and at a seller, and their children again. */
let trees: Uint8Array[] = []
before(async () => {
  await using mesh = new Mesh()
  const [a, b] = [await mesh.start('a', { slots: 1, resultCache: false }), await mesh.start('b', { slots: 2, resultCache: false })]
  await mesh.connect(a, b)
  const input = fanInput({ levels: 2, width: 3, fuel: 2n ** 32n })
  const options = { where: a.id, costMax: 100n * CREDIT, limits: { fuelMax: 2n ** 32n, memoryPagesMax: 4, outputBytesMax: 64, descendantsMax: 12 } }
  trees = [await a.run(FAN, input, options), await a.run(FAN, input, options)].map(({ receipt }) => receipt)
})

function refuses (bytes: Uint8Array, why: string, more: readonly Uint8Array[] = []): void {
  assert.throws(() => openTree(bytes, verify, more), (error: unknown) => error instanceof InosError && error.code === 'ERR_RECEIPT_INVALID' && error.message.includes(why))
}

// Goal: a tree is whole, or it is none; where its files lie does not matter.
// Method: the whole, in another order, from several files; then without one file, with one too many, with one of another tree.
test('every receipt of a tree is there, and no other', () => {
  const [root, ...below] = readFiles(trees[0]!)
  const [otherRoot, ...others] = readFiles(trees[1]!)
  assert.equal(openTree(trees[0]!, verify).below.length, 12)
  assert.equal(openTree(encodeTree(root!, below.toReversed()), verify).below.length, 12)
  assert.deepEqual(openTree(root!, verify, [...others, ...below]).bytes, openTree(trees[0]!, verify).bytes)
  for (const at of below.keys()) refuses(encodeTree(root!, below.toSpliced(at, 1)), '"children"')
  refuses(encodeTree(root!, [...below, otherRoot!]), 'no parent names')
  refuses(encodeTree(root!, others), 'is missing')
  refuses(encodeTree(root!, []), 'is missing')
  // A child has the nonce of its parent's order, so that nobody can show it for two.
  const nonces = [root!, otherRoot!].map(file => readBundle(file).order.id.toString())
  assert.equal(new Set(nonces).size, 2)
})

// Goal: a child counts for the one order of its parent that it was ordered for, and a parent's sums are its children's.
// Method: the opened tree with one thing said otherwise in a child, or in the root, as if it had been signed so.
test('a child is its parent’s, and sums are right', () => {
  const { root, below } = openTree(trees[0]!, verify)
  const children = new Set(root.receipt.payload.children.map(String))
  const child = below.find(({ receipt }) => children.has(receipt.id.toString()))!
  const check = (otherRoot: Bundle, otherChild: Bundle): void => {
    const found = new Map(below.map(bundle => [bundle.receipt.id.toString(), bundle === child ? otherChild : bundle]))
    checkTree(otherRoot, id => found.get(id))
  }
  const ordered = (change: object): Bundle => ({ ...child, order: { ...child.order, payload: { ...child.order.payload, ...change } } })
  const said = (bundle: Bundle, change: object): Bundle => ({ ...bundle, receipt: { ...bundle.receipt, payload: { ...bundle.receipt.payload, ...change } } })
  const sums = root.receipt.payload.below!
  check(root, child)
  const wrong: [Bundle, Bundle, RegExp][] = [
    [root, ordered({ nonce: child.order.payload.nonce.with(0, child.order.payload.nonce[0]! ^ 1) }), /another job/],
    [root, ordered({ payer: child.order.payload.payer.with(0, child.order.payload.payer[0]! ^ 1) }), /somebody else/],
    [root, ordered({ net: new Uint8Array(16) }), /another mesh/],
    [root, said(child, { charge: child.receipt.payload.charge + 1n }), /"below"/],
    [said(root, { below: { ...sums, fuel: sums.fuel + 1n } }), child, /"below"/],
    [said(root, { below: { ...sums, charge: sums.charge - 1n } }), child, /"below"/],
    [said(root, { fuel: 1n }), child, /"fuel"/]
  ]
  for (const [parent, other, message] of wrong) assert.throws(() => { check(parent, other) }, message)
})

// Goal: no bit of a tree can differ. Method: flip each bit of some bytes, spread over the file.
test('a flipped bit is refused', () => {
  const tree = trees[0]!
  for (let at = 0; at < tree.length; at += 97) {
    const copy = tree.slice()
    copy[at]! ^= 1 << at % 8
    assert.throws(() => openTree(copy, verify), InosError, `byte ${at}`)
  }
})
