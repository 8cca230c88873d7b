//! How often a test is repeated: `-I`, `-i` and `-r`.
//!
//! Enters: the halves that were given. Leaves: the goal by netperf's rules, or the refusal.

use super::{ConfidenceGoal, ExitMessage, number, words};

/// netperf repeats a test at least and at most so often.
const MIN_ITERATIONS: u32 = 3;
const MAX_ITERATIONS: u32 = 30;

/// What was given.
#[derive(Default)]
pub(super) struct Goal {
    level: Option<u32>,
    width_percent: Option<f64>,
    most: Option<u32>,
    least: Option<u32>,
    interval_given: bool,
    iterations_given: bool,
    lone_level: bool,
    pub(super) result_only: bool,
}

impl Goal {
    /// `-I level[,width]`.
    pub(super) fn interval(&mut self, word: &str) -> Result<(), String> {
        let (level, width) = words::both(word);
        self.interval_given = true;
        self.lone_level = !word.contains(',');
        if let Some(level) = level {
            self.level = Some(number::count(level)?);
        }
        if let Some(width) = width {
            let percent: f64 =
                width.trim().parse().map_err(|_| "no width in percent".to_owned())?;
            if !(percent > 0.0 && percent.is_finite()) {
                return Err("no width above 0 percent".to_owned());
            }
            self.width_percent = Some(percent);
        }
        Ok(())
    }

    /// `-i most[,least]`.
    pub(super) fn iterations(&mut self, word: &str) -> Result<(), String> {
        self.iterations_given = true;
        let read = |half: &str| number::count(half).map(Some);
        words::put(&mut self.most, &mut self.least, words::both(word), read)
    }

    /// The goal, if there is one.
    pub(super) fn settle(
        self,
        notes: &mut Vec<String>,
    ) -> Result<Option<ConfidenceGoal>, ExitMessage> {
        if !self.interval_given && !self.iterations_given {
            return Ok(None);
        }
        let level = self.level.unwrap_or(99);
        if level != 95 && level != 99 {
            let out = "Only 95% and 99% confidence level is supported\n";
            return Err(ExitMessage::printed(out, 255));
        }
        if self.lone_level {
            notes.push(format!(
                "netperf: -I {level} asks for a width of {level}% too; -I {level},5 for one of 5%"
            ));
        }
        let least = self.least.unwrap_or(MIN_ITERATIONS).clamp(MIN_ITERATIONS, MAX_ITERATIONS);
        let most = self.most.unwrap_or(if self.iterations_given { MIN_ITERATIONS } else { 10 });
        let most = most.clamp(least, MAX_ITERATIONS);
        Ok(Some(ConfidenceGoal {
            level,
            width_percent: self.width_percent.unwrap_or(5.0),
            iterations: (least, most),
            result_only: self.result_only,
        }))
    }
}
