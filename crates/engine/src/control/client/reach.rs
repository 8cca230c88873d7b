//! Reaches a server: looks its name up, and tries each of its addresses in turn until one answers
//! as podperf does.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crossbeam_channel::Receiver;

use super::cancellation::Cancellation;
use super::{Target, dial};
use crate::control::handshake;
use crate::control::message::{Hello, ServerView};
use crate::policy::Token;
use crate::transport::syn::ConnectClock;
use podperf_model::Context as _;
use podperf_model::error::{Code, Error, Kind, Result};
use podperf_model::result::run::{Between, SeenAddresses};

/// A server that has welcomed this client.
#[derive(Debug)]
pub struct ReachedServer {
    /// The control connection.
    pub stream: TcpStream,
    /// The other end's address.
    pub address: SocketAddr,
    /// What it says of itself.
    pub hello: Hello,
    /// What it sees of the connection; absent: it does not say.
    pub view: Option<ServerView>,
    /// What stands between, by what both see.
    pub between: Option<Between>,
    /// Addresses that were tried before, and why they would not do.
    pub tried: Vec<Error>,
}

pub(super) fn look_up(target: &Target, cancellation: Cancellation<'_>) -> Result<Vec<SocketAddr>> {
    let (host, wanted) = (target.host.as_deref().unwrap_or_default(), target.clone());
    let resolve = move || dial::resolve(&wanted);
    cancellation.run_blocking(("resolve", host), cancellation.deadline(target), resolve)
}

/// Looks up the addresses of the target, which names a host; a message on `stop` ends the wait.
///
/// # Errors
/// When it has none, or not in time.
pub fn resolve(target: &Target, stop: &Receiver<Kind>) -> Result<Vec<SocketAddr>> {
    look_up(target, Cancellation { stop, limit: None })
}

/// Opens a control connection to the target, which names a host, and shakes hands.
///
/// # Errors
/// Naming the step, when nobody answers as podperf does, in time.
pub fn shake_hands(target: &Target, stop: &Receiver<Kind>) -> Result<ReachedServer> {
    let addresses = resolve(target, stop)?;
    let cancellation = Cancellation { stop, limit: None };
    connect(target, addresses, None, cancellation, cancellation.deadline(target))
}

/// Connects to the first of `addresses` that answers as podperf does, and shakes hands, as a
/// machine with this `boot_id`.
pub(super) fn connect(
    target: &Target,
    addresses: Vec<SocketAddr>,
    boot_id: Option<String>,
    cancellation: Cancellation<'_>,
    deadline: Instant,
) -> Result<ReachedServer> {
    let (first, bind, token) = (addresses[0], target.bind, target.token.clone());
    let reach = move || try_all(&addresses, bind, (token.as_ref(), boot_id), deadline);
    let step = ("connect control connection to", &*first.to_string());
    cancellation.run_blocking(step, deadline, reach)
}

/// Tries each address in turn.
fn try_all(
    addresses: &[SocketAddr],
    bind: Option<IpAddr>,
    (token, boot_id): (Option<&Token>, Option<String>),
    deadline: Instant,
) -> Result<ReachedServer> {
    let mut tried = Vec::new();
    for (number, &address) in addresses.iter().enumerate() {
        // An address that swallows packets leaves the others their share of the time.
        let others = u32::try_from(addresses.len() - number).unwrap_or(u32::MAX);
        let left = deadline.saturating_duration_since(Instant::now()) / others;
        let until = Instant::now() + left.max(Duration::from_millis(1));
        match reach(address, bind, (token, boot_id.clone()), until) {
            Ok(reached) => return Ok(ReachedServer { tried, ..reached }),
            // It is the one that was meant.
            Err(error) if matches!(error.code, Code::Unauthorized | Code::Refused) => {
                return Err(error);
            }
            Err(error) => tried.push(error),
        }
    }
    Err(all_failed(tried))
}

fn reach(
    address: SocketAddr,
    bind: Option<IpAddr>,
    (token, boot_id): (Option<&Token>, Option<String>),
    deadline: Instant,
) -> Result<ReachedServer> {
    let begun = Instant::now();
    let stream = dial::control(address, bind, deadline)?;
    let clock = ConnectClock::read(&stream, begun.elapsed());
    let address = stream.peer_addr().unwrap_or(address);
    let own = handshake::hello(token, boot_id)?;
    let (hello, view) = handshake::client(&stream, token, own, deadline).with_peer(address)?;
    let client = stream.local_addr().ok();
    let between = view.as_ref().zip(client).map(|(view, client)| {
        let ServerView { own: server, client: seen_client, syn_timestamp, .. } = *view;
        let seen = SeenAddresses { client, dialed: address, server, seen_client };
        let same = clock.zip(syn_timestamp).map(|(clock, stamp)| clock.stamped(stamp));
        Between::of(seen, same)
    });
    Ok(ReachedServer { stream, address, hello, view, between, tried: Vec::new() })
}

/// The failure of the only address; of several, the last with what each has said.
fn all_failed(mut tried: Vec<Error>) -> Error {
    let said: Vec<String> = tried
        .iter()
        .map(|error| {
            let peer = error.peer.as_deref().unwrap_or_default();
            format!("{peer}: {}", error.cause)
        })
        .collect();
    match (tried.pop(), said.len()) {
        (Some(error), 1) => error,
        (Some(last), count) => {
            let cause = format!("none of its {count} addresses answers: {}", said.join("; "));
            Error { cause, ..last }
        }
        (None, _) => Error::new(Kind::Unmeasured, "connect", "no address to try"),
    }
}
