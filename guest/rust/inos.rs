//! The native interface of INOS. A guest exports its memory, as rustc does by itself, and
//!
//! ```ignore
//! #[no_mangle]
//! pub extern "C" fn run() -> i32 { 0 }
//! ```
//!
//! whose value is the job's exit code. Target wasm32-unknown-unknown, crate type cdylib.
#![allow(dead_code)]

mod host {
    #[link(wasm_import_module = "inos")]
    extern "C" {
        pub fn input_size() -> u32;
        pub fn input_read(to: *mut u8, offset: u32, length: u32) -> i32;
        pub fn output_write(from: *const u8, length: u32) -> i32;
        pub fn log(text: *const u8, length: u32);
    }
}

/// Bytes of the input.
pub fn input_size() -> usize {
    unsafe { host::input_size() as usize }
}

/// Copies input from `offset` on: bytes copied, fewer than there is room for only at the end of the input.
pub fn input_read(offset: usize, to: &mut [u8]) -> usize {
    let count = unsafe { host::input_read(to.as_mut_ptr(), offset as u32, to.len() as u32) };
    count.max(0) as usize
}

/// The whole input.
pub fn input() -> Vec<u8> {
    let mut bytes = vec![0; input_size()];
    let count = input_read(0, &mut bytes);
    bytes.truncate(count);
    bytes
}

/// Appends to the result.
pub fn output(bytes: &[u8]) {
    unsafe { host::output_write(bytes.as_ptr(), bytes.len() as u32) };
}

/// A line for whoever runs the job, on stderr and outside of any proof; 64 KiB are kept.
pub fn log(text: &str) {
    unsafe { host::log(text.as_ptr(), text.len() as u32) }
}
