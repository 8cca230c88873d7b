//! Documents and folders of them, out of those that were written before.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use podperf_model::result::cluster::{ClusterRun, PlannedRow, Sample};
use podperf_model::result::run::{PerCpu, Run, Status};
use podperf_report::analysis::{summarise, warnings};
use tempfile::TempDir;

pub(super) fn fixture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/documents/v1");
    fs::read_to_string(folder.join(name)).unwrap()
}

pub(super) fn run(name: &str) -> Run {
    serde_json::from_str(&fixture(name)).unwrap()
}

/// Of streams: so many, on machines of 32 CPUs, in a window of three intervals.
pub(super) fn streams(flows: u32, bits_per_second: f64, noise: &mut Noise) -> Run {
    let mut run = run("stream.json");
    run.plan.flows = flows;
    run.window.as_mut().unwrap().seconds = 3.0;
    run.throughput.as_mut().unwrap().bits_per_second = bits_per_second;
    let stream = run.streams[0].clone();
    let share = bits_per_second / f64::from(flows);
    run.streams = (0..flows)
        .map(|id| {
            let bits_per_second = Some(share * noise.about_one(0.1));
            podperf_model::result::run::Stream { id, bits_per_second, ..stream.clone() }
        })
        .collect();
    let interval = run.intervals[0].clone();
    run.intervals = (0..3)
        .map(|second| {
            let mut own = interval.clone();
            (own.start_seconds, own.end_seconds) = (f64::from(second), f64::from(second + 1));
            own.bits_per_second = Some(bits_per_second * noise.about_one(0.05));
            own.retransmits = Some(noise.below(7));
            for cpu in [&mut own.cpu.client, &mut own.cpu.server].into_iter().flatten() {
                let share = |id: u32| (id, 0.05 * f64::from(15 - id) * noise.about_one(0.2));
                cpu.kernel_share_by_cpu = (0..16).map(share).collect();
            }
            own
        })
        .collect();
    for cpu in [&mut run.cpu.client, &mut run.cpu.server].into_iter().flatten() {
        let line = |cpu: u32, noise: &mut Noise| {
            let mut own = PerCpu { cpu, ..PerCpu::default() };
            own.modes.softirq = 0.5 * noise.about_one(0.9);
            own.modes.system = 0.3 * noise.about_one(0.9);
            own
        };
        cpu.per_cpu = (0..32).map(|id| line(id, noise)).collect();
    }
    run
}

pub(super) fn requests(flows: u32, factor: f64) -> Run {
    let mut run = run("rr.json");
    run.plan.flows = flows;
    run.transactions.as_mut().unwrap().per_second /= factor;
    let latency = run.latency.as_mut().unwrap();
    latency.mean = latency.mean.map(|mean| mean * factor);
    run
}

/// Numbers that are the same in every run of the tests.
pub(super) struct Noise(pub(super) u64);

impl Noise {
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695);
        (self.0 >> 33) % bound
    }

    pub(super) fn about_one(&mut self, spread: f64) -> f64 {
        1.0 + spread * (f64::from(u32::try_from(self.below(2_000)).unwrap()) / 1_000.0 - 1.0)
    }
}

/// A run on Kubernetes by the launcher's defaults: host and another path, which carries less.
pub(super) fn cluster(path: &str, samples: u32) -> ClusterRun {
    let mut document: ClusterRun = serde_json::from_str(&fixture("cluster.json")).unwrap();
    let mut noise = Noise(1);
    let paths = ["host".to_owned(), path.to_owned()];
    let tests = [("tcp_stream", vec![1, 2, 4, 8, 16, 32]), ("tcp_rr", vec![1, 16])];
    let planned = paths.iter().flat_map(|path| {
        tests.iter().flat_map(move |(test, flows)| {
            let row = |flows: &u32| PlannedRow {
                path: path.clone(),
                test: (*test).to_owned(),
                flows: *flows,
            };
            flows.iter().map(row)
        })
    });
    document.plan.rows = planned.collect();
    document.plan.paths = paths.to_vec();
    document.plan.flows = tests[0].1.clone();
    document.plan.samples = samples;
    document.samples.clear();
    for sample in 1..=samples {
        for row in &document.plan.rows {
            let share = if row.path == "host" { 1.0 } else { 0.7 } * noise.about_one(0.02);
            let full = f64::from(row.flows.min(3)) / 3.0;
            let run = match &*row.test {
                "tcp_stream" => streams(row.flows, 9.4e9 * share * full, &mut noise),
                _ => requests(row.flows, 1.0 / share),
            };
            document.samples.push(Sample {
                step: u32::try_from(document.samples.len()).unwrap() + 1,
                path: row.path.clone(),
                test: row.test.clone(),
                flows: row.flows,
                sample,
                missing: None,
                runs: vec![run],
            });
        }
    }
    document.summary = summarise(&document.plan, &document.samples);
    document.warnings = warnings(&document.plan, &document.samples, &document.summary);
    (document.status, document.errors) = (Status::Complete, Vec::new());
    document
}

/// Files to report on.
pub(super) struct Results(TempDir);

impl Results {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(super) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        fs::write(self.path(name), content).unwrap();
    }

    pub(super) fn document(&self, name: &str, document: &impl serde::Serialize) {
        self.write(name, serde_json::to_vec(document).unwrap());
    }

    pub(super) fn podperf(&self, line: &str) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_podperf"));
        command.current_dir(self.0.path()).args(line.split_whitespace());
        command.stdin(Stdio::null()).output().unwrap()
    }

    pub(super) fn stdout(&self, line: &str) -> String {
        let output = self.podperf(line);
        assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(super) fn page(&self, results: &str) -> String {
        let name = self.stdout(&format!("report {results} --html page.html"));
        assert_eq!(name, "page.html\n");
        fs::read_to_string(self.path("page.html")).unwrap()
    }
}
