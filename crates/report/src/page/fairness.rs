//! How evenly streams share a path: each stream's goodput against the mean of its row.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::svg::{LINE, Scale, WIDTH, at, plain};
use super::{PageFigure, label};
use crate::cluster::{ClusterTable, short};
use crate::overview::Subject;
use crate::text::layout::{maybe, number};
use podperf_model::result::cluster::Row;
use podperf_model::result::run::StreamDirection;
use podperf_model::units::float;

/// Streams of a row that have a mark of their own; of more, every so many by rank.
const MAX_MARKS: usize = 48;
/// Rows that are drawn: those that share least evenly.
const MAX_ROWS: usize = 24;

/// A row, its fairness, and its streams' goodput in bits per second, lowest first.
struct Shares<'a> {
    row: &'a Row,
    fairness: Option<f64>,
    streams: Vec<f64>,
    mean: f64,
}

pub(super) fn figure(subject: &Subject) -> Option<PageFigure> {
    let mut all: Vec<Shares<'_>> =
        subject.rows.iter().filter_map(|row| shares(subject, row)).collect();
    let left = all.len().saturating_sub(MAX_ROWS);
    all.sort_by(|a, b| a.fairness.partial_cmp(&b.fairness).unwrap_or(std::cmp::Ordering::Equal));
    all.truncate(MAX_ROWS);
    let header = [
        "row",
        "streams",
        "fairness (Jain) 0 to 1",
        "lowest of mean",
        "highest of mean",
        "mean Mbit/s",
    ];
    let cells = |own: &Shares<'_>| {
        let of = |stream: Option<&f64>| maybe(stream.map(|rate| rate / own.mean), 3);
        vec![
            name(own.row),
            own.streams.len().to_string(),
            maybe(own.fairness, 3),
            of(own.streams.first()),
            of(own.streams.last()),
            number(own.mean / 1e6, 3),
        ]
    };
    let more = if left > 0 {
        format!(" {left} rows that share more evenly are left out.")
    } else {
        String::new()
    };
    (!all.is_empty()).then(|| PageFigure {
        title: "Fairness by stream".to_owned(),
        caption: format!(
            "A mark is a stream's goodput against the mean of its row, over all samples; 1 is an \
             even share. The least even stand first.{more}"
        ),
        svg: drawn(&all),
        table: ClusterTable {
            title: "Fairness by stream".to_owned(),
            header: header.map(str::to_owned).to_vec(),
            rows: all.iter().map(cells).collect(),
        },
    })
}

fn name(row: &Row) -> String {
    format!("{} {}", short(&row.test), label(&row.path, row.flows))
}

/// Of rows of several streams.
fn shares<'a>(subject: &Subject, row: &'a Row) -> Option<Shares<'a>> {
    row.goodput_bits_per_second?;
    let mut sums: BTreeMap<(usize, u32), (f64, f64)> = BTreeMap::new();
    for sample in subject.whole(row) {
        for (pair, run) in sample.runs.iter().enumerate() {
            let own = run.streams.iter().filter(|own| own.direction != StreamDirection::Exchange);
            for stream in own {
                let Some(rate) = stream.bits_per_second else { continue };
                let sum = sums.entry((pair, stream.id)).or_default();
                *sum = (sum.0 + rate, sum.1 + 1.0);
            }
        }
    }
    let mut streams: Vec<f64> = sums.values().map(|(sum, times)| sum / times).collect();
    streams.sort_by(f64::total_cmp);
    let mean = streams.iter().sum::<f64>() / float(u64::try_from(streams.len()).ok()?);
    let told = streams.len() > 1 && mean > 0.0;
    told.then_some(Shares { row, fairness: row.fairness, streams, mean })
}

fn drawn(all: &[Shares<'_>]) -> Markup {
    let most =
        all.iter().filter_map(|own| Some(own.streams.last()? / own.mean)).fold(1.0, f64::max);
    let scale = Scale::from_zero(most);
    let across = |share: f64| 6.0 + (WIDTH - 20.0) * scale.share(share);
    let step = 2.0 * LINE + 4.0;
    let bottom = step * all.len() as f64;
    html! {
        svg viewBox=(format!("0 0 {WIDTH} {}", at(bottom + 32.0))) role="img"
            aria-label="Marks of each stream's goodput against its row's mean" {
            @for tick in &scale.ticks {
                path.grid d=(format!("M{} 0V{}", at(across(*tick)), at(bottom))) {}
                text.middle x=(at(across(*tick))) y=(at(bottom + 13.0)) { (plain(*tick)) }
            }
            text.middle.axis x=(at(WIDTH / 2.0)) y=(at(bottom + 28.0)) {
                "goodput of a stream / mean of its row"
            }
            @for (place, own) in all.iter().enumerate() {
                @let y = step * place as f64;
                text x="2" y=(at(y + 12.0)) { (name(own.row)) }
                @let every = own.streams.len().div_ceil(MAX_MARKS).max(1);
                @let last = own.streams.len() - 1;
                @for (rank, rate) in own.streams.iter().enumerate() {
                    @if rank % every == 0 || rank == last {
                        @let x = at(across(rate / own.mean));
                        circle.mark cx=(x) cy=(at(y + LINE + 8.0)) r="4" {}
                    }
                }
            }
        }
    }
}
