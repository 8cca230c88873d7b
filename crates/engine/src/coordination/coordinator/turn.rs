//! One step: its agents prepare, start together, and bring what they measured.

use std::time::{Duration, Instant};

use super::guests::Event;
use super::ledger::Now;
use super::{BEAT, Coordinator};
use crate::coordination::message::{FromAgent, FromCoordinator};
use podperf_model::error::{Kind, Result};
use podperf_model::run_log::EncodedRun;
use podperf_model::schedule::Step;

/// For an agent that was told to stop to come back.
const GRACE: Duration = Duration::from_secs(5);

/// How far an agent has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Preparing,
    /// Both its ends stand at the gate.
    Ready,
    /// It was told to start.
    Started,
    /// It waits for the next step, or is gone.
    Back,
}

/// An agent in this step.
#[derive(Debug)]
struct Player {
    /// Its number among the guests.
    guest: usize,
    stage: Stage,
    /// The first of what it brought and what was decided without it.
    outcome: Option<Result<EncodedRun, String>>,
    bits_per_second: Option<f64>,
    transactions_per_second: Option<f64>,
}

impl Player {
    /// One that has done nothing yet.
    const fn of(guest: usize) -> Self {
        Self {
            guest,
            stage: Stage::Preparing,
            outcome: None,
            bits_per_second: None,
            transactions_per_second: None,
        }
    }
}

/// A step under way.
struct Turn<'a> {
    number: u32,
    step: &'a Step,
    players: Vec<Player>,
}

impl Turn<'_> {
    fn now(&self) -> Now {
        fn sum(rates: impl Iterator<Item = Option<f64>>) -> Option<f64> {
            rates.flatten().reduce(|sum, rate| sum + rate)
        }
        Now {
            number: self.number,
            test: self.step.test.clone(),
            sample: self.step.sample,
            bits_per_second: sum(self.players.iter().map(|player| player.bits_per_second)),
            transactions_per_second: sum(self
                .players
                .iter()
                .map(|player| player.transactions_per_second)),
        }
    }

    fn over(&self) -> bool {
        self.players.iter().all(|player| player.stage == Stage::Back)
    }

    /// All stand at the gate.
    fn all_ready(&self) -> bool {
        self.players.iter().all(|player| player.stage == Stage::Ready)
    }

    /// Who came back before the start, where there can be no common start any more.
    fn broken_off(&self) -> Option<usize> {
        let started = self.players.iter().any(|player| player.stage == Stage::Started);
        let back = self.players.iter().find(|player| player.stage == Stage::Back);
        back.filter(|_| !started).map(|player| player.guest)
    }

    fn hear(&mut self, guest: usize, message: FromAgent) {
        let Some(player) = self.players.iter_mut().find(|player| player.guest == guest) else {
            return;
        };
        match message {
            FromAgent::Prepared { step }
                if step == self.number && player.stage == Stage::Preparing =>
            {
                player.stage = Stage::Ready;
            }
            FromAgent::Interval { step, bits_per_second, transactions_per_second }
                if step == self.number =>
            {
                player.bits_per_second = bits_per_second;
                player.transactions_per_second = transactions_per_second;
            }
            FromAgent::Result { step, packed } if step == self.number => {
                player.back(Ok(packed));
            }
            FromAgent::Failed { step, cause } if step == self.number => player.back(Err(cause)),
            // Of a step that was given up, or no part of a step.
            _ => {}
        }
    }

    fn lost(&mut self, guest: usize, cause: &str) {
        let player = self.players.iter_mut().find(|player| player.guest == guest);
        if let Some(player) = player {
            player.back(Err(format!("the agent is lost: {cause}")));
        }
    }
}

impl Player {
    fn back(&mut self, outcome: Result<EncodedRun, String>) {
        self.stage = Stage::Back;
        self.outcome.get_or_insert(outcome);
    }
}

impl Coordinator<'_> {
    /// Carries out one step and logs what came of it. The signal that ended it, if one did.
    pub(super) fn step(&mut self, number: u32, step: &Step) -> Result<Option<Kind>> {
        if let Some(absent) = self.absences(step) {
            for (agent, cause) in step.agents.iter().zip(absent) {
                self.ledger.outcome((number, step), agent, Err(cause))?;
            }
            return Ok(None);
        }
        let guests = step.agents.iter().filter_map(|name| self.guests.number(name));
        let mut turn = Turn { number, step, players: guests.map(Player::of).collect() };
        let (test, sample) = (step.test.clone(), step.sample);
        self.tell(&mut turn, &FromCoordinator::Prepare { step: number, test, sample })?;
        self.mark(&turn)?;
        let signal = self.attend(&mut turn)?;
        self.mark(&turn)?;
        for (agent, player) in step.agents.iter().zip(turn.players) {
            let outcome = player.outcome.unwrap_or_else(|| Err("it brought nothing".into()));
            self.ledger.outcome((number, step), agent, outcome)?;
        }
        Ok(signal)
    }

    /// For each agent of the step why it has no part in it, if one of them cannot take part: what
    /// the others measure without it would not be what was asked.
    fn absences(&self, step: &Step) -> Option<Vec<String>> {
        let of = |name: &String| {
            let guest = self.guests.number(name).map(|number| &self.guests.0[number]);
            guest.map_or_else(|| Some("it is unknown".into()), |guest| guest.absence(&step.test))
        };
        let causes: Vec<Option<String>> = step.agents.iter().map(of).collect();
        let first = causes.iter().position(Option::is_some)?;
        let others = left_out(&step.agents[first], causes[first].as_deref().unwrap_or_default());
        Some(causes.into_iter().map(|cause| cause.unwrap_or_else(|| others.clone())).collect())
    }

    /// Sees the step through to its end.
    fn attend(&mut self, turn: &mut Turn<'_>) -> Result<Option<Kind>> {
        let seconds = turn.step.limit_seconds;
        let mut until = Instant::now() + Duration::from_secs(seconds.into());
        let (mut signal, mut stopped) = (None, false);
        while !turn.over() {
            if !stopped && turn.all_ready() {
                self.tell(turn, &FromCoordinator::Go { step: turn.number })?;
                turn.players.iter_mut().for_each(|player| {
                    if player.stage == Stage::Ready {
                        player.stage = Stage::Started;
                    }
                });
                continue;
            }
            if let (false, Some(guest)) = (stopped, turn.broken_off()) {
                let cause = left_out(&self.guests.0[guest].name, "it did not get ready");
                self.end(turn, Some(&cause), Kind::Terminated)?;
                (stopped, until) = (true, Instant::now() + GRACE);
                continue;
            }
            match self.event(None, until, Some(&turn.now()))? {
                Event::Said(guest, message) => turn.hear(guest, message),
                Event::Lost(guest, error) => {
                    self.lose(guest, &error.to_string())?;
                    turn.lost(guest, &error.to_string());
                }
                Event::Signal(kind) => {
                    self.end(turn, None, kind)?;
                    (signal, stopped, until) = (Some(kind), true, Instant::now() + GRACE);
                }
                Event::Time if !stopped => {
                    let cause = format!("no result within {seconds} s");
                    self.end(turn, Some(&cause), Kind::Terminated)?;
                    (stopped, until) = (true, Instant::now() + GRACE);
                }
                Event::Time => {
                    let cause = format!("it did not stop within {} s", GRACE.as_secs());
                    for at in turn.away() {
                        self.lose(at, &cause)?;
                        turn.lost(at, &cause);
                    }
                }
                Event::Knock(_) => {}
            }
        }
        Ok(signal)
    }

    /// Tells all that are not back to stop; with a cause, whatever they bring is not taken.
    fn end(&mut self, turn: &mut Turn<'_>, cause: Option<&str>, kind: Kind) -> Result<()> {
        if let Some(cause) = cause {
            (self.log)(&format!("step {}: {cause}", turn.number));
            for player in turn.players.iter_mut().filter(|player| player.stage != Stage::Back) {
                player.outcome.get_or_insert_with(|| Err(cause.to_owned()));
            }
        }
        self.tell(turn, &FromCoordinator::Stop { step: turn.number, kind })
    }

    /// Tells all that are not back.
    fn tell(&mut self, turn: &mut Turn<'_>, message: &FromCoordinator) -> Result<()> {
        for guest in turn.away() {
            if let Err(error) = self.guests.0[guest].tell(message) {
                self.lose(guest, &error.to_string())?;
                turn.lost(guest, &error.to_string());
            }
        }
        Ok(())
    }

    /// A beat at the step's start or end.
    fn mark(&mut self, turn: &Turn<'_>) -> Result<()> {
        self.beat = Instant::now() + BEAT;
        self.ledger.beat(Some(&turn.now()))
    }
}

impl Turn<'_> {
    /// Who is not back.
    fn away(&self) -> Vec<usize> {
        let away = self.players.iter().filter(|player| player.stage != Stage::Back);
        away.map(|player| player.guest).collect()
    }
}

/// What is said of those that could have measured.
fn left_out(agent: &str, cause: &str) -> String {
    format!("left out because of {agent}: {cause}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packed(text: &str) -> EncodedRun {
        EncodedRun { sha256: text.into(), base64: String::new() }
    }

    #[test]
    fn what_comes_late_or_for_another_step_changes_nothing() {
        let agents = vec!["a".into(), "b".into()];
        let step = Step { test: "t".into(), sample: 1, agents, limit_seconds: 1 };
        let mut turn = Turn { number: 7, step: &step, players: vec![Player::of(3), Player::of(5)] };
        turn.hear(3, FromAgent::Prepared { step: 6 });
        turn.hear(4, FromAgent::Prepared { step: 7 });
        turn.hear(3, FromAgent::Ready);
        assert_eq!(turn.players[0].stage, Stage::Preparing);
        turn.hear(3, FromAgent::Prepared { step: 7 });
        assert!(!turn.all_ready());
        turn.hear(5, FromAgent::Prepared { step: 7 });
        assert!(turn.all_ready() && turn.broken_off().is_none());

        for (guest, rate) in [(3, 1e9), (5, 2e9)] {
            let bits_per_second = Some(rate);
            let transactions_per_second = None;
            turn.hear(
                guest,
                FromAgent::Interval { step: 7, bits_per_second, transactions_per_second },
            );
        }
        assert_eq!(turn.now().bits_per_second, Some(3e9));
        assert_eq!(turn.now().transactions_per_second, None);

        turn.hear(3, FromAgent::Result { step: 6, packed: packed("old") });
        assert_eq!((turn.broken_off(), turn.away()), (None, vec![3, 5]));
        turn.players[0].outcome = Some(Err("given up".into()));
        turn.hear(3, FromAgent::Result { step: 7, packed: packed("late") });
        assert_eq!(turn.players[0].outcome, Some(Err("given up".into())));
        assert_eq!((turn.broken_off(), turn.away()), (Some(3), vec![5]));
        turn.lost(5, "silent");
        assert!(turn.over());
    }
}
