//! podperf measures what a network path can carry and what it costs: throughput,
//! request/response latency, and CPU on both ends.
//!
//! Data flows one way:
//!
//! ```text
//! argv ─ cli ─▶ plan::Plan
//!                  │ control: Hello · authenticate · Prepare(plan) ⇄ Ready(facts) · Start
//!                  ▼
//!         engine ── pinned workers (workload × transport) ──▶ reports by channel, once, at the end
//!              └─── sampler: tallies + metrics at each interval and at the window's edges
//!                  ▼
//!         outcome::Run  (both halves merged; one versioned schema)
//!                  ▼
//!         report · exit status
//! ```
//!
//! A lower part never imports a higher one: `sys` ← `transport` ← `workload` ← `engine` ←
//! `control` ← `calibration` ← `agents` ← `netperf` ← `cli` ← `kubernetes`; `metrics` and `outcome`
//! stand beside the engine; `analysis` and `report` only read outcomes.

pub mod agents;
pub mod analysis;
pub mod calibration;
pub mod cli;
pub mod control;
pub mod engine;
pub mod error;
#[cfg(feature = "k8s")]
pub mod kubernetes;
pub mod metrics;
pub mod netperf;
pub mod outcome;
pub mod plan;
pub mod report;
pub mod sys;
pub mod transport;
pub mod units;
pub mod workload;

pub use error::{Error, Kind, Result};
