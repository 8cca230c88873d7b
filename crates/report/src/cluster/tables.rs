//! The tables of each test: goodput and its cost, or latency and its cost. A row that was not
//! measured stands in its place and says so.

use super::{ClusterTable, short};
use crate::text::bound;
use crate::text::layout::{maybe, number, unknown};
use podperf_model::result::cluster::{
    BASELINE, BaselineComparison, Difference, EndCpu, Estimate, PooledLatency, Row,
};
use podperf_model::result::run::Ends;
use podperf_model::units::{float, rate_unit};

/// In the order in which the tests first come up.
pub(crate) fn tables(rows: &[Row]) -> Vec<ClusterTable> {
    let mut tests: Vec<&str> = Vec::new();
    for row in rows {
        if !tests.contains(&row.test.as_str()) {
            tests.push(&row.test);
        }
    }
    let of_test = |test: &&str| {
        let rows: Vec<&Row> = rows.iter().filter(|row| row.test == *test).collect();
        let test = short(test);
        if rows.iter().any(|row| row.transactions_per_second.is_some()) {
            vec![latency(&test, &rows), requests(&test, &rows)]
        } else if rows.iter().any(|row| row.goodput_bits_per_second.is_some()) {
            vec![goodput(&test, &rows), cost(&test, &rows)]
        } else {
            vec![nothing(&test, &rows)]
        }
    };
    tests.iter().flat_map(of_test).collect()
}

/// A column: its header, and a row's cell.
type TableColumn<'a> = (String, Box<dyn Fn(&Row) -> String + 'a>);

fn column<'a>(header: &str, cell: impl Fn(&Row) -> String + 'a) -> TableColumn<'a> {
    (header.to_owned(), Box::new(cell))
}

fn table(title: String, flows: &str, rows: &[&Row], columns: Vec<TableColumn<'_>>) -> ClusterTable {
    let mut all =
        vec![column("path", |row| short(&row.path)), column(flows, |row| row.flows.to_string())];
    all.extend(columns);
    let cells = |row: &&Row| all.iter().map(|(_, cell)| cell(row)).collect();
    let rows = rows.iter().map(cells).collect();
    ClusterTable { title, rows, header: all.into_iter().map(|(header, _)| header).collect() }
}

fn versus_header() -> String {
    format!("vs {BASELINE}\n%")
}

fn goodput(test: &str, rows: &[&Row]) -> ClusterTable {
    let means = rows.iter().filter_map(|row| row.goodput_bits_per_second);
    let (unit, divisor) = rate_unit(means.map(|rate| rate.mean).fold(0.0, f64::max));
    let udp = rows.iter().any(|row| row.loss_share.is_some());
    let lost = if udp {
        column("lost\n%", |row| maybe(percent(row.loss_share), 3))
    } else {
        column("resent\nper GB", |row| maybe(row.retransmitted_segments_per_gb, 1))
    };
    let columns = vec![
        column(&format!("mean\n{unit}"), move |row| mean(&row.goodput_bits_per_second, divisor, 2)),
        column(&format!("95 %\ninterval\n{unit}"), move |row| {
            interval(&row.goodput_bits_per_second, divisor, 2)
        }),
        column(&versus_header(), |row| ratio(&row.rate_vs_baseline)),
        column("95 %\ninterval\n%", |row| ratio_interval(&row.rate_vs_baseline)),
        lost,
        column("client\nuser/system/\nsoftirq cores", |row| modes(&row.cpu.client)),
        column("server\nuser/system/\nsoftirq cores", |row| modes(&row.cpu.server)),
        column("verdict", |row| verdict(row, &row.rate_vs_baseline, ["slower", "faster"])),
    ];
    table(format!("{test}: goodput"), "streams", rows, columns)
}

fn cost(test: &str, rows: &[&Row]) -> ClusterTable {
    let per_gbit = |cpu: &Option<EndCpu>| maybe(cpu.and_then(|cpu| cpu.cores_per_gbit), 4);
    let columns = vec![
        column("client busy\ncores", |row| busy(&row.cpu.client)),
        column("server busy\ncores", |row| busy(&row.cpu.server)),
        column("client cores\nper Gbit/s", move |row| per_gbit(&row.cpu.client)),
        column("server cores\nper Gbit/s", move |row| per_gbit(&row.cpu.server)),
        column("hottest CPU's\nsoftirq %\nclient/server", |row| hottest(&row.cpu)),
        column("fairness\n0 to 1", |row| maybe(row.fairness, 3)),
        column("bound by", bound_by),
    ];
    table(format!("{test}: what it cost"), "streams", rows, columns)
}

fn latency(test: &str, rows: &[&Row]) -> ClusterTable {
    let own = |figure: fn(&PooledLatency) -> Option<f64>| {
        move |row: &Row| maybe(row.latency.as_ref().and_then(figure).map(|ns| ns / 1e3), 1)
    };
    let columns = vec![
        column("mean\nper second", |row| mean(&row.transactions_per_second, 1.0, 0)),
        column("mean\nµs", own(|latency| Some(latency.mean_ns))),
        column("stddev\nµs", own(|latency| Some(latency.stddev_ns))),
        column("p50\nµs", own(|latency| latency.p50_ns.map(float))),
        column("p99\nµs", own(|latency| latency.p99_ns.map(float))),
        column("p99.9\nµs", own(|latency| latency.p99_9_ns.map(float))),
        column("max\nµs", own(|latency| latency.max_ns.map(float))),
        column(&format!("mean vs\n{BASELINE} %"), |row| ratio(&row.latency_vs_baseline)),
        column("95 %\ninterval\n%", |row| ratio_interval(&row.latency_vs_baseline)),
        column("verdict", |row| verdict(row, &row.latency_vs_baseline, ["longer", "shorter"])),
    ];
    table(format!("{test}: latency"), "flows", rows, columns)
}

fn requests(test: &str, rows: &[&Row]) -> ClusterTable {
    let us = |cpu: &Option<EndCpu>| maybe(cpu.and_then(|cpu| cpu.us_per_transaction), 2);
    let mut columns = vec![
        column(&versus_header(), |row| ratio(&row.rate_vs_baseline)),
        column("95 %\ninterval\n%", |row| ratio_interval(&row.rate_vs_baseline)),
        column("client\nuser/system/\nsoftirq cores", |row| modes(&row.cpu.client)),
        column("server\nuser/system/\nsoftirq cores", |row| modes(&row.cpu.server)),
        column("CPU µs each\nclient/server", move |row| {
            format!("{}/{}", us(&row.cpu.client), us(&row.cpu.server))
        }),
        column("hottest CPU's\nsoftirq %\nclient/server", |row| hottest(&row.cpu)),
        column("bound by", bound_by),
    ];
    if rows.iter().any(|row| row.loss_share.is_some()) {
        columns.push(column("lost\n%", |row| maybe(percent(row.loss_share), 3)));
    }
    table(format!("{test}: transactions per second, and what they cost"), "flows", rows, columns)
}

fn nothing(test: &str, rows: &[&Row]) -> ClusterTable {
    let columns = vec![
        column("failed\nsamples", |row| row.failed.to_string()),
        column("verdict", |row| verdict(row, &None, ["", ""])),
    ];
    table(format!("{test}: nothing was measured"), "flows", rows, columns)
}

fn mean(estimate: &Option<Estimate>, divisor: f64, digits: usize) -> String {
    maybe(estimate.map(|estimate| estimate.mean / divisor), digits)
}

fn interval(estimate: &Option<Estimate>, divisor: f64, digits: usize) -> String {
    let ends = estimate.and_then(|estimate| estimate.low.zip(estimate.high));
    range(ends.map(|(low, high)| (low / divisor, high / divisor)), digits)
}

fn range(ends: Option<(f64, f64)>, digits: usize) -> String {
    let text = |(low, high)| format!("{}–{}", number(low, digits), number(high, digits));
    ends.map_or_else(unknown, text)
}

fn ratio(versus: &Option<BaselineComparison>) -> String {
    maybe(versus.map(|versus| 100.0 * versus.ratio.ratio), 1)
}

fn ratio_interval(versus: &Option<BaselineComparison>) -> String {
    let ends = versus.and_then(|versus| versus.ratio.low.zip(versus.ratio.high));
    range(ends.map(|(low, high)| (100.0 * low, 100.0 * high)), 1)
}

/// What the interval says; worse and better have a word each.
fn verdict(row: &Row, versus: &Option<BaselineComparison>, [worse, better]: [&str; 2]) -> String {
    if row.samples == 0 {
        return "not measured".to_owned();
    }
    let Some(versus) = versus else {
        return if row.path == BASELINE { "baseline".to_owned() } else { unknown() };
    };
    let by = number(100.0 * (versus.ratio.ratio - 1.0).abs(), 1);
    match versus.difference {
        Difference::Slower => format!("{by} % {worse}"),
        Difference::Faster => format!("{by} % {better}"),
        Difference::NoDifferenceShown => "no difference shown".to_owned(),
        Difference::Inconclusive => "inconclusive".to_owned(),
    }
}

fn bound_by(row: &Row) -> String {
    row.bound_by.map_or_else(unknown, |own| bound(own).to_owned())
}

fn modes(cpu: &Option<EndCpu>) -> String {
    cpu.map_or_else(unknown, |cpu| {
        let parts = [cpu.user_cores, cpu.system_cores, cpu.softirq_cores];
        parts.map(|cores| number(cores, 2)).join("/")
    })
}

fn busy(cpu: &Option<EndCpu>) -> String {
    maybe(cpu.map(|cpu| cpu.busy_cores), 3)
}

fn hottest(cpu: &Ends<Option<EndCpu>>) -> String {
    let of = |cpu: &Option<EndCpu>| maybe(cpu.and_then(|cpu| cpu.hottest_cpu_softirq_percent), 0);
    format!("{}/{}", of(&cpu.client), of(&cpu.server))
}

fn percent(share: Option<f64>) -> Option<f64> {
    share.map(|share| 100.0 * share)
}
