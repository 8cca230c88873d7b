//! Doubt as data: what makes a figure of a run doubtful, and what to do about it.
//!
//! Enters: the merged run and the ends' results it came from. Leaves: warnings with stable codes,
//! texts with figures and units, and remedies. One small function a warning; the order of the table
//! is the order in the document. Nothing here changes a figure.

mod between;
mod connections;
mod datagrams;
mod flows;
mod machines;
mod offloads;
mod sockets;
mod timing;
mod transient;
mod transports;

use crate::plan::Role;
use crate::result::allowed_cpus;
use crate::result::end_result::EndResult;
use crate::result::run::{Run, Warning};
use crate::result::span::{EndResults, EndSpans, ROLES};
use crate::result::wording::{count, end_name, few};

/// What a check of the whole run looks at.
struct RunEvidence<'a> {
    run: &'a Run,
    end_results: &'a EndResults<'a>,
    spans: &'a EndSpans<'a>,
}

/// What a check of one end looks at, whose result arrived.
struct EndEvidence<'a> {
    run: &'a Run,
    role: Role,
    /// The end's name.
    end: &'static str,
    result: &'a EndResult,
}

/// The text of a warning and its remedy.
type Doubt = (String, String);

/// Looks for what deserves a warning.
enum RunCheck {
    /// Once.
    Once(fn(&RunEvidence<'_>) -> Option<Doubt>),
    /// At each end.
    End(fn(&EndEvidence<'_>) -> Option<Doubt>),
    /// At each machine: once where both ends run on one.
    Machine(fn(&EndEvidence<'_>) -> Option<Doubt>),
    /// Once, and may find several.
    All(fn(&RunEvidence<'_>) -> Vec<Doubt>),
}
use RunCheck::{All, End, Machine, Once};

/// Every warning's code and its check.
const CHECKS: &[(&str, RunCheck)] = &[
    ("same_machine", Once(machines::same_machine)),
    ("same_process", Once(machines::same_process)),
    ("loopback", Once(machines::loopback)),
    ("proxy", Once(between::proxy)),
    ("other_sessions", Once(between::other_sessions)),
    ("cpu_steal", Machine(machines::cpu_steal)),
    ("quota_throttled", End(machines::quota_throttled)),
    ("softnet_drops", Machine(machines::softnet_drops)),
    ("proc_filtered", Machine(machines::proc_filtered)),
    ("cpu_hotplug", Machine(machines::cpu_hotplug)),
    (allowed_cpus::CODE, End(machines::cpus_changed)),
    ("workers_share_cpus", End(machines::workers_share_cpus)),
    ("governor", Machine(machines::governor)),
    ("slow_clock", Machine(machines::slow_clock)),
    ("buffer_clamped", End(sockets::send_buffer_clamped)),
    ("buffer_clamped", End(sockets::receive_buffer_clamped)),
    ("congestion_control", End(sockets::congestion_control)),
    ("congestion_control", Once(sockets::congestion_controls)),
    ("mss_clamped", End(sockets::mss_clamped)),
    ("pacing_clamped", End(sockets::pacing_clamped)),
    ("policy_rate", Once(sockets::policy_rate)),
    ("pacing_bbr", End(sockets::pacing_bbr)),
    ("offloads_off", All(offloads::offloads_off)),
    ("short_window", Once(timing::short_window)),
    ("unaligned_windows", Once(timing::unaligned_windows)),
    ("coarse_rate", Once(timing::coarse_rate)),
    ("start_skew", Once(timing::start_skew)),
    ("few_samples", Once(timing::few_samples)),
    ("schedule_late", Once(timing::schedule_late)),
    ("unfinished_sends", Once(timing::unfinished_sends)),
    ("unfinished_requests", Once(timing::unfinished_requests)),
    ("goodput_from_sender", Once(flows::goodput_from_sender)),
    ("stream_stalled", Once(flows::stream_stalled)),
    ("stream_ended_early", Once(flows::stream_ended_early)),
    ("not_drained", Once(flows::not_drained)),
    ("retransmits", Once(flows::retransmits)),
    ("transient_errors", All(transient::transient_errors)),
    ("ports_exhausted", Once(connections::ports_exhausted)),
    ("time_wait", Once(connections::time_wait)),
    ("connects_failed", Once(connections::connects_failed)),
    ("syn_retransmits", Once(connections::syn_retransmits)),
    ("foreign_connections", Once(connections::foreign)),
    ("worker_held", Once(connections::worker_held)),
    ("mptcp_fallback", End(connections::mptcp_fallback)),
    ("busy_poll_idle", End(connections::busy_poll_idle)),
    ("spin_crowded", All(connections::spin_crowded)),
    ("receive_buffer_full", Once(datagrams::receive_buffer_full)),
    ("datagrams_lost", Once(datagrams::datagrams_lost)),
    ("datagrams_reordered", Once(datagrams::datagrams_reordered)),
    ("lost_transactions", Once(datagrams::lost_transactions)),
    ("fragmented", Once(datagrams::fragmented)),
    ("fallback", All(transports::fallback)),
    ("zerocopy_copied", End(transports::zerocopy_copied)),
    ("zerocopy_enobufs", End(transports::zerocopy_enobufs)),
    ("stack_only", End(transports::stack_only)),
    ("mmap_unmapped", End(transports::mmap_unmapped)),
];

/// All that is doubtful about a run.
pub(super) fn warnings(
    run: &Run,
    end_results: &EndResults<'_>,
    spans: &EndSpans<'_>,
) -> Vec<Warning> {
    let seen = RunEvidence { run, end_results, spans };
    let mut found = Vec::new();
    for (code, check) in CHECKS {
        let doubts: Vec<Doubt> = match check {
            Once(check) => check(&seen).into_iter().collect(),
            End(check) => seen.ends().filter_map(|end| check(&end)).collect(),
            Machine(check) if run.same_machine() => {
                seen.machine().find_map(|end| check(&end)).into_iter().collect()
            }
            Machine(check) => seen.ends().filter_map(|end| check(&end)).collect(),
            All(check) => check(&seen),
        };
        let warning = |(text, remedy)| Warning { code: (*code).to_owned(), text, remedy };
        found.extend(doubts.into_iter().map(warning));
    }
    found
}

fn doubt(text: impl Into<String>, remedy: impl Into<String>) -> Option<Doubt> {
    Some((text.into(), remedy.into()))
}

impl<'a> RunEvidence<'a> {
    /// The ends whose results arrived.
    fn ends(&self) -> impl Iterator<Item = EndEvidence<'a>> {
        let (run, results) = (self.run, self.end_results);
        ROLES.into_iter().filter_map(move |role| {
            Some(EndEvidence { run, role, end: end_name(role), result: (*results.get(role))? })
        })
    }

    /// The ends whose results arrived, as views of the machine that they share.
    fn machine(&self) -> impl Iterator<Item = EndEvidence<'a>> {
        self.ends().map(|seen| EndEvidence { end: "both ends", ..seen })
    }
}

#[cfg(test)]
mod tests;
