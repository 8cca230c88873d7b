//! Keeps calls that block from outlasting the user's will: a signal or the deadline of the whole
//! command ends the wait for them.

use std::thread::Builder;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, at, bounded, select};

use super::Target;
use podperf_model::error::{Code, Error, Kind, Result};
use podperf_model::{Context as _, During as _};

/// For a call that reaches its own deadline to say what it waited for.
const DEADLINE_GRACE: Duration = Duration::from_millis(200);

/// What a client's calls are bound by.
#[derive(Debug, Clone, Copy)]
pub(super) struct Cancellation<'a> {
    /// Brings the first signal.
    pub(super) stop: &'a Receiver<Kind>,
    /// Of the whole command.
    pub(super) limit: Option<Instant>,
}

impl Cancellation<'_> {
    /// When a step that begins now has to be over.
    pub(super) fn deadline(&self, target: &Target) -> Instant {
        let deadline = Instant::now() + target.connect_timeout;
        self.limit.map_or(deadline, |limit| limit.min(deadline))
    }

    /// Does `work` in a thread of its own, which is left alone when it is not worth waiting for.
    ///
    /// # Errors
    /// That of `work`; naming `step` and `peer` on a signal or past `deadline`.
    pub(super) fn run_blocking<T: Send + 'static>(
        &self,
        (step, peer): (&str, &str),
        deadline: Instant,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let failed = |kind, cause| Error::new(kind, step, cause).with_peer(peer);
        let (result_sender, done) = bounded(1);
        Builder::new()
            .name("podperf-connect".into())
            // Nobody listens any more when the wait was ended.
            .spawn(move || _ = result_sender.send(work()))
            .during(step)
            .with_peer(peer)?;
        select! {
            recv(done) -> result => {
                let panicked = failed(Kind::Unmeasured, "a panic").with_code(Code::Internal);
                result.unwrap_or(Err(panicked))
            }
            recv(self.stop) -> kind => {
                Err(failed(kind.unwrap_or(Kind::Interrupted), "a signal ended the run"))
            }
            recv(at(deadline + DEADLINE_GRACE)) -> _ => {
                Err(failed(Kind::Unmeasured, "no answer in time").with_code(Code::Timeout))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run_blocking<T: Send + 'static>(
        stop: &Receiver<Kind>,
        deadline: Instant,
        work: impl FnOnce() -> Result<T> + Send + 'static,
    ) -> Result<T> {
        Cancellation { stop, limit: None }.run_blocking(("wait for", "a"), deadline, work)
    }

    #[test]
    fn work_that_blocks_is_left_for_a_signal_and_past_the_deadline() {
        let (signal, stop) = bounded(1);
        let far = Instant::now() + Duration::from_secs(3600);
        assert_eq!(run_blocking(&stop, far, || Ok(7)).unwrap(), 7);
        let (never, blocked) = bounded::<()>(0);
        let late = blocked.clone();
        let error = run_blocking(&stop, Instant::now(), move || Ok(late.recv())).unwrap_err();
        assert_eq!(error.to_string(), "wait for a: no answer in time");
        signal.send(Kind::Terminated).unwrap();
        let error = run_blocking(&stop, far, move || Ok(blocked.recv())).unwrap_err();
        assert_eq!(error.kind, Kind::Terminated);
        drop(never);
    }
}
