/**
 * Noise with as few writes as messages. Left alone, a small message is four buffers (length, ciphertext in two parts, tag) that
 * the TCP transport writes one by one, and the muxer answers each with a window update of its own: that is five
 * system calls, segments and wake-ups where one would do.
 */
import { createSecretKey, type KeyObject } from 'node:crypto'
import type { ConnectionEncrypter, MessageStream } from '@libp2p/interface'
import { noise } from '@libp2p/noise'
import { asCrypto, defaultCrypto, nodeCrypto } from '@libp2p/noise/crypto'
import { Uint8ArrayList } from 'uint8arraylist'
import { notePassed } from './scavenge.ts'

type Data = Uint8Array | Uint8ArrayList
type Components = Parameters<ReturnType<typeof noise>>[0]

/** Bytes of window that may be held back: half of the smallest a stream has, as Yamux advises, so that no sender runs dry of it. */
const HELD_BYTES_MAX = 128 * 1024
/** A buffer from here on is written as it is: joining it to others costs more than another entry of one vectored write. */
const APART_BYTES_MIN = 16 * 1024
/** From here on OpenSSL is quicker than WASM, if it need not read the key again for each message (bench/wire.ts, the bulk). */
const NATIVE_BYTES_MIN = 800
/** Small updates that may wait: a peer that only sends, a few bytes at a time, is still told now and then. */
const HELD_MAX = 256
/** https://github.com/hashicorp/yamux/blob/master/spec.md: version 0, type, flags, stream, length. */
const HEADER_BYTES = 12
const WINDOW_UPDATE = 1

export function noiseInOneWrite (): (components: Components) => ConnectionEncrypter {
  return components => {
    const inner = noise({ crypto: createCrypto() })(components)
    const secureOutbound = inner.secureOutbound.bind(inner)
    const secureInbound = inner.secureInbound.bind(inner)
    return Object.assign(inner, {
      async secureOutbound (connection: MessageStream, options?: Parameters<typeof secureOutbound>[1]) {
        const secured = await secureOutbound(joinBuffers(connection), options)
        return { ...secured, connection: holdUpdates(secured.connection) }
      },
      async secureInbound (connection: MessageStream, options?: Parameters<typeof secureInbound>[1]) {
        const secured = await secureInbound(joinBuffers(connection), options)
        return { ...secured, connection: holdUpdates(secured.connection) }
      }
    })
  }
}

/** That of libp2p, but Node reads a connection's keys once: as bytes they are read for each message, which takes longer than sealing a kilobyte. */
function createCrypto (): typeof defaultCrypto {
  const keys = new WeakMap<Uint8Array, KeyObject>()
  // Node takes a KeyObject wherever it takes its bytes; the types of Noise know only bytes.
  const keyOf = (bytes: Uint8Array): Uint8Array => {
    const key = keys.get(bytes) ?? createSecretKey(bytes)
    keys.set(bytes, key)
    return key as unknown as Uint8Array
  }
  return {
    ...defaultCrypto,
    chaCha20Poly1305Encrypt (plaintext, nonce, ad, key) {
      if (plaintext.byteLength < NATIVE_BYTES_MIN) return asCrypto.chaCha20Poly1305Encrypt(plaintext, nonce, ad, key)
      notePassed(plaintext.byteLength)
      return nodeCrypto.chaCha20Poly1305Encrypt(plaintext, nonce, ad, keyOf(key))
    },
    chaCha20Poly1305Decrypt (ciphertext, nonce, ad, key, target) {
      if (ciphertext.byteLength < NATIVE_BYTES_MIN) return asCrypto.chaCha20Poly1305Decrypt(ciphertext, nonce, ad, key, target)
      notePassed(ciphertext.byteLength)
      return nodeCrypto.chaCha20Poly1305Decrypt(ciphertext, nonce, ad, keyOf(key))
    }
  }
}

/** What is sent in several small buffers reaches the transport as one; large ones are not copied. */
export function joinBuffers (connection: Pick<MessageStream, 'send'>): MessageStream {
  const send = connection.send.bind(connection)
  return Object.assign(connection as MessageStream, { send: (data: Data) => send(data instanceof Uint8Array ? data : joinSmall(data)) })
}

function joinSmall (data: Uint8ArrayList): Data {
  if (data.byteLength <= APART_BYTES_MIN) return data.subarray()
  const joined = new Uint8ArrayList()
  let small = new Uint8ArrayList()
  const flush = (): void => {
    if (small.byteLength > 0) joined.append(small.subarray())
    small = new Uint8ArrayList()
  }
  for (const buffer of data) {
    if (buffer.length < APART_BYTES_MIN) {
      small.append(buffer)
      continue
    }
    flush()
    joined.append(buffer)
  }
  flush()
  return joined
}

/** Window updates of Yamux wait for the next frame and travel with it, or until there is much to tell. */
export function holdUpdates (connection: Pick<MessageStream, 'send'>): MessageStream {
  const send = connection.send.bind(connection)
  let held: Uint8Array[] = []
  let heldBytes = 0
  return Object.assign(connection as MessageStream, {
    send (data: Data): boolean {
      const bytes = updateOf(data)
      if (bytes > 0) {
        held.push(data.subarray())
        heldBytes += bytes
        if (heldBytes < HELD_BYTES_MAX && held.length < HELD_MAX) return true
      }
      if (held.length === 0) return send(data)
      const all = new Uint8ArrayList(...held, ...(bytes > 0 ? [] : [data]))
      held = []
      heldBytes = 0
      return send(all)
    }
  })
}

/** By how much a frame widens a stream's window; 0 if it is another frame, or says more than that. */
function updateOf (data: Data): number {
  if (data.byteLength !== HEADER_BYTES) return 0
  const header = data.subarray()
  const isUpdate = header[0] === 0 && header[1] === WINDOW_UPDATE && header[2] === 0 && header[3] === 0
  return isUpdate ? new DataView(header.buffer, header.byteOffset).getUint32(8) : 0
}
