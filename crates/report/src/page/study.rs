//! The study's figure: what each path carries with each number of flows, and what that costs. For
//! each test bars of goodput (with their interval) or of the mean latency (with its standard
//! deviation), and the CPU of both ends by mode.

use maud::{Markup, html};

use super::svg::{LINE, Scale, WIDTH, at, plain, squares};
use super::{PageFigure, label, tests_of};
use crate::cluster::{ClusterTable, short};
use crate::overview::Subject;
use crate::text::layout::{maybe, number, unknown};
use podperf_model::result::cluster::{EndCpu, Row};
use podperf_model::units::rate_unit;

/// Where bars begin, and how long the longest is.
const BARS_LEFT: f64 = 2.0;
const BARS_WIDTH: f64 = 276.0;
const BAR_HEIGHT: f64 = 12.0;

pub(super) fn figures(subject: &Subject) -> Vec<PageFigure> {
    let of_test = |test: &&str| {
        let rows: Vec<&Row> =
            subject.rows.iter().filter(|row| row.test == *test && row.samples > 0).collect();
        let name = short(test);
        [goodput(&name, &rows), latency(&name, &rows), cpu(&name, &rows)]
    };
    tests_of(subject).iter().flat_map(of_test).flatten().collect()
}

/// A bar with the ends of its whisker.
struct Bar {
    label: String,
    value: f64,
    whisker: Option<(f64, f64)>,
}

fn goodput(test: &str, rows: &[&Row]) -> Option<PageFigure> {
    let means = rows.iter().filter_map(|row| row.goodput_bits_per_second);
    let (unit, divisor) = rate_unit(means.map(|rate| rate.mean).reduce(f64::max)?);
    let bar = |row: &&&Row| {
        let own = row.goodput_bits_per_second?;
        let whisker = own.low.zip(own.high).map(|(low, high)| (low / divisor, high / divisor));
        Some(Bar { label: label(&row.path, row.flows), value: own.mean / divisor, whisker })
    };
    let bars: Vec<Bar> = rows.iter().filter_map(|row| bar(&row)).collect();
    let cells = |row: &&Row| {
        let own = row.goodput_bits_per_second;
        let text = |value: Option<f64>| maybe(value.map(|value| value / divisor), 3);
        vec![
            short(&row.path),
            row.flows.to_string(),
            text(own.map(|own| own.mean)),
            text(own.and_then(|own| own.low)),
            text(own.and_then(|own| own.high)),
            row.samples.to_string(),
        ]
    };
    let header = [
        "path".to_owned(),
        "streams".to_owned(),
        format!("mean {unit}"),
        format!("95 % interval from {unit}"),
        format!("to {unit}"),
        "samples".to_owned(),
    ];
    Some(PageFigure {
        title: format!("{test}: goodput, {unit}"),
        caption: "What the receivers got; the line over a bar's end is its 95 % interval.".into(),
        svg: bars_svg(&format!("Bars of goodput in {unit}, by path and streams"), &bars),
        table: ClusterTable {
            title: format!("{test}: goodput"),
            header: header.to_vec(),
            rows: rows.iter().map(cells).collect(),
        },
    })
}

fn latency(test: &str, rows: &[&Row]) -> Option<PageFigure> {
    let bar = |row: &&Row| {
        let own = row.latency?;
        let (mean, deviation) = (own.mean_ns / 1e3, own.stddev_ns / 1e3);
        let whisker = Some(((mean - deviation).max(0.0), mean + deviation));
        Some(Bar { label: label(&row.path, row.flows), value: mean, whisker })
    };
    let bars: Vec<Bar> = rows.iter().filter_map(bar).collect();
    let cells = |row: &&Row| {
        let us = |ns: Option<f64>| maybe(ns.map(|ns| ns / 1e3), 1);
        vec![
            short(&row.path),
            row.flows.to_string(),
            us(row.latency.map(|own| own.mean_ns)),
            us(row.latency.map(|own| own.stddev_ns)),
            row.latency.map_or_else(unknown, |own| own.count.to_string()),
            row.samples.to_string(),
        ]
    };
    let header = ["path", "flows", "mean µs", "standard deviation µs", "transactions", "samples"];
    (!bars.is_empty()).then(|| PageFigure {
        title: format!("{test}: mean latency, µs"),
        caption: "Of all transactions; the line over a bar's end is one standard deviation each \
                  way."
            .into(),
        svg: bars_svg("Bars of mean latency in microseconds, by path and flows", &bars),
        table: ClusterTable {
            title: format!("{test}: mean latency"),
            header: header.map(str::to_owned).to_vec(),
            rows: rows.iter().map(cells).collect(),
        },
    })
}

fn bars_svg(said: &str, bars: &[Bar]) -> Markup {
    let ends =
        bars.iter().map(|bar| bar.whisker.map_or(bar.value, |(_, high)| high.max(bar.value)));
    let scale = Scale::from_zero(ends.fold(0.0, f64::max));
    let across = |value: f64| BARS_LEFT + BARS_WIDTH * scale.share(value);
    let step = LINE + BAR_HEIGHT + 6.0;
    let height = step * bars.len() as f64 + LINE;
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {}", at(height))) role="img" aria-label=(said) {
            (axis(&scale, height - LINE))
            @for (place, bar) in bars.iter().enumerate() {
                @let y = step * place as f64;
                @let middle = y + LINE + BAR_HEIGHT / 2.0;
                text x=(BARS_LEFT) y=(at(y + 11.0)) { (bar.label) }
                rect.bar x=(BARS_LEFT) y=(at(y + LINE)) width=(at(across(bar.value) - BARS_LEFT))
                    height=(BAR_HEIGHT) {}
                @if let Some((low, high)) = bar.whisker {
                    path.whisker d=(whisker(across(low), across(high), middle)) {}
                }
                text.end x=(WIDTH - 2.0) y=(at(middle + 4.0)) { (plain(bar.value)) }
            }
        }
    }
}

/// A line with an upright at each end.
fn whisker(low: f64, high: f64, middle: f64) -> String {
    let (low, high, top) = (at(low), at(high), at(middle - 4.0));
    format!("M{low} {top}v8M{low} {}H{high}M{high} {top}v8", at(middle))
}

/// Lines down from the ticks, and their numbers.
fn axis(scale: &Scale, bottom: f64) -> Markup {
    html! {
        @for tick in &scale.ticks {
            @let x = at(BARS_LEFT + BARS_WIDTH * scale.share(*tick));
            path.grid d=(format!("M{x} 0V{}", at(bottom))) {}
            text class=(if *tick == 0.0 { "start" } else { "middle" }) x=(x) y=(at(bottom + 12.0)) {
                (plain(*tick))
            }
        }
    }
}

const MODES: [(&str, &str); 3] = [("user", "user"), ("system", "system"), ("softirq", "softirq")];

fn modes(cpu: &EndCpu) -> [f64; 3] {
    [cpu.user_cores, cpu.system_cores, cpu.softirq_cores]
}

fn cpu(test: &str, rows: &[&Row]) -> Option<PageFigure> {
    let ends = |row: &Row| row.cpu.named().map(|(end, cpu)| (end, *cpu));
    let all = || rows.iter().flat_map(|row| ends(row)).filter_map(|(_, cpu)| cpu);
    let most = all().map(|cpu| modes(&cpu).iter().sum()).reduce(f64::max)?;
    let mut cells = Vec::new();
    for row in rows {
        for (end, cpu) in ends(row) {
            let mut own = vec![short(&row.path), row.flows.to_string(), end.to_owned()];
            let text = |cores: [f64; 3]| cores.map(|cores| number(cores, 3));
            own.extend(
                cpu.map_or_else(|| [unknown(), unknown(), unknown()], |cpu| text(modes(&cpu))),
            );
            own.push(maybe(cpu.map(|cpu| cpu.busy_cores), 3));
            cells.push(own);
        }
    }
    let same = rows.iter().any(|row| row.same_machine);
    let also = " Both ends were on one machine: each bar covers both.";
    Some(PageFigure {
        title: format!("{test}: CPU, busy cores"),
        caption: format!(
            "Of the whole machine, the client above the server.{}",
            if same { also } else { "" }
        ),
        svg: stacked(rows, most),
        table: ClusterTable {
            title: format!("{test}: CPU by mode"),
            header: [
                "path",
                "flows",
                "end",
                "user cores",
                "system cores",
                "softirq cores",
                "busy cores (all modes)",
            ]
            .map(str::to_owned)
            .to_vec(),
            rows: cells,
        },
    })
}

fn stacked(rows: &[&Row], most: f64) -> Markup {
    let scale = Scale::from_zero(most);
    let across = |value: f64| BARS_WIDTH * scale.share(value);
    let step = LINE + 2.0 * BAR_HEIGHT + 8.0;
    let top = 18.0;
    let height = top + step * rows.len() as f64 + LINE;
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {}", at(height))) role="img"
            aria-label="Stacked bars of user, system and softirq CPU, by path, flows and end" {
            (squares(&MODES, 11.0))
            (axis(&scale, height - LINE))
            @for (place, row) in rows.iter().enumerate() {
                @let y = top + step * place as f64;
                text x=(BARS_LEFT) y=(at(y + 11.0)) { (label(&row.path, row.flows)) }
                @for (number, (end, cpu)) in row.cpu.named().into_iter().enumerate() {
                    @let y = y + LINE + (BAR_HEIGHT + 1.0) * number as f64;
                    @let cores = cpu.as_ref().map(modes).unwrap_or_default();
                    @for (mode, (class, _)) in MODES.iter().enumerate() {
                        @let before: f64 = cores[..mode].iter().sum();
                        rect class=(class) x=(at(BARS_LEFT + across(before))) y=(at(y))
                            width=(at(across(before + cores[mode]) - across(before)))
                            height=(BAR_HEIGHT) {}
                    }
                    @let total: f64 = cores.iter().sum();
                    text.end x=(WIDTH - 2.0) y=(at(y + 10.0)) {
                        (end) " " (if cpu.is_some() { plain(total) } else { unknown() })
                    }
                }
            }
        }
    }
}
