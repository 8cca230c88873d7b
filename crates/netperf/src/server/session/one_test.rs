//! One test of a session, from its request to its results, and what the log tells of it.

use std::mem;
use std::time::Instant;

use super::super::answers::{response, results};
use super::super::control::is_readable;
use super::super::data_socket::{self, DataSocket};
use super::super::order::Order;
use super::super::policy_check::{self, NotAdmitted, NotOpened, TestMeter};
use super::super::privileges;
use super::super::run_test::{self, run_test};
use super::super::wait_for_data::{NoTotals, Patience, SetupDeadline, TestContext};
use super::{ServerContext, Session};
use crate::data::Totals;
use crate::test_kind::{Protocol, TestDirection, TestShape};
use crate::wire::WireMessage;
use crate::wire::dialect::Dialect;
use crate::wire::native::{Details, with_words};
use podperf_engine::net::MemoryReservation;
use podperf_engine::policy::{AdmittedRun, Refusal};
use podperf_model::error::{Code, Error, Kind, Result};
use podperf_model::latency::Latencies;
use podperf_model::plan::ALLOW_AFFINITY;
use podperf_model::run_record::RunRecord;

/// A test that may begin.
type OpenedTest = (Order, DataSocket, MemoryReservation, Option<AdmittedRun>);

impl Session<'_> {
    /// A test, from its request to its results. False: nobody is there any more.
    pub(super) fn test(&mut self, dialect: Dialect, message: &WireMessage) -> Result<bool> {
        let begun = Instant::now();
        let served = self.serve_test(dialect, message);
        if let (Some(mut record), Some(runs)) = (self.record.take(), self.context.runs) {
            record.seconds = begun.elapsed().as_secs_f64();
            if let Err(error) = &served {
                record.end(&Err(error.clone()));
            }
            runs(&record);
        }
        served
    }

    /// Notes what became of the test, for the log.
    fn note(&mut self, ended: Result<()>) {
        if let Some(record) = &mut self.record {
            record.end(&ended);
        }
    }

    fn serve_test(&mut self, dialect: Dialect, message: &WireMessage) -> Result<bool> {
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
        if let Some(record) = &mut self.record {
            record.admit();
        }
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
        if let Some(record) = &mut self.record {
            record.bytes_received = totals.counters.bytes_received;
            record.bytes_sent = totals.counters.bytes_sent;
        }
        self.note(Ok(()));
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
        self.note(Err(error_of(&why)));
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
        self.note(outcome(&why, is_readable(self.context.closing)));
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
        let client = self.rule.as_ref().ok().and_then(Option::as_ref);
        let rule = client.map(|client| client.rule.as_ref());
        let token = client.and_then(|client| client.token.as_deref().map(str::to_owned));
        let (workload, streams) = (workload(order.shape), order.extensions.streams);
        let record = RunRecord::new(&self.control.name(), rule, workload, streams);
        self.record = Some(RunRecord { token, ..record });
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

/// What a test is called in the log of every podperf.
const fn workload(shape: TestShape) -> &'static str {
    match (shape.direction, shape.protocol) {
        (TestDirection::Send | TestDirection::Receive, Protocol::Tcp) => "stream",
        (TestDirection::Send | TestDirection::Receive, Protocol::Udp) => "udp",
        (TestDirection::RequestResponse, Protocol::Tcp) => "rr",
        (TestDirection::RequestResponse, Protocol::Udp) => "udp_rr",
        (TestDirection::ConnectRequestResponse | TestDirection::Connect, _) => "crr",
    }
}

fn refused(refusal: &Refusal) -> Error {
    let error = Error::new(Kind::Unmeasured, "policy", refusal);
    error.with_code(Code::Refused).with_limit(refusal.limit.name())
}

fn system(operation: &str, errno: i32) -> Error {
    Error::system(Kind::Incomplete, operation, &std::io::Error::from_raw_os_error(errno))
}

/// Why a test does not begin, for the log.
fn error_of(why: &NotOpened) -> Error {
    match why {
        NotOpened::Policy(NotAdmitted::Refused(refusal)) => refused(refusal),
        NotOpened::Policy(NotAdmitted::Gone) => gone(),
        NotOpened::Errno(errno) => system("open a test", *errno),
    }
}

fn gone() -> Error {
    let gone = Error::new(Kind::Incomplete, "serve", "the client is gone before its test was over");
    gone.with_code(Code::ConnectionLost)
}

/// What became of a test without results, for the log; `closing`: the server ends.
fn outcome(why: &NoTotals, closing: bool) -> Result<()> {
    let timeout =
        |cause: &str| Err(Error::new(Kind::Incomplete, "serve", cause).with_code(Code::Timeout));
    match why {
        NoTotals::Ended => Ok(()),
        NoTotals::Gone if closing => {
            Err(Error::new(Kind::Terminated, "serve", "the server is ending"))
        }
        NoTotals::Gone => Err(gone()),
        NoTotals::Late => timeout("the data did not come in time"),
        NoTotals::Stalled => timeout("nothing moved any more (--stall-timeout)"),
        NoTotals::Broken(error) => Err(error.clone()),
        NoTotals::Refused(refusal) => Err(refused(refusal)),
        NoTotals::Failed(errno, why) => {
            Err(Error { cause: why.clone(), ..system("serve", *errno) })
        }
    }
}
