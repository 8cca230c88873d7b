//! What stands between this machine and a server, before anything is measured: the checks of
//! `podperf doctor HOST`.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use crossbeam_channel::Receiver;

use super::other_server::ONE_SERVER;
use super::path_mtu::{self, PathEnds};
use super::reach::{ReachedServer, shake_hands};
use super::{Target, dial};
use crate::control::flow_preamble::{ANSWER_BYTES, FlowAnswer, FlowRequest, Proof};
use crate::metrics::doctor::{CheckStatus, DoctorCheck};
use crate::net::SessionId;
use podperf_model::error::{Error, Kind};
use podperf_model::on_link_of;
use podperf_model::result::run::{Intermediary, PathMtu};

/// Control connections that are opened to see whether all reach one server.
const CONNECTIONS: usize = 8;
/// Datagrams that ask for an answer, and the time for each.
const DATAGRAMS: usize = 5;
const DATAGRAM_TIMEOUT: Duration = Duration::from_millis(200);

/// Asks all of them about the server that `target` names; a signal on `stop` ends the wait. Takes
/// about a second where packets are lost for their size.
#[must_use]
pub fn examine(target: &Target, stop: &Receiver<Kind>) -> Vec<DoctorCheck> {
    let reached = shake_hands(target, stop);
    let mut checks = vec![server(&reached)];
    let peer = match &reached {
        Ok(server) => Some(server.address),
        // One that took the connection and said nothing may have lost what is larger.
        Err(error) => error.peer.as_ref().and_then(|peer| peer.parse().ok()),
    };
    if let Ok(server) = &reached {
        checks.extend(between(server));
        checks.push(one_server(target, server, stop));
        checks.push(datagrams(target, server.address));
    }
    drop(reached);
    if let Some(peer) = peer {
        let found = path_mtu::probe(PathEnds { peer, bind: target.bind });
        checks.extend(found.map(|found| path(&found, peer)));
    }
    checks
}

fn check(
    name: &'static str,
    status: CheckStatus,
    finding: impl Into<String>,
    remedy: Option<&str>,
) -> DoctorCheck {
    DoctorCheck { name, status, finding: finding.into(), remedy: remedy.map(str::to_owned) }
}

/// Which of its addresses answers, and which do not.
fn server(reached: &Result<ReachedServer, Error>) -> DoctorCheck {
    let name = "server";
    let server = match reached {
        Ok(server) => server,
        Err(error) => {
            let finding = Error { remedy: None, ..error.clone() }.to_string();
            let remedy = error.remedy.as_deref().unwrap_or("start `podperf serve` there");
            return check(name, CheckStatus::Fail, finding, Some(remedy));
        }
    };
    let mut finding = format!("{} answers, podperf {}", server.address, server.hello.podperf);
    if server.tried.is_empty() {
        return check(name, CheckStatus::Ok, finding, None);
    }
    for error in &server.tried {
        let address = error.peer.as_deref().unwrap_or_default();
        finding.push_str(&format!("; {address} does not: {}", error.cause));
    }
    let remedy = "name the address, or its family by -4 or -6: each run tries the others first";
    check(name, CheckStatus::Warn, finding, Some(remedy))
}

fn between(server: &ReachedServer) -> Option<DoctorCheck> {
    let between = server.between.as_ref()?;
    let finding = between.changes().unwrap_or_else(|| {
        format!("nothing: both ends see {} and {}", between.client_address, between.server_address)
    });
    let proxy = between.kind == Intermediary::Proxy;
    let status = if proxy { CheckStatus::Warn } else { CheckStatus::Ok };
    let remedy = "name the server's own address: TCP figures are those of the way to the proxy";
    Some(check("server_between", status, finding, proxy.then_some(remedy)))
}

/// Whether all connections reach one server.
fn one_server(target: &Target, first: &ReachedServer, stop: &Receiver<Kind>) -> DoctorCheck {
    let name = "server_instances";
    let known = |server: &ReachedServer| server.view.as_ref().map(|view| view.instance.clone());
    let mut instances: BTreeSet<_> = known(first).into_iter().collect();
    let mut failed = None;
    let host = Some(first.address.ip().to_string());
    let named = Target { host, ..target.clone() };
    for _ in 1..CONNECTIONS {
        match shake_hands(&named, stop) {
            Ok(server) => instances.extend(known(&server)),
            Err(error) => failed = Some(error),
        }
    }
    let servers = instances.len();
    match failed {
        Some(error) => {
            let finding = format!("of {CONNECTIONS} connections some failed: {}", error.cause);
            check(name, CheckStatus::Warn, finding, Some(ONE_SERVER))
        }
        None if servers > 1 => {
            let finding = format!("{CONNECTIONS} connections reached {servers} servers");
            check(name, CheckStatus::Fail, finding, Some(ONE_SERVER))
        }
        None => {
            let finding = format!("{CONNECTIONS} connections reached one server");
            check(name, CheckStatus::Ok, finding, None)
        }
    }
}

/// Whether datagrams get there and back: a request of no session is answered.
fn datagrams(target: &Target, peer: SocketAddr) -> DoctorCheck {
    let ask = || {
        let own = match target.bind {
            Some(bind) => on_link_of(bind, peer),
            None => dial::any_address(peer),
        };
        let socket = UdpSocket::bind(own)?;
        socket.connect(peer)?;
        socket.set_read_timeout(Some(DATAGRAM_TIMEOUT))?;
        let session = SessionId::random().map_err(std::io::Error::other)?;
        let request = FlowRequest { session, flow: 0, proof: Proof::default() }.encode();
        let mut said = None;
        for _ in 0..DATAGRAMS {
            socket.send(&request)?;
            let mut answer = [0; ANSWER_BYTES];
            match socket.recv(&mut answer) {
                Ok(length) if FlowAnswer::decode(&answer[..length]).is_some() => return Ok(()),
                Ok(_) => said = Some("another program answers".to_owned()),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        Err(std::io::Error::other(said.unwrap_or_else(|| "no answer".to_owned())))
    };
    let name = "server_udp";
    match ask() {
        Ok(()) => check(name, CheckStatus::Ok, format!("UDP port {} answers", peer.port()), None),
        Err(error) => check(
            name,
            CheckStatus::Warn,
            format!("UDP port {}: {error}: `podperf udp` will not get through", peer.port()),
            Some("let firewalls and the Service carry UDP to the port as well as TCP"),
        ),
    }
}

fn path(found: &PathMtu, peer: SocketAddr) -> DoctorCheck {
    let name = "path_mtu";
    match found.finding() {
        Some(finding) => {
            check(name, CheckStatus::Fail, finding, Some(&found.remedy(peer.is_ipv6())))
        }
        None => {
            let full_bytes = found.up.map(|up| up.full_bytes).unwrap_or_default();
            let ways = if found.down.is_some() { "both ways" } else { "to the server" };
            let finding = format!("full segments, packets of {full_bytes} bytes, pass {ways}");
            check(name, CheckStatus::Ok, finding, None)
        }
    }
}
