//! The fuzz target `netperf_session`.
#![no_main]

podperf_fuzz::fuzz!("netperf_session");
