/**
 * Main of an executor, a worker of its own: takes one job at a time, runs it on the engine, answers. It decides nothing
 * and keeps nothing; how long it may take is watched by the page, which ends it.
 */
import { InosError } from '../packet/errors.ts'
import { createEngine } from '../wasm/engine.ts'
import type { ChildEnd, Compute } from '../wasm/runtime.ts'
import type { Answer, Order } from './executor-messages.ts'

/** What is used of a worker's own scope. */
interface Scope {
  onmessage: ((event: { data: Order }) => void) | null
  postMessage (answer: Answer): void
}

const scope = globalThis as unknown as Scope
const engine = createEngine({ ownStacks: true, onEstimate: ({ cpuMs }) => { scope.postMessage({ kind: 'estimate', cpuMs }) } })
let awaited: PromiseWithResolvers<Uint8Array> | undefined
/** Children of the job at hand that are not over. */
const children = new Map<number, PromiseWithResolvers<ChildEnd>>()

scope.onmessage = ({ data }) => { void take(data) }
scope.postMessage({ kind: 'ready' })

async function take (order: Order): Promise<void> {
  switch (order.kind) {
    case 'run': return await perform(() => execute(order))
    case 'inspect': return await perform(async () => ({ kind: 'report', report: await engine.inspect(order.wasm) }))
    case 'module': return order.wasm === null ? awaited?.reject(lost('The module could not be fetched.')) : awaited?.resolve(order.wasm)
    case 'child': return order.end === null ? children.get(order.at)?.reject(lost('A child could not be computed.')) : children.get(order.at)?.resolve(order.end)
  }
}

async function perform (work: () => Promise<Answer>): Promise<void> {
  scope.postMessage(await work().catch((error: unknown): Answer => {
    // A surprise, such as a buffer that could not be had, leaves nothing to rely on: the page replaces this worker.
    const { code, message, hint } = error instanceof InosError ? error : lost(String(error))
    return { kind: 'refusal', code, message, hint: hint ?? null }
  }))
}

async function execute ({ run, wasm, hasKin }: Extract<Order, { kind: 'run' }>): Promise<Answer> {
  children.clear()
  const options = hasKin ? { payer: '', compute, onWait: (at: number) => { scope.postMessage({ kind: 'wait', at }) } } : { payer: '' }
  return { kind: 'outcome', outcome: await engine.execute({ ...run, wasm: wasm ?? ask }, options) }
}

const compute: Compute = (child, at) => {
  const over = Promise.withResolvers<ChildEnd>()
  children.set(at, over)
  scope.postMessage({ kind: 'want', at, child })
  return over.promise
}

function ask (): Promise<Uint8Array> {
  awaited = Promise.withResolvers()
  scope.postMessage({ kind: 'need' })
  return awaited.promise
}

function lost (message: string): InosError { return new InosError('ERR_EXECUTOR_LOST', message) }
