//! SIGINT and SIGTERM.
//!
//! Enters: nothing. Leaves: a channel that brings the first of them, so that a run ends with what
//! it has. The second ends the process at once.

use std::process;
use std::thread;

use crossbeam_channel::{Receiver, bounded};
use nix::sys::signal::{SigSet, Signal};

use podperf_model::error::{Error, Kind, Result};

/// Blocks both signals for the whole process and takes them up in a thread of its own. To be
/// called before any other thread starts: threads inherit the mask.
///
/// # Errors
/// When the mask cannot be set or the thread not be started.
pub(super) fn watch() -> Result<Receiver<Kind>> {
    let failed =
        |error: &dyn std::fmt::Display| Error::new(Kind::Unmeasured, "watch signals", error);
    let signals = SigSet::from_iter([Signal::SIGINT, Signal::SIGTERM]);
    signals.thread_block().map_err(|error| failed(&error))?;
    let (sender, receiver) = bounded(1);
    let watch = move || {
        if let Ok(first) = signals.wait() {
            // Nobody listens any more when the run is over; then main is on its way out.
            let _ = sender.send(kind_of(first));
        }
        // Who asks twice does not want to wait for whatever holds the run up, main included: the
        // one place besides main that ends the process.
        if let Ok(second) = signals.wait() {
            process::exit(kind_of(second).exit_status().into());
        }
    };
    thread::Builder::new().name("signals".into()).spawn(watch).map_err(|error| failed(&error))?;
    Ok(receiver)
}

/// Blocks SIGHUP for the whole process and brings it by a channel. To be called before [`watch`],
/// whose thread is not to take it.
///
/// # Errors
/// When the mask cannot be set or the thread not be started.
pub(super) fn watch_reload() -> Result<Receiver<()>> {
    let failed =
        |error: &dyn std::fmt::Display| Error::new(Kind::Unmeasured, "watch signals", error);
    // Nor is the thread of this one to take those.
    let all = SigSet::from_iter([Signal::SIGHUP, Signal::SIGINT, Signal::SIGTERM]);
    all.thread_block().map_err(|error| failed(&error))?;
    let signals = SigSet::from(Signal::SIGHUP);
    // One that nobody has looked at yet stands for those that follow it.
    let (sender, receiver) = bounded(1);
    let watch = move || {
        while signals.wait().is_ok() {
            let _ = sender.try_send(());
        }
    };
    thread::Builder::new().name("reload".into()).spawn(watch).map_err(|error| failed(&error))?;
    Ok(receiver)
}

fn kind_of(signal: Signal) -> Kind {
    if signal == Signal::SIGTERM { Kind::Terminated } else { Kind::Interrupted }
}
