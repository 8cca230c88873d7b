//! Request/response. The client's flows request, the server's respond.
//!
//! One flow a worker with one request in flight runs blocking; everything else by epoll or io_uring
//! (`multiplexed`, over a wire of either kind). Closed loop: one clock read a transaction, the end
//! of one being the start of the next. Open loop: each request has a time at which it is due
//! (`workload::schedule`), and its latency counts from there.

mod blocking;
mod epoll;
mod multiplexed;
#[cfg(test)]
mod tests;
mod uring;

use self::multiplexed::{FlowIo, Traffic};
use crate::workload::sizes::Sizes;
use crate::workload::{Worker, WorkerReady, WorkerReport, worker_ring};
use podperf_model::error::Result;
use podperf_model::plan::{Backend, FlowRole, RrPlan};
use podperf_model::result::run::Multiplexing;

/// From so many flows a worker on io_uring is used: it clearly moved more transactions than epoll:
/// over veth, with one worker a side, each on a CPU of its own.
const MIN_URING_FLOWS: usize = 8;

/// Requests or responds, by the role of the worker.
#[must_use]
pub fn run(worker: &Worker<'_>, plan: &RrPlan) -> WorkerReport {
    let sizes = Sizes::of(plan.request_bytes, plan.response_bytes);
    let alone = worker.flows.ids.len() == 1 && plan.burst == 1;
    if plan.backend == Backend::Auto && alone {
        if worker.flows.role == FlowRole::Request {
            return blocking::request(worker, plan, sizes);
        }
        blocking::respond(worker, sizes);
        return WorkerReport::default();
    }
    let traffic = match worker.flows.role {
        FlowRole::Request => Traffic::requesting(plan, sizes),
        _ => Traffic::responding(sizes),
    };
    let fallback =
        match wants_uring(worker, plan.backend).then(|| uring::UringIo::open(worker, traffic)) {
            None => None,
            Some(Ok(io)) => {
                let fallback = worker
                    .wait()
                    .busy_poll_us()
                    .map(|_| "io_uring does not poll devices; its waits block".into());
                let prepared =
                    Ok((io, WorkerReady { fallback, ..WorkerReady::by(Multiplexing::Uring) }));
                return run_role(worker, plan, sizes, prepared);
            }
            Some(Err(refused)) if plan.backend == Backend::Auto => {
                Some(worker_ring::fallback(&refused, "epoll"))
            }
            Some(Err(refused)) => {
                let prepared =
                    Err::<(uring::UringIo<'_>, WorkerReady), _>(worker_ring::error(&refused));
                return run_role(worker, plan, sizes, prepared);
            }
        };
    let prepared = epoll::EpollIo::open(worker, traffic).map(|io| {
        let fallback = fallback.or_else(|| io.busy_poll(worker.wait()));
        (io, WorkerReady { multiplexing: Multiplexing::Epoll, fallback })
    });
    run_role(worker, plan, sizes, prepared)
}

/// Whether io_uring is to move the bytes.
fn wants_uring(worker: &Worker<'_>, backend: Backend) -> bool {
    match backend {
        // Polling devices is epoll's.
        Backend::Auto => {
            worker.flows.ids.len() >= MIN_URING_FLOWS && worker.wait().busy_poll_us().is_none()
        }
        Backend::Epoll => false,
        Backend::Uring => true,
    }
}

/// Requests or responds over `io`, by the role of the worker.
fn run_role<W: FlowIo>(
    worker: &Worker<'_>,
    plan: &RrPlan,
    sizes: Sizes,
    prepared: Result<(W, WorkerReady)>,
) -> WorkerReport {
    match worker.flows.role {
        FlowRole::Request => multiplexed::request(worker, plan, sizes, prepared),
        _ => multiplexed::respond(worker, sizes, prepared),
    }
}
