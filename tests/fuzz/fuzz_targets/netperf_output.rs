//! The fuzz target `netperf_output`.
#![no_main]

podperf_fuzz::fuzz!("netperf_output");
