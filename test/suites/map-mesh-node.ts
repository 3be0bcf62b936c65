/**
 * A seller of the map campaign, as a process of its own: an honest node, or one whose runs say that they burnt three times
 * the fuel, or one whose receipts charge more than its offer. What it is made of is the real node's.
 */
import { openParts, start } from '../../src/node/parts.ts'
import type { Credits } from '../../src/credits/credits.ts'
import type { ProcessorParts } from '../../src/processor/create.ts'
import type { Runtime } from '../../src/wasm/runtime.ts'

export type Manner = 'honest' | 'inflates' | 'overcharges'

const [dataDir, manner] = process.argv.slice(2) as [string, Manner]
const options = { dataDir, listen: ['/ip4/127.0.0.1/tcp/0'], slots: 1 }

function changed (parts: ProcessorParts): ProcessorParts {
  const { runtime, credits } = parts
  if (manner === 'inflates') {
    const execute: Runtime['execute'] = async (run, how) => {
      const outcome = await runtime.execute(run, how)
      return { ...outcome, fuel: 3n * outcome.fuel }
    }
    return { ...parts, runtime: withMethod(runtime, 'execute', execute) }
  }
  if (manner === 'overcharges') {
    // Its own check of the worst case must not stand in its way.
    const acceptOrder: Credits['acceptOrder'] = (peer, order, offer, limits) => credits.acceptOrder(
      peer, order, { ...offer, payload: { ...offer.payload, base: offer.payload.base + 300n } }, { ...limits, outputBytesMax: 0 }
    )
    return { ...parts, credits: withMethod(credits, 'acceptOrder', acceptOrder) }
  }
  return parts
}

/** The same object with one method of another; the others are called on it as before. */
function withMethod<T extends object> (object: T, method: keyof T, replaced: unknown): T {
  return new Proxy(object, {
    get (target, name) {
      const value: unknown = name === method ? replaced : Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    }
  })
}

const opened = await openParts(options)
const node = await start({ ...opened, parts: changed(opened.parts) }, options)
process.on('disconnect', () => { process.exit(0) })
process.send?.({ id: node.id, address: node.addresses()[0] })
