//! Serves one port: hands streams to their sessions, and gives each client whose plan is here a
//! thread.

use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, bounded};
use socket2::Socket;

use super::flows::FlowTimes;
use super::run_request::RunRequest;
use super::{PortContext, Server, serve_client};
use crate::control::framing;
use crate::control::message::FromServer;
use crate::control::pending_client::ServerIdentity;
use crate::control::pending_request::PendingRequest;
use crate::metrics::host::boot_id;
use crate::metrics::roots::Roots;
use crate::net::{
    Accepted, Acceptor, AddressLimits, ClientThreads, Log, PendingLimits, Reservations, SessionId,
};
use crate::policy::PolicyFile;
use crate::transport::socket::plain;
use podperf_model::error::{Error, Kind, Result};

/// Clients with a thread while all sessions are taken, so that they can be told so.
const SPARE_THREADS: usize = 256;
/// For a refusal to be taken, which costs no time where nothing else is under way.
const REFUSAL_TIMEOUT: Duration = Duration::from_millis(10);
/// Between two looks at the stop channel.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Serves until `stop`, or until one session is over with `once`.
pub(super) fn run(server: &Server, log: Log<'_>, stop: &Receiver<Kind>) -> Result<Option<Kind>> {
    let Server { port: listening, flows, memory, options, .. } = server;
    // Dropped at the end, which every session sees.
    let (closing, closed) = bounded::<()>(0);
    let (done, session_over) = bounded(1);
    let max_sessions = options.limits.sessions as usize;
    let threads = ClientThreads::new("podperf-session", thread_limits(max_sessions), log);
    let reservations = Reservations::new(AddressLimits::of_sessions(max_sessions));
    let port = PortContext { options, reservations, flows, memory, log, closed };

    let mut identity = ServerIdentity::new(options.token.as_ref(), boot_id(&Roots::default()));
    identity.admission = options.policy.as_ref().map(PolicyFile::admission);
    let open = |stream| Ok(PendingRequest::new(stream, &identity));
    let mut acceptor = Acceptor::new(listening, PendingLimits::of_this_process(), &open, log);
    let mut flow_times = FlowTimes::default();
    std::thread::scope(|scope| {
        let serve_client = |accepted: Accepted<PendingRequest<'_, RunRequest>>| {
            let Accepted { connection, message, peer: from } = accepted;
            let peer = plain(from);
            // One that is gone has nobody to be served.
            let Ok(stream) = connection.into_stream() else { return };
            let (client, plan) = match message {
                RunRequest::Stream { session, stream: number } => {
                    if !port.deliver(session, number, stream.into()) {
                        let line =
                            format!("{peer}: stream {number} of no waiting session; dropped");
                        log(&line);
                    }
                    return;
                }
                RunRequest::Run { client, plan } => (*client, plan),
            };
            let place = match threads.admit(from.ip()) {
                Ok(place) => place,
                Err(error) => return refuse(&stream, error.with_peer(peer), log),
            };
            let (port, done, name) = (&port, &done, peer.clone());
            threads.spawn(scope, place, &peer, move || {
                match serve_client::serve(stream, port, &name, client, *plan) {
                    Ok(()) => _ = done.try_send(()),
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

/// Threads of clients, some of which are only told that all sessions are taken.
const fn thread_limits(max_sessions: usize) -> AddressLimits {
    AddressLimits {
        per_address: max_sessions + SPARE_THREADS / 2,
        per_prefix: max_sessions + SPARE_THREADS / 4 * 3,
        in_all: max_sessions + SPARE_THREADS,
    }
}

/// Tells a client that there is no place for it.
fn refuse(stream: &TcpStream, error: Error, log: Log<'_>) {
    log(&format!("{error}; dropped"));
    // Nothing but the handshake has been written before, so there is room for it.
    let refusal = FromServer::Refused(Error { peer: None, ..error });
    let _ = framing::write(stream, &refusal, Instant::now() + REFUSAL_TIMEOUT);
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
