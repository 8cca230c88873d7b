//! The fuzz target `histogram_log`.
#![no_main]

podperf_fuzz::fuzz!("histogram_log");
