/** QUIC as the optional native module offers it (quiche): loaded when somebody listens or dials, so that a node without it starts. */
import type { Quiche } from '@matrixai/quic/native/quiche.js'
import { InosError } from '../../packet/errors.ts'

export type { Connection as NativeConnection, Config as NativeConfig, Header } from '@matrixai/quic/native/types.js'
export type { Quiche }

/** @throws {InosError} ERR_LISTEN when it is not installed, or not built for this machine */
export async function loadQuiche (): Promise<Quiche> {
  try {
    return (await import('@matrixai/quic/native/quiche.js')).default
  } catch (cause) {
    throw new InosError('ERR_LISTEN', 'QUIC needs the optional package @matrixai/quic, which is not installed here or has no build for this machine.', { cause, hint: 'npm install @matrixai/quic, or listen on /tcp/0 or /tcp/0/ws instead.' })
  }
}
