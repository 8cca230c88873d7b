//! The fuzz target `plan`.
#![no_main]

podperf_fuzz::fuzz!("plan");
