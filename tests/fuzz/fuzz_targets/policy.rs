//! The fuzz target `policy`.
#![no_main]

podperf_fuzz::fuzz!("policy");
