//! TCP_INFO (tcp(7)): what the kernel reports about one TCP socket.
//!
//! Enters: a socket. Leaves: `struct tcp_info` of linux/tcp.h. libc's copy ends before the counters
//! of bytes and limits, so the layout stands here.

use std::io;
use std::mem::{offset_of, size_of};
use std::os::fd::BorrowedFd;

use crate::option::{OptionValue, get};

/// `struct tcp_info` as of Linux 6.2, in the kernel's names without `tcpi_`. Only ever grown at its
/// end: an older kernel returns fewer bytes, and the fields past them are 0 here.
#[expect(missing_docs, reason = "linux/tcp.h describes the fields")]
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(C)]
pub struct RawTcpInfo {
    pub state: u8,
    pub ca_state: u8,
    pub retransmits: u8,
    pub probes: u8,
    pub backoff: u8,
    pub options: u8,
    /// Send window scale in the lower four bits, receive window scale in the upper four (on
    /// little-endian machines).
    pub wscale: u8,
    /// Bit fields: delivery rate limited by the application, TCP Fast Open failure.
    pub flags: u8,
    pub rto: u32,
    pub ato: u32,
    pub snd_mss: u32,
    pub rcv_mss: u32,
    pub unacked: u32,
    pub sacked: u32,
    pub lost: u32,
    pub retrans: u32,
    pub fackets: u32,
    pub last_data_sent: u32,
    pub last_ack_sent: u32,
    pub last_data_recv: u32,
    pub last_ack_recv: u32,
    pub pmtu: u32,
    pub rcv_ssthresh: u32,
    /// Microseconds.
    pub rtt: u32,
    /// Microseconds.
    pub rttvar: u32,
    pub snd_ssthresh: u32,
    /// Segments.
    pub snd_cwnd: u32,
    pub advmss: u32,
    pub reordering: u32,
    pub rcv_rtt: u32,
    pub rcv_space: u32,
    pub total_retrans: u32,
    /// Bytes per second.
    pub pacing_rate: u64,
    /// Bytes per second.
    pub max_pacing_rate: u64,
    /// On the connecting side one more than the bytes of payload: its SYN counts.
    pub bytes_acked: u64,
    pub bytes_received: u64,
    pub segs_out: u32,
    pub segs_in: u32,
    pub notsent_bytes: u32,
    /// Microseconds; `u32::MAX`: none seen yet.
    pub min_rtt: u32,
    pub data_segs_in: u32,
    pub data_segs_out: u32,
    /// Bytes per second.
    pub delivery_rate: u64,
    /// Microseconds, counted by the kernel's timer tick (as are the two below).
    pub busy_time: u64,
    /// Microseconds.
    pub rwnd_limited: u64,
    /// Microseconds.
    pub sndbuf_limited: u64,
    pub delivered: u32,
    pub delivered_ce: u32,
    pub bytes_sent: u64,
    pub bytes_retrans: u64,
    pub dsack_dups: u32,
    pub reord_seen: u32,
    pub rcv_ooopack: u32,
    pub snd_wnd: u32,
    pub rcv_wnd: u32,
    pub rehash: u32,
}

// The offsets of linux/tcp.h. A field added or dropped by mistake does not compile.
const _: () = assert!(offset_of!(RawTcpInfo, total_retrans) == 100);
const _: () = assert!(offset_of!(RawTcpInfo, bytes_acked) == 120);
const _: () = assert!(offset_of!(RawTcpInfo, delivery_rate) == 160);
const _: () = assert!(offset_of!(RawTcpInfo, delivered_ce) == 196);
const _: () = assert!(size_of::<RawTcpInfo>() == 240);

// SAFETY: integers, without padding by the assertions above.
unsafe impl OptionValue for RawTcpInfo {}

/// Reads TCP_INFO of `socket`. Fields that the running kernel does not know are 0.
///
/// # Errors
/// Those of getsockopt(2): not a socket, or not a TCP one.
pub fn tcp_info(socket: BorrowedFd<'_>) -> io::Result<RawTcpInfo> {
    get(socket, libc::IPPROTO_TCP, libc::TCP_INFO, RawTcpInfo::default())
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsFd;

    use super::*;

    const MOVED: usize = 300_000;

    #[test]
    fn bytes_agree_with_what_was_moved() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut sender = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut receiver, _) = listener.accept().unwrap();
        let before = tcp_info(sender.as_fd()).unwrap();

        let writer = std::thread::spawn(move || {
            sender.write_all(&[7; MOVED]).unwrap();
            sender
        });
        receiver.read_exact(&mut [0; MOVED]).unwrap();
        // An answer carries an acknowledgement of all that came before it.
        receiver.write_all(&[1]).unwrap();
        let mut sender = writer.join().unwrap();
        sender.read_exact(&mut [0]).unwrap();

        let sent = tcp_info(sender.as_fd()).unwrap();
        let received = tcp_info(receiver.as_fd()).unwrap();
        assert_eq!(sent.bytes_acked - before.bytes_acked, MOVED as u64);
        assert_eq!(sent.bytes_received, 1);
        assert_eq!(received.bytes_received, MOVED as u64);
        assert_eq!(sent.bytes_sent - sent.bytes_retrans, MOVED as u64);
        assert!(sent.snd_mss > 0 && sent.snd_cwnd > 0 && sent.rtt > 0, "{sent:?}");
        assert!(sent.data_segs_out > 0 && sent.delivered > 0, "{sent:?}");
    }

    #[test]
    fn what_is_no_tcp_socket_is_an_error() {
        let file = std::fs::File::open("/proc/self/status").unwrap();
        assert_eq!(tcp_info(file.as_fd()).unwrap_err().raw_os_error(), Some(libc::ENOTSOCK));
    }
}
