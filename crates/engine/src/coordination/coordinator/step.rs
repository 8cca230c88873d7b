//! Carries out one step: its agents prepare, start together, and bring what they measured.

use std::time::{Duration, Instant};

use super::Coordinator;
use super::agents::AgentEvent;
use super::run_log::HEARTBEAT_INTERVAL;
use super::run_log::StepStatus;
use crate::coordination::message::{FromAgent, FromCoordinator};
use podperf_model::error::{Kind, Result};
use podperf_model::run_log::EncodedRun;
use podperf_model::schedule::Step;

/// For an agent that was told to stop to come back.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// How far an agent has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum ParticipantState {
    #[default]
    Preparing,
    /// Both its ends stand at the gate.
    Ready,
    /// It was told to start.
    Started,
    /// It waits for the next step, or is gone.
    Back,
}

/// An agent in this step.
#[derive(Debug, Default)]
struct StepParticipant {
    /// Its number among the agents.
    agent: usize,
    state: ParticipantState,
    /// The first of what it brought and what was decided without it.
    outcome: Option<Result<EncodedRun, String>>,
    bits_per_second: Option<f64>,
    transactions_per_second: Option<f64>,
}

impl StepParticipant {
    /// Notes that it has come back, or will not.
    fn back(&mut self, outcome: Result<EncodedRun, String>) {
        self.state = ParticipantState::Back;
        self.outcome.get_or_insert(outcome);
    }
}

/// A step under way.
struct StepRun<'a> {
    number: u32,
    step: &'a Step,
    participants: Vec<StepParticipant>,
    /// By when it has to be over; once its agents were told to stop, by when they have to be back.
    until: Instant,
    stopped: bool,
}

impl<'a> StepRun<'a> {
    /// Begins a step with agents of these numbers.
    fn new(number: u32, step: &'a Step, agents: impl Iterator<Item = usize>) -> Self {
        let participants =
            agents.map(|agent| StepParticipant { agent, ..Default::default() }).collect();
        let until = Instant::now() + Duration::from_secs(step.limit_seconds.into());
        Self { number, step, participants, until, stopped: false }
    }

    fn status(&self) -> StepStatus {
        let sum = |rate: fn(&StepParticipant) -> Option<f64>| {
            self.participants.iter().filter_map(rate).reduce(|sum, rate| sum + rate)
        };
        StepStatus {
            number: self.number,
            test: self.step.test.clone(),
            sample: self.step.sample,
            bits_per_second: sum(|participant| participant.bits_per_second),
            transactions_per_second: sum(|participant| participant.transactions_per_second),
        }
    }

    fn over(&self) -> bool {
        self.away().is_empty()
    }

    /// Whether all stand at the gate.
    fn all_ready(&self) -> bool {
        self.participants.iter().all(|participant| participant.state == ParticipantState::Ready)
    }

    /// Finds who came back before the start, where there can be no common start any more.
    fn broken_off(&self) -> Option<usize> {
        let first = |state| self.participants.iter().find(|participant| participant.state == state);
        let back = first(ParticipantState::Back)?;
        first(ParticipantState::Started).is_none().then_some(back.agent)
    }

    /// Lists who is not back.
    fn away(&self) -> Vec<usize> {
        let away = |participant: &&StepParticipant| participant.state != ParticipantState::Back;
        self.participants.iter().filter(away).map(|participant| participant.agent).collect()
    }

    fn participant(&mut self, agent: usize) -> Option<&mut StepParticipant> {
        self.participants.iter_mut().find(|participant| participant.agent == agent)
    }

    fn handle(&mut self, agent: usize, message: FromAgent) {
        let number = self.number;
        let Some(participant) = self.participant(agent) else { return };
        match message {
            FromAgent::Prepared { step }
                if step == number && participant.state == ParticipantState::Preparing =>
            {
                participant.state = ParticipantState::Ready;
            }
            FromAgent::Interval { step, bits_per_second, transactions_per_second }
                if step == number =>
            {
                participant.bits_per_second = bits_per_second;
                participant.transactions_per_second = transactions_per_second;
            }
            FromAgent::Result { step, run } if step == number => participant.back(Ok(run)),
            FromAgent::Failed { step, cause } if step == number => participant.back(Err(cause)),
            // Of a step that was given up, or of none.
            _ => {}
        }
    }

    fn lost(&mut self, agent: usize, cause: &str) {
        if let Some(participant) = self.participant(agent) {
            participant.back(Err(format!("the agent is lost: {cause}")));
        }
    }
}

impl Coordinator<'_> {
    /// Carries out one step and logs what came of it. The signal that ended it, if one did.
    pub(super) fn step(&mut self, number: u32, step: &Step) -> Result<Option<Kind>> {
        if let Some(absent) = self.absences(step) {
            self.leave_out((number, step), absent)?;
            return Ok(None);
        }
        let agents = step.agents.iter().filter_map(|name| self.agents.number(name));
        let mut run = StepRun::new(number, step, agents);
        let (test, sample) = (step.test.clone(), step.sample);
        self.send(&mut run, &FromCoordinator::Prepare { step: number, test, sample })?;
        self.show(&run)?;
        let signal = self.see_through(&mut run)?;
        self.show(&run)?;
        for (agent, participant) in step.agents.iter().zip(run.participants) {
            let outcome = participant.outcome.unwrap_or_else(|| Err("it brought nothing".into()));
            self.run_log.outcome((number, step), agent, outcome)?;
        }
        Ok(signal)
    }

    /// Tells for each agent of the step why it is left out, if one of them cannot take part: what
    /// the others measure without it would not be what was asked.
    fn absences(&self, step: &Step) -> Option<Vec<String>> {
        let of = |name: &String| {
            let agent = self.agents.number(name).map(|number| &self.agents.0[number]);
            agent.map_or_else(|| Some("it is unknown".into()), |agent| agent.absence(&step.test))
        };
        let causes: Vec<Option<String>> = step.agents.iter().map(of).collect();
        let first = causes.iter().position(Option::is_some)?;
        let others = left_out(&step.agents[first], causes[first].as_deref().unwrap_or_default());
        Some(causes.into_iter().map(|cause| cause.unwrap_or_else(|| others.clone())).collect())
    }

    /// Sees the step through to its end.
    fn see_through(&mut self, run: &mut StepRun<'_>) -> Result<Option<Kind>> {
        let mut signal = None;
        while !run.over() {
            if !run.stopped && run.all_ready() {
                self.send(run, &FromCoordinator::Go { step: run.number })?;
                for participant in &mut run.participants {
                    if participant.state == ParticipantState::Ready {
                        participant.state = ParticipantState::Started;
                    }
                }
                continue;
            }
            if let (false, Some(agent)) = (run.stopped, run.broken_off()) {
                let cause = left_out(&self.agents.0[agent].name, "it did not get ready");
                self.end(run, Some(&cause), Kind::Terminated)?;
                continue;
            }
            match self.event(run.until, Some(&run.status()))? {
                AgentEvent::Message(agent, message) => run.handle(agent, message),
                AgentEvent::Lost(agent, error) => {
                    self.lose_participant(run, agent, &error.to_string())?;
                }
                AgentEvent::Signal(kind) => {
                    self.end(run, None, kind)?;
                    signal = Some(kind);
                }
                AgentEvent::Time if run.stopped => {
                    let cause = format!("it did not stop within {} s", STOP_TIMEOUT.as_secs());
                    for agent in run.away() {
                        self.lose_participant(run, agent, &cause)?;
                    }
                }
                AgentEvent::Time => {
                    let cause = format!("no result within {} s", run.step.limit_seconds);
                    self.end(run, Some(&cause), Kind::Terminated)?;
                }
            }
        }
        Ok(signal)
    }

    /// Tells all that are not back to stop; with a cause, whatever they bring is not taken.
    fn end(&mut self, run: &mut StepRun<'_>, cause: Option<&str>, kind: Kind) -> Result<()> {
        if let Some(cause) = cause {
            (self.log)(&format!("step {}: {cause}", run.number));
            for participant in &mut run.participants {
                // Who is back has an outcome.
                participant.outcome.get_or_insert_with(|| Err(cause.to_owned()));
            }
        }
        self.send(run, &FromCoordinator::Stop { step: run.number, kind })?;
        (run.stopped, run.until) = (true, Instant::now() + STOP_TIMEOUT);
        Ok(())
    }

    /// Notes that an agent of the step is gone.
    fn lose_participant(&mut self, run: &mut StepRun<'_>, agent: usize, cause: &str) -> Result<()> {
        run.lost(agent, cause);
        self.lose(agent, cause)
    }

    /// Tells all that are not back.
    fn send(&mut self, run: &mut StepRun<'_>, message: &FromCoordinator) -> Result<()> {
        for agent in run.away() {
            if let Err(error) = self.agents.0[agent].send(message) {
                self.lose_participant(run, agent, &error.to_string())?;
            }
        }
        Ok(())
    }

    /// Writes a heartbeat at the step's start or end.
    fn show(&mut self, run: &StepRun<'_>) -> Result<()> {
        self.heartbeat_due = Instant::now() + HEARTBEAT_INTERVAL;
        self.run_log.heartbeat(Some(&run.status()))
    }
}

/// Explains why those are left out that could have measured.
fn left_out(agent: &str, cause: &str) -> String {
    format!("left out because of {agent}: {cause}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(text: &str) -> EncodedRun {
        EncodedRun { sha256: text.into(), base64: String::new() }
    }

    #[test]
    fn what_comes_late_or_for_another_step_changes_nothing() {
        let agents = vec!["a".into(), "b".into()];
        let step = Step { test: "t".into(), sample: 1, agents, limit_seconds: 1 };
        let mut run = StepRun::new(7, &step, [3, 5].into_iter());
        run.handle(3, FromAgent::Prepared { step: 6 });
        run.handle(4, FromAgent::Prepared { step: 7 });
        run.handle(3, FromAgent::Ready);
        assert_eq!(run.participants[0].state, ParticipantState::Preparing);
        run.handle(3, FromAgent::Prepared { step: 7 });
        assert!(!run.all_ready());
        run.handle(5, FromAgent::Prepared { step: 7 });
        assert!(run.all_ready() && run.broken_off().is_none());

        for (agent, rate) in [(3, 1e9), (5, 2e9)] {
            let bits_per_second = Some(rate);
            let transactions_per_second = None;
            run.handle(
                agent,
                FromAgent::Interval { step: 7, bits_per_second, transactions_per_second },
            );
        }
        assert_eq!(run.status().bits_per_second, Some(3e9));
        assert_eq!(run.status().transactions_per_second, None);

        run.handle(3, FromAgent::Result { step: 6, run: encoded("old") });
        assert_eq!((run.broken_off(), run.away()), (None, vec![3, 5]));
        run.participants[0].outcome = Some(Err("given up".into()));
        run.handle(3, FromAgent::Result { step: 7, run: encoded("late") });
        assert_eq!(run.participants[0].outcome, Some(Err("given up".into())));
        assert_eq!((run.broken_off(), run.away()), (Some(3), vec![5]));
        run.lost(5, "silent");
        assert!(run.over());
    }
}
