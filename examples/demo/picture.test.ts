/** The picture's file, read by a decoder that is not ours. */
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import fc from 'fast-check'
import { InosError } from '../../src/packet/errors.ts'
import { Picture } from './picture.ts'
import { cutTiles } from './plan.ts'

interface Decoded { readonly width: number, readonly height: number, readonly data: Uint8Array }
// pngjs has no types of its own.
const { PNG } = createRequire(import.meta.url)('pngjs') as { PNG: { sync: { read (file: Uint8Array): Decoded } } }

// Goal: what was put in comes out, each pixel in its place.
// Method: random pixels, cut into tiles, put in any order, decoded by pngjs.
test('another decoder reads the pixels that were put in', () => {
  fc.assert(fc.property(fc.integer({ min: 16, max: 60 }), fc.integer({ min: 9, max: 40 }), fc.integer(), (width, height, seed) => {
    const colour = (x: number, y: number, channel: number): number => (Math.imul(x * 31 + y * 17 + channel * 7 + seed, 0x9e3779b1) >>> 24)
    const picture = new Picture(width, height)
    for (const area of cutTiles(width, height).reverse()) {
      const bytes = Uint8Array.from({ length: area.width * area.height * 3 }, (_, place) => {
        const pixel = Math.floor(place / 3)
        return colour(area.x + pixel % area.width, area.y + Math.floor(pixel / area.width), place % 3)
      })
      picture.put(area, bytes)
    }
    const decoded = PNG.sync.read(picture.encode())
    assert.deepEqual([decoded.width, decoded.height], [width, height])
    for (let place = 0; place < width * height * 4; place++) {
      const pixel = Math.floor(place / 4)
      const expected = place % 4 === 3 ? 255 : colour(pixel % width, Math.floor(pixel / width), place % 4)
      assert.equal(decoded.data[place], expected)
    }
  }), { numRuns: 30 })
})

// Goal: a tile of the wrong length never lands in the picture.
// Method: one byte too few, one too many.
test('a tile with too few or too many bytes is refused', () => {
  const picture = new Picture(16, 9)
  for (const length of [11, 13]) {
    assert.throws(() => { picture.put({ x: 0, y: 0, width: 2, height: 2 }, new Uint8Array(length)) },
      (error: unknown) => error instanceof InosError && error.code === 'ERR_VERIFICATION')
  }
})
