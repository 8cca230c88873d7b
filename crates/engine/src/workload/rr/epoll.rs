//! Many flows by epoll: non-blocking sockets, one system call a step.

use std::io::ErrorKind;
use std::time::Instant;

use socket2::Socket;

use super::multiplexed::{FlowIo, PartialMessage, ReceiveEvent, Traffic, WaitMode};
use crate::transport::buffer::Buffer;
use crate::workload::multiplex::{self, FlowReadiness, Interest, Multiplex};
use crate::workload::tally::Tally;
use crate::workload::{FlowFailure, Worker};
use podperf_model::error::Result;
use podperf_model::plan::Wait;
use podperf_sys::socket;

/// The bytes one flow still has to move.
struct EpollFlow<'a> {
    socket: &'a Socket,
    tally: &'a Tally,
    /// Bytes issued but not yet taken by the kernel.
    to_send: usize,
    incoming: PartialMessage,
    waits_to_send: bool,
}

impl EpollFlow<'_> {
    /// Takes what is there and counts the messages it completes.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<ReceiveEvent, FlowFailure> {
        match socket::receive(self.socket, buffer) {
            Ok(bytes) => {
                if bytes > 0 {
                    self.tally.received(bytes);
                }
                self.incoming.take(bytes)
            }
            Err(error) if is_transient(&error) => Ok(ReceiveEvent::Messages(0)),
            Err(error) => Err(FlowFailure::receive(error)),
        }
    }

    /// Hands over as much of what is issued as the kernel takes.
    fn send(&mut self, message: &[u8]) -> Result<(), FlowFailure> {
        while self.to_send > 0 {
            match socket::send(self.socket, &message[..self.to_send.min(message.len())]) {
                Ok(bytes) => {
                    self.tally.sent(bytes);
                    self.to_send -= bytes;
                }
                Err(error) if is_transient(&error) => break,
                Err(error) => return Err(FlowFailure::send(error)),
            }
        }
        Ok(())
    }
}

fn is_transient(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// A worker's flows on one epoll instance.
pub(super) struct EpollIo<'a> {
    multiplex: Multiplex,
    flows: Vec<EpollFlow<'a>>,
    message: Buffer,
    buffer: Buffer,
    /// Flows that can go on, those from `next` on not served yet.
    batch: Vec<FlowReadiness>,
    next: usize,
}

impl<'a> EpollIo<'a> {
    /// Prepares all flows.
    ///
    /// # Errors
    /// When epoll or its timer are refused.
    pub(super) fn open(worker: &Worker<'a>, traffic: Traffic) -> Result<Self> {
        let multiplex = Multiplex::open(&worker.sockets(), Interest::Receive)
            .and_then(Multiplex::with_timer)
            .map_err(multiplex::refused)?;
        let flows = worker.sockets().into_iter().zip(worker.tallies()).map(|(socket, tally)| {
            let incoming = PartialMessage::of(traffic.incoming);
            EpollFlow { socket, tally, to_send: 0, incoming, waits_to_send: false }
        });
        Ok(Self {
            multiplex,
            flows: flows.collect(),
            message: worker.outgoing(traffic.send_bytes())?,
            buffer: Buffer::touched(traffic.receive_bytes())?,
            batch: Vec::new(),
            next: 0,
        })
    }

    /// Lets waits poll the devices first, where `wait` says so; the reason if the kernel does not.
    pub(super) fn busy_poll(&self, wait: Wait) -> Option<String> {
        self.multiplex.busy_poll(wait)
    }

    fn serve(&mut self, ready: FlowReadiness) -> Result<ReceiveEvent, FlowFailure> {
        if ready.send && self.flows[ready.flow].waits_to_send {
            self.send(ready.flow, 0)?;
        }
        if !ready.receive {
            return Ok(ReceiveEvent::Messages(0));
        }
        self.flows[ready.flow].receive(&mut self.buffer)
    }
}

impl FlowIo for EpollIo<'_> {
    fn wait(&mut self, mode: WaitMode) -> Result<(), FlowFailure> {
        if let WaitMode::Sleep(Some(longest)) = mode {
            self.multiplex.wake_in(longest).map_err(FlowFailure::of("timer for"))?;
        }
        self.batch.clear();
        self.next = 0;
        let ready =
            self.multiplex.wait(mode == WaitMode::Poll).map_err(FlowFailure::of("wait for"))?;
        self.batch.extend(ready);
        Ok(())
    }

    fn next(&mut self) -> Option<(usize, Result<ReceiveEvent, FlowFailure>)> {
        let ready = *self.batch.get(self.next)?;
        self.next += 1;
        Some((ready.flow, self.serve(ready)))
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn send(&mut self, flow: usize, bytes: usize) -> Result<(), FlowFailure> {
        let own = &mut self.flows[flow];
        own.to_send += bytes;
        own.send(&self.message)?;
        let waits = own.to_send > 0;
        if waits != own.waits_to_send {
            own.waits_to_send = waits;
            let interest = if waits { Interest::Both } else { Interest::Receive };
            self.multiplex
                .watch(own.socket, flow, interest)
                .map_err(FlowFailure::of("epoll on"))?;
        }
        Ok(())
    }

    fn forget(&mut self, flow: usize) {
        self.multiplex.forget(self.flows[flow].socket);
    }
}
