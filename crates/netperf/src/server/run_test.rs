//! One test, from the request to the results.
//!
//! Enters: an order and the control connection it came over. Leaves: what this end counted. The
//! clock starts with the first connection or datagram, so that a client may pause before it.

use std::os::fd::AsFd as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use socket2::Socket;

use super::data_socket::{DataSocket, DataSource};
use super::order::Order;
use super::policy_check::TestMeter;
use super::wait_for_data::{NoTotals, TestContext};
use super::watch::beside;
use crate::data::{
    DRAIN_STALL_TIMEOUT, DataConnections, DataPhase, Job, PhaseControl, Totals, cpu,
};
use crate::figures::{CpuPercent, Interim};
use crate::test_kind::{MAX_DATAGRAM_BYTES, Protocol, TestDirection, TestLength};
use podperf_engine::metrics::flow;
use podperf_engine::metrics::host_reader::HostReader;
use podperf_engine::metrics::roots::Roots;
use podperf_engine::policy::{Refusal, RunMeter};
use podperf_engine::transport::short_lived::SessionListener;
use podperf_model::error::{Error, Kind};
use podperf_model::plan::Role;
use podperf_model::reading::Reading;

/// Time that a test may take beyond its own where its client cannot say that it is over, or where
/// what it said may be lost.
const GRACE_TIME: Duration = Duration::from_secs(1);
/// Time beyond a test's own after which it is broken off.
const MAX_EXCESS: Duration = Duration::from_secs(60);
/// Between two looks at a count of connections.
const COUNT_INTERVAL: Duration = Duration::from_millis(10);
/// After which datagrams are sent no more to a client from which none has come.
const RECEIVER_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks at what has come, and datagrams of one look.
const RECEIVER_INTERVAL: Duration = Duration::from_millis(500);
const MAX_HEARD_DATAGRAMS: u32 = 64;
/// What netperf sends, over and over.
const PAYLOAD: &[u8] = b"netperf\0";
/// A UDP response that has not come; this end waits for none.
const UNUSED_RECEIVE_TIMEOUT: Duration = Duration::from_secs(1);

/// Waits for the client's data and does the test.
///
/// # Errors
/// When there is nothing to tell but why.
pub(super) fn run_test(
    order: &Order,
    data_socket: DataSocket,
    mut context: TestContext<'_>,
    mut meter: Option<TestMeter>,
) -> Result<Totals, NoTotals> {
    let receiver = ReceivingClient::of(order, &data_socket)?;
    let phase = wait_for_data(order, data_socket, &mut context)?;
    let stall_timeout = order.stall_timeout(context.patience);
    let ends_on_any_message = !order.shape.direction.lasts();
    let TestContext { control, closing, .. } = context;
    let (ended, there) = beside(control, closing, ends_on_any_message, |stop_sender, stop| {
        let mut gauge = Gauge::new(order, (receiver, meter.as_mut()), stop_sender);
        let every = gauge.every();
        let mut look = |interim: Interim| gauge.look(&interim);
        let interim = every.map(|every| (every, &mut look as &mut dyn FnMut(Interim)));
        let limit = order.length.time().map(|time| time + MAX_EXCESS);
        let stall_timeout = Some(stall_timeout);
        let ending = &mut || ();
        let totals = phase.run(PhaseControl { stop, limit, stall_timeout, interim, ending });
        (gauge.correct(totals), gauge.over)
    });
    let (totals, over) = ended;
    if totals.stalled.is_some() {
        return Err(NoTotals::Stalled);
    }
    if !there? || totals.stopped == Some(Kind::Incomplete) {
        return Err(NoTotals::Gone);
    }
    if let Some(over) = over {
        return Err(NoTotals::Refused(over));
    }
    match totals.errors.iter().find(|error| !ends_a_test(order, error)) {
        Some(error) => Err(NoTotals::failed(error)),
        None => Ok(totals),
    }
}

/// What a client does to end a test is no failure of it: it closes a connection that it has had
/// enough of, with bytes still under way.
fn ends_a_test(order: &Order, error: &Error) -> bool {
    order.shape.direction == TestDirection::Receive
        && matches!(error.errno, Some(libc::ECONNRESET | libc::EPIPE | libc::ECONNREFUSED))
}

/// The client's data and the engine, ready to start.
fn wait_for_data(
    order: &Order,
    data_socket: DataSocket,
    context: &mut TestContext<'_>,
) -> Result<DataPhase, NoTotals> {
    let job = job(order, &data_socket);
    let DataSocket { source, from, .. } = data_socket;
    let streams = order.extensions.streams;
    let sockets = match source {
        DataSource::Listening(listener) if !order.shape.direction.lasts() => {
            // Ready before the first connection, which is then served at once.
            let accepting = SessionListener::of(listener.try_clone()?, from);
            let phase = prepare(job, DataConnections::Listen(accepting, context.control.peer))?;
            context.readable(&listener)?;
            return Ok(phase);
        }
        DataSource::Datagrams(socket) => {
            // Ready before the first datagram: those that follow it fill the socket at once. Over
            // another handle of the same socket, which is connected when the client is known.
            let phase = prepare(job, DataConnections::Connected(vec![socket.try_clone()?]))?;
            if order.shape.direction != TestDirection::Receive {
                context.datagram(&socket, from)?;
            }
            return Ok(phase);
        }
        DataSource::Listening(listener) => context.accept(&listener, from, streams)?,
        DataSource::Reserved(reservation) => {
            context.take_reserved(&reservation, streams, &order.ask)?
        }
    };
    let length = hurried(order, job.length, &sockets);
    prepare(Job { length, ..job }, DataConnections::Connected(sockets))
}

fn prepare(job: Job, ends: DataConnections) -> Result<DataPhase, NoTotals> {
    DataPhase::prepare(job, ends).map_err(|error| NoTotals::failed(&error))
}

/// netperf closes a stream that it receives when its time is over, whatever is still on its way,
/// and its clock runs since before the connection. Whoever sends to it ends a little earlier: two
/// round trips, and what the ends' clocks and schedulers may differ by.
fn hurried(order: &Order, length: TestLength, sockets: &[Socket]) -> TestLength {
    let TestLength::Time(time) = length else { return length };
    if order.shape.direction != TestDirection::Receive {
        return length;
    }
    let info = sockets.iter().filter_map(|socket| flow::read(socket.as_fd()));
    let round_trip = info.map(|info| info.rtt_us).max().unwrap_or(0);
    let early = Duration::from_micros(u64::from(round_trip) * 2) + Duration::from_millis(10);
    TestLength::Time(time - early.min(time / 10))
}

fn job(order: &Order, data_socket: &DataSocket) -> Job {
    let granted = |bytes: Option<u32>| bytes.unwrap_or(1 << 16).max(1);
    let send_bytes = order.send_bytes.unwrap_or_else(|| {
        let bytes = granted(data_socket.granted.send_buffer);
        if order.shape.protocol == Protocol::Udp { bytes.min(MAX_DATAGRAM_BYTES) } else { bytes }
    });
    Job {
        role: Role::Server,
        shape: order.shape,
        send_bytes,
        receive_bytes: order
            .receive_bytes
            .unwrap_or_else(|| granted(data_socket.granted.receive_buffer)),
        request_bytes: order.request_bytes,
        response_bytes: order.response_bytes,
        length: own_length(order),
        in_flight: 1,
        streams: order.extensions.streams,
        cpu: order.cpu,
        timed: order.extensions.times_calls,
        sendfile: false,
        pace: order.pace,
        limits_responses: !order.sends_unproved,
        payload: Some(Arc::from(PAYLOAD)),
        receive_timeout: UNUSED_RECEIVE_TIMEOUT,
        drain_timeout: DRAIN_STALL_TIMEOUT,
    }
}

/// Bytes of each send and receive of a job, for the answer.
pub(super) fn sizes(order: &Order, data_socket: &DataSocket) -> [u32; 2] {
    let job = job(order, data_socket);
    [job.send_bytes, job.receive_bytes]
}

/// Bytes of memory that a test takes here at the most.
pub(super) fn memory_needed(order: &Order, data_socket: &DataSocket) -> u64 {
    let buffers = &order.ask.buffers;
    crate::data::memory_needed(&job(order, data_socket), buffers.send.max(buffers.receive))
}

/// What a client cannot end by itself, or not for certain, this end ends after its time.
fn own_length(order: &Order) -> TestLength {
    let sends = order.shape.direction == TestDirection::Receive;
    match order.length {
        TestLength::Time(time) if sends => TestLength::Time(time),
        TestLength::Time(time) if overtime(order) => TestLength::Time(time + GRACE_TIME),
        TestLength::Units(units) if sends => TestLength::Units(units),
        _ => TestLength::UntilTold,
    }
}

/// The client's word that it is over may be lost, or there is none.
fn overtime(order: &Order) -> bool {
    let sends = order.shape.direction == TestDirection::Receive;
    !sends && (order.shape.protocol == Protocol::Udp || !order.shape.direction.lasts())
}

/// The client of a test whose datagrams this end sends. One of its own now and then says that it
/// still receives them.
#[derive(Debug)]
struct ReceivingClient {
    socket: Socket,
    /// When the last one was there.
    heard: Instant,
}

impl ReceivingClient {
    /// Of a test; absent: its client says so by other means.
    fn of(order: &Order, data_socket: &DataSocket) -> std::io::Result<Option<Self>> {
        match &data_socket.source {
            DataSource::Datagrams(socket) if order.sends_first() => {
                Ok(Some(Self { socket: socket.try_clone()?, heard: Instant::now() }))
            }
            _ => Ok(None),
        }
    }

    /// Takes what has come, and looks whether nothing has for too long.
    fn is_silent(&mut self) -> bool {
        let mut ignored = [std::mem::MaybeUninit::uninit()];
        // No more than that: who sends faster is there.
        for _ in 0..MAX_HEARD_DATAGRAMS {
            match self.socket.recv_with_flags(&mut ignored, libc::MSG_DONTWAIT) {
                Ok(_) => self.heard = Instant::now(),
                Err(_) => break,
            }
        }
        self.heard.elapsed() >= RECEIVER_TIMEOUT
    }
}

/// Looks at a test under way where its end is not all that matters: reads the CPU when the time
/// is over, of a test that waits for its end longer, and counts transactions whose connections do
/// not last.
struct Gauge<'a> {
    order: &'a Order,
    reader: Option<HostReader>,
    before: Reading,
    cpu: Option<CpuPercent>,
    bytes: u64,
    transactions: u64,
    receiver: Option<ReceivingClient>,
    /// Holds it to the policy.
    meter: Option<&'a mut TestMeter>,
    /// The limit of the policy that it went beyond.
    over: Option<Refusal>,
    stop_sender: &'a Sender<Kind>,
    began: Instant,
}

impl<'a> Gauge<'a> {
    fn new(
        order: &'a Order,
        (receiver, meter): (Option<ReceivingClient>, Option<&'a mut TestMeter>),
        stop_sender: &'a Sender<Kind>,
    ) -> Self {
        let timed = overtime(order) && matches!(order.length, TestLength::Time(_));
        let mut reader = (timed && order.measure_cpu).then(|| HostReader::open(&Roots::default()));
        let host = reader.as_mut().map(HostReader::read).unwrap_or_default();
        let before = Reading { host, ..Reading::default() };
        let began = Instant::now();
        Self {
            order,
            reader,
            before,
            cpu: None,
            bytes: 0,
            transactions: 0,
            receiver,
            meter,
            over: None,
            stop_sender,
            began,
        }
    }

    /// How often it looks, if at all.
    fn every(&self) -> Option<Duration> {
        let metered = self.meter.as_ref().map(|_| RunMeter::INTERVAL);
        let own = match self.order.length {
            _ if self.receiver.is_some() => Some(RECEIVER_INTERVAL),
            TestLength::Time(time) => self.reader.as_ref().map(|_| time),
            TestLength::Units(_) if !self.order.shape.direction.lasts() => Some(COUNT_INTERVAL),
            TestLength::Units(_) | TestLength::UntilTold => None,
        };
        own.into_iter().chain(metered).min()
    }

    fn look(&mut self, interim: &Interim) {
        if self.receiver.as_mut().is_some_and(ReceivingClient::is_silent) {
            // Who is told twice ends once.
            let _ = self.stop_sender.try_send(Kind::Interrupted);
        }
        let is_over = self.order.length.time().is_none_or(|time| self.began.elapsed() >= time);
        if let Some(reader) = &mut self.reader
            && self.cpu.is_none()
            && is_over
        {
            let at_ns = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let now = Reading { at_ns, host: reader.read(), ..Reading::default() };
            self.cpu = cpu::between(&self.before, &now);
        }
        self.bytes += interim.bytes;
        self.transactions += interim.transactions;
        if let (Some(meter), None) = (&mut self.meter, &self.over)
            && let Some(over) = meter.look(self.bytes)
        {
            self.over = Some(over);
            // Who is told twice ends once.
            let _ = self.stop_sender.try_send(Kind::Interrupted);
        }
        let each = u64::from(self.order.request_bytes) + u64::from(self.order.response_bytes);
        let done = self.bytes.checked_div(each).unwrap_or(self.transactions);
        if let TestLength::Units(units) = self.order.length
            && done >= units
        {
            // Who is told twice ends once.
            let _ = self.stop_sender.try_send(Kind::Interrupted);
        }
    }

    /// The time beyond the test's own counts for nothing.
    fn correct(&self, mut totals: Totals) -> Totals {
        if let TestLength::Time(time) = self.order.length
            && overtime(self.order)
        {
            totals.elapsed = totals.elapsed.min(time);
            // A client may end it a moment before its time is over by this end's clock.
            let of_all = totals.cpu.filter(|_| self.reader.is_some());
            totals.cpu = self.cpu.or(of_all);
        }
        totals
    }
}
