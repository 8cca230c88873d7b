//! The fuzz target `run_log`.
#![no_main]

podperf_fuzz::fuzz!("run_log");
