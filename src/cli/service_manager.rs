//! What a service manager passes to a server and is told by it: sockets that it has opened
//! (LISTEN_FDS, sd_listen_fds(3)), and that the server is ready (NOTIFY_SOCKET, sd_notify(3)).
//!
//! Enters: the environment. Leaves: sockets. Without a service manager nothing happens here.

use std::sync::Arc;

use listenfd::ListenFd;
use sd_notify::NotifyState;

use podperf_engine::control::server::PassedSockets;
use podperf_model::error::{Error, Kind, Result};

/// Takes the sockets that were passed: a TCP listener, and a UDP socket of the same port or none.
///
/// # Errors
/// When there are others.
pub(super) fn passed_sockets() -> Result<PassedSockets> {
    let refuse = |cause: String| {
        Error::new(Kind::Usage, "take the sockets that the service manager passed", cause)
            .with_remedy("pass one ListenStream=, and at most one ListenDatagram= of its port")
    };
    let mut all = ListenFd::from_env();
    let mut passed = PassedSockets::default();
    for number in 0..all.len() {
        if let Ok(Some(listener)) = all.take_tcp_listener(number) {
            if passed.tcp.replace(Arc::new(listener)).is_some() {
                return Err(refuse("there are two listeners".to_owned()));
            }
        } else if let Ok(Some(socket)) = all.take_udp_socket(number) {
            if passed.udp.replace(Arc::new(socket)).is_some() {
                return Err(refuse("there are two sockets of datagrams".to_owned()));
            }
        } else {
            let cause = format!("descriptor {} is no socket of TCP or UDP", 3 + number);
            return Err(refuse(cause));
        }
    }
    if passed.udp.is_some() && passed.tcp.is_none() {
        return Err(refuse("there is a socket of datagrams alone".to_owned()));
    }
    Ok(passed)
}

/// Tells the service manager that the server serves. Without one nobody is told.
pub(super) fn tell_ready() {
    let _ = sd_notify::notify(&[NotifyState::Ready]);
}
