//! The fuzz target `framing`.
#![no_main]

podperf_fuzz::fuzz!("framing");
