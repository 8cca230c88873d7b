//! What is said of datagrams: the plan, the loss, and a row a flow.

use super::layout::{figures, maybe, maybe_count, number};
use super::{size, way};
use podperf_model::plan::udp::{UdpPlan, UdpRrPlan};
use podperf_model::result::run::{DatagramFacts, Run};
use podperf_model::result::wording::count;
use podperf_model::units::{float, rate_text as rate, rate_unit};

/// Rows of flows shown; what is more stands in the JSON document.
const MAX_ROWS_SHOWN: usize = 16;

pub(super) fn stream(plan: &UdpPlan, flows: u32) -> String {
    let bytes = plan.datagram_bytes.map_or_else(|| "the path's size".to_owned(), size);
    let pace = plan.bits_per_second.map_or_else(
        || "as fast as they go".to_owned(),
        |each| format!("at {} each", rate(float(each.0))),
    );
    format!("UDP, {} {}, datagrams of {bytes}, {pace}", count(flows, "flow"), way(plan.direction))
}

pub(super) fn exchange(plan: &UdpRrPlan, flows: u32) -> String {
    format!(
        "UDP request/response, {}, {} requests, {} responses, 1 in flight on each, lost after {} \
         ms",
        count(flows, "flow"),
        size(plan.request_bytes),
        size(plan.response_bytes),
        number(plan.timeout.as_secs_f64() * 1e3, 0)
    )
}

/// The loss in one line.
pub(super) fn loss(run: &Run) -> Option<String> {
    let udp = run.udp.as_ref()?;
    if let Some(lost) = udp.lost_transactions {
        return Some(format!("{lost} requests without a response in time"));
    }
    let all = udp.datagrams?;
    let share = all
        .loss_share
        .map_or_else(String::new, |share| format!(" ({} %)", number(100.0 * share, 4)));
    let jitter = maybe(all.jitter_us, 1);
    let mut text = format!(
        "{} of {} lost{share}, {} reordered, {} duplicates, jitter {jitter} µs",
        all.lost, all.sent, all.reordered, all.duplicates
    );
    if let Some(drops) = all.socket_drops {
        text.push_str(&format!(", {drops} buffers dropped at the receiver's socket"));
    }
    Some(text)
}

/// A row a flow.
pub(super) fn datagrams(run: &Run) -> Option<String> {
    let total = run.udp.as_ref()?.datagrams?;
    let throughput = run.throughput.as_ref();
    let all = throughput.map(|throughput| throughput.bits_per_second);
    let (unit, divisor) = rate_unit(all.unwrap_or(0.0));
    let goodput = |rate: Option<f64>| maybe(rate.map(|rate| rate / divisor), 3);
    let flows = run.streams.iter().filter_map(|stream| {
        let cells = [stream.id.to_string(), goodput(stream.bits_per_second)];
        Some(row(cells, &stream.datagrams?))
    });
    let mut rows: Vec<Vec<String>> = flows.take(MAX_ROWS_SHOWN).collect();
    if let Some(more) = run.streams.len().checked_sub(MAX_ROWS_SHOWN).filter(|more| *more > 0) {
        rows.push(vec![format!("… {more} more")]);
    }
    rows.push(row(["total".to_owned(), goodput(all)], &total));
    let goodput = format!("goodput\n{unit}");
    let header = [
        "flow",
        &goodput,
        "sent\ndatagrams",
        "received\ndatagrams",
        "lost\ndatagrams",
        "loss\n%",
        "reordered\ndatagrams",
        "by up to\ndatagrams",
        "duplicates\ndatagrams",
        "jitter\nµs",
        "socket drops\nbuffers",
    ];
    rows.iter_mut().for_each(|row| row.resize(header.len(), String::new()));
    Some(figures(&header, &rows))
}

fn row([name, goodput]: [String; 2], facts: &DatagramFacts) -> Vec<String> {
    vec![
        name,
        goodput,
        facts.sent.to_string(),
        facts.received.to_string(),
        facts.lost.to_string(),
        maybe(facts.loss_share.map(|share| 100.0 * share), 4),
        facts.reordered.to_string(),
        facts.reorder_distance_max.to_string(),
        facts.duplicates.to_string(),
        maybe(facts.jitter_us, 1),
        maybe_count(facts.socket_drops),
    ]
}
