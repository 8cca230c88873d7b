//! Does work that may take long in a thread of its own, while this one listens to the coordinator
//! and to signals.

use std::thread::Builder;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, after, bounded, never, select};

use super::Agent;
use crate::coordination::message::{FromAgent, FromCoordinator};
use podperf_model::During as _;
use podperf_model::error::{Code, Error, Kind, Result};

/// From the gate to the coordinator's start. Below what a server gives a prepared run.
const GATE_TIMEOUT: Duration = Duration::from_secs(20);
/// Messages that wait to be sent to the coordinator.
const MAX_QUEUED_MESSAGES: usize = 64;

/// Why an agent takes no part any more: the signal that ended it, none where the coordinator has
/// finished, or how the coordinator was lost.
pub(super) type AgentEnd = Result<Option<Kind>>;

/// What the working thread has of the one that listens.
#[derive(Debug)]
pub(super) struct StepContext {
    /// What is sent here goes to the coordinator.
    pub(super) messages: Sender<FromAgent>,
    go: Receiver<()>,
    /// Brings one message when it is to stop.
    pub(super) stop: Receiver<Kind>,
}

impl StepContext {
    /// Says that both ends are ready, and waits for the start.
    ///
    /// # Errors
    /// When it is told to stop instead, or nothing in time.
    pub(super) fn gate(&self, step: u32) -> Result<()> {
        let failed = |kind, cause: &str| {
            Err(Error::new(kind, "wait for the coordinator to start the run", cause))
        };
        let _ = self.messages.send(FromAgent::Prepared { step });
        select! {
            recv(self.go) -> _ => Ok(()),
            recv(self.stop) -> kind => {
                failed(kind.unwrap_or(Kind::Interrupted), "it was told to stop")
            }
            recv(after(GATE_TIMEOUT)) -> _ => {
                let cause = format!("not started within {} s", GATE_TIMEOUT.as_secs());
                failed(Kind::Unmeasured, &cause).map_err(|error| error.with_code(Code::Timeout))
            }
        }
    }
}

impl Agent<'_> {
    /// Does `work` of `step` to its end, or to where it comes when it is stopped; tells what ended
    /// this agent meanwhile.
    pub(super) fn run_listening<T: Send>(
        &self,
        step: u32,
        work: impl FnOnce(&StepContext) -> T + Send,
    ) -> (Result<T>, Option<AgentEnd>) {
        let (messages, outgoing) = bounded(MAX_QUEUED_MESSAGES);
        let (start, go) = bounded(1);
        let (halt, stop) = bounded(1);
        std::thread::scope(|scope| {
            let context = StepContext { messages, go, stop };
            let body = move || work(&context);
            let spawned = Builder::new()
                .name("podperf-step".into())
                .spawn_scoped(scope, body)
                .during("carry out the step");
            let worker = match spawned {
                Ok(worker) => worker,
                Err(error) => return (Err(error), None),
            };
            let end = self.relay(step, &outgoing, &start, &halt);
            let panicked = |_| {
                Error::new(Kind::Unmeasured, "carry out the step", "it panicked")
                    .with_code(Code::Internal)
            };
            (worker.join().map_err(panicked), end)
        })
    }

    /// Passes messages both ways until the work is over.
    fn relay(
        &self,
        step: u32,
        outgoing: &Receiver<FromAgent>,
        start: &Sender<()>,
        halt: &Sender<Kind>,
    ) -> Option<AgentEnd> {
        let (mut incoming, mut signals) = (self.incoming.clone(), self.stop.clone());
        let mut end = None;
        loop {
            let heard = select! {
                recv(outgoing) -> message => {
                    let Ok(message) = message else { return end };
                    // A connection that is gone is noticed by what comes in.
                    let _ = self.link.send(&message);
                    continue;
                }
                recv(incoming) -> received => self.heard(received),
                recv(signals) -> kind => Err(Ok(Some(kind.unwrap_or(Kind::Interrupted)))),
            };
            let kind = match heard {
                Ok(FromCoordinator::Go { step: meant }) if meant == step => {
                    let _ = start.try_send(());
                    continue;
                }
                Ok(FromCoordinator::Stop { step: meant, kind }) if meant == step => kind,
                Ok(_) => continue,
                Err(ending) => {
                    (incoming, signals) = (never(), never());
                    let signal = ending.as_ref().ok().copied().flatten();
                    end = Some(ending);
                    signal.unwrap_or(Kind::Terminated)
                }
            };
            let _ = halt.try_send(kind);
        }
    }
}
