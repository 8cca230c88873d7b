//! `podperf agent`: measures when the coordinator says so.
//!
//! Enters: an agent's config, whose words have become plans and targets, and where the coordinator
//! is. Leaves: results, to the coordinator. What decides when to stop, the coordinator or a signal,
//! is listened to by one thread while another measures.

mod join;
mod listen;
mod probe;

use std::collections::BTreeMap;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvError, select};

use crate::control::client::{Hooks, Target, measure_with};
use crate::control::link::Link;
use crate::coordination::message::{FromAgent, FromCoordinator};
use crate::net::Log;
use listen::{AgentEnd, StepContext};
use podperf_model::error::{Code, Error, Kind, Result};
use podperf_model::plan::CheckedPlan;
use podperf_model::result::run::{Interval, Run, Status};
use podperf_model::run_log::EncodedRun;
use podperf_model::schedule::AgentConfig;
use podperf_model::units::rate_text;

/// How to take part.
pub struct AgentOptions<'a> {
    /// The coordinator.
    pub coordinator: Target,
    /// For the coordinator to let it in.
    pub join_timeout: Duration,
    /// What it can measure.
    pub config: AgentConfig,
    /// The same, as plans.
    pub tests: PlannedTests,
    /// What else a client does to its result.
    pub finish: &'a (dyn Fn(&mut Run) + Sync),
}

/// What is to be done, and with whom.
pub type PlannedTest = (CheckedPlan, Target);
/// PlannedTests by name.
pub type PlannedTests = BTreeMap<String, PlannedTest>;

/// Makes plans of a config's words by `parse`, which gets the words of one command line.
///
/// # Errors
/// The first words that are none, with the test's name.
pub fn tests(
    config: &AgentConfig,
    parse: &dyn Fn(&[String]) -> Result<PlannedTest>,
) -> Result<PlannedTests> {
    let test = |(name, words): (&String, &Vec<String>)| {
        let parsed = parse(words).map_err(|error| {
            let operation = format!("read the words of test '{name}'");
            Error::new(Kind::Usage, operation, error)
        })?;
        Ok((name.clone(), parsed))
    };
    config.tests.iter().map(test).collect()
}

/// Takes part until the coordinator says that it is over, or a message on `stop` does. Returns the
/// kind of the signal that ended it, if one did.
///
/// # Errors
/// When the coordinator does not let it in in time, or is lost.
pub fn join(
    options: &AgentOptions<'_>,
    log: Log<'_>,
    stop: &Receiver<Kind>,
) -> Result<Option<Kind>> {
    let (stream, name) = join::join(options, log, stop)?;
    log(&format!("joined {name} as {}", options.config.agent));
    let timeout = options.coordinator.peer_timeout;
    let (link, incoming) = Link::start::<FromCoordinator, FromAgent>(stream, &name, timeout)?;
    Agent { options, name, link, incoming, stop, log }.take_part()
}

/// An agent that has joined.
struct Agent<'a> {
    options: &'a AgentOptions<'a>,
    /// The coordinator's.
    name: String,
    link: Link,
    incoming: Receiver<Result<FromCoordinator>>,
    stop: &'a Receiver<Kind>,
    log: Log<'a>,
}

impl Agent<'_> {
    fn take_part(&self) -> AgentEnd {
        let Self { options, log, .. } = self;
        let (probed, end) = self.run_listening(0, |context| probe::all(options, context, *log));
        if let Some(end) = end.or_else(|| probed.err().map(Err)) {
            return end;
        }
        self.bring(&FromAgent::Ready)?;
        (self.log)("ready; waiting for the coordinator");
        loop {
            let heard = select! {
                recv(self.incoming) -> received => self.heard(received),
                recv(self.stop) -> kind => Err(Ok(Some(kind.unwrap_or(Kind::Interrupted)))),
            };
            match heard {
                Ok(FromCoordinator::Prepare { step, test, sample }) => {
                    if let Some(end) = self.step(step, &test, sample) {
                        return end;
                    }
                }
                Ok(_) => {}
                Err(end) => return end,
            }
        }
    }

    /// Carries out one step.
    fn step(&self, step: u32, test: &str, sample: u32) -> Option<AgentEnd> {
        let Some((plan, target)) = self.options.tests.get(test) else {
            let cause = format!("it has no test '{test}'");
            (self.log)(&format!("step {step}: {cause}"));
            return self.bring(&FromAgent::Failed { step, cause }).err().map(Err);
        };
        let (run, end) = self.run_listening(step, |context| measured(plan, target, step, context));
        let run = run.map(|mut run| {
            let words = self.options.config.tests.get(test).into_iter().flatten();
            run.command = std::iter::once("podperf".to_owned()).chain(words.cloned()).collect();
            (self.options.finish)(&mut run);
            run
        });
        let outcome = run.as_ref().map_or_else(ToString::to_string, summary);
        (self.log)(&format!("step {step}: {test}, sample {sample}: {outcome}"));
        let encoded = run
            .map_err(|error| error.to_string())
            .and_then(|run| EncodedRun::of(&run).map_err(|error| error.to_string()));
        let message = match encoded {
            Ok(run) => FromAgent::Result { step, run },
            Err(cause) => FromAgent::Failed { step, cause },
        };
        let brought = self.bring(&message);
        end.or_else(|| brought.err().map(Err))
    }

    fn bring(&self, message: &FromAgent) -> Result<()> {
        self.link.send(message).map_err(|error| self.lost(error))
    }

    /// Takes what comes from the coordinator, or what it means for this agent: its end.
    fn heard(
        &self,
        received: Result<Result<FromCoordinator>, RecvError>,
    ) -> Result<FromCoordinator, AgentEnd> {
        match received {
            Ok(Ok(FromCoordinator::Done)) => {
                (self.log)("the coordinator has finished");
                Err(Ok(None))
            }
            Ok(Ok(FromCoordinator::Refused(error))) => Err(Err(error.with_peer(&self.name))),
            Ok(Ok(message)) => Ok(message),
            Ok(Err(error)) => Err(Err(self.lost(error))),
            Err(_) => {
                let closed = Error::new(Kind::Incomplete, "listen to", "the connection is gone");
                let closed = closed.with_code(Code::ConnectionLost).with_peer(&self.name);
                Err(Err(self.lost(closed)))
            }
        }
    }

    fn lost(&self, error: Error) -> Error {
        let (code, errno) = (error.code, error.errno);
        let cause = Error { peer: None, ..error };
        let lost = Error::new(Kind::Incomplete, "take part with the coordinator", cause);
        Error { code, errno, ..lost.with_peer(&self.name) }
    }
}

/// One run, with its start in the coordinator's hand.
fn measured(plan: &CheckedPlan, target: &Target, step: u32, context: &StepContext) -> Run {
    let mut watch = |interval: &Interval| {
        // Nobody listens any more when the coordinator is lost; the run is being stopped then.
        let _ = context.messages.send(FromAgent::Interval {
            step,
            bits_per_second: interval.bits_per_second,
            transactions_per_second: interval.transactions_per_second,
        });
    };
    let mut before_start = || context.gate(step);
    let hooks = Hooks {
        watch: &mut watch,
        queued: &mut |_| (),
        before_start: &mut before_start,
        opened: &mut |_| (),
    };
    measure_with(plan, target, hooks, &context.stop)
}

/// A run in a line.
fn summary(run: &Run) -> String {
    let status = if run.status == Status::Complete { "complete" } else { "incomplete" };
    let rate = match (&run.transactions, &run.throughput) {
        (Some(transactions), _) => format!(", {:.0} transactions/s", transactions.per_second),
        (None, Some(throughput)) => format!(", {}", rate_text(throughput.bits_per_second)),
        (None, None) => String::new(),
    };
    let error = run.errors.first().map(|error| format!(": {error}")).unwrap_or_default();
    format!("{status}{rate}{error}")
}
