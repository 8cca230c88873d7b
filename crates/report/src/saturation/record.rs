//! A search as it goes on: what was measured so far, what comes next, and the document at the end.
//!
//! Enters: the plan, and each run when it is over. Leaves: the streams of the next run, and one
//! document. A run that failed is tried once more; what breaks the search off stands in the
//! document beside everything that was measured before.

use std::mem;
use std::time::Duration;

use super::conclusion::conclude;
use super::figures::{ANSWER_SHARE, streams_needed};
use super::search::{Search, SearchEnd, SearchSettings};
use crate::analysis::estimate;
use podperf_model::error::{Code, Error, Kind};
use podperf_model::plan::{Direction, Plan};
use podperf_model::result::run::{Ends, Run, Status};
use podperf_model::result::saturation::{
    LoadedLatency, SCHEMA, Saturation, SaturationLatency, SaturationOutcome, SaturationSample,
    SearchPlan, StreamsCpu,
};
use podperf_model::result::wording::count;
use podperf_model::units::{BitRate, float, rate_text};

/// Samples that may fail one after the other.
const MAX_FAILED: u32 = 2;

/// Goodput by the link's rate that a single sample has to exceed, to say that the rate is wrong.
const FEW_MARGIN: f64 = 1.25;

/// What is searched, and what is known of it so far.
#[derive(Debug)]
pub struct SearchRecord {
    search: Search,
    given_link: Option<BitRate>,
    failed_in_a_row: u32,
    broken_off: bool,
    document: Saturation,
}

impl SearchRecord {
    /// Begins a search by runs of `plan`, which has one stream.
    #[must_use]
    pub fn new(plan: Plan, settings: SearchSettings, given_link: Option<BitRate>) -> Self {
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        let search = SearchPlan {
            direction: plan.workload.direction().unwrap_or(Direction::Up),
            max_streams: settings.max_streams,
            tolerance_share: settings.tolerance_share,
            samples: narrow(settings.samples),
            repeats: narrow(settings.repeats),
            time_limit_seconds: settings.time_limit.as_secs_f64(),
            seed: settings.seed,
        };
        let document = Saturation {
            schema: SCHEMA.to_owned(),
            started_at: String::new(),
            seconds: 0.0,
            command: Vec::new(),
            target: String::new(),
            search,
            plan,
            status: Status::Incomplete,
            errors: Vec::new(),
            outcome: SaturationOutcome::NotShown,
            reason: String::new(),
            plateau_bits_per_second: None,
            n90: None,
            n95: None,
            n99: None,
            link: None,
            bound: None,
            curve: Vec::new(),
            latency: SaturationLatency::default(),
            host: Ends::default(),
            samples: Vec::new(),
            warnings: Vec::new(),
        };
        let search = Search::new(settings);
        Self { search, given_link, failed_in_a_row: 0, broken_off: false, document }
    }

    /// The streams of the next run, `elapsed` after the first began; nothing when the search is
    /// over.
    pub fn next_streams(&mut self, elapsed: Duration) -> Option<u32> {
        if self.broken_off { None } else { self.search.next_streams(elapsed) }
    }

    /// Takes up a run of streams, complete or not.
    pub fn add(&mut self, mut run: Run) {
        self.take_facts(&mut run);
        let goodput = run.throughput.as_ref().map(|all| all.bits_per_second);
        match goodput {
            Some(goodput) if run.status == Status::Complete => {
                self.failed_in_a_row = 0;
                self.search.add(run.plan.flows, goodput);
                self.hold_against_link(run.plan.flows, goodput);
            }
            _ => {
                self.failed_in_a_row += 1;
                if self.failed_in_a_row >= MAX_FAILED || run.errors.iter().any(ends_it) {
                    self.break_off(run.errors.clone());
                }
            }
        }
        self.document.samples.push(sample(run, goodput));
    }

    /// Takes up a request/response run, before the search or after it. One that failed breaks it
    /// off.
    pub fn add_latency(&mut self, mut run: Run) {
        self.take_facts(&mut run);
        let whole = run.status == Status::Complete;
        let load_streams = run.plan.load().map_or(0, |load| load.streams);
        match (run.latency, run.transactions) {
            (Some(latency), Some(transactions)) if whole => {
                let taken = LoadedLatency {
                    load_streams,
                    load_bits_per_second: run.load.map(|load| load.bits_per_second),
                    transactions_per_second: transactions.per_second,
                    latency,
                };
                let place = &mut self.document.latency;
                *(if load_streams == 0 { &mut place.idle } else { &mut place.at_n95 }) =
                    Some(taken);
            }
            _ => self.break_off(run.errors),
        }
    }

    /// The answer, n95, of a search that has shown one.
    #[must_use]
    pub fn answer(&self) -> Option<u32> {
        let shown = !self.broken_off && self.search.end() == Some(SearchEnd::Saturated);
        let needed = || streams_needed(self.search.samples(), ANSWER_SHARE);
        shown.then(needed).flatten()
    }

    /// The search itself: what it has and what it still plans.
    #[must_use]
    pub const fn search(&self) -> &Search {
        &self.search
    }

    /// Something broke it off.
    #[must_use]
    pub const fn is_broken_off(&self) -> bool {
        self.broken_off
    }

    /// Makes the document, after `elapsed` in all.
    #[must_use]
    pub fn finish(self, elapsed: Duration) -> Saturation {
        let Self { search, given_link, broken_off, mut document, .. } = self;
        document.seconds = elapsed.as_secs_f64();
        document.status = if broken_off { Status::Incomplete } else { Status::Complete };
        conclude(&mut document, &search, given_link);
        document
    }

    fn take_facts(&mut self, run: &mut Run) {
        let Saturation { started_at, target, host, warnings, .. } = &mut self.document;
        if started_at.is_empty() {
            started_at.clone_from(&run.started_at);
            *target = mem::take(&mut run.target);
        }
        for (own, other) in
            [(&mut host.client, &mut run.host.client), (&mut host.server, &mut run.host.server)]
        {
            if own.is_none() {
                *own = other.take();
            }
        }
        for warning in mem::take(&mut run.warnings) {
            if !warnings.iter().any(|known| known.code == warning.code) {
                warnings.push(warning);
            }
        }
    }

    fn break_off(&mut self, errors: Vec<Error>) {
        self.broken_off = true;
        self.document.errors.extend(errors);
    }

    /// A link that carries more than its rate has another rate. One short window may hold what was
    /// received before and read late, so that a few samples have to be well above it.
    fn hold_against_link(&mut self, streams: u32, goodput: f64) {
        let own = self.search.samples().iter().find(|own| own.streams == streams);
        let Some((own, link)) = own.zip(self.given_link) else { return };
        let all = own.goodputs.len() >= own.wanted;
        let mean = estimate(&own.goodputs).map_or(goodput, |estimate| estimate.mean);
        let above = if all { mean > float(link.0) } else { goodput > FEW_MARGIN * float(link.0) };
        if !above {
            return;
        }
        let (measured, streams) = (rate_text(goodput), count(streams, "stream"));
        let cause = format!(
            "it is below what was measured: {measured} with {streams}; give the link's \
             own rate, or none"
        );
        self.break_off(vec![Error::usage("--link", link, cause)]);
    }
}

/// What another run would meet again, or what the user asked for.
fn ends_it(error: &Error) -> bool {
    let asked = [Kind::Usage, Kind::Deadline, Kind::Interrupted, Kind::Terminated];
    let lasting = [
        Code::Refused,
        Code::Unauthorized,
        Code::Protocol,
        Code::NameResolution,
        Code::PermissionDenied,
        Code::NotSupported,
        Code::OtherServer,
    ];
    asked.contains(&error.kind) || lasting.contains(&error.code)
}

fn sample(run: Run, goodput: Option<f64>) -> SaturationSample {
    let cpu = Ends::of(|role| {
        run.cpu.get(role).as_ref().map(|cpu| StreamsCpu {
            busy_cores: cpu.busy,
            idle_share: (cpu.cpus > 0)
                .then(|| (cpu.modes.idle + cpu.modes.iowait) / f64::from(cpu.cpus)),
            cores_per_gbit: cpu.cores_per_gbit,
        })
    });
    SaturationSample {
        streams: run.plan.flows,
        started_at: run.started_at,
        status: run.status,
        errors: run.errors,
        window_seconds: run.window.map(|window| window.seconds),
        goodput_bits_per_second: goodput,
        retransmits: run.throughput.as_ref().and_then(|all| all.retransmits),
        cpu,
        verdict: run.verdict,
    }
}

#[cfg(test)]
mod tests;
