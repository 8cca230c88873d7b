//! One client: its messages, one after the other, until it ends the connection.

use std::mem;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::answers::{calibration, response, results, unknown};
use super::control::{ControlChannel, is_readable};
use super::data_reservation::{DataReservation, DataReservations};
use super::data_socket::{self, DataSocket};
use super::order::Order;
use super::policy_check::{self, NotAdmitted, NotOpened, TestMeter};
use super::privileges;
use super::run_test::{self, run_test};
use super::wait_for_data::{NoTotals, Patience, SetupDeadline, TestContext};
use crate::data::Totals;
use crate::options::ServerOptions;
use crate::test_kind::{MAX_STREAMS, Protocol};
use crate::wire::dialect::Dialect;
use crate::wire::native::{
    ClientMessage, Details, Extensions, Identity, answer, token_answer, with_words,
};
use crate::wire::{WireMessage, kind};
use podperf_engine::net::{Log, MemoryAccount, MemoryReservation};
use podperf_engine::policy::{Admission, AdmittedClient, AdmittedRun, Refusal};
use podperf_model::error::{Code, Result};
use podperf_model::latency::Latencies;
use podperf_model::plan::ALLOW_AFFINITY;

/// What all sessions share.
#[derive(Clone, Copy)]
pub(super) struct ServerContext<'a> {
    pub(super) options: &'a ServerOptions,
    pub(super) log: Log<'a>,
    pub(super) reservations: &'a DataReservations,
    pub(super) memory: &'a MemoryAccount,
    /// Readable when no new test begins.
    pub(super) draining: BorrowedFd<'a>,
    /// Readable when tests under way end.
    pub(super) closing: BorrowedFd<'a>,
    /// Who decides about tests; absent: there is no policy.
    pub(super) admission: Option<&'a Admission>,
}

/// For a client to ask about a test that is over when no new one begins.
const LAST_MESSAGE_TIMEOUT: Duration = Duration::from_millis(500);
/// For a client that is not let in to say what it wants, so that it can be told.
const REFUSED_IDLE_TIMEOUT: Duration = Duration::from_secs(10);

/// A test that may begin.
type OpenedTest = (Order, DataSocket, MemoryReservation, Option<AdmittedRun>);

/// One client's session.
struct Session<'a> {
    context: ServerContext<'a>,
    control: ControlChannel,
    /// Its rule, or why none takes it; without a policy neither.
    rule: Result<Option<AdmittedClient>, Refusal>,
    /// The client is podperf.
    native: bool,
    /// Of the next test.
    extensions: Extensions,
    reservation: Option<DataReservation>,
    /// Of the last one.
    details: Option<Details>,
    /// It has said something that nobody knows.
    unknown_logged: bool,
}

/// Serves a client whose first message is here.
///
/// # Errors
/// When the connection breaks, or the client speaks otherwise than netperf does.
pub(super) fn serve(
    context: ServerContext<'_>,
    control: ControlChannel,
    first: WireMessage,
    rule: Result<Option<AdmittedClient>, Refusal>,
) -> Result<()> {
    let mut session = Session {
        context,
        control,
        rule,
        native: false,
        extensions: Extensions::default(),
        reservation: None,
        details: None,
        unknown_logged: false,
    };
    let mut next = Some(first);
    while let Some(message) = next {
        if !session.handle(&message)? {
            return Ok(());
        }
        next = session.next()?;
    }
    Ok(())
}

impl Session<'_> {
    fn log(&self, line: &str) {
        (self.context.log)(&format!("{}: {line}", self.control.name()));
    }

    fn send(&mut self, message: &WireMessage) -> Result<()> {
        self.control.send(&message.0)
    }

    /// Waits for the next message; of a server that is ending, no longer than for questions about
    /// the test that is over.
    fn next(&mut self) -> Result<Option<WireMessage>> {
        let ServerContext { options, draining, closing, .. } = self.context;
        // Who is not let in has only to hear it.
        let idle = options.idle_timeout;
        let idle = if self.rule.is_err() { idle.min(REFUSED_IDLE_TIMEOUT) } else { idle };
        let next = self.control.next(idle, draining)?;
        if next.is_some() || !self.is_ending() {
            return Ok(next);
        }
        match self.control.next(LAST_MESSAGE_TIMEOUT, closing) {
            Err(error) if error.code == Code::Timeout => Ok(None),
            next => next,
        }
    }

    /// Whether no new test begins.
    fn is_ending(&self) -> bool {
        is_readable(self.context.draining)
    }

    /// Does what a message says. False: nobody is there any more.
    fn handle(&mut self, message: &WireMessage) -> Result<bool> {
        if let Err(refusal) = &self.rule {
            let refusal = refusal.clone();
            return self.refuse(message, &refusal);
        }
        match message.kind() {
            // Looked at where it is the first, and due.
            kind::PASSPHRASE => {}
            kind::DEBUG_ON | kind::DEBUG_OFF => self.send(&WireMessage::of(kind::DEBUG_OK))?,
            kind::CPU_CALIBRATE => self.send(&calibration())?,
            kind::SYSINFO => {
                let mut message = WireMessage::of(kind::SYSINFO_RESPONSE);
                message.put_text(8, 640, &format!("{},Linux", Identity::own().name));
                self.send(&message)?;
            }
            kind::NATIVE => self.native(message)?,
            other => match Dialect::of(other) {
                Some(dialect) => return self.test(dialect, message),
                None => {
                    // Once: who floods the server does not flood its log.
                    if !mem::replace(&mut self.unknown_logged, true) {
                        self.log(&format!("message of the unknown type {other}"));
                    }
                    self.send(&unknown())?;
                }
            },
        }
        Ok(true)
    }

    /// Tells a client that no rule takes why, whatever it says first. False: it has been told.
    fn refuse(&mut self, message: &WireMessage, refusal: &Refusal) -> Result<bool> {
        if message.kind() == kind::PASSPHRASE {
            return Ok(true);
        }
        self.log(&refusal.to_string());
        let errno = policy_check::errno(refusal.limit);
        let answer = Dialect::of(message.kind())
            .map_or_else(|| answer(errno), |dialect| dialect.refusal(errno));
        self.send(&with_words(answer, &refusal.to_string()))?;
        Ok(false)
    }

    /// What podperf says to podperf.
    fn native(&mut self, message: &WireMessage) -> Result<()> {
        match ClientMessage::read(message) {
            Some(ClientMessage::Probe) => {
                self.native = true;
                self.send(&Identity::own().write())
            }
            Some(ClientMessage::Next(extensions))
                if (1..=MAX_STREAMS).contains(&extensions.streams) =>
            {
                self.extensions = extensions;
                self.send(&answer(0))
            }
            Some(ClientMessage::Next(_)) => self.send(&answer(libc::EINVAL)),
            // It crossed the results on the way.
            Some(ClientMessage::End) => Ok(()),
            Some(ClientMessage::Details) => {
                match self.details.take().map(|details| details.write()) {
                    Some(Ok(bytes)) => self.control.send(&bytes),
                    Some(Err(_)) => self.send(&answer(libc::EFBIG)),
                    None => self.send(&answer(libc::ENODATA)),
                }
            }
            Some(ClientMessage::ConnectionToken) => {
                match DataReservation::new(self.context.reservations, self.control.peer.ip()) {
                    Ok(reservation) => {
                        let token = reservation.token();
                        self.reservation = Some(reservation);
                        self.send(&token_answer(token))
                    }
                    Err(_) => self.send(&answer(libc::EAGAIN)),
                }
            }
            Some(ClientMessage::Join { .. }) | None => self.send(&unknown()),
        }
    }

    /// A test, from its request to its results. False: nobody is there any more.
    fn test(&mut self, dialect: Dialect, message: &WireMessage) -> Result<bool> {
        self.details = None;
        if self.is_ending() {
            self.log("a test is refused: the server is ending");
            self.send(&dialect.refusal(libc::ESHUTDOWN))?;
            return Ok(true);
        }
        // The memory is reserved until the test is over.
        let (order, data_socket, _reserved, admitted) = match self.open(dialect, message) {
            Ok(opened) => opened,
            Err(why) => return self.not_opened(dialect, why),
        };
        self.send(&dialect.write_response(&response(&order, &data_socket)))?;
        self.log(&format!(
            "test of {:?} {:?}, {} stream(s), data on port {}",
            order.shape.protocol, order.shape.direction, order.extensions.streams, data_socket.port
        ));
        let granted = data_socket.granted.clone();
        let name = self.control.name();
        let idle = self.context.options.idle_timeout;
        let context = TestContext {
            control: &mut self.control,
            closing: self.context.closing,
            deadline: SetupDeadline::of(order.extensions.streams, idle),
            patience: Patience { stall: self.context.options.stall_timeout, datagrams: idle },
            log: &|line| (self.context.log)(&format!("{name}: {line}")),
        };
        let meter = admitted.map(|run| TestMeter::new(run, &order));
        let mut totals = match run_test(&order, data_socket, context, meter) {
            Ok(totals) => totals,
            Err(NoTotals::Ended) => Totals::default(),
            Err(why) => return self.no_totals(dialect, why),
        };
        if let Some(change) = &totals.allowed_cpus {
            self.log(&change.text("this end"));
        }
        // Where connections did not last, none is left to be asked.
        let end = &mut totals.end;
        end.send_buffer = end.send_buffer.or(granted.send_buffer);
        end.receive_buffer = end.receive_buffer.or(granted.receive_buffer);
        end.congestion_control = end.congestion_control.take().or(granted.congestion_control);
        self.send(&dialect.write_results(&results(&order, &totals)))?;
        self.details = Some(Details {
            counters: totals.counters,
            latency: totals.latency.as_ref().map(Latencies::to_wire),
            socket: totals.end,
            allowed_cpus: totals.allowed_cpus,
        });
        Ok(true)
    }

    /// Tells why a test does not begin. False: nobody is there any more.
    fn not_opened(&mut self, dialect: Dialect, why: NotOpened) -> Result<bool> {
        match why {
            NotOpened::Policy(NotAdmitted::Gone) if self.is_ending() => {
                self.send(&dialect.refusal(libc::ESHUTDOWN))?;
            }
            NotOpened::Policy(NotAdmitted::Gone) => return Ok(false),
            NotOpened::Policy(NotAdmitted::Refused(refusal)) => {
                let errno = policy_check::errno(refusal.limit);
                self.tell(dialect.refusal(errno), &refusal)?;
            }
            NotOpened::Errno(errno) => {
                self.log(&format!("a test is refused: errno {errno}"));
                self.send(&dialect.refusal(errno))?;
            }
        }
        Ok(true)
    }

    /// Tells why a test has come to nothing. False: nobody is there any more.
    fn no_totals(&mut self, dialect: Dialect, why: NoTotals) -> Result<bool> {
        match why {
            NoTotals::Gone if is_readable(self.context.closing) => {
                self.log("ended with its test under way: the server is ending");
                self.send(&dialect.failure(libc::ESHUTDOWN))?;
                return Ok(false);
            }
            NoTotals::Gone => {
                self.log("gone before its test was over");
                return Ok(false);
            }
            NoTotals::Late => {
                self.log("ended: its test's data did not come in time (60 s or --idle-timeout)");
                self.send(&dialect.failure(libc::ETIMEDOUT))?;
                return Ok(false);
            }
            NoTotals::Stalled => {
                self.log("ended: nothing moved in its test any more (--stall-timeout)");
                self.send(&dialect.failure(libc::ETIMEDOUT))?;
                return Ok(false);
            }
            NoTotals::Refused(refusal) => {
                let errno = policy_check::errno(refusal.limit);
                self.tell(dialect.failure(errno), &refusal)?;
            }
            NoTotals::Broken(error) => return Err(error),
            // It is over, and there is nothing to tell.
            NoTotals::Ended => {}
            NoTotals::Failed(errno, why) => {
                self.log(&format!("the test failed: {why}"));
                self.send(&dialect.failure(errno))?;
            }
        }
        Ok(true)
    }

    /// Opens the data socket of a request and reserves memory for its test; the errno of one that
    /// is refused.
    fn open(&mut self, dialect: Dialect, message: &WireMessage) -> Result<OpenedTest, NotOpened> {
        let (extensions, reservation) = (mem::take(&mut self.extensions), self.reservation.take());
        let mut order = Order::read(dialect, message, extensions)?;
        let admitted = self.admit(&mut order)?;
        if !order.request.fill_file.is_empty() {
            self.log("the name of a file to fill buffers from is ignored");
        }
        if order.cpu.take_if(|cpu| !self.may_name(*cpu)).is_some() {
            self.log(&format!("the CPU that it names is ignored: {ALLOW_AFFINITY} is not given"));
        }
        privileges::leave_out(&mut order, &|line| self.log(line));
        let addresses = (self.control.local, self.control.peer);
        let lasts = order.shape.protocol == Protocol::Tcp && order.shape.direction.lasts();
        let ports = self.context.options.data_ports.as_ref();
        let opened = match reservation.filter(|_| lasts) {
            Some(reservation) => data_socket::reserved(&order, addresses.0, reservation),
            None => data_socket::open(&order, addresses, ports),
        };
        let data_socket = opened.map_err(|error| {
            self.log(&format!("open a data socket: {error}"));
            error.raw_os_error().unwrap_or(libc::EIO)
        })?;
        order.sends_unproved = self.context.options.allow_udp_send;
        if order.sends_first() && !order.sends_unproved {
            self.log("datagrams that it did not ask for by one: --allow-udp-send is not given");
            return Err(libc::EACCES.into());
        }
        if order.outgrows_proof() && !order.sends_unproved && !self.native {
            self.log(
                "responses of more than three times the requests: --allow-udp-send is not given",
            );
            return Err(libc::EACCES.into());
        }
        let family = order.request.family;
        let of_control = family.is_none_or(|family| family.has(addresses.1.ip().to_canonical()));
        if order.answers_datagrams() && !of_control {
            self.log("datagrams are answered to the address of the control connection alone");
            return Err(libc::EACCES.into());
        }
        let needed = run_test::memory_needed(&order, &data_socket);
        let reserved = self.context.memory.reserve(needed).map_err(|error| {
            self.log(&error.to_string());
            libc::ENOMEM
        })?;
        Ok((order, data_socket, reserved, admitted))
    }

    /// Whether the client may name this CPU: its rule says so, or else the options do.
    fn may_name(&self, cpu: u32) -> bool {
        let rule = self.rule.as_ref().ok().and_then(Option::as_ref);
        policy_check::may_name(cpu, self.context.admission.zip(rule)).unwrap_or_else(|| {
            self.context.options.permissions().of(self.control.peer.ip()).affinity
        })
    }

    /// Asks the policy, if there is one, and paces what this end sends.
    fn admit(&mut self, order: &mut Order) -> Result<Option<AdmittedRun>, NotAdmitted> {
        let (admission, rule) = (self.context.admission, self.rule.clone());
        let client = rule.map_err(NotAdmitted::Refused)?;
        let Some((admission, client)) = admission.zip(client) else { return Ok(None) };
        // Who waits is not under way.
        let ServerContext { draining, log, .. } = self.context;
        let asker = (admission, &client);
        let told = (draining, self.native);
        let run = policy_check::admit(asker, order, &mut self.control, told, log)?;
        policy_check::pace(order, &run);
        Ok(Some(run))
    }

    /// Refuses or fails a test for the policy, with words for podperf.
    fn tell(&mut self, message: WireMessage, refusal: &Refusal) -> Result<()> {
        let words = refusal.to_string();
        self.log(&format!("by the policy: {words}"));
        self.send(&if self.native { with_words(message, &words) } else { message })
    }
}
