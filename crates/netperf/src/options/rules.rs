//! Options that cannot go together.
//!
//! Enters: options read. Leaves: the first rule that they break, before any traffic.

use super::Options;
use crate::test_kind::{MAX_DATAGRAM_BYTES, MAX_STREAMS, NetperfTest, Protocol, TestLength};

/// The first rule that is broken.
pub(super) fn check(options: &Options) -> Result<(), String> {
    check_streams(options)?;
    check_datagrams(options)?;
    let data = &options.data;
    if options.confidence.is_some() && options.length == TestLength::UntilTold {
        return Err("-l 0 goes on until a signal: -I and -i need a length".to_owned());
    }
    if options.json && prints_a_word(options) {
        let test = options.test.name();
        return Err(format!("--json: {test} measures nothing and prints one value; leave it out"));
    }
    if options.json && data.selection.is_some() {
        return Err("--json prints everything: leave out -o, -O and -k, or --json".to_owned());
    }
    if let Some((low, high)) = data.client_ports
        && (low > high || low == 0)
    {
        return Err(format!("-p {low},{high} behind --: no range of ports"));
    }
    Ok(())
}

const fn prints_a_word(options: &Options) -> bool {
    matches!(options.test, NetperfTest::Uuid | NetperfTest::LocCpu | NetperfTest::RemCpu)
}

fn check_streams(options: &Options) -> Result<(), String> {
    let streams = options.streams;
    if streams == 1 {
        return Ok(());
    }
    if streams > MAX_STREAMS {
        return Err(format!("--streams {streams}: at most {MAX_STREAMS}"));
    }
    if prints_a_word(options) {
        return Err("--streams: this test has no data connections".to_owned());
    }
    if !options.shape.direction.lasts() {
        return Err("--streams: a test of connections has one at a time; start several".to_owned());
    }
    if options.shape.protocol == Protocol::Udp {
        return Err("--streams: TCP tests alone have several; start several".to_owned());
    }
    if options.data.ports.local != 0 {
        let port = options.data.ports.local;
        return Err(format!(
            "--streams {streams}: all cannot have port {port}; give netserver's, as -P ,{port}"
        ));
    }
    Ok(())
}

fn check_datagrams(options: &Options) -> Result<(), String> {
    if options.shape.protocol != Protocol::Udp {
        return Ok(());
    }
    let data = &options.data;
    let sizes = if options.shape.direction.transacts() {
        [("-r", Some(data.request_bytes)), ("-r", Some(data.response_bytes))]
    } else {
        [("-m", data.send_bytes.local), ("-m", data.send_bytes.remote)]
    };
    for (option, size) in sizes {
        if let Some(size) = size.filter(|size| *size > MAX_DATAGRAM_BYTES) {
            return Err(format!(
                "{option} {size}: a UDP datagram has {MAX_DATAGRAM_BYTES} bytes at most"
            ));
        }
    }
    Ok(())
}
