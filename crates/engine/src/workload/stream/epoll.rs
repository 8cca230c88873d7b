//! Several flows in one worker, non-blocking: one step for each flow that is ready, in turn, so
//! that the flows share evenly.

use std::io::ErrorKind;

use super::OPENING;
use crate::transport::{BulkReceive, BulkSend};
use crate::workload::multiplex::{Interest, Multiplex};
use crate::workload::open::Open;
use crate::workload::{Failure, Worker};

/// Sends on every flow until the stop or until its budget is used up, then ends the streams.
pub(super) fn send<S: BulkSend>(worker: &Worker<'_>, multiplex: Multiplex, sender: &mut S) {
    let mut left: Vec<u64> =
        (0..worker.share.flows.len()).map(|flow| worker.budget(flow)).collect();
    let mut started = vec![false; left.len()];
    let (gate, tallies) = (worker.gate(), worker.tallies());
    each_ready(worker, multiplex, Interest::Send, |flow| {
        if left[flow] == 0 || gate.stopped() {
            return Step::End;
        }
        let mut limit = usize::try_from(left[flow]).unwrap_or(usize::MAX);
        if !std::mem::replace(&mut started[flow], true) {
            tallies[flow].first_step(worker.since_release_ns());
            limit = limit.min(OPENING);
        }
        match sender.step(flow, limit) {
            Ok(bytes) => {
                tallies[flow].sent(bytes);
                left[flow] = left[flow].saturating_sub(bytes as u64);
                if left[flow] == 0 { Step::End } else { Step::Again }
            }
            Err(error) => Step::of(error, Failure::send),
        }
    });
}

/// Receives on every flow to the end of its stream.
pub(super) fn receive<R: BulkReceive>(worker: &Worker<'_>, multiplex: Multiplex, receiver: &mut R) {
    let tallies = worker.tallies();
    each_ready(worker, multiplex, Interest::Receive, |flow| match receiver.step(flow) {
        Ok(0) => Step::End,
        Ok(bytes) => {
            tallies[flow].received(bytes);
            Step::Again
        }
        Err(error) => Step::of(error, Failure::receive),
    });
}

/// What a flow's step came to.
enum Step {
    Again,
    End,
    Failed(Failure),
}

impl Step {
    fn of(error: std::io::Error, failure: fn(std::io::Error) -> Failure) -> Self {
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::Interrupted => Self::Again,
            _ => Self::Failed(failure(error)),
        }
    }
}

/// Runs `step` on whatever flow is ready until all have ended.
fn each_ready(
    worker: &Worker<'_>,
    mut multiplex: Multiplex,
    interest: Interest,
    mut step: impl FnMut(usize) -> Step,
) {
    let mut open = Open::all(worker, interest == Interest::Send);
    let mut batch = Vec::with_capacity(worker.share.flows.len());
    while open.any() {
        batch.clear();
        match multiplex.wait(false) {
            Ok(ready) => batch.extend(ready.map(|ready| ready.flow)),
            Err(error) => return worker.ended(0, Err(Failure { operation: "wait for", error })),
        }
        for &flow in &batch {
            let result = match step(flow) {
                Step::Again => continue,
                Step::End => Ok(()),
                Step::Failed(failure) => Err(failure),
            };
            multiplex.forget(worker.socket(flow));
            open.end(flow, result);
        }
        if batch.is_empty() && interest == Interest::Send && worker.gate().stopped() {
            // Flows that never became writable; what they owe stays in their socket buffers.
            (0..worker.share.flows.len()).for_each(|flow| open.end(flow, Ok(())));
        }
    }
}
