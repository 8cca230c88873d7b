//! Servers that lie: figures that no run can have, lists and texts without measure. They take no
//! more of their client's memory than honest ones, and the client says what is wrong.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;
use std::time::Duration;

use base64::Engine as _;
use podperf_engine::control::preamble::Preamble;
use serde_json::{Value, json};

use crate::support::process::{Client, Outcome, Server, podperf};
use crate::support::wire::{ReadyClient, WireClient, hello, plan};

/// What a server says in a run of one stream, step by step.
#[derive(Debug, Clone)]
struct Script {
    /// Where the stream is to go.
    connect: Value,
    ready: Value,
    /// What it answers to the steps of these names, as bytes: whole messages, or none.
    open: Vec<u8>,
    close: Vec<u8>,
    stop: Vec<u8>,
}

/// What a real server says: before the start, at both edges of the window, and at the end.
struct Recorded {
    connect: Value,
    ready: Value,
    open: Value,
    close: Value,
    report: Value,
}

fn record() -> Recorded {
    let server = Server::start(&[]);
    let ReadyClient { mut client, data, connect: to, ready } =
        WireClient::ready(server.port, &plan());
    let mut step = |names: &[&str]| {
        names.iter().for_each(|name| client.send(&json!(name)));
        client.receive()
    };
    let (open, close) = (step(&["start", "open"]), step(&["close"]));
    drop(data);
    let mut report = step(&["stop"]);
    while !report["report"].is_object() {
        assert!(!report.is_null(), "no report");
        report = step(&[]);
    }
    Recorded { connect: to, ready, open, close, report }
}

impl Recorded {
    /// The truth, which a test then bends.
    fn script(&self) -> Script {
        Script {
            connect: self.connect.clone(),
            ready: self.ready.clone(),
            open: framed(&self.open),
            close: framed(&self.close),
            stop: framed(&self.report),
        }
    }
}

fn framed(message: &Value) -> Vec<u8> {
    let json = message.to_string().into_bytes();
    [&u32::try_from(json.len()).unwrap().to_be_bytes()[..], &json].concat()
}

/// The reading in a message that has one, by whatever name.
fn reading(message: &mut Value) -> &mut Value {
    let name = if message["reading"].is_object() { "reading" } else { "sample" };
    &mut message[name][name]
}

/// A server that goes by `script`, for one client. Its port.
fn serve(script: Script) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut control, _) = listener.accept().expect("a client");
        control.write_all(&Preamble::Control.encode()).unwrap();
        control.read_exact(&mut [0; 32]).expect("its preamble");
        let mut client = WireClient(control);
        client.send(&hello());
        client.send(&json!({"welcome": {"proof": null}}));
        client.send(&script.connect);
        let (mut data, _) = listener.accept().expect("its stream");
        std::thread::spawn(
            move || while data.read(&mut [0; 65_536]).is_ok_and(|count| count > 0) {},
        );
        client.send(&script.ready);
        loop {
            let answer: &[u8] = match client.receive() {
                Value::Null => return,
                message if message == json!("open") => &script.open,
                message if message == json!("close") => &script.close,
                message if message == json!("stop") => &script.stop,
                _ => &[],
            };
            if client.0.write_all(answer).is_err() {
                return;
            }
        }
    });
    port
}

/// A run against a server that goes by `script`, by a client that may have 3 GB of addresses.
fn measure(script: Script) -> Outcome {
    let target = format!("127.0.0.1:{}", serve(script));
    let program = podperf(None);
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -v 3000000 && exec \"$0\" \"$@\""]).arg(program.get_program());
    command.env("PODPERF_CALIBRATION", "/nonexistent").env_remove("PODPERF_TOKEN");
    let args = ["stream", &target, "-t", "0.3", "-O", "0", "--peer-timeout", "3", "-q"];
    Client::launch(command, &args).wait(Duration::from_secs(30))
}

/// A histogram of these bounds that claims `payload` bytes of counts and has `counts`: deflated
/// into one stored block (RFC 1950, RFC 1951), which needs no library.
fn histogram(payload: u32, (low, high, digits): (u64, u64, u32), counts: &[u8]) -> String {
    let mut inner = 0x1c84_9313_u32.to_be_bytes().to_vec();
    inner.extend([payload, 0, digits].iter().flat_map(|word| word.to_be_bytes()));
    inner.extend([low, high, 1.0_f64.to_bits()].iter().flat_map(|word| word.to_be_bytes()));
    inner.extend_from_slice(counts);
    let length = u16::try_from(inner.len()).unwrap();
    let mut body = vec![0x78, 0x01, 0x01];
    body.extend([length, !length].iter().flat_map(|word| word.to_le_bytes()));
    body.extend_from_slice(&inner);
    let (a, b) = inner.iter().fold((1_u32, 0_u32), |(a, b), byte| {
        let a = (a + u32::from(*byte)) % 65_521;
        (a, (b + a) % 65_521)
    });
    body.extend_from_slice(&(b << 16 | a).to_be_bytes());
    let mut bytes = 0x1c84_9314_u32.to_be_bytes().to_vec();
    bytes.extend_from_slice(&u32::try_from(body.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(&body);
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// Bounds of podperf's histograms.
const BOUNDS: (u64, u64, u32) = (1, 60_000_000_000, 3);

/// A distribution as it travels, of no values but for what `histogram` says.
fn distribution(histogram: &str) -> Value {
    json!({"histogram": histogram, "sum_ns": "0", "sum_squares_ns": "0", "min_ns": u64::MAX,
           "max_ns": 0, "out_of_range": 0})
}

#[test]
fn a_histogram_that_claims_more_than_it_has_takes_no_memory() {
    let recorded = record();
    let of = |histogram: String| distribution(&histogram);
    let mut reversed = of(histogram(2, BOUNDS, &[0, 2]));
    (reversed["min_ns"], reversed["max_ns"]) = (json!(900), json!(7));
    let mut sums = of(histogram(2, BOUNDS, &[0, 2]));
    (sums["min_ns"], sums["max_ns"], sums["sum_ns"]) =
        (json!(1), json!(1), json!(u128::MAX.to_string()));
    let endless = [&[0xfe][..], &[0xff; 8]].concat();
    let rows = [
        (of(histogram(u32::MAX, BOUNDS, &[])), "claims 4294967295 bytes of counts and has 0"),
        (of(histogram(3_700_000_000, BOUNDS, &[2; 30])), "claims 3700000000 bytes of counts"),
        (of(histogram(1 << 20, BOUNDS, &[])), "claims 1048576 bytes of counts and has 0"),
        (of(histogram(0, (1, u64::MAX / 2, 5), &[])), "at 5 digits; allowed: 1 to 60000000000"),
        (of(histogram(9, BOUNDS, &endless)), "it counts more than"),
        (reversed, "its smallest value, 900 ns, lies above its largest, 7"),
        (sums, "is not that of 1 values in its range"),
        (of("AAAA".repeat(100_000)), "400000 characters; at most"),
    ];
    for (lie, expected) in rows {
        let mut report = recorded.report.clone();
        report["report"]["schedule"] =
            json!({"due": 1, "late": 0, "max_lateness_ns": 0, "unfinished": 0});
        let empty = distribution(&histogram(0, BOUNDS, &[]));
        report["report"]["pacing"] = json!({"lateness": lie, "inter_send": empty});
        let outcome = measure(Script { stop: framed(&report), ..recorded.script() });
        outcome.assert_failed(4, &["read the lateness histogram", expected]);
        assert!(outcome.stderr.len() < 2_000, "{}", outcome.stderr.len());
    }
    // The truth is taken: nothing moved in the run that was recorded.
    measure(recorded.script()).assert_failed(3, &["nothing was received"]);
}

#[test]
fn lists_that_do_not_fit_the_plan_are_refused_by_name() {
    let recorded = record();
    let times = |list: &Value, count: usize| Value::from(vec![list[0].clone(); count]);
    let truth = recorded.script();

    let mut flows = recorded.open.clone();
    let many = times(&reading(&mut flows)["flows"], 5_000);
    reading(&mut flows)["flows"] = many;
    let mut cpus = recorded.close.clone();
    let softnet = (0..9_000)
        .map(|cpu| (cpu.to_string(), json!({"processed": 0, "dropped": 0, "time_squeeze": 0})));
    reading(&mut cpus)["host"]["softnet"] = softnet.collect();
    let mut report = recorded.report.clone();
    report["report"]["flows"] = times(&report["report"]["flows"], 700);
    let mut ready = recorded.ready.clone();
    ready["ready"]["sockets"] = times(&ready["ready"]["sockets"], 3_000);
    let closings = framed(&recorded.close).repeat(40);
    let rows = [
        (4, Script { open: framed(&flows), ..truth.clone() }, "a reading of 5000 flows"),
        (4, Script { close: framed(&cpus), ..truth.clone() }, "a reading of 9000 CPUs"),
        (4, Script { stop: framed(&report), ..truth.clone() }, "a report on 700 flows"),
        (3, Script { ready, ..truth.clone() }, "facts about 3000 flows; the plan has 1"),
        (
            4,
            Script { close: closings, ..truth.clone() },
            "a reading after that of the window's end",
        ),
        // As long as a server of thousands of flows may have it, and never sent.
        (
            4,
            Script { stop: vec![3, 0, 0, 0], ..truth },
            "message of 50331648 bytes; 1 to 4198400 are allowed",
        ),
    ];
    for (status, script, expected) in rows {
        let outcome = measure(script);
        outcome.assert_failed(status, &[expected]);
    }
}

#[test]
fn texts_without_measure_are_cut() {
    let recorded = record();
    let long = "because ".repeat(60_000);
    let error = json!({"kind": "incomplete", "code": "other", "errno": null, "operation": long,
                       "peer": long, "cause": long, "remedy": long, "stream": null,
                       "at_seconds": null});
    let ended = framed(&json!({"flow_ended": {"flow": 0, "error": error}}));
    let mut report = recorded.report.clone();
    report["report"]["errors"] = vec![error.clone(); 2].into();
    let refused = framed(&json!({"refused": error}));
    let truth = recorded.script();
    for script in [
        Script { open: [truth.open.clone(), ended].concat(), ..truth.clone() },
        Script { stop: framed(&report), ..truth.clone() },
        Script { open: refused, ..truth },
    ] {
        let outcome = measure(script);
        assert_eq!(outcome.status, 4, "{:.300}", outcome.stderr);
        let length = outcome.stderr.len() + outcome.stdout.len();
        assert!(outcome.stderr.contains("because") && length < 40_000, "{length}");
    }
}

/// An error of a peer that would move a terminal's cursor and add a line of its own.
fn error_with_control_characters() -> Value {
    let text = "gone\u{1b}[2J\r\u{7}\u{9b}31m\npodperf: complete";
    json!({"kind": "incomplete", "code": "other", "errno": null, "operation": text, "peer": text,
           "cause": text, "remedy": text, "stream": null, "at_seconds": null})
}

fn assert_moves_no_cursor(outcome: &Outcome) {
    let Outcome { status, stdout, stderr, .. } = outcome;
    assert_eq!(*status, 4, "{stderr:?}");
    assert!(stderr.contains("gone"), "{stderr:?}");
    for shown in [stdout, stderr] {
        let control = shown.chars().find(|char| char.is_control() && *char != '\n');
        assert_eq!(control, None, "{shown:?}");
        assert!(!shown.lines().any(|line| line.starts_with("podperf: complete")), "{shown:?}");
    }
}

#[test]
fn what_a_server_says_is_one_line_and_moves_no_cursor() {
    let recorded = record();
    let error = error_with_control_characters();
    let refused = framed(&json!({"refused": error}));
    let ended = framed(&json!({"flow_ended": {"flow": 0, "error": error}}));
    let mut report = recorded.report.clone();
    report["report"]["errors"] = vec![error].into();
    let truth = recorded.script();
    for script in [
        Script { open: refused, ..truth.clone() },
        Script { open: [truth.open.clone(), ended].concat(), ..truth.clone() },
        Script { stop: framed(&report), ..truth },
    ] {
        assert_moves_no_cursor(&measure(script));
    }
}

/// A coordinator that refuses every agent: instead of a greeting, or once it has joined. Its port.
fn refuse_agents(greets: bool) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for mut control in listener.incoming().flatten() {
            let _ = control.write_all(&Preamble::Control.encode());
            let _ = control.read_exact(&mut [0; 32]);
            let mut agent = WireClient(control);
            if greets {
                let mut hello = hello();
                hello["hello"]["features"] = json!(["coordinate"]);
                agent.send(&hello);
                agent.send(&json!({"welcome": {"proof": null}}));
            }
            agent.send(&json!({"refused": error_with_control_characters()}));
            // Until it leaves, so that what was said is read.
            while agent.receive() != Value::Null {}
        }
    });
    port
}

#[test]
fn what_a_coordinator_says_is_one_line_and_moves_no_cursor() {
    for greets in [false, true] {
        let mut command = podperf(None);
        let config = json!({"agent": "a", "tests": {}, "probes": [], "probe_seconds": 1});
        command.env("PODPERF_AGENT_CONFIG", config.to_string());
        let coordinator = format!("127.0.0.1:{}", refuse_agents(greets));
        let args = ["agent", &coordinator, "--join-timeout", "1s"];
        assert_moves_no_cursor(&Client::launch(command, &args).wait(Duration::from_secs(30)));
    }
}
