import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { readNewcomer, tellNewcomer } from './webrtc-bridge.ts'

const TOKEN = 't'.repeat(43)
const NEWCOMER = { address: '/ip4/127.0.0.1/udp/1/webrtc-direct', peer: 'somebody' }

/** What is made of what one side does, at the other. */
async function read (act: (socket: Socket) => void): Promise<{ newcomer: unknown, rest: string } | { code: unknown }> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const one = connect((server.address() as AddressInfo).port, '127.0.0.1').on('error', () => {})
  const [other] = await once(server, 'connection') as [Socket]
  try {
    act(one)
    one.end()
    const newcomer = await readNewcomer(other, TOKEN, AbortSignal.timeout(20_000))
    const rest: Buffer[] = []
    for await (const bytes of other) rest.push(bytes as Buffer)
    return { newcomer: { address: (newcomer as typeof NEWCOMER).address, peer: (newcomer as typeof NEWCOMER).peer }, rest: Buffer.concat(rest).toString() }
  } catch (error) {
    return { code: (error as { code?: unknown }).code }
  } finally {
    one.destroy()
    other.destroy()
    server.close()
  }
}

// Goal: who has come is read as it was told, and the bytes behind it are left alone, however they are cut. Method: a line and words behind it, in two writes.
test('a newcomer is read as it was told', async () => {
  assert.deepEqual(await read(socket => {
    tellNewcomer(socket, NEWCOMER, TOKEN)
    socket.write('first ')
    socket.write('words')
  }), { newcomer: NEWCOMER, rest: 'first words' })
})

// Goal: nobody comes in who does not have the token. Method: other tokens, shorter and longer ones, lines that are none, half of one, and any bytes.
test('who has no token is nobody', async () => {
  for (const token of ['', 'x'.repeat(43), TOKEN.slice(1), `${TOKEN}t`]) assert.deepEqual(await read(socket => { tellNewcomer(socket, NEWCOMER, token) }), { code: 'ERR_BAD_PACKET' }, token)
  const framed = (text: string): Buffer => Buffer.concat([Buffer.from([0, 0, text.length >> 8, text.length & 255]), Buffer.from(text)])
  for (const text of ['null', '[]', '"x"', '{"token":1}', '{', `{"__proto__":{"token":"${TOKEN}"}}`]) assert.deepEqual(await read(socket => { socket.write(framed(text)) }), { code: 'ERR_BAD_PACKET' }, text)
  await fc.assert(fc.asyncProperty(fc.uint8Array({ maxLength: 2_000 }), async bytes => {
    assert.deepEqual(await read(socket => { socket.write(bytes) }), { code: 'ERR_BAD_PACKET' })
  }), { numRuns: 30 })
})
