//! Datagrams that tell podperf's netserver that its own are wanted: before it answers by longer
//! ones than it got, and while it sends.
//!
//! Enters: the connected socket of a test. Leaves: nothing; what netserver does not believe, the
//! test itself shows.

use std::mem::MaybeUninit;
use std::time::{Duration, Instant};

use crossbeam_channel::{RecvTimeoutError, Sender, bounded};
use socket2::Socket;

use crate::data::DataConnections;
use crate::options::Options;
use crate::test_kind::{Protocol, TestDirection};

/// Exchanges after which netserver answers in full, and what it answers until then for a byte.
const EXCHANGES: u32 = 3;
const UNPROVED_BYTES_PER_BYTE: u64 = 3;
/// After which an exchange is tried anew, and how often.
const RETRY_TIMEOUT: Duration = Duration::from_millis(200);
const MAX_RETRIES: u32 = 10;
/// Between two datagrams of one that only receives.
const RECEIVER_INTERVAL: Duration = Duration::from_secs(2);

/// Does what netserver needs for the test that is to begin. As long as what is returned lives,
/// netserver is told that its datagrams are received.
pub(super) fn begin(options: &Options, ends: &DataConnections) -> Option<Sender<()>> {
    let DataConnections::Connected(sockets) = ends else { return None };
    let socket = sockets.first().filter(|_| options.shape.protocol == Protocol::Udp)?;
    let (request, response) = (options.data.request_bytes, options.data.response_bytes);
    match options.shape.direction {
        TestDirection::Receive => tell_that_it_receives(socket),
        TestDirection::RequestResponse
            if u64::from(response) > u64::from(request) * UNPROVED_BYTES_PER_BYTE =>
        {
            let request = vec![0; request.max(1) as usize];
            let _ = (0..EXCHANGES).all(|_| exchange(socket, &request));
            // Answers to what was sent again.
            let mut ignored = [MaybeUninit::uninit()];
            while socket.recv_with_flags(&mut ignored, libc::MSG_DONTWAIT).is_ok() {}
            None
        }
        _ => None,
    }
}

/// Sends a datagram until one comes back. False: none does.
fn exchange(socket: &Socket, request: &[u8]) -> bool {
    (0..MAX_RETRIES).any(|_| {
        let sent = Instant::now();
        // Refused or lost: it is tried anew.
        let _ = socket.send(request);
        while sent.elapsed() < RETRY_TIMEOUT {
            // Waits a moment at a time, as the socket is set.
            if socket.recv(&mut [MaybeUninit::uninit()]).is_ok_and(|bytes| bytes > 0) {
                return true;
            }
        }
        false
    })
}

fn tell_that_it_receives(socket: &Socket) -> Option<Sender<()>> {
    let socket = socket.try_clone().ok()?;
    let (notice, over) = bounded(0);
    let tell = move || loop {
        // Nobody there: netserver's datagrams stop.
        let _ = socket.send(&[0]);
        if over.recv_timeout(RECEIVER_INTERVAL) != Err(RecvTimeoutError::Timeout) {
            return;
        }
    };
    std::thread::Builder::new().name("receiver-notice".into()).spawn(tell).ok()?;
    Some(notice)
}
