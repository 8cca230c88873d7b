//! Runs between hosts as samples of rows: each complete run is a sample of what it measured.

use crate::analysis::{summarise, warnings};
use crate::cluster::{Paragraph, doubts, short};
use crate::comparison::title;
use crate::overview::{Subject, verdict};
use crate::text::{place, row};
use podperf_model::result::cluster::{ClusterPlan, Sample};
use podperf_model::result::run::{Run, Status};
use podperf_model::result::wording::count;

/// Difference below which two rows count as alike, where no plan says otherwise.
const TOLERANCE_SHARE: f64 = 0.05;

/// The runs of a folder, or those that were named one by one; nothing without any.
pub(super) fn subject(name: String, runs: Vec<(String, Run)>) -> Option<Subject> {
    let (_, first) = runs.first()?;
    let about = about(&name, &runs);
    let title = match runs.len() {
        1 => format!("podperf {}", title_of(first)),
        several => format!("podperf: {several} runs between hosts"),
    };
    let mut commands: Vec<Vec<String>> = Vec::new();
    for (_, run) in &runs {
        if !commands.contains(&run.command) {
            commands.push(run.command.clone());
        }
    }
    let mut samples: Vec<Sample> = runs.into_iter().map(|(name, run)| sample(&name, run)).collect();
    samples.sort_by(|a, b| key(a).cmp(&key(b)));
    for place in 1..samples.len() {
        if key(&samples[place]) == key(&samples[place - 1]) {
            samples[place].sample = samples[place - 1].sample.saturating_add(1);
        }
    }
    (1..).zip(&mut samples).for_each(|(step, sample)| sample.step = step);
    let plan = ClusterPlan { tolerance_share: TOLERANCE_SHARE, ..ClusterPlan::default() };
    let summary = summarise(&plan, &samples);
    let warnings = warnings(&plan, &samples, &summary);
    Some(Subject {
        name,
        title,
        about,
        doubts: doubts(&summary.rows, &[], &warnings),
        verdict: verdict::of(&summary.rows, None, TOLERANCE_SHARE),
        rows: summary.rows,
        samples,
        commands,
        between_hosts: true,
    })
}

/// "stream, up, message 131072 B …".
fn title_of(run: &Run) -> String {
    serde_json::to_value(&run.plan).map_or_else(|_| "run".to_owned(), |plan| title(&plan))
}

/// The host that was named, without the port: it may be another each time.
fn target(run: &Run) -> &str {
    run.target.rsplit_once(':').map_or(run.target.as_str(), |(host, _)| host)
}

fn key(sample: &Sample) -> (&str, &str, u32) {
    (&sample.path, &sample.test, sample.flows)
}

fn sample(name: &str, run: Run) -> Sample {
    let incomplete = || {
        let cause = run.errors.first().map_or_else(|| "incomplete".to_owned(), ToString::to_string);
        format!("{name}: {cause}")
    };
    Sample {
        step: 0,
        path: target(&run).to_owned(),
        test: title_of(&run),
        flows: run.plan.flows,
        sample: 1,
        missing: (run.status != Status::Complete).then(incomplete),
        runs: vec![run],
    }
}

fn about(name: &str, runs: &[(String, Run)]) -> Vec<Paragraph> {
    let complete = runs.iter().filter(|(_, run)| run.status == Status::Complete).count();
    let times = || runs.iter().map(|(_, run)| run.started_at.as_str());
    let (first, last) = (times().min().unwrap_or_default(), times().max().unwrap_or_default());
    let all = count(u64::try_from(runs.len()).unwrap_or(u64::MAX), "run");
    let mut rows = vec![row("results", format!("{all} in {name}, complete: {complete}"))];
    let span = if first == last { short(first) } else { format!("{first} to {last}") };
    rows.push(row("started", span));
    for end in 0..2 {
        let mut places: Vec<(&str, String)> = Vec::new();
        for (_, run) in runs {
            let (name, host) = run.host.named()[end];
            let told = host.as_ref().map(|host| place(host, run.placement.named()[end].1.as_ref()));
            let told = told.map(|told| (name, told));
            places.extend(told.filter(|told| !places.contains(told)));
        }
        rows.extend(places.into_iter().map(|(end, place)| row(end, place)));
    }
    rows
}
