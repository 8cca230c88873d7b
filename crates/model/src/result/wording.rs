//! Words that several texts share.

use std::fmt::Display;

use crate::plan::Role;

/// "client" or "server".
pub const fn end_name(role: Role) -> &'static str {
    match role {
        Role::Client => "client",
        Role::Server => "server",
    }
}

/// A time in seconds to the millisecond, and a shorter one to the microsecond.
pub fn length(seconds: f64) -> String {
    let digits = if seconds < 0.001 { 6 } else { 3 };
    format!("{seconds:.digits$} s")
}

/// "1 stream", "2 streams".
pub fn count<N: Display + PartialEq + From<u8>>(number: N, noun: &str) -> String {
    if number == N::from(1) { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// The first few numbers of many: "0, 1, 2, 3, 4 and 61 more".
pub fn few(numbers: &[u32]) -> String {
    const MAX_SHOWN: usize = 5;
    let shown: Vec<String> = numbers.iter().take(MAX_SHOWN).map(u32::to_string).collect();
    let shown = shown.join(", ");
    match numbers.len().checked_sub(MAX_SHOWN) {
        Some(more) if more > 0 => format!("{shown} and {more} more"),
        _ => shown,
    }
}
