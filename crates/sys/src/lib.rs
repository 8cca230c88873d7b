//! System calls that neither std nor nix wrap: the only unsafe code, behind safe signatures.
//!
//! Enters: descriptors and plain values. Leaves: plain values and `io::Error`. Knows nothing of
//! plans, flows or results.
#![expect(unsafe_code, reason = "system calls without a safe wrapper live here and only here")]

pub mod accept;
pub mod allocator;
pub mod daemon;
pub mod datagram;
pub mod epoll;
pub mod ethtool;
pub mod mapping;
pub mod netlink;
pub mod option;
pub mod socket;
pub mod tcp_info;
pub mod uring;
