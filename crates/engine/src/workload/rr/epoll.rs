//! Many flows by epoll: non-blocking sockets, one system call a step.

use std::io::{ErrorKind, Read as _, Write as _};
use std::time::Instant;

use socket2::Socket;

use super::many::{Arrived, Incoming, Patience, Traffic, Wire};
use crate::transport::buffer::Buffer;
use crate::workload::multiplex::{self, Interest, Multiplex, Ready};
use crate::workload::tally::Tally;
use crate::workload::{Failure, Worker};
use podperf_model::error::Result;
use podperf_model::plan::Wait;

/// The bytes one flow still has to move.
struct Pipe<'a> {
    socket: &'a Socket,
    tally: &'a Tally,
    /// Bytes issued but not yet taken by the kernel.
    to_send: usize,
    incoming: Incoming,
    waits_to_send: bool,
}

impl Pipe<'_> {
    /// Takes what is there and counts the messages it completes.
    fn receive(&mut self, buffer: &mut [u8]) -> Result<Arrived, Failure> {
        match (&mut &*self.socket).read(buffer) {
            Ok(bytes) => {
                if bytes > 0 {
                    self.tally.received(bytes);
                }
                self.incoming.take(bytes)
            }
            Err(error) if again(&error) => Ok(Arrived::Messages(0)),
            Err(error) => Err(Failure::receive(error)),
        }
    }

    /// Hands over as much of what is issued as the kernel takes.
    fn send(&mut self, message: &[u8]) -> Result<(), Failure> {
        while self.to_send > 0 {
            match (&mut &*self.socket).write(&message[..self.to_send.min(message.len())]) {
                Ok(bytes) => {
                    self.tally.sent(bytes);
                    self.to_send -= bytes;
                }
                Err(error) if again(&error) => break,
                Err(error) => return Err(Failure::send(error)),
            }
        }
        Ok(())
    }
}

fn again(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted)
}

/// The pipes of a worker and what they wait for.
pub(super) struct Pipes<'a> {
    multiplex: Multiplex,
    pipes: Vec<Pipe<'a>>,
    message: Buffer,
    buffer: Buffer,
    /// Flows that can go on, those from `looked_at` on not served yet.
    batch: Vec<Ready>,
    looked_at: usize,
}

impl<'a> Pipes<'a> {
    /// Prepares all flows.
    ///
    /// # Errors
    /// When epoll or its timer are refused.
    pub(super) fn open(worker: &Worker<'a>, traffic: Traffic) -> Result<Self> {
        let multiplex = Multiplex::open(&worker.sockets(), Interest::Receive)
            .and_then(Multiplex::with_timer)
            .map_err(multiplex::refused)?;
        let pipes = worker.sockets().into_iter().zip(worker.tallies()).map(|(socket, tally)| {
            let incoming = Incoming::of(traffic.incoming);
            Pipe { socket, tally, to_send: 0, incoming, waits_to_send: false }
        });
        Ok(Self {
            multiplex,
            pipes: pipes.collect(),
            message: worker.outgoing(traffic.send_bytes()),
            buffer: Buffer::touched(traffic.receive_bytes()),
            batch: Vec::new(),
            looked_at: 0,
        })
    }

    /// Lets waits poll the devices first, where `wait` says so; the reason if the kernel does not.
    pub(super) fn busy_poll(&self, wait: Wait) -> Option<String> {
        self.multiplex.busy_poll(wait)
    }

    fn serve(&mut self, ready: Ready) -> Result<Arrived, Failure> {
        if ready.send && self.pipes[ready.flow].waits_to_send {
            self.send(ready.flow, 0)?;
        }
        if !ready.receive {
            return Ok(Arrived::Messages(0));
        }
        self.pipes[ready.flow].receive(&mut self.buffer)
    }
}

impl Wire for Pipes<'_> {
    fn wait(&mut self, patience: Patience) -> Result<(), Failure> {
        if let Patience::Sleep(Some(longest)) = patience {
            self.multiplex
                .wake_in(longest)
                .map_err(|error| Failure { operation: "timer for", error })?;
        }
        self.batch.clear();
        self.looked_at = 0;
        let ready = self
            .multiplex
            .wait(patience == Patience::Look)
            .map_err(|error| Failure { operation: "wait for", error })?;
        self.batch.extend(ready);
        Ok(())
    }

    fn next(&mut self) -> Option<(usize, Result<Arrived, Failure>)> {
        let ready = *self.batch.get(self.looked_at)?;
        self.looked_at += 1;
        Some((ready.flow, self.serve(ready)))
    }

    fn now(&self) -> Instant {
        Instant::now()
    }

    fn send(&mut self, flow: usize, bytes: usize) -> Result<(), Failure> {
        let pipe = &mut self.pipes[flow];
        pipe.to_send += bytes;
        pipe.send(&self.message)?;
        let waits = pipe.to_send > 0;
        if waits != pipe.waits_to_send {
            pipe.waits_to_send = waits;
            let interest = if waits { Interest::Both } else { Interest::Receive };
            self.multiplex
                .watch(pipe.socket, flow, interest)
                .map_err(|error| Failure { operation: "epoll on", error })?;
        }
        Ok(())
    }

    fn forget(&mut self, flow: usize) {
        self.multiplex.forget(self.pipes[flow].socket);
    }
}
