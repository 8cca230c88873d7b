//! Bulk transfer: senders send until the stop (or their bytes are used up), receivers
//! receive until the end of the stream.
//!
//! One flow a worker runs blocking, several share a worker by epoll. Both are generic over the
//! transport, which is chosen here. io_uring has loops of its own, for any number of flows.

pub mod auto;
mod blocking;
mod epoll;
mod probe;
#[cfg(test)]
mod tests;
mod timed_and_paced;
mod uring;

use socket2::Socket;

use super::multiplex::{self, Interest, Multiplex};
use crate::transport::mmap::MmapReceive;
use crate::transport::read::ReadReceive;
use crate::transport::sendfile::SendfileSend;
use crate::transport::splice::{PipeLayout, SpliceSend};
use crate::transport::trunc::TruncReceive;
use crate::transport::write::WriteSend;
use crate::transport::zerocopy::ZerocopySend;
use crate::transport::{BulkReceive, BulkSend};
use crate::workload::{Worker, WorkerReady, WorkerReport};
use auto::Auto;
use podperf_model::error::Result;
use podperf_model::plan::{FlowRole, ReceiveMethod, SendMethod, StreamPlan};
use podperf_model::result::run::Multiplexing;
use timed_and_paced::TimedAndPaced;

/// Bytes of each flow's first step where several share a worker: little, so that the last flow does
/// not wait for whole messages of all before it.
const FIRST_STEP_BYTES: usize = 1024;

/// Moves the worker's bytes by the methods of the plan.
#[must_use]
pub fn run(worker: &Worker<'_>, plan: &StreamPlan) -> WorkerReport {
    let sockets = worker.sockets();
    let message = plan.message_bytes.as_usize();
    // Only single pages can be mapped by a receiver on the same machine.
    let layout =
        if plan.receive == ReceiveMethod::Mmap { PipeLayout::Pages } else { PipeLayout::Runs };
    match worker.flows.role {
        FlowRole::Send => match plan.send {
            SendMethod::Auto => match auto::why_no_probe(&worker.shared.plan) {
                None => send(worker, Auto::open(worker, message, layout)),
                Some(reason) => {
                    let mut report = write(worker, sockets, message);
                    report.send.iter_mut().for_each(|send| send.reason = Some(reason.into()));
                    report
                }
            },
            SendMethod::Write => write(worker, sockets, message),
            SendMethod::Zerocopy => send(worker, ZerocopySend::open(sockets, message)),
            SendMethod::Sendfile => {
                let message = worker.outgoing(message);
                send_compat(worker, message.and_then(|own| SendfileSend::open(sockets, &own)))
            }
            SendMethod::Splice => send(worker, SpliceSend::open(sockets, message, layout)),
            method @ (SendMethod::Uring | SendMethod::UringZc) => {
                uring::send(worker, method, message)
            }
        },
        _ => match plan.receive {
            ReceiveMethod::Read => receive_compat(worker, ReadReceive::open(sockets, message)),
            ReceiveMethod::Trunc => receive(worker, Ok(TruncReceive::open(sockets, message))),
            ReceiveMethod::Mmap => receive(worker, MmapReceive::open(sockets, message)),
            ReceiveMethod::Uring => uring::receive(worker, message),
        },
    }
}

fn write(worker: &Worker<'_>, sockets: Vec<&Socket>, message: usize) -> WorkerReport {
    let message = worker.outgoing(message);
    send_compat(worker, message.map(|message| WriteSend::open(sockets, message)))
}

fn send<S: BulkSend>(worker: &Worker<'_>, sender: Result<S>) -> WorkerReport {
    send_by(worker, sender).1
}

fn receive<R: BulkReceive>(worker: &Worker<'_>, receiver: Result<R>) -> WorkerReport {
    receive_by(worker, receiver).1
}

/// Sends by a method that other programs have too, of which there is a second copy of the loops:
/// timed or paced.
fn send_compat<S: BulkSend>(worker: &Worker<'_>, sender: Result<S>) -> WorkerReport {
    if TimedAndPaced::<S>::is_plain(worker) {
        return send_by(worker, sender).1;
    }
    let (sender, report) = send_by(worker, sender.map(|own| TimedAndPaced::new(worker, own)));
    sender.map_or_else(WorkerReport::default, |sender| sender.report(report))
}

fn send_by<S: BulkSend>(worker: &Worker<'_>, sender: Result<S>) -> (Option<S>, WorkerReport) {
    let prepared = sender.and_then(|sender| with_multiplex(worker, Interest::Send, sender));
    let Some((mut sender, multiplex)) = worker.wait_for_start(prepared) else {
        return (None, WorkerReport::default());
    };
    match multiplex {
        None => blocking::send(worker, &mut sender),
        Some(multiplex) => epoll::send(worker, multiplex, &mut sender),
    }
    let sent = worker.tallies().iter().map(|tally| tally.read().bytes_sent).sum();
    let report = WorkerReport { send: Some(sender.finish(sent)), ..WorkerReport::default() };
    (Some(sender), report)
}

/// Receives by a method that other programs have too; see [`send_compat`].
fn receive_compat<R: BulkReceive>(worker: &Worker<'_>, receiver: Result<R>) -> WorkerReport {
    if TimedAndPaced::<R>::is_plain(worker) {
        return receive_by(worker, receiver).1;
    }
    let (receiver, report) =
        receive_by(worker, receiver.map(|own| TimedAndPaced::new(worker, own)));
    receiver.map_or_else(WorkerReport::default, |receiver| receiver.report(report))
}

fn receive_by<R: BulkReceive>(
    worker: &Worker<'_>,
    receiver: Result<R>,
) -> (Option<R>, WorkerReport) {
    let prepared =
        receiver.and_then(|receiver| with_multiplex(worker, Interest::Receive, receiver));
    let Some((mut receiver, multiplex)) = worker.wait_for_start(prepared) else {
        return (None, WorkerReport::default());
    };
    match multiplex {
        None => blocking::receive(worker, &mut receiver),
        Some(multiplex) => epoll::receive(worker, multiplex, &mut receiver),
    }
    let received = worker.tallies().iter().map(|tally| tally.read().bytes_received).sum();
    let report =
        WorkerReport { receive: Some(receiver.finish(received)), ..WorkerReport::default() };
    (Some(receiver), report)
}

/// Adds epoll to a transport where several flows share the worker.
fn with_multiplex<T>(
    worker: &Worker<'_>,
    interest: Interest,
    transport: T,
) -> Result<((T, Option<Multiplex>), WorkerReady)> {
    if worker.flows.ids.len() == 1 {
        return Ok(((transport, None), WorkerReady::by(Multiplexing::Blocking)));
    }
    let multiplex = Multiplex::open(&worker.sockets(), interest).map_err(multiplex::refused)?;
    Ok(((transport, Some(multiplex)), WorkerReady::by(Multiplexing::Epoll)))
}
