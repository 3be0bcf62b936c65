/**
 * What a node tells of itself as Prometheus metrics: its jobs, fuel, credits and executors, beside
 * those of libp2p and of the process. No label is a PeerId, a job or anything else that a peer
 * could make new ones of. `metrics-server.ts` hands them out.
 */
import { prometheusMetrics } from '@libp2p/prometheus-metrics'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import { CREDIT } from '../packet/limits.ts'
import type { Processor, ReceiptView } from '../processor/processor.ts'
import type { Runtime } from '../wasm/runtime.ts'
import { serveMetrics } from './metrics-server.ts'

export interface Metrics extends AsyncDisposable {
  /** Where they are. */
  readonly url: string
  /** For the option `metrics` of libp2p; one node in a process. */
  readonly libp2p: Libp2pMetrics
  /** Count from now on what happens at a node. */
  watch (node: Processor, runtime: Runtime): void
}

export type Libp2pMetrics = ReturnType<typeof prometheusMetrics>

/** Seconds; from a job within the machine to the longest lease. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1_800]

const ROLES: Readonly<Record<ReceiptView['role'], string>> = { bought: 'buyer', sold: 'seller', own: 'own' }

/** Serve what there is to tell on a port of loopback; 0: any that is free. @throws {InosError} ERR_LISTEN */
export async function openMetrics (port: number): Promise<Metrics> {
  const registry = new Registry()
  const server = await serveMetrics(port, { text: () => registry.metrics(), contentType: registry.contentType })
  return {
    url: server.url,
    libp2p: prometheusMetrics({ registry }),
    watch: (node, runtime) => {
      countJobs(registry, node)
      readBooks(registry, node)
      readLoad(registry, node, runtime)
    },
    [Symbol.asyncDispose]: () => server.stop()
  }
}

function countJobs (registry: Registry, node: Processor): void {
  const registers = [registry]
  const jobs = new Counter({ name: 'inos_jobs_total', help: 'Jobs that ended, by what the guest did (ok, trap, fuel, …) or by the code of the error', labelNames: ['role', 'state'], registers })
  const seconds = new Histogram({ name: 'inos_job_seconds', help: 'Time of jobs that ended, retries and waiting included', labelNames: ['role'], buckets: SECONDS, registers })
  const fuel = new Counter({ name: 'inos_fuel_total', help: 'Fuel on receipts', labelNames: ['role'], registers })
  const receipts = new Counter({ name: 'inos_receipts_total', help: 'Receipts by outcome', labelNames: ['role', 'outcome'], registers })
  node.on('job:end', ({ role, end, ms }) => {
    jobs.inc({ role, state: end })
    seconds.observe({ role }, ms / 1000)
  })
  node.on('receipt', ({ role, outcome, fuel: burnt }) => {
    fuel.inc({ role: ROLES[role] }, Number(burnt))
    receipts.inc({ role: ROLES[role], outcome })
  })
}

/** Read when asked; amounts are credits, not µcr. */
function readBooks (registry: Registry, node: Processor): void {
  const credits = new Gauge({
    name: 'inos_credits',
    help: 'Credits by kind; balance is earned less spent, held, due and owed are still open',
    labelNames: ['kind'],
    registers: [registry],
    collect: () => {
      for (const [kind, amount] of Object.entries(node.credits())) credits.set({ kind }, Number(amount) / Number(CREDIT))
    }
  })
}

function readLoad (registry: Registry, node: Processor, runtime: Runtime): void {
  const registers = [registry]
  const slots = new Gauge({
    name: 'inos_executor_slots',
    help: 'Jobs that can run at once',
    labelNames: ['state'],
    registers,
    collect: () => {
      const load = runtime.load()
      slots.set({ state: 'busy' }, load.busy)
      slots.set({ state: 'free' }, load.slots - load.busy)
    }
  })
  const queue: Gauge = new Gauge({ name: 'inos_executor_queue', help: 'Jobs that wait for an executor', registers, collect: () => { queue.set(runtime.load().queued) } })
  const peers: Gauge = new Gauge({ name: 'inos_peers', help: 'Peers with an open session', registers, collect: () => { peers.set(node.peers().length) } })
}
