//! One flow, blocking calls: the least that can stand between the kernel and the counter.

use std::io::ErrorKind;

use crate::transport::{BulkReceive, BulkSend};
use crate::workload::{FlowFailure, Worker, unfinished};

/// Sends until the stop or until the budget is used up, then ends the stream.
pub(super) fn send<S: BulkSend>(worker: &Worker<'_>, sender: &mut S) {
    let result = send_all(worker, sender);
    if result.is_ok() {
        unfinished::end_stream(worker, 0, true);
    }
    worker.ended(0, result);
}

fn send_all<S: BulkSend>(worker: &Worker<'_>, sender: &mut S) -> Result<(), FlowFailure> {
    let (gate, tally) = (worker.gate(), worker.tally(0));
    let mut left = worker.budget(0);
    tally.first_step(worker.since_release_ns());
    while left > 0 && !gate.stopped() {
        let limit = usize::try_from(left).unwrap_or(usize::MAX);
        match sender.step(0, limit) {
            Ok(bytes) => {
                tally.sent(bytes);
                left = left.saturating_sub(bytes as u64);
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // A sender that was blocked when the run stopped.
            Err(_) if gate.stopped() => return Ok(()),
            Err(error) => return Err(FlowFailure::send(error)),
        }
    }
    Ok(())
}

/// Receives to the end of the stream.
pub(super) fn receive<R: BulkReceive>(worker: &Worker<'_>, receiver: &mut R) {
    let tally = worker.tally(0);
    let result = loop {
        match receiver.step(0) {
            Ok(0) => break Ok(()),
            Ok(bytes) => tally.received(bytes),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => break Err(FlowFailure::receive(error)),
        }
    };
    worker.ended(0, result);
}
