//! Answers whatever comes, one datagram for each.

use std::io::Read as _;

use super::{Waiting, is_refusal};
use crate::transport::buffer::Buffer;
use crate::workload::sizes::Sizes;
use crate::workload::udp::{Watch, again, explained};
use crate::workload::{Failure, Worker, WorkerReady, WorkerReport};
use podperf_model::error::Result;
use podperf_model::plan::udp::UdpRrPlan;

/// Responds on every flow until its end.
pub(super) fn run(worker: &Worker<'_>, plan: &UdpRrPlan) -> WorkerReport {
    let prepared = prepare(worker, plan);
    let Some((mut responding, mut watch)) = worker.stand(prepared) else {
        return WorkerReport::default();
    };
    let mut ready = Vec::with_capacity(worker.share.flows.len());
    while responding.waiting.any() {
        if let Err(failure) = watch.wait(&mut ready) {
            worker.ended(0, Err(failure));
            break;
        }
        for &flow in &ready {
            if let Err(failure) = responding.step(flow) {
                responding.waiting.end(flow, Err(failure));
            }
        }
        if worker.gate().stopped() {
            responding.waiting.end_silent();
        }
    }
    WorkerReport::default()
}

type Prepared<'a> = ((Responding<'a>, Watch), WorkerReady);

fn prepare<'a>(worker: &'a Worker<'a>, plan: &UdpRrPlan) -> Result<Prepared<'a>> {
    let Sizes { request, response } = Sizes::of(plan.request_bytes, plan.response_bytes);
    let (watch, multiplexing) = Watch::open(worker)?;
    let responding = Responding {
        worker,
        waiting: Waiting::new(worker),
        incoming: Buffer::touched(request.max(1)),
        outgoing: worker.outgoing(response.max(1)),
    };
    Ok(((responding, watch), WorkerReady::by(multiplexing)))
}

struct Responding<'a> {
    worker: &'a Worker<'a>,
    waiting: Waiting<'a>,
    /// What does not fit is cut off by the kernel.
    incoming: Buffer,
    outgoing: Buffer,
}

impl Responding<'_> {
    /// Takes one datagram of a flow and answers it, or ends the flow if it is empty.
    #[inline]
    fn step(&mut self, flow: usize) -> Result<(), Failure> {
        let (socket, tally) = (self.worker.socket(flow), self.worker.tally(flow));
        match (&mut &*socket).read(&mut self.incoming) {
            Ok(0) => {
                self.waiting.end(flow, Ok(()));
                return Ok(());
            }
            Ok(bytes) if self.waiting.has(flow) => tally.received(bytes),
            Ok(_) => return Ok(()),
            // The requester has closed its socket while a response was under way.
            Err(error) if again(&error) || is_refusal(&error) => return Ok(()),
            Err(error) => return Err(Failure::receive(explained(error))),
        }
        self.waiting.heard(flow);
        match socket.send(&self.outgoing) {
            Ok(sent) => tally.sent(sent),
            // No room, or nobody there: as if the response had been lost on its way.
            Err(error) if again(&error) || is_refusal(&error) => {}
            Err(error) => return Err(Failure::send(explained(error))),
        }
        Ok(())
    }
}
