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

#endif
