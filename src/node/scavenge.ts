/**
 * Frees what bulk leaves behind. Each message of a connection leaves buffers outside V8's heap, and V8 answers their growth
 * with a collection that marks the whole heap, though those who own them are young and die at once: for a blob that was more
 * work than all else together (bench/blobs.ts). A collection of the young alone frees them in well under a millisecond.
 */
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

type Collect = (options: { type: 'minor' }) => void

/** Passed bytes after which the young are collected; they leave about three times as many. */
const EACH_BYTES = 2 * 1024 * 1024

let collect: Collect | null = null
let passed = 0

/** Say that bytes have passed through buffers that nobody holds any longer. */
export function notePassed (bytes: number): void {
  passed += bytes
  if (passed < EACH_BYTES) return
  passed = 0
  collect ??= findCollect()
  collect({ type: 'minor' })
}

/** V8 lends its collector only to contexts that are made while a flag is set. */
function findCollect (): Collect {
  setFlagsFromString('--expose-gc')
  const found: unknown = runInNewContext('globalThis.gc')
  setFlagsFromString('--no-expose-gc')
  return typeof found === 'function' ? found as Collect : () => {}
}
