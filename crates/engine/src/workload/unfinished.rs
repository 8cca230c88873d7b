//! Which flows of a worker have not ended yet, and what is sent and awaited at an end.

use std::io::{ErrorKind, Read as _};
use std::net::Shutdown;

use super::{FlowFailure, Worker};
use podperf_model::plan::FlowRole;

/// The flows of one worker that have not ended.
pub(super) struct UnfinishedFlows<'a> {
    worker: &'a Worker<'a>,
    ends_streams: bool,
    flows: Vec<bool>,
    count: usize,
    /// An end is reported only once the peer has ended its streams too.
    awaits_peer: bool,
    /// Flows whose peer is waited for when all others have ended.
    awaiting: Vec<usize>,
}

impl<'a> UnfinishedFlows<'a> {
    /// All of the worker's flows. With `ends_streams`, this end tells the other when it sends no
    /// more.
    pub(super) fn all(worker: &'a Worker<'a>, ends_streams: bool) -> Self {
        let count = worker.flows.ids.len();
        let awaits_peer = ends_streams && awaits_peer(worker);
        Self {
            worker,
            ends_streams,
            flows: vec![true; count],
            count,
            awaits_peer,
            awaiting: vec![],
        }
    }

    /// Some flow has not ended.
    pub(super) const fn any(&self) -> bool {
        self.count > 0
    }

    /// `flow` has not ended.
    pub(super) fn has(&self, flow: usize) -> bool {
        self.flows[flow]
    }

    /// `flow` ends. Only the first end of a flow counts.
    pub(super) fn end(&mut self, flow: usize, result: Result<(), FlowFailure>) {
        if !std::mem::replace(&mut self.flows[flow], false) {
            return;
        }
        self.count -= 1;
        if self.ends_streams {
            // The end of the stream; after a stop the engine may have sent it already.
            let _ = self.worker.socket(flow).shutdown(Shutdown::Write);
        }
        if self.awaits_peer && result.is_ok() {
            self.awaiting.push(flow);
        } else {
            self.worker.ended(flow, result);
        }
        if self.count == 0 {
            for flow in std::mem::take(&mut self.awaiting) {
                await_peer(self.worker, flow);
                self.worker.ended(flow, Ok(()));
            }
        }
    }
}

/// Whether the worker ends its streams before its peer does and waits until the peer has.
fn awaits_peer(worker: &Worker<'_>) -> bool {
    worker.shared.compat.awaits_peer
        && matches!(worker.flows.role, FlowRole::Send | FlowRole::Request)
}

/// Ends the stream of a flow that has a worker to itself; where that is asked for, waits until the
/// peer has ended it too.
pub(super) fn end_stream(worker: &Worker<'_>, flow: usize, whole: bool) {
    // After a stop the engine may have sent it already.
    let _ = worker.socket(flow).shutdown(Shutdown::Write);
    if whole && awaits_peer(worker) {
        await_peer(worker, flow);
    }
}

/// Waits until the peer has ended its stream too, or this end breaks the connection off. What the
/// peer still sends is dropped.
fn await_peer(worker: &Worker<'_>, flow: usize) {
    let mut socket = worker.socket(flow);
    if socket.set_nonblocking(false).is_err() {
        return;
    }
    let mut discarded = [0; 4096];
    while !worker.gate().cut() {
        match socket.read(&mut discarded) {
            Ok(0) => return,
            Ok(_) => {}
            // Interrupted, or a socket with a time to wait.
            Err(error)
                if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            Err(_) => return,
        }
    }
}
