/*
 * The native interface of INOS for C and C++. A guest exports its memory, as clang does by itself, and
 *
 *   INOS_RUN { …; return 0; }
 *
 * whose value is the job's exit code. Needs no libc:
 *   clang --target=wasm32 -O2 -nostdlib -Wl,--no-entry job.c -o job.wasm
 */
#ifndef INOS_H
#define INOS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
#define INOS_C extern "C"
#else
#define INOS_C extern
#endif
#define INOS_IMPORT(name) INOS_C __attribute__((import_module("inos"), import_name(name)))

/** Defines the entry: `int32_t run(void)`. */
#define INOS_RUN INOS_C __attribute__((export_name("run"))) int32_t run(void); int32_t run(void)

/** A pointer and a length that do not lie in memory, as inos_input_read and inos_output_write return it. */
#define INOS_FAULT (-21)

/** Bytes of the input. */
INOS_IMPORT("input_size") uint32_t inos_input_size(void);

/** Copies input from `offset` on to `to`: bytes copied, fewer than `length` only at the end of the input. */
INOS_IMPORT("input_read") int32_t inos_input_read(void *to, uint32_t offset, uint32_t length);

/** Appends to the result: `length`, or below zero an error. */
INOS_IMPORT("output_write") int32_t inos_output_write(const void *from, uint32_t length);

/** A line for whoever runs the job, on stderr and outside of any proof; 64 KiB are kept. */
INOS_IMPORT("log") void inos_log(const char *text, uint32_t length);

/*
 * Children: other WASM, computed anywhere. `inos_compute` starts one and does not wait, so that many can be at work at
 * once; `inos_result_size` waits. What a child gets is carved from what the guest has, and what it does not burn comes back
 * when it is waited for, or at the end. A guest sees the same on every node: no peer, no price and no fault of a host.
 */

/** What to compute. Zero whatever is not needed; only `fuel_max` must be there. */
struct inos_spec {
  /** The CID of a module as text ("bafkrei…"), which the job's caller hands over; length 0: this module itself. */
  const char *module; uint32_t module_len;
  const void *input; uint32_t input_len;
  /** Exported function; length 0: `_start`, else `run`. */
  const char *entry; uint32_t entry_len;
  /** Arguments, each ended by NUL. */
  const char *args; uint32_t args_len;
  /** Fuel it may burn, with all below it; no more than is left here. */
  uint64_t fuel_max;
  /** Pages of 64 KiB; 0: as many as this guest may have, which is the most. */
  uint32_t memory_pages_max;
  /** Bytes of its result; 0: 64 KiB. */
  uint32_t output_bytes_max;
  /** Children it may have in turn, and they again, all together. */
  uint32_t descendants_max;
  uint32_t zero;
};
#ifdef __cplusplus
static_assert(sizeof (inos_spec) == 56, "a spec is 56 bytes");
#else
_Static_assert(sizeof (struct inos_spec) == 56, "a spec is 56 bytes");
#endif

/** Why a child is not started: no fuel, no (further) descendants, a bad spec, no room to hold it, too many children. */
#define INOS_NO_FUEL (-19)
#define INOS_NOT_ALLOWED (-76)
#define INOS_INVALID (-28)
#define INOS_NO_ROOM (-48)
#define INOS_TOO_MANY (-33)
/** No such handle; a child that was not waited for. */
#define INOS_NO_HANDLE (-8)
#define INOS_NOT_YET (-6)
/** How a child ended, where it did not end by itself; refused: its bytes are no module that can run so. */
#define INOS_CHILD_TRAP (-101)
#define INOS_CHILD_FUEL (-102)
#define INOS_CHILD_MEMORY (-103)
#define INOS_CHILD_OUTPUT (-104)
#define INOS_CHILD_STACK (-105)
#define INOS_CHILD_REFUSED (-106)

/** Starts a child: its handle, 0, 1, 2 …, or below zero why not. Costs 1,000,000 fuel and the copying of its input. */
INOS_IMPORT("compute") int32_t inos_compute(const struct inos_spec *spec, uint32_t length);

/** Waits for a child: bytes of its result, or below zero how it ended. */
INOS_IMPORT("result_size") int32_t inos_result_size(int32_t handle);

/** Waits for a child: its exit code, or below zero how it ended. */
INOS_IMPORT("result_exit") int32_t inos_result_exit(int32_t handle);

/** Copies the result of a child that was waited for: bytes copied, fewer than `length` only at its end. */
INOS_IMPORT("result_read") int32_t inos_result_read(int32_t handle, void *to, uint32_t offset, uint32_t length);

/** Gives the room of its result back. */
INOS_IMPORT("result_drop") int32_t inos_result_drop(int32_t handle);

#endif
