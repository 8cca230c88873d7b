//! Every workload with every way of sending, receiving, waiting and closing, and what a run's
//! document has to say of each.
//!
//! The ways are podperf's own lists, so that a new one is in the tables by itself. What a plan
//! refuses is left out; tests/cli/plan has the refusals.

use podperf_model::plan::udp::Offload;
use podperf_model::plan::{Backend, Choice, Close, ReceiveMethod, SendMethod};
use serde_json::{Value, json};

use super::path::Path;
use super::process::Outcome;
use super::runs::{
    bytes_by, complete, connections_conserved, datagrams_conserved, ended_well, exchanged,
    multiplexing,
};
use super::{TIMEOUT, at, count, list, sum, text};

/// Ways of waiting, at either end. Polling the device is for those who may (root).
pub(crate) const WAITS: [&str; 3] = ["block", "spin", "busy-poll=50"];
const ENDS: [&str; 2] = ["client", "server"];
/// A flow a worker, and several.
const LAYOUTS: [&str; 2] = ["-P 2", "-P 3 --workers 1 --server-workers 1"];
/// The same with both directions, each of which takes a worker.
const LAYOUTS_BOTH: [&str; 2] = ["-P 1", "-P 3 --workers 2 --server-workers 2"];
/// Neither a multiple of a message nor of the number of flows.
const BYTES: u64 = 300_007;
/// Transactions of a run by count: few, since two ends that spin may share one CPU.
const TRANSACTIONS: u64 = 40;

/// One run.
#[derive(Debug)]
pub(crate) struct Row {
    /// Workload and options.
    pub(crate) options: String,
    expected: Expected,
}

/// What its document has to say.
#[derive(Debug)]
enum Expected {
    /// Bytes, over both directions; absent: whatever fits the window.
    Stream {
        send: SendMethod,
        receive: ReceiveMethod,
        bytes: Option<u64>,
    },
    Exchange {
        waits: [&'static str; 2],
        multiplexing: &'static str,
        bytes: u64,
    },
    Load,
    Connections {
        waits: [&'static str; 2],
        multiplexing: &'static str,
        bytes: u64,
    },
    Datagrams {
        gso: Offload,
        gro: Offload,
    },
    DatagramExchange,
}

/// What names a variant on the command line.
fn name(value: &impl Choice) -> String {
    value.name().to_owned()
}

/// A stream by count; without a window nothing is probed, so `auto` gets one.
fn stream(send: SendMethod, receive: ReceiveMethod, message: &str, layout: &str) -> Row {
    let ways = if layout.contains("--bidir") { 2 } else { 1 };
    // 4,099 is more than one chain of small messages, and not a multiple of it.
    let bytes = if message == "1" { 4099 } else { BYTES };
    let (stop_condition, bytes) = match send {
        SendMethod::Auto => ("-t 0.05 -O 0.05 -i 0.05".to_owned(), None),
        _ => (format!("-n {bytes}"), Some(bytes * ways)),
    };
    let methods = format!("--send {} --recv {}", send.name(), receive.name());
    let options = format!("stream {methods} -l {message} {stop_condition} {layout}");
    Row { options, expected: Expected::Stream { send, receive, bytes } }
}

/// Every pair of methods.
fn pairs() -> impl Iterator<Item = (SendMethod, ReceiveMethod)> {
    let receives = ReceiveMethod::ALL;
    let sends = SendMethod::ALL.iter();
    sends.flat_map(move |send| receives.iter().map(|receive| (*send, *receive)))
}

/// Streams by every pair of methods, in every direction and layout.
pub(crate) fn streams() -> impl Iterator<Item = Row> {
    pairs().flat_map(|(send, receive)| {
        let [alone, shared] = LAYOUTS.map(|layout| [format!("-R {layout}"), layout.to_owned()]);
        let both = LAYOUTS_BOTH.map(|layout| format!("--bidir {layout}"));
        let layouts = [alone, shared, both].concat();
        layouts.into_iter().map(move |layout| stream(send, receive, "128K", &layout))
    })
}

/// Streams by every pair of methods that takes messages of one byte: no page is mapped for less
/// than itself.
pub(crate) fn one_byte_streams() -> impl Iterator<Item = Row> {
    let pairs = pairs().filter(|(_, receive)| *receive != ReceiveMethod::Mmap);
    pairs.flat_map(|(send, receive)| {
        let layouts = [LAYOUTS[0], LAYOUTS[1], "-R -P 1"];
        layouts.map(|layout| stream(send, receive, "1", layout))
    })
}

/// Each pair of ways of waiting, out of `waits`.
fn waits_of(waits: &'static [&'static str]) -> impl Iterator<Item = [&'static str; 2]> {
    waits.iter().flat_map(move |own| waits.iter().map(move |other| [*own, *other]))
}

/// Requests and responses by every backend, each end waiting in every way: alone on a worker,
/// sharing one, with several in flight, and larger than a segment.
pub(crate) fn exchanges(waits: &'static [&'static str]) -> impl Iterator<Item = Row> {
    let layouts = [
        ("-P 1", "blocking", 2),
        ("-P 3 --workers 1 --server-workers 1", "epoll", 2),
        ("-P 2 --burst 4 --request 3 --response 7000", "epoll", 7003),
    ];
    let backends = Backend::ALL.iter();
    backends.flat_map(move |backend| {
        layouts.into_iter().flat_map(move |(layout, by_itself, bytes)| {
            waits_of(waits).map(move |waits| {
                let [own, other] = waits;
                let multiplexing = match backend {
                    Backend::Auto => by_itself,
                    Backend::Epoll => "epoll",
                    Backend::Uring => "uring",
                };
                let backend = name(backend);
                let asked = format!("--backend {backend} --wait {own} --server-wait {other}");
                Row {
                    options: format!("rr -n {TRANSACTIONS} {asked} {layout}"),
                    expected: Expected::Exchange { waits, multiplexing, bytes },
                }
            })
        })
    })
}

/// Requests beside bulk streams of each direction.
pub(crate) fn loads() -> impl Iterator<Item = Row> {
    ["up", "down", "both"].into_iter().map(|direction| Row {
        options: format!("rr --load 2 --load-direction {direction} -t 0.2 -O 0.1 -i 0.1"),
        expected: Expected::Load,
    })
}

/// A connection a transaction, closed by each end, each end waiting in every way.
pub(crate) fn connections(waits: &'static [&'static str]) -> impl Iterator<Item = Row> {
    let closes = Close::ALL.iter();
    closes.flat_map(move |close| {
        let layouts = LAYOUTS.into_iter().zip(["blocking", "epoll"]);
        layouts.flat_map(move |(layout, multiplexing)| {
            waits_of(waits).map(move |waits| {
                let ([own, other], close) = (waits, name(close));
                let asked = format!("--close {close} --wait {own} --server-wait {other}");
                Row {
                    options: format!("crr -n {TRANSACTIONS} --response 3000 {asked} {layout}"),
                    expected: Expected::Connections { waits, multiplexing, bytes: 3001 },
                }
            })
        })
    })
}

/// Datagrams with every use of the offloads, in every direction, and the smallest there are.
pub(crate) fn datagrams() -> impl Iterator<Item = Row> {
    let offloads = Offload::ALL;
    let pairs = offloads.iter().flat_map(|gso| offloads.iter().map(|gro| (*gso, *gro)));
    pairs.flat_map(|(gso, gro)| {
        let layouts = [LAYOUTS[0], "-R -P 3 --workers 1 --server-workers 1", "--bidir"];
        layouts.into_iter().zip(["1000", "16", "1400"]).map(move |(layout, length)| {
            let asked = format!("--gso {} --gro {}", name(&gso), name(&gro));
            let options = format!("udp {asked} -n 60000 -b 20M -l {length} {layout}");
            Row { options, expected: Expected::Datagrams { gso, gro } }
        })
    })
}

/// Requests and responses of a datagram each.
pub(crate) fn datagram_exchanges() -> impl Iterator<Item = Row> {
    let layouts = [LAYOUTS[0], LAYOUTS[1], "--request 1000 --response 5"];
    layouts.into_iter().map(|layout| Row {
        options: format!("udp --rr --transactions {TRANSACTIONS} {layout}"),
        expected: Expected::DatagramExchange,
    })
}

impl Path {
    /// Does each run, holds its document against what it has to say, and sees that the server has
    /// nothing left of it.
    pub(crate) fn go_over(&self, rows: impl IntoIterator<Item = Row>) {
        let mut count = 0;
        for row in rows {
            let outcome = self.start(&row.options).wait(TIMEOUT);
            row.check(&self.args(&row.options), &outcome);
            count += 1;
        }
        assert!(count > 0, "an empty table");
        self.server.assert_all_freed(TIMEOUT);
    }
}

impl Row {
    fn check(&self, args: &[&str], outcome: &Outcome) {
        let json = &outcome.json;
        match &self.expected {
            Expected::Stream { send, receive, bytes } => {
                complete(args, outcome);
                let moved = sum(json, "/lifetime/bytes_received");
                assert!(bytes.is_none_or(|bytes| moved == bytes), "{args:?}: {moved} bytes");
                assert_methods(args, json, *send, *receive);
            }
            Expected::Exchange { waits, multiplexing, bytes } => {
                complete(args, outcome);
                exchanged(json);
                assert_eq!(count(json, "/transactions/count"), TRANSACTIONS, "{args:?}");
                let moved = sum(json, "/lifetime/bytes_received");
                assert_eq!(moved, TRANSACTIONS * bytes, "{args:?}");
                assert_waits(args, json, *waits, multiplexing);
            }
            Expected::Load => {
                ended_well(args, outcome);
                exchanged(json);
                for stream in list(json, "/streams") {
                    let life = |what: &str| count(stream, &format!("/lifetime/{what}"));
                    assert_eq!(life("bytes_sent"), life("bytes_received"), "{args:?}: {stream:#}");
                }
                assert!(count(json, "/load/bytes_received") > 0, "{args:?}");
            }
            Expected::Connections { waits, multiplexing, bytes } => {
                ended_well(args, outcome);
                exchanged(json);
                assert_eq!(count(json, "/transactions/count"), TRANSACTIONS, "{args:?}");
                connections_conserved(json, *bytes);
                assert_waits(args, json, *waits, multiplexing);
            }
            Expected::Datagrams { gso, gro } => {
                ended_well(args, outcome);
                datagrams_conserved(json);
                assert_offloads(args, json, "gso", *gso);
                assert_offloads(args, json, "gro", *gro);
            }
            Expected::DatagramExchange => {
                ended_well(args, outcome);
                exchanged(json);
                let lost = count(json, "/udp/lost_transactions");
                let done = count(json, "/transactions/count");
                assert_eq!(done + lost, TRANSACTIONS, "{args:?}");
            }
        }
    }
}

/// Each end used the method that was asked, and all bytes are told by method.
fn assert_methods(args: &[&str], json: &Value, send: SendMethod, receive: ReceiveMethod) {
    let mut sides = 0;
    for end in ENDS {
        for (part, asked) in [("send", send.name()), ("receive", receive.name())] {
            let facts = at(json, &format!("/transport/{end}")).get(part);
            let Some(facts) = facts.filter(|facts| !facts.is_null()) else { continue };
            sides += 1;
            assert_eq!(text(facts, "/asked"), asked, "{args:?} {end}: {facts:#}");
            let used = text(facts, "/used");
            match asked {
                "auto" => assert_ne!(used, "auto", "{args:?} {end}: {facts:#}"),
                // What cannot be mapped is read; the method told is the one with more bytes.
                "mmap" => assert!(["mmap", "read"].contains(&used), "{args:?} {end}: {facts:#}"),
                _ => assert_eq!(used, asked, "{args:?} {end}: {facts:#}"),
            }
        }
    }
    assert_eq!(sides, if args.contains(&"--bidir") { 4 } else { 2 }, "{args:?}");
    let by = |part: &str, names: Vec<&str>| -> u64 {
        names.into_iter().map(|name| bytes_by(json, part, name)).sum()
    };
    let sent = by("send", SendMethod::concrete().map(SendMethod::name).collect());
    let receives = ReceiveMethod::ALL.iter();
    let received = by("receive", receives.map(|method| method.name()).collect());
    assert_eq!(sent, sum(json, "/lifetime/bytes_sent"), "{args:?}: {:#}", json["transport"]);
    assert_eq!(received, sum(json, "/lifetime/bytes_received"), "{args:?}");
    assert!(send == SendMethod::Auto || bytes_by(json, "send", send.name()) > 0, "{args:?}");
}

/// Each end waited as it was asked to, and says what stood in where that is not to be had.
fn assert_waits(args: &[&str], json: &Value, waits: [&str; 2], expected: &str) {
    for (end, wait) in ENDS.into_iter().zip(waits) {
        let us = wait.strip_prefix("busy-poll=").map(|us| us.parse::<u64>().expect("a number"));
        let asked = us.map_or_else(|| json!(wait), |us| json!({ "busy_poll_us": us }));
        let placement = at(json, &format!("/placement/{end}"));
        assert_eq!(at(placement, "/wait"), &asked, "{args:?} {end}");
        assert_eq!(multiplexing(json, end), expected, "{args:?} {end}");
        let socket = at(json, &format!("/streams/0/socket/{end}"));
        // A server's connections of crr come and go; nothing is read of them.
        if !socket.is_null() {
            assert_eq!(count(socket, "/busy_poll_us"), us.unwrap_or(0), "{args:?} {end}");
        }
        // io_uring does not poll devices.
        let stands_in = us.is_some() && expected == "uring";
        let told = list(placement, "/fallbacks");
        assert_eq!(!told.is_empty(), stands_in, "{args:?} {end}: {told:?}");
    }
}

/// An offload was used where it was asked for, and not where it was refused.
fn assert_offloads(args: &[&str], json: &Value, offload: &str, asked: Offload) {
    let ends = ENDS
        .into_iter()
        .filter_map(|end| json.pointer(&format!("/udp/calls/{end}/{offload}_used"))?.as_bool());
    let used: Vec<bool> = ends.collect();
    let expected = match asked {
        Offload::Auto => return,
        Offload::On => true,
        Offload::Off => false,
    };
    assert!(!used.is_empty(), "{args:?}: {:#}", json["udp"]);
    assert!(used.iter().all(|used| *used == expected), "{args:?}: {offload} {used:?}");
}
