//! Flows of datagrams: the UDP port of the same number as the listener's.
//!
//! Enters: datagrams from anybody. Leaves: a connected socket for each flow whose client has named
//! its session and shown that it receives where it sends from. Only requests with the id of a
//! waiting session are answered, each with fewer bytes than it had; strangers get nothing, and no
//! state is kept of them. The kernel prefers a connected socket to the open one (compute_score in
//! net/ipv4/udp.c), so the flows' own datagrams do not come by here. Nothing here blocks.

use std::collections::{HashMap, VecDeque};
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, bounded};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrLike as _, SockaddrStorage, recv,
    recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};

use super::Log;
use crate::control::flow_preamble::{FlowAnswer, FlowRequest, ProofKey, REQUEST};
use crate::control::preamble::SessionId;
use podperf_model::error::{Error, Kind, Result};

/// Datagrams looked at in one turn, so that a flood leaves time for the listener's other work.
const A_TURN: usize = 256;
/// Between two looks at requests that were repeated because their answer was lost: they arrive at
/// the flow's own socket.
const REPEATED: Duration = Duration::from_millis(20);
/// Between two lines about flows that cannot be set up.
const QUIET: Duration = Duration::from_secs(1);

/// A flow's number and its connected socket.
pub(super) type Joined = (u32, Socket);

/// Sets flows up.
pub(super) struct Flows {
    /// Absent: why there is no UDP port.
    port: Result<Port, String>,
    sessions: Mutex<HashMap<SessionId, Waiting>>,
    looked: Mutex<Looked>,
}

struct Port {
    socket: Socket,
    address: SocketAddr,
    key: ProofKey,
}

#[derive(Default)]
struct Looked {
    at: Option<Instant>,
    complained: Option<Instant>,
}

/// A session whose flows are being set up.
struct Waiting {
    tell: Sender<Joined>,
    /// By flow: where it goes, and its socket.
    flows: Vec<Option<(SocketAddr, Socket)>>,
}

/// A session's place; dropped, its flows' sockets are looked at no more.
pub(super) struct Place<'a> {
    flows: &'a Flows,
    session: SessionId,
    pub(super) joining: Receiver<Joined>,
}

/// A datagram at the open port, or for it.
struct Knock {
    bytes: Vec<u8>,
    from: SocketAddr,
    /// The address it was sent to, and so the one to answer from.
    to: IpAddr,
}

impl Flows {
    /// Opens the UDP port at `address`. A port that is taken leaves TCP serving alone.
    pub(super) fn bind(address: SocketAddr) -> Self {
        let port = open(address, None).and_then(|socket| {
            if address.is_ipv6() {
                setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            } else {
                setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?;
            }
            let key = ProofKey::random().map_err(io::Error::other)?;
            Ok(Port { socket, address, key })
        });
        Self {
            port: port.map_err(|error| format!("UDP port {}: {error}", address.port())),
            sessions: Mutex::default(),
            looked: Mutex::default(),
        }
    }

    /// Whether flows of datagrams can be had.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn available(&self) -> Result<()> {
        self.port.as_ref().map(|_| ()).map_err(|cause| {
            Error::new(Kind::Unmeasured, "open", cause)
                .with_remedy("free that UDP port, or let the server listen on another with -p")
        })
    }

    /// To be waited for beside the listener.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.port.as_ref().ok().map(|port| port.socket.as_fd())
    }

    /// Lets `session` set up `count` flows.
    ///
    /// # Errors
    /// As [`Self::available`].
    pub(super) fn expect(&self, session: SessionId, count: u32) -> Result<Place<'_>> {
        self.available()?;
        let (tell, joining) = bounded(count as usize);
        let flows = (0..count).map(|_| None).collect();
        self.lock().insert(session, Waiting { tell, flows });
        Ok(Place { flows: self, session, joining })
    }

    /// Serves what has come to the port, and requests repeated at flows that are set up.
    pub(super) fn serve(&self, log: Log<'_>) {
        let Ok(port) = &self.port else { return };
        let mut knocks = VecDeque::new();
        for _ in 0..A_TURN {
            if knocks.is_empty() {
                knocks.extend(port.receive());
            }
            let Some(knock) = knocks.pop_front() else { break };
            if let Err(error) = self.answer(port, &knock, &mut knocks) {
                let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
                if looked.complained.is_none_or(|at| at.elapsed() > QUIET) {
                    looked.complained = Some(Instant::now());
                    log(&format!("set up a flow of datagrams with {}: {error}", knock.from));
                }
            }
        }
        let mut looked = self.looked.lock().unwrap_or_else(PoisonError::into_inner);
        if looked.at.is_none_or(|at| at.elapsed() > REPEATED) {
            looked.at = Some(Instant::now());
            self.answer_repeated();
        }
    }

    /// Answers one datagram. What raced into a new flow's socket before it was connected goes to
    /// `raced`.
    fn answer(&self, port: &Port, knock: &Knock, raced: &mut VecDeque<Knock>) -> io::Result<()> {
        let Some(request) = FlowRequest::decode(&knock.bytes) else { return Ok(()) };
        let mut sessions = self.lock();
        let Some(waiting) = sessions.get_mut(&request.session) else { return Ok(()) };
        let Some(flow) = waiting.flows.get_mut(request.flow as usize) else { return Ok(()) };
        match flow {
            Some((peer, socket)) if *peer == knock.from => accept(socket, request.flow),
            // Somebody else has it.
            Some(_) => Ok(()),
            None if port.key.accepts(&request, knock.from) => {
                let socket = port.connect(knock, raced)?;
                let own = socket.try_clone()?;
                accept(&socket, request.flow)?;
                *flow = Some((knock.from, socket));
                // There is a place for each flow, and each comes once.
                let _ = waiting.tell.try_send((request.flow, own));
                Ok(())
            }
            None => port.challenge(&request, knock),
        }
    }

    /// A client whose acceptance was lost repeats its request, which comes to the flow's socket.
    fn answer_repeated(&self) {
        let mut bytes = [0; REQUEST + 1];
        for waiting in self.lock().values() {
            for (id, flow) in (0..).zip(&waiting.flows) {
                let Some((_, socket)) = flow else { continue };
                let Ok(length) = recv(socket.as_raw_fd(), &mut bytes, MsgFlags::MSG_DONTWAIT)
                else {
                    continue;
                };
                if FlowRequest::decode(&bytes[..length]).is_some() {
                    // It is repeated again if this one is lost too.
                    let _ = accept(socket, id);
                }
            }
        }
    }

    /// A session that panicked has left the map whole, so poison does not matter.
    fn lock(&self) -> MutexGuard<'_, HashMap<SessionId, Waiting>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.flows.lock().remove(&self.session);
    }
}

fn accept(socket: &Socket, flow: u32) -> io::Result<()> {
    socket.send(&FlowAnswer::Accepted { flow }.encode()).map(|_| ())
}

/// A UDP socket at `address`, connected to `peer` if there is one. All of one port share it
/// (SO_REUSEPORT), which the kernel grants within one user.
fn open(address: SocketAddr, peer: Option<SocketAddr>) -> io::Result<Socket> {
    let domain = Domain::for_address(address);
    let socket = Socket::new(domain, Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
    socket.set_reuse_port(true)?;
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

impl Port {
    /// The next datagram; absent: there is none, or it cannot be read.
    fn receive(&self) -> Option<Knock> {
        let mut bytes = [0; REQUEST + 1];
        let mut control = nix::cmsg_space!(libc::in6_pktinfo, libc::in_pktinfo);
        let mut slices = [IoSliceMut::new(&mut bytes)];
        let flags = MsgFlags::MSG_DONTWAIT;
        let fd = self.socket.as_raw_fd();
        let message =
            recvmsg::<SockaddrStorage>(fd, &mut slices, Some(&mut control), flags).ok()?;
        let from = socket_address(message.address.as_ref()?)?;
        let to = message.cmsgs().ok()?.find_map(|control| match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                Some(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes()))
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::from(info.ipi6_addr.s6_addr)),
            _ => None,
        })?;
        let length = message.bytes;
        Some(Knock { bytes: bytes[..length].to_vec(), from, to })
    }

    /// Own address as the sender of `knock` sees it.
    fn local(&self, knock: &Knock) -> SocketAddr {
        match (knock.to, knock.from) {
            // A link-local address needs its link.
            (IpAddr::V6(to), SocketAddr::V6(from)) => {
                SocketAddrV6::new(to, self.address.port(), 0, from.scope_id()).into()
            }
            (to, _) => SocketAddr::new(to, self.address.port()),
        }
    }

    /// A socket of its own for a flow, between the addresses that its request went between.
    fn connect(&self, knock: &Knock, raced: &mut VecDeque<Knock>) -> io::Result<Socket> {
        let socket = open(self.local(knock), Some(knock.from))?;
        // Between bind and connect the kernel may have given it what was meant for the open port.
        let mut bytes = [0_u8; REQUEST + 1];
        let fd = socket.as_raw_fd();
        for _ in 0..A_TURN {
            let mut slices = [IoSliceMut::new(&mut bytes)];
            let flags = MsgFlags::MSG_DONTWAIT;
            let Ok(message) = recvmsg::<SockaddrStorage>(fd, &mut slices, None, flags) else {
                break;
            };
            let from = message.address.as_ref().and_then(socket_address);
            let length = message.bytes;
            raced.extend(from.map(|from| Knock {
                bytes: bytes[..length].to_vec(),
                from,
                to: knock.to,
            }));
        }
        Ok(socket)
    }

    /// Tells the sender of `knock` what to repeat, from the address it addressed.
    fn challenge(&self, request: &FlowRequest, knock: &Knock) -> io::Result<()> {
        let proof = self.key.proof(request, knock.from);
        let answer = FlowAnswer::Challenge { flow: request.flow, proof }.encode();
        let four;
        let six;
        let source = match knock.to {
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
        let to = SockaddrStorage::from(knock.from);
        let (slices, flags) = ([IoSlice::new(&answer)], MsgFlags::MSG_DONTWAIT);
        sendmsg(self.socket.as_raw_fd(), &slices, &[source], flags, Some(&to))?;
        Ok(())
    }
}

fn socket_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    debug_assert!(address.len() > 0);
    let four = address.as_sockaddr_in().map(|four| SocketAddr::V4((*four).into()));
    four.or_else(|| address.as_sockaddr_in6().map(|six| SocketAddr::V6((*six).into())))
}
