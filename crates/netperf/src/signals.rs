//! SIGINT and SIGALRM end a test with its result, as they do with netperf; so does SIGTERM to a
//! server.
//!
//! Enters: nothing. Leaves: a channel that brings them. A second one ends the process at once.

use std::thread;

use crossbeam_channel::{Receiver, Sender, bounded};
use nix::sys::signal::{SigSet, Signal};

use podperf_model::error::{During as _, Kind, Result};

/// Room for signals and for what is told beside them.
const MAX_PENDING_STOPS: usize = 8;

/// Takes the signals up in a thread of its own. To be called before any other thread starts:
/// threads inherit the mask. The sender is for whoever else has a reason to end a test.
///
/// # Errors
/// When the mask cannot be set or the thread not be started.
pub fn watch(signals: &[Signal]) -> Result<(Sender<Kind>, Receiver<Kind>)> {
    let operation = "watch signals";
    let set = SigSet::from_iter(signals.iter().copied());
    set.thread_block().during(operation)?;
    let (sender, receiver) = bounded(MAX_PENDING_STOPS);
    let stop_sender = sender.clone();
    let watch = move || {
        if let Ok(first) = set.wait() {
            let kind = if first == Signal::SIGTERM { Kind::Terminated } else { Kind::Interrupted };
            let _ = stop_sender.try_send(kind);
        }
        // Who asks twice does not want to wait for what holds the test up: from here on a signal
        // does what it does to a process that takes none up.
        let _ = set.thread_unblock();
        loop {
            thread::park();
        }
    };
    thread::Builder::new().name("signals".into()).spawn(watch).during(operation)?;
    Ok((sender, receiver))
}
