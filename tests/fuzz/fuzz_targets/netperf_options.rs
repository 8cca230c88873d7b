//! The fuzz target `netperf_options`.
#![no_main]

podperf_fuzz::fuzz!("netperf_options");
