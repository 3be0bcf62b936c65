/**
 * Who gets which job when: each node buys its share, two tiles and one job of the sweep at a time,
 * from the node the plan names. A job whose executor is lost goes to another node; one whose buyer
 * is lost is bought again when the buyer is back. Killing and starting nodes is left to `main.ts`.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { InosError, toInosError } from '../../src/packet/errors.ts'
import type { Delivery, Purchase } from './messages.ts'
import type { Kind, Task } from './plan.ts'

/** Jobs a node buys at once. */
const LANES: readonly Kind[] = ['tile', 'tile', 'sweep']
/** A job is tried this often; refusals for want of room are 100 ms apart. */
const TRIES_MAX = 100
const REFUSED_MS = 100
/** The executor is gone, or did not do what it took on. */
const LOST = ['ERR_PEER_LOST', 'ERR_NOT_REACHABLE', 'ERR_EXECUTOR_LOST', 'ERR_DEADLINE', 'ERR_VERIFICATION']

/** What one node has done so far. */
export interface Tally { tiles: number, tilesForOthers: number, bought: number, fuel: bigint, busy: number }

export interface Dispatch {
  readonly tallies: readonly Tally[]
  /** Tiles whose result came from another node after the first executor was lost. */
  readonly rerunElsewhere: number
  /** Resolves when every task is done. @throws {InosError} when one can't be done */
  run (): Promise<void>
  /** Look again: a node came up, or may be asked again. */
  wake (): void
}

export interface DispatchOptions {
  /** The nodes; `up` when jobs may go to it and come from it. */
  readonly members: readonly { readonly id: string, readonly up: boolean, readonly running: boolean }[]
  readonly tasks: readonly Task[]
  /** Let a node, named by its place, buy a job. */
  compute (buyer: number, purchase: Purchase): Promise<Delivery>
  /** Whether a task may be sent to its executor now, its nodes being up. */
  allows (task: Task): boolean
  /** A task is done; called once for each. */
  deliver (task: Task, delivery: Delivery): void
}

export function createDispatch ({ members, tasks, compute, allows, deliver }: DispatchOptions): Dispatch {
  const pending = [...tasks]
  const tallies: Tally[] = members.map(() => ({ tiles: 0, tilesForOthers: 0, bought: 0, fuel: 0n, busy: 0 }))
  let rerunElsewhere = 0
  let change = Promise.withResolvers<void>()

  const wake = (): void => {
    change.resolve()
    change = Promise.withResolvers<void>()
  }

  const ready = (task: Task): boolean => members[task.buyer]!.up && members[task.executor]!.up && allows(task)

  const finish = (task: Task, delivery: Delivery): void => {
    const executor = members.findIndex(({ id }) => id === delivery.executor)
    const tally = tallies[executor]
    if (tally === undefined) throw new InosError('ERR_VERIFICATION', `A ${task.kind} came back from a node that is none of ours.`)
    tally.fuel += delivery.fuel
    if (executor !== task.buyer) tallies[task.buyer]!.bought++
    if (task.kind === 'tile') {
      tally.tiles++
      if (executor !== task.buyer) tally.tilesForOthers++
      if (task.lost.length > 0 && task.lost[0] !== executor) rerunElsewhere++
    }
    deliver(task, delivery)
  }

  /** Another node that is up and has not been lost with this task; the buyer itself last. */
  const elsewhere = (task: Task): number => {
    const others = members.map((_, place) => place).filter(place => members[place]!.up && place !== task.buyer && !task.lost.includes(place))
    return others[task.index % Math.max(1, others.length)] ?? task.buyer
  }

  /** Put a task that failed back, changed so that the next try can succeed. */
  const putBack = async (task: Task, error: unknown): Promise<void> => {
    const failure = toInosError(error)
    const bought = members[task.buyer]!.running
    if ((bought && !failure.retryable) || ++task.tries >= TRIES_MAX) throw failure
    if (bought && LOST.includes(failure.code)) {
      task.lost.push(task.executor)
      task.executor = elsewhere(task)
    } else if (bought) {
      await sleep(REFUSED_MS)
    }
    pending.unshift(task)
  }

  const perform = async (task: Task): Promise<void> => {
    const { kind, input, args, limits } = task
    const executor = members[task.executor]!
    const tally = tallies[task.executor]!
    tally.busy++
    try {
      const where = task.executor === task.buyer ? 'local' : executor.id
      finish(task, await compute(task.buyer, { kind, input, args, limits, where }))
    } catch (error) {
      await putBack(task, error)
    } finally {
      tally.busy--
      wake()
    }
  }

  const buy = async (buyer: number, kind: Kind): Promise<void> => {
    const mine = (task: Task): boolean => task.buyer === buyer && task.kind === kind
    while (pending.some(mine)) {
      const next = pending.findIndex(task => mine(task) && ready(task))
      if (next === -1) await change.promise
      else await perform(pending.splice(next, 1)[0]!)
    }
  }

  return {
    tallies,
    get rerunElsewhere () { return rerunElsewhere },
    wake,
    run: async () => { await Promise.all(members.flatMap((_, buyer) => LANES.map(kind => buy(buyer, kind)))) }
  }
}
