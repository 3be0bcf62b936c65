/** Children in the engine itself: what a guest may ask for, what it is told, and what becomes of its fuel. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type ChildSpec, childSpec, FAN, fanInput, fanSize, guestOf } from '../../test/family-guests.ts'
import { CID, isOurs, rawCidOfDigest } from '../packet/cid.ts'
import { InosError } from '../packet/errors.ts'
import { LIMITS } from '../packet/limits.ts'
import { Carving } from './carving.ts'
import { createEngine } from './engine.ts'
import { CHILD_FAULTS, COMPUTE_FUEL } from './guest/inos-children.ts'
import type { Child, ChildEnd, Compute, Outcome, Run, RunLimits } from './runtime.ts'

const engine = createEngine()
const LIMITS_OF_TEST: RunLimits = { fuelMax: 2n ** 36n, memoryPagesMax: 4, outputBytesMax: 1_000 }
const NO_TEXT = new Uint8Array(0)

/** Names of modules, by their bytes. */
const names = new WeakMap<Uint8Array, string>()
let named = 0

function nameOf (wasm: Uint8Array): string {
  const name = names.get(wasm) ?? `module ${named++}`
  names.set(wasm, name)
  return name
}

function runOf (wasm: Uint8Array, input: Uint8Array, limits: RunLimits = LIMITS_OF_TEST): Run {
  return { moduleId: nameOf(wasm), wasm, input, entry: '', args: [], env: {}, files: {}, outputs: [], limits, seed: new Uint8Array(32) }
}

/** Runs children in the same engine, each after a pause of its own, and counts what they burnt. */
function family (wasm: Uint8Array, pause: () => number = () => 0): { compute: Compute, seen: Child[], tree: { sum: bigint, count: number } } {
  const seen: Child[] = []
  const tree = { sum: 0n, count: 0 }
  const compute: Compute = async child => {
    seen.push(child)
    for (let ticks = pause(); ticks > 0; ticks--) await new Promise(setImmediate)
    let descendants = 0
    const below: Compute = async (grandchild, at) => {
      const end = await compute(grandchild, at)
      descendants += 1 + end.descendants
      return end
    }
    const { outcome, exitCode, result, fuel } = await engine.execute({ ...runOf(wasm, child.input, child.limits), args: child.args, entry: child.entry }, { payer: '', compute: below })
    tree.count++
    return { outcome, exitCode, result, fuel, descendants }
  }
  return { compute, seen, tree }
}

const execute = (wasm: Uint8Array, input: Uint8Array, compute: Compute, limits?: RunLimits): Promise<Outcome> => engine.execute(runOf(wasm, input, limits), { payer: '', compute })

function u32 (bytes: Uint8Array): number { return new DataView(bytes.buffer, bytes.byteOffset).getUint32(0, true) }

// Goal: a tree of children computes what it should, and neither its result nor its fuel depends on who ends first.
// Method: 39 descendants on three levels, the children ending in orders that differ from run to run.
test('a tree has one result and one fuel, in whatever order its children end', async () => {
  const shape = { levels: 3, width: 3, fuel: LIMITS_OF_TEST.fuelMax }
  const endings = new Set<string>()
  for (const seed of [0, 1, 2]) {
    let draws = seed
    const { compute, tree } = family(FAN, () => (draws = (draws * 7 + 3) % 11) * seed)
    const { outcome, exitCode, result, fuel } = await execute(FAN, fanInput(shape), compute)
    assert.deepEqual([outcome, exitCode, u32(result), tree.count], ['ok', 0, 1 + fanSize(shape), fanSize(shape)])
    endings.add(`${fuel}`)
  }
  assert.equal(endings.size, 1)
})

// Goal: what a parent burns is its own and its children's, to the unit, also where it waits for none of them.
// Method: one child whose fuel is known from a run of its own; the same guest with and without the wait.
test('the rest of a child’s fuel comes back, waited for or not', async () => {
  const leaf = fanInput({ levels: 0, width: 1, fuel: 1n, work: 1_000 })
  const alone = await execute(FAN, leaf, family(FAN).compute)
  const spec = childSpec({ input: [56, 24], fuel: 50_000_000n })
  const input = new Uint8Array([...spec, ...leaf])
  const one = 'i32.const 0 i32.const 56 call 2 drop '
  const fuels = new Map<string, bigint>()
  for (const [name, code] of [['none', 'i32.const 0'], ['waited', `${one} i32.const 0 call 3`], ['left', `${one} i32.const 0`], ['trapped', `${one} unreachable`]] as const) {
    const { outcome, fuel, exitCode } = await execute(guestOf(code), input, family(FAN).compute)
    fuels.set(name, fuel)
    assert.equal(outcome, name === 'trapped' ? 'trap' : 'ok')
    if (name === 'waited') assert.equal(exitCode, 4)
  }
  const start = BigInt(COMPUTE_FUEL) + 4n + 24n / 8n
  assert.equal(fuels.get('left')! - fuels.get('none')!, start + alone.fuel)
  assert.equal(fuels.get('waited')! - fuels.get('left')!, 200n + 1n)
  assert.ok(fuels.get('trapped')! - fuels.get('left')! <= 1n)
})

// Goal: whatever a guest passes, it gets an errno, and nothing is started that it may not have.
// Method: specs that are wrong in one thing each, at addresses that lie outside, and calls for handles it does not have.
test('hostile specs, pointers and handles', async () => {
  const cases: Array<[what: string, spec: ChildSpec, code: number]> = [
    ['a spec that is right', {}, 0],
    ['a module that is no CID', { module: [56, 8] }, -28],
    ['a module name without end', { module: [0, 65_536] }, -28],
    ['a module outside', { module: [65_535, 2] }, -21],
    ['an input outside', { input: [0, 65_537] }, -21],
    ['an input that wraps', { input: [0xffff_ffff, 0xffff_ffff] }, -21],
    ['an entry that is no text', { entry: [60, 4] }, -28],
    ['args without their end', { args: [64, 3] }, -28],
    ['no fuel', { fuel: 0n }, -28],
    ['all fuel there is', { fuel: 2n ** 64n - 1n }, -28],
    ['more fuel than the guest has', { fuel: 2n ** 37n }, -19],
    ['more memory than the guest may have', { pages: 5 }, -28],
    ['absurd memory', { pages: 0xffff_ffff }, -28],
    ['absurd output', { output: 0xffff_ffff }, -28],
    ['more output than is held', { output: LIMITS.guest.childBytesMax + 1 }, -28],
    ['absurd descendants', { descendants: 0xffff_ffff }, -28],
    ['more descendants than the guest may have', { descendants: LIMITS.guest.descendantsMax }, -76],
    ['what must be zero', { zero: 1 }, -28]
  ]
  for (const [what, spec, expected] of cases) {
    const { compute, seen } = family(FAN)
    const input = new Uint8Array([...childSpec(spec), 0xff, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 97, 98, 99])
    const { outcome, exitCode } = await execute(guestOf('i32.const 0 i32.const 56 call 2'), input, compute)
    assert.deepEqual([outcome, exitCode, seen.length], ['ok', expected & 0x7fff_ffff, expected === 0 ? 1 : 0], what)
  }
  const one = 'i32.const 0 i32.const 56 call 2 drop i32.const 0 call 3 drop '
  const calls: Array<[code: string, expected: number]> = [
    ['i32.const 0 i32.const 55 call 2', -28], ['i32.const 0 i32.const -1 call 2', -21], ['i32.const 65500 i32.const 56 call 2', -21],
    ['i32.const 0 call 3', -8], ['i32.const -1 call 3', -8], ['i32.const 7 call 4', -8], ['i32.const 0 call 6', -8],
    ['i32.const 0 i32.const 0 i32.const 0 i32.const 0 call 5', -8],
    [`${one} i32.const 1 call 3`, -8], [`${one} i32.const 0 i32.const 65533 i32.const 0 i32.const 4 call 5`, -21],
    [`${one} i32.const 0 i32.const 0 i32.const -1 i32.const 4 call 5`, 0], [`${one} i32.const 0 i32.const 0 i32.const 2 i32.const 9 call 5`, 2],
    [`${one} i32.const 0 call 6 drop i32.const 0 call 3`, -8], [`${one} i32.const 0 call 6 drop i32.const 0 call 6`, -8],
    ['i32.const 0 i32.const 56 call 2 call 6', -6], ['i32.const 0 i32.const 56 call 2 i32.const 0 i32.const 0 i32.const 0 call 5', -6]
  ]
  for (const [code, expected] of calls) {
    const { exitCode } = await execute(guestOf(code), childSpec({ input: [56, 0], fuel: 10_000_000n }), family(FAN).compute)
    assert.equal(exitCode, expected & 0x7fff_ffff, code)
  }
})

// Goal: a module is named by the text of its CID as everybody writes it, and by nothing else.
// Method: names of random digests, and the same with a letter changed, against what reads CIDs elsewhere.
test('names of modules', async () => {
  const asked: (string | null)[] = []
  const compute: Compute = async ({ module }) => {
    asked.push(module)
    return { outcome: 'ok', exitCode: 0, result: NO_TEXT, fuel: 0n, descendants: 0 }
  }
  const guest = guestOf('i32.const 0 i32.const 56 call 2')
  const ask = async (name: string): Promise<number | null> => {
    const text = new TextEncoder().encode(name)
    return (await execute(guest, new Uint8Array([...childSpec({ module: [56, text.length] }), ...text]), compute)).exitCode
  }
  await fc.assert(fc.asyncProperty(fc.uint8Array({ minLength: 32, maxLength: 32 }), fc.nat(58), fc.constantFrom(...'abcdehikmyz27189A='), async (digest, at, letter) => {
    const name = rawCidOfDigest(digest).toString()
    assert.equal(await ask(name), 0)
    assert.equal(asked.pop(), name)
    const other = `${name.slice(0, at)}${letter}${name.slice(at + 1)}`
    const isName = isCid(other)
    assert.equal(await ask(other), isName ? 0 : -28 & 0x7fff_ffff, other)
  }))
})

function isCid (text: string): boolean {
  try {
    const cid = CID.parse(text)
    // Read anew, for it remembers the text it came from.
    return isOurs(cid) && CID.decode(cid.bytes).toString() === text
  } catch {
    return false
  }
}

// Goal: a thousand handles are held, and one more is refused; so is more to hold than may be held.
// Method: a guest that starts children until it is refused, with small and with large outputs.
test('handles and what they hold have limits', async () => {
  const code = 'loop i32.const 0 i32.const 56 call 2 local.tee 0 i32.const 0 i32.ge_s if local.get 1 i32.const 1 i32.add local.set 1 br 1 end end i32.const 0 local.get 0 i32.store@256 i32.const 0 local.get 1 i32.store@260 i32.const 256 i32.const 8 call 1'
  const done: Compute = async () => ({ outcome: 'ok', exitCode: 0, result: NO_TEXT, fuel: 1n, descendants: 0 })
  for (const [output, count, errno] of [[1, LIMITS.guest.childrenMax, -33], [32 * 2 ** 20, 2, -48]] as const) {
    const { result } = await execute(guestOf(code, 'i32 i32'), childSpec({ output, fuel: 1n }), done)
    const view = new DataView(result.buffer, result.byteOffset)
    assert.deepEqual([view.getInt32(0, true), view.getInt32(4, true)], [errno, count])
  }
})

// Goal: a guest sees how a child ended, and never a fault of a host.
// Method: children that end in every way; one that is lost, waited for, left behind, and lost while the guest traps.
test('bad ends of children are numbers, faults of hosts end the whole', async () => {
  const wait = guestOf('i32.const 0 i32.const 56 call 2 call 3')
  for (const outcome of ['trap', 'fuel', 'memory', 'output', 'stack', 'refused'] as const) {
    const end: ChildEnd = { outcome, exitCode: null, result: NO_TEXT, fuel: 0n, descendants: 0 }
    const { exitCode } = await execute(wait, childSpec({}), async () => end)
    assert.equal(exitCode, CHILD_FAULTS[outcome] & 0x7fff_ffff)
  }
  const exited: Compute = async () => ({ outcome: 'ok', exitCode: 7, result: NO_TEXT, fuel: 0n, descendants: 0 })
  assert.equal((await execute(guestOf('i32.const 0 i32.const 56 call 2 call 4'), childSpec({}), exited)).exitCode, 7)
  const lost: Compute = async () => { throw new InosError('ERR_EXECUTOR_LOST', 'gone') }
  for (const code of ['i32.const 0 i32.const 56 call 2 call 3', 'i32.const 0 i32.const 56 call 2', 'i32.const 0 i32.const 56 call 2 drop unreachable']) {
    await assert.rejects(execute(guestOf(code), childSpec({}), lost), { code: 'ERR_EXECUTOR_LOST', message: 'gone' })
  }
})

// Goal: nobody goes deeper than the levels given, and a fork bomb ends where its budget does.
// Method: a guest that computes itself twice with all it has left, with few levels and with little fuel.
test('levels end, and so does a fork bomb', async () => {
  const shape = { levels: 9, width: 1, fuel: 2n ** 40n, descendants: 9 }
  const deep = await execute(FAN, fanInput(shape), family(FAN).compute, { ...LIMITS_OF_TEST, fuelMax: shape.fuel })
  // The ninth level is refused by its parent, whose exit code is the errno; each above it counts what came back: nothing.
  assert.equal(deep.outcome, 'ok')
  assert.equal(u32(deep.result), 8)
  const bomb = family(FAN)
  const { fuel } = await execute(FAN, fanInput({ levels: 8, width: 8, fuel: 200_000_000n, descendants: 4_000 }), bomb.compute, { ...LIMITS_OF_TEST, fuelMax: 200_000_000n })
  assert.ok(fuel <= 200_000_000n)
  assert.ok(bomb.tree.count < 200)
})

// Goal: the carving keeps its sums: what is carved and burnt never passes what there was, and comes back to the unit.
// Method: random starts and ends against the plain sums.
test('carving adds up', () => {
  const start = fc.record({ fuel: fc.bigInt(1n, 400n), descendants: fc.nat(6), output: fc.nat(100), input: fc.nat(50) })
  fc.assert(fc.property(fc.array(fc.tuple(start, fc.nat(), fc.nat()), { maxLength: 60 }), steps => {
    const carving = new Carving({ fuelMax: 1_000n, memoryPagesMax: 1, outputBytesMax: 0, descendantsMax: 20, levelsMax: 2 })
    const open = new Map<number, { fuel: bigint, descendants: number }>()
    let [burnt, below] = [0n, 0]
    const carved = (): bigint => [...open.values()].reduce((sum, { fuel }) => sum + fuel, 0n)
    const promised = (): number => [...open.values()].reduce((sum, { descendants }) => sum + 1 + descendants, 0)
    for (const [{ fuel, descendants, output, input }, a, b] of steps) {
      const fits = carved() + burnt + fuel <= 1_000n && promised() + below + 1 + descendants <= 20
      const reason = carving.start({ input: new Uint8Array(input), limits: { fuelMax: fuel, memoryPagesMax: 1, outputBytesMax: output, descendantsMax: descendants, levelsMax: 1 } }, 1_000n)
      assert.equal(reason === null, fits)
      if (fits) open.set(carving.count - 1, { fuel, descendants })
      const at = [...open.keys()][a % 3]
      if (at !== undefined) {
        const child = open.get(at)!
        open.delete(at)
        const end = { fuel: BigInt(b) % (child.fuel + 1n), descendants: b % (child.descendants + 1) }
        burnt += end.fuel
        below += 1 + end.descendants
        assert.equal(carving.end(at, { outcome: 'ok', exitCode: 0, result: NO_TEXT, ...end }), child.fuel)
      }
      assert.equal(carving.fuelLeft, 1_000n - carved() - burnt)
      assert.deepEqual([carving.burnt, carving.open], [burnt, [...open.keys()]])
    }
  }))
})
