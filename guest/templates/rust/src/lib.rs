mod inos;

/// Counts the words of the input.
#[no_mangle]
pub extern "C" fn run() -> i32 {
    let input = inos::input();
    let words = input.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).count();
    inos::output(format!("{words}\n").as_bytes());
    0
}
