//! The fuzz target `preamble`.
#![no_main]

podperf_fuzz::fuzz!("preamble");
