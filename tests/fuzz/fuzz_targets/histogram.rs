//! The fuzz target `histogram`.
#![no_main]

podperf_fuzz::fuzz!("histogram");
