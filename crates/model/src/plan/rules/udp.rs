//! Rules about UDP runs.

use std::time::Duration;

use humantime::format_duration;

use super::{at_least, within};
use crate::error::{Error, Result};
use crate::plan::SocketPlan;
use crate::plan::udp::{HEADER_BYTES, MAX_DATAGRAM_BYTES, Offload, UdpPlan, UdpRrPlan};
use crate::units::{BitRate, Bytes};

/// A byte per second: less is a slip of the pen.
const MIN_RATE: BitRate = BitRate(8);
/// A response may take so long.
const MAX_TIMEOUT: Duration = Duration::from_secs(60);

/// What holds for streams of datagrams.
pub(super) fn check_stream(udp: &UdpPlan) -> Result<()> {
    if let Some(bytes) = udp.datagram_bytes {
        within("--length", bytes, Bytes(HEADER_BYTES as u64)..=Bytes(MAX_DATAGRAM_BYTES))?;
        if udp.gso == Offload::On && bytes.0 * 2 > MAX_DATAGRAM_BYTES {
            let most = MAX_DATAGRAM_BYTES / 2;
            let allowed = format!("allowed: auto or off with datagrams above {most} B (--length)");
            return Err(Error::usage("--gso", "on", allowed));
        }
    }
    if udp.gso == Offload::On && udp.fragment {
        let allowed = "allowed: auto or off with --fragment: the kernel does not fragment what it \
                       cuts into segments";
        return Err(Error::usage("--gso", "on", allowed));
    }
    udp.bits_per_second.map_or(Ok(()), |rate| at_least("--bitrate", rate, MIN_RATE))
}

/// What holds for requests and responses of one datagram each.
pub(super) fn check_rr(rr: &UdpRrPlan) -> Result<()> {
    within("--request", rr.request_bytes, Bytes(1)..=Bytes(MAX_DATAGRAM_BYTES))?;
    within("--response", rr.response_bytes, Bytes(1)..=Bytes(MAX_DATAGRAM_BYTES))?;
    if rr.timeout < Duration::from_millis(1) || rr.timeout > MAX_TIMEOUT {
        let allowed = format!("allowed: 1ms to {}", format_duration(MAX_TIMEOUT));
        return Err(Error::usage("--timeout", format_duration(rr.timeout), allowed));
    }
    Ok(())
}

/// Options that only TCP has.
pub(super) fn check_socket(socket: &SocketPlan) -> Result<()> {
    let tcp_only = "allowed: with TCP only";
    if let Some(name) = &socket.congestion_control {
        return Err(Error::usage("--congestion", name.escape_debug(), tcp_only));
    }
    if let Some(mss) = socket.mss_bytes {
        return Err(Error::usage("--mss", mss, tcp_only));
    }
    for (option, asked) in [("--mptcp", socket.mptcp), ("--quick-ack", socket.quick_ack)] {
        if asked {
            return Err(Error::usage(option, "on", tcp_only));
        }
    }
    Ok(())
}
