/**
 * WASI preview 1 (`wasi_snapshot_preview1`) and its predecessor (`wasi_unstable`): every function, with
 * its signature, its price, and the guard around it. What the functions do is in `wasi-*.ts`.
 *
 * Everything a guest passes is hostile: addresses are checked against its memory, numbers are taken as
 * unsigned, and whatever it passes, a call ends in an errno. Only a fault of the host gets past the guard;
 * what becomes of it is the engine's business.
 */
import type { GuestContext, GuestInterface, GuestSession, HostFunction } from './guest.ts'
import { archiveFiles } from './output-files.ts'
import { Refusal } from './refusal.ts'
import { type Dialect, ERRNO, PREVIEW_0, PREVIEW_1 } from './wasi-abi.ts'
import { CALL_COSTS } from './wasi-costs.ts'
import { descriptorCalls, positionCalls } from './wasi-files.ts'
import { nameCalls, pathCalls } from './wasi-paths.ts'
import { pollCalls } from './wasi-poll.ts'
import { WasiProcess } from './wasi-process.ts'
import { systemCalls } from './wasi-system.ts'
import { transferCalls } from './wasi-transfer.ts'

const { small, medium, large } = CALL_COSTS

/** Signatures as in the witx files; strings and lists are a pointer and a length. */
const FUNCTIONS: Readonly<Record<string, HostFunction>> = {
  args_get: { type: 'ii:i', fuel: small },
  args_sizes_get: { type: 'ii:i', fuel: small },
  environ_get: { type: 'ii:i', fuel: small },
  environ_sizes_get: { type: 'ii:i', fuel: small },
  clock_res_get: { type: 'ii:i', fuel: small },
  clock_time_get: { type: 'iIi:i', fuel: small },
  fd_advise: { type: 'iIIi:i', fuel: small },
  fd_allocate: { type: 'iII:i', fuel: medium },
  fd_close: { type: 'i:i', fuel: small },
  fd_datasync: { type: 'i:i', fuel: small },
  fd_fdstat_get: { type: 'ii:i', fuel: small },
  fd_fdstat_set_flags: { type: 'ii:i', fuel: small },
  fd_fdstat_set_rights: { type: 'iII:i', fuel: small },
  fd_filestat_get: { type: 'ii:i', fuel: medium },
  fd_filestat_set_size: { type: 'iI:i', fuel: medium },
  fd_filestat_set_times: { type: 'iIIi:i', fuel: small },
  fd_pread: { type: 'iiiIi:i', fuel: medium },
  fd_prestat_get: { type: 'ii:i', fuel: small },
  fd_prestat_dir_name: { type: 'iii:i', fuel: small },
  fd_pwrite: { type: 'iiiIi:i', fuel: medium },
  fd_read: { type: 'iiii:i', fuel: medium },
  fd_readdir: { type: 'iiiIi:i', fuel: large },
  fd_renumber: { type: 'ii:i', fuel: small },
  fd_seek: { type: 'iIii:i', fuel: small },
  fd_sync: { type: 'i:i', fuel: small },
  fd_tell: { type: 'ii:i', fuel: small },
  fd_write: { type: 'iiii:i', fuel: medium },
  path_create_directory: { type: 'iii:i', fuel: large },
  path_filestat_get: { type: 'iiiii:i', fuel: large },
  path_filestat_set_times: { type: 'iiiiIIi:i', fuel: large },
  path_link: { type: 'iiiiiii:i', fuel: large },
  path_open: { type: 'iiiiiIIii:i', fuel: large },
  path_readlink: { type: 'iiiiii:i', fuel: large },
  path_remove_directory: { type: 'iii:i', fuel: large },
  path_rename: { type: 'iiiiii:i', fuel: large },
  path_symlink: { type: 'iiiii:i', fuel: large },
  path_unlink_file: { type: 'iii:i', fuel: large },
  poll_oneoff: { type: 'iiii:i', fuel: large },
  proc_exit: { type: 'i:', fuel: small },
  proc_raise: { type: 'i:i', fuel: small },
  random_get: { type: 'ii:i', fuel: medium },
  sched_yield: { type: ':i', fuel: small },
  sock_accept: { type: 'iii:i', fuel: small },
  sock_recv: { type: 'iiiiii:i', fuel: small },
  sock_send: { type: 'iiiii:i', fuel: small },
  sock_shutdown: { type: 'ii:i', fuel: small }
}

type Arguments = Array<number | bigint>

/** What a guest passes are unsigned numbers, but JavaScript gets them signed. */
function unsign (args: Arguments): void {
  for (let index = 0; index < args.length; index++) {
    const value = args[index]!
    args[index] = typeof value === 'number' ? value >>> 0 : BigInt.asUintN(64, value)
  }
}

function open (context: GuestContext, dialect: Dialect): GuestSession {
  const guest = new WasiProcess(context, dialect)
  const calls: Readonly<Record<string, (...args: never[]) => void>> = {
    ...systemCalls(guest), ...pollCalls(guest), ...transferCalls(guest), ...positionCalls(guest),
    ...descriptorCalls(guest), ...nameCalls(guest), ...pathCalls(guest)
  }

  /** Run one call: its errno, success if nothing was refused. */
  function guard (call: (...args: never[]) => void, args: Arguments): number {
    try {
      guest.memory.attach(context.memory())
      unsign(args)
      call(...args as never[])
      return ERRNO.success
    } catch (error) {
      if (error instanceof Refusal) return error.errno
      throw error
    }
  }

  const functions = Object.fromEntries(Object.keys(FUNCTIONS).map(name => {
    const call = calls[name]!
    return [name, (...args: Arguments) => guard(call, args)]
  }))
  return {
    functions,
    finish: () => ({ result: guest.stdout.copy(), stderr: guest.stderr.copy() }),
    archive: bytesMax => archiveFiles(guest.files.root, context.run.outputs, bytesMax)
  }
}

export const wasi: GuestInterface = {
  name: 'wasi_snapshot_preview1',
  functions: FUNCTIONS,
  open: context => open(context, PREVIEW_1)
}

const { sock_accept: _, ...FUNCTIONS_0 } = FUNCTIONS

export const wasiUnstable: GuestInterface = {
  name: 'wasi_unstable',
  functions: FUNCTIONS_0,
  open: context => open(context, PREVIEW_0)
}
