//! What a run on Kubernetes looks like, and that no line grows past the limit.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{markdown, text};
use crate::analysis::testing::{full, plan, samples};
use crate::analysis::{summarise, warnings};
use crate::json;
use crate::text::layout::WIDTH_CHARS;
use podperf_model::error::{Error, Kind};
use podperf_model::plan::Expect;
use podperf_model::result::cluster::{
    ClusterFacts, ClusterPlan, ClusterRun, NodeFacts, PodFacts, PolicyFacts, ProbeFacts, SCHEMA,
    Sample,
};
use podperf_model::result::merge::merge;
use podperf_model::result::proptest_inputs;
use podperf_model::result::run::{Ends, Status};
use podperf_model::result::testing::udp_input;

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn node(name: &str, address: &str) -> NodeFacts {
    NodeFacts {
        name: name.to_owned(),
        addresses: vec![address.to_owned()],
        zone: some("zone-1"),
        kernel: some("6.12.0"),
        os_image: some("Debian GNU/Linux 13"),
        container_runtime: some("containerd://2.0.0"),
        ..NodeFacts::default()
    }
}

fn document(plan: ClusterPlan, samples: Vec<Sample>) -> ClusterRun {
    let summary = summarise(&plan, &samples);
    ClusterRun {
        schema: SCHEMA.to_owned(),
        run_id: "pp-4f2a".to_owned(),
        podperf_version: "0.1.0".to_owned(),
        started_at: "2026-01-02T03:04:05Z".to_owned(),
        ended_at: "2026-01-02T03:24:05Z".to_owned(),
        command: vec!["kubectl-podperf".to_owned(), "run".to_owned()],
        status: Status::Complete,
        errors: Vec::new(),
        warnings: warnings(&plan, &samples, &summary),
        cluster: ClusterFacts {
            kubernetes_version: some("v1.34.1"),
            cni: some("flannel"),
            cni_version: some("v0.27.0"),
            encapsulation: some("vxlan"),
            kube_proxy_mode: None,
            pod_mtu_bytes: Some(1450),
            node_mtu_bytes: Some(1500),
            nodes: Ends {
                client: node("node-a", "192.0.2.1"),
                server: NodeFacts { zone: None, ..node("node-b", "192.0.2.2") },
            },
            unknown: BTreeMap::from([(
                "kube_proxy_mode".to_owned(),
                "its ConfigMap may not be read".to_owned(),
            )]),
        },
        pods: Vec::new(),
        probes: vec![ProbeFacts {
            path: "pod".to_owned(),
            agent: "client-pod".to_owned(),
            address: "10.244.1.2:5210".to_owned(),
            expect: Expect::Answer,
            met: true,
            seconds: 0.2,
            cause: None,
        }],
        policies: None,
        summary,
        samples,
        plan,
    }
}

fn normal() -> ClusterRun {
    let plan = plan(5);
    let mut samples = samples(&plan);
    for sample in samples.iter_mut().filter(|sample| sample.path == "host") {
        let hosts = &mut sample.runs[0].host;
        for host in [&mut hosts.client, &mut hosts.server] {
            let device = host.as_mut().unwrap().device.as_mut().unwrap();
            device.speed_bits_per_second = Some(10_000_000_000);
        }
    }
    document(plan, samples)
}

fn with_failures() -> ClusterRun {
    let plan = full(ClusterPlan { policies: 10, tests: vec!["tcp_stream".to_owned()], ..plan(4) });
    let mut all = samples(&plan);
    for sample in all.iter_mut().filter(|sample| sample.path == "service") {
        if sample.flows == 8 || sample.sample == 2 {
            sample.missing = Some("the path did not answer: connection refused".to_owned());
            sample.runs.clear();
        }
    }
    let mut run = document(plan, all);
    run.status = Status::Incomplete;
    run.errors.push(
        Error::new(Kind::Incomplete, "probe the path service at", "connection refused")
            .with_peer("10.96.0.7:5210")
            .with_remedy("look at the endpoints of the Service"),
    );
    run.probes.push(ProbeFacts {
        path: "policies".to_owned(),
        expect: Expect::NoAnswer,
        met: false,
        seconds: 10.0,
        cause: some("a podperf server answered"),
        ..run.probes[0].clone()
    });
    run.policies = Some(PolicyFacts { selecting: 10, idle: 0, enforced: Some(false) });
    run.pods.push(PodFacts {
        name: "server".to_owned(),
        injected_containers: vec!["mesh-proxy".to_owned()],
        ..PodFacts::default()
    });
    run
}

fn nothing() -> ClusterRun {
    let mut run = document(plan(3), Vec::new());
    run.status = Status::Incomplete;
    let cause = "0 of 2 nodes have room for the pod";
    run.errors.push(Error::new(Kind::Unmeasured, "wait for pod server", cause));
    run.cluster = ClusterFacts::default();
    run.probes.clear();
    run
}

/// Everything that others can name is long, wide, and full of what would be markup or control.
fn hostile() -> ClusterRun {
    let word = "長い<b>|`x`\u{1b}[31m\n**".repeat(60);
    let mut run = with_failures();
    let all = [&mut run.run_id, &mut run.started_at, &mut run.podperf_version];
    all.into_iter().for_each(|text| text.clone_from(&word));
    for row in &mut run.summary.rows {
        row.missing = Some(word.clone());
        row.path = format!("{}{word}", row.path);
        row.test.clone_from(&word);
        row.goodput_bits_per_second.as_mut().map(|rate| rate.mean *= 1e30).unwrap_or_default();
    }
    for sample in &mut run.samples {
        for run in &mut sample.runs {
            let host = run.host.client.as_mut().unwrap();
            host.cpu_model = Some(word.clone());
            host.device.as_mut().unwrap().name.clone_from(&word);
            host.device.as_mut().unwrap().offloads =
                (0..40).map(|number| (format!("{number}{word}"), true)).collect();
        }
    }
    run.cluster.cni = Some(word.clone());
    run.cluster.unknown.insert("kube_proxy_mode".to_owned(), word.clone());
    run.cluster.nodes.client.name.clone_from(&word);
    run.plan.paths = vec![word.clone(); 3];
    run.plan.tests = vec![word.clone(); 3];
    run.errors[0].cause.clone_from(&word);
    run.warnings[0].text.clone_from(&word);
    run.probes[1].cause = Some(word.clone());
    run.probes[1].address.clone_from(&word);
    run.pods[0].injected_containers = vec![word; 2];
    run
}

fn as_text(run: &ClusterRun) -> String {
    let mut bytes = Vec::new();
    text::render(run, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

fn as_markdown(run: &ClusterRun) -> String {
    let mut bytes = Vec::new();
    markdown::render(run, &mut bytes).unwrap();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn a_run_of_three_paths() {
    insta::assert_snapshot!(as_text(&normal()));
}

#[test]
fn a_run_of_three_paths_to_paste() {
    insta::assert_snapshot!(as_markdown(&normal()));
}

#[test]
fn a_run_with_missing_samples() {
    insta::assert_snapshot!(as_text(&with_failures()));
}

#[test]
fn a_run_that_measured_nothing() {
    insta::assert_snapshot!(as_text(&nothing()));
}

#[test]
fn a_run_of_datagrams() {
    let plan =
        full(ClusterPlan { tests: vec!["udp_stream".to_owned()], flows: vec![2], ..plan(2) });
    let mut samples = samples(&plan);
    samples.iter_mut().for_each(|sample| sample.runs = vec![merge(udp_input())]);
    let text = as_text(&document(plan, samples));
    let pod = text.lines().find(|line| line.starts_with("pod ")).unwrap();
    // 40 of 4,000, on every path.
    assert!(pod.contains(" 1.000 ") && text.contains("  lost "), "{text}");
    assert!(text.contains("no difference"), "{text}");
}

/// Columns that a line takes: the wide characters of these tests take two.
fn columns(line: &str) -> usize {
    line.chars().map(|char| if ('\u{3000}'..='\u{9fff}').contains(&char) { 2 } else { 1 }).sum()
}

fn fits(text: &str) -> Result<(), String> {
    for line in text.lines() {
        if columns(line) > usize::from(WIDTH_CHARS) || line.chars().any(char::is_control) {
            return Err(format!("{} columns: {line:?}", columns(line)));
        }
    }
    Ok(())
}

#[test]
fn no_line_is_wider_than_the_limit_and_no_control_character_gets_out() {
    for run in [normal(), with_failures(), nothing(), hostile()] {
        assert_eq!(fits(&as_text(&run)), Ok(()));
    }
}

#[test]
fn usual_figures_break_no_row() {
    let text = as_text(&normal());
    let mut lines = text.lines();
    let mut rows = 0;
    while let Some(line) = lines.next() {
        if !line.starts_with('─') {
            continue;
        }
        for row in lines.by_ref().take_while(|line| !line.is_empty()) {
            assert!(!row.starts_with(' '), "{row}\n{text}");
            rows += 1;
        }
    }
    assert_eq!(rows, 24, "{text}");
}

#[test]
fn what_others_wrote_is_no_markup() {
    let text = as_markdown(&hostile());
    assert!(!text.contains("<b>") && !text.contains("\u{1b}"), "{text}");
    let bars = |line: &str| line.replace("\\|", "").matches('|').count();
    let lines: Vec<&str> = text.lines().collect();
    let tables = lines.chunk_by(|a, b| a.starts_with('|') == b.starts_with('|'));
    let tables: Vec<_> = tables.filter(|lines| lines[0].starts_with('|')).collect();
    assert_eq!(tables.len(), 2);
    for table in tables {
        assert_eq!(table.len(), 8);
        assert!(table.iter().all(|line| bars(line) == bars(table[0])), "{}", table.join("\n"));
    }
    assert_eq!(text.lines().filter(|line| line.starts_with("## ")).count(), 1);
}

#[test]
fn the_json_document_comes_back_as_it_was() {
    for run in [normal(), with_failures(), nothing()] {
        let text = json::render(&run);
        let back: ClusterRun = serde_json::from_str(&text).unwrap();
        assert!(back == run);
        assert!(text.ends_with("}\n"));
    }
    let value: serde_json::Value = serde_json::from_str(&json::render(&normal())).unwrap();
    let pod = &value["summary"]["rows"][4];
    assert_eq!((&pod["path"], &pod["test"]), (&"pod".into(), &"tcp_stream".into()));
    assert_eq!(pod["rate_vs_baseline"]["difference"], "slower");
    assert!(pod["rate_vs_baseline"]["low"].is_f64());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]
    #[test]
    fn no_result_of_an_end_breaks_summary_or_page(
        inputs in prop::collection::vec(proptest_inputs::input(), 1..4),
    ) {
        let plan = plan(1);
        let paths = plan.paths.iter().cycle();
        let samples = (1..).zip(inputs).zip(paths).map(|((step, input), path)| Sample {
            step,
            path: path.clone(),
            test: "tcp_stream".to_owned(),
            flows: 1,
            sample: step,
            missing: None,
            runs: vec![merge(input)],
        });
        let run = document(plan.clone(), samples.collect());
        prop_assert_eq!(fits(&as_text(&run)), Ok(()));
        let escapes = as_markdown(&run).contains('\u{1b}');
        prop_assert!(!escapes);
    }
}
