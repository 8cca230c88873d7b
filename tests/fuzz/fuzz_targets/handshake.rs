//! The fuzz target `handshake`.
#![no_main]

podperf_fuzz::fuzz!("handshake");
