//! Receives streams of datagrams to their end markers, and counts them.

use std::io::Read as _;
use std::time::Instant;

use super::Waiting;
use crate::transport::buffer::Buffer;
use crate::workload::schedule::nanoseconds;
use crate::workload::udp::{Watch, again, explained};
use crate::workload::{Failure, Worker, WorkerReady, WorkerReport};
use podperf_model::error::Result;
use podperf_model::latency::Latencies;
use podperf_model::plan::udp::UdpPlan;
use podperf_model::reading::Datagrams;
use podperf_model::result::end_result::FlowDatagrams;

/// Receives on every flow until its end.
pub(super) fn run(worker: &Worker<'_>, plan: &UdpPlan) -> WorkerReport {
    let Some((watch, buffer)) = worker.stand(prepare(worker, plan)) else {
        return WorkerReport::default();
    };
    let flows = worker.share.flows.len();
    let waiting = Waiting::new(worker);
    let times = worker.shared.compat.times_calls.then(Latencies::new);
    let mut receiving = Receiving { worker, waiting, buffer, times, received: vec![0; flows] };
    if let Err(failure) = receiving.run(watch) {
        worker.ended(0, Err(failure));
    }
    let counts = receiving.received.iter().map(|&received| FlowDatagrams {
        life: Datagrams { received, ..Datagrams::default() },
        ..FlowDatagrams::default()
    });
    let ids = worker.share.flows.iter().copied();
    let latency = receiving.times;
    WorkerReport { latency, flow_datagrams: ids.zip(counts).collect(), ..WorkerReport::default() }
}

fn prepare(worker: &Worker<'_>, plan: &UdpPlan) -> Result<((Watch, Buffer), WorkerReady)> {
    let (watch, multiplexing) = Watch::open(worker)?;
    let buffer = Buffer::touched(plan.size().max(1));
    Ok(((watch, buffer), WorkerReady::by(multiplexing)))
}

struct Receiving<'a> {
    worker: &'a Worker<'a>,
    waiting: Waiting<'a>,
    /// What does not fit is cut off by the kernel.
    buffer: Buffer,
    /// How long calls took, where that is asked for.
    times: Option<Latencies>,
    /// Datagrams, by flow.
    received: Vec<u64>,
}

impl Receiving<'_> {
    fn run(&mut self, mut watch: Watch) -> Result<(), Failure> {
        let mut ready = Vec::with_capacity(self.received.len());
        while self.waiting.any() {
            watch.wait(&mut ready)?;
            for &flow in &ready {
                self.step(flow);
            }
            if self.worker.gate().stopped() {
                self.waiting.end_silent();
            }
        }
        Ok(())
    }

    /// Takes one datagram of a flow.
    #[inline]
    fn step(&mut self, flow: usize) {
        let begun = self.times.is_some().then(Instant::now);
        match (&mut self.worker.socket(flow)).read(&mut self.buffer) {
            Ok(0) => self.waiting.end(flow, Ok(())),
            Ok(bytes) if self.waiting.has(flow) => {
                if let (Some(begun), Some(times)) = (begun, &mut self.times)
                    && self.worker.gate().counting()
                {
                    times.record(nanoseconds(begun.elapsed()));
                }
                self.received[flow] += 1;
                let tally = self.worker.tally(flow);
                tally.received(bytes);
                let received = self.received[flow];
                tally.datagrams(&Datagrams { received, ..Datagrams::default() });
                self.waiting.heard(flow);
            }
            Ok(_) => {}
            Err(error) if again(&error) => {}
            Err(error) => self.waiting.end(flow, Err(Failure::receive(explained(error)))),
        }
    }
}
