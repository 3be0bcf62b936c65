/**
 * A real node in a process of its own, whose parts are wrapped so that it ends itself with SIGKILL
 * at one named point. Nothing in the product knows of this.
 */
import { echo } from '../programs.ts'
import { openParts, start } from '../../src/node/parts.ts'
import type { Credits } from '../../src/credits/credits.ts'
import { toInosError } from '../../src/packet/errors.ts'
import type { Processor } from '../../src/processor/processor.ts'
import type { Runtime } from '../../src/wasm/runtime.ts'
import type { Bought, Books, FromNode, NodeOptions, Point, ToNode } from './messages.ts'

const options = JSON.parse(process.argv[2]!) as NodeOptions
/** Long enough that a node can be killed while its guest runs. */
const wasm = echo(2_000_000)
let reached = 0

/** The process ends here, if this is the point and the time. */
function pass (point: Point): void {
  if (options.crash?.point === point && ++reached === options.crash.nth) process.kill(process.pid, 'SIGKILL')
}

function wrapRuntime (runtime: Runtime): Runtime {
  return {
    execute (run, execute) {
      const outcome = runtime.execute(run, execute)
      // A moment later the guest runs in its executor.
      if (options.sells) setTimeout(() => { pass('running') }, 1)
      return outcome
    },
    inspect: module => runtime.inspect(module),
    load: () => runtime.load(),
    stop: () => runtime.stop()
  }
}

function wrapCredits (credits: Credits): Credits {
  return new Proxy(credits, {
    get (target, name) {
      const value = Reflect.get(target, name)
      if (typeof value !== 'function') return value
      const call = (...args: unknown[]): unknown => Reflect.apply(value, target, args)
      switch (name) {
        case 'placeOrder': return (...args: unknown[]) => after(call(...args), 'order placed, not sent')
        case 'acceptReceipt': return (...args: unknown[]) => after(call(...args), 'result received, cheque not durable')
        case 'nextCheque': return (...args: unknown[]) => after(call(...args), 'cheque durable, not sent', cheque => cheque !== null)
        case 'takeCheque': return (...args: unknown[]) => after(call(...args), 'cheque stored, not acknowledged')
        case 'acceptOrder': return async (...args: Parameters<Credits['acceptOrder']>) => {
          const hold = await target.acceptOrder(...args)
          const { settle } = hold
          return Object.assign(hold, { settle: (...facts: Parameters<typeof settle>) => after(settle(...facts), 'receipt made, not sent') })
        }
        default: return call
      }
    }
  })
}

async function after<T> (work: T | Promise<T>, point: Point, counts: (value: T) => boolean = () => true): Promise<T> {
  const value = await work
  if (counts(value)) pass(point)
  return value
}

async function buy (node: Processor, item: number): Promise<Bought> {
  try {
    const result = await node.compute(wasm, `item ${item}`, { where: 'remote', limits: { fuelMax: 50_000_000n } })
    return { item, ok: true, text: result.text(), receiptId: result.receiptId, attempts: result.attempts.length }
  } catch (thrown) {
    const error = toInosError(thrown)
    return { item, ok: false, code: error.code, attempts: error.attempts.length }
  }
}

async function booksOf (node: Processor): Promise<Books> {
  return { audit: await node.audit(), history: await Array.fromAsync(node.history()), receipts: await Array.fromAsync(node.receipts()), peers: node.peers() }
}

const say = (message: FromNode): void => { process.send!(message) }

const joinOptions = { dataDir: options.dataDir, listen: options.sells ? ['/ip4/127.0.0.1/tcp/0'] : [], slots: 1 }
const open = await openParts(joinOptions)
const node = await start({ ...open, parts: { ...open.parts, runtime: wrapRuntime(open.parts.runtime), credits: wrapCredits(open.parts.credits) } }, joinOptions)
for (const peer of options.peers) await node.connect(peer)
say({ said: 'ready', id: node.id, addresses: node.addresses() })

process.on('message', async (message: ToNode) => {
  switch (message.do) {
    case 'buy':
      for (const item of message.items) say({ said: 'bought', result: await buy(node, item) })
      return say({ said: 'all bought' })
    case 'connect':
      await node.connect(message.address)
      return say({ said: 'connected' })
    case 'books':
      return say({ said: 'books', books: await booksOf(node) })
    case 'stop':
      await node.stop()
      process.disconnect()
  }
})
process.on('disconnect', () => process.exit())
