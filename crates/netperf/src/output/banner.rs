//! The first line: which test runs between whom, and what is special about it.

use std::fmt::Write as _;

use crate::options::Options;
use crate::test_kind::{NetperfTest, TestDirection};

/// Both ends' names and addresses as the resolver has them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// Canonical name of the own data address.
    pub local_name: String,
    /// The own data address; all zeros where none was asked for.
    pub local_address: String,
    /// Canonical name of the host that data goes to.
    pub remote_name: String,
    /// Its address.
    pub remote_address: String,
}

/// The banner with its line end; empty for tests that have none.
#[must_use]
pub fn banner(options: &Options, names: &Names) -> String {
    let Some(name) = name(options) else { return String::new() };
    let data = &options.data;
    let local = end(&names.local_name, &names.local_address, data.ports.local);
    let remote = end(&names.remote_name, &names.remote_address, data.ports.remote);
    let mut line = format!("{name} TEST from {local} to {remote}");
    if let Some(goal) = options.confidence {
        let half = goal.width_percent / 2.0;
        let _ = write!(line, " : +/-{half:.3}% @ {}% conf. ", goal.level);
        if goal.result_only {
            line.push_str(" on result only");
        }
    }
    for (holds, part) in [
        (data.no_delay, " : nodelay"),
        (data.copy_avoidance, " : copy avoidance"),
        (options.pace.local.is_some(), " : interval"),
        // netperf says what it was built with, and many a build is silent about histograms.
        (true, " : demo"),
    ] {
        if holds {
            line.push_str(part);
        }
    }
    if matches!(options.test, NetperfTest::TcpRr | NetperfTest::UdpRr) {
        let _ = write!(line, " : first burst {}", data.burst.unwrap_or(0));
    }
    if options.cpus.local.is_some() || options.cpus.remote.is_some() {
        line.push_str(" : cpu bind");
    }
    line.push('\n');
    line
}

fn name(options: &Options) -> Option<String> {
    let name = match options.test {
        NetperfTest::TcpStream => "MIGRATED TCP STREAM",
        NetperfTest::TcpMaerts => "MIGRATED TCP MAERTS",
        NetperfTest::TcpSendfile => "TCP SENDFILE",
        NetperfTest::TcpRr => "MIGRATED TCP REQUEST/RESPONSE",
        NetperfTest::TcpCrr => "MIGRATED TCP Connect/Request/Response",
        NetperfTest::TcpCc => "TCP Connect/Close",
        NetperfTest::UdpStream => "MIGRATED UDP STREAM",
        NetperfTest::UdpRr => "MIGRATED UDP REQUEST/RESPONSE",
        NetperfTest::Omni => return Some(format!("OMNI {}", direction(options.shape.direction))),
        NetperfTest::Uuid | NetperfTest::LocCpu | NetperfTest::RemCpu => return None,
    };
    Some(name.to_owned())
}

/// A direction in netperf's words.
pub(super) const fn direction(direction: TestDirection) -> &'static str {
    match direction {
        TestDirection::Send => "Send",
        TestDirection::Receive => "Receive",
        TestDirection::RequestResponse => "Send|Recv",
        TestDirection::ConnectRequestResponse => "Connect|Send|Recv",
        TestDirection::Connect => "Connection",
    }
}

/// One end. netperf shows an address only if its text has at most seven characters.
fn end(name: &str, address: &str, port: u16) -> String {
    let shown = if address.len() <= 7 { address } else { "" };
    let family = if address.contains(':') { "AF_INET6" } else { "AF_INET" };
    format!("{name} ({shown}) port {port} {family}")
}
