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

/// Has every block of 128 KiB or more go back to the system when it is freed. glibc otherwise keeps
/// blocks as large as the largest that was freed, up to 32 MiB, and of those twice as much again.
pub fn return_large_blocks() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const LARGE_BLOCK_BYTES: libc::c_int = 128 << 10;
        // SAFETY: as above. Being told the threshold, glibc changes it no more (mallopt(3)).
        let _ = unsafe { libc::mallopt(libc::M_MMAP_THRESHOLD, LARGE_BLOCK_BYTES) };
    }
}
