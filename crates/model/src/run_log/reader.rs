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
mod tests {
    use proptest::prelude::*;

    use super::super::{ResultKey, SCHEMA, write, write_encoded, write_result};
    use super::*;
    use crate::result::testing;

    fn place(step: u32, agent: &str) -> ResultKey {
        ResultKey { step, test: "a".into(), sample: 1, agent: agent.into() }
    }

    fn records() -> Vec<LogRecord> {
        let started = LogRecord::Started {
            schema: SCHEMA.into(),
            podperf_version: "1".into(),
            steps: 2,
            at_unix_seconds: 1.5,
        };
        let beat = LogRecord::Heartbeat {
            elapsed_seconds: 2.0,
            step: Some(1),
            steps: 2,
            test: Some("a".into()),
            sample: Some(1),
            bits_per_second: Some(1e9),
            transactions_per_second: None,
        };
        let finished = LogRecord::Finished { results: 2, cause: None };
        vec![started, LogRecord::Joined { agent: "one".into() }, beat, finished]
    }

    /// Records, with a result of several lines and one of another agent in their midst.
    fn log() -> (String, Vec<Run>) {
        let mut long = testing::stream_run();
        // Incompressible, so that it takes several lines.
        let mut dice = fastrand::Rng::with_seed(7);
        long.command = (0..3000).map(|_| format!("{:016x}", dice.u64(..))).collect();
        let runs = vec![long, testing::stream_run()];
        let mut to = Vec::new();
        let records = records();
        for record in &records[..3] {
            write(&mut to, record).unwrap();
        }
        write_result(&mut to, &place(1, "one"), &runs[0]).unwrap();
        write_encoded(&mut to, &place(1, "two"), &EncodedRun::of(&runs[1]).unwrap()).unwrap();
        write(&mut to, &records[3]).unwrap();
        (String::from_utf8(to).unwrap(), runs)
    }

    fn whole(items: &[Item]) -> Vec<Run> {
        let run = |item: &Item| match item {
            Item::Result { run, .. } => Some((**run).clone()),
            _ => None,
        };
        items.iter().filter_map(run).collect()
    }

    fn told(items: &[Item]) -> Vec<LogRecord> {
        let record = |item: &Item| match item {
            Item::LogRecord(record) => Some(record.clone()),
            _ => None,
        };
        items.iter().filter_map(record).collect()
    }

    fn read<'a>(lines: impl Iterator<Item = &'a str>) -> (Vec<Item>, Vec<Item>) {
        let mut reader = Reader::new();
        let items = lines.filter_map(|line| reader.line(line)).collect();
        (items, reader.finish())
    }

    #[test]
    fn records_and_results_come_out_in_their_order_and_no_line_is_long() {
        let (log, runs) = log();
        assert!(log.lines().all(|line| line.len() <= LINE_CHARS) && log.lines().count() > 15);
        let (items, damaged) = read(log.lines());
        assert_eq!((told(&items), whole(&items), damaged.len()), (records(), runs, 0));
        assert!(matches!(&items[3], Item::Result { header, .. } if header.agent == "one"));
        assert_eq!(items.len(), 6);
    }

    #[test]
    fn a_log_read_again_tells_nothing_twice() {
        let (log, runs) = log();
        let (items, damaged) = read(log.lines().chain(log.lines()));
        assert_eq!((told(&items), whole(&items), damaged.len()), (records(), runs, 0));
    }

    #[test]
    fn foreign_lines_stand_anywhere_without_harm() {
        let (log, runs) = log();
        let foreign = [
            "podperf: step 1: a",
            "",
            "{",
            "{\"record\":\"nosuch\"}",
            "[1]",
            "AAAA=",
            "{\"record\":\"beat\"}",
        ];
        let lines = log.lines().flat_map(|line| foreign.into_iter().chain([line]));
        let (items, damaged) = read(lines);
        assert_eq!((told(&items), whole(&items), damaged.len()), (records(), runs, 0));
    }

    #[test]
    fn a_lost_or_changed_line_damages_its_result_alone() {
        let (log, runs) = log();
        let lines: Vec<&str> = log.lines().collect();
        for changed in 4..8 {
            let without = lines.iter().enumerate().filter(|(at, _)| *at != changed);
            let (items, damaged) = read(without.map(|(_, line)| *line));
            assert_eq!((told(&items), whole(&items)), (records(), runs[1..].to_vec()));
            let [Item::Damaged { header, cause }] = &damaged[..] else { panic!("{damaged:?}") };
            assert_eq!(header.agent, "one");
            assert!(cause.contains(" lines"), "{cause}");
            let turned: String = lines[changed].chars().rev().collect();
            let with = lines.iter().enumerate();
            let with = with.map(|(at, line)| if at == changed { &turned[..] } else { line });
            let (items, damaged) = read(with);
            assert_eq!((whole(&items), damaged.len()), (runs[1..].to_vec(), 1));
        }
    }

    #[test]
    fn headers_that_announce_too_much_are_refused_and_cost_nothing() {
        for lines in [0, u32::MAX] {
            let header = ResultHeader {
                step: 1,
                test: "a".into(),
                sample: 1,
                agent: "one".into(),
                lines,
                sha256: String::new(),
            };
            let text = serde_json::to_string(&LogRecord::Result(header)).unwrap();
            let mut reader = Reader::new();
            assert_eq!(reader.line(&text), None);
            let data = "A".repeat(LINE_CHARS);
            assert!((0..100).all(|_| reader.line(&data).is_none()));
            assert!(reader.gathering.is_none());
            let damaged = reader.finish();
            assert!(
                matches!(&damaged[..], [Item::Damaged { cause, .. }]
                if cause.contains("are announced")),
                "{damaged:?}"
            );
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Cut anywhere, even inside a line, and then read from the beginning.
        #[test]
        fn a_log_cut_anywhere_and_read_again_is_whole(at in 0.0..1.0_f64) {
            let (log, runs) = log();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "below it")]
            let cut = (log.len() as f64 * at) as usize;
            let (items, damaged) = read(log[..cut].lines());
            prop_assert!(whole(&items).len() + damaged.len() <= 2);
            prop_assert!(told(&items).len() <= 4);
            let (items, damaged) = read(log[..cut].lines().chain(log.lines()));
            prop_assert_eq!((whole(&items), damaged.len()), (runs, 0));
            prop_assert_eq!(told(&items).len(), 4);
        }

        #[test]
        fn no_lines_make_it_panic(
            lines in prop::collection::vec("\\PC{0,80}|[A-Za-z+/=]{0,12}", 0..20),
        ) {
            let _ = read(lines.iter().map(String::as_str));
        }
    }
}
