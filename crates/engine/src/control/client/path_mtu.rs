//! Finds out which sizes of packets get through: connections of their own carry one segment each,
//! of many sizes at once, and the kernel tells which of them were acknowledged.
//!
//! Enters: a server's address. Leaves: the largest packet that passed each way, and the smallest
//! that did not. On the way up nothing is asked of the server but that it accepts; on the way down
//! it answers with as many bytes as it is told. Where all sizes pass it takes a round trip or two,
//! else about a second.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use socket2::Socket;

use super::dial;
use crate::control::preamble::{LENGTH_BYTES, MAX_PROBE_BYTES, Preamble};
use podperf_model::error::{Code, Error, Kind};
use podperf_model::result::run::{PacketSizes, PathMtu, Run, Status};
use podperf_sys::tcp_info::{RawTcpInfo, tcp_info};

/// For one round: the kernel repeats a segment after 200 ms, so that each is sent twice.
const ROUND_TIMEOUT: Duration = Duration::from_millis(320);
/// Between two looks at what was acknowledged.
const POLL_INTERVAL: Duration = Duration::from_millis(3);
/// Segments of full size: that all of them are lost by chance is not to be believed.
const FULL_SEGMENTS: usize = 4;
/// Sizes that are tried at once each way.
const SIZES_PER_ROUND: u32 = 15;
/// Rounds that narrow the size down, up to 3,500 of them to one.
const MAX_ROUNDS: usize = 3;
/// A segment that passes everywhere, with its headers.
const SMALL_BYTES: u32 = 64;
/// Flag of tcpi_options: the connection has time stamps.
const TIMESTAMPS: u8 = 1; // TCPI_OPT_TIMESTAMPS
/// What they take of a segment.
const TIMESTAMP_BYTES: u32 = 12;

/// Which way a probe's segment goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ProbeWay {
    Up,
    Down,
}

/// What became of a probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is on its way.
    Pending,
    Passed,
    /// Nothing tells: it was not sent, or the connection ended for another reason.
    Unknown,
}

/// One connection with one segment.
struct Probe {
    way: ProbeWay,
    bytes: u32,
    stream: TcpStream,
    /// When it was sent; absent: the connection is not open yet.
    sent: Option<Instant>,
    received: usize,
    fate: Fate,
}

impl Probe {
    fn open(to: &PathEnds, way: ProbeWay, bytes: u32) -> Option<Self> {
        let socket = dial::open(to.peer, to.bind, false).ok()?;
        socket.set_nonblocking(true).ok()?;
        // Nothing of it goes on when it is dropped, here or there.
        socket.set_linger(Some(Duration::ZERO)).ok()?;
        socket.set_tcp_nodelay(true).ok()?;
        match socket.connect(&to.peer.into()) {
            Err(error) if error.raw_os_error() != Some(libc::EINPROGRESS) => None,
            _ => {
                let stream = TcpStream::from(socket);
                Some(Self { way, bytes, stream, sent: None, received: 0, fate: Fate::Pending })
            }
        }
    }

    /// Looks how far it has come.
    fn go_on(&mut self) {
        let Ok(info) = tcp_info(self.stream.as_fd()) else { return self.fate = Fate::Unknown };
        if self.sent.is_none() {
            const SYN_SENT: u8 = 2; // TCP_SYN_SENT
            if info.state == SYN_SENT {
                return;
            }
            if !self.send() {
                return self.fate = Fate::Unknown;
            }
            self.sent = Some(Instant::now());
            return;
        }
        match self.way {
            ProbeWay::Up if acknowledged(&info, self.bytes.into()) => self.fate = Fate::Passed,
            ProbeWay::Up => {}
            ProbeWay::Down => self.receive(),
        }
    }

    fn send(&mut self) -> bool {
        let answer_bytes = if self.way == ProbeWay::Down { self.bytes } else { 0 };
        let mut segment = Preamble::Probe { answer_bytes }.encode().to_vec();
        if self.way == ProbeWay::Up {
            segment.resize(self.bytes as usize, 0);
        }
        self.stream.write(&segment).is_ok_and(|count| count == segment.len())
    }

    fn receive(&mut self) {
        let mut bytes = [0; 4096];
        loop {
            match self.stream.read(&mut bytes) {
                Ok(count @ 1..) => self.received += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Ok(0) | Err(_) => return self.fate = Fate::Unknown,
            }
        }
        if self.received >= self.bytes as usize {
            self.fate = Fate::Passed;
        }
    }

    /// Whether it was lost, when the round is over at `end`.
    fn is_lost(&self, end: Instant) -> bool {
        let enough = |sent: Instant| end.saturating_duration_since(sent) > ROUND_TIMEOUT * 3 / 4;
        // The server has got the question of one that waits for its answer.
        let asked = self.way == ProbeWay::Up
            || tcp_info(self.stream.as_fd())
                .is_ok_and(|info| acknowledged(&info, LENGTH_BYTES as u64));
        self.fate == Fate::Pending && self.sent.is_some_and(enough) && asked
    }
}

/// The connecting side counts its SYN too.
fn acknowledged(info: &RawTcpInfo, bytes: u64) -> bool {
    info.bytes_acked > bytes
}

/// Between whom it is.
#[derive(Debug, Clone, Copy)]
pub(super) struct PathEnds {
    pub(super) peer: SocketAddr,
    /// Own address.
    pub(super) bind: Option<IpAddr>,
}

/// What one round has found of one way, in bytes of payload.
#[derive(Debug, Clone, Copy, Default)]
struct Bounds {
    passed: Option<u32>,
    lost: Option<u32>,
}

impl Bounds {
    /// Takes what became of the probes of a round. The largest that passed shows that all smaller
    /// ones do.
    fn narrow(&mut self, probes: &[Probe], way: ProbeWay, end: Instant) {
        let own = || probes.iter().filter(|probe| probe.way == way);
        let passed = own().filter(|probe| probe.fate == Fate::Passed).map(|probe| probe.bytes);
        self.passed = self.passed.max(passed.max());
        let lost = own().filter(|probe| probe.is_lost(end)).map(|probe| probe.bytes);
        let beyond = lost.filter(|bytes| Some(*bytes) > self.passed).min();
        let known = self.lost.filter(|bytes| Some(*bytes) > self.passed);
        self.lost = [known, beyond].into_iter().flatten().min();
    }

    /// Sizes to try next.
    fn sizes(self) -> Vec<u32> {
        let (Some(passed), Some(lost)) = (self.passed, self.lost) else { return Vec::new() };
        let between = lost - passed;
        let size = |number| passed + between * number / (SIZES_PER_ROUND + 1);
        let mut sizes: Vec<u32> =
            (1..=SIZES_PER_ROUND).map(size).filter(|size| *size > passed && *size < lost).collect();
        sizes.dedup();
        sizes
    }
}

/// Probes both ways; absent: the server does not even take connections, or small segments are lost
/// too.
pub(super) fn probe(to: PathEnds) -> Option<PathMtu> {
    let begun = Instant::now();
    let timeout = ROUND_TIMEOUT * 2;
    let first = dial::control(to.peer, to.bind, begun + timeout).ok()?;
    let round_timeout = ROUND_TIMEOUT.max(begun.elapsed() * 4);
    let info = tcp_info(first.as_fd()).ok()?;
    drop(reset(first));
    let ip_bytes = if to.peer.ip().to_canonical().is_ipv4() { 20 } else { 40 };
    let stamps = if info.options & TIMESTAMPS == 0 { 0 } else { TIMESTAMP_BYTES };
    let header_bytes = ip_bytes + 20 + stamps;
    let full = info.snd_mss.min(MAX_PROBE_BYTES);
    let mut sizes = vec![full; FULL_SEGMENTS];
    sizes.push(SMALL_BYTES);
    let mut ways = [(ProbeWay::Up, Bounds::default()), (ProbeWay::Down, Bounds::default())];
    let mut wanted = [sizes.clone(), sizes];
    for _ in 0..=MAX_ROUNDS {
        let all = ways.iter().zip(&wanted).flat_map(|((way, _), sizes)| {
            sizes.iter().filter_map(move |bytes| Probe::open(&to, *way, *bytes))
        });
        let mut probes: Vec<Probe> = all.collect();
        if probes.is_empty() {
            break;
        }
        let end = round(&mut probes, round_timeout);
        for (way, bounds) in &mut ways {
            bounds.narrow(&probes, *way, end);
        }
        wanted = ways.map(|(_, bounds)| bounds.sizes());
    }
    let [up, down] = ways.map(|(_, bounds)| {
        Some(PacketSizes {
            passed_bytes: bounds.passed? + header_bytes,
            lost_bytes: bounds.lost.map(|bytes| bytes + header_bytes),
            full_bytes: full + header_bytes,
        })
    });
    up.map(|up| PathMtu { up: Some(up), down })
}

/// Lets the probes go on until all have an end, or the time is over; returns when that was.
fn round(probes: &mut [Probe], timeout: Duration) -> Instant {
    let end = Instant::now() + timeout;
    loop {
        let mut pending = false;
        for probe in probes.iter_mut().filter(|probe| probe.fate == Fate::Pending) {
            probe.go_on();
            pending |= probe.fate == Fate::Pending;
        }
        if !pending || Instant::now() >= end {
            return Instant::now();
        }
        std::thread::sleep(POLL_INTERVAL);
    }
}

/// Has a connection go at once when it is closed.
fn reset(stream: TcpStream) -> Socket {
    let socket = Socket::from(stream);
    let _ = socket.set_linger(Some(Duration::ZERO));
    socket
}

/// Says which packets to `peer` and back are lost for their size; absent: none, or nobody is there.
/// Takes about a second where some are.
#[must_use]
pub fn path_finding(peer: SocketAddr, bind: Option<IpAddr>) -> Option<String> {
    let found = probe(PathEnds { peer, bind })?;
    Some(format!("{}; {}", found.finding()?, found.remedy(peer.is_ipv6())))
}

/// Looks, after a run in which packets may have been lost for their size, whether they were, and
/// adds it to the run's first such error.
pub(super) fn explain(run: &mut Run, port: u16, bind: Option<IpAddr>) {
    let suspicious = |error: &Error| {
        matches!(error.kind, Kind::Unmeasured | Kind::Incomplete)
            && matches!(
                error.code,
                Code::NothingReceived | Code::Stalled | Code::Timeout | Code::ConnectionLost
            )
    };
    let user_ended = |error: &Error| !matches!(error.kind, Kind::Unmeasured | Kind::Incomplete);
    if run.status == Status::Complete || run.errors.iter().any(user_ended) {
        return;
    }
    let Some(number) = run.errors.iter().position(suspicious) else { return };
    // The one of the control connection, as far as it is known.
    let dialed = run.between.as_ref().map(|between| &between.dialed_address);
    let peers = dialed.into_iter().chain(run.errors[number].peer.as_ref());
    let mut peers = peers.filter_map(|peer| peer.parse::<SocketAddr>().ok());
    let Some(peer) = peers.find(|peer| peer.port() == port) else { return };
    let Some(found) = probe(PathEnds { peer, bind }) else { return };
    run.path_mtu = Some(found);
    if let Some(finding) = found.finding() {
        let error = &mut run.errors[number];
        error.code = Code::PathMtu;
        error.cause = format!("{}; {finding}", error.cause);
        error.remedy = Some(found.remedy(peer.is_ipv6()));
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;
    use crate::control::server::{BackgroundServer, ServeOptions};

    #[test]
    fn sizes_between_are_narrowed_down_to_the_byte() {
        let mut bounds = Bounds { passed: Some(SMALL_BYTES), lost: Some(1448) };
        for _ in 0..MAX_ROUNDS {
            let sizes = bounds.sizes();
            assert!(sizes.is_sorted() && sizes.len() <= SIZES_PER_ROUND as usize, "{sizes:?}");
            // What up to 1,248 bytes of payload passes.
            bounds.passed =
                sizes.iter().copied().filter(|size| *size <= 1248).max().or(bounds.passed);
            bounds.lost = sizes.iter().copied().find(|size| *size > 1248).or(bounds.lost);
        }
        assert_eq!((bounds.passed, bounds.lost), (Some(1248), Some(1249)));
        assert!(bounds.sizes().is_empty());
        assert!(Bounds { passed: None, lost: Some(9) }.sizes().is_empty());
    }

    #[test]
    fn over_loopback_all_sizes_pass_both_ways() {
        let loopback = ServeOptions::on(([127, 0, 0, 1], 0).into());
        let server = BackgroundServer::start(loopback).unwrap();
        let found = probe(PathEnds { peer: server.address(), bind: None }).unwrap();
        let full = found.up.unwrap().full_bytes;
        let whole = PacketSizes { passed_bytes: full, lost_bytes: None, full_bytes: full };
        assert_eq!(found, PathMtu { up: Some(whole), down: Some(whole) });
    }

    #[test]
    fn another_program_tells_of_the_way_up_alone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let peer = listener.local_addr().unwrap();
        let found = probe(PathEnds { peer, bind: None }).unwrap();
        assert_eq!((found.finding(), found.up.unwrap().lost_bytes), (None, None));
        drop(listener);
        assert_eq!(probe(PathEnds { peer, bind: None }), None, "nobody is there");
    }
}
