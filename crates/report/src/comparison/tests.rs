//! Verdicts of constructed sides, and what their combination means for a gate.

use serde_json::json;

use super::documents::{Content, Document, ReadCluster, ReadRun, Side};
use super::judge::Comparison;
use super::{junit, render};
use podperf_model::result::cluster::Difference;

type SideDocument = Document<ReadRun, ReadCluster>;

const SPREAD: [f64; 7] = [1.000, 1.010, 0.991, 1.005, 0.994, 1.007, 0.993];

fn run(workload: &str, rate: f64, rounds: f64) -> serde_json::Value {
    json!({
        "status": "complete",
        "plan": {"workload": {"kind": workload, "message_bytes": 1024}, "flows": 1},
        "throughput": {"bits_per_second": rate},
        "transactions": (workload == "rr").then(|| json!({"per_second": rate})),
        "latency": (workload == "rr").then(|| json!({"count": 10, "mean_ns": rounds / rate})),
        "host": {"client": {"kernel": "6.12.0", "boot_id": "x"}, "server": null},
    })
}

/// Rows of paths, each with a rate, measured in as many rounds as there are factors.
fn document(paths: &[(&str, f64)], workload: &str, factors: &[f64]) -> SideDocument {
    let mut samples = Vec::new();
    for (round, factor) in (1..).zip(factors) {
        for (place, (path, rate)) in paths.iter().enumerate() {
            // Each path varies in its own time.
            let other = factors[(usize::try_from(round).unwrap() + 2 * place) % factors.len()];
            let rate = rate * if place == 0 { *factor } else { other };
            samples.push(json!({"path": path, "test": workload, "flows": 1, "sample": round,
                "runs": [run(workload, rate, 1e9)]}));
        }
    }
    let paths: Vec<&str> = paths.iter().map(|(path, _)| *path).collect();
    let plan = json!({"paths": paths, "tests": [workload], "samples": factors.len()});
    let cluster = json!({"plan": plan, "samples": samples});
    let cluster: ReadCluster = serde_json::from_value(cluster).unwrap();
    Document { name: "result.json".to_owned(), content: Content::Cluster(Box::new(cluster)) }
}

fn side(documents: Vec<SideDocument>) -> Side {
    Side { name: "side".to_owned(), documents, left_out: Vec::new() }
}

fn verdicts(comparison: &Comparison) -> Vec<(Option<&str>, Difference, bool)> {
    let lines = comparison.lines.iter();
    lines.map(|line| (line.key.path.as_deref(), line.verdict, line.over_tolerance)).collect()
}

#[test]
fn paths_are_judged_by_their_ratio_to_the_baseline_of_their_own_run() {
    use Difference::{Faster, NoDifferenceShown, Slower};
    let a = side(vec![document(&[("host", 4e9), ("pod", 2e9), ("service", 1e9)], "s", &SPREAD)]);
    let paths = [("host", 8e9), ("pod", 4e9), ("service", 1.6e9)];
    let b = side(vec![document(&paths, "s", &SPREAD)]);
    let comparison = Comparison::of(&[a, b], 0.05);
    assert_eq!(
        verdicts(&comparison),
        [
            (Some("host"), Faster, false),
            (Some("pod"), NoDifferenceShown, false),
            (Some("service"), Slower, true),
        ]
    );
    let service = &comparison.lines[2];
    assert!((service.plain.ratio - 1.6).abs() < 1e-9, "{service:?}");
    assert!((service.judged().ratio - 0.8).abs() < 1e-9, "{service:?}");
    // Three tests; 7 samples against 7 that do not overlap.
    assert!((service.corrected_p.unwrap() - 3.0 * 2.0 / 3_432.0).abs() < 1e-9, "{service:?}");
    let mean = &comparison.means[..];
    assert!(mean.len() == 1 && (mean[0].ratio - 0.8_f64.sqrt()).abs() < 1e-9, "{mean:?}");
    assert_eq!((comparison.exit_status(false), comparison.missing), (1, 0));
}

#[test]
fn runs_of_a_side_are_pooled_each_by_its_own_baseline() {
    let of = |host: f64| document(&[("host", host), ("pod", host / 2.0)], "s", &SPREAD[..4]);
    let a = side(vec![of(4e9), of(9e9)]);
    let b = side(vec![of(6e9), of(2e9)]);
    let comparison = Comparison::of(&[a, b], 0.05);
    let pod = &comparison.lines[1];
    assert_eq!((pod.samples, pod.key.path.as_deref()), ([8, 8], Some("pod")));
    assert!((pod.judged().ratio - 1.0).abs() < 1e-9 && pod.plain.ratio < 0.7, "{pod:?}");
}

#[test]
fn a_shorter_latency_is_faster() {
    let a = side(vec![document(&[("host", 1e4)], "rr", &SPREAD)]);
    let b = side(vec![document(&[("host", 1.2e4)], "rr", &SPREAD)]);
    let comparison = Comparison::of(&[a, b], 0.05);
    let verdicts = verdicts(&comparison);
    assert_eq!(verdicts, [(Some("host"), Difference::Faster, false); 2]);
    assert!(comparison.lines[1].judged().ratio < 0.85);
    assert_eq!(comparison.exit_status(true), 0);
}

#[test]
fn too_few_samples_call_nothing_and_are_told() {
    let a = side(vec![document(&[("host", 4e9)], "s", &SPREAD[..3])]);
    let b = side(vec![document(&[("host", 1e9)], "s", &SPREAD[..3])]);
    let comparison = Comparison::of(&[a, b], 0.05);
    assert_eq!(verdicts(&comparison), [(Some("host"), Difference::Inconclusive, false)]);
    assert_eq!((comparison.exit_status(false), comparison.exit_status(true)), (0, 1));
    let mut text = Vec::new();
    render::text(&comparison, &mut text).unwrap();
    let text = String::from_utf8(text).unwrap();
    let advice = "too few to show any difference, however large; take 6 of each row";
    assert!(text.replace("\n         ", " ").contains(advice), "{text}");
}

#[test]
fn a_comparison_without_a_row_is_one_too() {
    let comparison = Comparison::of(&[side(Vec::new()), side(Vec::new())], 0.05);
    assert_eq!(comparison.exit_status(true), 3);
    for render in [render::text, render::as_markdown, render::as_csv] {
        render(&comparison, &mut Vec::new()).unwrap();
    }
    junit::render(&comparison, true, &mut Vec::new()).unwrap();
}
