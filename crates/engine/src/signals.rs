//! Signals that end a program: the first asks for its end, a further one for its end at once.
//!
//! Enters: which signals, and what each is to bring about. Leaves: calls, from a thread of its own.
//! What asks once may send twice: timeout(1) signals its child and then the group that the child is
//! in, and a terminal and its shell may each pass one on. So signals within a second are one.

use std::thread::Builder;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};

use podperf_model::During as _;
use podperf_model::error::{Kind, Result};

/// Signals that come no later than this after the first are the same request.
pub const SAME_REQUEST_TIME: Duration = Duration::from_secs(1);

/// What signals bring about.
pub struct SignalActions {
    /// Called once, with the first of those that end the program, and kept: a channel that it sends
    /// to stays open.
    pub first: Box<dyn FnMut(Kind) + Send>,
    /// Called with one that comes later than [`SAME_REQUEST_TIME`] after the first.
    pub further: Box<dyn FnMut(Signal) + Send>,
    /// Called at each SIGHUP; absent: it does what it does by default.
    pub hang_up: Option<Box<dyn FnMut() + Send>>,
}

/// Blocks `ending` for the whole process and takes them up in a thread of its own. To be called
/// before any other thread starts: threads inherit the mask.
///
/// # Errors
/// When the mask cannot be set or the thread not be started.
pub fn watch(ending: &[Signal], actions: SignalActions) -> Result<()> {
    let SignalActions { mut first, mut further, mut hang_up } = actions;
    // Where nohup(1) has it ignored, it would come all the same once it is waited for.
    let takes = |signal: &Signal| *signal != Signal::SIGHUP || !hang_up_is_ignored();
    let mut signals = SigSet::from_iter(ending.iter().copied().filter(takes));
    if hang_up.is_some() {
        signals.add(Signal::SIGHUP);
    }
    signals.thread_block().during("watch signals")?;
    let take_up = move || {
        let mut asked: Option<Instant> = None;
        // An error means that there is nothing to wait for.
        while let Ok(signal) = signals.wait() {
            match (&mut hang_up, asked) {
                (Some(hang_up), _) if signal == Signal::SIGHUP => hang_up(),
                (_, None) => {
                    asked = Some(Instant::now());
                    first(kind_of(signal));
                }
                (_, Some(asked)) if asked.elapsed() > SAME_REQUEST_TIME => further(signal),
                (_, Some(_)) => {}
            }
        }
    };
    Builder::new().name("signals".into()).spawn(take_up).during("watch signals")?;
    Ok(())
}

/// What a signal that ends a program makes of its run: a terminal that is closed (SIGHUP) ends it
/// as SIGTERM does.
#[must_use]
pub fn kind_of(signal: Signal) -> Kind {
    match signal {
        Signal::SIGTERM | Signal::SIGHUP => Kind::Terminated,
        _ => Kind::Interrupted,
    }
}

/// Whether the process was started with SIGHUP ignored (proc(5), SigIgn).
fn hang_up_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & 1 << (Signal::SIGHUP as u32 - 1) != 0)
}
