//! The fuzz target `merge`.
#![no_main]

podperf_fuzz::fuzz!("merge");
