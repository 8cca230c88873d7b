//! What a client asks for, held against what this server does before anything is done for it.
//!
//! Enters: a request. Leaves: an [`Order`] whose every size is bounded, or the errno that the
//! answer names. Pure.

use std::time::Duration;

use super::wait_for_data::Patience;
use crate::data::slow_transfer;
use crate::data::socket::SocketRequest;
use crate::options::Buffers;
use crate::test_kind::{MAX_DATAGRAM_BYTES, Protocol, TestDirection, TestLength, TestShape};
use crate::wire::ask::{
    CONNECTIONS, KEEPALIVE, MEASURE_CPU, NO_DELAY, OmniRequest, SERVER_RECEIVES, SERVER_SENDS,
};
use crate::wire::dialect::Dialect;
use crate::wire::native::Extensions;
use crate::wire::{UNKNOWN, WireMessage};
use podperf_engine::workload::compat::Pace;

/// Largest size of a call, a request or a response.
const MAX_CALL_BYTES: u32 = 64 << 20;
/// Bytes that a client is answered for each of its own, before it has proved that it is there.
const UNPROVED_BYTES_PER_BYTE: u64 = 3;
/// Longest test.
const MAX_TEST_SECONDS: i32 = 7 * 86_400;

/// A test that this server does.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Order {
    pub(super) shape: TestShape,
    pub(super) length: TestLength,
    /// Of each send or receive call; absent: as the socket's buffer.
    pub(super) send_bytes: Option<u32>,
    pub(super) receive_bytes: Option<u32>,
    /// 0 where there are none.
    pub(super) request_bytes: u32,
    pub(super) response_bytes: u32,
    pub(super) ask: SocketRequest,
    pub(super) measure_cpu: bool,
    pub(super) cpu: Option<u32>,
    pub(super) pace: Option<Pace>,
    /// Datagrams go to a client that has not proved that it wants them, without a limit.
    pub(super) sends_unproved: bool,
    /// Where its data goes, and what the answer repeats.
    pub(super) request: OmniRequest,
    /// What a podperf said of it before.
    pub(super) extensions: Extensions,
}

impl Order {
    /// Reads a request.
    ///
    /// # Errors
    /// The errno for one that is not to be had.
    pub(super) fn read(
        dialect: Dialect,
        message: &WireMessage,
        extensions: Extensions,
    ) -> Result<Self, i32> {
        // RDS and what else has no addresses of the Internet.
        if dialect == Dialect::Omni && !matches!(message.get(92), 0_u32 | 4 | 6) {
            return Err(UNKNOWN);
        }
        let request = dialect.read_request(message);
        let shape = shape(&request)?;
        if extensions.streams > 1 && shape.protocol == Protocol::Udp {
            return Err(libc::EOPNOTSUPP);
        }
        if request.test_length > MAX_TEST_SECONDS {
            return Err(libc::EINVAL);
        }
        let length = match request.test_length {
            0 => TestLength::UntilTold,
            seconds @ 1.. => TestLength::Time(Duration::from_secs(seconds.unsigned_abs().into())),
            units => TestLength::Units(units.unsigned_abs().into()),
        };
        let datagrams = shape.protocol == Protocol::Udp;
        let [request_bytes, response_bytes] = messages(&request, shape)?;
        let send_bytes = size(request.send_size, datagrams)?;
        let receive_bytes = size(request.receive_size, false)?;
        let [operations, micros] = request.pace;
        let paced = operations > 0 && micros > 0 && shape.direction == TestDirection::Receive;
        Ok(Self {
            shape,
            length,
            send_bytes,
            receive_bytes,
            request_bytes,
            response_bytes,
            ask: ask(&request),
            measure_cpu: request.flags & MEASURE_CPU != 0,
            cpu: request.cpu,
            pace: paced.then(|| Pace { operations, every: Duration::from_micros(micros.into()) }),
            sends_unproved: false,
            request,
            extensions,
        })
    }
}

impl Order {
    /// Datagrams go out before any has come in.
    pub(super) fn sends_first(&self) -> bool {
        self.shape.protocol == Protocol::Udp && self.shape.direction == TestDirection::Receive
    }

    /// How long nothing may move while it runs: longer where that may be without anybody being
    /// stopped, between two bursts and while a long response goes over a slow link that nobody
    /// looks at.
    pub(super) fn stall_timeout(&self, patience: Patience) -> Duration {
        let [_, micros] = self.request.pace;
        let bursts = Duration::from_micros(u64::from(micros)) * 2;
        let bytes = u64::from(self.request_bytes) + u64::from(self.response_bytes);
        let lasts = self.shape.direction.lasts();
        let slow = if lasts { Duration::ZERO } else { slow_transfer(bytes) };
        let base = if self.answers_datagrams() {
            patience.stall.max(patience.datagrams)
        } else {
            patience.stall
        };
        base + bursts + slow
    }

    /// Datagrams go out in answer to those that come in.
    pub(super) fn answers_datagrams(&self) -> bool {
        self.shape.protocol == Protocol::Udp
            && self.shape.direction == TestDirection::RequestResponse
    }

    /// Such answers are longer than what a client may be sent that has not proved that it is
    /// there. One that is not podperf waits for all of the first answer for ever.
    pub(super) fn outgrows_proof(&self) -> bool {
        let most = u64::from(self.request_bytes) * UNPROVED_BYTES_PER_BYTE;
        self.answers_datagrams() && u64::from(self.response_bytes) > most
    }
}

fn shape(request: &OmniRequest) -> Result<TestShape, i32> {
    let protocol = request.protocol.ok_or(UNKNOWN)?;
    let direction = match (request.direction, request.flags & CONNECTIONS != 0) {
        (SERVER_RECEIVES, false) => TestDirection::Send,
        (SERVER_SENDS, false) => TestDirection::Receive,
        (BOTH, false) => TestDirection::RequestResponse,
        (BOTH, true) => TestDirection::ConnectRequestResponse,
        (0, true) => TestDirection::Connect,
        (SERVER_RECEIVES | SERVER_SENDS, true) => return Err(libc::EOPNOTSUPP),
        _ => return Err(libc::EINVAL),
    };
    if protocol == Protocol::Udp && !direction.lasts() {
        return Err(libc::EOPNOTSUPP);
    }
    Ok(TestShape { protocol, direction })
}

const BOTH: u32 = SERVER_RECEIVES | SERVER_SENDS;

/// Bytes of a request and of a response.
fn messages(request: &OmniRequest, shape: TestShape) -> Result<[u32; 2], i32> {
    match shape.direction {
        TestDirection::Send | TestDirection::Receive | TestDirection::Connect => Ok([0; 2]),
        TestDirection::RequestResponse | TestDirection::ConnectRequestResponse => {
            let datagrams = shape.protocol == Protocol::Udp;
            let sizes = [request.request_size, request.response_size];
            let [request, response] = sizes.map(|bytes| size(bytes, datagrams));
            Ok([request?.ok_or(libc::EINVAL)?, response?.ok_or(libc::EINVAL)?])
        }
    }
}

/// Absent: none is asked for.
fn size(bytes: Option<u32>, datagram: bool) -> Result<Option<u32>, i32> {
    match bytes {
        None | Some(0) => Ok(None),
        Some(bytes) if bytes > MAX_CALL_BYTES => Err(libc::EINVAL),
        Some(bytes) if datagram && bytes > MAX_DATAGRAM_BYTES => Err(libc::EMSGSIZE),
        Some(_) => Ok(bytes),
    }
}

fn ask(request: &OmniRequest) -> SocketRequest {
    // The kernel has bounds of its own for buffers, and doubles what it is asked for.
    let buffer = |bytes: Option<u32>| Some(bytes?.min(1 << 30)).filter(|&bytes| bytes > 0);
    let name = &request.congestion_control;
    SocketRequest {
        buffers: Buffers {
            send: buffer(request.send_buffer),
            receive: buffer(request.receive_buffer),
        },
        no_delay: request.flags & NO_DELAY != 0,
        congestion_control: (!name.is_empty()).then(|| name.clone()),
        tos: request.tos.and_then(|tos| u8::try_from(tos).ok()).filter(|&tos| tos > 0),
        priority: request.priority,
        keepalive: request.flags & KEEPALIVE != 0,
        ..SocketRequest::default()
    }
}

#[cfg(test)]
mod tests;
