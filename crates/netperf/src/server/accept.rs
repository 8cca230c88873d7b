//! Serves one port: hands data connections to the tests that wait for them, and gives each client
//! that has sent its first message a thread.

use std::collections::VecDeque;
use std::hint::black_box;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::thread::Scope;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;
use jiff::Timestamp;

use super::control::ControlChannel;
use super::data_reservation;
use super::session::{self, ServerContext};
use crate::wire::native::ClientMessage;
use crate::wire::{WireMessage, kind};
use podperf_engine::net::{
    Accepted, Acceptor, AddressLimits, ClientThreads, FirstMessage, ListeningPort, PendingLimits,
    PendingStage, Progress, ServerEnd, WrongProofs,
};
use podperf_engine::policy::{AdmittedClient, Refusal, Requirement, TimedToken};
use podperf_model::error::{Kind, Result};

/// Clients at one time; more are closed at once.
const MAX_CLIENTS: usize = 1024;
/// How many of them may be of one address or network.
const CLIENT_LIMITS: AddressLimits = AddressLimits {
    per_address: MAX_CLIENTS / 2,
    per_prefix: MAX_CLIENTS / 4 * 3,
    in_all: MAX_CLIENTS,
};
/// For a whole first message. Clients send it as soon as they are connected, be the path ever so
/// slow.
const FIRST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks at the stop channel.
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// The same, while clients are waited for: one by those that come after it, or all by the end.
const AWAITED_POLL_INTERVAL: Duration = Duration::from_millis(10);

/// A connection on its way to a first message.
struct PendingControl {
    control: ControlChannel,
    /// By when the message has to be there.
    deadline: Instant,
}

impl AsFd for PendingControl {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.control.fd()
    }
}

impl FirstMessage for PendingControl {
    type Message = WireMessage;

    fn read(&mut self) -> Result<Progress<WireMessage>> {
        self.control.read()
    }

    fn stage(&self) -> PendingStage {
        if self.control.has_begun() { PendingStage::Begun } else { PendingStage::Silent }
    }

    fn deadline(&self) -> Option<Instant> {
        // A message that has begun may be late before.
        Some(self.control.due().map_or(self.deadline, |due| due.min(self.deadline)))
    }
}

/// What the port's connections share.
struct NetserverPort<'a> {
    context: ServerContext<'a>,
    threads: ClientThreads<'a>,
    /// From whom passphrases were guessed.
    wrong_proofs: Mutex<WrongProofs>,
}

/// A client whose first message is here, and the rule that takes it or why none does; without a
/// policy neither.
struct NamedClient {
    control: ControlChannel,
    first: WireMessage,
    rule: Result<Option<AdmittedClient>, Refusal>,
}

/// Runs until `stop`, and then for as long as tests under way may; the kind of the signal that
/// ended it. `end` makes the context's `draining` and `closing` readable.
///
/// # Errors
/// When the port breaks.
pub(super) fn run<'env>(
    port: &ListeningPort,
    context: ServerContext<'env>,
    stop: &Receiver<Kind>,
    end: ServerEnd<UnixStream, UnixStream>,
) -> Result<Kind> {
    let threads = ClientThreads::new("netserver-client", CLIENT_LIMITS, context.log);
    let wrong_proofs = Mutex::default();
    let server = NetserverPort { context, threads, wrong_proofs };
    let options = context.options;
    let timeout = FIRST_MESSAGE_TIMEOUT.min(options.idle_timeout);
    let open = |stream| {
        let deadline = Instant::now() + timeout;
        Ok(PendingControl { control: ControlChannel::new(stream)?, deadline })
    };
    let mut acceptor = Acceptor::new(port, PendingLimits::of_this_process(), &open, context.log);
    std::thread::scope(|scope| {
        // With one test at a time, the others are served later.
        let mut waiting = VecDeque::new();
        // Moved in, so that it is dropped before the sessions are waited for.
        let mut end = end;
        loop {
            if let Ok(kind) = stop.try_recv() {
                end.ask(Some(kind), options.drain, server.threads.running(), context.log);
            }
            if let Some(Some(kind)) = end.over(server.threads.running() + waiting.len()) {
                return Ok(kind);
            }
            let is_awaited = end.is_asked() || !waiting.is_empty();
            let wait = if is_awaited { AWAITED_POLL_INTERVAL } else { POLL_INTERVAL };
            let accepted = acceptor.poll(None, wait)?;
            waiting.extend(accepted.into_iter().filter_map(|one| server.admit(one)));
            while (server.threads.running() == 0 || !options.one_at_a_time)
                && let Some(client) = waiting.pop_front()
            {
                server.serve(client, scope);
            }
            waiting.truncate(MAX_CLIENTS);
        }
    })
}

impl<'env> NetserverPort<'env> {
    /// Decides by its first message whose a connection is: a test's, or that of a client which is
    /// returned with it.
    fn admit(&self, accepted: Accepted<PendingControl>) -> Option<NamedClient> {
        let Accepted { connection: PendingControl { control, .. }, message, .. } = accepted;
        let name = control.name();
        if let Some(ClientMessage::Join { token, stream }) = ClientMessage::read(&message) {
            let all = self.context.reservations;
            if !data_reservation::deliver(all, token, stream, control.into_stream()) {
                self.log(&format!("{name}: a data connection of no test that waits; dropped"));
            }
            return None;
        }
        let told = (message.kind() == kind::PASSPHRASE).then(|| message.text(8, 648));
        let rule = match self.rule(control.peer.ip(), told.as_deref()) {
            Ok(rule) => rule,
            Err(why) => {
                self.log(&format!("{name}: {why}; dropped"));
                return None;
            }
        };
        Some(NamedClient { control, first: message, rule })
    }

    /// Which rule takes a client that has told this passphrase, or why none does.
    ///
    /// # Errors
    /// In words, when it is dropped: it does not know the passphrase, or has guessed too often.
    fn rule(
        &self,
        ip: IpAddr,
        told: Option<&str>,
    ) -> Result<Result<Option<AdmittedClient>, Refusal>, String> {
        let asked = self.context.options.passphrase.as_deref();
        let requirement = match self.context.admission {
            None if asked.is_none() => return Ok(Ok(None)),
            None => Requirement::Token,
            Some(admission) => match admission.requirement(ip, told.is_some()) {
                Ok(requirement) => requirement,
                Err(refusal) => return Ok(Err(refusal)),
            },
        };
        if let Requirement::Nothing(rule) = requirement {
            return Ok(Ok(Some(AdmittedClient { ip, rule, token: None })));
        }
        let now = Instant::now();
        let mut wrong_proofs = self.wrong_proofs.lock().unwrap_or_else(PoisonError::into_inner);
        wrong_proofs.check(ip, now).map_err(|error| error.to_string())?;
        let proved = match (self.context.admission, told) {
            (_, None) => None,
            (None, Some(told)) => is_same(told, asked.unwrap_or_default()).then_some(Ok(None)),
            (Some(admission), Some(told)) => {
                let proved = admission.prove(ip, |token| token.is(told), Timestamp::now());
                let client = |(rule, token): (_, TimedToken)| {
                    Some(AdmittedClient { ip, rule, token: token.name })
                };
                proved.map(|proved| proved.map(client)).transpose()
            }
        };
        proved.ok_or_else(|| {
            wrong_proofs.add(ip, now);
            "does not know the passphrase".to_owned()
        })
    }

    fn log(&self, line: &str) {
        (self.context.log)(line);
    }

    /// Gives a client its thread.
    fn serve<'scope>(&'scope self, client: NamedClient, scope: &'scope Scope<'scope, '_>)
    where
        'env: 'scope,
    {
        let NamedClient { control, first, rule } = client;
        let name = control.name();
        let refusal = WireMessage::refusal(first.kind(), libc::EAGAIN);
        let place = match self.threads.admit(control.peer.ip()) {
            Ok(place) => place,
            Err(error) => {
                control.say(&refusal);
                return self.log(&format!("{}; dropped", error.with_peer(name)));
            }
        };
        let unserved = self.threads.spawn(scope, place, (&name, control), move |control| {
            if let Err(error) = session::serve(self.context, control, first, rule) {
                self.log(&error.to_string());
            }
        });
        if let Some((error, control)) = unserved {
            control.say(&refusal);
            self.log(&format!("{error}; dropped"));
        }
    }
}

/// Compares two texts, in a time that does not tell how much of them is the same.
fn is_same(one: &str, other: &str) -> bool {
    let differs = one.bytes().zip(other.bytes()).fold(0, |all, (a, b)| black_box(all | (a ^ b)));
    one.len() == other.len() && differs == 0
}
