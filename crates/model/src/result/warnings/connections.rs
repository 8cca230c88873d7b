//! Ports that ran out, connections that failed, and ways of waiting that cannot work.

use super::{Doubt, EndEvidence, RunEvidence, count, doubt};
use crate::plan::{Close, Role};
use crate::result::end_result::ConnectionUse;
use crate::result::span::float;

/// Share of the client's ports in TIME-WAIT from which on it is told.
const MIN_PORTS_SHARE: f64 = 0.8;
const MORE_PORTS: &str = "let the server close first, or reset (--close server, rst); widen \
                          net.ipv4.ip_local_port_range, or set net.ipv4.tcp_tw_reuse=1";

fn client(seen: &RunEvidence<'_>) -> Option<ConnectionUse> {
    seen.run.connections?.client
}

fn server(seen: &RunEvidence<'_>) -> Option<ConnectionUse> {
    seen.run.connections?.server
}

pub(super) fn ports_exhausted(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let uses = client(seen).filter(|uses| uses.no_port > 0)?;
    let of = uses.local_ports.map_or_else(String::new, |ports| format!(" (of {ports})"));
    let text = format!(
        "client: no port{of} was free for {}, each of which had to wait: the rate is that of \
         TIME-WAIT, not of the path",
        count(uses.no_port, "attempt")
    );
    doubt(text, MORE_PORTS)
}

pub(super) fn time_wait(seen: &RunEvidence<'_>) -> Option<Doubt> {
    seen.run.plan.workload.short_lived().filter(|crr| crr.close == Close::Client)?;
    let uses = client(seen)?;
    let (held, ports) = (uses.time_wait_after?, uses.local_ports?);
    if float(held) < MIN_PORTS_SHARE * f64::from(ports) {
        return None;
    }
    let text = format!("client: {held} connections are in TIME-WAIT, and there are {ports} ports");
    doubt(text, MORE_PORTS)
}

pub(super) fn connects_failed(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let failed = client(seen).map(|uses| uses.failed).filter(|count| *count > 0)?;
    doubt(
        format!("client: {} to connect failed and was repeated", count(failed, "attempt")),
        "look for a full accept queue at the server (nstat TcpExtListenOverflows; \
         net.core.somaxconn)",
    )
}

pub(super) fn syn_retransmits(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let again = client(seen).map(|uses| uses.syn_retransmits).filter(|again| *again > 0)?;
    doubt(
        format!(
            "client: {} again before the connection stood, which takes a second or more each: \
             connect times and rate are those of lost SYNs",
            if again == 1 {
                "1 SYN was sent".to_owned()
            } else {
                format!("{again} SYNs were sent")
            }
        ),
        "look for loss on the path, and for a full accept queue at the server (nstat \
         TcpExtListenOverflows; net.core.somaxconn)",
    )
}

pub(super) fn foreign(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let foreign = server(seen).map(|uses| uses.foreign).filter(|count| *count > 0)?;
    doubt(
        format!("server: closed {} from other hosts", count(foreign, "connection")),
        "if they are this run's, let all of them come from one address (no spread by NAT)",
    )
}

pub(super) fn worker_held(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let held = server(seen).map(|uses| uses.held).filter(|count| *count > 0)?;
    doubt(
        format!(
            "server: {} kept a worker waiting for 100 ms or longer; its workers go on by epoll \
             after that",
            count(held, "connection")
        ),
        "look for loss on the path, and for others on the client's host who connect to the port \
         of the run",
    )
}

/// What a listener will speak, and by which queue packets come to it, is not known before somebody
/// calls.
fn only_listens(seen: &EndEvidence<'_>) -> bool {
    seen.role == Role::Server && seen.run.plan.lasting_connections() == 0
}

pub(super) fn mptcp_fallback(seen: &EndEvidence<'_>) -> Option<Doubt> {
    if !seen.run.plan.socket.mptcp || only_listens(seen) {
        return None;
    }
    let sockets = seen.result.facts.sockets.iter();
    let fallen = sockets.filter(|socket| socket.mptcp == Some(false)).count();
    if fallen == 0 {
        return None;
    }
    let (end, sockets) = (seen.end, count(fallen, "socket"));
    doubt(
        format!("{end}: {sockets} fell back from Multipath TCP to TCP"),
        "start podperf serve --mptcp, set net.mptcp.enabled=1 on both ends; middleboxes may strip \
         its options",
    )
}

pub(super) fn busy_poll_idle(seen: &EndEvidence<'_>) -> Option<Doubt> {
    let sockets = seen.result.facts.sockets.iter();
    let mut polling = sockets.filter(|one| one.busy_poll_us > Some(0)).peekable();
    polling.peek()?;
    if only_listens(seen) || polling.any(|one| one.napi_id != Some(0)) {
        return None;
    }
    let device = seen.result.facts.host.device.as_ref();
    let name = device.map_or("the device", |device| &device.name);
    let end = seen.end;
    doubt(
        format!(
            "{end}: busy polling has nothing to poll: no packet came by a queue (NAPI) of {name}"
        ),
        "poll a network card's queues, not loopback or a virtual device; or --wait spin",
    )
}

pub(super) fn spin_crowded(seen: &RunEvidence<'_>) -> Vec<Doubt> {
    let spinning = |seen: EndEvidence<'_>| {
        let (placement, host) = (&seen.result.facts.placement, &seen.result.facts.host);
        let workers = usize::try_from(placement.workers).unwrap_or(usize::MAX);
        placement.wait.spins().then_some((seen.end, workers, host.cpus_allowed.len()))
    };
    let ends: Vec<_> = seen.ends().filter_map(spinning).collect();
    let remedy = "a worker that spins needs a CPU of its own: fewer workers, more CPUs, or block";
    if let (true, [(_, own, cpus), (_, other, others)]) = (seen.run.same_machine(), &ends[..]) {
        let (workers, cpus) = (own + other, *cpus.max(others));
        let on = count(cpus, "CPU");
        let text = format!("{workers} workers of both ends spin on {on} of one machine");
        return doubt(text, remedy).filter(|_| workers > cpus).into_iter().collect();
    }
    let crowded = ends.into_iter().filter(|(_, workers, cpus)| workers > cpus);
    let text =
        |(end, workers, cpus)| format!("{end}: {workers} workers spin on {}", count(cpus, "CPU"));
    crowded.map(|end| (text(end), remedy.to_owned())).collect()
}
