/** Asking routers for ports, on loopback; one that really forwards is played in test/nat/. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Mode, playGateway } from '../../test/nat/gateway.ts'
import { until } from '../../test/suites/network.ts'
import { LIMITS } from '../packet/limits.ts'
import { PortForwarder } from './upnp.ts'
import { timers } from './timers.ts'

const HOST = '127.0.0.1'
const limits = { ...LIMITS.upnp, searchMs: 200, answerMsMax: 1_000, leaseSeconds: 1 }

async function ask (mode: Mode, during: (told: { readonly ports: readonly number[], readonly problem: string | null }[], asked: string[]) => Promise<void>): Promise<string[]> {
  const asked: string[] = []
  const told: { ports: readonly number[], problem: string | null }[] = []
  const gateway = await playGateway(HOST, HOST, 0, mode, (action, { NewExternalPort, NewInternalClient, NewLeaseDuration }) => { asked.push([action, NewExternalPort, NewInternalClient, NewLeaseDuration].join(' ').trim()) })
  const forwarder = new PortForwarder({ timers, ports: () => [4001], tell: (ports, problem) => { told.push({ ports, problem }) }, group: { host: HOST, port: gateway.port }, limits })
  try {
    forwarder.start()
    await during(told, asked)
  } finally {
    await forwarder.stop()
    await gateway.stop()
  }
  return asked
}

// Goal: a port is forwarded for a lease, renewed before that ends, and taken back at the stop. Method: a router that says yes, and a lease of a second.
test('a forwarded port is renewed and taken back', { timeout: 30_000 }, async () => {
  const asked = await ask('dry', async (told, asked) => {
    await until(() => asked.length >= 2)
    await until(() => told.length >= 2)
    assert.deepEqual(told[0], { ports: [4001], problem: null })
  })
  const add = `AddPortMapping 4001 ${HOST} 1`
  assert.deepEqual(asked.slice(0, 2), [add, add])
  assert.deepEqual(asked.filter(line => !line.startsWith('Add')), ['DeletePortMapping 4001'])
})

// Goal: a router that refuses, talks nonsense without end, or says nothing is told with its address and what it did, and holds nothing up. Method: one of each kind.
test('a router that forwards nothing is told', { timeout: 60_000 }, async () => {
  for (const [mode, problem] of [['refuse', /127\.0\.0\.1 refuses to forward the port: 606 Action not authorized/], ['garbage', /127\.0\.0\.1 says too much/], ['silent', /127\.0\.0\.1 does not answer/]] as const) {
    await ask(mode, async told => {
      await until(() => told.length > 0)
      assert.deepEqual(told[0]!.ports, [])
      assert.match(told[0]!.problem ?? '', problem)
    })
  }
})
