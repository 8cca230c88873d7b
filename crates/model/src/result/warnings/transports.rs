//! Transports and ways of waiting that are not what was asked for.

use super::{Doubt, EndEvidence, RunEvidence, doubt};
use crate::plan::{ReceiveMethod, SendMethod};
use crate::result::run::{ReceiveFacts, SendFacts};
use crate::result::span::float;

/// Copied zero-copy sends that are told, as a share of those reported on.
const MIN_COPIED_SHARE: f64 = 0.01;
/// Least share of the bytes that a run by mapping should have mapped.
const MIN_MAPPED_SHARE: f64 = 0.1;

pub(super) fn fallback(seen: &RunEvidence<'_>) -> Vec<Doubt> {
    let remedy = "podperf doctor on that end says what is refused and how to permit it";
    let reasons = seen.ends().flat_map(|seen| {
        let reasons = seen.result.facts.placement.fallbacks.iter();
        reasons.filter_map(move |reason| doubt(format!("{}: {reason}", seen.end), remedy))
    });
    reasons.collect()
}

impl<'a> EndEvidence<'a> {
    /// How the end sent its bytes.
    fn sent(&self) -> Option<&'a SendFacts> {
        self.run.transport.get(self.role).as_ref()?.send.as_ref()
    }

    /// How it received them.
    fn received(&self) -> Option<&'a ReceiveFacts> {
        self.run.transport.get(self.role).as_ref()?.receive.as_ref()
    }
}

pub(super) fn zerocopy_copied(seen: &EndEvidence<'_>) -> Option<Doubt> {
    let facts = seen.sent().filter(|facts| facts.used == SendMethod::Zerocopy)?;
    let zerocopy = facts.zerocopy?;
    let share = zerocopy.copied_share.filter(|&share| share > MIN_COPIED_SHARE)?;
    doubt(
        format!(
            "{}: the kernel copied {:.1} % of {} zero-copy sends all the same, which costs more \
             than an ordinary send",
            seen.end,
            100.0 * share,
            zerocopy.sends
        ),
        "use --send write or auto on this path: to a peer on the same machine, and through a \
         device without scatter-gather and checksum offload, the kernel always copies",
    )
}

pub(super) fn zerocopy_enobufs(seen: &EndEvidence<'_>) -> Option<Doubt> {
    let (end, facts) = (seen.end, seen.sent()?);
    let (stands_in, remedy) = match facts.used {
        SendMethod::Zerocopy => (
            SendMethod::Write,
            "raise the limit of locked memory (ulimit -l) or net.core.optmem_max on that end",
        ),
        SendMethod::UringZc => {
            (SendMethod::Uring, "use fewer streams, or --send uring, which copies")
        }
        _ => return None,
    };
    let times = facts.zerocopy.map(|zerocopy| zerocopy.enobufs).filter(|times| *times > 0)?;
    let by_copy = facts.bytes_by_method.iter().find(|part| part.method == stands_in);
    let copied = by_copy.filter(|_| facts.asked == facts.used);
    let also = copied.map_or_else(String::new, |part| {
        format!("; {} B were sent by copying instead", part.bytes)
    });
    let text = format!("{end}: the kernel had no room for {times} zero-copy sends (ENOBUFS){also}");
    doubt(text, remedy)
}

pub(super) fn stack_only(seen: &EndEvidence<'_>) -> Option<Doubt> {
    let facts = seen.received().filter(|facts| facts.stack_only)?;
    let how = match mapped_share(facts) {
        None => "was discarded by the kernel",
        Some(share) if share >= MIN_MAPPED_SHARE => "was mapped and not touched",
        Some(_) => return None,
    };
    doubt(
        format!("{}: what was received {how}: no application gets this throughput", seen.end),
        "use --recv read for what an application gets",
    )
}

pub(super) fn mmap_unmapped(seen: &EndEvidence<'_>) -> Option<Doubt> {
    let share = mapped_share(seen.received()?).filter(|&share| share < MIN_MAPPED_SHARE)?;
    let mut streams = seen.run.streams.iter();
    let mss = streams.find_map(|stream| stream.socket.client.as_ref()?.mss_bytes);
    let segments =
        mss.map_or_else(String::new, |mss| format!("; segments carry {mss} B of payload"));
    doubt(
        format!(
            "{}: {:.1} % of the bytes could be mapped, the rest was read{segments}",
            seen.end,
            100.0 * share
        ),
        "whole pages are mapped alone: needs an MTU of 4096 B and headers and a device that splits \
         headers from payload, or --send splice from the same machine; else use --recv read",
    )
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
