import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { mock, test } from 'node:test'
import { InosError } from '../src/packet/errors.ts'
import { createOutput, type Output, plain, type Stream, table, toJson } from './output.ts'

class Sink extends Writable {
  text = ''
  readonly isTTY: boolean
  readonly failure: Error | null
  constructor (isTTY = false, failure: Error | null = null) {
    super()
    this.isTTY = isTTY
    this.failure = failure
  }

  override _write (chunk: Buffer, _encoding: string, done: (error?: Error | null) => void): void {
    this.text += chunk.toString()
    done(this.failure)
  }
}

function setUp (stdout: Stream = new Sink(), stderr = new Sink()): { output: Output, stderr: Sink } {
  return { output: createOutput({ stdout, stderr, noColor: false }), stderr }
}

// Goal: JSON has no number that a reader could round, and no bytes as objects. Method: one value of each kind.
test('bigints are decimal text and bytes base64', () => {
  assert.equal(toJson({ a: 2n ** 62n, b: Uint8Array.of(0, 255), c: [1n], d: null }), '{"a":"4611686018427387904","b":"AP8=","c":["1"],"d":null}')
  assert.equal(toJson({ b: new Uint8Array([9, 1, 2, 9]).subarray(1, 3) }), '{"b":"AQI="}')
  assert.equal(toJson({ b: Buffer.from([1, 2]) }), '{"b":"AQI="}')
})

// Goal: nobody outside steers the terminal. Method: escape sequences, carriage returns, direction marks.
test('control characters are made visible', () => {
  assert.equal(plain('a\u001b[2Jb\rc\u202ed\te\n'), 'a\\u001b[2Jb\\u000dc\\u202ed\te\n')
  const { output, stderr } = setUp(new Sink(), new Sink(true))
  output.pass(new TextEncoder().encode('\u001b]0;owned\u0007'))
  output.fail(new InosError('ERR_POLICY', 'No\u001b[31m.', { hint: '\u0007', attempts: [{ peer: '\r', code: 'ERR_BUSY', message: '\u001b' }] }))
  // Colours of our own are `ESC [ digits m` around our own words.
  assert.doesNotMatch(stderr.text.replaceAll(/\u001b\[(31|2|22|39)m(?=error|hint|:)/g, ''), /[\u0007\r\u001b]/)
})

// Goal: into a file or pipe the guest's stderr goes byte for byte. Method: bytes that are no text.
test('without a terminal stderr of a guest is passed as it is', () => {
  const { output, stderr } = setUp()
  output.pass(new TextEncoder().encode('\u001b[1mbold\n'))
  assert.equal(stderr.text, '\u001b[1mbold\n')
})

// Goal: a reader that leaves is no failure, a full disk is. Method: sinks that fail with one and the other.
test('EPIPE closes, other errors fail', async () => {
  const gone = setUp(new Sink(false, Object.assign(new Error('gone'), { code: 'EPIPE' })))
  await gone.output.write('x')
  assert.equal(gone.output.closed, true)
  await gone.output.write('y')
  const full = setUp(new Sink(false, Object.assign(new Error('full'), { code: 'ENOSPC' })))
  await assert.rejects(full.output.write('x'), { code: 'ERR_INTERNAL', message: /full/ })
})

// Goal: a long wait is told every ten seconds without a terminal, a short one not at all.
// Method: mocked timers; count the lines.
test('status lines come every ten seconds', () => {
  mock.timers.enable({ apis: ['setInterval'] })
  try {
    const { output, stderr } = setUp()
    output.status('waiting for one')
    mock.timers.tick(9_000)
    assert.equal(stderr.text, '')
    output.status('waiting for two')
    mock.timers.tick(1_500)
    assert.equal(stderr.text, 'waiting for two\n')
    mock.timers.tick(10_000)
    assert.equal(stderr.text, 'waiting for two\nwaiting for two\n')
    output.status(null)
    mock.timers.tick(60_000)
    assert.equal(stderr.text, 'waiting for two\nwaiting for two\n')
  } finally {
    mock.timers.reset()
  }
})

// Goal: on a terminal the line is wiped before anything else is said. Method: mocked timers, look at the bytes.
test('a status line on a terminal makes way', () => {
  mock.timers.enable({ apis: ['setInterval'] })
  try {
    const { output, stderr } = setUp(new Sink(true), new Sink(true))
    output.status('running')
    mock.timers.tick(1_000)
    output.say('hello')
    output.status(null)
    assert.equal(stderr.text, 'running\r\u001b[Khello\n')
  } finally {
    mock.timers.reset()
  }
})

// Goal: colours only on a terminal that wants them. Method: all three cases.
test('NO_COLOR and pipes are plain', () => {
  const red = (isTTY: boolean, noColor: boolean): string => createOutput({ stdout: new Sink(isTTY), stderr: new Sink(), noColor }).colors.red('x')
  assert.equal(red(true, true), 'x')
  assert.equal(red(false, false), 'x')
  assert.notEqual(red(true, false), 'x')
})

// Goal: columns line up. Method: a small table.
test('tables are padded', () => {
  assert.equal(table([['a', 'long'], ['bbb', 'x']]), 'a    long\nbbb  x\n')
  assert.equal(table([]), '')
})
