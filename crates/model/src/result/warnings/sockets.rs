//! What was asked of sockets and not granted, or granted and telling.

use super::{Doubt, EndEvidence, RunEvidence, count, doubt};
use crate::plan::FlowRole;
use crate::result::run::SocketFacts;
use crate::result::span::float;

/// Room that TCP options can take out of a segment, in bytes (RFC 9293, section 3.1).
const TCP_OPTIONS_BYTES: u32 = 40;
/// Share of an allowed rate from which on it may have held a run back.
const NEAR_SHARE: f64 = 0.5;

impl<'a> EndEvidence<'a> {
    /// The end's sockets on flows whose role is not this one.
    fn sockets_but(&self, role: FlowRole) -> impl Iterator<Item = &'a SocketFacts> {
        let (run, own) = (self.run, self.role);
        let numbered = (0_u32..).zip(&self.result.facts.sockets);
        let others = numbered.filter(move |(id, _)| run.plan.flow_role(own, *id) != role);
        others.map(|(_, socket)| socket)
    }

    /// The sockets that send.
    fn sending(&self) -> impl Iterator<Item = &'a SocketFacts> {
        self.sockets_but(FlowRole::Receive)
    }
}

pub(super) fn send_buffer_clamped(seen: &EndEvidence<'_>) -> Option<Doubt> {
    let granted = seen.sending().filter_map(|socket| socket.send_buffer_bytes);
    buffer_clamped(seen, ["SO_SNDBUF", "net.core.wmem_max"], granted)
}

pub(super) fn receive_buffer_clamped(seen: &EndEvidence<'_>) -> Option<Doubt> {
    let receiving = seen.sockets_but(FlowRole::Send);
    let granted = receiving.filter_map(|socket| socket.receive_buffer_bytes);
    buffer_clamped(seen, ["SO_RCVBUF", "net.core.rmem_max"], granted)
}

fn buffer_clamped(
    seen: &EndEvidence<'_>,
    [option, limit]: [&str; 2],
    granted: impl Iterator<Item = u64>,
) -> Option<Doubt> {
    let asked = seen.run.plan.socket.buffer_bytes?.0;
    // The kernel doubles what is asked, for its own bookkeeping (socket(7)).
    let short: Vec<u64> = granted.filter(|bytes| *bytes < asked.saturating_mul(2)).collect();
    let least = short.iter().min()? / 2;
    let (end, sockets) = (seen.end, count(short.len(), "socket"));
    doubt(
        format!("{end}: {option} of {asked} B was asked for, {least} B granted on {sockets}"),
        format!("raise {limit} there to {asked}, or leave the buffers to the kernel (no -w)"),
    )
}

const ONE_CONTROL: &str =
    "name one that both ends have with -C (net.ipv4.tcp_available_congestion_control)";

/// The congestion controls in force at an end, each once.
fn controls(seen: &EndEvidence<'_>) -> Vec<String> {
    let sockets = seen.result.facts.sockets.iter();
    let mut names: Vec<String> =
        sockets.filter_map(|socket| socket.congestion_control.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names
}

pub(super) fn congestion_control(seen: &EndEvidence<'_>) -> Option<Doubt> {
    let asked = seen.run.plan.socket.congestion_control.as_ref()?;
    let names = controls(seen);
    names.iter().find(|name| *name != asked)?;
    let (end, names) = (seen.end, names.join("', '"));
    let text = format!("{end}: congestion control '{asked}' was asked for, '{names}' is in force");
    doubt(text, ONE_CONTROL)
}

pub(super) fn congestion_controls(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let ends: Vec<Vec<String>> = seen.ends().map(|end| controls(&end)).collect();
    let [client, server] = ends.try_into().ok()?;
    let asked = seen.run.plan.socket.congestion_control.is_some();
    if asked || client.is_empty() || server.is_empty() || client == server {
        return None;
    }
    let (client, server) = (client.join("', '"), server.join("', '"));
    let text = format!(
        "congestion control differs: client '{client}', server '{server}'; the sending end's \
         decides"
    );
    doubt(text, ONE_CONTROL)
}

pub(super) fn mss_clamped(seen: &EndEvidence<'_>) -> Option<Doubt> {
    let asked = seen.run.plan.socket.mss_bytes?;
    let granted = seen.sending().filter_map(|socket| socket.mss_bytes).min()?;
    if granted >= asked.saturating_sub(TCP_OPTIONS_BYTES) {
        return None;
    }
    doubt(
        format!("{}: an MSS of {asked} B was asked for, {granted} B granted", seen.end),
        "ask for no more than the path's MTU less 40 B of headers (IPv6: 60 B)",
    )
}

pub(super) fn pacing_clamped(seen: &EndEvidence<'_>) -> Option<Doubt> {
    let asked = seen.run.plan.socket.pacing_bits_per_second?.0;
    let mut granted = seen.sending().filter_map(|socket| socket.pacing_bits_per_second);
    let granted = granted.find(|granted| granted.abs_diff(asked) > asked / 100)?;
    doubt(
        format!("{}: pacing of {asked} bit/s was asked for, {granted} bit/s granted", seen.end),
        "ask for a rate this kernel can hold",
    )
}

/// Whoever moved far less than it allows was not held back by it.
pub(super) fn policy_rate(seen: &RunEvidence<'_>) -> Option<Doubt> {
    let rate = seen.run.plan.socket.policy_bits_per_second?;
    let moved = seen.run.throughput.as_ref()?;
    let most = moved.up_bits_per_second.into_iter().chain(moved.down_bits_per_second);
    let most = most.reduce(f64::max)?;
    let allowed = float(rate.0) * f64::from(seen.run.plan.flows);
    if most < NEAR_SHARE * allowed {
        return None;
    }
    doubt(
        format!("the server's policy paced the run: it allows each flow {rate} each way"),
        "ask the server's operator for a higher rate, or see the figure as the policy's",
    )
}

pub(super) fn pacing_bbr(seen: &EndEvidence<'_>) -> Option<Doubt> {
    if seen.run.plan.socket.pacing_bits_per_second.is_some() {
        return None;
    }
    let mut names = seen.sending().filter_map(|socket| socket.congestion_control.as_ref());
    let bbr = names.find(|name| name.starts_with("bbr"))?;
    doubt(
        format!(
            "{}: congestion control '{bbr}' paces by its own model of the path: rate and sender's \
             CPU are those of its pacing",
            seen.end
        ),
        "compare with -C cubic before blaming the path",
    )
}
