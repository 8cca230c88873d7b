//! Several flows in one worker, non-blocking: one step for each flow that is ready, in turn, so
//! that the flows share evenly.

use std::io::ErrorKind;

use super::FIRST_STEP_BYTES;
use crate::transport::{BulkReceive, BulkSend};
use crate::workload::multiplex::{Interest, Multiplex};
use crate::workload::unfinished::UnfinishedFlows;
use crate::workload::{FlowFailure, Worker};

/// Sends on every flow until the stop or until its budget is used up, then ends the streams.
pub(super) fn send<S: BulkSend>(worker: &Worker<'_>, multiplex: Multiplex, sender: &mut S) {
    let mut left: Vec<u64> = (0..worker.flows.ids.len()).map(|flow| worker.budget(flow)).collect();
    let mut started = vec![false; left.len()];
    let (gate, tallies) = (worker.gate(), worker.tallies());
    each_ready(worker, multiplex, Interest::Send, |flow| {
        if left[flow] == 0 || gate.stopped() {
            return StepResult::End;
        }
        let mut limit = usize::try_from(left[flow]).unwrap_or(usize::MAX);
        if !std::mem::replace(&mut started[flow], true) {
            tallies[flow].first_step(worker.since_release_ns());
            limit = limit.min(FIRST_STEP_BYTES);
        }
        match sender.step(flow, limit) {
            Ok(bytes) => {
                tallies[flow].sent(bytes);
                left[flow] = left[flow].saturating_sub(bytes as u64);
                if left[flow] == 0 { StepResult::End } else { StepResult::Again }
            }
            Err(error) => StepResult::of(error, FlowFailure::send),
        }
    });
}

/// Receives on every flow to the end of its stream.
pub(super) fn receive<R: BulkReceive>(worker: &Worker<'_>, multiplex: Multiplex, receiver: &mut R) {
    let tallies = worker.tallies();
    each_ready(worker, multiplex, Interest::Receive, |flow| match receiver.step(flow) {
        Ok(0) => StepResult::End,
        Ok(bytes) => {
            tallies[flow].received(bytes);
            StepResult::Again
        }
        Err(error) => StepResult::of(error, FlowFailure::receive),
    });
}

/// The result of a flow's step.
enum StepResult {
    Again,
    End,
    Failed(FlowFailure),
}

impl StepResult {
    fn of(error: std::io::Error, failure: fn(std::io::Error) -> FlowFailure) -> Self {
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
    mut step: impl FnMut(usize) -> StepResult,
) {
    let mut open = UnfinishedFlows::all(worker, interest == Interest::Send);
    let mut batch = Vec::with_capacity(worker.flows.ids.len());
    while open.any() {
        batch.clear();
        match multiplex.wait(false) {
            Ok(ready) => batch.extend(ready.map(|ready| ready.flow)),
            Err(error) => {
                return worker.ended(0, Err(FlowFailure::of("wait for")(error)));
            }
        }
        for &flow in &batch {
            let result = match step(flow) {
                StepResult::Again => continue,
                StepResult::End => Ok(()),
                StepResult::Failed(failure) => Err(failure),
            };
            multiplex.forget(worker.socket(flow));
            open.end(flow, result);
        }
        if batch.is_empty() && interest == Interest::Send && worker.gate().stopped() {
            // Flows that never became writable; what they owe stays in their socket buffers.
            (0..worker.flows.ids.len()).for_each(|flow| open.end(flow, Ok(())));
        }
    }
}
