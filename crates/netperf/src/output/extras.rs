//! What `-v 2` shows beyond the table, and the histogram of latencies.

use std::fmt::Write as _;

use super::classic::TableKind;
use super::units;
use super::view::{TestEnd, View, whole};
use crate::figures::EndFigures;
use crate::test_kind::{NetperfTest, Protocol, TestDirection};
use podperf_model::latency::Latencies;

/// Alignments, calls and segment size, by the kind of test; datagrams have nothing here.
pub(super) fn extras(view: &View<'_>) -> String {
    if view.options.shape.protocol == Protocol::Udp {
        return String::new();
    }
    match TableKind::of(view.options) {
        TableKind::Datagrams => String::new(),
        TableKind::Stream => stream(view),
        TableKind::Transactions if view.direction().lasts() => transactions(view),
        TableKind::Transactions => connections(view),
    }
}

fn stream(view: &View<'_>) -> String {
    let (local, remote) = (&view.figures.local, &view.figures.remote);
    let sent = |end: &EndFigures| (end.counters.bytes_sent, end.counters.send_calls);
    let received = |end: &EndFigures| (end.counters.bytes_received, end.counters.receive_calls);
    let (near, far, (bytes, near_calls), (far_bytes, far_calls)) = match view.direction() {
        TestDirection::Receive => ("Recv", "Send", received(local), sent(remote)),
        _ => ("Send", "Recv", sent(local), received(remote)),
    };
    let per_call = |bytes: u64, calls: u64| units::per(units::float(bytes), units::float(calls));
    let (align, offset) = (view.options.layout.align, view.options.layout.offset);
    format!(
        "\nAlignment      Offset         Bytes    Bytes       {near}s   Bytes    {far}s\n\
         Local  Remote  Local  Remote  Xfered   Per                 Per\n\
         {near}   {far}    {near}   {far}             {near} (avg)          {far} (avg)\n\
         {:>5}   {:>5}  {:>5}   {:>5} {bytes:>6}  {:>6.2}    {near_calls:>6}   {:>6.2} \
         {far_calls:>6}\n\
         \nMaximum\nSegment\nSize (bytes)\n{:>6}\n",
        align.local,
        align.remote,
        offset.local,
        offset.remote,
        per_call(bytes, near_calls),
        per_call(far_bytes, far_calls),
        whole(view.figures.mss_bytes),
    )
}

fn transactions(view: &View<'_>) -> String {
    let (align, offset) = (view.options.layout.align, view.options.layout.offset);
    let unit = units::of_one_way(view.options);
    // The second number stands below Alignment and is the offset: so netperf has it.
    format!(
        "Alignment      Offset         RoundTrip  Trans    Throughput\n\
         Local  Remote  Local  Remote  Latency    Rate     {}/s\n\
         Send   Recv    Send   Recv    usec/Tran  per sec  Outbound   Inbound\n\
         {:>5}  {:>5}   {:>5}  {:>5}   {:<6.3}   {:<6.3} {:<6.3}    {:<6.3}\n",
        units::word(unit),
        align.local,
        offset.remote,
        offset.local,
        offset.remote,
        round_trip_us(view).unwrap_or(-1.0),
        units::tame(view.figures.transactions_per_second.unwrap_or(0.0)),
        view.send_rate(TestEnd::Local),
        view.receive_rate(TestEnd::Local),
    )
}

fn connections(view: &View<'_>) -> String {
    let (align, offset) = (view.options.layout.align, view.options.layout.offset);
    let (second, gap) = match view.direction() {
        TestDirection::Connect => (offset.remote, "  "),
        _ => (align.remote, "   "),
    };
    format!(
        "\nAlignment      Offset\n\
         Local  Remote  Local  Remote\n\
         Send   Recv    Send   Recv\n\
         {:>5}  {second:>5}   {:>5}{gap}{:>5}\n",
        align.local, offset.local, offset.remote
    )
}

/// What a transaction takes, all that are in flight counted.
pub(super) fn round_trip_us(view: &View<'_>) -> Option<f64> {
    let rate = view.figures.transactions_per_second?;
    let in_flight = 1.0 + f64::from(view.options.data.burst.unwrap_or(0));
    Some(units::per(1e6, rate) * in_flight)
}

const DECADES: [&str; 8] = [
    "UNIT_USEC",
    "TEN_USEC",
    "HUNDRED_USEC",
    "UNIT_MSEC",
    "TEN_MSEC",
    "HUNDRED_MSEC",
    "UNIT_SEC",
    "TEN_SEC",
];

/// Latencies by decade and first digit; empty where none were kept.
pub(super) fn histogram(view: &View<'_>) -> String {
    let Some(latencies) = view.figures.latency.as_ref() else { return String::new() };
    let (cells, beyond) = cells(latencies);
    let mut text = format!("\nHistogram of {}\n", title(view));
    for (decade, row) in DECADES.iter().zip(cells) {
        let _ = write!(text, "{decade:<14}");
        for count in row {
            let _ = write!(text, ": {count:>4}");
        }
        text.push('\n');
    }
    let _ = write!(text, ">100_SECS: {beyond}\nHIST_TOTAL: {:>10}\n", latencies.count());
    text
}

/// Counts by decade of microseconds and first digit, and of what is above a hundred seconds.
fn cells(latencies: &Latencies) -> ([[u64; 10]; 8], u64) {
    let mut cells = [[0_u64; 10]; 8];
    let mut beyond = 0_u64;
    for (ns, count) in latencies.counts() {
        let (mut digits, mut decade) = (ns / 1000, 0);
        while digits >= 10 {
            digits /= 10;
            decade += 1;
        }
        let cell = usize::try_from(digits)
            .ok()
            .and_then(|digit| cells.get_mut(decade).and_then(|row| row.get_mut(digit)));
        *cell.unwrap_or(&mut beyond) += count;
    }
    (cells, beyond)
}

fn title(view: &View<'_>) -> &'static str {
    let omni = view.options.data.selection.is_some() || view.options.test == NetperfTest::Omni;
    match view.direction() {
        TestDirection::Send if omni => "send times",
        TestDirection::Send => "time spent in send() call.",
        TestDirection::Receive if omni => "recv times",
        TestDirection::Receive => "time spent in recv() call.",
        TestDirection::ConnectRequestResponse if omni => "connect/request/response/close times",
        TestDirection::RequestResponse | TestDirection::ConnectRequestResponse => {
            "request/response times"
        }
        TestDirection::Connect => "connect/close times",
    }
}

/// `--percentiles`: those that were asked for; empty where there are none.
pub(super) fn percentiles(view: &View<'_>) -> String {
    let Some(latencies) = view.figures.latency.as_ref() else { return String::new() };
    if view.options.percentiles.is_empty() || latencies.count() == 0 {
        return String::new();
    }
    let mut text = "\nPercentile  Latency\n%           Microseconds\n".to_owned();
    for &percent in &view.options.percentiles {
        let ns = latencies.nearest_ns(percent / 100.0).unwrap_or(0);
        let _ = writeln!(text, "{percent:<10}  {:.3}", units::float(ns) / 1e3);
    }
    text
}
