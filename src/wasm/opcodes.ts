/**
 * The instructions of the profile `inos/1`, in one table: name, immediates, operands taken and
 * given, whether it can trap, and the feature it belongs to. What is not in it is refused.
 *
 * Codes are those of the WebAssembly 3.0 specification, chapter "Binary format, Instructions".
 * One-byte codes are their own index; 0xfc codes start at `FC`, 0xfd codes at `FD`.
 */

/** Features of the profile, in the order of their bits. */
export const FEATURES = [
  'mvp', 'sign-extension', 'saturating-float', 'multi-value', 'bulk-memory', 'reference-types',
  'simd', 'tail-calls', 'exceptions', 'extended-const', 'mutable-globals'
] as const
export type Feature = typeof FEATURES[number]

/** The bit of a feature in a set of them. */
export function featureBit (feature: Feature): number { return 1 << FEATURES.indexOf(feature) }

/** What follows an opcode. Zero means: not in the profile. */
export const IMMEDIATE = {
  absent: 0,
  none: 1,
  /** One LEB128 of up to 32 bits: an index, an i32, a heap type. */
  leb: 2,
  leb64: 3,
  /** Two LEB128s of up to 32 bits. */
  pair: 4,
  /** Alignment and offset. */
  memarg: 5,
  bytes1: 6,
  bytes4: 7,
  bytes8: 8,
  bytes16: 9,
  memargLane: 10,
  /** A vector of value types. */
  types: 11,
  /** Everything that opens, closes, leaves or calls, and prefixes: handled by name by each walker. */
  control: 12
} as const

export const FC = 256
export const FD = 512
const SIZE = 768

export const IMMEDIATES = new Uint8Array(SIZE)
export const POPS = new Uint8Array(SIZE)
export const PUSHES = new Uint8Array(SIZE)
export const TRAPS = new Uint8Array(SIZE)
/** Index of the feature in `FEATURES`. */
export const FEATURE_OF = new Uint8Array(SIZE)
export const NAMES: string[] = []

/** Opcodes that walkers treat by name. */
export const OP = {
  unreachable: 0x00, nop: 0x01, block: 0x02, loop: 0x03, if: 0x04, else: 0x05, throw: 0x08, throwRef: 0x0a,
  end: 0x0b, br: 0x0c, brIf: 0x0d, brTable: 0x0e, return: 0x0f,
  call: 0x10, callIndirect: 0x11, returnCall: 0x12, returnCallIndirect: 0x13, tryTable: 0x1f,
  drop: 0x1a, select: 0x1b, selectTyped: 0x1c,
  localGet: 0x20, localSet: 0x21, localTee: 0x22, globalGet: 0x23, globalSet: 0x24, tableSet: 0x26,
  memorySize: 0x3f, memoryGrow: 0x40, i32Const: 0x41, i64Const: 0x42, f32Const: 0x43, f64Const: 0x44,
  i32Eq: 0x46, i32LtS: 0x48, i32GtU: 0x4b, i64LtS: 0x53, i32Add: 0x6a, i32Sub: 0x6b, i32Mul: 0x6c,
  i64Add: 0x7c, i64Sub: 0x7d, i64Mul: 0x7e, i64Shl: 0x86, i64ShrU: 0x88, f32Eq: 0x5b, f64Eq: 0x61, f32Neg: 0x8c, f64Neg: 0x9a, i32WrapI64: 0xa7, i64ExtendI32U: 0xad,
  i32ReinterpretF32: 0xbc, i64ReinterpretF64: 0xbd, f32ReinterpretI32: 0xbe, f64ReinterpretI64: 0xbf,
  refNull: 0xd0, refFunc: 0xd2, fc: 0xfc, fd: 0xfd,
  memoryInit: FC + 8, dataDrop: FC + 9, memoryCopy: FC + 10, memoryFill: FC + 11,
  tableInit: FC + 12, elemDrop: FC + 13, tableCopy: FC + 14, tableGrow: FC + 15, tableSize: FC + 16, tableFill: FC + 17,
  v128Const: FD + 12, i64x2ExtractLane: FD + 29, i64x2ReplaceLane: FD + 30, f32x4Eq: FD + 0x41, f64x2Eq: FD + 0x47, bitselect: FD + 0x52
} as const

export const TYPE = {
  i32: 0x7f, i64: 0x7e, f32: 0x7d, f64: 0x7c, v128: 0x7b, funcref: 0x70, externref: 0x6f, exnref: 0x69,
  void: 0x40, function: 0x60
} as const

interface Effect { pops: number, pushes: number, feature?: Feature, immediate?: keyof typeof IMMEDIATE, traps?: boolean }

/** Enter consecutive codes from `first` on; "-" leaves a hole. */
function enter (first: number, effect: Effect, names: string): void {
  names.split(' ').forEach((name, i) => {
    if (name === '-') return
    const code = first + i
    NAMES[code] = name
    IMMEDIATES[code] = IMMEDIATE[effect.immediate ?? 'none']
    POPS[code] = effect.pops
    PUSHES[code] = effect.pushes
    TRAPS[code] = effect.traps === true ? 1 : 0
    FEATURE_OF[code] = FEATURES.indexOf(effect.feature ?? 'mvp')
  })
}

const NULLARY = { pops: 0, pushes: 1 } as const
const UNARY = { pops: 1, pushes: 1 } as const
const BINARY = { pops: 2, pushes: 1 } as const

// Operands of control instructions depend on types; the walkers count them.
enter(0x00, { pops: 0, pushes: 0, traps: true, immediate: 'control' }, 'unreachable')
enter(0x01, { pops: 0, pushes: 0 }, 'nop')
enter(0x02, { pops: 0, pushes: 0, immediate: 'control' }, 'block loop if else')
enter(0x08, { pops: 0, pushes: 0, immediate: 'control', feature: 'exceptions', traps: true }, 'throw - throw_ref')
enter(0x0b, { pops: 0, pushes: 0, immediate: 'control' }, 'end br br_if br_table return')
enter(0x10, { pops: 0, pushes: 0, immediate: 'control', traps: true }, 'call call_indirect')
enter(0x12, { pops: 0, pushes: 0, immediate: 'control', traps: true, feature: 'tail-calls' }, 'return_call return_call_indirect')
enter(0x1a, { pops: 1, pushes: 0 }, 'drop')
enter(0x1b, { pops: 3, pushes: 1 }, 'select')
enter(0x1c, { pops: 3, pushes: 1, immediate: 'types', feature: 'reference-types' }, 'select_t')
enter(0x1f, { pops: 0, pushes: 0, immediate: 'control', feature: 'exceptions' }, 'try_table')
enter(0x20, { ...NULLARY, immediate: 'leb' }, 'local.get')
enter(0x21, { pops: 1, pushes: 0, immediate: 'leb' }, 'local.set')
enter(0x22, { ...UNARY, immediate: 'leb' }, 'local.tee')
enter(0x23, { ...NULLARY, immediate: 'leb' }, 'global.get')
enter(0x24, { pops: 1, pushes: 0, immediate: 'leb' }, 'global.set')
enter(0x25, { ...UNARY, immediate: 'leb', traps: true, feature: 'reference-types' }, 'table.get')
enter(0x26, { pops: 2, pushes: 0, immediate: 'leb', traps: true, feature: 'reference-types' }, 'table.set')
enter(0x28, { ...UNARY, immediate: 'memarg', traps: true },
  'i32.load i64.load f32.load f64.load i32.load8_s i32.load8_u i32.load16_s i32.load16_u i64.load8_s i64.load8_u i64.load16_s i64.load16_u i64.load32_s i64.load32_u')
enter(0x36, { pops: 2, pushes: 0, immediate: 'memarg', traps: true },
  'i32.store i64.store f32.store f64.store i32.store8 i32.store16 i64.store8 i64.store16 i64.store32')
enter(0x3f, { ...NULLARY, immediate: 'leb' }, 'memory.size')
// The meter puts a function in its place, which can end the guest.
enter(0x40, { ...UNARY, immediate: 'leb', traps: true }, 'memory.grow')
enter(0x41, { ...NULLARY, immediate: 'leb' }, 'i32.const')
enter(0x42, { ...NULLARY, immediate: 'leb64' }, 'i64.const')
enter(0x43, { ...NULLARY, immediate: 'bytes4' }, 'f32.const')
enter(0x44, { ...NULLARY, immediate: 'bytes8' }, 'f64.const')
enter(0x45, UNARY, 'i32.eqz')
enter(0x46, BINARY, 'i32.eq i32.ne i32.lt_s i32.lt_u i32.gt_s i32.gt_u i32.le_s i32.le_u i32.ge_s i32.ge_u')
enter(0x50, UNARY, 'i64.eqz')
enter(0x51, BINARY, 'i64.eq i64.ne i64.lt_s i64.lt_u i64.gt_s i64.gt_u i64.le_s i64.le_u i64.ge_s i64.ge_u')
enter(0x5b, BINARY, 'f32.eq f32.ne f32.lt f32.gt f32.le f32.ge f64.eq f64.ne f64.lt f64.gt f64.le f64.ge')
enter(0x67, UNARY, 'i32.clz i32.ctz i32.popcnt')
enter(0x6a, BINARY, 'i32.add i32.sub i32.mul')
enter(0x6d, { ...BINARY, traps: true }, 'i32.div_s i32.div_u i32.rem_s i32.rem_u')
enter(0x71, BINARY, 'i32.and i32.or i32.xor i32.shl i32.shr_s i32.shr_u i32.rotl i32.rotr')
enter(0x79, UNARY, 'i64.clz i64.ctz i64.popcnt')
enter(0x7c, BINARY, 'i64.add i64.sub i64.mul')
enter(0x7f, { ...BINARY, traps: true }, 'i64.div_s i64.div_u i64.rem_s i64.rem_u')
enter(0x83, BINARY, 'i64.and i64.or i64.xor i64.shl i64.shr_s i64.shr_u i64.rotl i64.rotr')
enter(0x8b, UNARY, 'f32.abs f32.neg f32.ceil f32.floor f32.trunc f32.nearest f32.sqrt')
enter(0x92, BINARY, 'f32.add f32.sub f32.mul f32.div f32.min f32.max f32.copysign')
enter(0x99, UNARY, 'f64.abs f64.neg f64.ceil f64.floor f64.trunc f64.nearest f64.sqrt')
enter(0xa0, BINARY, 'f64.add f64.sub f64.mul f64.div f64.min f64.max f64.copysign')
enter(0xa7, UNARY, 'i32.wrap_i64')
enter(0xa8, { ...UNARY, traps: true }, 'i32.trunc_f32_s i32.trunc_f32_u i32.trunc_f64_s i32.trunc_f64_u')
enter(0xac, UNARY, 'i64.extend_i32_s i64.extend_i32_u')
enter(0xae, { ...UNARY, traps: true }, 'i64.trunc_f32_s i64.trunc_f32_u i64.trunc_f64_s i64.trunc_f64_u')
enter(0xb2, UNARY, 'f32.convert_i32_s f32.convert_i32_u f32.convert_i64_s f32.convert_i64_u f32.demote_f64 f64.convert_i32_s f64.convert_i32_u f64.convert_i64_s f64.convert_i64_u f64.promote_f32')
enter(0xbc, UNARY, 'i32.reinterpret_f32 i64.reinterpret_f64 f32.reinterpret_i32 f64.reinterpret_i64')
enter(0xc0, { ...UNARY, feature: 'sign-extension' }, 'i32.extend8_s i32.extend16_s i64.extend8_s i64.extend16_s i64.extend32_s')
enter(0xd0, { ...NULLARY, immediate: 'leb', feature: 'reference-types' }, 'ref.null')
enter(0xd1, { ...UNARY, feature: 'reference-types' }, 'ref.is_null')
enter(0xd2, { ...NULLARY, immediate: 'leb', feature: 'reference-types' }, 'ref.func')
IMMEDIATES[OP.fc] = IMMEDIATES[OP.fd] = IMMEDIATE.control

enter(FC, { ...UNARY, feature: 'saturating-float' },
  'i32.trunc_sat_f32_s i32.trunc_sat_f32_u i32.trunc_sat_f64_s i32.trunc_sat_f64_u i64.trunc_sat_f32_s i64.trunc_sat_f32_u i64.trunc_sat_f64_s i64.trunc_sat_f64_u')
const BULK = { pops: 3, pushes: 0, feature: 'bulk-memory', traps: true } as const
enter(FC + 8, { ...BULK, immediate: 'pair' }, 'memory.init')
enter(FC + 9, { pops: 0, pushes: 0, immediate: 'leb', feature: 'bulk-memory' }, 'data.drop')
enter(FC + 10, { ...BULK, immediate: 'pair' }, 'memory.copy')
enter(FC + 11, { ...BULK, immediate: 'leb' }, 'memory.fill')
enter(FC + 12, { ...BULK, immediate: 'pair' }, 'table.init')
enter(FC + 13, { pops: 0, pushes: 0, immediate: 'leb', feature: 'bulk-memory' }, 'elem.drop')
enter(FC + 14, { ...BULK, immediate: 'pair' }, 'table.copy')
enter(FC + 15, { pops: 2, pushes: 1, immediate: 'leb', feature: 'reference-types', traps: true }, 'table.grow')
enter(FC + 16, { ...NULLARY, immediate: 'leb', feature: 'reference-types' }, 'table.size')
enter(FC + 17, { ...BULK, immediate: 'leb', feature: 'reference-types' }, 'table.fill')

const simd = { feature: 'simd' } as const
enter(FD, { ...UNARY, ...simd, immediate: 'memarg', traps: true },
  'v128.load v128.load8x8_s v128.load8x8_u v128.load16x4_s v128.load16x4_u v128.load32x2_s v128.load32x2_u v128.load8_splat v128.load16_splat v128.load32_splat v128.load64_splat')
enter(FD + 11, { pops: 2, pushes: 0, ...simd, immediate: 'memarg', traps: true }, 'v128.store')
enter(FD + 12, { ...NULLARY, ...simd, immediate: 'bytes16' }, 'v128.const')
enter(FD + 13, { ...BINARY, ...simd, immediate: 'bytes16' }, 'i8x16.shuffle')
enter(FD + 14, { ...BINARY, ...simd }, 'i8x16.swizzle')
enter(FD + 15, { ...UNARY, ...simd }, 'i8x16.splat i16x8.splat i32x4.splat i64x2.splat f32x4.splat f64x2.splat')
enter(FD + 21, { ...UNARY, ...simd, immediate: 'bytes1' },
  'i8x16.extract_lane_s i8x16.extract_lane_u - i16x8.extract_lane_s i16x8.extract_lane_u - i32x4.extract_lane - i64x2.extract_lane - f32x4.extract_lane - f64x2.extract_lane')
enter(FD + 23, { ...BINARY, ...simd, immediate: 'bytes1' },
  'i8x16.replace_lane - - i16x8.replace_lane - i32x4.replace_lane - i64x2.replace_lane - f32x4.replace_lane - f64x2.replace_lane')
const INT_COMPARES = ['eq', 'ne', 'lt_s', 'lt_u', 'gt_s', 'gt_u', 'le_s', 'le_u', 'ge_s', 'ge_u']
const FLOAT_COMPARES = ['eq', 'ne', 'lt', 'gt', 'le', 'ge']
const COMPARES = [
  ...['i8x16', 'i16x8', 'i32x4'].flatMap(shape => INT_COMPARES.map(name => `${shape}.${name}`)),
  ...['f32x4', 'f64x2'].flatMap(shape => FLOAT_COMPARES.map(name => `${shape}.${name}`))
]
enter(FD + 0x23, { ...BINARY, ...simd }, COMPARES.join(' '))
enter(FD + 0x4d, { ...UNARY, ...simd }, 'v128.not')
enter(FD + 0x4e, { ...BINARY, ...simd }, 'v128.and v128.andnot v128.or v128.xor')
enter(FD + 0x52, { pops: 3, pushes: 1, ...simd }, 'v128.bitselect')
enter(FD + 0x53, { ...UNARY, ...simd }, 'v128.any_true')
enter(FD + 0x54, { ...BINARY, ...simd, immediate: 'memargLane', traps: true }, 'v128.load8_lane v128.load16_lane v128.load32_lane v128.load64_lane')
enter(FD + 0x58, { pops: 2, pushes: 0, ...simd, immediate: 'memargLane', traps: true }, 'v128.store8_lane v128.store16_lane v128.store32_lane v128.store64_lane')
enter(FD + 0x5c, { ...UNARY, ...simd, immediate: 'memarg', traps: true }, 'v128.load32_zero v128.load64_zero')
enter(FD + 0x5e, { ...UNARY, ...simd }, 'f32x4.demote_f64x2_zero f64x2.promote_low_f32x4')
enter(FD + 0x60, { ...UNARY, ...simd },
  'i8x16.abs i8x16.neg i8x16.popcnt i8x16.all_true i8x16.bitmask - - f32x4.ceil f32x4.floor f32x4.trunc f32x4.nearest')
enter(FD + 0x65, { ...BINARY, ...simd }, 'i8x16.narrow_i16x8_s i8x16.narrow_i16x8_u')
enter(FD + 0x6b, { ...BINARY, ...simd },
  'i8x16.shl i8x16.shr_s i8x16.shr_u i8x16.add i8x16.add_sat_s i8x16.add_sat_u i8x16.sub i8x16.sub_sat_s i8x16.sub_sat_u - - i8x16.min_s i8x16.min_u i8x16.max_s i8x16.max_u - i8x16.avgr_u')
enter(FD + 0x74, { ...UNARY, ...simd },
  'f64x2.ceil f64x2.floor - - - - f64x2.trunc - i16x8.extadd_pairwise_i8x16_s i16x8.extadd_pairwise_i8x16_u i32x4.extadd_pairwise_i16x8_s i32x4.extadd_pairwise_i16x8_u')
enter(FD + 0x80, { ...UNARY, ...simd },
  'i16x8.abs i16x8.neg - i16x8.all_true i16x8.bitmask - - i16x8.extend_low_i8x16_s i16x8.extend_high_i8x16_s i16x8.extend_low_i8x16_u i16x8.extend_high_i8x16_u')
enter(FD + 0x82, { ...BINARY, ...simd }, 'i16x8.q15mulr_sat_s - - i16x8.narrow_i32x4_s i16x8.narrow_i32x4_u')
enter(FD + 0x8b, { ...BINARY, ...simd },
  'i16x8.shl i16x8.shr_s i16x8.shr_u i16x8.add i16x8.add_sat_s i16x8.add_sat_u i16x8.sub i16x8.sub_sat_s i16x8.sub_sat_u - i16x8.mul i16x8.min_s i16x8.min_u i16x8.max_s i16x8.max_u - i16x8.avgr_u i16x8.extmul_low_i8x16_s i16x8.extmul_high_i8x16_s i16x8.extmul_low_i8x16_u i16x8.extmul_high_i8x16_u')
enter(FD + 0x94, { ...UNARY, ...simd }, 'f64x2.nearest')
enter(FD + 0xa0, { ...UNARY, ...simd },
  'i32x4.abs i32x4.neg - i32x4.all_true i32x4.bitmask - - i32x4.extend_low_i16x8_s i32x4.extend_high_i16x8_s i32x4.extend_low_i16x8_u i32x4.extend_high_i16x8_u')
enter(FD + 0xab, { ...BINARY, ...simd },
  'i32x4.shl i32x4.shr_s i32x4.shr_u i32x4.add - - i32x4.sub - - - i32x4.mul i32x4.min_s i32x4.min_u i32x4.max_s i32x4.max_u i32x4.dot_i16x8_s - i32x4.extmul_low_i16x8_s i32x4.extmul_high_i16x8_s i32x4.extmul_low_i16x8_u i32x4.extmul_high_i16x8_u')
enter(FD + 0xc0, { ...UNARY, ...simd },
  'i64x2.abs i64x2.neg - i64x2.all_true i64x2.bitmask - - i64x2.extend_low_i32x4_s i64x2.extend_high_i32x4_s i64x2.extend_low_i32x4_u i64x2.extend_high_i32x4_u')
enter(FD + 0xcb, { ...BINARY, ...simd },
  'i64x2.shl i64x2.shr_s i64x2.shr_u i64x2.add - - i64x2.sub - - - i64x2.mul i64x2.eq i64x2.ne i64x2.lt_s i64x2.gt_s i64x2.le_s i64x2.ge_s i64x2.extmul_low_i32x4_s i64x2.extmul_high_i32x4_s i64x2.extmul_low_i32x4_u i64x2.extmul_high_i32x4_u')
enter(FD + 0xe0, { ...UNARY, ...simd }, 'f32x4.abs f32x4.neg - f32x4.sqrt')
enter(FD + 0xe4, { ...BINARY, ...simd }, 'f32x4.add f32x4.sub f32x4.mul f32x4.div f32x4.min f32x4.max f32x4.pmin f32x4.pmax')
enter(FD + 0xec, { ...UNARY, ...simd }, 'f64x2.abs f64x2.neg - f64x2.sqrt')
enter(FD + 0xf0, { ...BINARY, ...simd }, 'f64x2.add f64x2.sub f64x2.mul f64x2.div f64x2.min f64x2.max f64x2.pmin f64x2.pmax')
enter(FD + 0xf8, { ...UNARY, ...simd },
  'i32x4.trunc_sat_f32x4_s i32x4.trunc_sat_f32x4_u f32x4.convert_i32x4_s f32x4.convert_i32x4_u i32x4.trunc_sat_f64x2_s_zero i32x4.trunc_sat_f64x2_u_zero f64x2.convert_low_i32x4_s f64x2.convert_low_i32x4_u')

const REFUSED: ReadonlyMap<number, string> = new Map([
  [0x06, 'legacy exceptions (try)'],
  [0x07, 'legacy exceptions (catch)'],
  [0x09, 'legacy exceptions (rethrow)'],
  [0x18, 'legacy exceptions (delegate)'],
  [0x19, 'legacy exceptions (catch_all)'],
  [0x14, 'typed function references (call_ref)'],
  [0x15, 'typed function references (return_call_ref)'],
  [0xd3, 'GC (ref.eq)'],
  [0xd4, 'typed function references (ref.as_non_null)'],
  [0xd5, 'typed function references (br_on_null)'],
  [0xd6, 'typed function references (br_on_non_null)'],
  [0xfb, 'GC'],
  [0xfe, 'threads and atomics']
])

/**
 * Why an instruction is not in the profile, in words.
 * @param prefix 0, 0xfc or 0xfd
 * @param code the code after the prefix
 */
export function describeRefused (prefix: number, code: number): string {
  if (prefix === 0xfd && code >= 0x100) return `relaxed SIMD (0xfd 0x${code.toString(16)}) is not in the profile`
  if (prefix !== 0) return `instruction 0x${prefix.toString(16)} 0x${code.toString(16)} is not in the profile`
  const known = REFUSED.get(code)
  return known === undefined ? `instruction 0x${code.toString(16)} is not in the profile` : `${known} is not in the profile`
}
