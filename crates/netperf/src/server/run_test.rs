//! One test, from the request to the results.
//!
//! Enters: an order and the control connection it came over. Leaves: what this end counted. The
//! clock starts with the first connection or datagram, so that a client may pause before it.

use std::os::fd::BorrowedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;
use socket2::Socket;

use super::control::ControlChannel;
use super::data_socket::{DataSocket, DataSource};
use super::order::Order;
use super::wait_for_data::{DataWait, DataWaitError};
use super::watch::beside;
use crate::data::{DataConnections, DataPhase, Job, PhaseControl, Totals, cpu};
use crate::figures::{CpuPercent, Interim};
use crate::test_kind::{MAX_DATAGRAM_BYTES, Protocol, TestDirection, TestLength};
use crate::wire::native::Extensions;
use podperf_engine::metrics::host_reader::HostReader;
use podperf_engine::metrics::roots::Roots;
use podperf_engine::transport::short_lived::SessionListener;
use podperf_model::error::{Kind, Result};
use podperf_model::plan::Role;
use podperf_model::reading::Reading;

/// For the client's data to come, beyond the length of the test.
const DATA_TIMEOUT: Duration = Duration::from_secs(60);
/// Time that a test may take beyond its own where its client cannot say that it is over, or where
/// what it said may be lost.
const GRACE_TIME: Duration = Duration::from_secs(1);
/// Time beyond a test's own after which it is broken off.
const MAX_EXCESS: Duration = Duration::from_secs(60);
/// Between two looks at a count of connections.
const COUNT_INTERVAL: Duration = Duration::from_millis(10);
/// What netperf sends, over and over.
const PAYLOAD: &[u8] = b"netperf\0";
/// A UDP response that has not come; this end waits for none.
const UNUSED_RECEIVE_TIMEOUT: Duration = Duration::from_secs(1);

/// What a test needs beside its order and its data socket.
pub(super) struct TestContext<'a> {
    pub(super) control: &'a mut ControlChannel,
    pub(super) closing: BorrowedFd<'a>,
    pub(super) extensions: Extensions,
    /// One line an event.
    pub(super) log: &'a dyn Fn(&str),
}

/// What came of a test.
#[derive(Debug)]
pub(super) enum Outcome {
    Totals(Box<Totals>),
    /// The errno to tell, and why.
    Failed(i32, String),
    /// Nobody is there to be told.
    Gone,
}

/// Waits for the client's data and does the test.
///
/// # Errors
/// When the control connection breaks.
pub(super) fn run_test(
    order: &Order,
    data_socket: DataSocket,
    mut context: TestContext<'_>,
) -> Result<Outcome> {
    let job = job(order, &data_socket, context.extensions);
    let phase = match wait_for_data(order, job, data_socket, &mut context) {
        Ok(phase) => phase,
        Err(DataWaitError::Ended) => return Ok(Outcome::Totals(Box::default())),
        Err(DataWaitError::Late) => {
            return Ok(Outcome::Failed(libc::ETIMEDOUT, "no data came".to_owned()));
        }
        Err(DataWaitError::Gone) => return Ok(Outcome::Gone),
        Err(DataWaitError::Broken(error)) => return Err(error),
        Err(DataWaitError::Unprepared(error)) => {
            let errno = error.errno.unwrap_or(libc::EIO);
            return Ok(Outcome::Failed(errno, error.to_string()));
        }
        Err(DataWaitError::Refused(error)) => {
            let errno = error.raw_os_error().unwrap_or(libc::EIO);
            return Ok(Outcome::Failed(errno, error.to_string()));
        }
    };
    let ends_on_any_message = !order.shape.direction.lasts();
    let TestContext { control, closing, .. } = context;
    let (totals, there) = beside(control, closing, ends_on_any_message, |stop_sender, stop| {
        let mut gauge = Gauge::new(order, stop_sender);
        let every = gauge.every();
        let mut look = |interim: Interim| gauge.look(&interim);
        let interim = every.map(|every| (every, &mut look as &mut dyn FnMut(Interim)));
        let limit = match order.length {
            TestLength::Time(time) => Some(time + MAX_EXCESS),
            TestLength::Units(_) | TestLength::UntilTold => None,
        };
        let totals = phase.run(PhaseControl { stop, limit, interim, ending: &mut || () });
        gauge.correct(totals)
    });
    if !there? || totals.stopped == Some(Kind::Incomplete) {
        return Ok(Outcome::Gone);
    }
    Ok(judge(order, totals))
}

/// What a client does to end a test is no failure of it: it closes a connection that it has had
/// enough of, with bytes still under way.
fn judge(order: &Order, mut totals: Totals) -> Outcome {
    if order.shape.direction == TestDirection::Receive {
        let ended = [libc::ECONNRESET, libc::EPIPE, libc::ECONNREFUSED];
        totals.errors.retain(|error| !error.errno.is_some_and(|errno| ended.contains(&errno)));
    }
    match totals.errors.first() {
        Some(error) => Outcome::Failed(error.errno.unwrap_or(libc::EIO), error.to_string()),
        None => Outcome::Totals(Box::new(totals)),
    }
}

/// The client's data and the engine, ready to start.
fn wait_for_data(
    order: &Order,
    job: Job,
    data_socket: DataSocket,
    context: &mut TestContext<'_>,
) -> Result<DataPhase, DataWaitError> {
    let length = match order.length {
        TestLength::Time(time) => time,
        TestLength::Units(_) | TestLength::UntilTold => Duration::ZERO,
    };
    let deadline = Instant::now() + length + DATA_TIMEOUT;
    let peer = context.control.peer;
    let TestContext { control, closing, log, .. } = context;
    let mut waiting = DataWait { control, closing: *closing, deadline, log: *log };
    let DataSocket { source, from, .. } = data_socket;
    match (source, order.shape.direction.lasts()) {
        (DataSource::Listening(listener), false) => {
            // Ready before the first connection, which is then served at once.
            let accepting = SessionListener::of(listener.try_clone()?, from);
            let phase = prepare(job, DataConnections::Listen(accepting, peer))?;
            waiting.readable(&listener)?;
            Ok(phase)
        }
        (DataSource::Datagrams(socket), _) => {
            // Ready before the first datagram: those that follow it fill the socket at once. Over
            // another handle of the same socket, which is connected when the client is known.
            let phase = prepare(job, DataConnections::Connected(vec![socket.try_clone()?]))?;
            if order.shape.direction != TestDirection::Receive {
                waiting.datagram(&socket, from)?;
            }
            Ok(phase)
        }
        (source, _) => {
            let sockets =
                waiting.connections(&source, from, (context.extensions.streams, &order.ask))?;
            let length = hurried(order, job.length, &sockets);
            prepare(Job { length, ..job }, DataConnections::Connected(sockets))
        }
    }
}

fn prepare(job: Job, ends: DataConnections) -> Result<DataPhase, DataWaitError> {
    DataPhase::prepare(job, ends).map_err(DataWaitError::Unprepared)
}

/// netperf closes a stream that it receives when its time is over, whatever is still on its way,
/// and its clock runs since before the connection. Whoever sends to it ends a little earlier: two
/// round trips, and what the ends' clocks and schedulers may differ by.
fn hurried(order: &Order, length: TestLength, sockets: &[Socket]) -> TestLength {
    use std::os::fd::AsFd as _;
    let TestLength::Time(time) = length else { return length };
    if order.shape.direction != TestDirection::Receive {
        return length;
    }
    let info =
        sockets.iter().filter_map(|socket| podperf_engine::metrics::flow::read(socket.as_fd()));
    let round_trip = info.map(|info| info.rtt_us).max().unwrap_or(0);
    let early = Duration::from_micros(u64::from(round_trip) * 2) + Duration::from_millis(10);
    TestLength::Time(time - early.min(time / 10))
}

fn job(order: &Order, data_socket: &DataSocket, extensions: Extensions) -> Job {
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
        streams: extensions.streams,
        cpu: order.cpu,
        timed: extensions.times_calls,
        sendfile: false,
        pace: order.pace,
        payload: Some(Arc::from(PAYLOAD)),
        receive_timeout: UNUSED_RECEIVE_TIMEOUT,
    }
}

/// Bytes of each send and receive of a job, for the answer.
pub(super) fn sizes(order: &Order, data_socket: &DataSocket) -> [u32; 2] {
    let job = job(order, data_socket, Extensions::default());
    [job.send_bytes, job.receive_bytes]
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
    stop_sender: &'a Sender<Kind>,
    began: Instant,
}

impl<'a> Gauge<'a> {
    fn new(order: &'a Order, stop_sender: &'a Sender<Kind>) -> Self {
        let timed = overtime(order) && matches!(order.length, TestLength::Time(_));
        let mut reader = (timed && order.measure_cpu).then(|| HostReader::open(&Roots::default()));
        let host = reader.as_mut().map(HostReader::read).unwrap_or_default();
        let before = Reading { host, ..Reading::default() };
        let began = Instant::now();
        Self { order, reader, before, cpu: None, bytes: 0, transactions: 0, stop_sender, began }
    }

    /// How often it looks, if at all.
    fn every(&self) -> Option<Duration> {
        match self.order.length {
            TestLength::Time(time) => self.reader.as_ref().map(|_| time),
            TestLength::Units(_) if !self.order.shape.direction.lasts() => Some(COUNT_INTERVAL),
            TestLength::Units(_) | TestLength::UntilTold => None,
        }
    }

    fn look(&mut self, interim: &Interim) {
        if let Some(reader) = &mut self.reader
            && self.cpu.is_none()
        {
            let at_ns = u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
            let now = Reading { at_ns, host: reader.read(), ..Reading::default() };
            self.cpu = cpu::between(&self.before, &now);
        }
        self.bytes += interim.bytes;
        self.transactions += interim.transactions;
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
            totals.cpu = self.cpu;
        }
        totals
    }
}
