//! Goodput (or transactions) and retransmits over time: a row's windows, one after the other.

use super::svg::{LinePlot, Scale, plain};
use super::{PageFigure, label, tests_of};
use crate::cluster::{ClusterTable, short};
use crate::overview::Subject;
use crate::text::layout::{maybe, number};
use podperf_model::result::cluster::Row;
use podperf_model::result::run::Interval;
use podperf_model::units::{float, rate_unit};

/// Points of all lines of a figure together, as far as each has enough of its own.
const MAX_POINTS: usize = 600;
const MIN_LINE_POINTS: usize = 6;
const MAX_LINE_POINTS: usize = 60;
/// Of retransmits, which come in bursts.
const MAX_BURST_POINTS: usize = 12;

/// A moment of a row: when, how long, and the figure, where it is known.
pub(super) type Moment = (f64, f64, Option<f64>);

/// Of the intervals of a sample's pairs at one time.
type IntervalFigure = fn(&Interval) -> Option<f64>;

pub(super) fn figures(subject: &Subject) -> Vec<PageFigure> {
    let of_test = |test: &&str| {
        let rows: Vec<&Row> =
            subject.rows.iter().filter(|row| row.test == *test && row.samples > 0).collect();
        [rate(subject, test, &rows), retransmits(subject, test, &rows)]
    };
    tests_of(subject).iter().flat_map(of_test).flatten().collect()
}

fn rate(subject: &Subject, test: &str, rows: &[&Row]) -> Option<PageFigure> {
    let transacts = rows.iter().any(|row| row.transactions_per_second.is_some());
    let of: IntervalFigure =
        if transacts { |own| own.transactions_per_second } else { |own| own.bits_per_second };
    let lines = lines(subject, rows, of, MAX_LINE_POINTS);
    let most = lines.iter().flat_map(|(_, all)| all).filter_map(|own| own.2).reduce(f64::max)?;
    let (unit, divisor) = if transacts { ("per second", 1.0) } else { rate_unit(most) };
    let what = if transacts { "transactions" } else { "goodput" };
    let caption = "The windows of all samples, one after the other.";
    figure(test, (what, unit), caption, scaled(lines, divisor))
}

fn retransmits(subject: &Subject, test: &str, rows: &[&Row]) -> Option<PageFigure> {
    let rows: Vec<&Row> =
        rows.iter().filter(|row| row.goodput_bits_per_second.is_some()).copied().collect();
    let of: IntervalFigure =
        |own| Some(float(own.retransmits?) / (own.end_seconds - own.start_seconds));
    let mut lines = lines(subject, &rows, of, MAX_BURST_POINTS);
    lines.iter_mut().flat_map(|(_, all)| all).for_each(|own| {
        own.2 = own.2.filter(|rate| rate.is_finite());
    });
    // A figure of nothing but zeros says no more than a sentence would.
    let some =
        lines.iter().flat_map(|(_, all)| all).any(|own| own.2.is_some_and(|rate| rate > 0.0));
    let caption = "Segments that were sent again; the windows of all samples, one after the other.";
    some.then(|| figure(test, ("retransmits", "segments per second"), caption, lines)).flatten()
}

fn lines(
    subject: &Subject,
    rows: &[&Row],
    of: IntervalFigure,
    most: usize,
) -> Vec<(String, Vec<Moment>)> {
    let points = (MAX_POINTS / rows.len().max(1)).clamp(MIN_LINE_POINTS, most);
    let line =
        |row: &&Row| (label(&row.path, row.flows), thinned(&moments(subject, row, of), points));
    let all = rows.iter().map(line);
    all.filter(|(_, moments)| moments.iter().any(|own| own.2.is_some())).collect()
}

fn scaled(mut lines: Vec<(String, Vec<Moment>)>, divisor: f64) -> Vec<(String, Vec<Moment>)> {
    let all = lines.iter_mut().flat_map(|(_, all)| all);
    all.for_each(|own| own.2 = own.2.map(|value| value / divisor));
    lines
}

/// Every interval of every whole sample; pairs that measured at once are added up.
fn moments(subject: &Subject, row: &Row, of: IntervalFigure) -> Vec<Moment> {
    let mut before = 0.0;
    let mut all = Vec::new();
    for sample in subject.whole(row) {
        let mut end: f64 = 0.0;
        let longest = sample.runs.iter().map(|run| run.intervals.len()).max().unwrap_or_default();
        for place in 0..longest {
            let at_once = || sample.runs.iter().filter_map(|run| run.intervals.get(place));
            let Some(first) = at_once().next() else { continue };
            let length = first.end_seconds - first.start_seconds;
            all.push((before + first.start_seconds, length, at_once().map(of).sum()));
            end = end.max(first.end_seconds);
        }
        before += end;
    }
    all.retain(|(start, length, _)| start.is_finite() && length.is_finite() && *length > 0.0);
    all
}

/// At most `points` of them: neighbours become one, each weighted by its length.
pub(super) fn thinned(moments: &[Moment], points: usize) -> Vec<Moment> {
    let together = moments.len().div_ceil(points.max(1)).max(1);
    let one = |own: &[Moment]| {
        let start = own.first().map_or(0.0, |first| first.0);
        let length: f64 = own.iter().map(|own| own.1).sum();
        let known = own.iter().filter_map(|(_, length, value)| Some((*length, (*value)?)));
        let (time, sum) =
            known.fold((0.0, 0.0), |all, (length, value)| (all.0 + length, all.1 + length * value));
        (start, length, (time > 0.0).then(|| sum / time))
    };
    moments.chunks(together).map(one).collect()
}

fn figure(
    test: &str,
    (what, unit): (&str, &str),
    caption: &str,
    lines: Vec<(String, Vec<Moment>)>,
) -> Option<PageFigure> {
    let all = || lines.iter().flat_map(|(_, all)| all);
    let most = all().filter_map(|own| own.2).reduce(f64::max)?;
    let last = all().map(|(start, length, _)| start + length).fold(0.0, f64::max);
    let title = format!("{}: {what} over time, {unit}", short(test));
    let table = table(&title, &lines);
    let point = |own: &Moment| Some((own.0 + own.1 / 2.0, own.2?));
    let drawn =
        |(name, moments): (String, Vec<Moment>)| (name, moments.iter().filter_map(point).collect());
    let plot = LinePlot {
        said: format!("Lines of {what} in {unit} over time, one a path and number of flows"),
        x_title: "seconds measured".into(),
        y_title: unit.to_owned(),
        x: Scale::from_zero(last),
        y: Scale::from_zero(most),
        x_text: plain,
        lines: lines.into_iter().map(drawn).collect(),
    };
    Some(PageFigure { caption: caption.to_owned(), svg: plot.draw(), table, title })
}

/// A line a moment of the row that has most of them.
fn table(title: &str, lines: &[(String, Vec<Moment>)]) -> ClusterTable {
    let longest = lines.iter().max_by_key(|(_, all)| all.len()).map_or(&[][..], |(_, all)| all);
    let mut header = vec!["from second".to_owned()];
    header.extend(lines.iter().map(|(name, _)| name.clone()));
    let cells = |(place, (start, ..)): (usize, &Moment)| {
        let mut cells = vec![number(*start, 1)];
        let of = |moments: &[Moment]| moments.get(place).and_then(|own| own.2);
        cells.extend(lines.iter().map(|(_, own)| maybe(of(own), 3)));
        cells
    };
    let rows = longest.iter().enumerate().map(cells).collect();
    ClusterTable { title: title.to_owned(), header, rows }
}
