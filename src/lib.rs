//! podperf measures what a network path can carry and what it costs: throughput,
//! request/response latency, and CPU on both ends.

pub mod cli;
