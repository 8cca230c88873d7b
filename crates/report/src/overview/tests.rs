//! Verdicts in words, and what becomes of rows without a figure.

use super::verdict;
use crate::analysis::summarise;
use crate::analysis::testing::{plan, samples};
use podperf_model::result::cluster::Row;

#[test]
fn the_verdict_names_the_worst_row_of_each_path_and_test() {
    let plan = plan(7);
    let summary = summarise(&plan, &samples(&plan));
    let told = verdict::of(&summary.rows, summary.baseline.as_deref(), 0.05);
    assert!(
        told[0].starts_with("Of 8 rows held against host, 8 are slower (8 by more"),
        "{told:?}"
    );
    let opening = |words: &str| told.iter().filter(|own| own.starts_with(words)).count();
    for (words, sentences) in [
        ("tcp_stream over pod, ", 1),
        ("tcp_stream over service, ", 1),
        ("tcp_rr over service, ", 1),
        ("tcp_stream over host, ", 1),
    ] {
        assert_eq!(opening(words), sentences, "{words}: {told:?}");
    }
    assert!(told.iter().any(|own| own.contains("service") && own.contains("goodput is 44.")));
}

#[test]
fn without_a_baseline_rows_speak_for_themselves() {
    let plan = plan(1);
    let mut rows = summarise(&plan, &samples(&plan)).rows;
    rows.push(Row { path: "p".into(), failed: 2, ..Row::default() });
    let told = verdict::of(&rows, None, 0.05);
    assert!(told[0].starts_with("tcp_stream over host, 1 flow: goodput "), "{told:?}");
    assert_eq!(told.last().unwrap(), "Not whole, and in no figure: 2 samples.");
    assert!(!told.iter().any(|own| own.contains("interval")), "{told:?}");
    assert_eq!(verdict::of(&rows[rows.len() - 1..], None, 0.05), ["Nothing was measured whole."]);
}
