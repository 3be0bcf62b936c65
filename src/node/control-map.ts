/**
 * A map over the control socket: the request is a stream of frames as the answer is. Its first frame is
 * the module with its options, each further one an input, the last says that there are no more; inputs
 * are read only as fast as the map takes them. Answers are items, failures and progress.
 */
import { decodeCanonical, encodeCanonical } from '../packet/cbor.ts'
import { isBytes, isMap } from '../packet/envelope.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Inputs, MapFailure, MapOptions, MapProgress } from '../emergent/map.ts'
import type { BlobRef } from '../processor/processor.ts'
import { type ControlFrame, decodeError, decodeRun, encodeError, encodeFrame, encodeRun, readFrames } from './control-messages.ts'
import type { Operator, PlainItem } from './operator.ts'

/** Of a map; all others are those of a job. */
const MAP_CHECKS: Readonly<Record<string, (value: unknown) => boolean>> = {
  concurrency: value => Number.isSafeInteger(value),
  ordered: value => typeof value === 'boolean',
  hedge: value => typeof value === 'boolean',
  narrow: value => typeof value === 'boolean',
  resume: value => typeof value === 'string',
  budget: value => typeof value === 'bigint' || Number.isSafeInteger(value)
}

const NO_INPUT = new Uint8Array(0)

/** Frames of a request. */
export async function * encodeMap (wasm: Uint8Array | BlobRef, inputs: Inputs, { signal: _signal, onProgress: _progress, onError: _onError, ...options }: MapOptions): AsyncIterable<Uint8Array> {
  const isOfMap = ([name]: [string, unknown]): boolean => Object.hasOwn(MAP_CHECKS, name)
  const entries = Object.entries(options).filter(([, value]) => value !== undefined)
  const job = encodeRun({ wasm, input: NO_INPUT, options: Object.fromEntries(entries.filter(entry => !isOfMap(entry))) })
  yield encodeFrame({ kind: 'item', value: encodeCanonical({ job, map: Object.fromEntries(entries.filter(isOfMap)) }) })
  for await (const input of inputs as AsyncIterable<Uint8Array | string>) {
    yield encodeFrame({ kind: 'item', value: typeof input === 'string' ? new TextEncoder().encode(input) : input })
  }
  yield encodeFrame({ kind: 'done', value: null })
}

/** Run the map that a request asks for. @throws {InosError} ERR_USAGE, ERR_BAD_PACKET, and whatever ends the map */
export async function serveMap (
  request: AsyncIterable<Uint8Array>, operator: Operator, signal: AbortSignal, send: (frame: ControlFrame) => Promise<void>, isFull: () => boolean
): Promise<null> {
  const frames = readFrames(request, LIMITS.control.bodyBytesMax)[Symbol.asyncIterator]()
  const { wasm, options } = readHead((await frames.next()).value)
  // Only the latest progress matters: a client that does not read misses the others.
  const onProgress = (progress: MapProgress): void => { if (!isFull()) void send({ kind: 'item', value: { progress } }).catch(() => {}) }
  for await (const item of operator.map(wasm, inputsOf(frames), { ...options, signal, onProgress })) {
    await send({ kind: 'item', value: item.error === undefined ? { item } : { index: item.index, failure: encodeError(item.error) } })
  }
  return null
}

async function * inputsOf (frames: AsyncIterator<ControlFrame>): AsyncIterable<Uint8Array> {
  for (;;) {
    const { done, value } = await frames.next()
    if (done === true) throw new InosError('ERR_BAD_PACKET', 'The inputs of a map were cut off.')
    if (value.kind === 'done') return
    if (!isBytes(value.value)) throw new InosError('ERR_USAGE', 'An input of a map is bytes.')
    yield value.value
  }
}

function readHead (frame: ControlFrame | undefined): { wasm: Uint8Array | BlobRef, options: MapOptions } {
  const head = isBytes(frame?.value) ? decodeCanonical(frame.value) : null
  const { job, map } = isMap(head) ? head : {}
  if (!isBytes(job) || !isMap(map)) throw new InosError('ERR_USAGE', 'A map for the control socket begins with its module and options.')
  for (const [name, value] of Object.entries(map)) {
    if (!Object.hasOwn(MAP_CHECKS, name) || !MAP_CHECKS[name]!(value)) {
      throw new InosError('ERR_USAGE', `The option "${name.slice(0, 40)}" of a map for the control socket is unknown or has the wrong type.`)
    }
  }
  const { wasm, options: { onProgress: _progress, ...options } } = decodeRun(job)
  const { budget, ...rest } = map as Pick<MapOptions, 'budget' | 'concurrency' | 'ordered' | 'hedge' | 'narrow' | 'resume'>
  return { wasm, options: { ...options, ...rest, ...(budget === undefined ? {} : { budget: BigInt(budget) }) } }
}

/** What the node answers to a map, its bigints given back. */
export async function * decodeItems (answers: AsyncIterable<unknown>, onProgress: MapOptions['onProgress']): AsyncGenerator<PlainItem | MapFailure, void> {
  for await (const answer of answers) {
    const { item, progress, failure, index } = answer as { item?: PlainItem, progress?: MapProgress, failure?: unknown, index?: number }
    // The name is that of an amount elsewhere.
    if (progress !== undefined) onProgress?.({ ...progress, running: Number(progress.running) })
    else if (item !== undefined) yield item
    else yield { index: index!, error: decodeError(failure) }
  }
}
