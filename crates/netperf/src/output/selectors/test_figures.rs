//! Figures of the whole test: its shape, its result, how sure that is, and its labels.

use super::{Selector, Source, number};
use crate::figures::Confidence;
use crate::output::banner::direction;
use crate::output::extras::round_trip_us;
use crate::output::units;
use crate::output::view::{TestEnd, View, real};
use crate::test_kind::Protocol;

rows! { RESULT;
    Test "SOCKET_TYPE" ["Socket", "Type"] |view| match view.options.shape.protocol {
        Protocol::Tcp => "Stream".to_owned(),
        Protocol::Udp => "Datagram".to_owned(),
    };
    Test "PROTOCOL" ["Protocol"] |view| view.options.shape.protocol.name().to_owned();
    Test "DIRECTION" ["Direction"] |view| direction(view.direction()).to_owned();
    Test "ELAPSED_TIME" ["Elapsed", "Time", "(sec)"]
        |view| format!("{:.2}", units::tame(view.figures.elapsed_seconds));
    Test "THROUGHPUT" ["Throughput"] |view| format!("{:.2}", view.throughput());
    Test "THROUGHPUT_UNITS" ["Throughput", "Units"]
        |view| format!("{}/s", units::word(view.unit()));
}

rows! { CONFIDENCE;
    Test "CONFIDENCE_LEVEL" ["Confidence", "Level", "Percent"]
        |view| view.options.confidence.map_or(0, |goal| goal.level).to_string();
    Test "CONFIDENCE_INTERVAL" ["Confidence", "Width", "Target"] |view| {
        let width = view.options.confidence.map(|goal| goal.width_percent);
        format!("{:.6}", real(width))
    };
    Test "CONFIDENCE_ITERATION" ["Confidence", "Iterations", "Run"]
        |view| view.figures.confidence.map_or(1, |found| found.iterations).to_string();
    Test "THROUGHPUT_CONFID" ["Throughput", "Confidence", "Width (%)"]
        |view| confidence(view, |found| found.throughput_percent);
    Test "LOCAL_CPU_CONFID" ["Local", "CPU", "Confidence", "Width (%)"]
        |view| confidence(view, |found| found.local_cpu_percent);
    Test "REMOTE_CPU_CONFID" ["Remote", "CPU", "Confidence", "Width (%)"]
        |view| confidence(view, |found| found.remote_cpu_percent);
    Test "TRANSACTION_RATE" ["Transaction", "Rate", "Tran/s"] |view| {
        // netperf's stand-in for streams is one.
        let rate = view.figures.transactions_per_second.map_or(1.0, units::tame);
        format!("{rate:.3}")
    };
    Test "RT_LATENCY" ["Round", "Trip", "Latency", "usec/tran"]
        |view| format!("{:.3}", real(round_trip_us(view)));
    Test "BURST_SIZE" ["Initial", "Burst", "Requests"]
        |view| view.options.data.burst.unwrap_or(0).to_string();
    Local "LOCAL_TRANSPORT_RETRANS" ["Local", "Transport", "Retransmissions"] retransmits;
    Remote "REMOTE_TRANSPORT_RETRANS" ["Remote", "Transport", "Retransmissions"] retransmits;
    Test "TRANSPORT_MSS" ["Transport", "MSS", "bytes"] |view| number(view.figures.mss_bytes);
}

rows! { TAGS;
    Tag "RESULT_BRAND" ["Result", "Tag"]
        |view| view.options.brand.as_ref().map(|brand| format!("\"{brand}\""));
    Test "UUID" ["Test", "UUID"] |view| view.facts.uuid.clone();
}

fn confidence(view: &View<'_>, width: fn(&Confidence) -> f64) -> String {
    format!("{:.3}", real(view.figures.confidence.as_ref().map(width)))
}

/// Readers tell UDP from TCP by its -1.
fn retransmits(view: &View<'_>, side: TestEnd) -> String {
    let tcp = view.options.shape.protocol == Protocol::Tcp;
    number(view.end(side).socket.retransmits.filter(|_| tcp))
}
