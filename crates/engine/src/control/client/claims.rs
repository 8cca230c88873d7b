//! What a server may claim: its messages, readings and reports fit the plan that it was given, so
//! that a server that lies takes no more of its client's memory than one that does not.
//!
//! Enters: what came over the control connection. Leaves: the same, or what is wrong with it.

use crate::control::framing::MAX_SERVER_MESSAGE_BYTES;
use podperf_model::error::Error;
use podperf_model::plan::{Choice as _, Plan, ReceiveMethod, SendMethod};
use podperf_model::reading::{FlowCounters, Reading};
use podperf_model::result::end_result::{EndFacts, EndReport};
use podperf_model::result::transient;

/// Bytes of a message whatever the plan: histograms, the machine's facts, counters of its CPUs.
const MAX_MESSAGE_BYTES_OF_END: u32 = 4 << 20;
/// Bytes that each connection may add to a message.
const MAX_MESSAGE_BYTES_OF_CONNECTION: u32 = 4 << 10;
/// CPUs that a machine may have: as many as Linux can be built for.
const MAX_CPUS: usize = 8192;
/// What an entry of one CPU holds in memory, with its place in a map, in bytes.
const BYTES_PER_CPU: usize = 96;
/// Readings that may be there before the client has taken as many.
const MAX_READINGS_AHEAD: usize = 16;
/// Bytes of a server's readings beside a multiple of the client's own.
const MAX_READING_BYTES: usize = 256 << 20;
/// Times that a server's readings may hold what the client's own do: it may have more CPUs.
const MAX_TIMES_OWN: usize = 4;
/// Errors of one end that are kept.
pub(super) const MAX_ERRORS: usize = 16;
/// Counts of errors that one end outlived that are kept: those of single streams, and one for each
/// number of an error.
const MAX_TRANSIENT_ERRORS: usize = transient::MAX_ENTRIES + 256;
/// Bytes of each text of an error that are kept.
const MAX_ERROR_TEXT_BYTES: usize = 2 << 10;

/// The longest message of a server that carries out `plan`.
pub(super) fn max_message_bytes(plan: &Plan) -> u32 {
    let of_connections = plan.connections().saturating_mul(MAX_MESSAGE_BYTES_OF_CONNECTION);
    MAX_MESSAGE_BYTES_OF_END.saturating_add(of_connections).min(MAX_SERVER_MESSAGE_BYTES)
}

/// Checks what a server says before the start.
///
/// # Errors
/// In words, when it tells of more than the plan has.
pub(super) fn check_facts(plan: &Plan, facts: &EndFacts) -> Result<(), String> {
    fits("facts about", facts.sockets.len(), plan)
}

/// Checks a reading.
///
/// # Errors
/// In words, when it is of another number of flows than the plan has, or of more CPUs than there
/// are anywhere.
pub(super) fn check_reading(plan: &Plan, reading: &Reading) -> Result<(), String> {
    let (flows, planned) = (reading.flows.len(), plan.connections());
    if u32::try_from(flows) != Ok(planned) {
        return Err(format!("a reading of {flows} flows; the plan has {planned}"));
    }
    let cpus = cpus(reading).into_iter().max().unwrap_or(0);
    if cpus > MAX_CPUS {
        return Err(format!("a reading of {cpus} CPUs; at most {MAX_CPUS} are believed"));
    }
    Ok(())
}

/// Checks a report, and shortens what it says of errors.
///
/// # Errors
/// In words, when it tells of more than the plan has, or of more methods than there are.
pub(super) fn check_report(plan: &Plan, report: EndReport) -> Result<EndReport, String> {
    fits("a report on", report.flows.len(), plan)?;
    let sent = report.send.as_ref().map_or(0, |sent| sent.bytes.len());
    let received = report.receive.as_ref().map_or(0, |received| received.bytes.len());
    if sent > SendMethod::ALL.len() || received > ReceiveMethod::ALL.len() {
        let methods = sent.max(received);
        return Err(format!("a report on {methods} methods; there are fewer"));
    }
    let errors = report.errors.into_iter().take(MAX_ERRORS).map(shortened).collect();
    let mut transient_errors = report.transient_errors;
    transient_errors.truncate(MAX_TRANSIENT_ERRORS);
    Ok(EndReport { errors, transient_errors, ..report })
}

fn fits(what: &str, flows: usize, plan: &Plan) -> Result<(), String> {
    let planned = plan.connections();
    if u32::try_from(flows).is_ok_and(|flows| flows <= planned) {
        return Ok(());
    }
    Err(format!("{what} {flows} flows; the plan has {planned}"))
}

/// Whether another of a server's readings is kept, beside `kept` that hold `kept_bytes`, when the
/// client has taken these `own`.
pub(super) fn has_room(
    reading: &Reading,
    (kept, kept_bytes): (usize, usize),
    own: &[Reading],
) -> bool {
    let own_bytes = own.first().map_or(0, held_bytes).saturating_mul(own.len());
    let most = MAX_READING_BYTES.saturating_add(own_bytes.saturating_mul(MAX_TIMES_OWN));
    kept < own.len() + MAX_READINGS_AHEAD && kept_bytes.saturating_add(held_bytes(reading)) <= most
}

/// What a reading holds in memory, about.
pub(super) fn held_bytes(reading: &Reading) -> usize {
    let cpus: usize = cpus(reading).into_iter().sum();
    size_of::<Reading>() + reading.flows.len() * size_of::<FlowCounters>() + cpus * BYTES_PER_CPU
}

/// How many CPUs each part of a reading tells of.
fn cpus(reading: &Reading) -> [usize; 3] {
    let host = &reading.host;
    [
        host.cpu.as_ref().map_or(0, |cpu| cpu.per_cpu.len()),
        host.softnet.as_ref().map_or(0, std::collections::BTreeMap::len),
        host.softirqs.as_ref().map_or(0, std::collections::BTreeMap::len),
    ]
}

/// Cuts the texts of an error that a peer wrote.
pub(super) fn shortened(error: Error) -> Error {
    let cut = |mut text: String| {
        if text.len() > MAX_ERROR_TEXT_BYTES {
            let end = (0..=MAX_ERROR_TEXT_BYTES).rev().find(|end| text.is_char_boundary(*end));
            text.truncate(end.unwrap_or(0));
            text.push('…');
            text.shrink_to_fit();
        }
        text
    };
    Error {
        operation: cut(error.operation),
        peer: error.peer.map(cut),
        cause: cut(error.cause),
        remedy: error.remedy.map(cut),
        ..error
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use podperf_model::error::Kind;
    use podperf_model::reading::{CpuStat, CpuTicks};
    use podperf_model::result::end_result::{FlowReport, MovedBy, SendUse};
    use podperf_model::result::testing::stream_input;

    use super::*;

    fn plan(flows: u32) -> Plan {
        Plan { flows, ..stream_input().plan }
    }

    fn reading(plan: &Plan, cpus: u32) -> Reading {
        let flows = vec![FlowCounters::default(); plan.connections() as usize];
        let per_cpu: BTreeMap<u32, CpuTicks> =
            (0..cpus).map(|cpu| (cpu, CpuTicks::default())).collect();
        let mut reading = Reading { flows, ..Reading::default() };
        reading.host.cpu = Some(CpuStat { per_cpu, ..CpuStat::default() });
        reading
    }

    #[test]
    fn what_does_not_fit_the_plan_is_refused_by_name() {
        let (plan, other) = (plan(3), plan(700));
        assert_eq!(check_reading(&plan, &reading(&plan, 2)), Ok(()));
        let planned = plan.connections();
        let error = check_reading(&plan, &reading(&other, 2)).unwrap_err();
        let flows = other.connections();
        assert_eq!(error, format!("a reading of {flows} flows; the plan has {planned}"));
        let error = check_reading(&plan, &reading(&plan, 8193)).unwrap_err();
        assert_eq!(error, "a reading of 8193 CPUs; at most 8192 are believed");

        let flows = vec![FlowReport::default(); 700];
        let error = check_report(&plan, EndReport { flows, ..EndReport::default() }).unwrap_err();
        assert_eq!(error, format!("a report on 700 flows; the plan has {planned}"));
        let bytes = vec![MovedBy { method: SendMethod::ALL[0], bytes: 1 }; 1000];
        let send = Some(SendUse { bytes, ..SendUse::default() });
        let error = check_report(&plan, EndReport { send, ..EndReport::default() }).unwrap_err();
        assert_eq!(error, "a report on 1000 methods; there are fewer");
    }

    #[test]
    fn errors_of_a_peer_are_few_and_short() {
        let error = Error::new(Kind::Incomplete, "o".repeat(9_000), "ä".repeat(5_000))
            .with_peer("p".repeat(7_000))
            .with_remedy("r".repeat(6_000));
        let report = EndReport { errors: vec![error; 1_000], ..EndReport::default() };
        let kept = check_report(&plan(1), report).unwrap().errors;
        assert_eq!(kept.len(), MAX_ERRORS);
        let Error { operation, peer, cause, remedy, .. } = &kept[0];
        let texts = [operation, cause, peer.as_ref().unwrap(), remedy.as_ref().unwrap()];
        assert!(texts.iter().all(|text| text.len() < MAX_ERROR_TEXT_BYTES + 4));
        assert!(texts.iter().all(|text| text.ends_with('…')));
    }

    #[test]
    fn readings_are_kept_as_the_own_ones_grow_and_their_memory_is_bounded() {
        let plan = plan(2);
        let (small, large) = (reading(&plan, 4), reading(&plan, 8192));
        let own = vec![small.clone(); 5];
        assert!(has_room(&small, (5 + MAX_READINGS_AHEAD - 1, 0), &own));
        assert!(!has_room(&small, (5 + MAX_READINGS_AHEAD, 0), &own));
        let own = vec![small.clone(); 1_000];
        let mut kept = (0, 0);
        while has_room(&large, kept, &own) {
            kept = (kept.0 + 1, kept.1 + held_bytes(&large));
        }
        let most = MAX_READING_BYTES + MAX_TIMES_OWN * 1_000 * held_bytes(&small);
        assert!((most - held_bytes(&large)..=most).contains(&kept.1), "{kept:?}");
        assert!(has_room(&small, (900, 900 * held_bytes(&small)), &own));
    }

    #[test]
    fn a_message_may_be_as_long_as_the_plan_has_flows() {
        assert_eq!(max_message_bytes(&plan(1)) >> 20, 4);
        assert_eq!(max_message_bytes(&plan(1 << 20)), MAX_SERVER_MESSAGE_BYTES);
    }
}
