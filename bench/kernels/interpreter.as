// Branches: a machine of nine instructions, run by a switch in a loop.
const CODE: usize = 4096
const REGS: usize = 8192
let end: i32 = 0
function emit (op: u8, a: u8, b: u8): void {
  store<u8>(CODE + end, op); store<u8>(CODE + end + 1, a); store<u8>(CODE + end + 2, b); end += 3
}
export function run (): i32 {
  end = 0
  emit(0, 0, 0); emit(0, 1, 1)
  emit(1, 0, 1); emit(2, 2, 0); emit(3, 3, 2); emit(4, 2, 3); emit(5, 4, 2); emit(6, 4, 0); emit(7, 0, 6); emit(8, 0, 0)
  for (let i = 0; i < 8; i++) store<i32>(REGS + (i << 2), 0)
  let pc: i32 = 0
  for (;;) {
    const at = CODE + pc
    const a = REGS + (<usize>load<u8>(at, 1) << 2)
    const b = REGS + (<usize>load<u8>(at, 2) << 2)
    pc += 3
    switch (load<u8>(at)) {
      case 0: store<i32>(a, <i32>load<u8>(at, 2)); break
      case 1: store<i32>(a, load<i32>(a) + load<i32>(b)); break
      case 2: store<i32>(a, load<i32>(a) ^ load<i32>(b)); break
      case 3: store<i32>(a, load<i32>(a) * 31 + load<i32>(b)); break
      case 4: store<i32>(a, load<i32>(a) - load<i32>(b)); break
      case 5: store<i32>(a, load<i32>(b) >>> 3); break
      case 6: if (load<i32>(a) < load<i32>(b)) store<i32>(a, 0); break
      case 7: if (load<i32>(a) < 5000000) pc = <i32>load<u8>(at, 2); break
      default: return load<i32>(REGS + 8)
    }
  }
  return 0
}
