//! SIGINT and SIGALRM end a test with its result, as they do with netperf; so does SIGTERM to a
//! server.
//!
//! Enters: nothing. Leaves: a channel that brings them. One that comes more than a second later
//! ends the process at once.

use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};
use nix::sys::signal::{SigSet, Signal, raise};

use podperf_engine::signals::{self, SignalActions};
use podperf_model::error::{Kind, Result};

/// Room for signals and for what is told beside them.
const MAX_PENDING_STOPS: usize = 8;

/// Takes the signals up in a thread of its own. To be called before any other thread starts:
/// threads inherit the mask. The sender is for whoever else has a reason to end a test. A SIGTERM
/// ends the process after `termination`, whatever it waits for by then.
///
/// # Errors
/// When the mask cannot be set or the thread not be started.
pub fn watch(
    ending: &[Signal],
    termination: Option<Duration>,
) -> Result<(Sender<Kind>, Receiver<Kind>)> {
    start(ending, termination, None)
}

/// Takes up a server's signals: those that end it, and SIGHUP, by which it reads again what it was
/// configured by. To be called as [`watch`].
///
/// # Errors
/// When the mask cannot be set or the thread not be started.
pub fn watch_as_server() -> Result<(Receiver<Kind>, Receiver<()>)> {
    let (sender, reload) = bounded(1);
    // One that waits to be heard stands for all that come meanwhile.
    let hang_up = Box::new(move || _ = sender.try_send(()));
    let (_tell, stop) = start(&[Signal::SIGINT, Signal::SIGTERM], None, Some(hang_up))?;
    Ok((stop, reload))
}

fn start(
    ending: &[Signal],
    termination: Option<Duration>,
    hang_up: Option<Box<dyn FnMut() + Send>>,
) -> Result<(Sender<Kind>, Receiver<Kind>)> {
    let (sender, receiver) = bounded(MAX_PENDING_STOPS);
    let stop_sender = sender.clone();
    let actions = SignalActions {
        first: Box::new(move |kind| {
            let _ = stop_sender.try_send(kind);
            if let (Kind::Terminated, Some(termination)) = (kind, termination) {
                let end = move || {
                    thread::sleep(termination);
                    end_by(Signal::SIGTERM);
                };
                // Without it a further signal ends the process.
                let _ = thread::Builder::new().name("termination".into()).spawn(end);
            }
        }),
        // Who asks twice does not want to wait for what holds the test up: the signal does what it
        // does to a process that takes none up.
        further: Box::new(end_by),
        hang_up,
    };
    signals::watch(ending, actions)?;
    Ok((sender, receiver))
}

/// Lets a signal do what it does to a process that takes none up.
fn end_by(signal: Signal) {
    let _ = SigSet::from_iter([signal]).thread_unblock();
    let _ = raise(signal);
}
