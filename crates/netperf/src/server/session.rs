//! One client: its messages, one after the other, until it ends the connection.

mod one_test;

use std::mem;
use std::os::fd::BorrowedFd;
use std::time::Duration;

use super::answers::{calibration, unknown};
use super::control::{ControlChannel, is_readable};
use super::data_reservation::{DataReservation, DataReservations};
use super::policy_check;
use crate::options::ServerOptions;
use crate::test_kind::MAX_STREAMS;
use crate::wire::dialect::Dialect;
use crate::wire::native::{
    ClientMessage, Details, Extensions, Identity, answer, token_answer, with_words,
};
use crate::wire::{WireMessage, kind};
use podperf_engine::net::{Log, MemoryAccount, RunSink};
use podperf_engine::policy::{Admission, AdmittedClient, Refusal};
use podperf_model::error::{Code, Result};
use podperf_model::run_record::RunRecord;

/// What all sessions share.
#[derive(Clone, Copy)]
pub(super) struct ServerContext<'a> {
    pub(super) options: &'a ServerOptions,
    pub(super) log: Log<'a>,
    /// Takes what came of each test; absent: the log has lines for people.
    pub(super) runs: RunSink<'a>,
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
    /// What the log will tell of the one under way.
    record: Option<RunRecord>,
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
        record: None,
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
}
