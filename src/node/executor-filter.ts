/**
 * The system calls an executor has no use for, as a seccomp filter: a small program for the kernel,
 * which looks at every call. What else an executor is denied is left to `executor-walls.ts`.
 *
 * It is a list of what is denied, not of what is allowed, since V8 and the C library change what
 * they need with every version. Denied are the ways to other processes, to programs and memory that
 * no limit counts, to the network, and to the parts of the kernel in which escapes were found.
 */
interface Calls {
  /** AUDIT_ARCH_* of linux/audit.h */
  readonly audit: number
  readonly clone: number
  readonly denied: readonly number[]
}

/** Numbers that are the same everywhere: pidfd_send_signal, io_uring_*, open_tree … fspick, pidfd_open, pidfd_getfd, process_madvise, mount_setattr, quotactl_fd, memfd_secret. */
const COMMON = [424, 425, 426, 427, 428, 429, 430, 431, 432, 433, 434, 438, 440, 442, 443, 447]
/** clone3 hides its flags behind a pointer; told that it does not exist, the C library takes clone. */
const CLONE3 = 435

/** asm/unistd_64.h and asm-generic/unistd.h */
const CALLS: Partial<Record<NodeJS.Architecture, Calls>> = {
  x64: {
    audit: 0xc000_003e,
    clone: 56,
    denied: [
      57, 58, // fork, vfork
      41, 42, 43, 49, 50, 288, // socket, connect, accept, bind, listen, accept4
      101, 310, 311, 312, // ptrace, process_vm_readv, process_vm_writev, kcmp
      155, 161, 165, 166, 272, 308, // pivot_root, chroot, mount, umount2, unshare, setns
      248, 249, 250, 298, 321, 323, // add_key, request_key, keyctl, perf_event_open, bpf, userfaultfd
      303, 304, 319, // name_to_handle_at, open_by_handle_at, memfd_create
      103, 135, 154, 159, 163, 164, 167, 169, 172, 173, 175, 176, 179, 227, 246, 313, 320, // syslog, personality, modify_ldt, clocks, acct, swapon, reboot, ports, modules, quotactl, kexec
      ...COMMON
    ]
  },
  arm64: {
    audit: 0xc000_00b7,
    clone: 220,
    denied: [
      198, 200, 201, 202, 203, 242, // socket, bind, listen, accept, connect, accept4
      117, 270, 271, 272, // ptrace, process_vm_readv, process_vm_writev, kcmp
      39, 40, 41, 51, 97, 268, // umount2, mount, pivot_root, chroot, unshare, setns
      217, 218, 219, 241, 280, 282, // add_key, request_key, keyctl, perf_event_open, bpf, userfaultfd
      264, 265, 279, // name_to_handle_at, open_by_handle_at, memfd_create
      60, 89, 92, 104, 105, 106, 112, 116, 142, 170, 171, 224, 273, 294, // quotactl, acct, personality, kexec, modules, clocks, syslog, reboot, swapon
      ...COMMON
    ]
  }
}

/** linux/filter.h: load a word, jump if equal, if at least, if a bit is set, return. */
const OP = { load: 0x20, equal: 0x15, atLeast: 0x35, bits: 0x45, give: 0x06 }
/** struct seccomp_data: the number of the call, the architecture, the low half of its first argument. */
const AT = { call: 0, audit: 4, argument: 16 }
/** linux/seccomp.h, with errno in the low bits. */
const VERDICT = { allow: 0x7fff_0000, kill: 0x8000_0000, EPERM: 0x0005_0001, ENOSYS: 0x0005_0026 }
const CLONE_THREAD = 0x1_0000
/** Calls of the x32 ABI, which come in under the same architecture with other numbers. */
const X32 = 0x4000_0000

/** @returns the filter as the kernel reads it, or undefined where the numbers of calls are not known */
export function callFilter (architecture: NodeJS.Architecture = process.arch): Uint8Array | undefined {
  const calls = CALLS[architecture]
  if (calls === undefined) return undefined
  const steps: [op: number, value: number, yes?: number, no?: number][] = [
    [OP.load, AT.audit], [OP.equal, calls.audit, 1, 0], [OP.give, VERDICT.kill],
    [OP.load, AT.call], [OP.atLeast, X32, 0, 1], [OP.give, VERDICT.EPERM],
    [OP.equal, CLONE3, 0, 1], [OP.give, VERDICT.ENOSYS],
    ...calls.denied.flatMap((call): [number, number, number?, number?][] => [[OP.equal, call, 0, 1], [OP.give, VERDICT.EPERM]]),
    [OP.equal, calls.clone, 0, 3], [OP.load, AT.argument], [OP.bits, CLONE_THREAD, 1, 0], [OP.give, VERDICT.EPERM],
    [OP.give, VERDICT.allow]
  ]
  const filter = new DataView(new ArrayBuffer(steps.length * 8))
  steps.forEach(([op, value, yes = 0, no = 0], at) => {
    // Both architectures are little-endian.
    filter.setUint16(at * 8, op, true)
    filter.setUint8(at * 8 + 2, yes)
    filter.setUint8(at * 8 + 3, no)
    filter.setUint32(at * 8 + 4, value, true)
  })
  return new Uint8Array(filter.buffer)
}
