//! netperf's control connection: one record there, one back, each with a deadline.

use std::io::{self, ErrorKind, Read};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, SockRef, Socket, TcpKeepalive, Type};

use super::print_error;
use crate::options::{ExitMessage, Options, family_name};
use crate::wire::native::{ClientMessage, Details, Identity, read_queued, words as words_of};
use crate::wire::{UNKNOWN, WireMessage};
use podperf_model::error::Kind;
use podperf_model::{AddressFamily, on_link_of};

/// For the answer to a request, and for results after the end, as netperf waits, unless
/// `--peer-timeout` says otherwise.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(120);
/// For what goes beyond the results, without which they are whole.
const DETAILS_TIMEOUT: Duration = Duration::from_secs(10);
/// For the connection, likewise.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// An idle control connection is kept known to whatever keeps track of connections on the way, and
/// a peer that is gone is noticed: probes after 10 s, five seconds apart, three in vain.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(10);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(5);
const MAX_KEEPALIVE_PROBES: u32 = 3;
/// Between two looks at whether anybody still wants to know.
const POLL_INTERVAL_MS: u8 = 100;

/// The connection, and with whom.
#[derive(Debug)]
pub(super) struct ControlClient {
    stream: TcpStream,
    /// netserver's address as it was reached.
    pub(super) peer: SocketAddr,
    /// For each answer.
    answer_timeout: Duration,
}

/// What netserver says when a test is over.
#[derive(Debug)]
pub(super) enum TestAnswer {
    Results(Box<WireMessage>),
    /// It has ended the test, and why.
    Ended(String),
    /// It is ending itself, and has ended the test before there were results.
    ServerEnds,
}

impl ControlClient {
    /// Connects to netserver, by the addresses of its host in turn.
    pub(super) fn connect(options: &Options) -> Result<Self, ExitMessage> {
        let addresses = resolve(&options.host, options.ports.remote, options.family)?;
        let own = match &options.local_host {
            Some(host) => Some(resolve(host, options.ports.local, options.family)?),
            None => None,
        };
        let mut last = io::Error::from(ErrorKind::AddrNotAvailable);
        for address in addresses {
            let local = own_address(own.as_deref(), address, options.ports.local);
            match dial(address, local, options.peer_timeout) {
                Ok(stream) => {
                    let answer_timeout = options.peer_timeout.unwrap_or(ANSWER_TIMEOUT);
                    return Ok(Self { stream, peer: address, answer_timeout });
                }
                Err(error) => last = error,
            }
        }
        Err(unreachable(options, &last))
    }

    /// Sends a record.
    pub(super) fn send(&mut self, message: &WireMessage) -> Result<(), ExitMessage> {
        let failed =
            |error| ExitMessage::failure(format!("send_request: data send error: {error}\n"));
        message.write(&mut self.stream).map_err(failed)
    }

    /// The next record, within `patience`.
    pub(super) fn receive(&mut self, patience: Duration) -> Result<WireMessage, ExitMessage> {
        WireMessage::read(&mut self.within(patience)).map_err(|error| lost(&error))
    }

    /// Asks, and has the answer; an errno of the server's is a refusal.
    pub(super) fn ask(&mut self, message: &WireMessage) -> Result<WireMessage, ExitMessage> {
        self.send(message)?;
        let mut patience = self.answer_timeout;
        loop {
            let answer = accepted(self.receive(patience)?)?;
            let Some((place, seconds)) = read_queued(&answer) else { return Ok(answer) };
            print_error(&format!(
                "netperf: waiting in the queue of {}: place {place}, for {seconds} s at most\n",
                self.peer
            ));
            patience = self.answer_timeout + Duration::from_secs(seconds.into());
        }
    }

    /// The results of a test, or why podperf ended it.
    pub(super) fn results(
        &mut self,
        patience: Option<Duration>,
    ) -> Result<TestAnswer, ExitMessage> {
        let answer =
            self.receive(patience.map_or(self.answer_timeout, |own| own.min(self.answer_timeout)))?;
        match words_of(&answer) {
            Some(why) => Ok(TestAnswer::Ended(why)),
            None if answer.errno() == libc::ESHUTDOWN => Ok(TestAnswer::ServerEnds),
            None => accepted(answer).map(|answer| TestAnswer::Results(Box::new(answer))),
        }
    }

    /// Whether the server is podperf; one that is not stays as it was.
    pub(super) fn is_native(&mut self) -> Result<bool, ExitMessage> {
        self.send(&ClientMessage::Probe.write())?;
        let answer = self.receive(self.answer_timeout)?;
        if answer.errno() == UNKNOWN {
            return Ok(false);
        }
        Ok(Identity::read(&accepted(answer)?).is_some())
    }

    /// All that a podperf counted over the last test, where it has that to tell.
    pub(super) fn details(&mut self) -> Option<Details> {
        self.send(&ClientMessage::Details.write()).ok()?;
        Details::read(&mut self.within(self.answer_timeout.min(DETAILS_TIMEOUT))).ok()
    }

    /// Whether something comes within `patience`.
    pub(super) fn is_answered(&self, patience: Duration) -> bool {
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        poll(&mut [PollFd::new(self.stream.as_fd(), PollFlags::POLLIN)], timeout)
            .is_ok_and(|ready| ready > 0)
    }

    /// The connection, to be read from for so long.
    fn within(&self, patience: Duration) -> DeadlineReader<'_> {
        DeadlineReader { stream: &self.stream, deadline: Instant::now() + patience }
    }

    /// TCP_MAXSEG.
    pub(super) fn mss(&self) -> Option<u32> {
        SockRef::from(&self.stream).tcp_mss().ok()
    }

    /// The connection once more, to be looked at or written to.
    pub(super) fn clone_stream(&self) -> Option<TcpStream> {
        self.stream.try_clone().ok()
    }

    /// Says through `stop` when the peer is gone, until the guard is dropped.
    pub(super) fn watch(&self, stop: &Sender<Kind>) -> Guard {
        let over = Arc::new(AtomicBool::new(false));
        let guard = Guard(Arc::clone(&over));
        let (Some(stream), stop) = (self.clone_stream(), stop.clone()) else { return guard };
        let look = move || {
            let timeout = PollTimeout::from(POLL_INTERVAL_MS);
            let events = PollFlags::POLLIN;
            while !over.load(Ordering::Relaxed) {
                let mut polled = [PollFd::new(stream.as_fd(), events)];
                if !matches!(poll(&mut polled, timeout), Ok(1..)) {
                    continue;
                }
                // Results that come early say nothing about the peer's end.
                let gone = !matches!(stream.peek(&mut [0]), Ok(1..));
                if gone && !over.load(Ordering::Relaxed) {
                    let _ = stop.try_send(Kind::Incomplete);
                }
                return;
            }
        };
        // Without it the end of the peer is noticed by the data connections alone.
        let _ = std::thread::Builder::new().name("control".into()).spawn(look);
        guard
    }
}

/// Reads from a connection until a deadline, in however many pieces it comes.
struct DeadlineReader<'a> {
    stream: &'a TcpStream,
    deadline: Instant,
}

impl Read for DeadlineReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(ErrorKind::TimedOut.into());
        }
        self.stream.set_read_timeout(Some(left))?;
        self.stream.read(buffer)
    }
}

/// As long as it lives, the control connection is watched.
#[derive(Debug)]
pub(super) struct Guard(Arc<AtomicBool>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn dial(
    address: SocketAddr,
    local: Option<SocketAddr>,
    peer_timeout: Option<Duration>,
) -> io::Result<TcpStream> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    if let Some(local) = local {
        socket.set_reuse_address(true)?;
        socket.bind(&local.into())?;
    }
    socket.connect_timeout(&address.into(), peer_timeout.unwrap_or(CONNECT_TIMEOUT))?;
    let stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(MAX_KEEPALIVE_PROBES);
    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    stream.set_write_timeout(Some(peer_timeout.unwrap_or(ANSWER_TIMEOUT)))?;
    Ok(stream)
}

/// An address with its link: that of `peer`, where it needs one and none is named.
pub(super) fn linked(address: SocketAddr, peer: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V6(v6) if v6.scope_id() == 0 => {
            let mut linked = on_link_of(address.ip(), peer);
            linked.set_port(address.port());
            linked
        }
        _ => address,
    }
}

/// An own address of the family of `peer`; a port without an address is one of any.
fn own_address(own: Option<&[SocketAddr]>, peer: SocketAddr, port: u16) -> Option<SocketAddr> {
    let fits = |own: &&SocketAddr| own.is_ipv4() == peer.is_ipv4();
    let any = SocketAddr::new(AddressFamily::of(peer.ip()).unspecified(), 0);
    let own = own.and_then(|own| own.iter().find(fits)).map(|&own| linked(own, peer));
    let mut own = own.or_else(|| (port != 0).then_some(any))?;
    own.set_port(port);
    Some(own)
}

/// The addresses of a host, of one family if asked.
pub(super) fn resolve(
    host: &str,
    port: u16,
    family: Option<AddressFamily>,
) -> Result<Vec<SocketAddr>, ExitMessage> {
    let unknown = |cause: String| {
        let family = family_name(family);
        let out = format!(
            "resolve_host: could not resolve host '{host}' port '(null)' af {family}\n\
             \tgetaddrinfo returned {cause}\n\
             Netperf could not resolve {host} as a host name\n"
        );
        ExitMessage::printed(out, 255)
    };
    let all = (host, port).to_socket_addrs().map_err(|error| unknown(error.to_string()))?;
    let wanted: Vec<SocketAddr> =
        all.filter(|address| family.is_none_or(|family| family.has(address.ip()))).collect();
    if wanted.is_empty() { Err(unknown("no address of that family".into())) } else { Ok(wanted) }
}

fn unreachable(options: &Options, error: &io::Error) -> ExitMessage {
    let mut err = String::new();
    if options.debug > 0 {
        err = format!("netperf: connect: {error}\n");
    }
    let (host, port) = (&options.host, options.ports.remote);
    let address = host.split('%').next().and_then(|address| address.parse().ok());
    let peer_family = options.family.or_else(|| address.map(AddressFamily::of));
    let any = if peer_family == Some(AddressFamily::V6) { "::0" } else { "0.0.0.0" };
    let local = options.local_host.as_deref().unwrap_or(any);
    let (own_port, family) = (options.ports.local, family_name(options.family));
    let peer_family = family_name(peer_family);
    let out = format!(
        "establish control: are you sure there is a netserver listening on {host} at port {port}?\n\
         establish_control could not establish the control connection from {local} port {own_port} \
         address family {family} to {host} port {port} address family {peer_family}\n"
    );
    ExitMessage { out, err, status: 255 }
}

/// The connection ended, or nothing came.
fn lost(error: &io::Error) -> ExitMessage {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            let errno = error.raw_os_error().unwrap_or(0);
            let out =
                format!("recv_response_timed_n: no response received. errno {errno} counter 0\n");
            ExitMessage::printed(out, 1)
        }
        ErrorKind::UnexpectedEof => {
            ExitMessage::failure("recv_response: partial response received: 0 bytes\n")
        }
        _ => ExitMessage::failure(format!("recv_response: {}\n", cause(error))),
    }
}

/// The answer, unless it brings an errno.
fn accepted(answer: WireMessage) -> Result<WireMessage, ExitMessage> {
    let errno = answer.errno();
    if errno == 0 {
        return Ok(answer);
    }
    let text = if errno == UNKNOWN {
        "the server does not know this test".to_owned()
    } else {
        words(errno)
    };
    let why = words_of(&answer).map(|why| format!("netperf: {why}\n")).unwrap_or_default();
    let (out, err) = (format!("netperf: remote error {errno}"), format!("{text}\n{why}"));
    Err(ExitMessage { out, err, status: 255 })
}

/// What the system says of an error, without its number; of one that is not its own, the text.
pub(super) fn cause(error: &io::Error) -> String {
    error.raw_os_error().map_or_else(|| error.to_string(), words)
}

/// What the system says of an errno, without its number.
fn words(errno: i32) -> String {
    let text = io::Error::from_raw_os_error(errno).to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
