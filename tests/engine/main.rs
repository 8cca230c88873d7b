//! The engine, measuring: real clients and servers as processes over loopback, by every workload
//! and method, with faults and at its limits; and podperf as netserver.

#[expect(dead_code, reason = "each test binary uses a part of it")]
#[path = "../support/mod.rs"]
mod support;

mod allowed_cpus;
mod calibration;
mod combinations;
mod crr;
mod ending;
mod faults;
mod limits;
mod loopback;
mod methods;
mod netperf_output;
mod netserver;
mod reaching;
mod saturate;
mod service;
mod sinks;
mod standstill;
mod surroundings;
mod udp;
mod uring;
