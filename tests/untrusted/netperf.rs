//! A netserver that lies, played by the test: whatever it says, netperf tells what it measured
//! itself, or why there is nothing to tell, and ends.

use std::io::Write as _;
use std::net::TcpListener;
use std::process::Output;
use std::time::{Duration, Instant};

use base64::Engine as _;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Serializer as _, V2DeflateSerializer};
use nix::sys::signal::Signal;
use podperf_model::latency::{Latencies, LatencyWire};
use podperf_netperf::figures::EndCounters;
use podperf_netperf::wire::native::{ClientMessage, Details, Identity, answer, token_answer};
use podperf_netperf::wire::reply::{OmniResponse, OmniResults};
use podperf_netperf::wire::{MESSAGE_BYTES, WireMessage, kind};
use serde_json::Value;

use crate::support::netserver::{Netserver, netperf};
use crate::support::process::send;
use crate::support::{TIMEOUT, at};

/// What the netserver says.
struct Said {
    rate: WireMessage,
    response: WireMessage,
    results: WireMessage,
    details: Vec<u8>,
}

/// All of it true.
fn truth() -> Said {
    Said {
        rate: WireMessage::of(kind::CPU_CALIBRATE),
        response: OmniResponse::default().write(),
        results: OmniResults::default().write(),
        details: details(|_| ()),
    }
}

/// Details with two calls, changed from the truth.
fn details(lie: impl FnOnce(&mut LatencyWire)) -> Vec<u8> {
    let mut latency = Latencies::new();
    [1_500, 2_500].iter().for_each(|ns| latency.record(*ns));
    let mut wire = latency.to_wire();
    lie(&mut wire);
    told(&Details { latency: Some(wire), ..Details::default() })
}

/// Details as they are told, with what an earlier podperf looks for beside them.
fn told(details: &Details) -> Vec<u8> {
    let mut json = serde_json::to_value(details).expect("JSON");
    let object = json.as_object_mut().expect("an object");
    let counters = object["counters"].as_object().expect("an object").clone();
    object.extend(counters);
    object.insert("elapsed_seconds".to_owned(), 0.0.into());
    object.insert("errors".to_owned(), Value::Array(Vec::new()));
    announced(&json.to_string())
}

/// The message that announces a text, and the text.
fn announced(json: &str) -> Vec<u8> {
    let mut head = answer(0);
    head.put(8, u32::try_from(json.len()).expect("it is short"));
    [head.0.as_slice(), json.as_bytes()].concat()
}

/// A netserver that serves one netperf; its port.
fn netserver(said: Said) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut control, _) = listener.accept().expect("netperf connects");
        control.set_read_timeout(Some(TIMEOUT)).unwrap();
        while let Ok(message) = WireMessage::read(&mut control) {
            let words = match ClientMessage::read(&message) {
                Some(ClientMessage::Probe) => Identity::own().write().0.to_vec(),
                Some(ClientMessage::Next(_)) => answer(0).0.to_vec(),
                Some(ClientMessage::ConnectionToken) => token_answer([7; 16]).0.to_vec(),
                Some(ClientMessage::Details) => said.details.clone(),
                Some(_) => continue,
                None if message.kind() == kind::CPU_CALIBRATE => said.rate.0.to_vec(),
                None => {
                    if said.response.write(&mut control).is_err() {
                        return;
                    }
                    let (mut data, _) = listener.accept().expect("netperf connects");
                    // To its end, and then the own end.
                    let _ = std::io::copy(&mut data, &mut std::io::sink());
                    said.results.0.to_vec()
                }
            };
            if control.write_all(&words).is_err() {
                return;
            }
        }
    });
    port
}

/// netperf against what is said: it ends by itself, and shows nothing that a terminal would act on.
fn run(said: Said, words: &str) -> Output {
    let port = netserver(said).to_string();
    let mut command = netperf(&["-H", "127.0.0.1", "-p", &port]);
    let run = command.args(words.split(' ')).output().expect("netperf starts");
    // 101 is a panic's.
    assert!(run.status.code().is_some_and(|status| status != 101), "{words}: {run:?}");
    for text in [&run.stdout, &run.stderr] {
        let text = str::from_utf8(text).expect("text");
        assert!(!text.contains("panicked"), "{words}: {text}");
        assert!(!text.chars().any(|sign| sign.is_control() && sign != '\n'), "{words}: {text:?}");
    }
    run
}

fn document(run: &Output) -> Value {
    assert!(run.status.success(), "{run:?}");
    serde_json::from_slice(&run.stdout).unwrap_or_else(|error| panic!("{error}: {run:?}"))
}

const STREAM: &str = "-t TCP_STREAM -l -65536 --json -- -m 4096";

#[test]
fn latencies_that_cannot_be_are_left_out_and_said() {
    let true_one = document(&run(truth(), STREAM));
    assert_eq!(at(&true_one, "/remote/call_latency/count"), 2);
    let lies: [fn(&mut LatencyWire); 9] = [
        |wire| (wire.min_ns, wire.max_ns) = (2_501, 2_500),
        |wire| (wire.min_ns, wire.max_ns) = (u64::MAX, 0),
        |wire| wire.max_ns = 3,
        |wire| wire.sum_ns = u128::MAX.to_string(),
        |wire| wire.sum_ns = "\u{1b}]2;told\u{7}".repeat(1_000),
        |wire| wire.sum_squares_ns = u128::MAX.to_string(),
        |wire| wire.out_of_range = u64::MAX,
        |wire| wire.histogram = claimed(i64::MAX.unsigned_abs()),
        |wire| wire.histogram = "!".to_owned(),
    ];
    for (number, lie) in lies.into_iter().enumerate() {
        for words in [STREAM, &format!("-i 3,3 {STREAM}")] {
            let run = run(Said { details: details(lie), ..truth() }, words);
            let document = document(&run);
            assert!(at(&document, "/remote/call_latency").is_null(), "{number}: {document}");
            assert_eq!(at(&document, "/local/bytes_sent"), 65_536, "{number}");
            let error = String::from_utf8_lossy(&run.stderr);
            assert!(error.contains("left out"), "{number}: {error}");
            assert!(error.len() < 1_000, "{number}: {error}");
        }
    }
}

/// A histogram in which three values were recorded so often each.
fn claimed(count: u64) -> String {
    let mut histogram = Histogram::<u64>::new_with_bounds(1, 60_000_000_000, 3).unwrap();
    for ns in [1_000, 50_000, 2_000_000] {
        histogram.record_n(ns, count).unwrap();
    }
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(&histogram, &mut bytes).unwrap();
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[test]
fn counts_of_any_size_are_shown_as_they_are() {
    let counters = EndCounters {
        bytes_sent: u64::MAX,
        bytes_received: u64::MAX,
        send_calls: u64::MAX,
        receive_calls: u64::MAX,
        failed_sends: u64::MAX,
        transactions: u64::MAX,
        lost_transactions: u64::MAX,
    };
    let details = told(&Details { counters, ..Details::default() });
    let said = || Said { details: details.clone(), ..truth() };
    let document = document(&run(said(), STREAM));
    assert_eq!(at(&document, "/remote/bytes_received"), u64::MAX);
    for words in ["-l -65536 -v 2", "-l -65536 -- -o all", "-l -65536 -- -k all"] {
        assert!(run(said(), words).status.success());
    }
}

#[test]
fn records_of_any_bytes_make_no_panic_and_no_numbers_that_are_none() {
    for byte in [0x01, 0x7f, 0x80, 0xff] {
        for words in [
            STREAM,
            "-l -65536 -v 2 -c -C",
            "-l -65536 -C -- -o all",
            "-l -65536 -C -- -k all",
            "-l -65536 --native off",
            "-t REM_CPU -v 2",
        ] {
            let all = |kind: u32| {
                let mut message = WireMessage([byte; MESSAGE_BYTES]);
                message.put(0, kind);
                message.put(4, 0);
                message
            };
            let said = Said {
                rate: all(kind::CPU_CALIBRATE),
                response: all(kind::OMNI_RESPONSE),
                results: all(kind::OMNI_RESULTS),
                ..truth()
            };
            let run = run(said, words);
            let out = String::from_utf8_lossy(&run.stdout).to_lowercase();
            let none = out.split([' ', ',', '=', '\n']).any(|word| word == "nan" || word == "inf");
            assert!(!none, "{words}: {out}");
        }
    }
    let mut results = OmniResults::default().write();
    results.put_text(276, 16, "\u{1b}]2;,x\u{7}");
    let said = Said { results, ..truth() };
    let run = run(said, "-P 0 -l -65536 -- -o REMOTE_CONG_CONTROL,REQUEST_SIZE");
    assert_eq!(String::from_utf8_lossy(&run.stdout), ",-1\n");
}

#[test]
fn details_that_are_none_are_left_out() {
    let mut endless = answer(0);
    endless.put(8, u32::MAX);
    for details in [
        endless.0.to_vec(),
        announced("[]"),
        announced(r#"{"counters":{"bytes_sent":-1}}"#),
        announced(r#"{"latency":{"histogram":4}}"#),
        announced(&"[".repeat(100_000)),
        answer(libc::ENODATA).0.to_vec(),
        WireMessage([0xff; MESSAGE_BYTES]).0.to_vec(),
    ] {
        let document = document(&run(Said { details, ..truth() }, STREAM));
        assert!(at(&document, "/remote/call_latency").is_null(), "{document}");
    }
}

#[test]
fn a_silent_or_stopped_netserver_is_given_up_when_it_was_asked_for() {
    let run = |port: u16, words: &str| {
        let port = port.to_string();
        let mut client = netperf(&["-H", "127.0.0.1", "-p", &port, "--peer-timeout", "1.5"]);
        let began = Instant::now();
        let output = client.args(words.split(' ')).output().expect("netperf starts");
        assert!(!output.status.success(), "{words}: {output:?}");
        (began.elapsed(), words.to_owned())
    };
    let mut took = Vec::new();
    // It accepts, and never says a word.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    took.push(run(silent.local_addr().unwrap().port(), "-t TCP_RR -l 1"));
    // It is stopped in mid-run.
    for words in
        ["-t TCP_STREAM -l 90", "-t TCP_MAERTS -l 90", "-t TCP_RR -l 90", "-t TCP_CRR -l 90"]
    {
        let server = Netserver::start(&[]);
        std::thread::scope(|scope| {
            let client = scope.spawn(|| run(server.port, words));
            server.wait_for_log("test of ");
            std::thread::sleep(Duration::from_millis(300));
            send(server.child.id(), Signal::SIGSTOP);
            took.push(client.join().expect("it fails as it should"));
        });
    }
    for (took, words) in took {
        assert!(took < Duration::from_secs(20), "{words}: {took:?}");
    }
}
