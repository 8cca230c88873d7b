//! What a search that is over shows: outcome, plateau, streams that reach it, what bounds it, and
//! the curve.

use super::figures::PlateauFigures;
use super::search::{Search, SearchEnd};
use crate::analysis::estimate;
use podperf_model::facts::HostFacts;
use podperf_model::plan::Role;
use podperf_model::result::run::{Bound, Ends, Status, Warning};
use podperf_model::result::saturation::{
    CurvePoint, LinkRate, LinkSource, Saturation, SaturationOutcome, SaturationSample,
    StreamsBound, StreamsCpu,
};
use podperf_model::result::wording::count;
use podperf_model::units::{BitRate, float, rate_text};

/// Idle share of all CPUs below which a machine is full, as for the verdict of a run.
const MAX_IDLE_SHARE: f64 = 0.05;

/// Fills in all that is made of the samples.
pub(super) fn conclude(document: &mut Saturation, search: &Search, given_link: Option<BitRate>) {
    document.curve = curve(&document.samples, search);
    let whole = document.status == Status::Complete;
    let end = search.end().filter(|_| whole || search.end() == Some(SearchEnd::Saturated));
    (document.outcome, document.reason) = outcome(document, end);
    let saturates = document.outcome == SaturationOutcome::Saturates;
    if let Some(figures) = PlateauFigures::of(search.samples()).filter(|_| saturates) {
        document.plateau_bits_per_second = Some(figures.plateau);
        let [n90, n95, n99] = figures.needed;
        (document.n90, document.n95, document.n99) = (Some(n90), Some(n95), Some(n99));
    }
    document.bound = bound(document);
    document.link = link(document, given_link);
    warn(document);
}

fn outcome(document: &Saturation, end: Option<SearchEnd>) -> (SaturationOutcome, String) {
    let plan = &document.search;
    let percent = 100.0 * plan.tolerance_share;
    let most = plan.max_streams;
    match end {
        Some(SearchEnd::Saturated) => (
            SaturationOutcome::Saturates,
            format!(
                "two further numbers of streams gain less than {percent} %, by the upper ends of \
                 their intervals"
            ),
        ),
        Some(SearchEnd::StillGaining) => (
            SaturationOutcome::NoPlateau,
            format!(
                "up to {most} streams (--max-streams) there is no number beyond which two further \
                 ones gain less than {percent} %"
            ),
        ),
        Some(SearchEnd::IntervalsTooWide) => (
            SaturationOutcome::NotShown,
            format!(
                "the intervals stay wider than the tolerance of {percent} %; longer windows (-t), \
                 more samples (--samples) or a quieter machine narrow them"
            ),
        ),
        Some(SearchEnd::TimeLimit) => (
            SaturationOutcome::NotShown,
            format!("the time limit of {} s (--time-limit) came first", plan.time_limit_seconds),
        ),
        None => (SaturationOutcome::NotShown, "the search broke off".to_owned()),
    }
}

/// Samples that say something of a number of streams.
fn complete(samples: &[SaturationSample]) -> impl Iterator<Item = (&SaturationSample, f64)> {
    let whole = samples.iter().filter(|sample| sample.status == Status::Complete);
    whole.filter_map(|sample| Some((sample, sample.goodput_bits_per_second?)))
}

fn curve(samples: &[SaturationSample], search: &Search) -> Vec<CurvePoint> {
    search.samples().iter().filter_map(|own| point(samples, own.streams)).collect()
}

fn point(samples: &[SaturationSample], streams: u32) -> Option<CurvePoint> {
    let own: Vec<(&SaturationSample, f64)> =
        complete(samples).filter(|(sample, _)| sample.streams == streams).collect();
    let goodput: Vec<f64> = own.iter().map(|(_, goodput)| *goodput).collect();
    let segments: Option<u64> = own.iter().map(|(sample, _)| sample.retransmits).sum();
    let bits: f64 = own
        .iter()
        .map(|(sample, goodput)| goodput * sample.window_seconds.unwrap_or_default())
        .sum();
    let cpu = |role: Role| {
        let known = || own.iter().filter_map(|(sample, _)| sample.cpu.get(role).as_ref());
        let mean = |of: fn(&StreamsCpu) -> Option<f64>| {
            let figures: Vec<f64> = known().filter_map(of).collect();
            estimate(&figures).map(|figure| figure.mean)
        };
        mean(|cpu| Some(cpu.busy_cores)).map(|busy_cores| StreamsCpu {
            busy_cores,
            idle_share: mean(|cpu| cpu.idle_share),
            cores_per_gbit: mean(|cpu| cpu.cores_per_gbit),
        })
    };
    Some(CurvePoint {
        streams,
        goodput_bits_per_second: estimate(&goodput)?,
        retransmitted_segments_per_gb: segments
            .filter(|_| bits > 0.0)
            .map(|segments| float(segments) / (bits / 8e9)),
        cpu: Ends::of(cpu),
    })
}

/// What most of the runs with more streams than the answer were bound by: at the answer itself it
/// may still be what each stream asks for. Without an answer, of those with the most streams.
fn bound(document: &Saturation) -> Option<StreamsBound> {
    let most_streams = document.curve.last()?.streams;
    let beyond = document.n95.map_or(most_streams - 1, |needed| needed.streams);
    // The answer may be the last number, where means that fell made it the first one to reach.
    let beyond = beyond.min(most_streams - 1);
    let runs: Vec<&SaturationSample> = complete(&document.samples)
        .map(|(own, _)| own)
        .filter(|own| own.streams > beyond)
        .collect();
    let of = |by: Bound| runs.iter().filter(move |run| run.verdict.bound_by == by);
    let most = runs.iter().map(|run| run.verdict.bound_by).max_by_key(|by| of(*by).count())?;
    let streams = document.curve.iter().map(|point| point.streams);
    let streams = streams.filter(|streams| *streams > beyond).collect();
    let idle = |role: Role| {
        let shares = runs.iter().filter_map(|run| run.cpu.get(role).as_ref()?.idle_share);
        estimate(&shares.collect::<Vec<f64>>()).map(|idle| idle.mean)
    };
    let idle = [idle(Role::Client), idle(Role::Server)].into_iter().flatten();
    let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
    Some(StreamsBound {
        bound_by: most,
        runs: narrow(of(most).count()),
        of_runs: narrow(runs.len()),
        cpus_full: idle.reduce(f64::min).is_some_and(|idle| idle < MAX_IDLE_SHARE),
        streams,
        evidence: of(most).next_back().map(|run| run.verdict.evidence.clone())?,
    })
}

/// The rate that was given, or that of the slower device of both ends.
fn link(document: &Saturation, given: Option<BitRate>) -> Option<LinkRate> {
    let speed = |host: &Option<HostFacts>| host.as_ref()?.device.as_ref()?.speed_bits_per_second;
    let devices = document.host.named().map(|(_, host)| speed(host)).into_iter().flatten();
    let device = devices.filter(|speed| *speed > 0).min();
    let (bits_per_second, source) = match (given, device) {
        (Some(given), _) => (float(given.0), LinkSource::Given),
        (None, Some(speed)) => (float(speed), LinkSource::Device),
        (None, None) => return None,
    };
    let answer = document.n95.map(|needed| needed.streams);
    let point = document.curve.iter().find(|point| Some(point.streams) == answer);
    let goodput_share = point.map(|point| point.goodput_bits_per_second.mean / bits_per_second);
    Some(LinkRate { bits_per_second, source, goodput_share })
}

/// What makes the search itself doubtful.
fn warn(document: &mut Saturation) {
    let failed = document.samples.iter().filter(|sample| sample.status != Status::Complete);
    let failed = failed.count();
    if failed > 0 {
        let first = document.samples.iter().flat_map(|sample| &sample.errors).next();
        let why = first.map_or_else(String::new, |error| format!("; the first: {error}"));
        let failed = u32::try_from(failed).unwrap_or(u32::MAX);
        document.warnings.push(Warning {
            code: "samples_failed".to_owned(),
            text: format!("{} incomplete and in none of the figures{why}", was(failed)),
            remedy: "see what the path or the server does to some runs and not to others"
                .to_owned(),
        });
    }
    let most = document.curve.iter().map(|point| point.goodput_bits_per_second.mean);
    let most = most.reduce(f64::max).unwrap_or(0.0);
    let device = document.link.filter(|link| link.source == LinkSource::Device);
    if let Some(link) = device.filter(|link| most > link.bits_per_second) {
        document.link = None;
        document.warnings.push(Warning {
            code: "link_rate_exceeded".to_owned(),
            text: format!(
                "goodput of {} is above the {} that a device tells as its rate",
                rate_text(most),
                rate_text(link.bits_per_second)
            ),
            remedy: "give the link's own rate with --link".to_owned(),
        });
    }
}

fn was(failed: u32) -> String {
    format!("{} {}", count(failed, "sample"), if failed == 1 { "was" } else { "were" })
}
