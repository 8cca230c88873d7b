//! What is read on each end: counters at an instant, facts that hold for the whole run, and what
//! will spoil a measurement.
//!
//! Enters: /proc, /sys, cgroup, netdev and socket state, below roots that tests replace by
//! fixtures. Leaves: plain serialisable records of counters since boot; differences are taken in
//! `outcome`. A figure that cannot be read is absent with a reason, never a guess.

mod cgroup;
mod container;
mod device;
pub mod doctor;
pub mod flow;
pub mod host;
pub mod host_reader;
mod kernel;
pub mod memory_limits;
mod mounts;
pub mod ports;
mod proc_stat;
pub mod process;
mod processor;
pub mod roots;
mod softirqs;
mod softnet;
mod source;
pub mod tcp_settings;
pub mod topology;
pub mod uring_diagnostics;
