//! The comparison for people, as text and as Markdown to paste, and for programs as CSV. Text and
//! Markdown have the same content, cell by cell.

use std::io::{self, Write};

use super::figure::RowFigure;
use super::judge::{Comparison, Line, MeanRatio, letter};
use crate::analysis::{SIGNIFICANCE, holm};
use crate::cluster::{ClusterTable, Paragraph, markdown, short};
use crate::text::layout::{clean, figures, number, paragraphs, unknown};
use crate::text::row;
use podperf_model::result::cluster::{BASELINE, Difference, Ratio};
use podperf_model::result::wording::count;
use podperf_model::units::rate_unit;

/// Writes `comparison` as text.
///
/// # Errors
/// Those of `out`.
pub fn text(comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "{}", paragraphs(&head(comparison)))?;
    for table in tables(comparison) {
        let header: Vec<&str> = table.header.iter().map(String::as_str).collect();
        writeln!(out, "\n{}\n{}", table.title, figures(&header, &table.rows))?;
    }
    let notes = notes(comparison);
    if notes.is_empty() { Ok(()) } else { writeln!(out, "\n{}", paragraphs(&notes)) }
}

/// Writes `comparison` as Markdown.
///
/// # Errors
/// Those of `out`.
pub fn as_markdown(comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "## podperf compare\n")?;
    markdown::list(&head(comparison), out)?;
    tables(comparison).iter().try_for_each(|table| markdown::write_table(table, out))?;
    let notes = notes(comparison);
    if notes.is_empty() {
        return Ok(());
    }
    writeln!(out, "\n### What to know about it\n")?;
    markdown::list(&notes, out)
}

/// Writes one line a row, figure and other side, below a header (RFC 4180).
///
/// # Errors
/// Those of `out`.
pub fn as_csv(comparison: &Comparison, out: &mut dyn Write) -> io::Result<()> {
    const HEADER: &str = "test,path,flows,pairs,figure,unit,side,samples_a,samples,mean_a,mean,\
                          ratio,ratio_low,ratio_high,baseline_ratio,baseline_ratio_low,\
                          baseline_ratio_high,p,corrected_p,noise_floor_share,verdict,\
                          over_tolerance";
    write!(out, "{HEADER}\r\n")?;
    let figure = |value: Option<f64>| value.map_or_else(String::new, |value| value.to_string());
    for line in &comparison.lines {
        let (name, unit) = line.figure.name();
        let ratio = |ratio: Option<&Ratio>| {
            let own = [ratio.map(|own| own.ratio), ratio.and_then(|own| own.low)];
            [own[0], own[1], ratio.and_then(|own| own.high)].map(figure)
        };
        let key = &line.key;
        let mut cells = vec![
            key.title(),
            key.path.clone().unwrap_or_default(),
            key.flows.to_string(),
            key.pairs.to_string(),
            name.to_owned(),
            unit.to_owned(),
            letter(line.side).to_string(),
            line.samples[0].to_string(),
            line.samples[1].to_string(),
        ];
        cells.extend(line.means.map(|mean| mean.to_string()));
        cells.extend(ratio(Some(&line.plain)));
        cells.extend(ratio(line.of_baseline.as_ref()));
        cells.extend([line.p, line.corrected_p, line.noise_floor].map(figure));
        cells.push(word(line.verdict).replace(' ', "_"));
        cells.push(line.over_tolerance.to_string());
        let cells: Vec<String> = cells.iter().map(|cell| quoted(cell)).collect();
        write!(out, "{}\r\n", cells.join(","))?;
    }
    Ok(())
}

/// A cell of CSV (RFC 4180).
pub(crate) fn quoted(cell: &str) -> String {
    let cell = cell.replace(char::is_control, " ");
    if cell.contains([',', '"']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

fn head(comparison: &Comparison) -> Vec<Paragraph> {
    let sides = comparison.sides.iter().enumerate();
    let mut rows: Vec<Paragraph> =
        sides.map(|(number, side)| row(&letter(number).to_string(), side.clone())).collect();
    rows.extend(comparison.differences.iter().map(|text| row("differs", text.clone())));
    if comparison.differences.is_empty() {
        rows.push(row(
            "differs",
            "nothing in hosts, cluster or plans that the documents tell".into(),
        ));
    }
    rows.push(row("result", result(comparison)));
    rows
}

fn result(comparison: &Comparison) -> String {
    let lines = &comparison.lines;
    if lines.is_empty() {
        return "no row could be compared".to_owned();
    }
    let of = |verdict| lines.iter().filter(|line| line.verdict == verdict).count();
    let over = lines.iter().filter(|line| line.over_tolerance).count();
    format!(
        "of {}: {} slower ({over} over the tolerance of {} %), {} faster, {} no difference shown, \
         {} inconclusive; rows missing: {}",
        count(u32::try_from(lines.len()).unwrap_or(u32::MAX), "figure"),
        of(Difference::Slower),
        number(100.0 * comparison.tolerance, 1),
        of(Difference::Faster),
        of(Difference::NoDifferenceShown),
        of(Difference::Inconclusive),
        comparison.missing
    )
}

/// One a test and figure.
fn tables(comparison: &Comparison) -> Vec<ClusterTable> {
    let same = |a: &Line, b: &Line| (a.figure, a.key.title()) == (b.figure, b.key.title());
    comparison.lines.chunk_by(same).map(|lines| table(comparison, lines)).collect()
}

/// A column: its header, and a line's cell.
type LineColumn<'a> = (String, Box<dyn Fn(&Line) -> String + 'a>);

fn column<'a>(header: &str, cell: impl Fn(&Line) -> String + 'a) -> LineColumn<'a> {
    (header.to_owned(), Box::new(cell))
}

fn table(comparison: &Comparison, lines: &[Line]) -> ClusterTable {
    let several = comparison.sides.len() > 2;
    let (unit, divisor, digits) = unit(lines);
    let (a, other) = ("A", if several { "other" } else { "B" });
    let based = lines.iter().any(|line| line.of_baseline.is_some());
    let mean = move |which: usize| move |line: &Line| number(line.means[which] / divisor, digits);
    let mut columns = Vec::new();
    if lines.iter().any(|line| line.key.path.is_some()) {
        columns.push(column("path", |line| line.key.path.as_deref().map_or_else(unknown, short)));
    }
    columns.push(column("flows", |line| line.key.flows.to_string()));
    if several {
        columns.push(column("side", |line| letter(line.side).to_string()));
    }
    if based {
        // Two clusters differ in their nodes first.
        columns.push(column(&format!("by {BASELINE}:\n{other} / A\n%"), |line| {
            line.of_baseline.map_or_else(unknown, |own| percent(own.ratio))
        }));
    } else {
        columns.push(column(&format!("{other} / A\n%"), |line| percent(line.plain.ratio)));
    }
    columns.push(column("95 %\ninterval\n%", |line| interval(line.judged())));
    columns.push(column("p, cor-\nrected", |line| probability(line.corrected_p)));
    columns.push(column("verdict", verdict));
    if based {
        columns.push(column(&format!("plain\n{other} / A\n%"), |line| percent(line.plain.ratio)));
    }
    columns.push(column(&format!("{a}\n{unit}"), mean(0)));
    columns.push(column(&format!("{other}\n{unit}"), mean(1)));
    columns
        .push(column("noise\nfloor\n± %", |line| line.noise_floor.map_or_else(unknown, percent)));
    let title =
        lines.first().map_or_else(String::new, |line| titled(&line.key.title(), line.figure));
    let cells = |line: &Line| columns.iter().map(|(_, cell)| cell(line)).collect();
    let rows = lines.iter().map(cells).collect();
    ClusterTable { title, rows, header: columns.into_iter().map(|(header, _)| header).collect() }
}

fn titled(title: &str, figure: RowFigure) -> String {
    const MAX_TITLE_CHARS: usize = 100;
    let title: String = clean(title).chars().take(MAX_TITLE_CHARS).collect();
    format!("{title}: {}", figure.name().0)
}

/// For all means of a table: unit, what they are divided by, digits.
fn unit(lines: &[Line]) -> (&'static str, f64, usize) {
    let largest = lines.iter().flat_map(|line| line.means).fold(0.0, f64::max);
    match lines.first().map(|line| line.figure) {
        Some(RowFigure::Latency) => ("µs", 1e3, 1),
        Some(RowFigure::Transactions) => ("1/s", 1.0, 0),
        _ => {
            let (unit, divisor) = rate_unit(largest);
            (unit, divisor, 2)
        }
    }
}

fn percent(share: f64) -> String {
    number(100.0 * share, 1)
}

fn interval(ratio: &Ratio) -> String {
    let ends = ratio.low.zip(ratio.high);
    ends.map_or_else(unknown, |(low, high)| format!("{}–{}", percent(low), percent(high)))
}

fn probability(p: Option<f64>) -> String {
    match p {
        None => unknown(),
        Some(p) if p < 0.001 => "<0.001".to_owned(),
        Some(p) => number(p, 3),
    }
}

/// The words of the verdict.
pub(super) const fn word(verdict: Difference) -> &'static str {
    match verdict {
        Difference::Slower => "slower",
        Difference::Faster => "faster",
        Difference::NoDifferenceShown => "no difference shown",
        Difference::Inconclusive => "inconclusive",
    }
}

fn verdict(line: &Line) -> String {
    let over = if line.over_tolerance { ", over" } else { "" };
    format!("{}{over}", word(line.verdict))
}

/// What is in no table.
fn notes(comparison: &Comparison) -> Vec<Paragraph> {
    let mean = |own: &MeanRatio| {
        let text = format!(
            "{} %, {} / A over {} rows of {}",
            percent(own.ratio),
            letter(own.side),
            own.rows,
            titled(&own.title, own.figure)
        );
        row("geomean", text)
    };
    let mut notes: Vec<Paragraph> = comparison.means.iter().map(mean).collect();
    let by_side = |(side, text): &(char, String)| row(&side.to_string(), text.clone());
    notes.extend(comparison.not_comparable.iter().chain(&comparison.alone).map(by_side));
    let left_out = comparison.left_out.iter();
    notes.extend(left_out.map(|(side, text)| row("left out", format!("{side}: {text}"))));
    notes.extend(too_few(comparison).map(|text| row("samples", text)));
    notes
}

/// Says where no difference could be shown, however large, and how many samples could.
fn too_few(comparison: &Comparison) -> Option<String> {
    const MAX_ADVISED: u32 = 30;
    let lines = &comparison.lines;
    let tests = lines.iter().filter(|line| line.p.is_some()).count().max(1);
    let shows = |least: f64| {
        let mut all = vec![1.0; tests];
        all[0] = least;
        holm(&all)[0] < SIGNIFICANCE
    };
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    let blind = |line: &&Line| {
        let [a, b] = line.samples.map(|own| narrow(own).min(MAX_ADVISED));
        line.p.is_none() || !shows(least(a, b))
    };
    let blind = lines.iter().filter(blind).count();
    let advised = (2..=MAX_ADVISED).find(|each| shows(least(*each, *each)));
    (blind > 0).then(|| {
        let advised = advised.map_or_else(String::new, |each| {
            format!("; take {} of each row on each side, or more", each.max(6))
        });
        format!(
            "{blind} of {}: too few to show any difference, however large{advised}",
            count(narrow(lines.len()), "figure")
        )
    })
}

/// The least probability that the rank test can give.
fn least(one: u32, other: u32) -> f64 {
    let ways = (1..=one.min(other))
        .fold(1.0, |ways, step| ways * f64::from(one + other + 1 - step) / f64::from(step));
    2.0 / ways
}
