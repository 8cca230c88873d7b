//! The figures that can be selected by name (`-o`, `-O`, `-k`), and how each is shown.
//!
//! One file a subject. Order and titles are netperf's; three percentiles are ours.

/// Defines a table of figures: whose each is, its name, its title and where its value comes from.
macro_rules! rows {
    ($table:ident; $($source:ident $name:literal [$($word:literal),*] $value:expr;)*) => {
        pub(super) static $table: &[Selector] = &[$(Selector {
            name: $name,
            words: &[$($word),*],
            source: Source::$source($value),
        }),*];
    };
}

/// Defines two tables of the same figures: of netperf's end and of netserver's, whose names begin
/// with either prefix.
macro_rules! both_ends {
    (
        $local:ident $l:literal, $remote:ident $r:literal;
        $($name:literal [$($word:literal),*] $value:expr;)*
    ) => {
        pub(super) static $local: &[Selector] = &[$(Selector {
            name: concat!($l, $name),
            words: &["Local", $($word),*],
            source: Source::Local($value),
        }),*];
        pub(super) static $remote: &[Selector] = &[$(Selector {
            name: concat!($r, $name),
            words: &["Remote", $($word),*],
            source: Source::Remote($value),
        }),*];
    };
}

mod calls;
mod cost;
mod ends;
mod latency;
mod system;
mod test_figures;

use super::view::{TestEnd, View, whole};
use crate::test_kind::TestDirection;

/// Ends a block of selectors.
pub(super) const END: &str = "OUTPUT_END";

/// One figure.
#[derive(Debug)]
pub(super) struct Selector {
    /// What it is asked for by.
    pub(super) name: &'static str,
    /// Its title, in up to four lines above a column.
    pub(super) words: &'static [&'static str],
    source: Source,
}

/// Where a figure comes from.
#[derive(Debug)]
enum Source {
    /// The test.
    Test(fn(&View<'_>) -> String),
    /// What the user called it; absent where nothing was said.
    Tag(fn(&View<'_>) -> Option<String>),
    /// netperf's end.
    Local(fn(&View<'_>, TestEnd) -> String),
    /// netserver's end.
    Remote(fn(&View<'_>, TestEnd) -> String),
}

impl Selector {
    /// The title in one line.
    pub(super) fn title(&self) -> String {
        self.words.join(" ")
    }

    pub(super) fn value(&self, view: &View<'_>) -> Option<String> {
        match self.source {
            Source::Test(value) => Some(value(view)),
            Source::Tag(value) => value(view),
            Source::Local(value) => Some(value(view, TestEnd::Local)),
            Source::Remote(value) => Some(value(view, TestEnd::Remote)),
        }
    }

    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name) || self.title().eq_ignore_ascii_case(name)
    }
}

// An empty cell.
rows! { NONE; Test "OUTPUT_NONE" [" "] |_| " ".to_owned(); }

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
    &[
        cost::LOCAL_SHARES,
        cost::LOCAL_DEMAND,
        cost::REMOTE_SHARES,
        cost::REMOTE_DEMAND,
        cost::DEMAND_UNITS,
        test_figures::CONFIDENCE,
    ],
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

/// A figure that may be absent.
fn number<T: Into<i64>>(value: Option<T>) -> String {
    whole(value).to_string()
}

fn every() -> impl Iterator<Item = &'static Selector> {
    let of_netperf = BLOCKS.iter().copied().flatten().copied().flatten();
    NONE.iter().chain(of_netperf).chain(latency::OURS)
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
const CPU: [&[Selector]; 5] = [
    cost::LOCAL_SHARES,
    cost::REMOTE_SHARES,
    cost::LOCAL_DEMAND,
    cost::REMOTE_DEMAND,
    cost::DEMAND_UNITS,
];

/// What is shown where nothing was selected.
pub(super) fn defaults(view: &View<'_>) -> Vec<Option<&'static Selector>> {
    let of_direction = match view.direction() {
        TestDirection::Send => SEND,
        TestDirection::Receive => RECEIVE,
        _ => TRANSACT,
    };
    let cpu = if view.options.cpu.local || view.options.cpu.remote { &CPU[..] } else { &[] };
    let names = of_direction.iter().chain(RESULT).map(|name| find(name));
    names.chain(cpu.iter().copied().flatten().map(Some)).collect()
}
