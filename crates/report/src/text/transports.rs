//! How each end moved the bytes of its streams: a row for each way it moved them.

use super::layout::maybe;
use podperf_model::result::run::{ReceiveFacts, Run, SendFacts};
use podperf_model::units::float;

/// Label and text of each row; none for request/response.
pub(super) fn rows(run: &Run) -> Vec<(String, String)> {
    let mut rows = Vec::new();
    for (end, facts) in run.transport.named() {
        let Some(facts) = facts else { continue };
        rows.extend(
            facts.send.iter().map(|facts| ("sent".to_owned(), format!("{end}: {}", sent(facts)))),
        );
        let received = facts.receive.iter();
        rows.extend(
            received.map(|facts| ("received".to_owned(), format!("{end}: {}", received_by(facts)))),
        );
    }
    rows
}

fn sent(facts: &SendFacts) -> String {
    let asked = (facts.asked != facts.used).then(|| format!(" (asked: {})", facts.asked.name()));
    let mut text = method(facts.used.name(), asked, facts.mean_bytes_per_call);
    if let Some(zerocopy) = &facts.zerocopy {
        let percent = maybe(zerocopy.copied_share.map(|share| 100.0 * share), 1);
        text.push_str(&format!(
            "; the kernel copied {percent} % of {} zero-copy sends, {} ENOBUFS",
            zerocopy.sends, zerocopy.enobufs
        ));
    }
    with_reason(text, facts.reason.as_deref())
}

fn received_by(facts: &ReceiveFacts) -> String {
    let asked = (facts.asked != facts.used).then(|| format!(" (asked: {})", facts.asked.name()));
    let mut text = method(facts.used.name(), asked, facts.mean_bytes_per_call);
    if facts.bytes_by_method.len() > 1 {
        let all =
            facts.bytes_by_method.iter().fold(0, |all: u64, part| all.saturating_add(part.bytes));
        let parts = facts.bytes_by_method.iter().map(|part| {
            format!("{} % by {}", maybe(percent(part.bytes, all), 1), part.method.name())
        });
        text.push_str(&format!("; {}", parts.collect::<Vec<_>>().join(", ")));
    }
    if facts.stack_only {
        text.push_str("; the stack alone, not what an application gets");
    }
    with_reason(text, facts.reason.as_deref())
}

fn method(used: &str, asked: Option<String>, mean_bytes: Option<f64>) -> String {
    format!("by {used}{}, {} B a call", asked.unwrap_or_default(), maybe(mean_bytes, 0))
}

fn with_reason(text: String, reason: Option<&str>) -> String {
    match reason {
        Some(reason) => format!("{text}; {reason}"),
        None => text,
    }
}

fn percent(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| 100.0 * float(part) / float(all))
}
