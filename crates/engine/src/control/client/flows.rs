//! Sets up the flows of a UDP run: names each to the server until it is accepted.

use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use socket2::{Domain, Protocol, Socket, Type};

use super::{DataTarget, other_server};
use crate::control::flow_preamble::{ANSWER_BYTES, FlowAnswer, FlowRequest, Proof};
use crate::net::SessionId;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::on_link_of;

/// Flows set up at once, so that neither end's queue overflows.
const MAX_CONCURRENT_FLOWS: usize = 64;
/// Between two requests for a flow that was not answered.
const REQUEST_INTERVAL: Duration = Duration::from_millis(50);

/// Sets up `count` flows.
///
/// # Errors
/// When one is refused, or not accepted in time. None is left open then.
pub(super) fn open(to: &DataTarget, count: u32) -> Result<Vec<Socket>> {
    let &DataTarget { peer, bind, session, deadline, .. } = to;
    let failed = |id| move |error: io::Error| failed(id, peer, &error);
    let mut all = Vec::with_capacity(count as usize);
    let ids: Vec<u32> = (0..count).collect();
    for batch in ids.chunks(MAX_CONCURRENT_FLOWS) {
        let open = |&id| PendingFlow::open(peer, bind, id).map_err(failed(id));
        let mut flows = batch.iter().map(open).collect::<Result<Vec<PendingFlow>>>()?;
        while let Some(late) = flows.iter().find(|flow| !flow.accepted) {
            if Instant::now() >= deadline {
                let silent = io::Error::new(io::ErrorKind::TimedOut, "no answer in time");
                return Err(failed(late.id)(silent));
            }
            for flow in flows.iter().filter(|flow| !flow.accepted) {
                flow.request(session).map_err(failed(flow.id))?;
            }
            let repeat = Instant::now() + REQUEST_INTERVAL;
            while flows.iter().any(|flow| !flow.accepted) && Instant::now() < repeat {
                wait(&flows, repeat);
                for flow in flows.iter_mut().filter(|flow| !flow.accepted) {
                    flow.read_answers(session).map_err(failed(flow.id))?;
                    if flow.is_unknown {
                        return Err(other_server::unknown_session(peer, flow.id));
                    }
                }
            }
        }
        for flow in flows {
            flow.socket.set_nonblocking(false).map_err(failed(flow.id))?;
            all.push(flow.socket);
        }
    }
    Ok(all)
}

/// Waits until a flow has an answer, or until `until`.
fn wait(flows: &[PendingFlow], until: Instant) {
    let waiting = flows.iter().filter(|flow| !flow.accepted);
    let mut fds: Vec<PollFd<'_>> =
        waiting.map(|flow| PollFd::new(flow.socket.as_fd(), PollFlags::POLLIN)).collect();
    let left = until.saturating_duration_since(Instant::now()) + Duration::from_millis(1);
    // Whatever it returns, the sockets are read next.
    let _ = poll(&mut fds, PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX));
}

/// One flow that is being set up.
struct PendingFlow {
    socket: Socket,
    id: u32,
    proof: Proof,
    accepted: bool,
    /// Who got its request knows no such session.
    is_unknown: bool,
}

impl PendingFlow {
    fn open(address: SocketAddr, bind: Option<IpAddr>, id: u32) -> io::Result<Self> {
        let domain = Domain::for_address(address);
        let socket = Socket::new(domain, Type::DGRAM.cloexec(), Some(Protocol::UDP))?;
        if let Some(bind) = bind {
            socket.bind(&on_link_of(bind, address).into())?;
        }
        socket.connect(&address.into())?;
        socket.set_nonblocking(true)?;
        Ok(Self { socket, id, proof: Proof::default(), accepted: false, is_unknown: false })
    }

    fn request(&self, session: SessionId) -> io::Result<()> {
        let request = FlowRequest { session, flow: self.id, proof: self.proof };
        self.socket.send(&request.encode()).map(|_| ())
    }

    /// Takes every answer that is there.
    fn read_answers(&mut self, session: SessionId) -> io::Result<()> {
        let mut bytes = [0; ANSWER_BYTES + 1];
        loop {
            let length = match (&mut &self.socket).read(&mut bytes) {
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            };
            match FlowAnswer::decode(&bytes[..length]) {
                Some(FlowAnswer::Challenge { flow, proof }) if flow == self.id => {
                    self.proof = proof;
                    self.request(session)?;
                }
                Some(FlowAnswer::Accepted { flow }) if flow == self.id => self.accepted = true,
                Some(FlowAnswer::UnknownSession { flow }) if flow == self.id => {
                    self.is_unknown = true;
                }
                _ => {}
            }
        }
    }
}

fn failed(id: u32, address: SocketAddr, error: &io::Error) -> Error {
    let remedy = match error.raw_os_error() {
        Some(libc::EMFILE | libc::ENFILE) => "raise the limit on open files (ulimit -n)",
        Some(libc::EADDRNOTAVAIL) => "give an address of this host to --bind, or use fewer flows",
        _ => {
            "let the path carry UDP to that port as well as TCP: firewalls, and the ports of a \
             Service, are set for each protocol; behind a load balancer, both must reach one server"
        }
    };
    Error::system(Kind::Unmeasured, "set up a flow of datagrams with", error)
        .with_peer(address)
        .with_stream(id)
        .with_remedy(remedy)
}
