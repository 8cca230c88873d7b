//! A control connection once both ends know each other: messages out, messages in, and
//! heartbeats.
//!
//! One thread reads, one sends heartbeats, so that a busy owner never looks dead and a dead peer
//! is noticed whatever its owner waits for. Dropping the link closes the connection and joins both.

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
use podperf_model::During as _;
use podperf_model::error::{Error, Kind, Result};

/// Between two heartbeats: several within any sensible peer timeout.
const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(500);
/// Messages read but not yet taken; past it the peer has to wait.
const MAX_QUEUED_MESSAGES: usize = 256;

/// Messages of one direction.
pub trait LinkMessage: Serialize + DeserializeOwned + Send + 'static {
    /// Largest on the wire, in bytes.
    const MAX_BYTES: u32;
    /// Makes the one that means nothing but "still there".
    fn heartbeat() -> Self;
    /// Tells whether it is that one.
    fn is_heartbeat(&self) -> bool;
}

impl LinkMessage for FromClient {
    const MAX_BYTES: u32 = framing::MAX_CLIENT_MESSAGE_BYTES;
    fn heartbeat() -> Self {
        Self::Heartbeat
    }
    fn is_heartbeat(&self) -> bool {
        matches!(self, Self::Heartbeat)
    }
}

impl LinkMessage for FromServer {
    const MAX_BYTES: u32 = framing::MAX_SERVER_MESSAGE_BYTES;
    fn heartbeat() -> Self {
        Self::Heartbeat
    }
    fn is_heartbeat(&self) -> bool {
        matches!(self, Self::Heartbeat)
    }
}

/// The sending half, and the owner of the connection.
#[derive(Debug)]
pub struct Link {
    stream: Arc<TcpStream>,
    writing: Arc<Mutex<()>>,
    peer: String,
    peer_timeout: Duration,
    quit: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
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
        let (items, incoming) = bounded(MAX_QUEUED_MESSAGES);
        let (quit, quitting) = bounded(0);
        let mut link = Self {
            stream: Arc::new(stream),
            writing: Arc::default(),
            peer: peer.to_owned(),
            peer_timeout,
            quit: Some(quit),
            threads: Vec::with_capacity(2),
        };
        let (stream, peer, quitted) = (Arc::clone(&link.stream), peer.to_owned(), quitting.clone());
        link.spawn("podperf-read", move || {
            read::<In>(&stream, &peer, peer_timeout, |item| {
                // An owner that drops the link may have stopped taking messages before.
                select! {
                    send(items, item) -> taken => taken.is_ok(),
                    recv(quitted) -> _ => false,
                }
            });
        })?;
        let (stream, writing) = (Arc::clone(&link.stream), Arc::clone(&link.writing));
        link.spawn("podperf-heartbeat", move || {
            while quitting.recv_timeout(HEARTBEAT_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                // A connection that is gone is the reader's to tell.
                let _ = send(&stream, &writing, &Out::heartbeat(), peer_timeout);
            }
        })?;
        Ok((link, incoming))
    }

    fn spawn(&mut self, name: &str, body: impl FnOnce() + Send + 'static) -> Result<()> {
        let thread = std::thread::Builder::new()
            .name(name.to_owned())
            .stack_size(256 << 10)
            .spawn(body)
            .during("start a control thread")?;
        self.threads.push(thread);
        Ok(())
    }

    /// Sends one message.
    ///
    /// # Errors
    /// When the connection is gone, or the peer takes nothing for as long as it may be silent.
    pub fn send<Out: LinkMessage>(&self, message: &Out) -> Result<()> {
        send(&self.stream, &self.writing, message, self.peer_timeout)
            .map_err(|error| lost("send on the control connection to", &self.peer, &error))
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.quit = None;
        let _ = self.stream.shutdown(Shutdown::Both);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn send<Out: LinkMessage>(
    stream: &TcpStream,
    writing: &Mutex<()>,
    message: &Out,
    peer_timeout: Duration,
) -> io::Result<()> {
    // A writer that panicked left at worst a message cut short, which the peer recognises.
    let _turn = writing.lock().unwrap_or_else(PoisonError::into_inner);
    framing::write(stream, message, Instant::now() + peer_timeout)
}

/// Reads to the end of the connection, or until `deliver` says that nobody listens any more.
fn read<In: LinkMessage>(
    stream: &TcpStream,
    peer: &str,
    peer_timeout: Duration,
    deliver: impl Fn(Result<In>) -> bool,
) {
    loop {
        let silence = Instant::now() + peer_timeout;
        let item = match framing::read::<In>(stream, In::MAX_BYTES, silence, peer_timeout) {
            Ok(Some(message)) if message.is_heartbeat() => continue,
            Ok(Some(message)) => Ok(message),
            Ok(None) => {
                let end = io::Error::new(io::ErrorKind::UnexpectedEof, "the peer closed it");
                Err(lost("read the control connection to", peer, &end))
            }
            Err(error) if error.kind() == io::ErrorKind::TimedOut => {
                let seconds = peer_timeout.as_secs_f64();
                let cause = format!("the peer was silent for {seconds:.1} s");
                let silent = io::Error::new(io::ErrorKind::TimedOut, cause);
                Err(lost("read the control connection to", peer, &silent))
            }
            Err(error) => Err(lost("read the control connection to", peer, &error)),
        };
        let last = item.is_err();
        if !deliver(item) || last {
            return;
        }
    }
}

fn lost(operation: &str, peer: &str, error: &io::Error) -> Error {
    Error::system(Kind::Incomplete, operation, error).with_peer(peer)
}
