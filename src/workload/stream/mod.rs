//! Bulk transfer: senders send until the gate says stop (or their bytes are used up), receivers
//! receive until the end of the stream.
//!
//! One flow a worker runs blocking, several share a worker by epoll. Both are generic over the
//! transport, which is chosen here.

mod blocking;
mod epoll;

use crate::plan::{Part, ReceiveMethod, SendMethod, StreamPlan};
use crate::transport::read::Read;
use crate::transport::write::Write;
use crate::transport::{BulkReceive, BulkSend};
use crate::workload::{Account, Worker};

/// Moves the worker's bytes by the methods of the plan.
#[must_use]
pub fn run(worker: &Worker<'_>, plan: &StreamPlan) -> Account {
    let sockets = worker.sockets();
    let message = usize::try_from(plan.message_bytes.0).unwrap_or(usize::MAX);
    match worker.share.part {
        Part::Send => match plan.send {
            SendMethod::Write => send(worker, &mut Write::open(sockets, message)),
        },
        _ => match plan.receive {
            ReceiveMethod::Read => receive(worker, &mut Read::open(sockets, message)),
        },
    }
    Account::default()
}

fn send<S: BulkSend>(worker: &Worker<'_>, sender: &mut S) {
    if worker.share.flows.len() == 1 {
        blocking::send(worker, sender);
    } else {
        epoll::send(worker, sender);
    }
}

fn receive<R: BulkReceive>(worker: &Worker<'_>, receiver: &mut R) {
    if worker.share.flows.len() == 1 {
        blocking::receive(worker, receiver);
    } else {
        epoll::receive(worker, receiver);
    }
}
