/** What is spoken over QUIC: between nodes libp2p's streams alone, for browsers HTTP/3 with WebTransport. */
import { LIMITS } from '../../packet/limits.ts'
import type { Certificate } from '../certificate.ts'
import type { NativeConfig, Quiche } from './native.ts'

export interface Application {
  /** Its name in the handshake (RFC 7301). */
  readonly protocol: string
  /** To show now. */
  certificate (): Certificate
  /** Whether whoever dials shows one too. */
  readonly isMutual: boolean
  /** One-way streams that the peer may open. */
  readonly oneWayStreamsMax: number
  /** Whether a datagram may come, which is dropped. */
  readonly hasDatagrams: boolean
  readonly codes: {
    /** For the end of a connection. */
    readonly end: number
    /** For one that does not show in time who it is. */
    readonly late: number
    /** For one that does not show who it is, or whom this node does not take. */
    readonly refused: number
    /** For a stream that is given up. */
    readonly givenUp: number
  }
}

const { wire, quic } = LIMITS

/** Of all connections of one application, until it shows another certificate. */
export class Configuration {
  readonly #quiche: Quiche
  readonly #application: Application
  #made: { readonly shown: Certificate, readonly config: NativeConfig } | null = null

  constructor (quiche: Quiche, application: Application) {
    this.#quiche = quiche
    this.#application = application
  }

  get current (): NativeConfig {
    const shown = this.#application.certificate()
    if (this.#made?.shown !== shown) this.#made = { shown, config: this.#make(shown) }
    return this.#made.config
  }

  #make ({ keyPem, certificatePem }: Certificate): NativeConfig {
    const { protocol, isMutual, oneWayStreamsMax, hasDatagrams } = this.#application
    // No authority is asked: what a certificate says is looked at when the handshake has shown that the peer has its key.
    const config = this.#quiche.Config.withBoringSslCtx(isMutual, isMutual, null, [keyPem], [certificatePem], null)
    config.setApplicationProtos([protocol])
    config.setMaxIdleTimeout(quic.idleMsMax)
    config.setMaxRecvUdpPayloadSize(quic.packetBytesMax)
    config.setMaxSendUdpPayloadSize(quic.packetBytesMax)
    // Windows begin small, and grow with readers that keep up: who has not said who it is fills no memory.
    config.setInitialMaxData(quic.firstBytesMax)
    config.setInitialMaxStreamDataBidiLocal(quic.firstStreamBytesMax)
    config.setInitialMaxStreamDataBidiRemote(quic.firstStreamBytesMax)
    config.setInitialMaxStreamDataUni(oneWayStreamsMax === 0 ? 0 : LIMITS.webTransport.controlBytesMax)
    config.setMaxStreamWindow(wire.streamWindowBytesMax)
    config.setMaxConnectionWindow(quic.windowBytesMax)
    config.setInitialMaxStreamsBidi(wire.muxerStreamsMax)
    config.setInitialMaxStreamsUni(oneWayStreamsMax)
    config.setDisableActiveMigration(true)
    config.enablePacing(false)
    config.enableDgram(hasDatagrams, 1, 1)
    config.grease(false)
    return config
  }
}
