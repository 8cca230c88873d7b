//! Tests by name, and what each does on its data connections.
//!
//! Enters: a name, and the options that bear on it. Leaves: the test and its shape.

use super::ExitMessage;
use super::partial::Hints;
use crate::test_kind::{NetperfTest, Protocol, TestDirection, TestShape};

/// Families of tests that some netperf has and podperf has not.
const ELSEWHERE: [&str; 10] =
    ["SCTP_", "STREAM_", "DG_", "DCCP_", "SDP_", "XTI_", "DLPI_", "TCP_MSS", "TCPIPV6_", "TCP_TR"];

/// The test of that name, in any case.
pub(super) fn test(name: &str) -> Result<NetperfTest, ExitMessage> {
    let name = name.to_ascii_uppercase();
    if let Some(test) = NetperfTest::ALL.into_iter().find(|test| test.name() == name) {
        return Ok(test);
    }
    let out = format!(
        "The test you requested ({name}) is unknown to this netperf.\n\
         Please verify that you have the correct test name, \n\
         and that test family has been compiled into this netperf.\n"
    );
    let err = if ELSEWHERE.iter().any(|family| name.starts_with(family)) {
        let names = NetperfTest::ALL.map(NetperfTest::name).join(", ");
        format!("netperf: podperf does not have {name}; it has {names}\n")
    } else {
        String::new()
    };
    Err(ExitMessage { out, err, status: 1 })
}

/// What the test does. Only omni goes by `-d`; all go by `-T`, those that transact by `-c`.
pub(super) fn shape(test: NetperfTest, hints: &Hints) -> Result<TestShape, String> {
    let asked = hints.protocol.or(hints.socket);
    let TestShape { protocol: own, direction } = test.shape();
    let direction = if test == NetperfTest::Omni { omni(hints) } else { direction };
    let direction = match direction {
        TestDirection::RequestResponse if hints.connections => {
            TestDirection::ConnectRequestResponse
        }
        direction => direction,
    };
    let protocol = asked.unwrap_or(own);
    if protocol == Protocol::Udp && (!direction.lasts() || test == NetperfTest::TcpSendfile) {
        return Err("UDP has no connections: -c, CRR, CC and SENDFILE need -T tcp".to_owned());
    }
    Ok(TestShape { protocol, direction })
}

fn omni(hints: &Hints) -> TestDirection {
    let transfer = hints.direction.unwrap_or(hints.sizes);
    let both = transfer.sends && transfer.receives;
    let transacts = if hints.direction.is_some() { both } else { both || hints.transactions };
    if transfer.connects {
        TestDirection::ConnectRequestResponse
    } else if transacts {
        TestDirection::RequestResponse
    } else if hints.connections {
        TestDirection::Connect
    } else if transfer.receives {
        TestDirection::Receive
    } else {
        TestDirection::Send
    }
}
