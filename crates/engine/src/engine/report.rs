//! One end's report, merged from what its workers report and what its flows have counted.

use crate::workload::tally::Tally;
use crate::workload::{Pacing, Shared, WorkerReport};
use podperf_model::latency::Latencies;
use podperf_model::result::end_result::{
    ConnectionUse, EndReport, FlowReport, ReceiveUse, SendUse,
};

/// Merges the reports of the workers.
pub(super) fn merge_reports(shared: &Shared, reports: Vec<WorkerReport>) -> EndReport {
    let flows = (0..).zip(&shared.tallies).map(|(id, tally)| flow_report(id, tally));
    let mut own = EndReport { flows: flows.collect(), ..EndReport::default() };
    let (mut latency, mut service_time, mut connect_time) = (None, None, None);
    let mut pacing: Option<Pacing> = None;
    let (mut send, mut receive): (Option<SendUse>, Option<ReceiveUse>) = (None, None);
    for report in reports {
        let WorkerReport {
            latency: latencies,
            service_time: service_times,
            connect_time: connect_times,
            connections,
            schedule,
            pacing: paced,
            lost_transactions,
            failed_sends,
            datagrams,
            flow_datagrams,
            send: sent,
            receive: received,
            transient_errors,
        } = report;
        merge(&mut latency, latencies, Latencies::merge);
        merge(&mut service_time, service_times, Latencies::merge);
        merge(&mut connect_time, connect_times, Latencies::merge);
        merge(&mut pacing, paced, Pacing::merge);
        if let Some(part) = connections {
            own.connections.get_or_insert_with(ConnectionUse::default).add(part);
        }
        if let Some(part) = sent {
            send.get_or_insert_default().add(part);
        }
        if let Some(part) = received {
            receive.get_or_insert_default().add(part);
        }
        if let Some(part) = schedule {
            own.schedule = Some(own.schedule.unwrap_or_default().plus(part));
        }
        if let Some(part) = datagrams {
            own.datagrams.get_or_insert_default().add(part);
        }
        if let Some(part) = lost_transactions {
            *own.lost_transactions.get_or_insert_default() += part;
        }
        if let Some(part) = failed_sends {
            *own.failed_sends.get_or_insert_default() += part;
        }
        transient_errors.into_iter().for_each(|one| one.add_to(&mut own.transient_errors));
        for (flow, datagrams) in flow_datagrams {
            own.flows[flow].datagrams = Some(datagrams);
        }
    }
    EndReport {
        latency: latency.as_ref().map(Latencies::to_wire),
        service_time: service_time.as_ref().map(Latencies::to_wire),
        connect_time: connect_time.as_ref().map(Latencies::to_wire),
        pacing: pacing.as_ref().map(Pacing::to_wire),
        send,
        receive,
        ..own
    }
}

/// What one flow has counted over its life.
fn flow_report(id: u32, tally: &Tally) -> FlowReport {
    let count = tally.read();
    FlowReport {
        id,
        first_step_ns: count.first_step_ns,
        bytes_sent: count.bytes_sent,
        bytes_received: count.bytes_received,
        send_calls: count.send_calls,
        receive_calls: count.receive_calls,
        drained: count.drained,
        datagrams: None,
    }
}

/// Merges one figure, which not every worker has.
fn merge<T>(whole: &mut Option<T>, part: Option<T>, add: fn(&mut T, &T)) {
    match (whole.as_mut(), part) {
        (Some(whole), Some(part)) => add(whole, &part),
        (None, Some(part)) => *whole = Some(part),
        (_, None) => {}
    }
}
