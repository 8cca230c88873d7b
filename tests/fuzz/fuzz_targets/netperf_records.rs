//! The fuzz target `netperf_records`.
#![no_main]

podperf_fuzz::fuzz!("netperf_records");
