import assert from 'node:assert/strict'
import { test } from 'node:test'
import { wasm } from '../../test/wasm-builder.ts'
import { IMMEDIATE, IMMEDIATES, NAMES, OP, POPS, PUSHES } from './opcodes.ts'

const TYPES = ['i32', 'i64', 'f32', 'f64', 'v128', 'funcref']

/** Immediates that are valid in the module below, by kind. */
const OPERANDS: Readonly<Record<number, string>> = {
  [IMMEDIATE.none]: '', [IMMEDIATE.leb]: ' 0', [IMMEDIATE.leb64]: ' 0', [IMMEDIATE.pair]: ' 0 0', [IMMEDIATE.memarg]: '',
  [IMMEDIATE.bytes1]: ' 0', [IMMEDIATE.bytes4]: ' 0', [IMMEDIATE.bytes8]: ' 0', [IMMEDIATE.bytes16]: ' 0', [IMMEDIATE.memargLane]: ' 0',
  [IMMEDIATE.types]: '(:i32)'
}

/** Whether an instruction may take operands of these types and leave so many behind. */
function accepts (name: string, operands: string, params: readonly string[], pushes: number): boolean {
  const code = `${params.map((_, i) => `local.get ${i}`).join(' ')} ${name}${operands} ${'drop '.repeat(pushes)}`
  // Local 0 is the first operand, so local.set and local.tee fit; without operands it is an i32.
  return WebAssembly.validate(wasm({
    memory: { min: 1 },
    tables: [{ min: 1 }],
    globals: ['mut i32 0'],
    elements: [{ functions: [0] }],
    data: [{ bytes: new Uint8Array(1) }],
    functions: [{ type: `${params.join()}:`, locals: params.length === 0 ? 'i32' : '', code }]
  }))
}

function * combinations (count: number): Generator<string[]> {
  if (count === 0) yield []
  else for (const rest of combinations(count - 1)) for (const type of TYPES) yield [type, ...rest]
}

// Goal: the table says the truth about immediates, operands taken and given; admission counts heights by it.
// Method: for each instruction that is no control instruction, V8 accepts it with as many operands of some
// types as the table says, and results dropped; with one more drop it never does.
test('the table agrees with V8 on every instruction', () => {
  let checked = 0
  NAMES.forEach((name, code) => {
    const kind = IMMEDIATES[code]!
    if (kind === IMMEDIATE.control || name === 'nop') return
    const operands = code === OP.refNull ? ':funcref' : OPERANDS[kind]!
    const types = [...combinations(POPS[code]!)].find(types => accepts(name, operands, types, PUSHES[code]!))
    assert.ok(types !== undefined, `${name} takes ${POPS[code]} and gives ${PUSHES[code]}`)
    assert.ok(!accepts(name, operands, types, PUSHES[code]! + 1), name)
    checked++
  })
  // 236 of SIMD, 18 behind 0xfc, and 170 of one byte.
  assert.equal(checked, 424)
})
