//! The figures that can be selected by name (`-o`, `-O`, `-k`), and how each is shown.
//!
//! One file a subject. Order and titles are netperf's; three percentiles are ours.

/// Defines a table of figures: whose each is, its name, its title and where its value comes from.
macro_rules! rows {
    ($table:ident; $($kind:ident $name:literal [$($word:literal),*] $value:expr;)*) => {
        pub(super) static $table: &[Selector] =
            &[$(Selector::$kind($name, [$($word),*], $value)),*];
    };
}

/// Defines two tables of the same figures: of netperf's end and of netserver's, whose names begin
/// with either prefix.
macro_rules! both_ends {
    (
        $local:ident $l:literal, $remote:ident $r:literal;
        $($name:literal [$($word:literal),*] $value:expr;)*
    ) => {
        pub(super) static $local: &[Selector] =
            &[$(Selector::local(concat!($l, $name), ["Local", $($word),*], $value)),*];
        pub(super) static $remote: &[Selector] =
            &[$(Selector::remote(concat!($r, $name), ["Remote", $($word),*], $value)),*];
    };
}

mod calls;
mod cost;
mod ends;
mod latency;
mod system;
mod test_figures;

use super::view::{TestEnd, View};
use crate::test_kind::TestDirection;

/// Ends a block of selectors.
pub(super) const END: &str = "OUTPUT_END";

/// One figure.
#[derive(Debug)]
pub(super) struct Selector {
    /// What it is asked for by.
    pub(super) name: &'static str,
    /// Its title, in the four lines above a column.
    pub(super) words: [&'static str; 4],
    source: Source,
}

/// Where a figure comes from.
#[derive(Debug)]
enum Source {
    /// The test; absent where there is no such thing.
    Test(fn(&View<'_>) -> Option<String>),
    /// One end of it.
    End(TestEnd, OfEnd),
}

type OfEnd = fn(&View<'_>, TestEnd) -> String;

impl Selector {
    const fn test(
        name: &'static str,
        words: [&'static str; 4],
        value: fn(&View<'_>) -> Option<String>,
    ) -> Self {
        Self { name, words, source: Source::Test(value) }
    }

    const fn local(name: &'static str, words: [&'static str; 4], value: OfEnd) -> Self {
        Self { name, words, source: Source::End(TestEnd::Local, value) }
    }

    const fn remote(name: &'static str, words: [&'static str; 4], value: OfEnd) -> Self {
        Self { name, words, source: Source::End(TestEnd::Remote, value) }
    }

    /// The title in one line.
    pub(super) fn title(&self) -> String {
        let words: Vec<&str> = self.words.into_iter().filter(|word| !word.is_empty()).collect();
        words.join(" ")
    }

    pub(super) fn value(&self, view: &View<'_>) -> Option<String> {
        match self.source {
            Source::Test(value) => value(view),
            Source::End(side, value) => Some(value(view, side)),
        }
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name) || self.title().eq_ignore_ascii_case(name)
    }
}

/// An empty cell.
static NONE: Selector = Selector::test("OUTPUT_NONE", [" ", "", "", ""], |_| Some(" ".to_owned()));

/// What `all` shows, in its blocks: what netperf shows, as readers count columns.
static BLOCKS: [&[&[Selector]]; 4] = [
    &[
        test_figures::RESULT,
        ends::LOCAL_BUFFERS,
        ends::REMOTE_BUFFERS,
        ends::LOCAL_SIZES,
        ends::REMOTE_SIZES,
        ends::TRANSACTION_SIZES,
    ],
    &[cost::LOCAL, cost::REMOTE, test_figures::CONFIDENCE],
    &[
        ends::LOCAL_RATES,
        ends::REMOTE_RATES,
        cost::LOCAL_CPUS,
        cost::REMOTE_CPUS,
        ends::ADDRESSES,
        calls::LOCAL,
        calls::REMOTE,
    ],
    &[
        system::LOCAL_SYSTEMS,
        system::REMOTE_SYSTEMS,
        system::LOCAL_DEVICES,
        system::REMOTE_DEVICES,
        ends::LOCAL_INTERVALS,
        ends::REMOTE_INTERVALS,
        system::SECURITY,
        test_figures::TAGS,
        latency::NETPERFS,
        ends::SOCKETS,
    ],
];

/// What netperf shows where it no longer finds something out.
fn gone(_: &View<'_>, _: TestEnd) -> String {
    "Deprecated".to_owned()
}

fn no_id(_: &View<'_>, _: TestEnd) -> String {
    "0xfffffffe".to_owned()
}

fn zero(_: &View<'_>, _: TestEnd) -> String {
    "0".to_owned()
}

fn minus_one(_: &View<'_>, _: TestEnd) -> String {
    "-1".to_owned()
}

fn of_netperf() -> impl Iterator<Item = &'static Selector> {
    BLOCKS.iter().copied().flatten().copied().flatten()
}

fn every() -> impl Iterator<Item = &'static Selector> {
    [&NONE].into_iter().chain(of_netperf()).chain(latency::OURS)
}

/// All names, the end included.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    every().map(|selector| selector.name).chain([END])
}

/// A figure goes by this name, in whatever case.
#[must_use]
pub fn is_name(name: &str) -> bool {
    names().any(|known| known.eq_ignore_ascii_case(name))
}

fn find(name: &str) -> Option<&'static Selector> {
    every().find(|selector| selector.is(name))
}

/// What a word of a selection stands for: everything, one selector, or nothing known.
pub(super) fn named(name: &str) -> Vec<Option<&'static Selector>> {
    if name.eq_ignore_ascii_case("all") { all_blocks().concat() } else { vec![find(name)] }
}

/// Everything, in blocks.
pub(super) fn all_blocks() -> Vec<Vec<Option<&'static Selector>>> {
    let block = |groups: &&'static [&'static [Selector]]| {
        groups.iter().copied().flatten().map(Some).collect()
    };
    BLOCKS.iter().map(block).collect()
}

/// It is a statistic of latency, or everything.
pub(super) fn needs_latency(name: &str) -> bool {
    let mut latencies = latency::NETPERFS.iter().chain(latency::OURS);
    name.eq_ignore_ascii_case("all") || latencies.any(|selector| selector.is(name))
}

const SEND: &[&str] = &["LSS_SIZE_END", "RSR_SIZE_END", "LOCAL_SEND_SIZE"];
const RECEIVE: &[&str] = &["RSS_SIZE_END", "LSR_SIZE_END", "REMOTE_SEND_SIZE"];
const TRANSACT: &[&str] = &[
    "LSS_SIZE_END",
    "LSR_SIZE_END",
    "RSR_SIZE_END",
    "RSS_SIZE_END",
    "REQUEST_SIZE",
    "RESPONSE_SIZE",
];
const RESULT: &[&str] = &["ELAPSED_TIME", "THROUGHPUT", "THROUGHPUT_UNITS"];
const CPU: &[&str] = &[
    "LOCAL_CPU_UTIL",
    "LOCAL_CPU_PERCENT_USER",
    "LOCAL_CPU_PERCENT_SYSTEM",
    "LOCAL_CPU_PERCENT_IOWAIT",
    "LOCAL_CPU_PERCENT_IRQ",
    "LOCAL_CPU_PERCENT_SWINTR",
    "LOCAL_CPU_METHOD",
    "REMOTE_CPU_UTIL",
    "REMOTE_CPU_PERCENT_USER",
    "REMOTE_CPU_PERCENT_SYSTEM",
    "REMOTE_CPU_PERCENT_IOWAIT",
    "REMOTE_CPU_PERCENT_IRQ",
    "REMOTE_CPU_PERCENT_SWINTR",
    "REMOTE_CPU_METHOD",
    "LOCAL_SD",
    "REMOTE_SD",
    "SD_UNITS",
];

/// What is shown where nothing was selected.
pub(super) fn defaults(view: &View<'_>) -> Vec<Option<&'static Selector>> {
    let of_direction = match view.direction() {
        TestDirection::Send => SEND,
        TestDirection::Receive => RECEIVE,
        _ => TRANSACT,
    };
    let cpu = view.options.cpu.local || view.options.cpu.remote;
    let names = [of_direction, RESULT, if cpu { CPU } else { &[] }];
    names.into_iter().flatten().map(|name| find(name)).collect()
}
