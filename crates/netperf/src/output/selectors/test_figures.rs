//! Figures of the whole test: its shape, its result, how sure that is, and its labels.

use super::Selector;
use crate::figures::Confidence;
use crate::output::banner::direction;
use crate::output::extras::round_trip_us;
use crate::output::units;
use crate::output::view::{TestEnd, View, real, whole};
use crate::test_kind::Protocol;

rows! { RESULT;
    test "SOCKET_TYPE" ["Socket", "Type", "", ""]
        |view| Some(of_protocol(view, "Stream", "Datagram"));
    test "PROTOCOL" ["Protocol", "", "", ""] |view| Some(of_protocol(view, "TCP", "UDP"));
    test "DIRECTION" ["Direction", "", "", ""] |view| Some(direction(view.direction()).to_owned());
    test "ELAPSED_TIME" ["Elapsed", "Time", "(sec)", ""]
        |view| Some(format!("{:.2}", units::tame(view.figures.elapsed_seconds)));
    test "THROUGHPUT" ["Throughput", "", "", ""] |view| Some(format!("{:.2}", view.throughput()));
    test "THROUGHPUT_UNITS" ["Throughput", "Units", "", ""]
        |view| Some(format!("{}/s", units::word(view.unit())));
}

rows! { CONFIDENCE;
    test "SD_UNITS" ["Service", "Demand", "Units", ""] |view| {
        let per = if view.demand_is_per_transaction() { "usec/Tran" } else { "usec/KB" };
        Some(per.to_owned())
    };
    test "CONFIDENCE_LEVEL" ["Confidence", "Level", "Percent", ""]
        |view| Some(view.options.confidence.map_or(0, |goal| goal.level).to_string());
    test "CONFIDENCE_INTERVAL" ["Confidence", "Width", "Target", ""] |view| {
        let width = view.options.confidence.map(|goal| goal.width_percent);
        Some(format!("{:.6}", real(width)))
    };
    test "CONFIDENCE_ITERATION" ["Confidence", "Iterations", "Run", ""]
        |view| Some(view.figures.confidence.map_or(1, |found| found.iterations).to_string());
    test "THROUGHPUT_CONFID" ["Throughput", "Confidence", "Width (%)", ""]
        |view| Some(confidence(view, |found| found.throughput_percent));
    test "LOCAL_CPU_CONFID" ["Local", "CPU", "Confidence", "Width (%)"]
        |view| Some(confidence(view, |found| found.local_cpu_percent));
    test "REMOTE_CPU_CONFID" ["Remote", "CPU", "Confidence", "Width (%)"]
        |view| Some(confidence(view, |found| found.remote_cpu_percent));
    test "TRANSACTION_RATE" ["Transaction", "Rate", "Tran/s", ""] |view| {
        // netperf's stand-in for streams is one.
        let rate = view.figures.transactions_per_second.map_or(1.0, units::tame);
        Some(format!("{rate:.3}"))
    };
    test "RT_LATENCY" ["Round", "Trip", "Latency", "usec/tran"]
        |view| Some(format!("{:.3}", real(round_trip_us(view))));
    test "BURST_SIZE" ["Initial", "Burst", "Requests", ""]
        |view| Some(view.options.data.burst.unwrap_or(0).to_string());
    local "LOCAL_TRANSPORT_RETRANS" ["Local", "Transport", "Retransmissions", ""] retransmits;
    remote "REMOTE_TRANSPORT_RETRANS" ["Remote", "Transport", "Retransmissions", ""] retransmits;
    test "TRANSPORT_MSS" ["Transport", "MSS", "bytes", ""]
        |view| Some(whole(view.figures.mss_bytes).to_string());
}

rows! { TAGS;
    test "RESULT_BRAND" ["Result", "Tag", "", ""]
        |view| { view.options.brand.as_ref().map(|brand| format!("\"{brand}\"")) };
    test "UUID" ["Test", "UUID", "", ""] |view| Some(view.facts.uuid.clone());
}

fn of_protocol(view: &View<'_>, tcp: &str, udp: &str) -> String {
    match view.options.shape.protocol {
        Protocol::Tcp => tcp,
        Protocol::Udp => udp,
    }
    .to_owned()
}

fn confidence(view: &View<'_>, width: fn(&Confidence) -> f64) -> String {
    format!("{:.3}", real(view.figures.confidence.as_ref().map(width)))
}

/// Readers tell UDP from TCP by its -1.
fn retransmits(view: &View<'_>, side: TestEnd) -> String {
    let tcp = view.options.shape.protocol == Protocol::Tcp;
    whole(view.end(side).retransmits.filter(|_| tcp)).to_string()
}
