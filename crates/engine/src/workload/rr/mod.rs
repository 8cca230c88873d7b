//! Request/response. The client's flows request, the server's respond.
//!
//! One flow a worker with one request in flight runs blocking; everything else by epoll or io_uring
//! (`many`, over a wire of either kind). Closed loop: one clock read a transaction, the end of one
//! being the start of the next. Open loop: each request has a time at which it is due
//! (`workload::schedule`), and its latency counts from there.

mod blocking;
mod epoll;
mod many;
#[cfg(test)]
mod tests;
mod uring;

use self::many::{Traffic, Wire};
use crate::workload::sizes::Sizes;
use crate::workload::{Worker, WorkerReady, WorkerReport, rings};
use podperf_model::error::Result;
use podperf_model::plan::{Backend, FlowRole, RrPlan};
use podperf_model::result::run::Multiplexing;

/// From so many flows a worker on, io_uring clearly moved more transactions than epoll: over veth,
/// with one worker a side, each on a CPU of its own.
const URING_FROM: usize = 8;

/// Requests or responds, as the share says.
#[must_use]
pub fn run(worker: &Worker<'_>, plan: &RrPlan) -> WorkerReport {
    let sizes = Sizes::of(plan.request_bytes, plan.response_bytes);
    let alone = worker.share.flows.len() == 1 && plan.burst == 1;
    if plan.backend == Backend::Auto && alone {
        if worker.share.part == FlowRole::Request {
            return blocking::request(worker, plan, sizes);
        }
        blocking::respond(worker, sizes);
        return WorkerReport::default();
    }
    let traffic = match worker.share.part {
        FlowRole::Request => Traffic::requesting(plan, sizes),
        _ => Traffic::responding(sizes),
    };
    let fallback = match asked(worker, plan.backend).then(|| uring::Rounds::open(worker, traffic)) {
        None => None,
        Some(Ok(rounds)) => {
            let fallback = worker
                .wait()
                .busy_poll_us()
                .map(|_| "io_uring does not poll devices; its waits block".into());
            let prepared =
                Ok((rounds, WorkerReady { fallback, ..WorkerReady::by(Multiplexing::Uring) }));
            return converse(worker, plan, sizes, prepared);
        }
        Some(Err(refused)) if plan.backend == Backend::Auto => {
            Some(rings::fallback(&refused, "epoll"))
        }
        Some(Err(refused)) => {
            let prepared = Err::<(uring::Rounds<'_>, WorkerReady), _>(rings::error(&refused));
            return converse(worker, plan, sizes, prepared);
        }
    };
    let prepared = epoll::Pipes::open(worker, traffic).map(|pipes| {
        let fallback = fallback.or_else(|| pipes.busy_poll(worker.wait()));
        (pipes, WorkerReady { multiplexing: Multiplexing::Epoll, fallback })
    });
    converse(worker, plan, sizes, prepared)
}

/// The backend is to be io_uring.
fn asked(worker: &Worker<'_>, backend: Backend) -> bool {
    match backend {
        // Polling devices is epoll's.
        Backend::Auto => {
            worker.share.flows.len() >= URING_FROM && worker.wait().busy_poll_us().is_none()
        }
        Backend::Epoll => false,
        Backend::Uring => true,
    }
}

/// Plays the worker's part over a wire.
fn converse<W: Wire>(
    worker: &Worker<'_>,
    plan: &RrPlan,
    sizes: Sizes,
    prepared: Result<(W, WorkerReady)>,
) -> WorkerReport {
    match worker.share.part {
        FlowRole::Request => many::request(worker, plan, sizes, prepared),
        _ => many::respond(worker, sizes, prepared),
    }
}
