/**
 * Where a process of a campaign ends itself: the methods of its books are wrapped so that it kills
 * itself before or after a step. Nothing in the product knows of this.
 */
import type { Credits } from '../../src/credits/credits.ts'
import type { Crash, Point, Step } from './messages.ts'

export class Fuse {
  #crash: Crash | null
  #reached = 0

  constructor (crash: Crash | null) { this.#crash = crash }

  arm (crash: Crash | null): void {
    this.#reached = 0
    this.#crash = crash
  }

  /** The process ends here, if this is the point and the time. */
  readonly pass = (point: Point | Step): void => {
    if (this.#crash?.point === point && ++this.#reached === this.#crash.nth) process.kill(process.pid, 'SIGKILL')
  }
}

export function wrapCredits (credits: Credits, { pass }: Fuse): Credits {
  /** The books' own methods, those of the money protocol between two passes. */
  const around = <A extends unknown[], T>(name: string, method: (...args: A) => Promise<T>, late?: Point) => async (...args: A): Promise<T> => {
    pass(`before ${name}` as Step)
    const value = await method.apply(credits, args)
    pass(`after ${name}` as Step)
    if (late !== undefined) pass(late)
    return value
  }
  const over: Partial<Credits> = {
    placeOrder: around('placeOrder', credits.placeOrder, 'order placed, not sent'),
    acceptReceipt: around('acceptReceipt', credits.acceptReceipt, 'result received, cheque not durable'),
    takeAck: around('takeAck', credits.takeAck),
    takeCheque: around('takeCheque', credits.takeCheque, 'cheque stored, not acknowledged'),
    syncQuestions: around('syncQuestions', credits.syncQuestions),
    answerSync: around('answerSync', credits.answerSync),
    applySync: around('applySync', credits.applySync),
    async nextCheque (peer) {
      if (credits.line(peer).owed > 0n) pass('before nextCheque')
      const cheque = await credits.nextCheque(peer)
      if (cheque !== null) {
        pass('after nextCheque')
        pass('cheque durable, not sent')
      }
      return cheque
    },
    async acceptOrder (...args) {
      pass('before acceptOrder')
      const hold = await credits.acceptOrder(...args)
      pass('after acceptOrder')
      return Object.assign(hold, { settle: around('settle', hold.settle.bind(hold), 'receipt made, not sent') })
    }
  }
  return new Proxy(credits, {
    get (target, name) {
      const value: unknown = Reflect.get(over, name) ?? Reflect.get(target, name)
      return typeof value === 'function' && !Reflect.has(over, name) ? value.bind(target) : value
    }
  })
}
