//! Reads a coordinator's log line by line.
//!
//! Lines that are no records are somebody else's and pass by. A log may be read again from any
//! point, as after a broken connection: what has been told is not told twice, and a result that was
//! cut short the first time is told once it comes whole.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use super::{EncodedRun, LINE_CHARS, LogRecord, MAX_RESULT_LINES, ResultHeader};
use crate::result::run::Run;

/// What lines amount to.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// A record; never a result's marker.
    LogRecord(LogRecord),
    /// A whole result, checked against its header.
    Result {
        /// Where it belongs.
        header: ResultHeader,
        /// The run.
        run: Box<Run>,
    },
    /// A result that did not come whole however often it was read.
    Damaged {
        /// As it was announced.
        header: ResultHeader,
        /// What is wrong with it, in words.
        cause: String,
    },
}

/// By step and agent, a result's name in the log.
type Name = (u32, String);

/// Makes items of lines.
#[derive(Debug, Default)]
pub struct Reader {
    /// Of all records told.
    told: HashSet<u64>,
    /// Of all results told.
    whole: HashSet<Name>,
    damaged: BTreeMap<Name, (ResultHeader, String)>,
    /// The result that lines are being gathered for.
    gathering: Option<Gathering>,
}

#[derive(Debug)]
struct Gathering {
    header: ResultHeader,
    lines: usize,
    base64: String,
}

impl Reader {
    /// One that has read nothing.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next line, with or without its end.
    pub fn line(&mut self, line: &str) -> Option<Item> {
        let line = line.trim();
        let record = if line.starts_with('{') { serde_json::from_str(line).ok() } else { None };
        let Some(record) = record else {
            self.gather(line);
            return None;
        };
        match record {
            LogRecord::Result(header) => {
                self.give_up("another result began before its end");
                self.begin(header);
                None
            }
            LogRecord::ResultEnd { step, agent } => self.end(step, &agent),
            record => {
                self.give_up("another record stands in its middle");
                self.first_time(line).then_some(Item::LogRecord(record))
            }
        }
    }

    /// The log has come to its end; results that never came whole.
    #[must_use]
    pub fn finish(mut self) -> Vec<Item> {
        self.give_up("the log ends in its middle");
        let damaged = self.damaged.into_values();
        damaged.map(|(header, cause)| Item::Damaged { header, cause }).collect()
    }

    /// No two records of a coordinator are equal: each beat has its own time, and everything else
    /// is said once.
    fn first_time(&mut self, line: &str) -> bool {
        let mut hasher = DefaultHasher::new();
        line.hash(&mut hasher);
        self.told.insert(hasher.finish())
    }

    fn begin(&mut self, header: ResultHeader) {
        if self.whole.contains(&name(&header)) {
            return;
        }
        let lines = header.lines as usize;
        if lines == 0 || lines > MAX_RESULT_LINES {
            let cause = format!("{lines} lines are announced; 1 to {MAX_RESULT_LINES} are taken");
            return self.damage(header, cause);
        }
        self.gathering = Some(Gathering { header, lines: 0, base64: String::new() });
    }

    /// Only a line that can stand where it stands belongs to the result.
    fn gather(&mut self, line: &str) {
        let Some(gathering) = &mut self.gathering else { return };
        let last = gathering.lines + 1 == gathering.header.lines as usize;
        let fits = if last {
            (4..=LINE_CHARS).contains(&line.len()) && line.len().is_multiple_of(4)
        } else {
            line.len() == LINE_CHARS && gathering.lines < gathering.header.lines as usize
        };
        let alphabet = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        if fits && line.bytes().all(alphabet) {
            gathering.lines += 1;
            gathering.base64.push_str(line);
        }
    }

    fn end(&mut self, step: u32, agent: &str) -> Option<Item> {
        let same = |one: &Gathering| one.header.step == step && one.header.agent == agent;
        if !self.gathering.as_ref().is_some_and(same) {
            self.give_up("another result ended in its middle");
            return None;
        }
        let Gathering { header, lines, base64 } = self.gathering.take()?;
        if lines != header.lines as usize {
            let cause = format!("{lines} of {} lines", header.lines);
            self.damage(header, cause);
            return None;
        }
        match (EncodedRun { sha256: header.sha256.clone(), base64 }).open() {
            Ok(run) => {
                self.damaged.remove(&name(&header));
                self.whole.insert(name(&header));
                Some(Item::Result { header, run: Box::new(run) })
            }
            Err(cause) => {
                self.damage(header, cause);
                None
            }
        }
    }

    fn give_up(&mut self, cause: &str) {
        if let Some(Gathering { header, lines, .. }) = self.gathering.take() {
            let cause = format!("{cause}, after {lines} of {} lines", header.lines);
            self.damage(header, cause);
        }
    }

    fn damage(&mut self, header: ResultHeader, cause: String) {
        if !self.whole.contains(&name(&header)) {
            self.damaged.insert(name(&header), (header, cause));
        }
    }
}

fn name(header: &ResultHeader) -> Name {
    (header.step, header.agent.clone())
}

#[cfg(test)]
mod tests;
