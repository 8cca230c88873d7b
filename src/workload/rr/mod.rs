//! Request/response. The client's flows request, the server's respond.
//!
//! One flow a worker with one request in flight runs blocking; everything else by epoll. Closed
//! loop: one clock read a transaction, the end of one being the start of the next. Open loop: each
//! request has a time at which it is due (`workload::schedule`), and its latency counts from there.

mod blocking;
mod epoll;
mod record;

use crate::plan::{Part, RrPlan};
use crate::workload::{Account, Worker};

/// Requests or responds, as the share says.
#[must_use]
pub fn run(worker: &Worker<'_>, plan: &RrPlan) -> Account {
    let sizes = Sizes::of(plan);
    let alone = worker.share.flows.len() == 1 && plan.burst == 1;
    match (worker.share.part, alone) {
        (Part::Request, true) => return blocking::request(worker, plan, sizes),
        (Part::Request, false) => return epoll::request(worker, plan, sizes),
        (_, true) => blocking::respond(worker, sizes),
        (_, false) => epoll::respond(worker, sizes),
    }
    Account::default()
}

/// Sizes as the loops use them.
#[derive(Debug, Clone, Copy)]
struct Sizes {
    request: usize,
    response: usize,
}

impl Sizes {
    fn of(plan: &RrPlan) -> Self {
        let size = |bytes: u64| usize::try_from(bytes).unwrap_or(usize::MAX);
        Self { request: size(plan.request_bytes.0), response: size(plan.response_bytes.0) }
    }
}
