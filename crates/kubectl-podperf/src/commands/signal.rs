//! SIGINT, and SIGTERM or SIGHUP: the first ends the work, the second the clean-up. Signals within
//! a second are one: timeout(1) signals its child and then the group that the child is in.

use std::future::Future;
use std::time::{Duration, Instant};

use tokio::signal::unix::{Signal, SignalKind, signal};

use podperf_model::During as _;
use podperf_model::error::{Error, Kind, Result};

/// Signals that come no later than this after the first are the same request.
const SAME_REQUEST_TIME: Duration = Duration::from_secs(1);

/// Watches them from the start.
#[derive(Debug)]
pub(crate) struct Interrupts {
    interrupt: Signal,
    terminate: Signal,
    /// Absent: nohup(1) has it ignored.
    hang_up: Option<Signal>,
    /// When the first one came.
    asked: Option<Instant>,
}

impl Interrupts {
    /// Starts watching.
    ///
    /// # Errors
    /// When the system refuses a handler.
    pub(crate) fn watch() -> Result<Self> {
        let hang_up = (!hang_up_is_ignored()).then(|| signal(SignalKind::hangup()));
        Ok(Self {
            hang_up: hang_up.transpose().during("watch signals")?,
            interrupt: signal(SignalKind::interrupt()).during("watch signals")?,
            terminate: signal(SignalKind::terminate()).during("watch signals")?,
            asked: None,
        })
    }

    /// Does `work`, unless one of them comes first.
    ///
    /// # Errors
    /// That of `work`, or that a signal ended it.
    pub(crate) async fn or<T>(&mut self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::select! {
            done = work => done,
            kind = self.next() => Err(signal_error(kind)),
        }
    }

    /// Waits for the next signal that asks for something new.
    pub(crate) async fn next(&mut self) -> Kind {
        loop {
            let kind = tokio::select! {
                _ = self.interrupt.recv() => Kind::Interrupted,
                _ = self.terminate.recv() => Kind::Terminated,
                () = hung_up(&mut self.hang_up) => Kind::Terminated,
            };
            if self.asked.is_none_or(|asked| asked.elapsed() > SAME_REQUEST_TIME) {
                self.asked.get_or_insert_with(Instant::now);
                return kind;
            }
        }
    }
}

/// Waits for the signal, if it is watched.
async fn hung_up(signal: &mut Option<Signal>) {
    match signal {
        Some(signal) => _ = signal.recv().await,
        None => std::future::pending().await,
    }
}

/// Whether the process was started with SIGHUP ignored (proc(5), SigIgn).
fn hang_up_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok())
        .is_some_and(|mask| mask & 1 != 0)
}

/// The error that a signal makes of what was under way.
pub(crate) fn signal_error(kind: Kind) -> Error {
    let cause = match kind {
        Kind::Terminated => "ended by SIGTERM or SIGHUP",
        _ => "ended by SIGINT",
    };
    Error::new(kind, "measure", cause)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use tokio::time::timeout;

    use super::*;

    /// Sends a signal to this process and waits until it is there.
    fn send(signal: &str) {
        let own = std::process::id().to_string();
        assert!(Command::new("kill").args([signal, &own]).status().unwrap().success());
    }

    #[tokio::test]
    async fn signals_within_a_second_are_one_request() {
        let mut interrupts = Interrupts::watch().unwrap();
        send("-TERM");
        assert_eq!(interrupts.next().await, Kind::Terminated);
        send("-TERM");
        send("-INT");
        // Those are taken in the meantime, and ask for nothing new.
        let same = timeout(Duration::from_millis(1300), interrupts.next()).await;
        assert!(same.is_err(), "{same:?}");
        send("-INT");
        let later = timeout(Duration::from_secs(20), interrupts.next()).await;
        assert_eq!(later.unwrap(), Kind::Interrupted);
    }
}
