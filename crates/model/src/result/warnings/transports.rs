//! Transports and ways of waiting that are not what was asked for.

use super::{RunCheck, RunEvidence, warn};
use crate::plan::{ReceiveMethod, SendMethod};
use crate::result::run::{ReceiveFacts, SendFacts, TransportFacts, Warning};
use crate::result::span::float;

pub(super) const CHECKS: &[RunCheck] =
    &[fallback, zerocopy_copied, zerocopy_enobufs, stack_only, mmap_unmapped];

/// Copied zero-copy sends that are told, as a share of those reported on.
const MIN_COPIED_SHARE: f64 = 0.01;
/// Least share of the bytes that a run by mapping should have mapped.
const MIN_MAPPED_SHARE: f64 = 0.1;

fn fallback(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    for (end, end_result) in seen.present() {
        for reason in &end_result.facts.placement.fallbacks {
            warn(
                found,
                "fallback",
                format!("{end}: {reason}"),
                "podperf doctor on that end says what is refused and how to permit it",
            );
        }
    }
}

impl<'a> RunEvidence<'a> {
    /// What `of` tells of the ends that have told how they moved their bytes.
    fn transports<T>(
        &self,
        of: fn(&'a TransportFacts) -> Option<&'a T>,
    ) -> impl Iterator<Item = (&'static str, &'a T)> {
        let ends = self.run.transport.named().into_iter();
        ends.filter_map(move |(end, facts)| Some((end, of(facts.as_ref()?)?)))
    }

    fn senders(&self) -> impl Iterator<Item = (&'static str, &'a SendFacts)> {
        self.transports(|facts| facts.send.as_ref())
    }

    fn receivers(&self) -> impl Iterator<Item = (&'static str, &'a ReceiveFacts)> {
        self.transports(|facts| facts.receive.as_ref())
    }
}

fn zerocopy_copied(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    for (end, facts) in seen.senders().filter(|(_, facts)| facts.used == SendMethod::Zerocopy) {
        let Some(zerocopy) = facts.zerocopy else { continue };
        let Some(share) = zerocopy.copied_share.filter(|&share| share > MIN_COPIED_SHARE) else {
            continue;
        };
        warn(
            found,
            "zerocopy_copied",
            format!(
                "{end}: the kernel copied {:.1} % of {} zero-copy sends all the same, which costs \
                 more than an ordinary send",
                100.0 * share,
                zerocopy.sends
            ),
            "use --send write or auto on this path: to a peer on the same machine, and through a \
             device without scatter-gather and checksum offload, the kernel always copies",
        );
    }
}

fn zerocopy_enobufs(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    for (end, facts) in seen.senders() {
        let (stands_in, remedy) = match facts.used {
            SendMethod::Zerocopy => (
                SendMethod::Write,
                "raise the limit of locked memory (ulimit -l) or net.core.optmem_max on that end",
            ),
            SendMethod::UringZc => {
                (SendMethod::Uring, "use fewer streams, or --send uring, which copies")
            }
            _ => continue,
        };
        let Some(zerocopy) = facts.zerocopy.filter(|zerocopy| zerocopy.enobufs > 0) else {
            continue;
        };
        let by_copy = facts.bytes_by_method.iter().find(|part| part.method == stands_in);
        let copied = by_copy.filter(|_| facts.asked == facts.used);
        let also = copied.map_or_else(String::new, |part| {
            format!("; {} B were sent by copying instead", part.bytes)
        });
        warn(
            found,
            "zerocopy_enobufs",
            format!(
                "{end}: the kernel had no room for {} zero-copy sends (ENOBUFS){also}",
                zerocopy.enobufs
            ),
            remedy,
        );
    }
}

fn stack_only(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    for (end, facts) in seen.receivers().filter(|(_, facts)| facts.stack_only) {
        let how = match mapped_share(facts) {
            None => "was discarded by the kernel",
            Some(share) if share >= MIN_MAPPED_SHARE => "was mapped and not touched",
            Some(_) => continue,
        };
        warn(
            found,
            "stack_only",
            format!("{end}: what was received {how}: no application gets this throughput"),
            "use --recv read for what an application gets",
        );
    }
}

fn mmap_unmapped(seen: &RunEvidence<'_>, found: &mut Vec<Warning>) {
    for (end, facts) in seen.receivers() {
        let Some(share) = mapped_share(facts).filter(|&share| share < MIN_MAPPED_SHARE) else {
            continue;
        };
        let mss =
            seen.run.streams.iter().find_map(|stream| stream.socket.client.as_ref()?.mss_bytes);
        let segments =
            mss.map_or_else(String::new, |mss| format!("; segments carry {mss} B of payload"));
        warn(
            found,
            "mmap_unmapped",
            format!(
                "{end}: {:.1} % of the bytes could be mapped, the rest was read{segments}",
                100.0 * share
            ),
            "whole pages are mapped alone: needs an MTU of 4096 B and headers and a device that \
             splits headers from payload, or --send splice from the same machine; else use --recv \
             read",
        );
    }
}

/// The share of the bytes that were mapped, where that was asked for.
fn mapped_share(facts: &ReceiveFacts) -> Option<f64> {
    if facts.asked != ReceiveMethod::Mmap {
        return None;
    }
    let all: f64 = facts.bytes_by_method.iter().map(|part| float(part.bytes)).sum();
    let mapped =
        facts.bytes_by_method.iter().find(|part| part.method == ReceiveMethod::Mmap)?.bytes;
    (all > 0.0).then(|| float(mapped) / all)
}
