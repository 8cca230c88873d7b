//! Bulk transfer: senders send until the gate says stop (or their bytes are used up), receivers
//! receive until the end of the stream.
//!
//! One flow a worker runs blocking, several share a worker by epoll. Both are generic over the
//! transport, which is chosen here.

mod blocking;
mod epoll;

use super::multiplex::{self, Interest, Multiplex};
use crate::error::Result;
use crate::outcome::run::Multiplexing;
use crate::plan::{Part, ReceiveMethod, SendMethod, StreamPlan};
use crate::transport::read::Read;
use crate::transport::write::Write;
use crate::transport::{BulkReceive, BulkSend};
use crate::workload::{Account, Stand, Worker};

/// Moves the worker's bytes by the methods of the plan.
#[must_use]
pub fn run(worker: &Worker<'_>, plan: &StreamPlan) -> Account {
    let sockets = worker.sockets();
    let message = usize::try_from(plan.message_bytes.0).unwrap_or(usize::MAX);
    match worker.share.part {
        Part::Send => match plan.send {
            SendMethod::Write => send(worker, Ok(Write::open(sockets, message))),
        },
        _ => match plan.receive {
            ReceiveMethod::Read => receive(worker, Ok(Read::open(sockets, message))),
        },
    }
}

fn send<S: BulkSend>(worker: &Worker<'_>, sender: Result<S>) -> Account {
    let prepared = sender.and_then(|sender| beside(worker, Interest::Send, sender));
    let Some((mut sender, multiplex)) = worker.stand(prepared) else { return Account::default() };
    match multiplex {
        None => blocking::send(worker, &mut sender),
        Some(multiplex) => epoll::send(worker, multiplex, &mut sender),
    }
    let sent = worker.tallies().iter().map(|tally| tally.read().bytes_sent).sum();
    Account { send: Some(sender.finish(sent)), ..Account::default() }
}

fn receive<R: BulkReceive>(worker: &Worker<'_>, receiver: Result<R>) -> Account {
    let prepared = receiver.and_then(|receiver| beside(worker, Interest::Receive, receiver));
    let Some((mut receiver, multiplex)) = worker.stand(prepared) else {
        return Account::default();
    };
    match multiplex {
        None => blocking::receive(worker, &mut receiver),
        Some(multiplex) => epoll::receive(worker, multiplex, &mut receiver),
    }
    let received = worker.tallies().iter().map(|tally| tally.read().bytes_received).sum();
    Account { receive: Some(receiver.finish(received)), ..Account::default() }
}

/// Adds to a transport what several flows need to share the worker.
fn beside<T>(
    worker: &Worker<'_>,
    interest: Interest,
    transport: T,
) -> Result<((T, Option<Multiplex>), Stand)> {
    if worker.share.flows.len() == 1 {
        return Ok(((transport, None), Stand::by(Multiplexing::Blocking)));
    }
    let multiplex = Multiplex::open(&worker.sockets(), interest).map_err(multiplex::refused)?;
    Ok(((transport, Some(multiplex)), Stand::by(Multiplexing::Epoll)))
}
