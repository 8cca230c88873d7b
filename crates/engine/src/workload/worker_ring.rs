//! The io_uring of a worker: opening it, explaining a refusal, and waiting for completions.

use std::io;
use std::time::Duration;

use crate::metrics::roots::Roots;
use crate::metrics::uring_diagnostics::{UringRefusal, diagnose};
use crate::workload::{FlowFailure, Worker};
use podperf_model::error::{Error, Kind};
use podperf_sys::uring::{Completion, CompletionWait, Ring, RingError, RingSetup};

/// How long a wait lasts at the most, so that a stop is seen even where nothing completes.
pub(super) const MAX_WAIT: Duration = Duration::from_millis(100);

/// A ring over the worker's sockets.
///
/// # Errors
/// The call that was refused.
pub(super) fn open(worker: &Worker<'_>, setup: RingSetup<'_>) -> Result<Ring, RingError> {
    Ring::open(&worker.sockets(), setup)
}

/// The error where io_uring was asked for by name and refused.
pub(super) fn error(refused: &RingError) -> Error {
    let UringRefusal { cause, remedy } = diagnose(&refused.error, &Roots::default());
    let mut error = Error::system(Kind::Unmeasured, refused.call, &refused.error);
    error.cause = format!("{}: {cause}", error.cause);
    error.with_remedy(remedy)
}

/// The reason for a fallback to `substitute`: which call was refused, and why.
pub(super) fn fallback(refused: &RingError, substitute: &str) -> String {
    let UringRefusal { cause, .. } = diagnose(&refused.error, &Roots::default());
    format!("{}: {}: {cause}; {substitute} stands in", refused.call, refused.error)
}

/// For `map_err`: the ring itself failed.
pub(super) fn failed(error: io::Error) -> FlowFailure {
    FlowFailure::of("io_uring_enter for")(error)
}

/// Hands over what was pushed, waits, and fills `batch` with what has completed.
///
/// # Errors
/// The ring itself failed.
pub(super) fn round(ring: &mut Ring, batch: &mut Vec<Completion>) -> Result<(), FlowFailure> {
    batch.clear();
    ring.enter(CompletionWait::AtMost(MAX_WAIT)).map_err(failed)?;
    ring.reap(batch);
    Ok(())
}

/// Whether an operation is to be repeated: its completion says nothing about the flow.
pub(super) fn is_transient(error: &io::Error) -> bool {
    // ENOBUFS: all buffers were taken; they are back once their completions have been read.
    const TRANSIENT: [i32; 4] = [libc::EAGAIN, libc::EINTR, libc::ENOBUFS, libc::ECANCELED];
    error.raw_os_error().is_some_and(|errno| TRANSIENT.contains(&errno))
}

/// Starts a receive on each of `sockets` sockets, and sees whether the kernel takes them.
///
/// # Errors
/// The call that was refused.
pub(super) fn receive_all(ring: &mut Ring, sockets: usize) -> Result<(), RingError> {
    let call = "io_uring_enter";
    for socket in 0..sockets {
        ring.receive(socket).map_err(|error| RingError { call, error })?;
    }
    ring.enter(CompletionWait::Poll).map_err(|error| RingError { call, error })
}
