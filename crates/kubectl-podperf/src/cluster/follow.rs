//! Follows a run by the log of its coordinator, and watches its pods meanwhile.
//!
//! The log is the run's record, so a connection that breaks costs nothing: it is read again from
//! its beginning, and what is known already is skipped. What came in stays with the caller even
//! where following is broken off.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use futures::{AsyncBufReadExt as _, StreamExt as _, pin_mut};
use k8s_openapi::api::core::v1::Pod;
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::api::Cluster;
use crate::cluster::log_state::LogState;
use crate::cluster::pod_health::{self, PodHealth};
use crate::cluster::ready;
use crate::plan::labels;
use crate::plan::test_plan;
use crate::progress::ProgressLine;
use podperf_model::error::{Error, Kind, Result};
use podperf_model::result::cluster::ProbeFacts;
use podperf_model::result::run::Run;
use podperf_model::run_log::{Item, LogRecord, Reader};
use podperf_model::units;

/// Silence after which a connection is dead: a coordinator logs something every two seconds.
const LOG_SILENCE_TIMEOUT: Duration = Duration::from_secs(20);
/// Pause between two tries to read the log.
const RECONNECT_INTERVAL: Duration = Duration::from_secs(1);
/// Time between two checks of the pods.
const POD_POLL_INTERVAL: Duration = Duration::from_secs(2);
/// Time for the step under way to end once a pod has failed: peers notice within 5 s.
const STEP_END_TIMEOUT: Duration = Duration::from_secs(12);

/// Reads the log of one run, and watches its pods.
pub(crate) struct LogFollower<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) run_id: &'a str,
    /// The coordinator's pod.
    pub(crate) coordinator: &'a str,
    /// Pods that have to be there until the end.
    pub(crate) pods: Vec<String>,
    /// How long the log may be out of reach.
    pub(crate) retry_time: Duration,
    /// Time of one step, to estimate what is left.
    pub(crate) step_time: Duration,
    pub(crate) progress: &'a ProgressLine,
}

impl LogFollower<'_> {
    /// Follows until the coordinator has finished.
    ///
    /// # Errors
    /// When the coordinator, or a pod of the run, ends before that, or the API server stays away.
    pub(crate) async fn until_finished(&self, state: &RefCell<LogState>) -> Result<()> {
        tokio::select! {
            ended = self.read_on(state) => ended,
            failed = self.watch_pods(state) => Err(failed),
        }
    }

    /// Reads the log once, as far as it goes.
    ///
    /// # Errors
    /// When it cannot be read.
    pub(crate) async fn once(&self, state: &RefCell<LogState>) -> Result<()> {
        let mut reader = Reader::new();
        self.attach(&mut reader, state, false).await.map_err(|cause| {
            Error::new(Kind::Unmeasured, "read the log of pod", cause).with_peer(self.coordinator)
        })?;
        self.take_damaged(reader, state);
        Ok(())
    }

    async fn read_on(&self, state: &RefCell<LogState>) -> Result<()> {
        let mut reader = Reader::new();
        let mut unreachable_since: Option<Instant> = None;
        loop {
            let read_before = state.borrow().results.len();
            let ended = self.attach(&mut reader, state, true).await;
            if state.borrow().finished.is_some() {
                self.take_damaged(reader, state);
                return Ok(());
            }
            if state.borrow().results.len() > read_before || ended.is_ok() {
                unreachable_since = None;
            }
            let cause = ended.err().unwrap_or_else(|| "the log came to its end".to_owned());
            if let Some(error) = self.coordinator_ended(&cause).await {
                return Err(error);
            }
            let since = *unreachable_since.get_or_insert_with(Instant::now);
            if since.elapsed() >= self.retry_time {
                state.borrow_mut().unreachable = true;
                let retry_time = humantime::format_duration(self.retry_time);
                let cause = format!("not to be had for {retry_time}: {cause}");
                return Err(Error::new(Kind::Incomplete, "follow the log of pod", cause)
                    .with_peer(self.coordinator)
                    .with_remedy(format!(
                        "the run goes on in the cluster: kubectl podperf collect {}",
                        self.run_id
                    )));
            }
            self.progress.wait(&format!("reading the log again: {cause}"));
            sleep(RECONNECT_INTERVAL).await;
        }
    }

    /// Reads one connection, from the log's beginning to where it breaks.
    async fn attach(
        &self,
        reader: &mut Reader,
        state: &RefCell<LogState>,
        follow: bool,
    ) -> Result<(), String> {
        let log = self.cluster.follow(self.coordinator, "coordinator", follow).await?;
        pin_mut!(log);
        let mut lines = log.lines();
        loop {
            match timeout(LOG_SILENCE_TIMEOUT, lines.next()).await {
                Ok(Some(Ok(line))) => {
                    if let Some(item) = reader.line(&line) {
                        self.take(item, state);
                    }
                }
                Ok(Some(Err(error))) => return Err(error.to_string()),
                Ok(None) => return Ok(()),
                Err(_) => return Err(format!("silent for {} s", LOG_SILENCE_TIMEOUT.as_secs())),
            }
            if follow && state.borrow().finished.is_some() {
                return Ok(());
            }
        }
    }

    /// The error of a coordinator that ended without its last record; none while it runs.
    async fn coordinator_ended(&self, cause: &str) -> Option<Error> {
        let failed = |cause: &str| {
            Error::new(Kind::Incomplete, "follow the coordinator in pod", cause)
                .with_peer(self.coordinator)
        };
        match self.cluster.get::<Pod>(self.coordinator).await {
            Ok(None) => Some(failed("the pod is gone; did somebody delete it?")),
            Ok(Some(pod)) => match pod_health::health(&pod) {
                PodHealth::Failed(why) => Some(failed(&why)),
                PodHealth::Ended => {
                    Some(failed(&format!("it ended without its last record; {cause}")))
                }
                PodHealth::Ready | PodHealth::Waiting(_) => None,
            },
            Err(_) => None,
        }
    }

    fn take_damaged(&self, reader: Reader, state: &RefCell<LogState>) {
        for item in reader.finish() {
            self.take(item, state);
        }
    }

    fn take(&self, item: Item, state: &RefCell<LogState>) {
        let mut state = state.borrow_mut();
        match item {
            Item::Result { header, run } => {
                self.progress.note(&sample_line(&header.test, header.sample, &run, {
                    (header.step, state.steps)
                }));
                state.results.insert((header.step, header.agent), *run);
            }
            Item::Damaged { header, cause } => {
                let cause = format!("the result came damaged out of the log: {cause}");
                state.missing.insert((header.step, Some(header.agent)), cause);
            }
            Item::LogRecord(record) => self.record(record, &mut state),
        }
    }

    fn record(&self, record: LogRecord, state: &mut LogState) {
        match record {
            LogRecord::Started { steps, .. } => state.steps = steps,
            LogRecord::Joined { agent } => self.progress.wait(&format!("{agent} has joined")),
            LogRecord::Probed { agent, path, address, expect, met, seconds, cause } => {
                if !met {
                    let cause = cause.as_deref().unwrap_or("no cause given");
                    self.progress.note(&format!("path {path}, {agent} to {address}: {cause}"));
                }
                let probe = ProbeFacts { path, agent, address, expect, met, seconds, cause };
                state.probes.push(probe);
            }
            LogRecord::Heartbeat {
                step,
                steps,
                test,
                sample,
                bits_per_second,
                transactions_per_second,
                ..
            } => {
                let Some((step, test)) = step.zip(test) else {
                    return self.progress.wait("the clients join and probe their paths");
                };
                let rate = rate_text(bits_per_second, transactions_per_second);
                let left = self.step_time * steps.saturating_sub(step - 1);
                let sample = sample.unwrap_or_default();
                self.progress.wait(&format!(
                    "{step}/{steps}  {}  sample {sample}  {rate}  about {} s left",
                    test_text(&test),
                    left.as_secs()
                ));
            }
            LogRecord::Missing { step, test, sample, agent, cause } => {
                let test = test_text(&test);
                self.progress.note(&format!("no result of {test}, sample {sample}: {cause}"));
                state.missing.insert((step, agent), cause);
            }
            LogRecord::Lost { agent, cause } => {
                self.progress.note(&format!("{agent} is lost: {cause}"));
                state.lost.push((agent, cause));
            }
            LogRecord::Finished { cause, .. } => state.finished = Some(cause),
            LogRecord::Result(_) | LogRecord::ResultEnd { .. } => {}
        }
    }

    /// Returns when a pod of the run has failed or is gone, once the step under way had its time.
    async fn watch_pods(&self, state: &RefCell<LogState>) -> Error {
        loop {
            sleep(POD_POLL_INTERVAL).await;
            let selector = labels::selector(self.run_id);
            // The log's reader decides when an API server has been away for too long.
            let Ok(pods) = self.cluster.list::<Pod>(&selector).await else { continue };
            let Some(error) = self.failed_pod(&pods).await else { continue };
            self.progress.note(&error.to_string());
            let results = state.borrow().results.len();
            let end = Instant::now() + STEP_END_TIMEOUT;
            while Instant::now() < end && state.borrow().results.len() == results {
                sleep(Duration::from_millis(200)).await;
            }
            return error;
        }
    }

    async fn failed_pod(&self, pods: &[Pod]) -> Option<Error> {
        let there: BTreeMap<&str, &Pod> =
            pods.iter().filter_map(|pod| Some((pod.metadata.name.as_deref()?, pod))).collect();
        for name in self.pods.iter().filter(|name| *name != self.coordinator) {
            let Some(pod) = there.get(name.as_str()) else {
                let cause = "it is gone; did somebody delete it, or drain its node?";
                return Some(Error::new(Kind::Incomplete, "run pod", cause).with_peer(name));
            };
            if pod.metadata.deletion_timestamp.is_some() {
                let cause = "it is being deleted; did somebody delete it, or drain its node?";
                return Some(Error::new(Kind::Incomplete, "run pod", cause).with_peer(name));
            }
            if let PodHealth::Failed(why) = pod_health::health(pod) {
                let why = self.with_last_lines(name, pod, why).await;
                return Some(ready::failed(name, pod, &why).with_kind(Kind::Incomplete));
            }
        }
        None
    }

    /// The status has the last lines of a container that failed, unless it had none to give.
    async fn with_last_lines(&self, name: &str, pod: &Pod, why: String) -> String {
        if why.contains("its last lines") {
            return why;
        }
        let container = pod.spec.as_ref().and_then(|spec| spec.containers.first());
        let Some(container) = container else { return why };
        let tail = timeout(POD_POLL_INTERVAL, self.cluster.log_tail(name, &container.name)).await;
        match tail {
            Ok(Ok(tail)) if !tail.trim().is_empty() => {
                format!("{why}; its last lines: {}", pod_health::last_lines(&tail))
            }
            _ => why,
        }
    }
}

/// A test's name for people: path, test and flows.
fn test_text(id: &str) -> String {
    test_plan::parse_id(id)
        .map_or_else(|| id.to_owned(), |(test, flows, path)| format!("{path} {test} x{flows}"))
}

fn rate_text(bits_per_second: Option<f64>, transactions_per_second: Option<f64>) -> String {
    match (bits_per_second, transactions_per_second) {
        (_, Some(rate)) => format!("{rate:.0} trans/s"),
        (Some(rate), None) => units::rate_text(rate),
        (None, None) => String::new(),
    }
}

fn sample_line(test: &str, sample: u32, run: &Run, (step, steps): (u32, u32)) -> String {
    let rate = match (&run.transactions, &run.throughput) {
        (Some(transactions), _) => format!("{:.0} trans/s", transactions.per_second),
        (None, Some(throughput)) => units::rate_text(throughput.bits_per_second),
        (None, None) => "nothing measured".to_owned(),
    };
    let errors = run.errors.first().map_or_else(String::new, |error| format!("  {error}"));
    format!("{step}/{steps}  {}  sample {sample}  {rate}{errors}", test_text(test))
}
