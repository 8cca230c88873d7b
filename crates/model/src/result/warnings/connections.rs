//! Ports that ran out, connections that failed, and ways of waiting that cannot work.

use super::{RunCheck, RunEvidence, count, warn};
use crate::plan::{Close, Role};
use crate::result::run::Warning;
use crate::result::span::float;

pub(super) const CHECKS: &[RunCheck] = &[
    ports_exhausted,
    time_wait,
    connects_failed,
    foreign,
    worker_held,
    mptcp_fallback,
    busy_poll_idle,
    spin_crowded,
];

/// Share of the client's ports in TIME-WAIT from which on it is told.
const MIN_PORTS_SHARE: f64 = 0.8;
const MORE_PORTS: &str = "let the server close first, or reset (--close server, rst); widen \
                          net.ipv4.ip_local_port_range, or set net.ipv4.tcp_tw_reuse=1";

fn ports_exhausted(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    let client = seen.run.connections.and_then(|all| all.client);
    let Some(uses) = client.filter(|uses| uses.no_port > 0) else { return };
    let of = uses.local_ports.map_or_else(String::new, |ports| format!(" (of {ports})"));
    warn(
        found,
        "ports_exhausted",
        format!(
            "client: no port{of} was free for {}, each of which had to wait: the rate is that of \
             TIME-WAIT, not of the path",
            count(uses.no_port, "attempt")
        ),
        MORE_PORTS,
    );
}

fn time_wait(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    if seen.run.plan.workload.short_lived().is_none_or(|crr| crr.close != Close::Client) {
        return;
    }
    let Some(uses) = seen.run.connections.and_then(|all| all.client) else { return };
    let (Some(held), Some(ports)) = (uses.time_wait_after, uses.local_ports) else { return };
    if float(held) >= MIN_PORTS_SHARE * f64::from(ports) {
        warn(
            found,
            "time_wait",
            format!("client: {held} connections are in TIME-WAIT, and there are {ports} ports"),
            MORE_PORTS,
        );
    }
}

fn connects_failed(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    let client = seen.run.connections.and_then(|all| all.client);
    let Some(uses) = client.filter(|uses| uses.failed > 0) else { return };
    warn(
        found,
        "connects_failed",
        format!("client: {} to connect failed and was repeated", count(uses.failed, "attempt")),
        "look for a full accept queue at the server (nstat TcpExtListenOverflows; \
         net.core.somaxconn)",
    );
}

fn foreign(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    let server = seen.run.connections.and_then(|all| all.server);
    let Some(uses) = server.filter(|uses| uses.foreign > 0) else { return };
    warn(
        found,
        "foreign_connections",
        format!("server: closed {} from other hosts", count(uses.foreign, "connection")),
        "if they are this run's, let all of them come from one address (no spread by NAT)",
    );
}

fn worker_held(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    let server = seen.run.connections.and_then(|all| all.server);
    let Some(uses) = server.filter(|uses| uses.held > 0) else { return };
    warn(
        found,
        "worker_held",
        format!(
            "server: {} kept a worker waiting for 100 ms or longer; its workers go on by epoll \
             after that",
            count(uses.held, "connection")
        ),
        "look for loss on the path, and for others on the client's host who connect to the port \
         of the run",
    );
}

fn mptcp_fallback(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    if !seen.run.plan.socket.mptcp {
        return;
    }
    for (end, end_result) in seen.present() {
        // What a listener will speak is not known before somebody calls.
        if end == "server" && seen.run.plan.lasting_connections() == 0 {
            continue;
        }
        let sockets = end_result.facts.sockets.iter();
        let fallen = sockets.filter(|socket| socket.mptcp == Some(false)).count();
        if fallen > 0 {
            warn(
                found,
                "mptcp_fallback",
                format!("{end}: {} fell back from Multipath TCP to TCP", count(fallen, "socket")),
                "start podperf serve --mptcp, set net.mptcp.enabled=1 on both ends; middleboxes \
                 may strip its options",
            );
        }
    }
}

fn busy_poll_idle(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    for (end, end_result) in seen.present() {
        let mut sockets = end_result.facts.sockets.iter().filter(|one| one.busy_poll_us > Some(0));
        let listens = end == "server" && seen.run.plan.lasting_connections() == 0;
        if sockets.clone().next().is_none() || listens || sockets.any(|one| one.napi_id != Some(0))
        {
            continue;
        }
        let device = end_result.facts.host.device.as_ref();
        let name = device.map_or_else(|| "the device".to_owned(), |device| device.name.clone());
        warn(
            found,
            "busy_poll_idle",
            format!(
                "{end}: busy polling has nothing to poll: no packet came by a queue (NAPI) of \
                 {name}"
            ),
            "poll a network card's queues, not loopback or a virtual device; or --wait spin",
        );
    }
}

fn spin_crowded(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    let spinning = |role: Role| {
        let end_result = seen.end_results.get(role).as_ref()?;
        let facts = &end_result.facts;
        facts.placement.wait.spins().then(|| {
            let cpus = facts.host.cpus_allowed.len();
            (usize::try_from(facts.placement.workers).unwrap_or(usize::MAX), cpus)
        })
    };
    let remedy = "a worker that spins needs a CPU of its own: fewer workers, more CPUs, or block";
    let (client, server) = (spinning(Role::Client), spinning(Role::Server));
    if let (true, Some((own, cpus)), Some((other, others))) =
        (seen.run.same_machine(), client, server)
    {
        let (workers, cpus) = (own + other, cpus.max(others));
        if workers > cpus {
            let text = format!(
                "{workers} workers of both ends spin on {} of one machine",
                count(cpus, "CPU")
            );
            warn(found, "spin_crowded", text, remedy);
        }
        return;
    }
    for (end, spinning) in [("client", client), ("server", server)] {
        if let Some((workers, cpus)) = spinning.filter(|(workers, cpus)| workers > cpus) {
            let text = format!("{end}: {workers} workers spin on {}", count(cpus, "CPU"));
            warn(found, "spin_crowded", text, remedy);
        }
    }
}
