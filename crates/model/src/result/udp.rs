//! What became of datagrams: the senders' counts and the receivers', put together.
//!
//! A datagram belongs to the window when its sender stamped it so. Both ends' counts of it are of
//! the whole run, so no datagram that was under way at an edge is lost by the count, or counted
//! twice.

use crate::plan::udp::UdpPlan;
use crate::plan::{FlowRole, Plan, Role};
use crate::reading::Datagrams;
use crate::result::end_result::{EndReport, FlowReport, ScheduleAdherence};
use crate::result::latency;
use crate::result::run::{DatagramCalls, DatagramFacts, Ends, Latency, ScheduleFacts, Stream, Udp};
use crate::result::span::{
    EndResults, EndSpans, ROLES, bytes_and_calls, float, other, receives, sends,
};

/// The part of the result about datagrams; nothing for other runs.
pub(super) fn udp(
    spans: &EndSpans<'_>,
    end_results: &EndResults<'_>,
    streams: &[Stream],
) -> Option<Udp> {
    if !spans.plan.workload.is_udp() {
        return None;
    }
    let client = end_results.report(Role::Client);
    Some(Udp {
        datagrams: total(streams),
        lost_transactions: client.and_then(|client| client.lost_transactions),
        calls: Ends::of(|role| calls(spans.plan, end_results.report(role)?)),
    })
}

/// What became of the datagrams of flow `id`; `flow` finds an end's report of it.
pub(super) fn facts<'a>(
    spans: &EndSpans<'_>,
    id: u32,
    flow: impl Fn(Role) -> Option<&'a FlowReport>,
) -> Option<DatagramFacts> {
    spans.plan.workload.datagram_stream()?;
    let sender =
        ROLES.into_iter().find(|role| spans.plan.flow_role(*role, id) == FlowRole::Send)?;
    let receiver = other(sender);
    let sent = flow(sender)?.datagrams?.window.sent;
    let got = flow(receiver)?.datagrams?.window;
    // Counts come from a peer, which may say anything.
    let received = got.received.min(sent);
    Some(DatagramFacts {
        sent,
        received,
        lost: sent - received,
        loss_share: (sent > 0).then(|| float(sent - received) / float(sent)),
        reordered: got.reordered,
        reorder_distance_max: got.distance_max,
        duplicates: got.duplicates,
        jitter_us: (received > 0).then(|| float(got.jitter_ns) / 1e3),
        socket_drops: drops(spans, receiver, id),
    })
}

/// Drops at the receiver's socket between the window's readings.
fn drops(spans: &EndSpans<'_>, receiver: Role, id: u32) -> Option<u64> {
    let (first, last) = counts(spans, receiver, id)?;
    Some(last.socket_drops?.wrapping_sub(first.socket_drops?).into())
}

/// One end's counts of a flow at the first and the last reading.
fn counts<'a>(spans: &EndSpans<'a>, role: Role, id: u32) -> Option<(&'a Datagrams, &'a Datagrams)> {
    let (first, last) = spans.end(role)?.flow(id)?;
    Some((first.datagrams.as_ref()?, last.datagrams.as_ref()?))
}

fn total(streams: &[Stream]) -> Option<DatagramFacts> {
    let all: Vec<DatagramFacts> = streams.iter().filter_map(|stream| stream.datagrams).collect();
    let sum = |of: fn(&DatagramFacts) -> u64| all.iter().map(of).fold(0, u64::saturating_add);
    let (sent, lost) = (sum(|flow| flow.sent), sum(|flow| flow.lost));
    let drops = all.iter().map(|flow| flow.socket_drops);
    (!all.is_empty()).then(|| DatagramFacts {
        sent,
        received: sum(|flow| flow.received),
        lost,
        loss_share: (sent > 0).then(|| float(lost) / float(sent)),
        reordered: sum(|flow| flow.reordered),
        reorder_distance_max: all.iter().map(|flow| flow.reorder_distance_max).max().unwrap_or(0),
        duplicates: sum(|flow| flow.duplicates),
        jitter_us: mean(all.iter().filter_map(|flow| flow.jitter_us)),
        socket_drops: drops.reduce(|a, b| Some(a?.saturating_add(b?))).flatten(),
    })
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), value| (sum + value, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// Datagrams found missing between two readings of the receivers, and their mean jitter then, in
/// microseconds.
pub(super) fn interval(spans: &EndSpans<'_>) -> (Option<u64>, Option<f64>) {
    if spans.plan.workload.datagram_stream().is_none() {
        return (None, None);
    }
    let receiver = |id: u32| {
        ROLES.into_iter().find(|role| spans.plan.flow_role(*role, id) == FlowRole::Receive)
    };
    let receivers = || spans.flows().filter_map(|id| counts(spans, receiver(id)?, id));
    let missing = |counts: &Datagrams| counts.expected.saturating_sub(counts.received);
    let lost = receivers().map(|(first, last)| missing(last).saturating_sub(missing(first)));
    let jitter = receivers().filter(|(_, last)| last.received > 0);
    (lost.reduce(u64::saturating_add), mean(jitter.map(|(_, last)| float(last.jitter_ns) / 1e3)))
}

fn calls(plan: &Plan, report: &EndReport) -> Option<DatagramCalls> {
    let udp = plan.workload.datagram_stream()?;
    let own = report.datagrams?;
    Some(DatagramCalls {
        gso_asked: own.segmented.map(|_| udp.gso),
        gso_used: own.segmented,
        datagrams_per_send: own.per_send,
        mean_datagrams_per_send: per_call(udp, &report.flows, sends),
        gro_asked: own.joined.map(|_| udp.gro),
        gro_used: own.joined,
        mean_datagrams_per_receive: per_call(udp, &report.flows, receives),
    })
}

fn per_call(
    plan: &UdpPlan,
    flows: &[FlowReport],
    of: fn(&FlowReport) -> (u64, u64),
) -> Option<f64> {
    let (bytes, calls) = bytes_and_calls(flows, of)?;
    let size = plan.datagram_bytes.map(|size| size.0).filter(|size| *size > 0)?;
    Some(bytes / float(size) / calls)
}

/// How the schedules of both ends were kept; `summary` reads a distribution.
pub(super) fn schedule(
    end_results: &EndResults<'_>,
    mut summary: impl FnMut(&str, Result<Latency, String>) -> Option<Latency>,
) -> Option<ScheduleFacts> {
    let reports = || ROLES.into_iter().filter_map(|role| end_results.report(role));
    let kept = reports().filter_map(|report| report.schedule);
    let kept = kept.reduce(ScheduleAdherence::plus)?;
    let pacing = || reports().filter_map(|report| report.pacing.as_ref());
    let mut all = |name: &str, wires: Vec<_>| {
        if wires.is_empty() { None } else { summary(name, latency::merged(&wires)) }
    };
    Some(ScheduleFacts {
        due: kept.due,
        late: kept.late,
        max_lateness_ns: kept.max_lateness_ns,
        unfinished: kept.unfinished,
        datagrams_per_send: reports().filter_map(|report| report.datagrams?.per_send).max(),
        lateness: all("lateness histogram", pacing().map(|own| &own.lateness).collect()),
        inter_send: all("inter-send histogram", pacing().map(|own| &own.inter_send).collect()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::Workload;
    use crate::result::merge::{Input, merge};
    use crate::result::run::Run;
    use crate::result::testing::udp_input;

    fn run(change: impl FnOnce(&mut Input)) -> Run {
        let mut input = udp_input();
        change(&mut input);
        merge(input)
    }

    #[test]
    fn loss_is_what_the_senders_stamped_less_what_came_of_it() {
        let run = run(|_| {});
        let all = run.udp.as_ref().unwrap().datagrams.unwrap();
        assert_eq!((all.sent, all.received, all.lost), (4_000, 3_960, 40));
        assert_eq!(all.loss_share, Some(0.01));
        assert_eq!((all.reordered, all.duplicates, all.reorder_distance_max), (6, 2, 2));
        // The mean of 4 and 8 µs; ten drops a flow, over the wrap.
        assert_eq!((all.jitter_us, all.socket_drops), (Some(6.0), Some(20)));
        let second = run.streams[1].datagrams.unwrap();
        assert_eq!((second.lost, second.loss_share), (40, Some(0.02)));
        assert_eq!(run.intervals[0].datagrams_lost, Some(20));
        assert_eq!(run.intervals[0].jitter_us, Some(3.0));
        let calls = run.udp.as_ref().unwrap().calls.client.clone().unwrap();
        assert_eq!((calls.gso_used, calls.mean_datagrams_per_send), (Some(true), Some(4.0)));
        assert_eq!((calls.gro_asked, calls.gro_used), (None, None));
        let schedule = run.schedule.as_ref().unwrap();
        assert_eq!((schedule.due, schedule.datagrams_per_send), (1_000, Some(4)));
        assert_eq!(schedule.lateness.as_ref().unwrap().mean, Some(2_000.0));
        assert_eq!(schedule.inter_send.as_ref().unwrap().mean, Some(1e6));
    }

    #[test]
    fn schedules_of_both_ends_are_merged() {
        let run = run(|input| {
            let own = input.client.as_ref().unwrap().report.clone().unwrap();
            let other = input.server.as_mut().unwrap().report.as_mut().unwrap();
            (other.schedule, other.pacing) = (own.schedule, own.pacing);
        });
        let schedule = run.schedule.unwrap();
        assert_eq!((schedule.due, schedule.max_lateness_ns), (2_000, 90_000));
        assert_eq!(schedule.lateness.unwrap().count, 2_000);
    }

    #[test]
    fn an_end_that_did_not_report_leaves_the_loss_unknown() {
        let run = run(|input| input.server.as_mut().unwrap().report = None);
        assert_eq!(run.udp.unwrap().datagrams, None);
        assert_eq!(run.intervals[0].datagrams_lost, Some(20));
    }

    #[test]
    fn each_flaw_of_datagrams_has_its_warning() {
        type Change = fn(&mut Input);
        let own = |input: &mut Input, change: fn(&mut Datagrams)| {
            for flow in &mut input.server.as_mut().unwrap().report.as_mut().unwrap().flows {
                change(&mut flow.datagrams.as_mut().unwrap().window);
            }
        };
        let codes = |change: &dyn Fn(&mut Input)| -> Vec<String> {
            let mut input = udp_input();
            for reading in &mut input.server.as_mut().unwrap().readings {
                for flow in &mut reading.flows {
                    flow.datagrams.as_mut().unwrap().socket_drops = Some(7);
                }
            }
            own(&mut input, |window| {
                *window = Datagrams { received: 2_000, ..Datagrams::default() };
            });
            change(&mut input);
            merge(input).warnings.into_iter().map(|warning| warning.code).collect()
        };
        assert!(codes(&|_| {}).is_empty(), "a clean run");
        assert_eq!(
            codes(&|input| own(input, |window| window.received = 1_990)),
            ["datagrams_lost"]
        );
        assert_eq!(
            codes(&|input| own(input, |window| window.reordered = 5)),
            ["datagrams_reordered"]
        );
        let changes: [(&str, Change); 3] = [
            ("receive_buffer_full", |input| {
                let last = input.server.as_mut().unwrap().readings.last_mut().unwrap();
                last.flows[0].datagrams.as_mut().unwrap().socket_drops = Some(9);
            }),
            ("fragmented", |input| {
                if let Workload::Udp(udp) = &mut input.plan.workload {
                    udp.fragment = true;
                }
                for end_result in [&mut input.client, &mut input.server] {
                    for socket in &mut end_result.as_mut().unwrap().facts.sockets {
                        socket.path_mtu_bytes = Some(1_027);
                    }
                }
            }),
            ("unfinished_sends", |input| {
                let report = input.client.as_mut().unwrap().report.as_mut().unwrap();
                report.schedule.as_mut().unwrap().unfinished = 5;
            }),
        ];
        for (code, change) in changes {
            assert_eq!(codes(&change), [code]);
        }
    }
}
