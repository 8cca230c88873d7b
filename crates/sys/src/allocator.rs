//! What the memory allocator of the C library is told.
//!
//! Enters: nothing. Leaves: nothing; later allocations differ.

/// Has all threads share one arena. glibc otherwise reserves 64 MiB of addresses for each thread
/// that allocates, which soon uses up a limit on address space (RLIMIT_AS) without any memory in
/// it. Other C libraries have no such arenas.
pub fn share_one_arena() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        // SAFETY: mallopt(3) takes two numbers and changes what the allocator does from then on,
        // under its own lock. A refusal changes nothing.
        let _ = unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
    }
}
