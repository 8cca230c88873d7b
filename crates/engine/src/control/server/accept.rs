//! Serves one port: hands streams to their sessions, and gives each client that has shaken hands a
//! thread.

use std::os::fd::AsFd as _;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use socket2::Socket;

use super::flows::FlowTimes;
use super::{PortContext, Server, serve_client};
use crate::control::pending_client::{Opening, PendingClient, ServerIdentity};
use crate::metrics::host::boot_id;
use crate::metrics::roots::Roots;
use crate::net::{Accepted, Acceptor, ClientThreads, Log, Reservations, SessionId};
use crate::transport::socket::plain;
use podperf_model::error::{Kind, Result};

/// Connections whose preamble or handshake is not over; past it, new ones wait in the listen queue.
const MAX_PENDING_CONNECTIONS: usize = 1024;
/// Clients with a thread while all sessions are taken, so that they can be told so.
const SPARE_THREADS: usize = 256;
/// Between two looks at the stop channel.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Serves until `stop`, or until one session is over with `once`.
pub(super) fn run(server: &Server, log: Log<'_>, stop: &Receiver<Kind>) -> Result<Option<Kind>> {
    let Server { listener, flows, options, .. } = server;
    // Dropped at the end, which every session sees.
    let (closing, closed) = bounded::<()>(0);
    let (done, session_over) = bounded(1);
    let max_sessions = options.limits.sessions as usize;
    let threads = ClientThreads::new("podperf-session", max_sessions + SPARE_THREADS, log);
    let reservations = Reservations::new(max_sessions);
    let port = PortContext { options, reservations, flows, log, closed };

    let (token, boot_id) = (options.token.as_ref(), boot_id(&Roots::default()));
    let identity = ServerIdentity { token, boot_id, feature: None };
    let open = |stream| Ok(PendingClient::new(stream, &identity));
    let mut acceptor = Acceptor::new(listener, MAX_PENDING_CONNECTIONS, &open, log);
    let mut flow_times = FlowTimes::default();
    std::thread::scope(|scope| {
        let serve_client = |accepted: Accepted<PendingClient<'_>>| {
            let Accepted { connection, message, peer } = accepted;
            let (peer, deadline) = (plain(peer), connection.step_deadline());
            // One that is gone has nobody to be served.
            let Ok(stream) = connection.into_stream() else { return };
            let hello = match message {
                Opening::Stream { session, stream: number } => {
                    if !port.deliver(session, number, stream.into()) {
                        let line =
                            format!("{peer}: stream {number} of no waiting session; dropped");
                        log(&line);
                    }
                    return;
                }
                Opening::Client(hello) => *hello,
            };
            let (port, done, name) = (&port, &done, peer.clone());
            threads.spawn(scope, &peer, move || {
                match serve_client::serve(stream, port, &name, hello, deadline) {
                    Ok(false) => {}
                    Ok(true) => _ = done.try_send(()),
                    Err(error) => log(&format!("{name}: {error}")),
                }
            });
        };
        let mut serve = || loop {
            if let Ok(kind) = stop.try_recv() {
                return Ok(Some(kind));
            }
            if options.once && session_over.try_recv().is_ok() {
                return Ok(None);
            }
            let flow_fd = flows.as_ref().ok().map(|flows| flows.socket.as_fd());
            acceptor.poll(flow_fd, POLL_INTERVAL)?.into_iter().for_each(serve_client);
            if let Ok(flows) = flows {
                flows.serve(&port.reservations, &mut flow_times, log);
            }
        };
        let end = serve();
        drop(closing);
        end
    })
}

impl PortContext<'_> {
    /// Hands a stream to its session. False: no session waits for it.
    fn deliver(&self, session: SessionId, number: u32, stream: Socket) -> bool {
        let delivered = self.reservations.with(session, |waiting| {
            // One that waits for flows of datagrams has no streams.
            waiting.state.is_none() && waiting.deliver(number, stream)
        });
        delivered.unwrap_or(false)
    }
}
