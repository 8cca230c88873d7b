//! The fuzz target `sink`.
#![no_main]

podperf_fuzz::fuzz!("sink");
