//! SIGINT, SIGTERM and SIGHUP, by which a server reads again what it was configured by.
//!
//! Enters: nothing. Leaves: a channel that brings the first of them, so that a run ends with what
//! it has. One that comes more than a second later ends the process at once.

use std::process;

use crossbeam_channel::{Receiver, bounded};
use nix::sys::signal::Signal;

use podperf_engine::signals::{self, SignalActions, kind_of};
use podperf_model::error::{Kind, Result};

/// What signals ask of a server.
pub(super) struct ServerSignals {
    /// To end.
    pub(super) stop: Receiver<Kind>,
    /// To read again what it was configured by.
    pub(super) reload: Receiver<()>,
}

/// Takes up all three. To be called before any other thread starts.
///
/// # Errors
/// When the mask cannot be set or the thread not be started.
pub(super) fn watch() -> Result<Receiver<Kind>> {
    start(None)
}

/// Takes up a server's signals. To be called before any other thread starts.
///
/// # Errors
/// When the mask cannot be set or the thread not be started.
pub(super) fn watch_as_server() -> Result<ServerSignals> {
    let (sender, reload) = bounded(1);
    // One that waits to be heard stands for all that come meanwhile.
    let stop = start(Some(Box::new(move || _ = sender.try_send(()))))?;
    Ok(ServerSignals { stop, reload })
}

fn start(hang_up: Option<Box<dyn FnMut() + Send>>) -> Result<Receiver<Kind>> {
    let (sender, receiver) = bounded(1);
    let actions = SignalActions {
        // Nobody listens any more when the run is over; then main is on its way out.
        first: Box::new(move |kind| _ = sender.send(kind)),
        // Who asks twice does not want to wait for whatever holds the run up, main included: the
        // one place besides main that ends the process.
        further: Box::new(|signal| process::exit(kind_of(signal).exit_status().into())),
        hang_up,
    };
    let ending = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP];
    // To a server the last one means something else.
    let ending = if actions.hang_up.is_some() { &ending[..2] } else { &ending[..] };
    signals::watch(ending, actions)?;
    Ok(receiver)
}
