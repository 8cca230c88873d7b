//! A calibration for people: what the loops pay, what the calls cost, the ceilings and the floors.

use std::io::{self, Write};

use super::layout::{figures, maybe, number, paragraphs};
use podperf_model::result::calibration::{Calibration, CallCost, StreamCeiling};
use podperf_model::result::wording::count;
use podperf_model::units::{Bytes, float};

/// Writes `record` to `out`.
///
/// # Errors
/// Those of `out`.
pub fn render(record: &Calibration, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", paragraphs(&head(record)))?;
    for table in [steps(record), calls(record), streams(record), rr(record)].into_iter().flatten() {
        writeln!(out, "\n{table}")?;
    }
    if !record.left_out.is_empty() {
        let rows = record.left_out.iter();
        let rows: Vec<_> = rows
            .map(|part| ("left out".to_owned(), format!("{}: {}", part.what, part.reason)))
            .collect();
        writeln!(out, "\n{}", paragraphs(&rows))?;
    }
    Ok(())
}

fn head(record: &Calibration) -> Vec<(String, String)> {
    let machine = &record.machine;
    let mut place = vec![format!("podperf {}", machine.podperf_version)];
    place.extend(machine.kernel.as_ref().map(|kernel| format!("Linux {kernel}")));
    place.extend(machine.cpu_model.clone());
    place.push(format!("{} allowed", count(machine.cpus_allowed, "CPU")));
    place.extend(machine.cpu_quota_cores.map(|cores| format!("quota of {cores} cores")));
    let taken = format!("{}, in {} s", record.taken_at, number(record.seconds, 1));
    let streams = format!(
        "{} messages, {}; both ends on this machine share its CPUs",
        Bytes(record.message_bytes),
        record.congestion_control
    );
    let rows = [("calibrated", taken), ("on", place.join("; ")), ("streams", streams)];
    rows.map(|(label, text)| (label.to_owned(), text)).to_vec()
}

fn table(header: &[&str], rows: Vec<Vec<String>>) -> Option<String> {
    (!rows.is_empty()).then(|| figures(header, &rows))
}

fn steps(record: &Calibration) -> Option<String> {
    let rows = record.steps.iter();
    let rows = rows.map(|cost| vec![cost.step.replace('_', " "), number(cost.ns, 1)]).collect();
    table(&["step", "cost\nns"], rows)
}

fn calls(record: &Calibration) -> Option<String> {
    fn row<M>(way: &str, method: &str, cost: &CallCost<M>) -> Vec<String> {
        let (cpu_ns, bytes) = (cost.cpu_ns, cost.mean_bytes);
        let per_kib = (bytes > 0.0).then(|| cpu_ns / (bytes / 1024.0));
        vec![format!("{way} {method}"), number(cpu_ns, 0), number(bytes, 0), maybe(per_kib, 1)]
    }
    let sends = record.sends.iter().map(|cost| row("send", cost.method.name(), cost));
    let receives = record.receives.iter().map(|cost| row("receive", cost.method.name(), cost));
    let rows = sends.chain(receives).collect();
    table(&["call", "CPU\nns", "moved\nB", "CPU per KiB\nns"], rows)
}

/// One row a pair of methods, one column a number of streams.
fn streams(record: &Calibration) -> Option<String> {
    let mut counts: Vec<u32> = record.streams.iter().map(|row| row.streams).collect();
    counts.sort_unstable();
    counts.dedup();
    let mut pairs: Vec<_> = record.streams.iter().map(|row| (row.send, row.receive)).collect();
    pairs.dedup();
    let mut header = vec!["loopback ceiling".to_owned()];
    for streams in &counts {
        header.push(format!("{}\nGbit/s", count(*streams, "stream")));
        header.push("process\ncores/Gbit/s".to_owned());
    }
    let rows = pairs.into_iter().map(|(send, receive)| {
        let mut cells = vec![format!("{}/{}", send.name(), receive.name())];
        for streams in &counts {
            let same = |row: &&StreamCeiling| {
                row.send == send && row.receive == receive && row.streams == *streams
            };
            let row = record.streams.iter().find(same);
            cells.push(maybe(row.map(|row| row.bits_per_second / 1e9), 2));
            cells.push(maybe(row.and_then(|row| row.process_cores_per_gbit), 4));
        }
        cells
    });
    let rows = rows.collect();
    let header: Vec<&str> = header.iter().map(String::as_str).collect();
    table(&header, rows)
}

fn rr(record: &Calibration) -> Option<String> {
    let us = |ns: Option<u64>| maybe(ns.map(|ns| float(ns) / 1e3), 2);
    let rows = record.rr.iter().map(|row| {
        vec![
            format!("{}, {}", row.wait, row.placement.name()),
            number(row.mean_ns / 1e3, 2),
            us(row.p50_ns),
            us(row.p99_ns),
            number(row.per_second, 0),
        ]
    });
    let header = ["round trip floor", "mean\nµs", "p50\nµs", "p99\nµs", "transactions\nper second"];
    table(&header, rows.collect())
}
