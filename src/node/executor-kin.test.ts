/** Children and executor processes: slots of those that wait, and executors that ask for what no guest may have. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { FAN, fanInput, fanSize, type FanOptions } from '../../test/family-guests.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { createEngine } from '../wasm/engine.ts'
import type { Child, ChildEnd, Compute, Run, RunLimits, Runtime } from '../wasm/runtime.ts'
import { FrameError, type Frame } from './executor-frames.ts'
import { Kin } from './executor-kin.ts'
import { decodeChildEnd, encodeChild, parseAnswer } from './executor-messages.ts'
import { createExecutorPool } from './executor-pool.ts'
import { until } from './executor-run.fixture.ts'

const LIMITS_OF_TEST: RunLimits = { fuelMax: 2n ** 38n, memoryPagesMax: 4, outputBytesMax: 1_000 }

function fanRun (input: Uint8Array, limits: RunLimits): Run {
  return { moduleId: 'fan', wasm: FAN, input, entry: '', args: [], env: {}, files: {}, outputs: [], limits, seed: new Uint8Array(32) }
}

/** Children on the same runtime, `payer` for payer. */
function familyOn (runtime: Runtime, payer: string, signal?: AbortSignal): Compute {
  return async child => {
    let descendants = 0
    const own = familyOn(runtime, payer, signal)
    const compute: Compute = async (grandchild, at) => {
      const end = await own(grandchild, at)
      descendants += 1 + end.descendants
      return end
    }
    const { outcome, exitCode, result, fuel } = await runtime.execute(fanRun(child.input, child.limits), { payer, compute, ...signal === undefined ? {} : { signal } })
    return { outcome, exitCode, result, fuel, descendants }
  }
}

async function fan (runtime: Runtime, shape: Omit<FanOptions, 'fuel'>, payer = 'A', signal?: AbortSignal): Promise<string> {
  const input = fanInput({ ...shape, fuel: LIMITS_OF_TEST.fuelMax })
  const { outcome, exitCode, result, fuel } = await runtime.execute(fanRun(input, LIMITS_OF_TEST), { payer, compute: familyOn(runtime, payer, signal), ...signal === undefined ? {} : { signal } })
  return `${outcome} ${exitCode} ${new DataView(result.buffer, result.byteOffset).getUint32(0, true)} ${fuel}`
}

// Goal: one slot is enough for any tree, trees of several payers beside each other are no deadlock, and all is as in the engine alone.
// Method: trees of three levels and one as deep as may be, at once, for three payers, on a pool of one slot, with more roots than may be suspended.
test('parents that wait hold up nobody, on one slot', { timeout: 120_000 }, async () => {
  await using pool = createExecutorPool({ slots: 1 })
  const engine = createEngine()
  const shapes = [{ levels: 3, width: 3 }, { levels: LIMITS.spec.levelsMax, width: 1 }]
  const expected = await Promise.all(shapes.map(shape => fan(engine, shape)))
  for (const [at, shape] of shapes.entries()) assert.ok(expected[at]!.startsWith(`ok 0 ${1 + fanSize(shape)} `), expected[at])
  const roots = Array.from({ length: 2 * LIMITS.executor.waitingMax }, (_, at) => at)
  const got = await Promise.all(roots.map(at => fan(pool, shapes[at % 2]!, 'ABC'[at % 3])))
  assert.deepEqual(got, roots.map(at => expected[at % 2]))
  assert.deepEqual([pool.load().busy, pool.load().queued], [0, 0])
})

// Goal: a suspended guest is no busy slot, its end is that of its tree's fault or cancel, and nothing of it stays.
// Method: a child that never ends: look at the load, run something else, then cancel; a child that is lost.
test('suspended guests end with their tree', { timeout: 60_000 }, async () => {
  await using pool = createExecutorPool({ slots: 1 })
  const input = fanInput({ levels: 1, width: 1, fuel: LIMITS_OF_TEST.fuelMax })
  const cancel = new AbortController()
  const asked = Promise.withResolvers<void>()
  const endless: Compute = () => { asked.resolve(); return new Promise(() => {}) }
  const work = pool.execute(fanRun(input, LIMITS_OF_TEST), { payer: 'A', compute: endless, signal: cancel.signal })
  const cancelled = assert.rejects(work, { code: 'ERR_CANCELLED' })
  await asked.promise
  await until('the guest is suspended', () => pool.load().busy === 0)
  assert.equal(await fan(pool, { levels: 0, width: 1 }), await fan(createEngine(), { levels: 0, width: 1 }))
  assert.equal(pool.pids('busy').length, 1)
  cancel.abort()
  await cancelled
  await until('its executor is gone', () => pool.pids('busy').length === 0)
  const lost: Compute = async () => { throw new InosError('ERR_PEER_LOST', 'nobody is there') }
  await assert.rejects(pool.execute(fanRun(input, LIMITS_OF_TEST), { payer: 'A', compute: lost }), { code: 'ERR_PEER_LOST', message: 'nobody is there' })
})

const CHILD: Child = { module: null, input: new Uint8Array(10), entry: '', args: ['a', ''], limits: { fuelMax: 60n, memoryPagesMax: 1, outputBytesMax: 5, descendantsMax: 1, levelsMax: 1 } }
const END: ChildEnd = { outcome: 'ok', exitCode: 0, result: Uint8Array.of(1, 2), fuel: 50n, descendants: 1 }

function kinOf (compute: Compute): { kin: Kin, sent: Frame[], said: string[], wake: (() => void)[] } {
  const [sent, said, wake]: [Frame[], string[], (() => void)[]] = [[], [], []]
  const kin = new Kin(1, { fuelMax: 100n, memoryPagesMax: 2, outputBytesMax: 5, descendantsMax: 5, levelsMax: 2 }, compute, {
    send: frame => { sent.push(frame) }, suspended: () => { said.push('suspended') }, wakes: go => { wake.push(go) }, resumed: () => { said.push('resumed') },
    fault: ({ code }) => { said.push(code) }, expired: () => { said.push('expired') }
  })
  return { kin, sent, said, wake }
}

const turn = (): Promise<void> => new Promise(setImmediate)

// Goal: a child goes through the messages unharmed, and an executor gets no more for its guest than the guest may have, whatever it says.
// Method: one child through all of it, its guest suspended, then orders that break one rule each.
test('what an executor may ask for its guest', async () => {
  const answer = parseAnswer({ ...encodeChild(1, CHILD, 0), header: JSON.parse(JSON.stringify(encodeChild(1, CHILD, 0).header)) as Frame['header'] })
  assert.deepEqual(answer, { kind: 'child', job: 1, at: 0, child: CHILD })
  const over = Promise.withResolvers<ChildEnd>()
  const { kin, sent, said, wake } = kinOf(() => over.promise)
  kin.want(0, CHILD)
  kin.wait(0)
  assert.throws(() => { kin.want(1, CHILD) }, FrameError, 'suspended')
  over.resolve(END)
  await turn()
  assert.deepEqual([sent.length, wake.length, kin.isSuspended, said], [0, 1, true, ['suspended']])
  wake[0]!()
  assert.deepEqual([decodeChildEnd(sent[0]!), kin.isSuspended, kin.burnt, said], [END, false, 50n, ['suspended', 'resumed']])

  const wrong: Array<[at: number, limits: Partial<Child['limits']>, input?: Uint8Array]> = [
    [0, {}], [2, {}], [1, { fuelMax: 51n }], [1, { memoryPagesMax: 3 }], [1, { descendantsMax: 4 }], [1, { levelsMax: 2 }], [1, { levelsMax: 0 }], [1, { outputBytesMax: LIMITS.guest.childBytesMax }]
  ]
  for (const [at, limits] of wrong) assert.throws(() => { kin.want(at, { ...CHILD, limits: { ...CHILD.limits, fuelMax: 1n, ...limits } }) }, FrameError, JSON.stringify(Object.keys(limits)))
  for (const at of [0, 1, 9]) assert.throws(() => { kin.wait(at) }, FrameError)
  const outcome = { outcome: 'ok', exitCode: 0, result: new Uint8Array(0), files: null, stderr: new Uint8Array(0), pages: 0, message: '' } as const
  assert.throws(() => { kin.check({ ...outcome, fuel: 49n }) }, FrameError)
  kin.check({ ...outcome, fuel: 50n })
  kin.want(1, { ...CHILD, limits: { ...CHILD.limits, fuelMax: 50n } })
  assert.throws(() => { kin.check({ ...outcome, fuel: 100n }) }, FrameError)
})

// Goal: a child that is lost is told as that, and after the end of its job nobody hears of any.
// Method: one lost child; one that ends after the job was closed while its guest was suspended.
test('children that are lost, and those nobody waits for any more', async () => {
  const { kin, sent, said } = kinOf(async () => { throw new InosError('ERR_NO_OFFER', 'nobody') })
  kin.want(0, CHILD)
  await turn()
  assert.deepEqual([said, sent.map(({ header }) => header.kind)], [['ERR_NO_OFFER'], ['lost']])
  const late = Promise.withResolvers<ChildEnd>()
  const other = kinOf(() => late.promise)
  other.kin.want(0, CHILD)
  other.kin.wait(0)
  other.kin.close()
  late.resolve(END)
  await turn()
  assert.deepEqual([other.sent, other.wake], [[], []])
})
