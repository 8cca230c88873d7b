//! SIGINT and SIGTERM: the first ends the work, the second the clean-up.

use std::future::Future;

use tokio::signal::unix::{Signal, SignalKind, signal};

use podperf_model::During as _;
use podperf_model::error::{Error, Kind, Result};

/// Watches both signals from the start.
#[derive(Debug)]
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
}

impl Interrupts {
    /// Starts watching.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub(crate) fn watch() -> Result<Self> {
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).during("watch signals")?,
            terminate: signal(SignalKind::terminate()).during("watch signals")?,
        })
    }

    /// Does `work`, unless one of them comes first.
    ///
    /// # Errors
    /// That of `work`, or that a signal ended it.
    pub(crate) async fn or<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = work => done,
            kind = self.first() => Err(signal_error(kind)),
        }
    }

    /// Waits for the next signal.
    pub(crate) async fn first(&mut self) -> Kind {
        tokio::select! {
            _ = self.interrupt.recv() => Kind::Interrupted,
            _ = self.terminate.recv() => Kind::Terminated,
        }
    }
}

/// The error that a signal makes of what was under way.
pub(crate) fn signal_error(kind: Kind) -> Error {
    let cause = match kind {
        Kind::Terminated => "ended by SIGTERM",
        _ => "ended by SIGINT",
    };
    Error::new(kind, "measure", cause)
}
