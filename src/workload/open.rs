//! Which flows of a worker have not ended yet.

use std::net::Shutdown;

use super::{Failure, Worker};

/// The flows of one worker that have not ended.
pub(super) struct Open<'a> {
    worker: &'a Worker<'a>,
    says_end: bool,
    flows: Vec<bool>,
    count: usize,
}

impl<'a> Open<'a> {
    /// All of the worker's flows. With `says_end`, this end tells the other when it sends no more.
    pub(super) fn all(worker: &'a Worker<'a>, says_end: bool) -> Self {
        let count = worker.share.flows.len();
        Self { worker, says_end, flows: vec![true; count], count }
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
    pub(super) fn end(&mut self, flow: usize, result: Result<(), Failure>) {
        if !std::mem::replace(&mut self.flows[flow], false) {
            return;
        }
        self.count -= 1;
        if self.says_end {
            // The end of the stream; after a stop the engine may have said it already.
            let _ = self.worker.socket(flow).shutdown(Shutdown::Write);
        }
        self.worker.ended(flow, result);
    }
}
