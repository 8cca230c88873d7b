//! The tables of figures: streams or flows, latency, CPU.

use super::layout::{figures, maybe, maybe_count, number};
use podperf_model::reading::TcpInfo;
use podperf_model::result::run::{Cpu, Latency, Run, Stream, StreamDirection};
use podperf_model::units::{float, rate_unit};

/// Rows of streams shown; what is more stands in the JSON document.
const MAX_ROWS_SHOWN: usize = 16;

/// One row a stream, and the total; nothing when nothing was measured.
pub(super) fn streams(run: &Run) -> Option<String> {
    let throughput = run.throughput.as_ref()?;
    let rr = run.plan.workload.transacts();
    let (unit, divisor) = rate_unit(throughput.bits_per_second);
    let goodput = format!("goodput\n{unit}");
    let mut header = vec![if rr { "flow" } else { "stream" }, "way", &goodput, "received\nMiB"];
    header.extend(["resent\nsegments", "rtt\nµs", "rtt dev\nµs", "cwnd\nKiB"]);
    if rr {
        header.push("transactions\ncount");
    } else {
        header.extend(["TCP busy\n%", "limited by\nrwnd %", "limited by\nsndbuf %"]);
    }
    header.extend(["per send\nB", "per receive\nB"]);
    let shown = run.streams.iter().take(MAX_ROWS_SHOWN);
    let mut rows: Vec<Vec<String>> = shown.map(|stream| row(stream, divisor, rr)).collect();
    if let Some(more) = run.streams.len().checked_sub(MAX_ROWS_SHOWN).filter(|more| *more > 0) {
        rows.push(padded(vec![format!("… {more} more")], header.len()));
    }
    let both = throughput.up_bits_per_second.zip(throughput.down_bits_per_second);
    if let Some((up, down)) = both.filter(|_| !rr) {
        for (way, rate) in [("up", up), ("down", down)] {
            let cells = vec!["total".to_owned(), way.to_owned(), number(rate / divisor, 3)];
            rows.push(padded(cells, header.len()));
        }
    }
    let mut total = vec!["total".to_owned(), String::new()];
    total.push(number(throughput.bits_per_second / divisor, 3));
    total.push(number(mebibytes(throughput.bytes_received), 2));
    total.push(maybe_count(throughput.retransmits));
    if let Some(transactions) = &run.transactions {
        total.extend([String::new(), String::new(), String::new()]);
        total.push(transactions.count.to_string());
    }
    rows.push(padded(total, header.len()));
    Some(figures(&header, &rows))
}

fn padded(mut cells: Vec<String>, width: usize) -> Vec<String> {
    cells.resize(width, String::new());
    cells
}

fn row(stream: &Stream, divisor: f64, rr: bool) -> Vec<String> {
    let (direction, tcp) = match stream.direction {
        StreamDirection::Up => ("up", &stream.tcp.client),
        StreamDirection::Down => ("down", &stream.tcp.server),
        StreamDirection::Exchange => ("both", &stream.tcp.client),
    };
    let tcp: Option<&TcpInfo> = tcp.as_ref();
    let mut cells = vec![
        stream.id.to_string(),
        direction.to_owned(),
        maybe(stream.bits_per_second.map(|rate| rate / divisor), 3),
        maybe(stream.bytes_received.map(mebibytes), 2),
        maybe_count(stream.retransmits),
        maybe_count(stream.rtt_us.map(u64::from)),
        maybe_count(tcp.map(|tcp| u64::from(tcp.rttvar_us))),
        maybe_count(tcp.map(|tcp| u64::from(tcp.cwnd_segments) * u64::from(tcp.mss_bytes) / 1024)),
    ];
    if rr {
        cells.push(maybe_count(stream.transactions));
    } else {
        let limited = stream.limited.as_ref();
        cells.push(maybe(limited.map(|limited| 100.0 * limited.busy), 1));
        cells.push(maybe(limited.map(|limited| 100.0 * limited.receive_window), 1));
        cells.push(maybe(limited.map(|limited| 100.0 * limited.send_buffer), 1));
    }
    cells.push(maybe(stream.mean_send_bytes, 0));
    cells.push(maybe(stream.mean_receive_bytes, 0));
    cells
}

fn mebibytes(bytes: u64) -> f64 {
    float(bytes) / f64::from(1 << 20)
}

/// The latency distributions of a request/response run.
pub(super) fn latency(run: &Run) -> Option<String> {
    let open = run.service_time.is_some();
    let schedule = run.schedule.as_ref();
    let rows = [
        (if open { "latency from due time" } else { "latency" }, run.latency.as_ref()),
        ("service time from send", run.service_time.as_ref()),
        ("time to connect", run.connect_time.as_ref()),
        ("lateness of sends", schedule.and_then(|schedule| schedule.lateness.as_ref())),
        ("between two sends", schedule.and_then(|schedule| schedule.inter_send.as_ref())),
    ];
    let rows: Vec<Vec<String>> =
        rows.into_iter().filter_map(|(name, latency)| Some(distribution(name, latency?))).collect();
    let header = [
        "",
        "count",
        "mean\nµs",
        "± stddev\nµs",
        "min\nµs",
        "p50\nµs",
        "p90\nµs",
        "p99\nµs",
        "p99.9\nµs",
        "p99.99\nµs",
        "max\nµs",
    ];
    (!rows.is_empty()).then(|| figures(&header, &rows))
}

fn distribution(name: &str, latency: &Latency) -> Vec<String> {
    let micros = |ns: Option<f64>| maybe(ns.map(|ns| ns / 1e3), 1);
    let whole = |ns: Option<u64>| micros(ns.map(float));
    vec![
        name.to_owned(),
        latency.count.to_string(),
        micros(latency.mean),
        micros(latency.stddev),
        whole(latency.min),
        whole(latency.p50),
        whole(latency.p90),
        whole(latency.p99),
        whole(latency.p99_9),
        whole(latency.p99_99),
        whole(latency.max),
    ]
}

/// CPU of both ends, in busy cores.
pub(super) fn cpu(run: &Run) -> Option<String> {
    let rr = run.plan.workload.transacts();
    let ends = run.cpu.named().into_iter();
    let mut rows: Vec<Vec<String>> =
        ends.filter_map(|(end, cpu)| Some(cpu_row(end, cpu.as_ref()?, rr))).collect();
    let cost = if rr { "CPU µs per\ntransaction" } else { "busy cores\nper Gbit/s" };
    let header = [
        "CPU",
        "user\ncores",
        "system\ncores",
        "softirq\ncores",
        "irq\ncores",
        "steal\ncores",
        "idle\ncores",
        "busy\ncores",
        "tick error\n± cores",
        "busiest\nCPU %",
        "process\nuser cores",
        "process\nsystem cores",
        cost,
        "of it spun\ncores",
    ];
    // Only where there were times to wait for.
    let spun = rows.iter().any(|row| row.last().is_some_and(|cell| !cell.is_empty()));
    let header = if spun { &header[..] } else { &header[..header.len() - 1] };
    if !spun {
        rows.iter_mut().for_each(|row| _ = row.pop());
    }
    (!rows.is_empty()).then(|| figures(header, &rows))
}

fn cpu_row(end: &str, cpu: &Cpu, rr: bool) -> Vec<String> {
    let busiest = cpu.per_cpu.iter().map(|line| line.modes.busy()).reduce(f64::max);
    let process = cpu.process.as_ref();
    vec![
        end.to_owned(),
        number(cpu.modes.user + cpu.modes.nice, 3),
        number(cpu.modes.system, 3),
        number(cpu.modes.softirq, 3),
        number(cpu.modes.irq, 3),
        number(cpu.modes.steal, 3),
        number(cpu.modes.idle + cpu.modes.iowait, 3),
        number(cpu.busy, 3),
        number(cpu.resolution_cores, 3),
        maybe(busiest.map(|share| 100.0 * share), 1),
        maybe(process.map(|process| process.user), 3),
        maybe(process.map(|process| process.system), 3),
        if rr { maybe(cpu.us_per_transaction, 2) } else { maybe(cpu.cores_per_gbit, 4) },
        process.and_then(|process| process.spun).map_or_else(String::new, |spun| number(spun, 3)),
    ]
}
