//! What was asked of sockets and devices, and not granted, or granted and telling.

use super::{RunCheck, RunEvidence, count, warn};
use crate::plan::{FlowRole, Role};
use crate::result::run::{SocketFacts, Warning};
use crate::result::span::ROLES;

pub(super) const CHECKS: &[RunCheck] =
    &[buffer_clamped, congestion_control, mss_clamped, pacing_clamped, pacing_bbr, offloads_off];

/// Room that TCP options can take out of a segment, in bytes (RFC 9293, section 3.1).
const TCP_OPTIONS_BYTES: u32 = 40;
/// MTU of Ethernet, in bytes; a larger one makes up for missing offloads.
const ETHERNET_MTU_BYTES: u32 = 1500;

/// Lists one end's sockets on flows of these roles, with the end's name.
fn sockets<'a>(
    seen: &RunEvidence<'a>,
    has_role: impl Fn(FlowRole) -> bool,
) -> Vec<(&'static str, Vec<&'a SocketFacts>)> {
    let of = |role: Role| {
        let end_result = *seen.end_results.get(role);
        let all = end_result.map_or(&[][..], |end_result| &end_result.facts.sockets);
        let ids = 0_u32..;
        let playing = ids.zip(all).filter(|(id, _)| has_role(seen.run.plan.flow_role(role, *id)));
        playing.map(|(_, socket)| socket).collect()
    };
    let [client, server] = ROLES.map(of);
    vec![("client", client), ("server", server)]
}

const fn sends(part: FlowRole) -> bool {
    !matches!(part, FlowRole::Receive)
}

const fn receives(part: FlowRole) -> bool {
    !matches!(part, FlowRole::Send)
}

fn buffer_clamped(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    let Some(asked) = seen.run.plan.socket.buffer_bytes.map(|bytes| bytes.0) else { return };
    type RoleFilter = fn(FlowRole) -> bool;
    type GrantedValue = fn(&SocketFacts) -> Option<u64>;
    let kinds: [(&str, &str, RoleFilter, GrantedValue); 2] = [
        ("SO_SNDBUF", "net.core.wmem_max", sends, |socket| socket.send_buffer_bytes),
        ("SO_RCVBUF", "net.core.rmem_max", receives, |socket| socket.receive_buffer_bytes),
    ];
    for (option, limit, has_role, granted) in kinds {
        for (end, sockets) in sockets(seen, has_role) {
            // The kernel doubles what is asked, for its own bookkeeping (socket(7)).
            let short = |granted: &u64| *granted < asked.saturating_mul(2);
            let short: Vec<u64> = sockets.into_iter().filter_map(granted).filter(short).collect();
            let Some(least) = short.iter().min() else { continue };
            warn(
                found,
                "buffer_clamped",
                format!(
                    "{end}: {option} of {asked} B was asked for, {} B granted on {}",
                    least / 2,
                    count(short.len(), "socket")
                ),
                format!(
                    "raise {limit} there to {asked}, or leave the buffers to the kernel (no -w)"
                ),
            );
        }
    }
}

fn congestion_control(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    let names = |end: usize| -> Vec<String> {
        let (_, sockets) = &sockets(seen, |_| true)[end];
        let mut names: Vec<String> =
            sockets.iter().filter_map(|socket| socket.congestion_control.clone()).collect();
        names.sort_unstable();
        names.dedup();
        names
    };
    let (client, server) = (names(0), names(1));
    let remedy = "name one that both ends have with -C (net.ipv4.tcp_available_congestion_control)";
    if let Some(asked) = &seen.run.plan.socket.congestion_control {
        for (end, names) in [("client", client), ("server", server)] {
            if names.iter().any(|name| name != asked) {
                let text = format!(
                    "{end}: congestion control '{asked}' was asked for, '{}' is in force",
                    names.join("', '")
                );
                warn(found, "congestion_control", text, remedy);
            }
        }
    } else if !client.is_empty() && !server.is_empty() && client != server {
        let text = format!(
            "congestion control differs: client '{}', server '{}'; the sending end's decides",
            client.join("', '"),
            server.join("', '")
        );
        warn(found, "congestion_control", text, remedy);
    }
}

fn mss_clamped(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    let Some(asked) = seen.run.plan.socket.mss_bytes else { return };
    for (end, sockets) in sockets(seen, sends) {
        let granted = sockets.into_iter().filter_map(|socket| socket.mss_bytes).min();
        let least = asked.saturating_sub(TCP_OPTIONS_BYTES);
        if let Some(granted) = granted.filter(|granted| *granted < least) {
            warn(
                found,
                "mss_clamped",
                format!("{end}: an MSS of {asked} B was asked for, {granted} B granted"),
                "ask for no more than the path's MTU less 40 B of headers (IPv6: 60 B)",
            );
        }
    }
}

fn pacing_clamped(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    let Some(asked) = seen.run.plan.socket.pacing_bits_per_second.map(|rate| rate.0) else {
        return;
    };
    for (end, sockets) in sockets(seen, sends) {
        let off = |granted: &u64| granted.abs_diff(asked) > asked / 100;
        let granted = sockets.into_iter().filter_map(|socket| socket.pacing_bits_per_second);
        if let Some(granted) = granted.into_iter().find(off) {
            warn(
                found,
                "pacing_clamped",
                format!("{end}: pacing of {asked} bit/s was asked for, {granted} bit/s granted"),
                "ask for a rate this kernel can hold",
            );
        }
    }
}

fn pacing_bbr(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    if seen.run.plan.socket.pacing_bits_per_second.is_some() {
        return;
    }
    for (end, sockets) in sockets(seen, sends) {
        let name = |socket: &SocketFacts| socket.congestion_control.clone();
        let bbr = sockets.into_iter().filter_map(name).find(|name| name.starts_with("bbr"));
        if let Some(bbr) = bbr {
            warn(
                found,
                "pacing_bbr",
                format!(
                    "{end}: congestion control '{bbr}' paces by its own model of the path: rate \
                     and sender's CPU are those of its pacing"
                ),
                "compare with -C cubic before blaming the path",
            );
        }
    }
}

fn offloads_off(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    for (end, end_result) in seen.present() {
        let Some(device) = &end_result.facts.host.device else { continue };
        let small = device.mtu_bytes.is_none_or(|mtu| mtu <= ETHERNET_MTU_BYTES);
        let off: Vec<&str> = ["tso", "gso", "gro"]
            .into_iter()
            .filter(|name| device.offloads.get(*name) == Some(&false))
            .collect();
        if device.name == "lo" || !small || off.is_empty() {
            continue;
        }
        let mtu = device.mtu_bytes.map_or_else(|| "unknown".to_owned(), |mtu| format!("{mtu} B"));
        warn(
            found,
            "offloads_off",
            format!(
                "{end}: {} ({}) has MTU {mtu} and {} off: the stack handles each packet by itself",
                device.name,
                device.driver.as_deref().unwrap_or("driver unknown"),
                off.join(", ")
            ),
            format!(
                "ethtool -K {} {} on, or a larger MTU along the whole path",
                device.name,
                off.join(" on ")
            ),
        );
    }
}
