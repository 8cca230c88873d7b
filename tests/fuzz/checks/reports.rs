//! Documents that somebody kept or sent, in every report: text, Markdown, JSON, CSV, a page.

use std::sync::LazyLock;

use podperf_model::result::calibration::{Calibration, hold_against};
use podperf_model::result::cluster::ClusterRun;
use podperf_model::result::run::Run;
use podperf_report::analysis::{summarise, warnings};
use podperf_report::overview::{self, Overview, Subject};
use podperf_report::{cluster, json, page, text};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::edited;
use super::text::assert_plain;

/// Widest line of a text, in columns.
const MAX_COLUMNS: usize = 120;

/// Documents of each kind as podperf wrote them.
macro_rules! documents {
    ($($name:literal),*) => {
        [$(include_str!(concat!("../../fixtures/documents/v1/", $name, ".json"))),*]
    };
}

static DOCUMENTS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let all = documents!(
        "stream",
        "rr",
        "rr-load",
        "rr-rate",
        "crr",
        "udp",
        "udp-rr",
        "stream-incomplete",
        "stream-bidir",
        "calibration",
        "cluster"
    );
    all.into_iter().map(|text| serde_json::from_str(text).expect("a document")).collect()
});
static CALIBRATION: LazyLock<Calibration> = LazyLock::new(|| {
    let [text] = documents!("calibration");
    serde_json::from_str(text).expect("a calibration")
});

/// Checks one document, as whichever kind it is.
pub fn check(data: &[u8]) {
    let Some(json) = edited::json(data, &DOCUMENTS) else { return };
    if let Ok(mut run) = serde_json::from_str::<Run>(&json) {
        check_run(&run);
        hold_against(&mut run, &CALIBRATION);
        check_run(&run);
        check_overview(Subject::between_hosts("a".into(), vec![("a/1.json".into(), run)]));
    }
    if let Ok(calibration) = serde_json::from_str::<Calibration>(&json) {
        assert_text(|out| text::render_calibration(&calibration, out));
        assert_read_again(&calibration);
    }
    if let Ok(run) = serde_json::from_str::<ClusterRun>(&json) {
        check_cluster(run);
    }
}

/// A run in every report that has it.
pub(super) fn check_run(run: &Run) {
    assert_text(|out| text::render(run, out));
    assert_read_again(run);
}

fn check_cluster(mut run: ClusterRun) {
    assert_read_again(&run);
    assert_tables(&run);
    // And with rows that are made anew of its samples.
    run.summary = summarise(&run.plan, &run.samples);
    run.warnings = warnings(&run.plan, &run.samples, &run.summary);
    assert_tables(&run);
    assert_read_again(&run);
    check_overview(Some(Subject::on_kubernetes("a/result.json".into(), run)));
}

/// What documents say together, in each form.
fn check_overview(subject: Option<Subject>) {
    let subjects = subject.into_iter().collect();
    let overview = Overview { subjects, left_out: Vec::new() };
    assert_text(|out| overview::render(&overview, out));
    let mut out = Vec::new();
    overview::as_markdown(&overview, &mut out).expect("memory takes it");
    overview::hgrm::render(&overview, &mut out).expect("memory takes it");
    assert_plain(&String::from_utf8(out).expect("text is UTF-8"), "a report");
    let mut out = Vec::new();
    overview::csv::render(&overview, &mut out).expect("memory takes it");
    let csv = String::from_utf8(out).expect("CSV is UTF-8");
    assert_plain(&csv.replace("\r\n", "\n"), "CSV");
    let page = page::render(&overview);
    assert_plain(&page, "a page");
    assert!(!page.contains("<script") && !page.contains("NaN"), "{page}");
}

fn assert_tables(run: &ClusterRun) {
    assert_text(|out| cluster::text::render(run, out));
    let mut out = Vec::new();
    cluster::markdown::render(run, &mut out).expect("memory takes it");
    let markdown = String::from_utf8(out).expect("Markdown is UTF-8");
    assert_plain(&markdown, "a Markdown report");
    // What names say makes no cells: the rows of one table have as many as its header.
    let mut cells = None;
    for line in markdown.lines() {
        let own = line.starts_with('|').then(|| line.replace("\\\\", "").replace("\\|", ""));
        let own = own.map(|line| line.matches('|').count());
        assert!(cells.is_none() || own.is_none() || cells == own, "another row of cells: {line}");
        cells = own;
    }
}

/// What podperf prints is text without control characters that fits a terminal.
fn assert_text(render: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) {
    let mut out = Vec::new();
    render(&mut out).expect("memory takes it");
    let text = String::from_utf8(out).expect("a report is UTF-8");
    assert_plain(&text, "a report");
    for line in text.lines().filter(|line| line.is_ascii()) {
        assert!(line.len() <= MAX_COLUMNS, "{} columns: {line}", line.len());
    }
}

/// What podperf writes it can read, and it says the same then.
fn assert_read_again<T: Serialize + DeserializeOwned>(document: &T) {
    let written = json::render(document);
    let again: T = serde_json::from_str(&written)
        .unwrap_or_else(|error| panic!("a document that cannot be read again: {error}"));
    assert_eq!(json::render(&again), written, "a document that was read again");
}
