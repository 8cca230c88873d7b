//! The fuzz target `command_line`.
#![no_main]

podperf_fuzz::fuzz!("command_line");
