//! A calibration with round figures; for tests alone.

use super::{Calibration, Machine, RrFloor, RunPlacement, SCHEMA, StreamCeiling};
use crate::plan::{ReceiveMethod, SendMethod};
use crate::result::testing::facts;

/// A calibration of the client's machine: 2, 5 and 8 Gbit/s by one, two and eight streams, and
/// round trips of 50, 20 and 40 µs by placement.
pub fn calibration() -> Calibration {
    let stream = |(streams, gigabits): (u32, f64)| StreamCeiling {
        send: SendMethod::Write,
        receive: ReceiveMethod::Read,
        streams,
        bits_per_second: gigabits * 1e9,
        process_cores_per_gbit: Some(0.05),
    };
    let rr = |(placement, p50_us): (RunPlacement, u32)| RrFloor {
        wait: "block".to_owned(),
        placement,
        mean_ns: f64::from(p50_us) * 1.1e3,
        p50_ns: Some(u64::from(p50_us) * 1_000),
        p99_ns: None,
        per_second: 1e6 / (1.1 * f64::from(p50_us)),
    };
    let placements = [RunPlacement::Scheduler, RunPlacement::OneCpu, RunPlacement::TwoCpus];
    Calibration {
        schema: SCHEMA.to_owned(),
        taken_at: "2026-01-01T00:00:00Z".to_owned(),
        seconds: 12.5,
        machine: Machine::of(&facts("client-host", 100, 2).host),
        message_bytes: 128 << 10,
        congestion_control: "reno".to_owned(),
        steps: Vec::new(),
        sends: Vec::new(),
        receives: Vec::new(),
        streams: [(1, 2.0), (2, 5.0), (8, 8.0)].map(stream).to_vec(),
        rr: placements.into_iter().zip([50, 20, 40]).map(rr).collect(),
        left_out: Vec::new(),
    }
}
