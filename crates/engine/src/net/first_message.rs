//! What a protocol tells of its first message: how it is read, how far it has come, and until when
//! it is waited for.

use std::os::fd::AsFd;
use std::time::Instant;

use podperf_model::error::{Error, Result};

/// Reads a protocol's first message from a connection, which it owns and which never blocks. "First
/// message" is all that is exchanged before a connection is worth a thread.
pub trait FirstMessage: AsFd {
    /// What a whole first message says.
    type Message;

    /// Reads on without waiting.
    ///
    /// # Errors When the connection breaks, or brings something else than the protocol's first
    /// message. It is logged and the connection closed.
    fn read(&mut self) -> Result<Progress<Self::Message>>;

    /// How far it has come.
    fn stage(&self) -> PendingStage;

    /// By when what it waits for has to be there; absent: it may wait for ever.
    fn deadline(&self) -> Option<Instant>;

    /// Until when it is not to be read from; absent: it may be at once.
    fn paused_until(&self) -> Option<Instant> {
        None
    }

    /// Tells the peer why its connection is closed, without waiting, where the protocol can.
    fn refuse(&self, _why: Error) {}
}

/// What reading on brought.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress<M> {
    /// More has to come.
    Incomplete,
    /// The message is whole.
    Complete(M),
    /// The peer has closed the connection, and there is nothing to say about it.
    Closed,
}

/// How far a pending connection has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PendingStage {
    /// It has said nothing whole yet, and costs a descriptor.
    Silent,
    /// It has begun, and costs memory for what it says.
    Begun,
}
