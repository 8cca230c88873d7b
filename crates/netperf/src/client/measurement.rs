//! One test over the control connection, from the request to both ends' counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::control::TestAnswer;
use super::diagnosis::Diagnosis;
use super::dial::{self, Route};
use super::{TestSession, ask, control, datagram_proof, figures, print, print_error};
use crate::data::socket::GrantedSocket;
use crate::data::{DataPhase, PhaseControl, Totals, slow_transfer};
use crate::figures::{Figures, Interim};
use crate::options::{ExitMessage, Options};
use crate::output;
use crate::test_kind::{Protocol, TestDirection, TestLength};
use crate::wire::native::{ClientMessage, ConnectionToken, Details, Extensions, read_token};
use crate::wire::reply::{OmniResponse, OmniResults};
use podperf_model::AddressFamily;
use podperf_model::error::{Code, Error, Kind};
use podperf_model::latency::Latencies;

/// After a data phase that broke off, netserver may have nothing more to say.
const SHORT_ANSWER_TIMEOUT: Duration = Duration::from_secs(3);
/// How long nothing may move in a test that only its count ends.
const STALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Interim results that one document holds.
const MAX_INTERIM_RESULTS: usize = 100_000;
/// Bytes of a fill file that are used: a few messages' worth, repeated.
const MAX_FILL_BYTES: usize = 1 << 20;

/// Runs a test once.
pub(super) fn once(options: &Options, session: &mut TestSession) -> Result<Figures, ExitMessage> {
    let route = route(options, session.control.peer)?;
    let sockets = ask::of_sockets(options);
    let shape = options.shape;
    let prepared = dial::prepare(shape, options.streams, &route, &sockets)?;
    let mut granted = prepared.granted.clone();
    note_congestion_control(options, &granted);
    if !shape.direction.lasts() {
        // The socket that was kept never connected; the control connection goes the same way.
        granted.mss = session.control.mss();
    }
    let family = AddressFamily::of(route.peer.ip());
    let client = prepared.local.or(route.own);
    let named = options.data.host.as_ref().map(|_| route.peer.ip());
    let request = ask::of_server(options, family, client, named);

    let timed = output::wants_latency(options);
    let token = arrange(options, session)?;
    let response = session.control.ask(&request.write());
    let native = session.native;
    let explain = |refusal| if native { explained(options, refusal) } else { refusal };
    let response = OmniResponse::read(&response.map_err(explain)?);
    std::thread::sleep(options.settle);
    let port = if token.is_some() { session.control.peer.port() } else { response.data_port };
    let connected = prepared.connect(shape, &route, (port, token), &sockets)?;
    let notice = if native { datagram_proof::begin(options, &connected) } else { None };
    let job = ask::of_self(options, &granted, session.payload.clone(), (timed, native));
    let phase = DataPhase::prepare(job.clone(), connected).map_err(ExitMessage::because)?;
    let (mut totals, interim) = run_phase(options, session, phase);
    drop(notice);
    let mut data_peer = route.peer;
    data_peer.set_port(port);
    let diagnosis = Diagnosis { options, data_peer, shares_port: token.is_some() };
    if diagnosis.may_be_elsewhere(&totals) {
        // A netserver that waits for the data says what it has.
        session.control.send(&ClientMessage::End.write())?;
    }
    let broken = diagnosis.is_broken(&totals);
    let says_late_end = native && shape.protocol == Protocol::Udp;
    let results = results(session, &mut totals, (broken, says_late_end))?;
    totals.errors.splice(0..0, diagnosis.cause(&totals, results.as_ref()));
    let more = results.as_ref().filter(|_| session.native && !broken);
    let details = more.and_then(|_| session.control.details());
    let remote_latency = details.as_ref().and_then(|told| latency(told, session.control.peer));
    let granted = &granted;
    let test =
        figures::FinishedTest { options, job: &job, granted, totals, response, results, details };
    Ok(Figures { native, remote_latency, interim, ..test.figures() })
}

/// Says on standard error that a congestion control is not to be had; netperf goes on in silence.
fn note_congestion_control(options: &Options, granted: &GrantedSocket) {
    let asked = options.data.congestion_control.local.as_ref();
    if let (Some(asked), Some(granted)) = (asked, &granted.congestion_control)
        && asked != granted
    {
        print_error(&format!(
            "netperf: congestion control '{asked}' is not to be had here; in use: {granted}. \
             /proc/sys/net/ipv4/tcp_allowed_congestion_control lists those that are\n"
        ));
    }
}

/// A refusal, with what helps where that is known.
fn explained(options: &Options, refusal: ExitMessage) -> ExitMessage {
    let sends = options.shape.direction == TestDirection::Receive;
    if !sends || options.shape.protocol != Protocol::Udp {
        return refusal;
    }
    let err = format!(
        "{}netperf: a netserver sends datagrams first only if it is started with \
         --allow-udp-send\n",
        refusal.err
    );
    ExitMessage { err, ..refusal }
}

/// What a podperf timed. What cannot be is left out and said.
fn latency(told: &Details, peer: SocketAddr) -> Option<Latencies> {
    let latency = Latencies::from_wire(told.latency.as_ref()?);
    let refused = |why: &String| {
        print_error(&format!("netperf: how long calls took at {peer} is left out: {why}\n"));
    };
    latency.inspect_err(refused).ok()
}

/// Between two podperfs: how many connections there will be, and whether netserver times its calls;
/// and, unless data is to go elsewhere, that they come over the port of the control connection, so
/// that a Service or a firewall has to let through no other.
fn arrange(
    options: &Options,
    session: &mut TestSession,
) -> Result<Option<ConnectionToken>, ExitMessage> {
    if !session.native {
        return Ok(None);
    }
    // The document alone shows them.
    let times_calls = options.json && !options.shape.direction.transacts();
    let extensions = Extensions { streams: options.streams, times_calls };
    if extensions != Extensions::default() {
        session.control.ask(&ClientMessage::Next(extensions).write())?;
    }
    let data = &options.data;
    let lasts = options.shape.direction.lasts() && options.shape.protocol == Protocol::Tcp;
    if !lasts || data.host.is_some() || data.ports.remote != 0 {
        return Ok(None);
    }
    Ok(read_token(&session.control.ask(&ClientMessage::ConnectionToken.write())?))
}

/// The data phase, watched, and the interim results that a document shows.
fn run_phase(options: &Options, session: &TestSession, phase: DataPhase) -> (Totals, Vec<Interim>) {
    let guard = session.control.watch(&session.stop_sender);
    let mut kept = Vec::new();
    let mut show = |interim: Interim| {
        if !options.json {
            // The result says what cannot be written.
            drop(print(&output::interim(options, &interim)));
        } else if kept.len() < MAX_INTERIM_RESULTS {
            kept.push(interim);
        }
    };
    let interim = options.interim.map(|every| {
        let show: &mut dyn FnMut(Interim) = &mut show;
        (every, show)
    });
    let receives = options.shape.direction == TestDirection::Receive;
    let stall_timeout = stall_timeout(options);
    // Who receives, and who makes connections, has no other way to say that it is over.
    let says_end = session.native && (receives || !options.shape.direction.lasts());
    let mut control = session.control.clone_stream().filter(|_| says_end);
    let mut ending = || {
        if let Some(control) = &mut control {
            // A peer that is gone needs not be told.
            let _ = ClientMessage::End.write().write(control);
        }
    };
    let mut totals = phase.run(PhaseControl {
        stop: &session.stop,
        limit: None,
        stall_timeout,
        interim,
        ending: &mut ending,
    });
    drop(guard);
    if let Some(idle) = totals.stalled {
        let cause = format!("not a byte has moved for {} s", idle.as_secs_f64().round());
        let error = Error::new(Kind::Incomplete, "go on with the test", cause)
            .with_code(Code::Timeout)
            .with_peer(session.control.peer);
        totals.errors.insert(0, error);
    }
    (totals, kept)
}

/// How long nothing may move: as long as netserver may be silent, if that was said, and longer
/// where this end itself pauses, or sizes may take their time. Without it a test by time rides out
/// whatever its time allows, as netperf's does.
fn stall_timeout(options: &Options) -> Option<Duration> {
    let bursts = options.pace.local.map_or(Duration::ZERO, |pace| pace.every * 2);
    let data = &options.data;
    let bytes = u64::from(data.request_bytes) + u64::from(data.response_bytes);
    let slow = if options.shape.direction.lasts() { Duration::ZERO } else { slow_transfer(bytes) };
    let counted = matches!(options.length, TestLength::Units(_)).then_some(STALL_TIMEOUT);
    options.peer_timeout.or(counted).map(|timeout| timeout + bursts + slow)
}

/// netserver's half. Where the own one is `broken`, it is no surprise if there is none. A podperf
/// that got no datagram does not know that the test is over: it is told, when those that are still
/// on their way had time to arrive.
fn results(
    session: &mut TestSession,
    totals: &mut Totals,
    (broken, says_late_end): (bool, bool),
) -> Result<Option<OmniResults>, ExitMessage> {
    let patience = broken.then_some(SHORT_ANSWER_TIMEOUT);
    if says_late_end && !session.control.is_answered(SHORT_ANSWER_TIMEOUT) {
        session.control.send(&ClientMessage::End.write())?;
    }
    match session.control.results(patience) {
        Ok(TestAnswer::Results(message)) => Ok(Some(OmniResults::read(&message))),
        Ok(TestAnswer::Ended(why)) => {
            // What came of its ending the test is no surprise.
            let peer = session.control.peer;
            let error = Error::new(Kind::Incomplete, "go on with the test at", why);
            totals.errors.insert(0, error.with_code(Code::Refused).with_peer(peer));
            Ok(None)
        }
        Ok(TestAnswer::ServerEnds) => {
            // What that did to the data is no other reason.
            let ending = Error::new(Kind::Incomplete, "netserver", "it is ending");
            totals.errors = vec![ending.with_code(Code::Signal)];
            Ok(None)
        }
        Err(_) if broken => Ok(None),
        Err(refusal) => Err(refusal),
    }
}

/// Where data comes from and goes to: the options of the test come before those of the control
/// connection, whose link stands in where an address needs one and none is named.
fn route(options: &Options, control_peer: SocketAddr) -> Result<Route, ExitMessage> {
    let data = &options.data;
    let family = data.family.or_else(|| Some(AddressFamily::of(control_peer.ip())));
    let peer = match &data.host {
        Some(host) => control::linked(control::resolve(host, 0, family)?[0], control_peer),
        None => control_peer,
    };
    let own = match data.local_host.as_ref().or(options.local_host.as_ref()) {
        Some(host) => {
            let own = control::resolve(host, 0, None)?;
            own.into_iter().find(|own| own.is_ipv4() == peer.is_ipv4())
        }
        None => None,
    };
    let own = own.filter(|own| !own.ip().is_unspecified()).map(|own| control::linked(own, peer));
    Ok(Route { own, own_port: data.ports.local, peer, ports: data.client_ports })
}

/// What `-F` gives to be sent.
pub(super) fn payload(options: &Options) -> Result<Option<Arc<[u8]>>, ExitMessage> {
    use std::io::Read as _;
    let Some(name) = &options.fill.local else { return Ok(None) };
    let mut bytes = Vec::new();
    let read = std::fs::File::open(name)
        .and_then(|file| file.take(MAX_FILL_BYTES as u64).read_to_end(&mut bytes));
    match read {
        Ok(0) => Ok(None),
        Ok(_) => Ok(Some(bytes.into())),
        Err(error) => Err(ExitMessage::because(format!("open fill file '{name}': {error}"))),
    }
}

/// The names of the banner, as they were typed or stand for any.
pub(super) fn names(options: &Options, peer: SocketAddr) -> output::Names {
    let (any, any_address) = if peer.is_ipv4() { ("0.0.0.0", "0.0.0.0") } else { ("::0", "::") };
    let data = &options.data;
    let local = data.local_host.as_ref().or(options.local_host.as_ref());
    output::Names {
        local_name: local.map_or(any, String::as_str).to_owned(),
        local_address: local.map_or(any_address, String::as_str).to_owned(),
        remote_name: data.host.as_ref().unwrap_or(&options.host).clone(),
        remote_address: peer.ip().to_string(),
    }
}

/// A version 4 UUID (RFC 9562, section 5.4).
pub(super) fn random_uuid() -> String {
    let mut octets = fastrand::u128(..).to_be_bytes();
    octets[6] = octets[6] & 0x0f | 0x40;
    octets[8] = octets[8] & 0x3f | 0x80;
    let hex: String = octets.iter().map(|octet| format!("{octet:02x}")).collect();
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::{SelectableFigures, netperf};

    #[test]
    fn only_a_test_by_count_ends_by_itself_where_nothing_moves() {
        let figures = SelectableFigures { is_name: output::is_name, listing: output::listing };
        let timeout = |words: &str| {
            let words: Vec<_> = words.split_whitespace().map(Into::into).collect();
            stall_timeout(&netperf(&words, figures).unwrap()).map(|timeout| timeout.as_secs())
        };
        assert_eq!([timeout("-l 5"), timeout("-l 0")], [None; 2]);
        assert_eq!([timeout("-l -5"), timeout("-t TCP_CRR -l -5")], [Some(30); 2]);
        assert_eq!(timeout("-l -5 -b 1 -w 2s"), Some(34));
        assert_eq!(
            [timeout("-l 5 --peer-timeout 3"), timeout("-l -5 --peer-timeout 3")],
            [Some(3); 2]
        );
    }
}
