//! What the integration tests share: real servers and clients as processes, each bounded by a
//! deadline and ended by its own process id, and ways to look at them from outside.
//!
//! Nothing here decides what is right; that is the tests' part.

pub(crate) mod agents;
pub(crate) mod combinations;
pub(crate) mod mixed_runs;
pub(crate) mod namespaces;
pub(crate) mod netserver;
pub(crate) mod path;
pub(crate) mod process;
pub(crate) mod recording_sink;
pub(crate) mod runs;
pub(crate) mod sandbox;
pub(crate) mod weather;
pub(crate) mod wire;

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::fs::MetadataExt as _;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use base64::Engine as _;
use hdrhistogram::Histogram;
use jsonschema::Validator;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::Value;

/// The most that a test waits for something that should come at once. Long, because the machine
/// may be busy; what passes it hangs.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

/// Looks again and again until `done`; the last look's answer.
pub(crate) fn eventually(timeout: Duration, mut done: impl FnMut() -> bool) -> bool {
    let deadline = Instant::now() + timeout;
    loop {
        if done() {
            return true;
        }
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The document keeps to the schema that is published with it.
pub(crate) fn assert_valid(document: &Value) {
    static RUN: OnceLock<Validator> = OnceLock::new();
    static SATURATION: OnceLock<Validator> = OnceLock::new();
    let (schema, text) = if document["schema"] == "podperf.saturation/v1" {
        (&SATURATION, include_str!("../../docs/podperf.saturation.v1.schema.json"))
    } else {
        (&RUN, include_str!("../../docs/podperf.run.v1.schema.json"))
    };
    let validator = schema.get_or_init(|| {
        let schema = serde_json::from_str(text).expect("the schema is JSON");
        jsonschema::validator_for(&schema).expect("the schema is one")
    });
    let errors: Vec<String> = validator
        .iter_errors(document)
        .map(|error| format!("{}: {error}", error.instance_path()))
        .collect();
    assert!(errors.is_empty(), "against the schema: {errors:#?}");
}

/// The number at a JSON pointer.
pub(crate) fn number(json: &Value, pointer: &str) -> f64 {
    at(json, pointer).as_f64().unwrap_or_else(|| panic!("{pointer} is no number: {json:#}"))
}

/// The count at a JSON pointer.
pub(crate) fn count(json: &Value, pointer: &str) -> u64 {
    at(json, pointer).as_u64().unwrap_or_else(|| panic!("{pointer} is no count: {json:#}"))
}

/// The text at a JSON pointer.
pub(crate) fn text<'a>(json: &'a Value, pointer: &str) -> &'a str {
    at(json, pointer).as_str().unwrap_or_else(|| panic!("{pointer} is no text: {json:#}"))
}

/// The list at a JSON pointer.
pub(crate) fn list<'a>(json: &'a Value, pointer: &str) -> &'a [Value] {
    at(json, pointer).as_array().unwrap_or_else(|| panic!("{pointer} is no list: {json:#}"))
}

/// Whatever is at a JSON pointer.
pub(crate) fn at<'a>(json: &'a Value, pointer: &str) -> &'a Value {
    json.pointer(pointer).unwrap_or_else(|| panic!("{pointer} is missing: {json:#}"))
}

/// The codes of all warnings of a document.
pub(crate) fn codes(json: &Value) -> Vec<&str> {
    list(json, "/warnings").iter().map(|warning| text(warning, "/code")).collect()
}

/// The sum of one count over all streams.
pub(crate) fn sum(json: &Value, pointer: &str) -> u64 {
    list(json, "/streams").iter().map(|stream| count(stream, pointer)).sum()
}

/// The latency histogram of a document.
pub(crate) fn histogram(json: &Value) -> Histogram<u64> {
    histogram_at(json, "/latency/histogram")
}

/// A histogram of a document, as any HdrHistogram library reads it.
pub(crate) fn histogram_at(json: &Value, pointer: &str) -> Histogram<u64> {
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(text(json, pointer))
        .expect("the histogram is base64");
    hdrhistogram::serialization::Deserializer::new()
        .deserialize(&mut bytes.as_slice())
        .expect("the histogram is V2, deflated")
}

/// A port that nobody uses, by TCP or UDP: below those that the kernel gives out, so that no
/// connection takes it meanwhile.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let free = |port: &u16| {
        let address = (Ipv4Addr::LOCALHOST, *port);
        TcpListener::bind(address).is_ok() && UdpSocket::bind(address).is_ok()
    };
    let next = || {
        let number = std::process::id() * 97 + NEXT.fetch_add(1, Ordering::Relaxed);
        u16::try_from(10_000 + number % 20_000).expect("below 30,000")
    };
    std::iter::repeat_with(next).take(20_000).find(free).expect("a port is free")
}

/// Lets this process, and those that it starts, open so many files. False, and said so: the system
/// allows it fewer.
pub(crate) fn may_open_files(count: u64, test: &str) -> bool {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("it has a limit");
    if hard < count {
        eprintln!("{test}: skipped: at most {hard} open files are allowed");
        return false;
    }
    setrlimit(Resource::RLIMIT_NOFILE, soft.max(count), hard).expect("within the hard limit");
    true
}

/// Tests that need root say so and return when there is none.
pub(crate) fn root(test: &str) -> bool {
    // A process's own directory belongs to its effective user (proc(5)).
    let root = std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0);
    if !root {
        eprintln!("{test}: skipped: needs root");
    }
    root
}
