//! The search for the number of streams that fills a path: which sample comes next, and when
//! enough is known.
//!
//! Enters: settings, the goodput of each sample as it comes, and how much time has passed. Leaves:
//! the streams of the next sample, or how the search ended. Nothing here measures, waits or reads a
//! clock, so that a command can search, a coordinator with several paths in turn, and a test on
//! curves that it made up.
//!
//! The numbers of streams are 1, 2, 3, 4, 6, 8, 12, 16 and so on. Samples are taken in rounds of
//! different numbers in a drawn order, because a curve that is measured from left to right takes
//! drift in time for an effect of the streams; for the same reason what new numbers are held
//! against is measured again beside them. The search ends when [`FURTHER_STEPS`] numbers beyond one
//! gain less over it than the tolerance, each by the upper end of its interval, and the neighbours
//! of the answer have been repeated.

use std::ops::Range;
use std::time::Duration;

use super::figures::{ANSWER_SHARE, StreamSamples, means, streams_needed};
use crate::analysis::ratio;

/// Numbers of streams beyond the answer that have to gain too little.
const FURTHER_STEPS: usize = 2;
/// The least that `max_streams` may be: one stream, and so many beyond it.
pub const MIN_MAX_STREAMS: u32 = 3;

/// How to search.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SearchSettings {
    /// Streams that are tried at the most, [`MIN_MAX_STREAMS`] at least.
    pub max_streams: u32,
    /// Gain below which more streams count as no gain, as a share (0.05 is 5 %).
    pub tolerance_share: f64,
    /// Samples of each number of streams.
    pub samples: usize,
    /// Samples of the answer and its neighbours.
    pub repeats: usize,
    /// Warm-up and window of one sample.
    pub sample_time: Duration,
    /// Time after which no sample is begun.
    pub time_limit: Duration,
    /// Of the order within the rounds.
    pub seed: u64,
}

/// How a search ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SearchEnd {
    /// More streams gain nothing: shown by the intervals.
    Saturated,
    /// The last of all numbers of streams gained more than the tolerance, or only one came after
    /// the last that did.
    StillGaining,
    /// More streams seem to gain nothing, and the intervals are too wide to show it.
    IntervalsTooWide,
    /// There was no time for more samples.
    TimeLimit,
}

/// A search under way.
#[derive(Debug, Clone)]
pub struct Search {
    settings: SearchSettings,
    /// By rising number of streams; some may be still to come.
    all: Vec<StreamSamples>,
    /// Streams of the next samples, the last of them first.
    queue: Vec<u32>,
    begun: u32,
    random: fastrand::Rng,
    end: Option<SearchEnd>,
}

impl Search {
    /// Begins a search.
    #[must_use]
    pub fn new(settings: SearchSettings) -> Self {
        let first = stream_counts(settings.max_streams).into_iter().take(1 + FURTHER_STEPS);
        Self {
            settings,
            all: first.map(|streams| planned(streams, settings.samples)).collect(),
            queue: Vec::new(),
            begun: 0,
            random: fastrand::Rng::with_seed(settings.seed),
            end: None,
        }
    }

    /// The streams of the next sample, `elapsed` after the search began; nothing when it has ended.
    /// A sample that failed is simply not added: it is asked for again.
    pub fn next_streams(&mut self, elapsed: Duration) -> Option<u32> {
        if self.end.is_none() && self.queue.is_empty() {
            self.end = self.plan();
        }
        if self.end.is_none() && elapsed + self.sample_cost(elapsed) > self.settings.time_limit {
            let shown = self.shown(self.base()) >= FURTHER_STEPS;
            self.end = Some(if shown { SearchEnd::Saturated } else { SearchEnd::TimeLimit });
        }
        if self.end.is_some() {
            return None;
        }
        self.begun += 1;
        self.queue.pop()
    }

    /// Takes up the goodput of a sample, in bits per second.
    pub fn add(&mut self, streams: u32, bits_per_second: f64) {
        let mut own = self.all.iter_mut().filter(|own| own.streams == streams);
        own.next().into_iter().for_each(|own| own.goodputs.push(bits_per_second));
    }

    /// All samples so far, by rising number of streams; some numbers may have none yet.
    #[must_use]
    pub fn samples(&self) -> &[StreamSamples] {
        &self.all
    }

    /// How it ended; nothing while it goes on.
    #[must_use]
    pub const fn end(&self) -> Option<SearchEnd> {
        self.end
    }

    /// Samples that are planned and not yet taken.
    #[must_use]
    pub fn planned(&self) -> usize {
        self.queue.len()
    }

    /// What a sample takes: by the plan, or as long as those so far, whichever is more.
    fn sample_cost(&self, elapsed: Duration) -> Duration {
        let so_far = elapsed.checked_div(self.begun).unwrap_or_default();
        so_far.max(self.settings.sample_time)
    }

    /// Queues the samples that are needed next, or ends the search.
    fn plan(&mut self) -> Option<SearchEnd> {
        if self.enqueue() {
            return None;
        }
        let base = self.base();
        let further = self.all.iter().filter(|own| own.streams > base).count();
        if self.shown(base) >= FURTHER_STEPS {
            let answer = streams_needed(&self.all, ANSWER_SHARE).unwrap_or(base);
            let place = self.all.iter().position(|own| own.streams == answer).unwrap_or(0);
            self.repeat(place.saturating_sub(1)..place + 2);
            return if self.enqueue() { None } else { Some(SearchEnd::Saturated) };
        }
        // New numbers are held against these, which are measured again beside them; and where there
        // are enough numbers already, narrower intervals may do.
        self.repeat(self.all.len() - 1 - further..self.all.len());
        if further >= FURTHER_STEPS && self.enqueue() {
            return None;
        }
        let missing = FURTHER_STEPS.saturating_sub(further).max(1);
        let tried = self.all.last().map_or(0, |own| own.streams);
        let untried = stream_counts(self.settings.max_streams).into_iter();
        let new: Vec<u32> = untried.filter(|streams| *streams > tried).take(missing).collect();
        if new.is_empty() {
            let enough = further >= FURTHER_STEPS;
            let wide = SearchEnd::IntervalsTooWide;
            return Some(if enough { wide } else { SearchEnd::StillGaining });
        }
        let samples = self.settings.samples;
        self.all.extend(new.into_iter().map(|streams| planned(streams, samples)));
        self.enqueue();
        None
    }

    /// Asks for as many samples of these as the neighbours of an answer have.
    fn repeat(&mut self, places: Range<usize>) {
        let end = places.end.min(self.all.len());
        for own in &mut self.all[places.start..end] {
            own.wanted = self.settings.repeats;
        }
    }

    /// Queues what is wanted and not there, in rounds in a drawn order; whether there was any. What
    /// is needed less often than there are rounds is spread over them.
    fn enqueue(&mut self) -> bool {
        let missing = |own: &StreamSamples| own.wanted.saturating_sub(own.goodputs.len());
        let rounds = self.all.iter().map(missing).max().unwrap_or(0);
        for round in 0..rounds {
            let due = |own: &&StreamSamples| {
                (round + 1) * missing(own) / rounds > round * missing(own) / rounds
            };
            let first = self.queue.len();
            self.queue.extend(self.all.iter().filter(due).map(|own| own.streams));
            self.random.shuffle(&mut self.queue[first..]);
        }
        self.queue.reverse();
        rounds > 0
    }

    /// The smallest number of streams over which none of those beyond it gains as much as the
    /// tolerance, by the means: the last one, if no other.
    fn base(&self) -> u32 {
        let means = means(&self.all);
        let gains = |own: f64, other: f64| other / own >= 1.0 + self.settings.tolerance_share;
        let none_gains = |place: usize| {
            !means[place + 1..].iter().any(|(_, other)| gains(means[place].1, *other))
        };
        (0..means.len()).find(|place| none_gains(*place)).map_or(0, |place| means[place].0)
    }

    /// How many numbers of streams beyond `base` are shown to gain less than the tolerance.
    fn shown(&self, base: u32) -> usize {
        let Some(own) = self.all.iter().find(|own| own.streams == base) else { return 0 };
        let less = |other: &&StreamSamples| {
            let high = ratio(&other.goodputs, &own.goodputs).and_then(|gain| gain.high);
            high.is_some_and(|high| high < 1.0 + self.settings.tolerance_share)
        };
        self.all.iter().filter(|other| other.streams > base).filter(less).count()
    }
}

const fn planned(streams: u32, wanted: usize) -> StreamSamples {
    StreamSamples { streams, goodputs: Vec::new(), wanted }
}

/// 1, 2, 3, 4, 6, 8, 12, 16 … up to `max_streams`, which is the last.
#[must_use]
pub fn stream_counts(max_streams: u32) -> Vec<u32> {
    let powers = (0..u32::BITS).map(|power| 1_u32 << power);
    let steps = powers.flat_map(|power| [power, power + power / 2]);
    let mut counts: Vec<u32> = steps.filter(|streams| *streams < max_streams).collect();
    counts.push(max_streams);
    counts.dedup();
    counts
}

#[cfg(test)]
mod tests;
