/**
 * The guest's side of the `inos` interface. AssemblyScript names an import's module after the file
 * that declares it, so this file must keep its name.
 */

/** Bytes of input the job came with. */
export declare function input_size (): i32

/** Copy input from `offset` on to `pointer`. @returns bytes copied */
export declare function input_read (pointer: usize, offset: i32, length: i32): i32

/** Append to the result. @returns 0, or a negative errno */
export declare function output_write (pointer: usize, length: i32): i32
