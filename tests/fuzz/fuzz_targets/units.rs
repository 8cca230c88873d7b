//! The fuzz target `units`.
#![no_main]

podperf_fuzz::fuzz!("units");
