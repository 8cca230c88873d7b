//! Serves one port: hands data connections to the tests that wait for them, and gives each client
//! that has sent its first message a thread.

use std::collections::VecDeque;
use std::hint::black_box;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::thread::Scope;
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::control::ControlChannel;
use super::data_reservation;
use super::session::{self, ServerContext};
use crate::wire::native::ClientMessage;
use crate::wire::{WireMessage, kind};
use podperf_engine::net::{
    Accepted, Acceptor, AddressLimits, ClientThreads, FirstMessage, ListeningPort, PendingLimits,
    PendingStage, Progress, ServerEnd, WrongProofs,
};
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
    /// From whom the passphrase was guessed.
    wrong_proofs: Mutex<WrongProofs>,
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
    let server = NetserverPort { context, threads, wrong_proofs: Mutex::default() };
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
                && let Some((control, first)) = waiting.pop_front()
            {
                server.serve(control, first, scope);
            }
            waiting.truncate(MAX_CLIENTS);
        }
    })
}

impl<'env> NetserverPort<'env> {
    /// Decides by its first message whose a connection is: a test's, or that of a client which is
    /// returned with it.
    fn admit(&self, accepted: Accepted<PendingControl>) -> Option<(ControlChannel, WireMessage)> {
        let Accepted { connection: PendingControl { control, .. }, message, .. } = accepted;
        let name = control.name();
        if let Some(ClientMessage::Join { token, stream }) = ClientMessage::read(&message) {
            let all = self.context.reservations;
            if !data_reservation::deliver(all, token, stream, control.into_stream()) {
                self.log(&format!("{name}: a data connection of no test that waits; dropped"));
            }
            return None;
        }
        if let Some(passphrase) = &self.context.options.passphrase {
            let mut wrong = self.wrong_proofs.lock().unwrap_or_else(PoisonError::into_inner);
            let (ip, now) = (control.peer.ip(), Instant::now());
            if let Err(error) = wrong.check(ip, now) {
                self.log(&format!("{}; dropped", error.with_peer(name)));
                return None;
            }
            if message.kind() != kind::PASSPHRASE || !is_same(&message.text(8, 648), passphrase) {
                wrong.add(ip, now);
                self.log(&format!("{name}: does not know the passphrase; dropped"));
                return None;
            }
        }
        Some((control, message))
    }

    fn log(&self, line: &str) {
        (self.context.log)(line);
    }

    /// Gives a client its thread.
    fn serve<'scope>(
        &'scope self,
        control: ControlChannel,
        first: WireMessage,
        scope: &'scope Scope<'scope, '_>,
    ) where
        'env: 'scope,
    {
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
            if let Err(error) = session::serve(self.context, control, first) {
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
