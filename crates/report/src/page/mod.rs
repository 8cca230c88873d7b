//! One page about an [`Overview`]: a file that needs nothing else, for people.
//!
//! Enters: what documents say. Leaves: HTML with its figures as SVG inside. It has no script, asks
//! for nothing, and says so to the browser (a content security policy). The same documents give the
//! same bytes. What others wrote (names, errors, warnings) is text, whatever stands in it.
//!
//! A figure more is a function of `figures` below that returns `PageFigure`s, each with its table.

mod cpu_map;
mod fairness;
mod over_time;
mod percentiles;
mod study;
mod svg;
#[cfg(test)]
mod tests;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest as _, Sha256};

use crate::cluster::{ClusterTable, Paragraph, short, tables};
use crate::overview::{Overview, Subject};
use crate::text::layout::clean;

const STYLE: &str = include_str!("style.css");

/// A figure, with what it shows as a table.
struct PageFigure {
    title: String,
    /// What it shows and how to read it.
    caption: String,
    svg: Markup,
    table: ClusterTable,
}

/// The page, as bytes of HTML.
#[must_use]
pub fn render(overview: &Overview) -> String {
    let title = match &overview.subjects[..] {
        [subject] => subject.title.clone(),
        several => format!("podperf: {} results", several.len()),
    };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(policy());
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content=(concat!("podperf ", env!("CARGO_PKG_VERSION")));
                title { (clean(&title)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { (clean(&title)) }
                    @for (number, subject) in (1..).zip(&overview.subjects) {
                        (section(number, subject, overview.subjects.len() > 1))
                    }
                    @if !overview.left_out.is_empty() {
                        section {
                            h2 { "Left out" }
                            (paragraphs(&overview.left_out()))
                        }
                    }
                }
                footer {
                    p { "Made by podperf " (env!("CARGO_PKG_VERSION"))
                        ". Rates count what receivers got; CPU is in busy cores of the whole "
                        "machine; intervals are 95 %." }
                }
            }
        }
    };
    page.into_string()
}

/// Nothing may be fetched or run; this page's own style alone applies.
fn policy() -> String {
    let digest = BASE64.encode(Sha256::digest(STYLE));
    format!("default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'")
}

fn section(number: usize, subject: &Subject, several: bool) -> Markup {
    let figures = figures(subject);
    html! {
        section {
            @if several { h2 { (clean(&subject.title)) } }
            p.source { "From " (clean(&subject.name)) }
            div.verdict {
                (heading(several, "Verdict"))
                ul { @for sentence in &subject.verdict { li { (clean(sentence)) } } }
            }
            @if !figures.is_empty() {
                (heading(several, "Figures"))
                div.figures {
                    @for (place, figure) in (1..).zip(&figures) { (drawn(number, place, figure)) }
                }
            }
            (heading(several, "All rows"))
            @for (place, own) in (1..).zip(tables(&subject.rows)) {
                (heading_below(several, &own.title))
                (table(&own, &format!("table {number}.{place}")))
            }
            @if !subject.doubts.is_empty() {
                (heading(several, "What to know about it"))
                (paragraphs(&subject.doubts))
            }
            (heading(several, "Where and how"))
            (paragraphs(&subject.about))
            (heading(several, "Measure it again"))
            p { "The command lines that measured it, as they were typed:" }
            @for command in &subject.commands { pre tabindex="0" { code { (typed(command)) } } }
        }
    }
}

/// All figures, in the order of the page. Goodput against streams, with its intervals and the
/// number of streams that saturates the path, is to stand after the study's figure.
fn figures(subject: &Subject) -> Vec<PageFigure> {
    let all = [study::figures, percentiles::figures, over_time::figures, cpu_map::figures];
    let mut figures: Vec<PageFigure> = all.into_iter().flat_map(|of| of(subject)).collect();
    figures.extend(fairness::figure(subject));
    figures
}

fn heading(several: bool, text: &str) -> Markup {
    html! { @if several { h3 { (text) } } @else { h2 { (text) } } }
}

fn heading_below(several: bool, text: &str) -> Markup {
    let text = clean(text);
    html! { @if several { h4 { (text) } } @else { h3 { (text) } } }
}

fn drawn(subject: usize, place: usize, figure: &PageFigure) -> Markup {
    let id = format!("figure-{subject}-{place}");
    html! {
        figure id=(id) {
            figcaption { strong { (clean(&figure.title)) } " " (figure.caption) }
            (figure.svg)
            details {
                summary { "As a table" }
                (table(&figure.table, &format!("figure {subject}.{place}")))
            }
        }
    }
}

/// A table that scrolls on its own where it is too wide; `number` is its own on the page.
fn table(own: &ClusterTable, number: &str) -> Markup {
    let title = format!("{} ({number})", clean(&own.title));
    html! {
        div.scroll tabindex="0" role="region" aria-label=(title) {
            table {
                caption { (title) }
                thead { tr { @for cell in &own.header { th scope="col" { (flat(cell)) } } } }
                tbody {
                    @for cells in &own.rows {
                        tr {
                            @for (number, cell) in cells.iter().enumerate() {
                                @if number == 0 { th scope="row" { (clean(cell)) } }
                                @else { td { (clean(cell)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A header on one line: a word that was parted at its slash is one again.
fn flat(cell: &str) -> String {
    clean(&cell.replace("/\n", "/"))
}

fn paragraphs(rows: &[Paragraph]) -> Markup {
    html! {
        dl { @for (label, text) in rows { div { dt { (clean(label)) } dd { (clean(text)) } } } }
    }
}

/// A command line that a shell reads as these words.
fn typed(words: &[String]) -> String {
    let plain = |char: char| char.is_ascii_alphanumeric() || "-_=+./:,@%".contains(char);
    let quoted = |word: &String| {
        let word = clean(word);
        if !word.is_empty() && word.chars().all(plain) {
            return word;
        }
        format!("'{}'", word.replace('\'', r"'\''"))
    };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

/// "pod, 3 flows".
fn label(path: &str, flows: u32) -> String {
    let flows = podperf_model::result::wording::count(flows, "flow");
    format!("{}, {flows}", short(path))
}

/// The tests of rows, in the order in which they first come up.
fn tests_of(subject: &Subject) -> Vec<&str> {
    let mut tests: Vec<&str> = Vec::new();
    for row in &subject.rows {
        if !tests.contains(&row.test.as_str()) {
            tests.push(&row.test);
        }
    }
    tests
}
