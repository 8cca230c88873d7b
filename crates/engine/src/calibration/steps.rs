//! What the loops and the sampler pay: the clock, one record, one update, one reading.
//!
//! Enters: nothing but this machine. Leaves: medians over batches, in nanoseconds.

use std::hint::black_box;
use std::net::{TcpListener, TcpStream};
use std::os::fd::AsFd as _;
use std::time::Instant;

use crate::metrics::flow;
use crate::metrics::host_reader::HostReader;
use crate::metrics::roots::Roots;
use crate::workload::tally::Tally;
use podperf_model::latency::Latencies;
use podperf_model::result::calibration::StepCost;

const BATCHES: usize = 31;

/// Every step.
#[must_use]
pub fn all(roots: &Roots) -> Vec<StepCost> {
    let mut costs = vec![step("clock_read", 2_000, || _ = black_box(Instant::now()))];
    let mut spread = Spread::default();
    let mut latencies = Latencies::new();
    costs.push(step("latency_record", 2_000, || latencies.record(black_box(spread.next()))));
    let tally = Tally::default();
    costs.push(step("tally_update", 2_000, || tally.sent(black_box(1))));
    let mut reader = HostReader::open(roots);
    costs.push(step("host_sample", 5, || _ = black_box(reader.read())));
    let pair = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| Ok((TcpStream::connect(listener.local_addr()?)?, listener)));
    if let Ok((socket, _listener)) = pair {
        costs.push(step("tcp_info_sample", 200, || _ = black_box(flow::read(socket.as_fd()))));
    }
    costs
}

/// Values as real latencies have them: 10 µs and up, over three decades.
#[derive(Debug, Clone, Copy)]
pub struct Spread(u64);

impl Default for Spread {
    fn default() -> Self {
        Self(10_000)
    }
}

impl Spread {
    /// The next one, in nanoseconds.
    #[expect(clippy::should_implement_trait, reason = "it never ends")]
    #[inline]
    pub fn next(&mut self) -> u64 {
        // A linear congruential generator (Knuth's constants for MMIX); its high bits are good.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        10_000 + (self.0 >> 42)
    }
}

/// The median over batches of `count` calls each.
fn step(name: &str, count: u32, mut call: impl FnMut()) -> StepCost {
    let mut costs = [0.0; BATCHES];
    for cost in &mut costs {
        let began = Instant::now();
        (0..count).for_each(|_| call());
        *cost = began.elapsed().as_secs_f64() * 1e9 / f64::from(count);
    }
    costs.sort_unstable_by(f64::total_cmp);
    StepCost { step: name.to_owned(), ns: costs[BATCHES / 2] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_step_costs_something_and_a_reading_more_than_an_update() {
        let costs = all(&Roots::default());
        let cost = |name: &str| costs.iter().find(|cost| cost.step == name).unwrap().ns;
        assert!(costs.iter().all(|cost| cost.ns > 0.0 && cost.ns.is_finite()), "{costs:?}");
        assert_eq!(costs.len(), 5);
        assert!(cost("host_sample") > cost("tally_update"), "{costs:?}");
    }
}
