//! Command lines of netperf and netserver: options within their bounds, or words for a terminal.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;

use podperf_netperf::options::{ExitMessage, Options, SelectableFigures, netperf, netserver};
use podperf_netperf::output;
use podperf_netperf::test_kind::{MAX_DATAGRAM_BYTES, MAX_STREAMS, Protocol};

/// Checks the words of one command line, which stand between line ends.
pub fn check(data: &[u8]) {
    let Some((program, data)) = data.split_first() else { return };
    // No name of a file elsewhere: -F opens it.
    let byte = |&byte: &u8| if byte == b'/' { b'|' } else { byte };
    let words = data.split(|byte| *byte == b'\n').take(64);
    let words: Vec<OsString> =
        words.map(|word| OsString::from_vec(word.iter().map(byte).collect())).collect();
    if program % 2 == 0 {
        match options(&words) {
            Ok(options) => check_netperf(&options, &words),
            Err(message) => assert_said(&message),
        }
    } else {
        match netserver(&words) {
            Ok(options) => {
                assert!(options.data_ports.as_ref().is_none_or(|ports| *ports.start() > 0));
                assert!(options.idle_timeout.as_secs() >= 1);
                assert_eq!(netserver(&words), Ok(options));
            }
            Err(message) => assert_said(&message),
        }
    }
}

/// netperf's options out of its words.
pub(super) fn options(words: &[OsString]) -> Result<Box<Options>, ExitMessage> {
    let figures = SelectableFigures { is_name: output::is_name, listing: output::listing };
    netperf(words, figures)
}

fn check_netperf(options: &Options, words: &[OsString]) {
    let data = &options.data;
    assert!((1..=MAX_STREAMS).contains(&options.streams), "{} streams", options.streams);
    assert!(data.request_bytes > 0 && data.response_bytes > 0);
    if options.shape.protocol == Protocol::Udp && options.shape.direction.transacts() {
        assert!(data.request_bytes.max(data.response_bytes) <= MAX_DATAGRAM_BYTES);
    }
    assert!(!options.host.is_empty());
    for percent in &options.percentiles {
        assert!(*percent > 0.0 && *percent <= 100.0, "percentile {percent}");
    }
    if let Some((low, high)) = data.client_ports {
        assert!(low > 0 && low <= high, "ports {low} to {high}");
    }
    if let Some(goal) = options.confidence {
        assert!(goal.iterations.0 <= goal.iterations.1, "{goal:?}");
        assert!(goal.width_percent.is_finite() && goal.width_percent > 0.0, "{goal:?}");
    }
    assert_eq!(self::options(words).as_deref(), Ok(options), "the same words twice");
}

/// What is not carried out says something.
fn assert_said(message: &ExitMessage) {
    assert!(!message.out.is_empty() || !message.err.is_empty(), "ended without a word");
}
