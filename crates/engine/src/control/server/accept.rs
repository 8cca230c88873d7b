//! Serves one port: hands streams to their sessions, and gives each client whose plan is here a
//! thread.

use std::io::Write as _;
use std::net::TcpStream;
use std::os::fd::AsFd as _;
use std::thread::{Builder, Scope};
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, bounded};

use super::counts::{RunCounts, exposition};
use super::flows::FlowTimes;
use super::overlap::Overlap;
use super::refusal::refuse;
use super::run_request::RunRequest;
use super::{PortContext, ServeOptions, Server, serve_client};
use crate::control::pending_client::{ServerIdentity, WelcomedClient};
use crate::control::pending_request::PendingRequest;
use crate::control::preamble::Preamble;
use crate::metrics::host::boot_id;
use crate::metrics::roots::Roots;
use crate::net::{
    Accepted, Acceptor, AddressLimits, ClientThreads, Log, PendingLimits, Reservations, RunSink,
    ScrapePort, ServerEnd, SessionId, ending_refusal,
};
use crate::policy::PolicyFile;
use crate::transport::socket::plain;
use podperf_model::During as _;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::plan::Plan;
use podperf_model::run_record::RunRecord;

/// Clients with a thread while all sessions are taken, so that they can be told so.
const SPARE_THREADS: usize = 256;
/// Between two looks at what is asked of the server.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The same, when it is to end and waits for its clients.
const LAST_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A connection with its first message.
type AcceptedRequest<'a> = Accepted<PendingRequest<'a, RunRequest>>;

/// Serves until it is asked to end, or until one session is over with `once`. What runs then has
/// the drain's time.
pub(super) fn run(
    server: &Server,
    (log, runs): (Log<'_>, RunSink<'_>),
    stop: &Receiver<Kind>,
) -> Result<Option<Kind>> {
    let Server { port: listening, flows, scrapes, options, .. } = server;
    let (closing, closed) = bounded(0);
    let (ending, draining) = bounded(0);
    let end = ServerEnd::new(ending, closing);
    let (done, session_over) = bounded(1);
    let max_sessions = options.limits.sessions as usize;
    let threads = ClientThreads::new("podperf-session", thread_limits(max_sessions), log);
    let port = PortContext::new(server, (log, runs), (draining, closed));

    let mut identity = ServerIdentity::new(options.token.as_ref(), boot_id(&Roots::default()));
    identity.admission = options.policy.as_ref().map(PolicyFile::admission);
    let open = |stream| Ok(PendingRequest::new(stream, &identity));
    let acceptor = Acceptor::new(listening, PendingLimits::of_this_process(), &open, log);
    let mut acceptor = acceptor.counted_by(&port.counts.connections);
    let mut flow_times = FlowTimes::default();
    std::thread::scope(|scope| {
        let serve_client = |accepted: AcceptedRequest<'_>, is_ending: bool| {
            let Accepted { connection, message, peer: from } = accepted;
            let peer = plain(from);
            // One that is gone has nobody to be served.
            let Ok(stream) = connection.into_stream() else { return };
            let (client, plan) = match message {
                RunRequest::Stream { session, stream: number } => {
                    return port.deliver((session, number), stream, &peer);
                }
                RunRequest::Run { client, plan } => (*client, plan),
            };
            let place = if is_ending { Err(ending_refusal()) } else { threads.admit(from.ip()) };
            let place = match place {
                Ok(place) => place,
                Err(error) => return port.refuse(&stream, &peer, (&client, &plan), error),
            };
            let (port, done, name) = (&port, &done, peer.clone());
            let serve = move |stream| port.serve(stream, &name, (client, *plan), done);
            if let Some((error, stream)) = threads.spawn(scope, place, (&peer, stream), serve) {
                log(&format!("{error}; dropped"));
                refuse(&stream, &error);
            }
        };
        // Dropped when this one is through.
        let (_serving, served) = bounded::<()>(0);
        if let Some(scrapes) = scrapes {
            answer_scrapes(scope, scrapes, &port, served)?;
        }
        // Moved in, so that it is dropped before the sessions are waited for.
        let mut end = end;
        loop {
            look_at_requests(&mut end, options, (stop, &session_over), threads.running(), log);
            if let Some(by) = end.over(threads.running()) {
                return Ok(by);
            }
            let flow_fd = flows.as_ref().ok().map(|flows| flows.socket.as_fd());
            let interval = if end.is_asked() { LAST_POLL_INTERVAL } else { POLL_INTERVAL };
            for accepted in acceptor.poll(flow_fd, interval)? {
                serve_client(accepted, end.is_asked());
            }
            if let Ok(flows) = flows {
                flows.serve(&port.reservations, &mut flow_times, log);
            }
        }
    })
}

/// Answers scrapers in a thread of its own, until `served` is disconnected.
fn answer_scrapes<'scope>(
    scope: &'scope Scope<'scope, '_>,
    scrapes: &'scope ScrapePort,
    port: &'scope PortContext<'_>,
    served: Receiver<()>,
) -> Result<()> {
    let text = || exposition(port);
    let answer = move || _ = scrapes.serve(&text, &served);
    let thread = Builder::new().name("podperf-metrics".into());
    thread.spawn_scoped(scope, answer).during("start the thread of --metrics").map(drop)
}

/// Asks for the server's end where a signal or the end of its one session does, and looks for
/// SIGHUP, which is the policy's where there is one.
fn look_at_requests(
    end: &mut ServerEnd<Sender<()>, Sender<()>>,
    options: &ServeOptions,
    (stop, session_over): (&Receiver<Kind>, &Receiver<()>),
    clients: usize,
    log: Log<'_>,
) {
    if let Ok(kind) = stop.try_recv() {
        end.ask(Some(kind), options.drain, clients, log);
    }
    if options.once && session_over.try_recv().is_ok() {
        end.ask(None, Duration::ZERO, clients, log);
    }
    let reload = options.reload.as_ref().filter(|_| options.policy.is_none());
    if reload.is_some_and(|reload| reload.try_recv().is_ok()) {
        log("SIGHUP: there is nothing to read again");
    }
}

/// Threads of clients, some of which are only told that all sessions are taken.
const fn thread_limits(max_sessions: usize) -> AddressLimits {
    AddressLimits {
        per_address: max_sessions + SPARE_THREADS / 2,
        per_prefix: max_sessions + SPARE_THREADS / 4 * 3,
        in_all: max_sessions + SPARE_THREADS,
    }
}

impl<'a> PortContext<'a> {
    fn new(
        server: &'a Server,
        (log, runs): (Log<'a>, RunSink<'a>),
        (draining, closed): (Receiver<()>, Receiver<()>),
    ) -> Self {
        let Server { flows, memory, options, .. } = server;
        let max_sessions = options.limits.sessions as usize;
        Self {
            options,
            reservations: Reservations::new(AddressLimits::of_sessions(max_sessions)),
            flows,
            memory,
            log,
            runs,
            counts: RunCounts::new(),
            overlap: Overlap::default(),
            draining,
            closed,
        }
    }

    /// Serves a client to its end, and tells what came of its run.
    fn serve(
        &self,
        stream: TcpStream,
        name: &str,
        (client, plan): (WelcomedClient, Plan),
        done: &Sender<()>,
    ) {
        let mut record = asked(name, &client, &plan);
        let served = serve_client::serve(stream, self, client, plan, &mut record);
        self.tell(&mut record, &served);
        if served.is_ok() {
            let _ = done.try_send(());
        }
    }

    /// Refuses a client that has no place.
    fn refuse(
        &self,
        stream: &TcpStream,
        name: &str,
        (client, plan): (&WelcomedClient, &Plan),
        error: Error,
    ) {
        refuse(stream, &error);
        let mut record = asked(name, client, plan);
        self.tell(&mut record, &Err(error));
    }

    /// Tells what came of a run.
    fn tell(&self, record: &mut RunRecord, served: &Result<()>) {
        record.end(served);
        self.counts.count(record);
        match (self.runs, served) {
            (Some(runs), _) => runs(record),
            (None, Err(error)) => (self.log)(&format!("{}: {error}", record.peer)),
            (None, Ok(())) => {
                let RunRecord { peer, bytes_received, bytes_sent, .. } = record;
                let (received, sent) = (*bytes_received >> 20, *bytes_sent >> 20);
                (self.log)(&format!("{peer}: done, {received} MiB received, {sent} MiB sent"));
            }
        }
    }

    /// Hands a stream of `peer` to its session, by whose id and which number it has come. One of no
    /// session is told so: its client may be another server's.
    fn deliver(&self, (session, number): (SessionId, u32), stream: TcpStream, peer: &str) {
        let answer = Preamble::UnknownSession { stream: number }.encode();
        let mut stream = Some(stream);
        let delivered = self.reservations.with(session, |waiting| {
            // One that waits for flows of datagrams has no streams.
            let stream = stream.take().filter(|_| waiting.state.is_none());
            stream.is_some_and(|stream| waiting.deliver(number, stream.into()))
        });
        if !delivered.unwrap_or(false) {
            // Nothing has been written before, so there is room for it.
            stream.iter_mut().for_each(|stream| _ = stream.write(&answer));
            (self.log)(&format!("{peer}: stream {number} of no waiting session; dropped"));
        }
    }
}

/// What a client asks for, before anything comes of it.
fn asked(name: &str, client: &WelcomedClient, plan: &Plan) -> RunRecord {
    let token = client.token.as_deref().map(str::to_owned);
    RunRecord { token, ..RunRecord::asked(name, client.rule.as_deref(), plan) }
}
