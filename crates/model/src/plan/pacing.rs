//! How sends that have a rate meet their times.

use super::choice::choice;

choice! {
/// How a worker waits for the time at which a send is due.
pub enum PacingMode {
    /// Awake for what most of its wake-ups take: exact, at the price of CPU.
    Precise = "precise",
    /// Asleep, woken earlier by what half of its wake-ups take.
    Sleep = "sleep",
    /// Asleep until the next whole millisecond, when all that is due goes out.
    Burst = "burst",
}
}
