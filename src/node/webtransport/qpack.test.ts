/** The bytes of HTTP/3: integers, Huffman codes, header fields, frames; from the RFCs' own examples and from hostile hands. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Frames } from './frames.ts'
import { decodeHuffman } from './huffman.ts'
import { BadFields, decodeFields } from './qpack.ts'
import { readVarint, varint } from './varint.ts'

const hex = (text: string): Buffer => Buffer.from(text.replaceAll(' ', ''), 'hex')

// Goal: integers are written and read alike, and as RFC 9000, A.1 has them. Method: its examples, random numbers, every cut.
test('integers come back', () => {
  for (const [bytes, value] of [['9d7f3e7d', 494878333], ['7bbd', 15293], ['25', 37]] as const) assert.deepEqual(readVarint(hex(bytes), 0), { value, end: bytes.length / 2 })
  fc.assert(fc.property(fc.maxSafeNat(), fc.nat(7), (value, cut) => {
    const bytes = varint(value)
    assert.deepEqual(readVarint(bytes, 0), { value, end: bytes.length })
    if (cut < bytes.length) assert.equal(readVarint(bytes.subarray(0, cut), 0), null)
  }))
})

// Goal: strings are read as others write them. Method: the examples of RFC 7541, C.4 and C.6; paddings that it forbids.
test('the Huffman code is that of HTTP', () => {
  const examples = {
    'f1e3c2e5f23a6ba0ab90f4ff': 'www.example.com', a8eb10649cbf: 'no-cache', '25a849e95ba97d7f': 'custom-key', '25a849e95bb8e8b4bf': 'custom-value', aec3771a4b: 'private',
    d07abe941054d444a8200595040b8166e082a62d1bff: 'Mon, 21 Oct 2013 20:13:21 GMT', '9d29ad171863c78f0b97c8e9ae82ae43d3': 'https://www.example.com',
    '94e7821dd7f2e6c7b335dfdfcd5b3960d5af27087f3672c1ab270fb5291f9587316065c003ed4ee5b1063d5007': 'foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1'
  }
  for (const [coded, text] of Object.entries(examples)) assert.equal(Buffer.from(decodeHuffman(hex(coded)) ?? []).toString(), text)
  for (const bad of ['ff', 'f1e3c2e5f23a6ba0ab90f4ffff', '00', 'fffffffc']) assert.equal(decodeHuffman(hex(bad)), null, bad)
})

/** A field whose name and value are written out. */
function literal (name: string, value: string): Buffer {
  const length = name.length < 7 ? [0x20 | name.length] : [0x27, name.length - 7]
  return Buffer.concat([Buffer.from(length), Buffer.from(name), Buffer.from([value.length]), Buffer.from(value)])
}

const PREFIX = hex('0000')
const CONNECT = Buffer.concat([PREFIX, hex('cf d7 50 03'), Buffer.from('a:1'), hex('51 02'), Buffer.from('/x'), literal(':protocol', 'webtransport'), literal('origin', 'null'), hex('ff00')])

// Goal: what a request asks for is read, whatever else it says. Method: one with fields from the static table, with a name from it, and written out.
test('a request says what it asks for', () => {
  assert.deepEqual(Object.fromEntries(decodeFields(CONNECT)), { ':method': 'CONNECT', ':scheme': 'https', ':authority': 'a:1', ':path': '/x', ':protocol': 'webtransport' })
})

// Goal: no bytes do anything but be read or be refused. Method: references to tables that are not there, fields twice and unknown; each cut of a request, and random bytes.
test('broken fields are refused by name', () => {
  for (const bad of ['', '00', '0200d1', '000080', '000010', '000000', '0000ff24', '0000ffffffffffff', '0000d1d1', '00002701aa']) assert.throws(() => decodeFields(hex(bad)), BadFields, bad)
  assert.throws(() => decodeFields(Buffer.concat([PREFIX, literal(':unknown', 'a')])), BadFields)
  const read = (bytes: Uint8Array): void => {
    try {
      decodeFields(bytes)
    } catch (error) {
      assert.ok(error instanceof BadFields)
    }
  }
  for (let end = 0; end < CONNECT.length; end++) read(CONNECT.subarray(0, end))
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), read))
})

// Goal: frames come out whole, however they arrive. Method: some in a row, cut at random.
test('frames are put together again', () => {
  fc.assert(fc.property(fc.array(fc.tuple(fc.nat(1_000_000), fc.uint8Array({ maxLength: 300 })), { maxLength: 5 }), fc.integer({ min: 1, max: 50 }), (wanted, step) => {
    const bytes = Buffer.concat(wanted.flatMap(([type, content]) => [varint(type), varint(content.length), content]))
    const frames = new Frames()
    const found = []
    for (let at = 0; at < bytes.length; at += step) found.push(...frames.feed(bytes.subarray(at, at + step)))
    assert.deepEqual(found.map(({ type, content }) => [type, [...content]]), wanted.map(([type, content]) => [type, [...content]]))
  }))
})
