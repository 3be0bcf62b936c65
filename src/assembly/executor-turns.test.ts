import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as immediate } from 'node:timers/promises'
import fc from 'fast-check'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import type { Outcome, Run } from '../wasm/runtime.ts'
import { type Finding, lost, type Performance, Recalled, type Seat, type Task } from './executor-seat.ts'
import { type Job, SPARE, TurnPool } from './executor-turns.ts'

/** An executor that does nothing by itself: the test says how its job ends. */
class Chair implements Seat {
  task: Task | undefined
  waiting = false
  #found = Promise.withResolvers<Finding>()

  get idle (): boolean { return this.task === undefined }
  get busy (): boolean { return this.task !== undefined }
  knows (): boolean { return false }

  perform (task: Task): Performance {
    this.task = task
    this.#found = Promise.withResolvers()
    return { found: this.#found.promise, cancel: (_why, error) => { this.finish(error) } }
  }

  /** @param end an error, or nothing: the answer is the id of the module that ran */
  finish (end?: Error): void {
    const name = nameOf(this.task)
    this.task = undefined
    if (end === undefined) this.#found.resolve({ name } as unknown as Outcome)
    else this.#found.reject(end)
  }

  end (_why: string, error: InosError = lost('it was ended')): void { if (this.busy) this.finish(error) }
}

class Room extends TurnPool<Chair> {
  readonly ended: string[] = []

  constructor (slots: number) {
    super({ cores: 8, slots, log: line => { this.ended.push(line) }, open: () => this.#add() })
  }

  get all (): Chair[] { return [...this.seats] }
  at (name: string): Chair | undefined { return this.all.find(chair => nameOf(chair.task) === name) }

  suspend (chair: Chair): void {
    chair.waiting = true
    this.look()
  }

  resume (chair: Chair): void { this.wake(() => { chair.waiting = false }) }

  async finish (chair: Chair, end?: Error): Promise<void> {
    chair.finish(end)
    this.look()
    await immediate()
  }

  lose (chair: Chair, why: string): void { this.forget(chair, why) }

  protected override begin (job: Job, chair: Chair): void { void this.follow(job, chair.perform(job.task)) }
  protected override settle (): void { assert.ok(this.running <= this.slots, 'more run than there are slots') }

  #add (): Chair {
    const chair = new Chair()
    this.seats.add(chair)
    return chair
  }
}

const nameOf = (task: Task | undefined): string => task?.kind === 'run' ? task.run.moduleId : ''
const runOf = (moduleId: string, depth = 0): Run => ({ moduleId, limits: { levelsMax: LIMITS.spec.levelsMax - depth } }) as Run
const send = (room: Room, name: string, { payer = 'payer', depth = 0, signal }: { payer?: string, depth?: number, signal?: AbortSignal } = {}): Promise<string> =>
  room.execute(runOf(name, depth), { payer, ...(signal === undefined ? {} : { signal }) }).then(outcome => (outcome as unknown as { name: string }).name)

// Goal: whatever jobs and executors do, no more run than there are slots, no slot is idle while a job waits, and each job has one end, its own.
// Method: random jobs, ends, suspensions and losses; after each step the counts, at the end all answers.
test('slots are used and never exceeded', async () => {
  const step = fc.record({ kind: fc.constantFrom('send', 'finish', 'suspend', 'resume', 'recall'), at: fc.nat(9) })
  await fc.assert(fc.asyncProperty(fc.integer({ min: 1, max: 3 }), fc.array(step, { maxLength: 40 }), async (slots, steps) => {
    const room = new Room(slots)
    const answers: Promise<string>[] = []
    for (const { kind, at } of steps) {
      const busy = room.all.filter(chair => chair.busy)
      const one = busy[at % busy.length]
      if (kind === 'send') answers.push(send(room, `job ${answers.length}`, { payer: `payer ${at % 3}` }))
      else if (kind === 'resume' && one?.waiting === true) room.resume(one)
      else if (one !== undefined && !one.waiting) {
        if (kind === 'suspend') room.suspend(one)
        else if (kind !== 'resume') await room.finish(one, kind === 'recall' ? new Recalled() : undefined)
      }
      const { queued, busy: running } = room.load()
      const waiting = room.all.filter(chair => chair.waiting).length
      assert.ok(queued === 0 || running === slots || running + waiting >= slots + LIMITS.executor.waitingMax, 'a slot is idle while a job waits')
    }
    for (let busy = room.all; busy.length > 0; busy = room.all.filter(chair => chair.busy)) {
      for (const chair of busy) {
        chair.waiting = false
        if (chair.busy) await room.finish(chair)
      }
    }
    assert.deepEqual(await Promise.all(answers), answers.map((_, at) => `job ${at}`))
  }), { numRuns: 60 })
})

// Goal: a guest that waits for its children gives up its slot, goes on only when one is free, and no flood of waiting guests keeps deeper ones from going.
// Method: on one slot, suspend jobs until no more of theirs may begin; a deeper one still does, and the first goes on after it.
test('suspended guests', async () => {
  const room = new Room(1)
  const answers: Promise<string>[] = []
  for (let at = 0; at <= LIMITS.executor.waitingMax; at++) {
    answers.push(send(room, `parent ${at}`))
    room.suspend(room.at(`parent ${at}`)!)
  }
  answers.push(send(room, 'one too many'), send(room, 'child', { depth: 1 }))
  assert.equal(room.at('one too many'), undefined)
  const first = room.at('parent 0')!
  room.resume(first)
  assert.equal(first.waiting, true, 'it went on beside the child')
  await room.finish(room.at('child')!)
  assert.equal(first.waiting, false)
  for (const chair of room.all) {
    chair.waiting = false
    await room.finish(chair)
  }
  await room.finish(room.at('one too many')!)
  assert.equal(new Set(await Promise.all(answers)).size, answers.length)
})

// Goal: a job that did not get its turn is the next one, unless it was cancelled meanwhile; a waiting one is cancelled at once. Method: recall, abort, in turn.
test('recalled and cancelled', async () => {
  const room = new Room(1)
  const stop = new AbortController()
  const [first, second] = [send(room, 'first', { signal: stop.signal }), send(room, 'second')]
  await room.finish(room.at('first')!, new Recalled())
  await room.finish(room.at('second')!)
  assert.equal(await second, 'second')
  assert.ok(room.at('first'), 'it was lost')
  const waiting = new AbortController()
  const third = send(room, 'third', { signal: waiting.signal })
  waiting.abort()
  stop.abort()
  for (const job of [first, third]) await assert.rejects(job, { code: 'ERR_CANCELLED' })
  assert.deepEqual(room.load(), { slots: 1, busy: 0, queued: 0 })
})

// Goal: `stop` ends what runs and what waits, takes nothing more, and tells of no loss; else a loss is told, but not that of a spare one.
// Method: one of each before and after.
test('stop and losses', { timeout: 30_000 }, async () => {
  const room = new Room(1)
  const jobs = [send(room, 'runs'), send(room, 'waits')]
  room.lose(new Chair(), SPARE)
  room.lose(new Chair(), 'it broke')
  const ends = Promise.allSettled(jobs)
  await room.stop()
  room.lose(room.all[0]!, 'the node is stopping')
  for (const end of await ends) assert.ok(end.status === 'rejected' && end.reason instanceof InosError && end.reason.code === 'ERR_CANCELLED')
  await assert.rejects(send(room, 'late'), { code: 'ERR_CANCELLED' })
  assert.deepEqual(room.ended, ['An executor was lost: it broke.'])
})
