//! What measures: how bytes move, what a flow does with them, what is read on each end, and the
//! control connection between the ends.
//!
//! A lower part never imports a higher one: `transport` ← `workload` ← `engine` ← `net` ←
//! `policy` ← `control` ← `calibration` ← `coordination`; `metrics` stands beside the engine.

pub mod calibration;
pub mod control;
pub mod coordination;
pub mod engine;
pub mod metrics;
pub mod net;
pub mod policy;
pub mod signals;
pub mod transport;
pub mod workload;
