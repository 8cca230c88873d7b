//! Work that may take long, in a thread of its own, while this one listens to the coordinator and
//! to signals.

use std::thread::Builder;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, after, bounded, never, select};

use super::Agent;
use crate::coordination::message::{FromAgent, FromCoordinator};
use podperf_model::error::{Error, Kind, Result};

/// From the gate to the coordinator's word. Below what a server gives a prepared run.
const GATE: Duration = Duration::from_secs(20);
/// Messages on their way to the coordinator.
const QUEUE: usize = 64;

/// Why an agent takes no part any more.
#[derive(Debug)]
pub(super) enum End {
    /// The coordinator said so.
    Done,
    Signal(Kind),
    /// The coordinator is gone, or wants it no more.
    Lost(Error),
}

/// What the working thread has of the other.
#[derive(Debug)]
pub(super) struct Stand {
    /// What is sent here goes to the coordinator.
    pub(super) tell: Sender<FromAgent>,
    go: Receiver<()>,
    /// Brings one message when it is to stop.
    pub(super) stop: Receiver<Kind>,
}

impl Stand {
    /// Says that both ends are ready, and waits for the start.
    ///
    /// # Errors
    /// When it is told to stop instead, or nothing in time.
    pub(super) fn gate(&self, step: u32) -> Result<()> {
        let failed = |kind, cause: &str| {
            Error::new(kind, "wait for the coordinator to start the run", cause)
        };
        let _ = self.tell.send(FromAgent::Prepared { step });
        select! {
            recv(self.go) -> _ => Ok(()),
            recv(self.stop) -> kind => {
                Err(failed(kind.unwrap_or(Kind::Interrupted), "it was told to stop"))
            }
            recv(after(GATE)) -> _ => {
                let cause = format!("not started within {} s", GATE.as_secs());
                Err(failed(Kind::Unmeasured, &cause))
            }
        }
    }
}

impl Agent<'_> {
    /// Does `work` of `step` to its end, or to where it comes when it is stopped; with what ended
    /// this agent's part meanwhile.
    pub(super) fn attend<T: Send>(
        &self,
        step: u32,
        work: impl FnOnce(&Stand) -> T + Send,
    ) -> (Result<T>, Option<End>) {
        let failed = |cause: &dyn std::fmt::Display| {
            Error::new(Kind::Unmeasured, "carry out the step", cause)
        };
        let (tell, told) = bounded(QUEUE);
        let (start, go) = bounded(1);
        let (halt, stop) = bounded(1);
        std::thread::scope(|scope| {
            let stand = Stand { tell, go, stop };
            let body = move || work(&stand);
            let spawned = Builder::new().name("podperf-turn".into()).spawn_scoped(scope, body);
            let worker = match spawned {
                Ok(worker) => worker,
                Err(error) => return (Err(failed(&error)), None),
            };
            let end = self.relay(step, &told, &start, &halt);
            (worker.join().map_err(|_| failed(&"it panicked")), end)
        })
    }

    /// Passes messages both ways until the work is over.
    fn relay(
        &self,
        step: u32,
        told: &Receiver<FromAgent>,
        start: &Sender<()>,
        halt: &Sender<Kind>,
    ) -> Option<End> {
        let (mut incoming, mut signals) = (self.incoming.clone(), self.stop.clone());
        let mut end = None;
        loop {
            let ending = select! {
                recv(told) -> message => match message {
                    // A connection that is gone is told by what comes in.
                    Ok(message) => {
                        let _ = self.link.send(&message);
                        None
                    }
                    Err(_) => return end,
                },
                recv(incoming) -> message => match message {
                    Ok(Ok(FromCoordinator::Go { step: meant })) if meant == step => {
                        let _ = start.try_send(());
                        None
                    }
                    Ok(Ok(FromCoordinator::Stop { step: meant, kind })) if meant == step => {
                        let _ = halt.try_send(kind);
                        None
                    }
                    Ok(Ok(message)) => self.ending(message),
                    Ok(Err(error)) => Some(self.lost(error)),
                    Err(_) => Some(self.lost(self.unheard())),
                },
                recv(signals) -> kind => Some(End::Signal(kind.unwrap_or(Kind::Interrupted))),
            };
            if let Some(ending) = ending {
                let kind = match &ending {
                    End::Signal(kind) => *kind,
                    End::Done | End::Lost(_) => Kind::Terminated,
                };
                let _ = halt.try_send(kind);
                end = Some(ending);
                (incoming, signals) = (never(), never());
            }
        }
    }
}
