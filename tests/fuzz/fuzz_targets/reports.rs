//! The fuzz target `reports`.
#![no_main]

podperf_fuzz::fuzz!("reports");
