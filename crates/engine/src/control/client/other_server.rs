//! Streams that reach another server or program than the control connection: behind one address
//! several stand, and each connection goes where a load balancer sends it.

use std::net::SocketAddr;
use std::os::fd::{AsFd as _, AsRawFd as _};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, recv};
use socket2::Socket;

use crate::control::preamble::{LENGTH_BYTES, check_start};
use podperf_model::error::{Code, Error, Kind, Result};
use podperf_model::result::run::Run;

/// What helps where several servers stand behind one address.
pub const ONE_SERVER: &str = "all connections of a run, TCP and UDP, have to reach one \
    server: name a pod's address or that of a headless Service, or set sessionAffinity: ClientIP";
/// Who it may be that does not behave as the server does.
const TAKEN_BY_ANOTHER: &str = "the control connection is open, so that another server or program \
    behind this address took the stream";

/// The server that got a stream does not know its session.
pub(super) fn unknown_session(peer: SocketAddr, stream: u32) -> Error {
    let cause = "another server than that of the control connection took the stream, and knows no \
                 such session: several stand behind this address";
    of_other(cause, peer, stream)
}

fn of_other(cause: &str, peer: SocketAddr, stream: u32) -> Error {
    Error::new(Kind::Unmeasured, "connect to", cause)
        .with_code(Code::OtherServer)
        .with_peer(peer)
        .with_stream(stream)
        .with_remedy(ONE_SERVER)
}

/// Looks whether anything has come on a stream before the start: the server says nothing there, so
/// that it is from somebody else.
///
/// # Errors
/// Naming the stream, and what came.
pub(super) fn check(sockets: &[Socket], peer: SocketAddr) -> Result<()> {
    let events = PollFlags::POLLIN;
    let mut fds: Vec<_> = sockets.iter().map(|one| PollFd::new(one.as_fd(), events)).collect();
    if !matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1..)) {
        return Ok(());
    }
    let came = fds.iter().map(|fd| fd.any() == Some(true));
    for ((stream, socket), _) in (0..).zip(sockets).zip(came).filter(|(_, came)| *came) {
        let mut bytes = [0; LENGTH_BYTES];
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        let cause = match recv(socket.as_raw_fd(), &mut bytes, flags) {
            Ok(0) => "it was closed at once".to_owned(),
            Ok(count) => match check_start(&bytes[..count]) {
                Ok(()) => return Err(unknown_session(peer, stream)),
                Err(other) => other,
            },
            Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EINTR) => continue,
            Err(errno) => std::io::Error::from(errno).to_string(),
        };
        return Err(of_other(&format!("{cause}; {TAKEN_BY_ANOTHER}"), peer, stream));
    }
    Ok(())
}

/// Says the same of a stream that could not be opened, or broke at once, while the server is there.
pub(super) fn broken(error: Error) -> Error {
    let cause = format!("{}; {TAKEN_BY_ANOTHER}", error.cause);
    Error { cause, code: Code::OtherServer, ..error }.with_remedy(ONE_SERVER)
}

/// Says of connections that do not last, and of which some failed, where their address leads.
pub(super) fn explain(run: &mut Run) {
    let Some(between) = run.between.as_ref().filter(|between| between.is_redirected()) else {
        return;
    };
    if run.plan.workload.short_lived().is_none() {
        return;
    }
    let dialed = &between.dialed_address;
    for error in &mut run.errors {
        if matches!(error.code, Code::ConnectionRefused | Code::ConnectionLost) {
            error.cause.push_str(&format!("; several servers may stand behind {dialed}"));
            error.remedy = Some(ONE_SERVER.to_owned());
        }
    }
}
