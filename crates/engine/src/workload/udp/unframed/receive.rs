//! Receives streams of datagrams to their end markers, and counts them.

use std::time::Instant;

use super::UnfinishedReceives;
use crate::transport::buffer::Buffer;
use crate::workload::schedule::nanoseconds;
use crate::workload::udp::{ReceiveWait, is_transient};
use crate::workload::{FlowFailure, Worker, WorkerReady, WorkerReport};
use podperf_model::error::Result;
use podperf_model::latency::Latencies;
use podperf_model::plan::udp::UdpPlan;
use podperf_model::reading::Datagrams;
use podperf_model::result::end_result::FlowDatagrams;
use podperf_sys::socket;

/// Receives on every flow until its end.
pub(super) fn run(worker: &Worker<'_>, plan: &UdpPlan) -> WorkerReport {
    let Some((receive_wait, buffer)) = worker.wait_for_start(prepare(worker, plan)) else {
        return WorkerReport::default();
    };
    let flows = worker.flows.ids.len();
    let unfinished = UnfinishedReceives::new(worker);
    let times = worker.shared.compat.times_calls.then(Latencies::new);
    let mut receiver =
        UnframedReceiver { worker, unfinished, buffer, times, received: vec![0; flows] };
    if let Err(failure) = receiver.run(receive_wait) {
        worker.ended(0, Err(failure));
    }
    let counts = receiver.received.iter().map(|&received| FlowDatagrams {
        life: Datagrams { received, ..Datagrams::default() },
        ..FlowDatagrams::default()
    });
    let ids = worker.flows.ids.iter().copied();
    let latency = receiver.times;
    WorkerReport { latency, flow_datagrams: ids.zip(counts).collect(), ..WorkerReport::default() }
}

fn prepare(worker: &Worker<'_>, plan: &UdpPlan) -> Result<((ReceiveWait, Buffer), WorkerReady)> {
    let (receive_wait, multiplexing) = ReceiveWait::open(worker)?;
    let buffer = Buffer::touched(plan.size().max(1))?;
    Ok(((receive_wait, buffer), WorkerReady::by(multiplexing)))
}

struct UnframedReceiver<'a> {
    worker: &'a Worker<'a>,
    unfinished: UnfinishedReceives<'a>,
    /// What does not fit is cut off by the kernel.
    buffer: Buffer,
    /// How long calls took, where that is asked for.
    times: Option<Latencies>,
    /// Datagrams, by flow.
    received: Vec<u64>,
}

impl UnframedReceiver<'_> {
    fn run(&mut self, mut receive_wait: ReceiveWait) -> Result<(), FlowFailure> {
        let mut ready = Vec::with_capacity(self.received.len());
        while self.unfinished.any() {
            receive_wait.wait(&mut ready)?;
            for &flow in &ready {
                self.step(flow);
            }
            if self.worker.gate().stopped() {
                self.unfinished.end_idle();
            }
        }
        Ok(())
    }

    /// Takes one datagram of a flow.
    #[inline]
    fn step(&mut self, flow: usize) {
        let begun = self.times.is_some().then(Instant::now);
        match socket::receive(self.worker.socket(flow), &mut self.buffer) {
            Ok(0) => self.unfinished.end(flow, Ok(())),
            Ok(bytes) if self.unfinished.has(flow) => {
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
                self.unfinished.received_on(flow);
            }
            Ok(_) => {}
            Err(error) if is_transient(&error) => {}
            Err(error) => self.unfinished.end(flow, Err(FlowFailure::receive(error))),
        }
    }
}
