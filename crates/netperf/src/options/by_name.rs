//! Tests by name, and what each does on its data connections.
//!
//! Enters: a name, and the options that bear on it. Leaves: the test and its shape.

use super::Refusal;
use super::data::Hints;
use crate::test::{Direction, Protocol, Shape, Test};

const TESTS: [(&str, Test); 12] = [
    ("TCP_STREAM", Test::TcpStream),
    ("TCP_MAERTS", Test::TcpMaerts),
    ("TCP_RR", Test::TcpRr),
    ("TCP_CRR", Test::TcpCrr),
    ("UDP_STREAM", Test::UdpStream),
    ("UDP_RR", Test::UdpRr),
    ("OMNI", Test::Omni),
    ("TCP_SENDFILE", Test::TcpSendfile),
    ("TCP_CC", Test::TcpCc),
    ("UUID", Test::Uuid),
    ("LOC_CPU", Test::LocCpu),
    ("REM_CPU", Test::RemCpu),
];

/// Families of tests that some netperf has and podperf has not.
const ELSEWHERE: [&str; 10] =
    ["SCTP_", "STREAM_", "DG_", "DCCP_", "SDP_", "XTI_", "DLPI_", "TCP_MSS", "TCPIPV6_", "TCP_TR"];

/// The test of that name, in any case.
pub(super) fn test(name: &str) -> Result<Test, Refusal> {
    let name = name.to_ascii_uppercase();
    if let Some((_, test)) = TESTS.iter().find(|(known, _)| *known == name) {
        return Ok(*test);
    }
    let out = format!(
        "The test you requested ({name}) is unknown to this netperf.\n\
         Please verify that you have the correct test name, \n\
         and that test family has been compiled into this netperf.\n"
    );
    let err = if ELSEWHERE.iter().any(|family| name.starts_with(family)) {
        let names: Vec<&str> = TESTS.iter().map(|(name, _)| *name).collect();
        format!("netperf: podperf does not have {name}; it has {}\n", names.join(", "))
    } else {
        String::new()
    };
    Err(Refusal { out, err, status: 1 })
}

/// What the test does. Only omni goes by `-d`; all go by `-T`, those that transact by `-c`.
pub(super) fn shape(test: Test, hints: &Hints) -> Result<Shape, String> {
    let asked = hints.protocol.or(hints.socket);
    let Shape { protocol: own, direction } = test.shape();
    let direction = if test == Test::Omni { omni(hints) } else { direction };
    let direction = match direction {
        Direction::RequestResponse if hints.connections => Direction::ConnectRequestResponse,
        direction => direction,
    };
    let protocol = asked.unwrap_or(own);
    if protocol == Protocol::Udp && (!direction.lasts() || test == Test::TcpSendfile) {
        return Err("UDP has no connections: -c, CRR, CC and SENDFILE need -T tcp".to_owned());
    }
    Ok(Shape { protocol, direction })
}

fn omni(hints: &Hints) -> Direction {
    let way = hints.direction.unwrap_or(hints.sizes);
    let both = way.sends && way.receives;
    let transacts = if hints.direction.is_some() { both } else { both || hints.transactions };
    if way.connects {
        Direction::ConnectRequestResponse
    } else if transacts {
        Direction::RequestResponse
    } else if hints.connections {
        Direction::Connect
    } else if way.receives {
        Direction::Receive
    } else {
        Direction::Send
    }
}
