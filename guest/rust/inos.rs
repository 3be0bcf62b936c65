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
        pub fn compute(spec: *const super::Spec, length: u32) -> i32;
        pub fn result_size(handle: i32) -> i32;
        pub fn result_exit(handle: i32) -> i32;
        pub fn result_read(handle: i32, to: *mut u8, offset: u32, length: u32) -> i32;
        pub fn result_drop(handle: i32) -> i32;
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

/// What to compute, as the host reads it: 56 bytes.
#[repr(C)]
pub struct Spec {
    /// Pointer and length of each.
    module: [u32; 2],
    input: [u32; 2],
    entry: [u32; 2],
    args: [u32; 2],
    fuel_max: u64,
    memory_pages_max: u32,
    output_bytes_max: u32,
    descendants_max: u32,
    zero: u32,
}

/// Other WASM, computed anywhere. What it gets is carved from what this guest has; what it does not burn comes back when it is waited
/// for. Zero or empty is the default, of everything but `fuel_max`.
#[derive(Default)]
pub struct Child<'a> {
    /// The CID of a module as text, which the job's caller hands over; empty: this module itself.
    pub module: &'a str,
    pub input: &'a [u8],
    /// Exported function; empty: `_start`, else `run`.
    pub entry: &'a str,
    /// Arguments, each ended by NUL.
    pub args: &'a str,
    /// Fuel it may burn, with all below it.
    pub fuel_max: u64,
    pub memory_pages_max: u32,
    pub output_bytes_max: u32,
    /// Children it may have in turn, and they again, all together.
    pub descendants_max: u32,
}

impl Child<'_> {
    /// Starts it, and does not wait; below zero why not, as `inos.h` lists it. Costs 1,000,000 fuel and the copying of its input.
    pub fn start(&self) -> Result<Handle, i32> {
        let at = |bytes: &[u8]| [bytes.as_ptr() as u32, bytes.len() as u32];
        let spec = Spec {
            module: at(self.module.as_bytes()),
            input: at(self.input),
            entry: at(self.entry.as_bytes()),
            args: at(self.args.as_bytes()),
            fuel_max: self.fuel_max,
            memory_pages_max: self.memory_pages_max,
            output_bytes_max: self.output_bytes_max,
            descendants_max: self.descendants_max,
            zero: 0,
        };
        let handle = unsafe { host::compute(&spec, core::mem::size_of::<Spec>() as u32) };
        if handle < 0 { Err(handle) } else { Ok(Handle(handle)) }
    }
}

/// A child that was started. Dropping it gives the room of its result back, once it was waited for.
pub struct Handle(i32);

impl Handle {
    /// Waits: its exit code, or below zero how it ended.
    pub fn exit_code(&self) -> i32 {
        unsafe { host::result_exit(self.0) }
    }

    /// Waits: its result, or how it ended.
    pub fn result(&self) -> Result<Vec<u8>, i32> {
        let size = unsafe { host::result_size(self.0) };
        if size < 0 {
            return Err(size);
        }
        let mut bytes = vec![0; size as usize];
        unsafe { host::result_read(self.0, bytes.as_mut_ptr(), 0, size as u32) };
        Ok(bytes)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        unsafe { host::result_drop(self.0) };
    }
}
