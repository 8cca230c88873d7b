//! Serves one port: hands streams to their sessions, and gives each client that has shaken hands a
//! thread.

use std::net::TcpListener;
use std::thread::Scope;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::flows::Flows;
use super::{ServeOptions, SessionContext, serve_client};
use crate::control::handshake;
use crate::control::pending_client::{Opening, PendingClient, ServerIdentity};
use crate::metrics::host::boot_id;
use crate::metrics::roots::Roots;
use crate::net::{Accepted, Acceptor, ClientThreads, Log, PendingLimits, Reservations};
use crate::transport::socket::plain;
use podperf_model::error::{Kind, Result};

/// Connections whose preamble or handshake is not over; past it, new ones wait in the listen queue.
const MAX_PENDING_CONNECTIONS: usize = 1024;
/// Clients with a thread while all sessions are taken, so that they can be told so.
const SPARE_THREADS: usize = 256;
/// Between two looks at the stop channel.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// What the port's connections share.
struct PortServer<'a> {
    options: &'a ServeOptions,
    log: Log<'a>,
    reservations: Reservations,
    flows: &'a Flows,
    threads: ClientThreads<'a>,
    /// Disconnected when the server ends.
    closed: Receiver<()>,
    /// Sent to when a session is over.
    done: Sender<()>,
}

/// Serves until `stop`, or until one session is over with `once`.
pub(super) fn run(
    listener: &TcpListener,
    flows: &Flows,
    options: &ServeOptions,
    log: Log<'_>,
    stop: &Receiver<Kind>,
) -> Result<Option<Kind>> {
    // Dropped at the end, which every session sees.
    let (closing, closed) = bounded::<()>(0);
    let (done, session_over) = bounded(1);
    let max_sessions = options.limits.sessions as usize;
    let threads = ClientThreads::new("podperf-session", max_sessions + SPARE_THREADS, log);
    let reservations = Reservations::new(max_sessions);
    let port = PortServer { options, log, reservations, flows, threads, closed, done };

    let (token, boot_id) = (options.token.as_ref(), boot_id(&Roots::default()));
    let identity = ServerIdentity { token, hello: &|| handshake::hello(token, boot_id.clone()) };
    let limits = PendingLimits { max_connections: MAX_PENDING_CONNECTIONS };
    let open = |stream| Ok(PendingClient::new(stream, &identity));
    let mut acceptor = Acceptor::new(listener, limits, &open, log);
    std::thread::scope(|scope| {
        let end = loop {
            if let Ok(kind) = stop.try_recv() {
                break Ok(Some(kind));
            }
            if options.once && session_over.try_recv().is_ok() {
                break Ok(None);
            }
            match acceptor.poll(flows.fd(), POLL_INTERVAL) {
                Ok(accepted) => accepted.into_iter().for_each(|one| port.serve(one, scope)),
                Err(error) => break Err(error),
            }
            flows.serve(log);
        };
        drop(closing);
        end
    })
}

impl<'env> PortServer<'env> {
    /// Serves a connection by what it has opened with.
    fn serve<'scope>(
        &'scope self,
        accepted: Accepted<PendingClient<'_>>,
        scope: &'scope Scope<'scope, '_>,
    ) where
        'env: 'scope,
    {
        let Accepted { connection, message, peer } = accepted;
        let (peer, deadline) = (plain(peer), connection.step_deadline());
        // One that is gone has nobody to be served.
        let Ok(stream) = connection.into_stream() else { return };
        let (hello, state) = match message {
            Opening::Stream { session, stream: number } => {
                if !self.reservations.deliver(session, number, stream) {
                    let line = format!("{peer}: stream {number} of no waiting session; dropped");
                    (self.log)(&line);
                }
                return;
            }
            Opening::Client { hello, state } => (*hello, state),
        };
        let name = peer.clone();
        self.threads.spawn(scope, &peer, move || {
            let context = SessionContext {
                options: self.options,
                reservations: &self.reservations,
                flows: self.flows,
                log: self.log,
                closed: &self.closed,
                peer: &name,
            };
            match serve_client::serve(stream, &context, (hello, state), deadline) {
                Ok(false) => {}
                Ok(true) => _ = self.done.try_send(()),
                Err(error) => (self.log)(&format!("{name}: {error}")),
            }
        });
    }
}
