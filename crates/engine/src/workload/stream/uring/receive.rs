//! Receives by io_uring: each flow's receive repeats itself into buffers that all flows of the
//! worker share, several of them in one completion where the kernel has bundles (Linux 6.10).

use crate::workload::unfinished::UnfinishedFlows;
use crate::workload::worker_ring;
use crate::workload::{FlowFailure, Worker, WorkerReady, WorkerReport};
use podperf_model::error::Result;
use podperf_model::plan::ReceiveMethod;
use podperf_model::result::end_result::ReceiveUse;
use podperf_model::result::run::Multiplexing;
use podperf_sys::uring::{BufferShape, Completion, Ring, RingSetup};

/// Memory of all buffers together, unless [`MIN_BUFFERS`] take more.
const ALL_BUFFERS_BYTES: usize = 2 << 20;
const MIN_BUFFERS: usize = 2;
const MAX_BUFFERS: usize = 4096;

/// Receives on every flow to the end of its stream, into buffers of `message` bytes.
pub(in super::super) fn receive(worker: &Worker<'_>, message: usize) -> WorkerReport {
    let Some(mut ring) = worker.wait_for_start(prepare(worker, message)) else {
        return WorkerReport::default();
    };
    let mut open = UnfinishedFlows::all(worker, false);
    let mut batch = Vec::with_capacity(MAX_BUFFERS);
    while open.any() {
        if let Err(failure) = worker_ring::round(&mut ring, &mut batch) {
            worker.ended(0, Err(failure));
            break;
        }
        for done in &batch {
            if open.has(done.socket)
                && let Some(result) = received(worker, &mut ring, *done)
            {
                open.end(done.socket, result);
            }
        }
    }
    let bytes = worker.tallies().iter().map(|tally| tally.read().bytes_received).sum();
    WorkerReport {
        receive: Some(ReceiveUse::all_by(ReceiveMethod::Uring, bytes)),
        ..WorkerReport::default()
    }
}

fn prepare(worker: &Worker<'_>, message: usize) -> Result<(Ring, WorkerReady)> {
    let count = (ALL_BUFFERS_BYTES / message).clamp(MIN_BUFFERS, MAX_BUFFERS);
    let receive = Some(BufferShape { count, bytes: message, bundles: true });
    let ring = worker_ring::open(worker, RingSetup { message: &[], fixed: false, receive })
        .and_then(|mut ring| {
            worker_ring::receive_all(&mut ring, worker.flows.ids.len())?;
            Ok(ring)
        })
        .map_err(|refused| worker_ring::error(&refused))?;
    Ok((ring, WorkerReady::by(Multiplexing::Uring)))
}

/// What a completion comes to. Present: the flow has ended.
fn received(
    worker: &Worker<'_>,
    ring: &mut Ring,
    done: Completion,
) -> Option<Result<(), FlowFailure>> {
    match done.bytes() {
        Ok(0) => return Some(Ok(())),
        Ok(bytes) => worker.tally(done.socket).received(bytes),
        Err(error) if worker_ring::is_transient(&error) => {}
        Err(error) => return Some(Err(FlowFailure::receive(error))),
    }
    if done.more {
        return None;
    }
    ring.receive(done.socket).err().map(|error| Err(worker_ring::failed(error)))
}
