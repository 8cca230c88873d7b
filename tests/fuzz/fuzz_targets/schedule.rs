//! The fuzz target `schedule`.
#![no_main]

podperf_fuzz::fuzz!("schedule");
