//! The state of one flow, as TCP reports it.
//!
//! Enters: a socket. Leaves: the part of TCP_INFO that the results keep.

use std::os::fd::BorrowedFd;

use podperf_model::reading::TcpInfo;
use podperf_sys::tcp_info;

/// TCP_INFO of `socket`; absent when it cannot be read (not a TCP socket).
#[must_use]
pub fn read(socket: BorrowedFd<'_>) -> Option<TcpInfo> {
    tcp_info::tcp_info(socket).ok().as_ref().map(kept)
}

/// The part of TCP_INFO that the results keep.
const fn kept(info: &tcp_info::RawTcpInfo) -> TcpInfo {
    TcpInfo {
        retransmits: info.total_retrans,
        rtt_us: info.rtt,
        rttvar_us: info.rttvar,
        min_rtt_us: info.min_rtt,
        cwnd_segments: info.snd_cwnd,
        mss_bytes: info.snd_mss,
        path_mtu_bytes: info.pmtu,
        delivery_rate_bytes_per_second: info.delivery_rate,
        pacing_rate_bytes_per_second: info.pacing_rate,
        bytes_acked: info.bytes_acked,
        bytes_received: info.bytes_received,
        not_sent_bytes: info.notsent_bytes,
        busy_us: info.busy_time,
        rwnd_limited_us: info.rwnd_limited,
        sndbuf_limited_us: info.sndbuf_limited,
        segments_out: info.segs_out,
        segments_in: info.segs_in,
        delivered_ce: info.delivered_ce,
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn tcp_info_is_read_of_a_socket_and_of_no_other_file() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let info = read(socket.as_fd()).unwrap();
        assert!(info.mss_bytes > 0 && info.path_mtu_bytes >= info.mss_bytes, "{info:?}");
        assert_eq!(read(std::fs::File::open("/dev/null").unwrap().as_fd()), None);
    }
}
