/**
 * `/metrics` over HTTP, for a Prometheus on the same machine: loopback only, GET only, and only where
 * the Host is this machine's, so that no page in a browser reads it under a name of its own.
 */
import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'

export interface MetricsServer {
  /** Such as http://127.0.0.1:9464/metrics. */
  readonly url: string
  stop (): Promise<void>
}

/** What is handed out. */
export interface MetricsSource { text (): Promise<string>, readonly contentType: string }

const HOST = '127.0.0.1'

/**
 * @param port 0: any that is free
 * @throws {InosError} ERR_LISTEN
 */
export async function serveMetrics (port: number, source: MetricsSource): Promise<MetricsServer> {
  const { requestMsMax, connectionsMax } = LIMITS.metrics
  const server = createServer({ requestTimeout: requestMsMax, headersTimeout: requestMsMax }, (request, response) => {
    const refuse = (status: number): void => { response.writeHead(status, { 'content-length': 0, connection: 'close', ...(status === 405 ? { allow: 'GET' } : {}) }).end() }
    // Nothing is read of a body; who sends one is closed on.
    if (!isOurs(request.headers.host, server)) refuse(403)
    else if (request.url !== '/metrics') refuse(404)
    else if (request.method !== 'GET') refuse(405)
    else source.text().then(text => { response.writeHead(200, { 'content-type': source.contentType, 'cache-control': 'no-store' }).end(text) }, () => { refuse(500) })
  })
  server.maxConnections = connectionsMax
  await listen(server, port)
  return {
    url: `http://${HOST}:${portOf(server)}/metrics`,
    stop: async () => {
      const closed = new Promise<void>(resolve => { server.close(() => { resolve() }) })
      server.closeAllConnections()
      await closed
    }
  }
}

function isOurs (host: string | undefined, server: Server): boolean {
  return [HOST, 'localhost'].some(name => host === `${name}:${portOf(server)}`)
}

function portOf (server: Server): number { return (server.address() as AddressInfo).port }

async function listen (server: Server, port: number): Promise<void> {
  const listening = Promise.withResolvers<void>()
  server.once('error', listening.reject)
  server.listen({ host: HOST, port, exclusive: true }, listening.resolve)
  try {
    await listening.promise
  } catch (cause) {
    throw new InosError('ERR_LISTEN', `Metrics cannot be served on ${HOST}:${port}: ${(cause as Error).message}.`, { cause, hint: 'Choose another port; 0 takes any free one.' })
  }
}
