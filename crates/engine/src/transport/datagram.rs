//! How datagrams move between a worker and the kernel: sockets, headers, batches out and in.
//!
//! Enters: connected UDP sockets and what the plan asks of them. Leaves: batches. One call moves
//! one batch: a send that the kernel cuts into datagrams (UDP_SEGMENT), one sendmmsg, or one
//! recvmmsg whose buffers hold several datagrams each (UDP_GRO). Nothing here counts, paces or
//! decides when to stop.

use std::io;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt};
use socket2::Socket;

use super::buffer::Buffer;
use super::socket::{plain, sends_ipv6, set, set_dscp, sizes};
use podperf_model::error::{Context, Error, Kind, Result};
use podperf_model::plan::udp::{
    HEADER_BYTES as HEADER, MAX_DATAGRAM_BYTES, MAX_SEGMENTS_PER_SEND, Offload, UdpPlan,
};
use podperf_model::plan::{PacingMode, Plan, SocketPlan};
use podperf_model::result::run::SocketFacts;
use podperf_sys::datagram::{RecvBatch, SendBatch, drops, path_mtu, set_fragmentation};
use podperf_sys::socket;

/// First bytes of datagrams that belong to no measurement: they set a flow up or probe its path.
/// As a sequence number they are beyond any that is used.
pub const SETUP_MAGIC: [u8; 8] = *b"podperf\n";
/// Sequence numbers stay below this, so that none looks like [`SETUP_MAGIC`].
const SEQUENCE_END: u64 = 1 << 62;
/// Marks a datagram that was sent inside the sender's window; the rest of the stamp is time.
const IN_WINDOW: u64 = 1 << 63;
/// How long a call may wait before the worker reads the phase again.
const SOCKET_TIMEOUT: Duration = Duration::from_millis(20);
/// Datagrams of one sendmmsg: enough to make the call's own cost small.
const DATAGRAMS_PER_SENDMMSG: usize = 32;
/// With a rate to keep, a batch is what falls due in this time, so that bursts stay short.
const BATCH_TIME: Duration = Duration::from_micros(100);
/// Where the sender sleeps between batches, so few datagrams share a wake-up.
const SLEEPING_BATCH_DATAGRAMS: usize = 8;
/// As long as they fall due in this time; where it sends in bursts, all that do.
const BURST_TIME: Duration = Duration::from_millis(1);
/// Memory that one receive call may fill.
const RECEIVE_BATCH_BYTES: usize = 512 << 10;
/// Largest buffer that UDP_GRO hands over.
const MAX_GRO_BYTES: usize = 1 << 16;

/// What every datagram of a stream starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Number of the datagram in its flow, from 0; below 2^62.
    pub sequence: u64,
    /// It was sent inside the sender's window.
    pub in_window: bool,
    /// When, in nanoseconds since the sender's workers were released.
    pub sent_ns: u64,
}

impl Header {
    fn write(self, to: &mut [u8]) {
        let stamp = self.sent_ns & !IN_WINDOW | if self.in_window { IN_WINDOW } else { 0 };
        to[..8].copy_from_slice(&self.sequence.to_be_bytes());
        to[8..HEADER].copy_from_slice(&stamp.to_be_bytes());
    }

    /// Of a datagram; absent where it is not one of a stream.
    #[inline]
    #[must_use]
    pub fn read(datagram: &[u8]) -> Option<Self> {
        let (sequence, rest) = datagram.split_first_chunk()?;
        let (stamp, _) = rest.split_first_chunk()?;
        let (sequence, stamp) = (u64::from_be_bytes(*sequence), u64::from_be_bytes(*stamp));
        (sequence < SEQUENCE_END).then_some(Self {
            sequence,
            in_window: stamp & IN_WINDOW != 0,
            sent_ns: stamp & !IN_WINDOW,
        })
    }
}

/// Sets the options of a connected UDP socket that the plan asks for.
fn tune(socket: &Socket, plan: &SocketPlan, fragment: bool) -> Result<()> {
    sizes(socket, plan)?;
    set_dscp(socket, plan, sends_ipv6(socket))?;
    let option = if sends_ipv6(socket) { "IPV6_MTU_DISCOVER" } else { "IP_MTU_DISCOVER" };
    let value = if fragment { "fragment" } else { "do not fragment" };
    set(option, value, set_fragmentation(socket, sends_ipv6(socket), fragment))?;
    set("SO_RCVTIMEO", "20 ms", socket.set_read_timeout(Some(SOCKET_TIMEOUT)))?;
    set("SO_SNDTIMEO", "20 ms", socket.set_write_timeout(Some(SOCKET_TIMEOUT)))
}

/// Sets the options of the sockets of all flows, in order, and reads back what was granted.
///
/// # Errors
/// Naming the flow and the option the kernel refused.
pub fn tune_all(sockets: &[Socket], plan: &Plan) -> Result<Vec<SocketFacts>> {
    let fragment = plan.workload.fragments();
    let tuned = (0..).zip(sockets).map(|(id, socket)| {
        tune(socket, &plan.socket, fragment).with_stream(id)?;
        Ok(granted(socket))
    });
    tuned.collect()
}

/// Reads back what the kernel granted. What cannot be read is absent.
fn granted(socket: &Socket) -> SocketFacts {
    let text = |address: io::Result<socket2::SockAddr>| {
        address.ok().and_then(|address| address.as_socket()).map_or_else(String::new, plain)
    };
    let dscp = if sends_ipv6(socket) { socket.tclass_v6() } else { socket.tos_v4() };
    SocketFacts {
        local: text(socket.local_addr()),
        peer: text(socket.peer_addr()),
        send_buffer_bytes: socket.send_buffer_size().ok().map(|bytes| bytes as u64),
        receive_buffer_bytes: socket.recv_buffer_size().ok().map(|bytes| bytes as u64),
        dscp: dscp.ok().and_then(|octet| u8::try_from(octet >> 2).ok()),
        path_mtu_bytes: path_mtu(socket, sends_ipv6(socket)).ok(),
        ..SocketFacts::default()
    }
}

/// Counts drops at the socket's receive buffer so far; see [`drops`].
#[must_use]
pub fn socket_drops(socket: &Socket) -> Option<u32> {
    drops(socket).ok()
}

/// Bytes of IP and UDP headers before a payload.
const fn headers(ipv6: bool) -> u64 {
    if ipv6 { 48 } else { 28 }
}

/// Whether `payload` goes out unfragmented on every socket, as far as their paths are known.
///
/// # Errors
/// EMSGSIZE, with what would fit.
pub fn check_fits(sockets: &[&Socket], payload: usize, option: &str) -> Result<()> {
    for socket in sockets {
        let ipv6 = sends_ipv6(socket);
        let Ok(mtu) = path_mtu(socket, ipv6) else { continue };
        let max_bytes = u64::from(mtu).saturating_sub(headers(ipv6));
        if payload as u64 > max_bytes {
            return Err(too_large(payload).with_remedy(format!(
                "the path's MTU is {mtu} B: use {option} {max_bytes} or less, or --fragment"
            )));
        }
    }
    Ok(())
}

fn too_large(payload: usize) -> Error {
    let error = io::Error::from_raw_os_error(libc::EMSGSIZE);
    Error::system(Kind::Unmeasured, format!("send datagrams of {payload} B"), &error)
}

/// How a batch leaves.
enum BatchMethod {
    Single,
    Messages(SendBatch),
    Segments,
}

/// Hands the datagrams of one worker's flows to the kernel, a batch a call.
pub struct DatagramSend<'a> {
    sockets: Vec<&'a Socket>,
    batch: Buffer,
    size: usize,
    method: BatchMethod,
}

impl<'a> DatagramSend<'a> {
    /// For the datagrams of `plan`, and why it is not as asked where something was refused.
    ///
    /// # Errors
    /// Datagrams that do not fit the path, and UDP_SEGMENT where it is insisted on.
    pub fn open(
        sockets: Vec<&'a Socket>,
        plan: &UdpPlan,
        pacing: Option<PacingMode>,
    ) -> Result<(Self, Option<String>)> {
        let size = plan.size();
        if !plan.fragment {
            check_fits(&sockets, size, "-l")?;
        }
        let count = datagrams_a_batch(plan, pacing);
        let mut sender = Self {
            sockets,
            batch: Buffer::patterned(count * size)?,
            size,
            method: BatchMethod::Single,
        };
        let mut fallback = None;
        if count == 1 {
            return Ok((sender, None));
        }
        let segments = plan.gso != Offload::Off && !plan.fragment;
        match if segments { sender.probe_segments() } else { Ok(()) } {
            Ok(()) if segments => sender.method = BatchMethod::Segments,
            Ok(()) => sender.method = BatchMethod::Messages(SendBatch::new(count)),
            Err(error) if plan.gso == Offload::On => {
                return Err(Error::system(Kind::Unmeasured, "send with UDP_SEGMENT", &error)
                    .with_remedy("leave --gso at auto, or turn it off"));
            }
            Err(error) => {
                fallback = Some(format!("UDP_SEGMENT: {error}; sendmmsg stands in"));
                sender.method = BatchMethod::Messages(SendBatch::new(count));
            }
        }
        Ok((sender, fallback))
    }

    /// Turns segmentation on and tries it on each flow's real path, with datagrams that the
    /// receiver knows not to count.
    fn probe_segments(&mut self) -> io::Result<()> {
        let size = i32::try_from(self.size).unwrap_or(i32::MAX);
        for start in self.batch.chunks_mut(self.size) {
            start[..SETUP_MAGIC.len()].copy_from_slice(&SETUP_MAGIC);
        }
        let turn = |size| {
            self.sockets
                .iter()
                .try_for_each(|socket| setsockopt(socket, sockopt::UdpGsoSegment, &size))
        };
        let tried = turn(size).map_err(io::Error::from).and_then(|()| {
            let two = &self.batch[..2 * self.size];
            self.sockets.iter().try_for_each(|socket| socket::send(socket, two).map(|_| ()))
        });
        if tried.is_err() {
            // Off again; where the option is unknown, so is this.
            let _ = turn(0);
        }
        tried
    }

    /// Payload of a datagram, in bytes.
    #[must_use]
    pub const fn size(&self) -> usize {
        self.size
    }

    /// Datagrams of a full batch.
    #[must_use]
    pub fn datagrams(&self) -> usize {
        self.batch.len() / self.size
    }

    /// The kernel cuts batches into datagrams.
    #[must_use]
    pub const fn segments(&self) -> bool {
        matches!(self.method, BatchMethod::Segments)
    }

    /// Sends `count` datagrams, at most a full batch, on the worker's flow number `flow`, numbered
    /// from `first` on. How many the kernel took.
    ///
    /// # Errors
    /// What the system call returns of the first.
    #[inline]
    pub fn step(&mut self, flow: usize, count: usize, first: Header) -> io::Result<usize> {
        let bytes = &mut self.batch[..count * self.size];
        for (datagram, sequence) in bytes.chunks_exact_mut(self.size).zip(first.sequence..) {
            Header { sequence, ..first }.write(datagram);
        }
        let (socket, bytes) = (self.sockets[flow], &self.batch[..count * self.size]);
        match &mut self.method {
            BatchMethod::Single => socket::send(socket, bytes).map(|_| 1),
            BatchMethod::Segments => {
                socket::send(socket, bytes).map(|taken| taken.div_ceil(self.size))
            }
            BatchMethod::Messages(batch) => batch.send(socket, bytes, self.size),
        }
    }
}

/// As many datagrams as one call may carry, or fewer where a rate is to be kept smoothly.
#[expect(clippy::cast_precision_loss, reason = "a number of datagrams")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
fn datagrams_a_batch(plan: &UdpPlan, pacing: Option<PacingMode>) -> usize {
    let size = plan.size().max(1);
    let max_bytes = (MAX_SEGMENTS_PER_SEND.min(MAX_DATAGRAM_BYTES / size as u64) as usize).max(1);
    let due = plan.bits_per_second.map(|rate| {
        let within =
            |time: Duration| (rate.0 as f64 / 8.0 / size as f64 * time.as_secs_f64()) as usize;
        let datagrams = match pacing {
            Some(PacingMode::Precise) => within(BATCH_TIME),
            Some(PacingMode::Burst) => within(BURST_TIME),
            Some(PacingMode::Sleep) | None => {
                within(BURST_TIME).min(SLEEPING_BATCH_DATAGRAMS).max(within(BATCH_TIME))
            }
        };
        datagrams.clamp(1, max_bytes)
    });
    match (plan.gso, due) {
        (Offload::On, _) | (Offload::Auto, None) => max_bytes,
        (Offload::Auto, Some(due)) => due,
        (Offload::Off, None) => DATAGRAMS_PER_SENDMMSG,
        (Offload::Off, Some(_)) => 1,
    }
}

/// Takes the datagrams of one worker's flows from the kernel.
pub struct DatagramReceive<'a> {
    sockets: Vec<&'a Socket>,
    batch: RecvBatch,
    offloaded: bool,
}

impl<'a> DatagramReceive<'a> {
    /// For datagrams of `plan`, and why it is not as asked where something was refused.
    ///
    /// # Errors
    /// UDP_GRO where it is insisted on.
    pub fn open(sockets: Vec<&'a Socket>, plan: &UdpPlan) -> Result<(Self, Option<String>)> {
        let mut fallback = None;
        let mut offloaded = plan.gro != Offload::Off;
        let ask = || {
            sockets.iter().try_for_each(|socket| setsockopt(socket, sockopt::UdpGroSegment, &true))
        };
        if offloaded && let Err(error) = ask() {
            if plan.gro == Offload::On {
                return Err(Error::system(Kind::Unmeasured, "receive with UDP_GRO", &error.into())
                    .with_remedy("leave --gro at auto, or turn it off"));
            }
            offloaded = false;
            fallback = Some(format!("UDP_GRO: {error}; each datagram comes by itself"));
        }
        let buffer_bytes = if offloaded { MAX_GRO_BYTES } else { plan.size().max(HEADER) };
        let batch = RecvBatch::new((RECEIVE_BATCH_BYTES / buffer_bytes).clamp(1, 64), buffer_bytes);
        Ok((Self { sockets, batch, offloaded }, fallback))
    }

    /// The kernel may hand over several datagrams in one buffer.
    #[must_use]
    pub const fn offloaded(&self) -> bool {
        self.offloaded
    }

    /// Takes what is there on the worker's flow number `flow`, and returns how many buffers.
    ///
    /// # Errors
    /// What the system call returns; `WouldBlock` when there is nothing.
    #[inline]
    pub fn step(&mut self, flow: usize) -> io::Result<usize> {
        self.batch.receive(self.sockets[flow])
    }

    /// The datagrams of the last step's buffer number `index`; a buffer of length 0 is one empty
    /// datagram.
    #[inline]
    pub fn datagrams(&self, index: usize) -> impl Iterator<Item = &[u8]> {
        let (bytes, size) = self.batch.get(index);
        let empty = bytes.is_empty().then_some(bytes);
        empty.into_iter().chain(bytes.chunks(size.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use podperf_model::plan::Direction;
    use podperf_model::units::{BitRate, Bytes};

    proptest! {
        #[test]
        fn a_header_survives_the_wire(
            sequence in 0..SEQUENCE_END,
            in_window: bool,
            sent in 0..IN_WINDOW,
        ) {
            let header = Header { sequence, in_window, sent_ns: sent };
            let mut bytes = [0; HEADER];
            header.write(&mut bytes);
            prop_assert_eq!(Header::read(&bytes), Some(header));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = Header::read(&bytes);
        }
    }

    #[test]
    fn what_sets_a_flow_up_is_no_datagram_of_a_stream() {
        assert_eq!(Header::read(&[&SETUP_MAGIC[..], &[0; 40]].concat()), None);
        assert_eq!(Header::read(&[0; HEADER - 1]), None);
    }

    #[test]
    fn a_batch_is_what_falls_due_in_a_short_time() {
        let batch = |bits: Option<u64>, size, gso, pacing| {
            let plan = UdpPlan {
                direction: Direction::Up,
                datagram_bytes: Some(Bytes(size)),
                bits_per_second: bits.map(BitRate),
                gso,
                gro: Offload::Auto,
                fragment: false,
            };
            datagrams_a_batch(&plan, pacing)
        };
        let precise = Some(PacingMode::Precise);
        assert_eq!(batch(Some(1_000_000), 1_448, Offload::Auto, precise), 1);
        // 1 Gbit/s is 86,326 datagrams a second, 8.6 in 100 µs.
        assert_eq!(batch(Some(1_000_000_000), 1_448, Offload::Auto, precise), 8);
        assert_eq!(batch(Some(u64::MAX), 1_448, Offload::Auto, precise), 45);
        let paced = |bits, pacing| batch(Some(bits), 1_448, Offload::Auto, pacing);
        let by_mode = |bits| {
            let modes = [None, Some(PacingMode::Sleep), precise, Some(PacingMode::Burst)];
            modes.map(|pacing| paced(bits, pacing))
        };
        assert_eq!(by_mode(50_000_000), [4, 4, 1, 4]);
        assert_eq!(by_mode(200_000_000), [8, 8, 1, 17]);
        assert_eq!(by_mode(2_000_000_000), [17, 17, 17, 45]);
        let fastest = |size, gso| batch(None, size, gso, None);
        assert_eq!(fastest(1_448, Offload::Auto), 45);
        assert_eq!(fastest(16, Offload::Auto), 64);
        assert_eq!(fastest(65_507, Offload::Auto), 1);
        assert_eq!(batch(Some(1_000_000), 1_448, Offload::On, None), 45);
        assert_eq!(fastest(1_448, Offload::Off), 32);
        assert_eq!(batch(Some(u64::MAX), 1_448, Offload::Off, None), 1);
    }
}
