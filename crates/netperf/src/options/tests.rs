//! Both command lines: those that netperf's known users type, and the corners of the rules.

mod clients;
mod server;
mod words;

use super::*;
use crate::output::{self, wants_latency};
use crate::test_kind::{Protocol, TestDirection};
use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::ffi::OsStringExt as _;

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

fn netperf(words: &[OsString]) -> Result<Box<Options>, ExitMessage> {
    let figures = SelectableFigures { is_name: output::is_name, listing: output::listing };
    super::netperf(words, figures)
}

fn run(words: &[OsString]) -> Options {
    match netperf(words) {
        Ok(options) => *options,
        other => panic!("{words:?}: {other:?}"),
    }
}

/// Read without a word on standard error.
fn quiet(line: &str) -> Options {
    let options = run(&words(line));
    assert_eq!(options.notes, [""; 0], "{line}");
    options
}

fn refusal(line: &str) -> ExitMessage {
    match netperf(&words(line)) {
        Err(refusal) => refusal,
        other => panic!("{line}: {other:?}"),
    }
}

fn names(options: &Options) -> Vec<String> {
    let selection = options.data.selection.as_ref().unwrap();
    selection.blocks.as_ref().unwrap().concat()
}

const fn pair<T>(local: T, remote: T) -> PerEnd<T> {
    PerEnd { local, remote }
}

#[test]
fn nothing_typed_is_a_tcp_stream_of_ten_seconds() {
    let options = quiet("");
    assert_eq!(
        options,
        Options {
            host: "localhost".to_owned(),
            command_line: "netperf".to_owned(),
            ..Options::default()
        }
    );
    assert_eq!(options.ports, pair(0, 12865));
    assert_eq!(quiet("-6").host, "::1");
}

#[test]
fn pacing_takes_both_options() {
    let pace = |millis| Some(Pace { operations: 10, every: Duration::from_millis(millis) });
    assert_eq!(quiet("-b 10 -w 5").pace, pair(pace(5), None));
    assert_eq!(quiet("-b 10,10 -w 2000u,1s").pace, pair(pace(2), pace(1000)));
    assert_eq!(run(&words("-b 10")).notes.len(), 1);
    assert_eq!(quiet("-D 1,m").interim_unit, Some(Unit::Bits(2)));
    assert_eq!(quiet("-D 1,1000").interim_unit, None);
}

#[test]
fn confidence_is_clamped() {
    let goal = |line: &str| run(&words(line)).confidence.unwrap();
    assert_eq!(goal("-I 95,2.5 -r").iterations, (3, 10));
    assert!(goal("-I 95,2.5 -r").result_only);
    assert_eq!(goal("-i 99,1").iterations, (3, 30));
    assert_eq!(goal("-i 5").iterations, (5, 5));
    assert_eq!(goal("-i 1,1 -I ,1").level, 99);
    assert_eq!(goal("-I 99").width_percent, 99.0);
    assert_eq!(run(&words("-I 99")).notes.len(), 1, "a width of 99% was hardly meant");
    let refused = refusal("-I 90,5");
    assert_eq!(refused.out, "Only 95% and 99% confidence level is supported\n");
    assert_eq!((refused.err.as_str(), refused.status), ("", 255));
}

#[test]
fn tests_have_names() {
    let refused = refusal("-t foo");
    assert!(refused.out.starts_with("The test you requested (FOO) is unknown to this netperf.\n"));
    assert_eq!(refused.out.lines().count(), 3);
    assert_eq!((refused.err.as_str(), refused.status), ("", 1));
    for name in ["SCTP_STREAM", "sctp_rr", "STREAM_STREAM", "DG_RR", "DCCP_RR", "TCP_MSS"] {
        assert!(refusal(&format!("-t {name}")).err.contains("podperf does not have"), "{name}");
    }
    for (line, test) in [
        ("-t tcp_cc", NetperfTest::TcpCc),
        ("-t REM_CPU", NetperfTest::RemCpu),
        ("-t LOC_CPU", NetperfTest::LocCpu),
        ("-t uuid", NetperfTest::Uuid),
        ("-t Omni", NetperfTest::Omni),
    ] {
        assert_eq!(quiet(line).test, test);
    }
}

/// Each line was run by netperf 2.7.0, which reported the direction beside it.
#[test]
fn omni_goes_where_netperf_goes() {
    use TestDirection::{Connect, ConnectRequestResponse, Receive, RequestResponse, Send};
    for (line, direction) in [
        ("-t omni", Send),
        ("-t omni -- -d recv -m 1K", Receive),
        ("-t omni -- -m 1K,1K", RequestResponse),
        ("-t omni -- -r 1", RequestResponse),
        ("-t omni -- -M 1K", Send),
        ("-t omni -- -M ,1K", Receive),
        ("-t omni -- -d send -r 1", Send),
        ("-t omni -- -c", Connect),
        ("-t omni -- -c -r 1", ConnectRequestResponse),
        ("-t omni -- -c -d rr", ConnectRequestResponse),
        ("-t omni -- -d 4", Receive),
        ("-t omni -- -d 6", RequestResponse),
        ("-t omni -- -d send|recv", RequestResponse),
        ("-t TCP_STREAM -- -d recv", Send),
        ("-t TCP_STREAM -- -c", Send),
        ("-t TCP_RR -- -d recv", RequestResponse),
        ("-t TCP_RR -- -c", ConnectRequestResponse),
    ] {
        assert_eq!(quiet(line).shape.direction, direction, "{line}");
    }
    assert_eq!(quiet("-t TCP_STREAM -- -T udp").shape.protocol, Protocol::Udp);
    assert_eq!(quiet("-t omni -- -t dgram").shape.protocol, Protocol::Udp);
    for line in ["-t omni -- -d up", "-- -T sctp", "-t TCP_CRR -- -T udp", "-t UDP_RR -- -c"] {
        assert_eq!(refusal(line).status, 1, "{line}");
    }
}

#[test]
fn figures_are_selected_by_list_or_file() {
    let list = |format| ExitMessage::printed(output::listing(format), 1);
    assert_eq!(netperf(&words("-- -k ?")), Err(list(Format::KeyValue)));
    assert_eq!(netperf(&words("-- -O ? -D")), Err(list(Format::Human)));
    let blocks = |line: &str| quiet(line).data.selection.unwrap().blocks.unwrap();
    assert_eq!(
        blocks("-- -O throughput,elapsed_time;uuid"),
        [vec!["THROUGHPUT", "ELAPSED_TIME"], vec!["UUID"]]
    );
    assert_eq!(blocks("-- -o throughput -k"), [["THROUGHPUT"]]);
    assert_eq!(blocks("-- -k P95_latency"), [["P95_LATENCY"]]);
    let refused = refusal("-- -k NO_SUCH_FILE");
    assert_eq!(refused.out, "Could not open output selection file 'NO_SUCH_FILE' errno 2\n");
    assert_eq!((refused.err.as_str(), refused.status), ("", 255));
    assert!(refusal("-- -O UUID;UUID;UUID;UUID;UUID").err.contains("5 blocks"));
    assert!(refusal("-- -k ,").err.contains("0 blocks"));

    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(b"throughput, Elapsed Time (sec)\n\nuuid protocol\n").unwrap();
    let line = format!("-- -k {}", file.path().display());
    assert_eq!(
        blocks(&line),
        [vec!["THROUGHPUT", "Elapsed Time (sec)"], vec!["UUID", "PROTOCOL"],]
    );
}

#[test]
fn podperfs_own_options() {
    let options = quiet(
        "--json --streams=8 --percentiles 75,99.95 --native off --peer-timeout 2.5 -H h -- -D",
    );
    assert_eq!(options.peer_timeout, Some(std::time::Duration::from_millis(2_500)));
    assert!(options.json && !options.native && options.data.no_delay && wants_latency(&options));
    assert_eq!((options.streams, options.percentiles), (8, vec![75.0, 99.95]));
    assert!(quiet("--native auto").native);
    for line in [
        "--streams 0",
        "--streams 10001",
        "--streams 2 -t TCP_CRR",
        "--streams 2 -t UDP_STREAM",
        "--streams 2 -t UUID",
        "--streams 2 -- -P 5000",
        "--percentiles 0",
        "--percentiles 50,x",
        "--peer-timeout 0",
        "--native on",
        "--json -- -k UUID",
        "-I 99,5 -l 0",
        "-t UDP_STREAM -- -m 65508",
        "-t UDP_RR -- -r 70000",
        "-- -p 9000,8000",
        "-F /no/such/file",
        "-F /",
        "-H h,7",
        "-- -H 10.0.0.0/24",
        "-- -P 65536",
    ] {
        let refused = refusal(line);
        assert!(refused.err.starts_with("netperf: ") && refused.err.ends_with('\n'), "{refused:?}");
        assert_eq!((refused.err.lines().count(), refused.status), (1, 1), "{line}");
    }
    assert_eq!(quiet("--streams 2 -- -P ,5000").data.ports, pair(0, 5000));
}

#[test]
fn questions_are_answered() {
    let Err(ExitMessage { out, status, .. }) = netperf(&words("-V")) else { panic!("no text") };
    assert!(out.starts_with("Netperf version 2.7.1\npodperf version ") && status == 0);
    assert!(refusal("-h").err.starts_with("Usage: netperf "));
    assert!(refusal("-- -h").err.starts_with("Usage: netperf [options] -- "));
    assert!(matches!(netperf(&words("--help")), Err(ExitMessage { status: 0, .. })));
    for text in [usage::NETPERF, usage::TEST, usage::NETSERVER] {
        assert!(text.lines().all(|line| line.chars().count() <= 100));
    }
}

#[test]
fn services_have_names() {
    let list = "# a list\nhttp 80/tcp www # web\nbad x/tcp\nnetperf 12865/tcp\n\nlone\n";
    assert_eq!(global::service(list, "www"), Some(80));
    assert_eq!(global::service(list, "netperf"), Some(12865));
    assert_eq!(global::service(list, "web"), None);
    assert_eq!(global::service(list, "bad"), None);
}
