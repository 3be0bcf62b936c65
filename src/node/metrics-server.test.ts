/** The door of `/metrics`: who is answered, and who is not. */
import assert from 'node:assert/strict'
import { request } from 'node:http'
import { test } from 'node:test'
import { InosError } from '../packet/errors.ts'
import { serveMetrics } from './metrics-server.ts'

interface Answer { readonly status: number, readonly type: string | undefined, readonly text: string }

async function ask (url: string, options: { path?: string, method?: string, host?: string } = {}): Promise<Answer> {
  const { promise, resolve, reject } = Promise.withResolvers<Answer>()
  const { port, pathname } = new URL(url)
  const { path = pathname, method = 'GET', host } = options
  request({ host: '127.0.0.1', port, path, method, agent: false, ...(host === undefined ? {} : { headers: { host } }) }, response => {
    const chunks: Buffer[] = []
    response.on('data', (chunk: Buffer) => { chunks.push(chunk) })
    response.on('end', () => { resolve({ status: response.statusCode!, type: response.headers['content-type'], text: Buffer.concat(chunks).toString() }) })
  }).on('error', reject).end()
  return await promise
}

// Goal: whoever asks as Prometheus does is answered, and nobody else. Method: each part of a request that could be wrong is, one at a time.
test('metrics are for GET /metrics of this machine', async () => {
  let fail = false
  const server = await serveMetrics(0, { contentType: 'text/plain', text: async () => fail ? await Promise.reject(new Error('broken')) : 'one 1\n' })
  try {
    const { port } = new URL(server.url)
    assert.equal(server.url, `http://127.0.0.1:${port}/metrics`)
    assert.deepEqual(await ask(server.url), { status: 200, type: 'text/plain', text: 'one 1\n' })
    assert.equal((await ask(server.url, { host: `localhost:${port}` })).status, 200)
    for (const [options, status] of [
      [{ path: '/' }, 404], [{ path: '/metrics?x' }, 404], [{ path: '/metrics/' }, 404], [{ method: 'POST' }, 405], [{ method: 'HEAD' }, 405],
      [{ host: 'evil.example' }, 403], [{ host: `evil.example:${port}` }, 403], [{ host: '127.0.0.1' }, 403]
    ] as const) {
      const answer = await ask(server.url, options)
      assert.deepEqual([answer.status, answer.text], [status, ''], JSON.stringify(options))
    }
    fail = true
    assert.deepEqual(await ask(server.url), { status: 500, type: undefined, text: '' })
    await assert.rejects(serveMetrics(Number(port), { contentType: '', text: async () => '' }), error => error instanceof InosError && error.code === 'ERR_LISTEN')
  } finally {
    await server.stop()
  }
  await assert.rejects(ask(server.url), { code: 'ECONNREFUSED' })
})
