//! MSG_ZEROCOPY: the kernel sends from the program's own pages and reports on the socket's error
//! queue when it has let go of them, and whether it copied them after all
//! (Documentation/networking/msg_zerocopy.rst).
//!
//! The message is never changed, so that it may be sent again while it is still in flight and no
//! step waits for the report of an earlier one.

use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use socket2::{Domain, Socket, Type};

use super::BulkSend;
use super::buffer::fill;
use podperf_model::error::{Context, During, Error, Kind, Result};
use podperf_model::plan::SendMethod;
use podperf_model::result::end_result::{MovedBy, SendUse};
use podperf_sys::mapping::Pages;
use podperf_sys::option::set_zerocopy;
use podperf_sys::socket;

/// Sends on a flow after which its error queue is read. The kernel joins reports of neighbouring
/// sends, so that one read takes many.
const MAX_UNREAD_SENDS: u32 = 32;
/// How long to wait for reports that make room, when the kernel has none for another send.
const REPORT_WAIT: Duration = Duration::from_millis(10);
/// How long to wait for the reports that are missing when all is sent.
const LAST_REPORTS_TIMEOUT: Duration = Duration::from_secs(1);
/// linux/errqueue.h
const SO_EE_ORIGIN_ZEROCOPY: u8 = 5;
const SO_EE_CODE_ZEROCOPY_COPIED: u8 = 1;

/// Sends without copying, where the kernel and the path let it.
#[derive(Debug)]
pub struct ZerocopySend<'a> {
    flows: Vec<ZerocopyFlow<'a>>,
    message: Pages,
    /// Room for one report.
    control: Vec<u8>,
    enobufs: u64,
    /// Bytes sent by copying, for want of room.
    copied_instead: u64,
}

#[derive(Debug)]
struct ZerocopyFlow<'a> {
    socket: &'a Socket,
    reports: Reports,
    /// Sends since the error queue was last read.
    unread_sends: u32,
}

/// Which sends of one socket the kernel has reported on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Reports {
    sent: u64,
    done: u64,
    copied: u64,
}

impl Reports {
    /// Notes a report on the sends from number `first` to number `last`. The kernel numbers them
    /// in 32 bits, from 0, and starts again at the end of those.
    fn note(&mut self, first: u32, last: u32, copied: bool) {
        let count = (u64::from(last.wrapping_sub(first)) + 1).min(self.pending());
        self.done += count;
        if copied {
            self.copied += count;
        }
    }

    /// Sends that the kernel has not reported on.
    const fn pending(&self) -> u64 {
        self.sent - self.done
    }
}

impl<'a> ZerocopySend<'a> {
    /// Sends messages of `message_bytes` on `sockets`, after one trial on a connection of its own.
    ///
    /// # Errors
    /// Where SO_ZEROCOPY or the pages of one message are refused.
    pub fn open(sockets: Vec<&'a Socket>, message_bytes: usize) -> Result<Self> {
        let mut message =
            Pages::anonymous(message_bytes).during("map pages (mmap) to send from")?;
        fill(&mut message);
        for socket in &sockets {
            set_zerocopy(socket).during("set SO_ZEROCOPY on a stream").with_remedy(
                "use --send write or auto; the option needs plain TCP and Linux 4.14 without a \
                 sandbox",
            )?;
        }
        if let Some(own) = sockets.first().and_then(|socket| socket.local_addr().ok()?.as_socket())
        {
            try_once(own, &message)?;
        }
        let flow = |socket| ZerocopyFlow { socket, reports: Reports::default(), unread_sends: 0 };
        Ok(Self {
            flows: sockets.into_iter().map(flow).collect(),
            message,
            control: nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6),
            enobufs: 0,
            copied_instead: 0,
        })
    }

    /// Sends reported on so far, and those of them that were copied.
    #[must_use]
    pub fn reported(&self) -> (u64, u64) {
        let sum = |of: fn(&Reports) -> u64| self.flows.iter().map(|flow| of(&flow.reports)).sum();
        (sum(|reports| reports.done), sum(|reports| reports.copied))
    }

    /// Reads what the kernel reports on the worker's flow number `flow`, if anything is out.
    pub fn read_reports(&mut self, flow: usize) {
        if self.flows[flow].reports.pending() > 0 {
            self.flows[flow].read_reports(&mut self.control);
        }
    }

    /// The kernel has no room for another report, or for more locked pages: takes the reports
    /// there are, waits a little for others, and in the end copies.
    #[cold]
    fn send_without_room(&mut self, flow: usize, length: usize) -> io::Result<usize> {
        self.enobufs += 1;
        let own = &mut self.flows[flow];
        let before = own.reports.done;
        own.read_reports(&mut self.control);
        if own.reports.done == before && own.reports.pending() > 0 {
            own.wait(REPORT_WAIT, &mut self.control);
        }
        if own.reports.done > before {
            match own.send(&self.message[..length]) {
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {}
                sent => return sent,
            }
        }
        let sent = socket::send(own.socket, &self.message[..length])?;
        self.copied_instead += sent as u64;
        Ok(sent)
    }
}

impl ZerocopyFlow<'_> {
    #[inline]
    fn send(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let sent = self.socket.send_with_flags(bytes, libc::MSG_ZEROCOPY)?;
        self.reports.sent += 1;
        self.unread_sends += 1;
        Ok(sent)
    }

    /// Reads the error queue until it is empty.
    fn read_reports(&mut self, control: &mut [u8]) {
        self.unread_sends = 0;
        let fd = self.socket.as_raw_fd();
        while let Ok(message) = recvmsg::<()>(fd, &mut [], Some(control), MsgFlags::MSG_ERRQUEUE) {
            for message_received in message.cmsgs().into_iter().flatten() {
                let (ControlMessageOwned::Ipv4RecvErr(report, _)
                | ControlMessageOwned::Ipv6RecvErr(report, _)) = message_received
                else {
                    continue;
                };
                if report.ee_origin == SO_EE_ORIGIN_ZEROCOPY && report.ee_errno == 0 {
                    let copied = report.ee_code & SO_EE_CODE_ZEROCOPY_COPIED != 0;
                    self.reports.note(report.ee_info, report.ee_data, copied);
                }
            }
        }
    }

    /// Waits for another report, at most for `timeout`; false: none will come.
    fn wait(&mut self, timeout: Duration, control: &mut [u8]) -> bool {
        // An error is told without being asked for (poll(2)), and a non-empty error queue is one.
        let mut polled = [PollFd::new(self.socket.as_fd(), PollFlags::empty())];
        let timeout = u16::try_from(timeout.as_millis()).unwrap_or(u16::MAX);
        let message_received = poll(&mut polled, timeout);
        let closed = polled[0].revents().is_some_and(|is| is.contains(PollFlags::POLLHUP));
        let before = self.reports.done;
        self.read_reports(control);
        message_received.is_ok_and(|count| count > 0) && (!closed || self.reports.done > before)
    }
}

impl BulkSend for ZerocopySend<'_> {
    #[inline]
    fn step(&mut self, flow: usize, limit: usize) -> io::Result<usize> {
        let length = self.message.len().min(limit);
        let own = &mut self.flows[flow];
        if own.unread_sends >= MAX_UNREAD_SENDS {
            own.read_reports(&mut self.control);
        }
        match own.send(&self.message[..length]) {
            Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                self.send_without_room(flow, length)
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                // Reports that are not read would wake the worker at once (EPOLLERR).
                own.read_reports(&mut self.control);
                Err(error)
            }
            sent => sent,
        }
    }

    fn finish(&mut self, bytes: u64) -> SendUse {
        let deadline = Instant::now() + LAST_REPORTS_TIMEOUT;
        for flow in &mut self.flows {
            flow.read_reports(&mut self.control);
            while flow.reports.pending() > 0 {
                let left = deadline.saturating_duration_since(Instant::now());
                if left.is_zero() || !flow.wait(left, &mut self.control) {
                    break;
                }
            }
        }
        let (zerocopy_sends, zerocopy_copied) = self.reported();
        let mut moved = SendUse {
            used: Some(SendMethod::Zerocopy),
            zerocopy_sends,
            zerocopy_copied,
            enobufs: self.enobufs,
            ..SendUse::default()
        };
        let by = |method, bytes| MovedBy { method, bytes };
        let not_copied = bytes.saturating_sub(self.copied_instead);
        moved.bytes.push(by(SendMethod::Zerocopy, not_copied));
        if self.copied_instead > 0 {
            moved.bytes.push(by(SendMethod::Write, self.copied_instead));
        }
        moved
    }
}

/// Sends one message on a connection of this machine to itself. Where there can be none, the run
/// itself has to tell.
fn try_once(own: SocketAddr, message: &[u8]) -> Result<()> {
    let pair = || -> io::Result<(TcpListener, Socket)> {
        let listener = TcpListener::bind((own.ip(), 0))?;
        let sender = Socket::new(Domain::for_address(own), Type::STREAM.cloexec(), None)?;
        sender.connect_timeout(&listener.local_addr()?.into(), REPORT_WAIT * 10)?;
        sender.set_nonblocking(true)?;
        set_zerocopy(&sender)?;
        Ok((listener, sender))
    };
    let Ok((_listener, sender)) = pair() else { return Ok(()) };
    match sender.send_with_flags(message, libc::MSG_ZEROCOPY) {
        Err(error) if error.kind() != ErrorKind::WouldBlock => {
            let operation = format!("send a message of {} B with MSG_ZEROCOPY", message.len());
            let failed = Error::system(Kind::Unmeasured, operation, &error);
            Err(if error.raw_os_error() == Some(libc::ENOBUFS) {
                failed.with_remedy(
                    "raise the limit of locked memory (ulimit -l) or net.core.optmem_max, use \
                     shorter messages (-l), or --send write",
                )
            } else {
                failed.with_remedy("use --send write or auto")
            })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpStream;

    use super::*;

    #[test]
    fn ranges_of_reports_are_counted_across_the_end_of_the_numbers() {
        let mut reports = Reports { sent: 10, ..Reports::default() };
        reports.note(0, 0, false);
        reports.note(1, 3, true);
        assert_eq!(reports, Reports { sent: 10, done: 4, copied: 3 });
        // 2^32 - 2, 2^32 - 1, 0, 1.
        let mut wrapped = Reports { sent: (1 << 32) + 2, done: (1 << 32) - 2, copied: 0 };
        wrapped.note(u32::MAX - 1, 1, true);
        assert_eq!((wrapped.pending(), wrapped.copied), (0, 4));
    }

    #[test]
    fn a_report_on_more_than_was_sent_counts_what_was_sent() {
        let mut reports = Reports { sent: 3, ..Reports::default() };
        reports.note(0, u32::MAX, true);
        assert_eq!(reports, Reports { sent: 3, done: 3, copied: 3 });
    }

    #[test]
    fn every_send_is_reported_on_and_loopback_copies() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sender: Socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap().into();
        let mut receiver = listener.accept().unwrap().0;
        let mut zerocopy = ZerocopySend::open(vec![&sender], 16 << 10).unwrap();
        let reader = std::thread::spawn(move || std::io::copy(&mut receiver, &mut io::sink()));
        let (mut sent, mut calls) = (0, 0);
        while sent < 4 << 20 {
            sent += zerocopy.step(0, usize::MAX).unwrap() as u64;
            calls += 1;
        }
        sender.shutdown(std::net::Shutdown::Write).unwrap();
        let moved = zerocopy.finish(sent);
        assert_eq!(moved.bytes, [MovedBy { method: SendMethod::Zerocopy, bytes: sent }]);
        assert_eq!((moved.zerocopy_sends, moved.zerocopy_copied), (calls, calls));
        assert_eq!(reader.join().unwrap().unwrap(), sent);
    }

    #[test]
    fn a_receiver_that_does_not_read_does_not_hold_the_end_up_for_long() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let sender: Socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap().into();
        let (mut receiver, _) = listener.accept().unwrap();
        sender.set_nonblocking(true).unwrap();
        let mut zerocopy = ZerocopySend::open(vec![&sender], 1 << 20).unwrap();
        let mut sent = 0;
        while let Ok(bytes) = zerocopy.step(0, usize::MAX) {
            sent += bytes as u64;
        }
        let moved = zerocopy.finish(sent);
        assert!(moved.zerocopy_sends <= zerocopy.flows[0].reports.sent);
        drop(zerocopy);
        // What was in flight when the memory went is what was sent.
        let mut got = vec![0; 1 << 20];
        receiver.read_exact(&mut got).unwrap();
        let mut expected = vec![0; 1 << 20];
        fill(&mut expected);
        assert_eq!(got, expected);
    }
}
