//! A control connection once both ends know each other: messages out, messages in, and
//! heartbeats.
//!
//! One thread reads, one sends heartbeats, so that a busy owner never looks dead and a dead peer
//! is noticed whatever its owner waits for. Dropping the link closes the connection and joins both.

use std::collections::VecDeque;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded, select};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::control::framing;
use crate::control::message::{FromClient, FromServer};
use podperf_model::error::{Kind, Result};
use podperf_model::{Context as _, During as _};

/// Between two heartbeats: several within any sensible peer timeout.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(500);
/// Messages read but not yet taken; past it the peer has to wait.
const MAX_QUEUED_MESSAGES: usize = 256;
/// Between two looks at a queue that has as many bytes as it may.
const QUEUE_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Messages of one direction.
pub trait LinkMessage: Serialize + DeserializeOwned + PartialEq + Send + 'static {
    /// Largest on the wire, in bytes.
    const MAX_BYTES: u32;
    /// Bytes of messages that were read and not yet taken, as they came; past it the next one is
    /// left to the peer. What a message holds in memory may be several times as much.
    const MAX_QUEUED_BYTES: usize = 1 << 20;
    /// The one that means nothing but "still there".
    const HEARTBEAT: Self;
}

impl LinkMessage for FromClient {
    const MAX_BYTES: u32 = framing::MAX_STEP_MESSAGE_BYTES;
    // A run has four of them, and there may be a link for every client of a server.
    const MAX_QUEUED_BYTES: usize = 8 << 10;
    const HEARTBEAT: Self = Self::Heartbeat;
}

impl LinkMessage for FromServer {
    const MAX_BYTES: u32 = framing::MAX_SERVER_MESSAGE_BYTES;
    const HEARTBEAT: Self = Self::Heartbeat;
}

/// The sending half, and the owner of the connection.
#[derive(Debug)]
pub struct Link {
    connection: Arc<LinkConnection>,
    quit: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
    /// What ends with the link: one that did not start leaves its owner to say why.
    ends: Shutdown,
}

/// What the owner of a link and its threads share.
#[derive(Debug)]
struct LinkConnection {
    stream: TcpStream,
    writing: Mutex<()>,
    peer: String,
    peer_timeout: Duration,
}

impl Link {
    /// Starts both threads. What the peer sends comes by the channel; an error is the last item.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start<In: LinkMessage, Out: LinkMessage>(
        stream: TcpStream,
        peer: &str,
        peer_timeout: Duration,
    ) -> Result<(Self, Receiver<Result<In>>)> {
        Self::start_within::<In, Out>(stream, peer, peer_timeout, In::MAX_BYTES)
    }

    /// Does the same with a peer whose messages have at most `max_bytes`.
    ///
    /// # Errors
    /// When a thread cannot be started.
    pub fn start_within<In: LinkMessage, Out: LinkMessage>(
        stream: TcpStream,
        peer: &str,
        peer_timeout: Duration,
        max_bytes: u32,
    ) -> Result<(Self, Receiver<Result<In>>)> {
        let (items, incoming) = bounded(MAX_QUEUED_MESSAGES);
        let (quit, quitting) = bounded(0);
        let (writing, peer) = (Mutex::default(), peer.to_owned());
        let connection = Arc::new(LinkConnection { stream, writing, peer, peer_timeout });
        let (reading, beating) = (Arc::clone(&connection), Arc::clone(&connection));
        let (quit, threads) = (Some(quit), Vec::with_capacity(2));
        let mut link = Self { connection, quit, threads, ends: Shutdown::Read };
        let quitted = quitting.clone();
        link.spawn("podperf-read", move || {
            reading.read_all::<In>(&items, &quitted, max_bytes);
        })?;
        link.spawn("podperf-heartbeat", move || {
            while quitting.recv_timeout(HEARTBEAT_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                // A connection that is gone is the reader's to tell.
                let _ = beating.send(&Out::HEARTBEAT);
            }
        })?;
        link.ends = Shutdown::Both;
        Ok((link, incoming))
    }

    fn spawn(&mut self, name: &str, body: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .stack_size(256 << 10)
            .spawn(body)
            .during("start a control thread")
            .with_remedy("try again in a few seconds, or raise the limit on processes")?;
        self.threads.push(thread);
        Ok(())
    }

    /// Sends one message.
    ///
    /// # Errors
    /// When the connection is gone, or the peer takes nothing for as long as it may be silent.
    pub fn send<Out: LinkMessage>(&self, message: &Out) -> Result<()> {
        self.connection.send(message)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.quit = None;
        let _ = self.connection.stream.shutdown(self.ends);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl LinkConnection {
    fn send<Out: LinkMessage>(&self, message: &Out) -> Result<()> {
        // A writer that panicked left at worst a message cut short, which the peer recognises.
        let _turn = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        framing::write(&self.stream, message, Instant::now() + self.peer_timeout)
            .during("send on the control connection to")
            .with_peer(&self.peer)
            .with_kind(Kind::Incomplete)
    }

    /// Reads to the end of the connection, or until nobody takes messages any more.
    fn read_all<In: LinkMessage>(
        &self,
        items: &Sender<Result<In>>,
        quitting: &Receiver<()>,
        max_bytes: u32,
    ) {
        let mut queued = QueuedLengths::default();
        loop {
            while queued.sum_of_last(items.len()) >= In::MAX_QUEUED_BYTES {
                if quitting.recv_timeout(QUEUE_POLL_INTERVAL) != Err(RecvTimeoutError::Timeout) {
                    return;
                }
            }
            let item = match self.read::<In>(max_bytes) {
                Ok((message, _)) if message == In::HEARTBEAT => continue,
                Ok((message, length)) => {
                    queued.add(length);
                    Ok(message)
                }
                Err(error) => Err(error),
            };
            let last = item.is_err();
            // An owner that drops the link may have stopped taking messages before.
            let taken = select! {
                send(items, item) -> taken => taken.is_ok(),
                recv(quitting) -> _ => false,
            };
            if last || !taken {
                return;
            }
        }
    }

    /// Reads one message and its length in bytes.
    fn read<In: LinkMessage>(&self, max_bytes: u32) -> Result<(In, usize)> {
        let silence = Instant::now() + self.peer_timeout;
        let read = framing::read_with_length(&self.stream, max_bytes, silence, self.peer_timeout);
        let message = match read {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed it")),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                let seconds = self.peer_timeout.as_secs_f64();
                let cause = format!("the peer was silent for {seconds:.1} s");
                Err(io::Error::new(io::ErrorKind::TimedOut, cause))
            }
            Err(error) => Err(error),
        };
        message
            .during("read the control connection to")
            .with_peer(&self.peer)
            .with_kind(Kind::Incomplete)
    }
}

/// Lengths of the messages that were put into a queue, as far as they may still be there.
#[derive(Debug, Default)]
struct QueuedLengths {
    lengths: VecDeque<usize>,
    sum: usize,
}

impl QueuedLengths {
    fn add(&mut self, length: usize) {
        self.lengths.push_back(length);
        self.sum += length;
    }

    /// Adds up the last `left` of them and forgets the others, which were taken.
    fn sum_of_last(&mut self, left: usize) -> usize {
        while self.lengths.len() > left {
            self.sum -= self.lengths.pop_front().unwrap_or(0);
        }
        self.sum
    }
}

#[cfg(test)]
mod tests;
