//! What is said of tests that came to nothing, by what both ends counted.

use super::*;
use crate::options::{SelectableFigures, netperf};
use crate::output;

const SECONDS: Duration = Duration::from_secs(10);

fn options(words: &str) -> Box<Options> {
    let figures = SelectableFigures { is_name: output::is_name, listing: output::listing };
    let words: Vec<_> = words.split_whitespace().map(Into::into).collect();
    netperf(&words, figures).unwrap()
}

/// What is said of such a test, and whether netserver may have nothing to tell.
fn told(words: &str, totals: &Totals, results: Option<&OmniResults>) -> Option<String> {
    let options = options(words);
    let data_peer = "192.0.2.2:12865".parse().unwrap();
    let diagnosis = Diagnosis { options: &options, data_peer, shares_port: true };
    diagnosis.cause(totals, results).map(|error| error.to_string())
}

fn counted(counters: EndCounters) -> Totals {
    Totals { counters, elapsed: SECONDS, ..Totals::default() }
}

fn received(bytes_received: u64) -> OmniResults {
    let counters = EndCounters { bytes_received, ..EndCounters::default() };
    OmniResults { counters, elapsed_seconds: 10.0, ..OmniResults::default() }
}

fn reset() -> Error {
    let reset = std::io::Error::from_raw_os_error(libc::ECONNRESET);
    Error::system(Kind::Incomplete, "send to", &reset)
}

#[test]
fn what_moved_to_the_end_needs_no_words() {
    let bytes = counted(EndCounters { bytes_received: 5, ..EndCounters::default() });
    let transactions = counted(EndCounters { transactions: 5, ..EndCounters::default() });
    assert_eq!(told("-t TCP_STREAM", &Totals::default(), Some(&received(5))), None);
    assert_eq!(told("-t UDP_STREAM", &Totals::default(), Some(&received(5))), None);
    assert_eq!(told("-t TCP_MAERTS", &bytes, None), None);
    for test in ["TCP_RR", "UDP_RR", "TCP_CRR", "TCP_CC"] {
        assert_eq!(told(&format!("-t {test}"), &transactions, Some(&received(5))), None);
    }
    // What was handed over and acknowledged, where netserver told nothing; datagrams may have come.
    assert_eq!(told("-t TCP_STREAM", &Totals { delivered: 5, ..Totals::default() }, None), None);
    assert_eq!(told("-t UDP_STREAM", &Totals::default(), None), None);
}

#[test]
fn nothing_that_moved_is_an_error_of_every_test() {
    let nothing = counted(EndCounters { send_calls: 7, failed_sends: 3, ..EndCounters::default() });
    for (test, says) in [
        ("TCP_STREAM", "not a byte arrived in 10.0 s"),
        ("TCP_MAERTS", "not a byte came in 10.0 s"),
        ("TCP_RR", "not one response came in 10.0 s"),
        ("UDP_RR", "not one response came in 10.0 s"),
        ("UDP_STREAM", "not one datagram arrived: 7 were sent, 3 sends failed"),
        ("TCP_CRR", "connect_data_socket 192.0.2.2:12865: no connection stood within 10.0 s"),
        ("TCP_CC", "no connection stood within 10.0 s"),
        ("OMNI -- -T udp -d recv", "not one datagram came in 10.0 s"),
    ] {
        let text = told(&format!("-t {test}"), &nothing, Some(&received(0))).unwrap();
        assert!(text.contains(says), "{test}: {text}");
    }
    // The system's reason, where there is one.
    let refused = Totals { errors: vec![reset()], ..nothing };
    let text = told("-t TCP_CRR", &refused, None).unwrap();
    assert!(text.contains("Connection reset by peer") && text.contains("affinity"), "{text}");
    // A signal that came at once left no time for anything.
    let stopped = Some(Kind::Interrupted);
    let early = Totals { stopped, elapsed: Duration::from_millis(900), ..Totals::default() };
    assert_eq!(told("-t TCP_RR", &early, None), None);
    assert!(told("-t TCP_RR", &Totals { elapsed: SECONDS, ..early }, None).is_some());
}

#[test]
fn a_connection_that_stands_and_passes_nothing_large_is_the_path_mtu() {
    let mut resent = counted(EndCounters::default());
    resent.end.retransmits = Some(4);
    resent.end.mss = Some(1448);
    let large = |words: &str| {
        let text = told(words, &resent, None).unwrap();
        text.contains("small packets pass and segments of up to 1448 bytes do not")
    };
    assert!(large("-t TCP_STREAM") && large("-t TCP_RR -- -r 1,4K"));
    // As small as what passes everywhere.
    assert!(!large("-t TCP_RR"));
    // netserver's end has sent again.
    let nothing = counted(EndCounters::default());
    let remote = OmniResults { retransmits: Some(3), ..received(0) };
    let text = told("-t TCP_MAERTS", &nothing, Some(&remote)).unwrap();
    assert!(text.contains("small packets pass"), "{text}");
    let connected = Totals { connected: true, ..nothing };
    let text = told("-t TCP_CRR -- -r 4K", &connected, None).unwrap();
    assert!(text.contains("small packets pass"), "{text}");
}

#[test]
fn data_that_reached_another_netserver_is_told_by_what_the_one_asked_has() {
    let broken = Totals { errors: vec![reset()], ..counted(EndCounters::default()) };
    let never = OmniResults::default();
    let text = told("-t TCP_STREAM", &broken, Some(&never)).unwrap();
    assert!(text.contains("another netserver") && text.contains("ClientIP"), "{text}");
    // It ended at once, and no error said so.
    let text = told("-t TCP_MAERTS", &counted(EndCounters::default()), Some(&never)).unwrap();
    assert!(text.contains("another netserver"), "{text}");
    // It had the data.
    let text = told("-t TCP_RR", &broken, Some(&received(1))).unwrap();
    assert!(!text.contains("another netserver"), "{text}");
}

#[test]
fn a_last_part_that_brought_nothing_is_told() {
    let counters = EndCounters { transactions: 5, bytes_received: 5, ..EndCounters::default() };
    let idle = |ms| Totals { idle: Duration::from_millis(ms), ..counted(counters) };
    for test in ["TCP_RR", "UDP_RR", "TCP_CRR", "TCP_MAERTS"] {
        assert_eq!(told(&format!("-t {test}"), &idle(990), Some(&received(5))), None);
        let text = told(&format!("-t {test}"), &idle(2000), Some(&received(5))).unwrap();
        assert!(text.contains("nothing came any more for 2.0 s"), "{text}");
    }
    // What is on its way when the time is over arrives, or the end of the stream tells.
    assert_eq!(told("-t TCP_STREAM", &idle(2000), Some(&received(5))), None);
    // It was to pause.
    let paced = "-t TCP_RR -b 1 -w 2s";
    assert_eq!(told(paced, &idle(2000), Some(&received(5))), None);
    assert_eq!(told("-t UDP_RR -- -e 2", &idle(2000), Some(&received(5))), None);
}
