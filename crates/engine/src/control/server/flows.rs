//! Flows of datagrams: the UDP port of the same number as the listener's.
//!
//! Enters: datagrams from anybody. Leaves: a connected socket for each flow whose client has named
//! its session and shown that it receives where it sends from. Requests alone are answered, each
//! with fewer bytes than it had; those of a session that nobody knows only so often, and no state
//! is kept of them. All else gets nothing. The kernel prefers a connected socket to the open one
//! (compute_score in net/ipv4/udp.c), so the flows' own datagrams do not come by here. Nothing here
//! blocks.

use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::time::{Duration, Instant};

use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrLike as _, SockaddrStorage, recv,
    recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::control::flow_preamble::{FlowAnswer, FlowRequest, ProofKey, REQUEST_BYTES};
use crate::net::{Log, Reservations, WaitingSession};
use podperf_model::During as _;
use podperf_model::error::{Code, Error, Kind, Result};

/// Handled at once, so that a flood leaves time for the listener's other work.
const MAX_DATAGRAMS_PER_POLL: usize = 256;
/// Between two looks at requests that were repeated because their answer was lost: they arrive at
/// the flow's own socket.
const REPEATED_REQUESTS_INTERVAL: Duration = Duration::from_millis(20);
/// Between two lines about flows that cannot be set up.
const MIN_LOG_INTERVAL: Duration = Duration::from_secs(1);

/// Answers in a second to requests of sessions that nobody knows: enough for the clients of another
/// server, and too few to be of use for a flood.
const MAX_UNKNOWN_PER_SECOND: u32 = 200;

/// By flow: where it goes, and its socket, once it is set up. Absent: the session has streams.
pub(super) type SessionFlows = Option<Vec<Option<(SocketAddr, Socket)>>>;

/// The UDP port, where flows are set up.
pub(super) struct FlowPort {
    pub(super) socket: Socket,
    address: SocketAddr,
    key: ProofKey,
    sharing: PortSharing,
}

/// How the sockets of flows share the port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PortSharing {
    /// SO_REUSEPORT, which the kernel grants within one user.
    OwnUser,
    /// SO_REUSEADDR: the open socket may be of another user, as that of a service manager is.
    AnyUser,
}

/// When things that are done now and then were done last.
#[derive(Default)]
pub(super) struct FlowTimes {
    answered_repeated: Option<Instant>,
    logged: Option<Instant>,
    counted_unknown: Option<Instant>,
    /// Requests of sessions that nobody knows, in the last second.
    unknown: u32,
}

impl FlowTimes {
    /// Whether one more request of a session that nobody knows is answered.
    fn may_answer_unknown(&mut self) -> bool {
        if is_due(&mut self.counted_unknown, Duration::from_secs(1)) {
            self.unknown = 0;
        }
        self.unknown = self.unknown.saturating_add(1);
        self.unknown <= MAX_UNKNOWN_PER_SECOND
    }
}

/// A datagram at the open port, or for it.
struct FlowDatagram {
    bytes: Vec<u8>,
    from: SocketAddr,
    /// The address it was sent to, and so the one to answer from.
    to: IpAddr,
}

impl FlowPort {
    /// Opens the UDP port at `address`.
    ///
    /// # Errors
    /// When it is taken.
    pub(super) fn bind(address: SocketAddr) -> Result<Self> {
        let sharing = PortSharing::OwnUser;
        let port =
            open(address, None, sharing).and_then(|socket| Self::of(socket, address, sharing));
        port.map_err(|error| {
            let cause = format!("UDP port {}: {error}", address.port());
            Error::new(Kind::Unmeasured, "open", cause)
                .with_code(Code::AddressUnavailable)
                .with_remedy("free that UDP port, or let the server listen on another with -p")
        })
    }

    /// Takes a UDP socket that somebody else has opened; `address` is that of the listener.
    ///
    /// # Errors
    /// When it is of another port, or cannot be shared.
    pub(super) fn passed(socket: &UdpSocket, address: SocketAddr) -> Result<Self> {
        let take = || {
            let own = socket.local_addr()?;
            if own.port() != address.port() {
                let cause = format!("it has port {}, the listener {}", own.port(), address.port());
                return Err(io::Error::other(cause));
            }
            let socket = Socket::from(socket.try_clone()?);
            socket.set_reuse_address(true)?;
            Self::of(socket, own, PortSharing::AnyUser)
        };
        take().during("take the UDP socket that was passed")
    }

    fn of(socket: Socket, address: SocketAddr, sharing: PortSharing) -> io::Result<Self> {
        if address.is_ipv6() {
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
        } else {
            setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
        }
        let key = ProofKey::random().map_err(io::Error::other)?;
        Ok(Self { socket, address, key, sharing })
    }

    /// Serves what has come to the port, and requests repeated at flows that are set up.
    pub(super) fn serve(
        &self,
        sessions: &Reservations<Socket, SessionFlows>,
        last: &mut FlowTimes,
        log: Log<'_>,
    ) {
        let mut datagrams = VecDeque::new();
        for _ in 0..MAX_DATAGRAMS_PER_POLL {
            if datagrams.is_empty() {
                datagrams.extend(receive(&self.socket, None));
            }
            let Some(datagram) = datagrams.pop_front() else { break };
            if let Err(error) = self.answer(sessions, &datagram, &mut datagrams, last)
                && is_due(&mut last.logged, MIN_LOG_INTERVAL)
            {
                log(&format!("set up a flow of datagrams with {}: {error}", datagram.from));
            }
        }
        if is_due(&mut last.answered_repeated, REPEATED_REQUESTS_INTERVAL) {
            sessions.for_each(answer_repeated);
        }
    }

    /// Answers one datagram. What raced into a new flow's socket before it was connected goes to
    /// `raced`.
    fn answer(
        &self,
        sessions: &Reservations<Socket, SessionFlows>,
        datagram: &FlowDatagram,
        raced: &mut VecDeque<FlowDatagram>,
        last: &mut FlowTimes,
    ) -> io::Result<()> {
        let Some(request) = FlowRequest::decode(&datagram.bytes) else { return Ok(()) };
        let answer = |waiting: &mut WaitingSession<Socket, SessionFlows>| {
            let flows = waiting.state.as_deref_mut().unwrap_or_default();
            match flows.get_mut(request.flow as usize) {
                None => Ok(()),
                Some(Some((peer, socket))) if *peer == datagram.from => {
                    accept(socket, request.flow)
                }
                // Somebody else has it.
                Some(Some(_)) => Ok(()),
                Some(flow @ None) if self.key.accepts(&request, datagram.from) => {
                    let socket = self.connect(datagram, raced)?;
                    let own = socket.try_clone()?;
                    accept(&socket, request.flow)?;
                    *flow = Some((datagram.from, socket));
                    // Each flow is reserved, and each comes once.
                    waiting.deliver(request.flow, own);
                    Ok(())
                }
                Some(None) => self.challenge(&request, datagram),
            }
        };
        let unknown = FlowAnswer::UnknownSession { flow: request.flow };
        sessions.with(request.session, answer).unwrap_or_else(|| {
            if last.may_answer_unknown() { self.tell(unknown, datagram) } else { Ok(()) }
        })
    }

    /// The own address as the sender of `datagram` sees it.
    fn local(&self, datagram: &FlowDatagram) -> SocketAddr {
        match (datagram.to, datagram.from) {
            // A link-local address needs its link.
            (IpAddr::V6(to), SocketAddr::V6(from)) => {
                SocketAddrV6::new(to, self.address.port(), 0, from.scope_id()).into()
            }
            (to, _) => SocketAddr::new(to, self.address.port()),
        }
    }

    /// Opens a socket of its own for a flow, between the addresses that its request went between.
    fn connect(
        &self,
        datagram: &FlowDatagram,
        raced: &mut VecDeque<FlowDatagram>,
    ) -> io::Result<Socket> {
        let socket = open(self.local(datagram), Some(datagram.from), self.sharing)?;
        // Between bind and connect the kernel may have given it what was meant for the open port.
        let received = std::iter::from_fn(|| receive(&socket, Some(datagram.to)));
        raced.extend(received.take(MAX_DATAGRAMS_PER_POLL));
        Ok(socket)
    }

    /// Tells the sender of `datagram` what to repeat.
    fn challenge(&self, request: &FlowRequest, datagram: &FlowDatagram) -> io::Result<()> {
        let proof = self.key.proof(request, datagram.from);
        self.tell(FlowAnswer::Challenge { flow: request.flow, proof }, datagram)
    }

    /// Answers the sender of `datagram`, from the address it addressed.
    fn tell(&self, answer: FlowAnswer, datagram: &FlowDatagram) -> io::Result<()> {
        let answer = answer.encode();
        let four;
        let six;
        let source = match datagram.to {
            IpAddr::V4(to) => {
                four = libc::in_pktinfo {
                    ipi_ifindex: 0,
                    ipi_spec_dst: libc::in_addr { s_addr: u32::from_ne_bytes(to.octets()) },
                    ipi_addr: libc::in_addr { s_addr: 0 },
                };
                ControlMessage::Ipv4PacketInfo(&four)
            }
            IpAddr::V6(to) => {
                // A link-local destination brings its link itself.
                let address = libc::in6_addr { s6_addr: to.octets() };
                six = libc::in6_pktinfo { ipi6_addr: address, ipi6_ifindex: 0 };
                ControlMessage::Ipv6PacketInfo(&six)
            }
        };
        let to = SockaddrStorage::from(datagram.from);
        let (slices, flags) = ([IoSlice::new(&answer)], MsgFlags::MSG_DONTWAIT);
        sendmsg(self.socket.as_raw_fd(), &slices, &[source], flags, Some(&to))?;
        Ok(())
    }
}

/// Answers clients whose acceptance was lost: they repeat their request, which comes to the flow's
/// socket.
fn answer_repeated(session: &mut WaitingSession<Socket, SessionFlows>) {
    let mut bytes = [0; REQUEST_BYTES + 1];
    for (id, flow) in (0..).zip(session.state.iter().flatten()) {
        let Some((_, socket)) = flow else { continue };
        let received = recv(socket.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT);
        if received.is_ok_and(|length| FlowRequest::decode(&bytes[..length]).is_some()) {
            // It is repeated again if this one is lost too.
            let _ = accept(socket, id);
        }
    }
}

/// Whether `interval` has passed since `last`, which is now then.
fn is_due(last: &mut Option<Instant>, interval: Duration) -> bool {
    let due = last.is_none_or(|last| last.elapsed() > interval);
    if due {
        *last = Some(Instant::now());
    }
    due
}

fn accept(socket: &Socket, flow: u32) -> io::Result<()> {
    socket.send(&FlowAnswer::Accepted { flow }.encode()).map(|_| ())
}

/// Opens a UDP socket at `address`, connected to `peer` if there is one. All of one port share it.
fn open(address: SocketAddr, peer: Option<SocketAddr>, sharing: PortSharing) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
    match sharing {
        PortSharing::OwnUser => socket.set_reuse_port(true)?,
        PortSharing::AnyUser => socket.set_reuse_address(true)?,
    }
    if address.is_ipv6() {
        let both = address.ip().is_unspecified() || address.ip().to_canonical().is_ipv4();
        socket.set_only_v6(!both)?;
    }
    socket.bind(&address.into())?;
    if let Some(peer) = peer {
        socket.connect(&peer.into())?;
    }
    Ok(socket)
}

/// Takes the next datagram, which was sent `to` where the control data do not say; absent: there is
/// none, or it cannot be read.
fn receive(socket: &Socket, to: Option<IpAddr>) -> Option<FlowDatagram> {
    let mut bytes = [0; REQUEST_BYTES + 1];
    let mut control = nix::cmsg_space!(libc::in6_pktinfo, libc::in_pktinfo);
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let (fd, flags) = (socket.as_raw_fd(), MsgFlags::MSG_DONTWAIT);
    let message = recvmsg::<SockaddrStorage>(fd, &mut slices, Some(&mut control), flags).ok()?;
    let from = socket_address(message.address.as_ref()?)?;
    let told = message.cmsgs().ok()?.find_map(|control| match control {
        ControlMessageOwned::Ipv4PacketInfo(info) => {
            Some(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes()))
        }
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::from(info.ipi6_addr.s6_addr)),
        _ => None,
    });
    let length = message.bytes;
    Some(FlowDatagram { bytes: bytes[..length].to_vec(), from, to: told.or(to)? })
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    debug_assert!(address.len() > 0);
    let four = address.as_sockaddr_in().map(|four| SocketAddr::V4((*four).into()));
    four.or_else(|| address.as_sockaddr_in6().map(|six| SocketAddr::V6((*six).into())))
}
