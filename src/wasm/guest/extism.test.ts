import assert from 'node:assert/strict'
import { test } from 'node:test'
import { LIMITS } from '../../packet/limits.ts'
import { extism } from './extism.ts'
import { Caller, type CallerOptions } from './wasi.fixture.ts'

/** A plug-in made of JavaScript; addresses are bigints, as a module's are. */
class PluginCaller {
  readonly caller: Caller

  constructor (options: CallerOptions = {}) { this.caller = new Caller({ ...options, guest: extism }) }

  call (name: string, ...args: Array<number | bigint>): bigint {
    return BigInt(this.caller.call(name, ...args) ?? 0)
  }

  put (text: string): bigint {
    const bytes = new TextEncoder().encode(text)
    const address = this.call('alloc', BigInt(bytes.length))
    bytes.forEach((byte, index) => { this.call('store_u8', address + BigInt(index), byte) })
    return address
  }

  /** Text of a block. */
  text (address: bigint): string {
    const length = Number(this.call('length', address))
    return new TextDecoder().decode(Uint8Array.from({ length }, (_, index) => Number(this.call('load_u8', address + BigInt(index)))))
  }

  finish (): { result: string, stderr: string } {
    const { result, stderr } = this.caller.session.finish()
    return { result: new TextDecoder().decode(result), stderr: new TextDecoder().decode(stderr) }
  }
}

const input = (text: string): CallerOptions => ({ input: new TextEncoder().encode(text) })

// Goal: no plug-in fails to link for a function we forgot. Method: the session offers what the table says.
test('every function of the table is there', () => {
  const { session } = new Caller({ guest: extism })
  const names = Object.keys(extism.functions)
  assert.equal(names.length, 26)
  for (const name of names) assert.equal(typeof session.functions[name], 'function', name)
})

// Goal: a plug-in reads its input both ways, and beyond its end there are zeroes.
// Method: bytes and words at both ends, by offset and by address.
test('input', () => {
  const plugin = new PluginCaller(input('hello world'))
  assert.equal(plugin.call('input_length'), 11n)
  assert.equal(plugin.call('input_load_u8', 10n), 0x64n)
  assert.equal(plugin.call('input_load_u8', 11n), 0n)
  assert.equal(plugin.call('input_load_u8', -1n), 0n)
  assert.equal(plugin.call('input_load_u64', 3n), new DataView(new TextEncoder().encode('lo world').buffer).getBigUint64(0, true))
  assert.equal(plugin.call('input_load_u64', 4n), 0n)
  const address = plugin.call('input_offset')
  assert.equal(plugin.text(address), 'hello world')
  assert.equal(plugin.call('load_u64', address + 3n), plugin.call('input_load_u64', 3n))
})

// Goal: a plug-in may write into its input, and the bytes of the run stay what they are.
// Method: change a byte and a word, then look at both.
test('writing into the input changes a copy', () => {
  const content = new TextEncoder().encode('hello world')
  const plugin = new PluginCaller({ input: content })
  const address = plugin.call('input_offset')
  plugin.call('store_u8', address, 0x48)
  plugin.call('store_u64', address + 3n, 0x4141414141414141n)
  assert.equal(plugin.text(address), 'HelAAAAAAAA')
  assert.equal(new TextDecoder().decode(content), 'hello world')
})

// Goal: blocks hold what was put into them, freed ones are used again, and no call with a bad address does harm.
// Method: neighbours with patterns, a block freed twice, addresses inside, outside and enormous.
test('blocks', () => {
  const plugin = new PluginCaller()
  const [a, b] = [plugin.put('first'), plugin.put('second')]
  assert.deepEqual([plugin.text(a), plugin.text(b)], ['first', 'second'])
  assert.equal(plugin.call('length', a + 1n), 0n)
  plugin.call('free', a)
  plugin.call('free', a)
  assert.equal(plugin.call('length', a), 0n)
  assert.equal(plugin.call('alloc', 7n), a)
  assert.notEqual(plugin.call('alloc', 7n), a)
  assert.equal(plugin.text(b), 'second')
  for (const address of [0n, 1n, -1n, 2n ** 40n, 2n ** 63n]) {
    plugin.call('store_u8', address, 1)
    plugin.call('store_u64', address, 1n)
    plugin.call('free', address)
    plugin.call('log_info', address)
    plugin.call('var_set', address, address)
    for (const name of ['load_u8', 'load_u64', 'length', 'length_unsafe', 'config_get', 'var_get']) assert.equal(plugin.call(name, address), 0n, name)
  }
  assert.equal(plugin.text(b), 'second')
  assert.equal(plugin.caller.ending, undefined)
})

// Goal: whatever a plug-in passes, a call returns what its signature says and never throws. Method: 20,000 calls with
// arguments from a fixed stream, addresses of live blocks and odd numbers among them.
test('arbitrary calls return', () => {
  let state = 1
  const next = (below: number): number => (state = Math.imul(state, 1_103_515_245) + 12_345 >>> 0) % below
  const plugin = new PluginCaller({ ...input('x'.repeat(100)), env: { a: 'b' } })
  const known = [0n, 1n, -1n, 2n ** 32n, 2n ** 63n - 1n, -(2n ** 63n)]
  const entries = Object.entries(extism.functions)
  for (let i = 0; i < 20_000; i++) {
    const [name, { type }] = entries[next(entries.length)]!
    const [params, result] = type.split(':') as [string, string]
    const args = Array.from(params, letter => letter === 'i' ? next(2 ** 16) : next(3) === 0 ? BigInt(next(2_000)) : known[next(known.length)]! + BigInt(next(3)))
    const value = plugin.caller.call(name, ...args)
    assert.equal(typeof value, result === '' ? 'undefined' : result === 'I' ? 'bigint' : 'number', name)
    if (name === 'alloc' && value !== 0n) known[next(known.length)] = value as bigint
  }
  assert.ok(plugin.finish().stderr.length <= LIMITS.guest.stderrBytesMax)
})

// Goal: what a plug-in makes the host hold has an end. Method: take blocks of every kind until there are no more.
test('blocks have quotas', () => {
  const large = new PluginCaller()
  assert.equal(large.call('alloc', BigInt(LIMITS.guest.hostBytesMax) + 1n), 0n)
  assert.equal(large.call('alloc', 2n ** 63n), 0n)
  assert.equal(large.call('alloc', 0n), 0n)
  let taken = 0n
  for (let address = 1n; address !== 0n; taken += 2n ** 20n) address = large.call('alloc', 2n ** 20n)
  assert.equal(taken - 2n ** 20n, BigInt(LIMITS.guest.hostBytesMax))
  const small = new PluginCaller()
  let count = 0
  while (small.call('alloc', 1n) !== 0n) count++
  assert.equal(count, LIMITS.guest.hostBlocksMax)
})

// Goal: host memory is paid before it is had. Method: too little fuel for a large block.
test('a block without fuel is none', () => {
  const plugin = new PluginCaller({ fuelMax: 10_000n })
  assert.equal(plugin.call('alloc', 1_000_000n), 0n)
  assert.ok(plugin.caller.fuel > 10_000n)
})

// Goal: config and variables answer by name, and keys are taken. Method: known and unknown names, a change, a removal.
test('config and variables', () => {
  const plugin = new PluginCaller({ env: { thing: 'ü' } })
  assert.equal(plugin.text(plugin.call('config_get', plugin.put('thing'))), 'ü')
  const key = plugin.put('toString')
  assert.equal(plugin.call('config_get', key), 0n)
  assert.equal(plugin.call('length', key), 0n)
  assert.equal(plugin.call('var_get', plugin.put('a')), 0n)
  plugin.call('var_set', plugin.put('a'), plugin.put('one'))
  plugin.call('var_set', plugin.put('a'), plugin.put('two'))
  const value = plugin.call('var_get', plugin.put('a'))
  plugin.call('store_u8', value, 0x54)
  assert.equal(plugin.text(plugin.call('var_get', plugin.put('a'))), 'two')
  plugin.call('var_set', plugin.put('a'), 12_345n)
  assert.equal(plugin.text(plugin.call('var_get', plugin.put('a'))), 'two')
  plugin.call('var_set', plugin.put('a'), 0n)
  assert.equal(plugin.call('var_get', plugin.put('a')), 0n)
})

// Goal: variables beyond their quota end the plug-in rather than be lost. Method: change one over and over, then add.
test('variables have a quota', () => {
  const plugin = new PluginCaller()
  const half = (): bigint => plugin.call('alloc', BigInt(LIMITS.guest.variableBytesMax / 2))
  for (let i = 0; i < 5; i++) plugin.call('var_set', plugin.put('a'), half())
  const before = plugin.caller.ending
  plugin.call('var_set', plugin.put('b'), half())
  assert.deepEqual([before, plugin.caller.ending?.kind], [undefined, 'memory'])
})

// Goal: the last output is the result; log lines and the error stand in stderr, up to its limit.
// Method: two outputs, one that is none, lines of each level, an error.
test('output, log and error', () => {
  const plugin = new PluginCaller()
  plugin.call('output_set', plugin.put('first'), 5n)
  plugin.call('output_set', plugin.put('second') + 1n, 3n)
  plugin.call('output_set', 2n ** 50n, 3n)
  for (const level of ['trace', 'debug', 'info', 'warn', 'error']) plugin.call(`log_${level}`, plugin.put(level))
  plugin.call('error_set', plugin.put('broken'))
  assert.equal(plugin.call('http_request', plugin.put('{"url":"http://a"}'), 0n), 0n)
  assert.equal(plugin.call('http_status_code'), 0n)
  assert.deepEqual(plugin.finish(), { result: 'eco', stderr: 'info\nwarn\nerror\nbroken\n' })
  const loud = new PluginCaller()
  for (let i = 0; i < 70; i++) loud.call('log_info', loud.put('x'.repeat(1_000)))
  assert.equal(loud.finish().stderr.length, LIMITS.guest.stderrBytesMax)
})

// Goal: the output limit holds. Method: output of one byte more.
test('output limit', () => {
  const plugin = new PluginCaller({ outputBytesMax: 4 })
  plugin.call('output_set', plugin.put('12345'), 4n)
  const before = plugin.caller.ending
  plugin.call('output_set', plugin.put('12345'), 5n)
  assert.deepEqual([before, plugin.caller.ending?.kind], [undefined, 'output'])
})
