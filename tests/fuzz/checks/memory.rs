//! How much memory one input takes, which is a property as any other.

use peak_alloc::PeakAlloc;

use super::Target;

/// What a program has to allocate by for its memory to be counted.
pub type Allocator = PeakAlloc;

/// One of them.
pub const ALLOCATOR: Allocator = PeakAlloc;

/// Checks one input of a target, and the memory that it takes.
///
/// # Panics
/// When a property is broken.
pub fn check(allocator: &Allocator, target: Target, data: &[u8]) {
    allocator.reset_peak_usage();
    let before = allocator.current_usage();
    (target.check)(data);
    let taken = allocator.peak_usage().saturating_sub(before);
    // What is made once and kept, as the documents that inputs are made of, may come on top.
    let most = target.max_bytes + (4 << 20) + 64 * data.len();
    assert!(taken <= most, "{} took {taken} bytes of memory, at most {most}", target.name);
}
