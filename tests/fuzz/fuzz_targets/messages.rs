//! The fuzz target `messages`.
#![no_main]

podperf_fuzz::fuzz!("messages");
