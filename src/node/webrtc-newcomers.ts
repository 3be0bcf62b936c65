/**
 * Who has not said yet who it is, at a listener for WebRTC: one of a few. A packet from an address that somebody made up is enough to be one, so the
 * oldest makes way: who is somebody has done with it in a moment.
 */
import type { Transport } from '@libp2p/interface'
import { lend } from '../network/punch.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'

/** What libp2p's listener is made of: it is called for each name that a packet from anywhere asks for. */
export interface Inside { incomingConnection (ufrag: string, host: string, port: number, signal: AbortSignal): Promise<void> }

export function limitNewcomers (transport: Transport): Transport {
  return lend(transport, {
    createListener (options) {
      const listener = transport.createListener(options) as ReturnType<Transport['createListener']> & Inside
      const take = listener.incomingConnection.bind(listener)
      const unsettled = new Set<AbortController>()
      listener.incomingConnection = async (ufrag, host, port, signal) => {
        const late = new AbortController()
        const [oldest] = unsettled
        if (oldest !== undefined && unsettled.size >= LIMITS.webRtc.unsettledMax) {
          unsettled.delete(oldest)
          oldest.abort(new InosError('ERR_BUSY', 'Others came after it.'))
        }
        unsettled.add(late)
        try {
          await take(ufrag, host, port, AbortSignal.any([signal, late.signal]))
        } finally {
          unsettled.delete(late)
        }
      }
      return listener
    }
  })
}
