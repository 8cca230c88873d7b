//! The coordinator's log on standard output, and the sums that its exit status rests on.

use std::io::{self, Write};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use podperf_model::error::{Error, Kind, Result};
use podperf_model::result::run::Status;
use podperf_model::run_log::{self, EncodedRun, LogRecord, ResultKey, SCHEMA};
use podperf_model::schedule::Step;

/// Between two heartbeats.
pub(super) const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(2);
/// Of a text of an agent's in a record: no record is split by a container's runtime.
const MAX_TEXT_BYTES: usize = 600;

/// The step under way, as a heartbeat shows it.
#[derive(Debug, Clone)]
pub(super) struct StepStatus {
    pub(super) number: u32,
    pub(super) test: String,
    pub(super) sample: u32,
    pub(super) bits_per_second: Option<f64>,
    pub(super) transactions_per_second: Option<f64>,
}

/// Writes the log.
pub(super) struct RunLog<'a> {
    output: &'a mut dyn Write,
    began: Instant,
    steps: u32,
    results: u32,
    complete: u32,
    measured: u32,
    missing: u32,
}

impl<'a> RunLog<'a> {
    /// Opens it with its first record.
    pub(super) fn open(output: &'a mut dyn Write, steps: u32) -> Result<Self> {
        let began = Instant::now();
        let mut log =
            Self { output, began, steps, results: 0, complete: 0, measured: 0, missing: 0 };
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        log.write(&LogRecord::Started {
            schema: SCHEMA.into(),
            podperf_version: env!("CARGO_PKG_VERSION").into(),
            steps,
            at_unix_seconds: since.as_secs_f64(),
        })?;
        Ok(log)
    }

    /// Writes one record.
    pub(super) fn write(&mut self, record: &LogRecord) -> Result<()> {
        run_log::write(self.output, record).map_err(failed)
    }

    /// Writes a heartbeat.
    pub(super) fn heartbeat(&mut self, now: Option<&StepStatus>) -> Result<()> {
        self.write(&LogRecord::Heartbeat {
            elapsed_seconds: self.began.elapsed().as_secs_f64(),
            step: now.map(|now| now.number),
            steps: self.steps,
            test: now.map(|now| now.test.clone()),
            sample: now.map(|now| now.sample),
            bits_per_second: now.and_then(|now| now.bits_per_second),
            transactions_per_second: now.and_then(|now| now.transactions_per_second),
        })
    }

    /// Writes what came of one agent in a step: its result, or why there is none.
    pub(super) fn outcome(
        &mut self,
        (number, step): (u32, &Step),
        agent: &str,
        outcome: Result<EncodedRun, String>,
    ) -> Result<()> {
        let opened = outcome.and_then(|encoded| {
            let run =
                encoded.summary().map_err(|cause| format!("the result is damaged: {cause}"))?;
            Ok((encoded, run))
        });
        let (test, sample, agent) = (step.test.clone(), step.sample, agent.to_owned());
        match opened {
            Ok((encoded, run)) => {
                let key = ResultKey { step: number, test, sample, agent };
                run_log::write_encoded(self.output, &key, &encoded).map_err(failed)?;
                self.results += 1;
                self.complete += u32::from(run.status == Status::Complete);
                self.measured += u32::from(run.throughput.is_some());
                Ok(())
            }
            Err(cause) => {
                self.missing += 1;
                let (agent, cause) = (Some(agent), short(&cause));
                self.write(&LogRecord::Missing { step: number, test, sample, agent, cause })
            }
        }
    }

    /// Closes it with its last record.
    pub(super) fn finish(&mut self, cause: Option<String>) -> Result<()> {
        self.write(&LogRecord::Finished { results: self.results, cause })
    }

    /// Tells the exit status: 0 for a complete run for everything asked, 4 for less, 3 where
    /// nothing was measured.
    pub(super) const fn exit_status(&self) -> u8 {
        let all = self.missing == 0 && self.complete == self.results;
        match (all, self.measured) {
            (true, _) => 0,
            (false, 0) => Kind::Unmeasured.exit_status(),
            (false, _) => Kind::Incomplete.exit_status(),
        }
    }
}

/// Cuts a text to what a record may have of it.
pub(super) fn short(text: &str) -> String {
    let end = text.char_indices().map(|(at, char)| at + char.len_utf8());
    let end = end.take_while(|end| *end <= MAX_TEXT_BYTES).last().unwrap_or(0);
    if end == text.len() { text.to_owned() } else { format!("{}…", &text[..end]) }
}

fn failed(error: io::Error) -> Error {
    Error::system(Kind::Incomplete, "write to standard output", &error)
}

#[cfg(test)]
mod tests;
