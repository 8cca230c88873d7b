//! What follows from the sequence numbers of one flow: loss, reordering, duplicates; and its
//! jitter.
//!
//! Enters: the header of each datagram as it comes, and when. Leaves: counts. A bit for each of the
//! last 65,536 numbers distinguishes a late datagram from a copy; what is older still counts as
//! lost.

use crate::transport::datagram::Header;
use podperf_model::reading::Datagrams;
use podperf_model::result::end_result::FlowDatagrams;

/// Sequence numbers remembered below the highest.
const REMEMBERED_DATAGRAMS: u64 = 1 << 16;

/// One flow's receiver.
#[derive(Debug)]
pub(super) struct Tracker {
    seen: Box<[u64]>,
    counts: FlowDatagrams,
    jitter: Jitter,
}

impl Tracker {
    pub(super) fn new() -> Self {
        Self {
            seen: vec![0; (REMEMBERED_DATAGRAMS / 64) as usize].into_boxed_slice(),
            counts: FlowDatagrams::default(),
            jitter: Jitter::default(),
        }
    }

    /// Notes a datagram that came at `now_ns` by the receiver's clock. True: it had not come
    /// before.
    #[inline]
    pub(super) fn arrive(&mut self, header: Header, now_ns: u64) -> bool {
        let first = self.note(header);
        if first {
            self.jitter.arrive(header.sent_ns, now_ns);
            self.counts.life.jitter_ns = self.jitter.nanoseconds();
            if header.in_window {
                self.counts.window.jitter_ns = self.counts.life.jitter_ns;
            }
        }
        first
    }

    pub(super) const fn counts(&self) -> &FlowDatagrams {
        &self.counts
    }

    fn note(&mut self, Header { sequence, in_window, .. }: Header) -> bool {
        let next = self.counts.life.expected;
        if sequence >= next {
            self.forget(next, sequence);
            self.set(sequence);
            self.counts.life.expected = sequence + 1;
            self.count(in_window, |counts| counts.received += 1);
            return true;
        }
        let below = next - 1 - sequence;
        if below >= REMEMBERED_DATAGRAMS {
            // Late or a copy: it cannot be told any more, so it is left as lost.
            self.count(in_window, |counts| counts.reordered += 1);
            return false;
        }
        if self.is_set(sequence) {
            self.count(in_window, |counts| counts.duplicates += 1);
            return false;
        }
        self.set(sequence);
        self.count(in_window, |counts| {
            counts.received += 1;
            counts.reordered += 1;
            counts.distance_max = counts.distance_max.max(below);
        });
        true
    }

    #[inline]
    fn count(&mut self, in_window: bool, add: impl Fn(&mut Datagrams)) {
        add(&mut self.counts.life);
        if in_window {
            add(&mut self.counts.window);
        }
    }

    /// Clears what is remembered of numbers that come into sight: `from` to below `to`.
    fn forget(&mut self, from: u64, to: u64) {
        if to - from >= REMEMBERED_DATAGRAMS {
            self.seen.fill(0);
            return;
        }
        for sequence in from..to {
            let (word, bit) = place(sequence);
            self.seen[word] &= !bit;
        }
    }

    fn set(&mut self, sequence: u64) {
        let (word, bit) = place(sequence);
        self.seen[word] |= bit;
    }

    fn is_set(&self, sequence: u64) -> bool {
        let (word, bit) = place(sequence);
        self.seen[word] & bit != 0
    }
}

#[inline]
const fn place(sequence: u64) -> (usize, u64) {
    (((sequence % REMEMBERED_DATAGRAMS) / 64) as usize, 1 << (sequence % 64))
}

/// Interarrival jitter: the smoothed difference of transit times of consecutive arrivals,
/// J += (|D| − J) / 16 (RFC 3550, section 6.4.1). Datagrams that left in one send have one stamp;
/// the first of them to come speaks for all.
#[derive(Debug, Default)]
struct Jitter {
    /// Stamp and arrival of the last datagram, in nanoseconds by its own clock each.
    last: Option<(u64, u64)>,
    estimate_ns: f64,
}

impl Jitter {
    #[inline]
    #[expect(clippy::cast_precision_loss, reason = "a difference of times; 53 bits are enough")]
    fn arrive(&mut self, sent_ns: u64, now_ns: u64) {
        let last = self.last.replace((sent_ns, now_ns));
        let Some((last_sent, last_now)) = last else { return };
        if sent_ns == last_sent {
            self.last = last;
            return;
        }
        let arrived = i128::from(now_ns) - i128::from(last_now);
        let sent = i128::from(sent_ns) - i128::from(last_sent);
        let difference = (arrived - sent).unsigned_abs() as f64;
        self.estimate_ns += (difference - self.estimate_ns) / 16.0;
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "not negative")]
    const fn nanoseconds(&self) -> u64 {
        self.estimate_ns as u64
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn arrive(tracker: &mut Tracker, sequence: u64) -> bool {
        let header = Header { sequence, in_window: sequence.is_multiple_of(2), sent_ns: 0 };
        tracker.arrive(header, 0)
    }

    fn track(sequences: impl IntoIterator<Item = u64>) -> Datagrams {
        let mut tracker = Tracker::new();
        for sequence in sequences {
            arrive(&mut tracker, sequence);
        }
        tracker.counts().life
    }

    #[test]
    fn loss_is_what_was_expected_and_did_not_come() {
        let counts = track([0, 1, 2, 5, 6]);
        assert_eq!((counts.expected, counts.received, counts.reordered), (7, 5, 0));
        // The first datagrams may be lost too.
        let counts = track([3]);
        assert_eq!((counts.expected, counts.received), (4, 1));
    }

    #[test]
    fn a_late_datagram_is_reordered_and_not_lost_and_a_copy_is_neither() {
        // RFC 4737, section 3.3: 4 and 3 come after 5.
        let counts = track([0, 1, 2, 5, 4, 3, 6, 5, 3, 6]);
        assert_eq!((counts.expected, counts.received), (7, 7));
        assert_eq!((counts.reordered, counts.duplicates, counts.distance_max), (2, 3, 2));
    }

    #[test]
    fn what_is_older_than_the_memory_stays_lost() {
        let counts = track([0, REMEMBERED_DATAGRAMS + 1, 1, 2]);
        assert_eq!((counts.received, counts.reordered, counts.duplicates), (3, 2, 0));
        // 1 is beyond what is remembered, 2 is the oldest that is.
        assert_eq!(counts.distance_max, REMEMBERED_DATAGRAMS - 1);
        let counts = track([5, (1 << 62) - 1, (1 << 62) - 1 - REMEMBERED_DATAGRAMS]);
        assert_eq!((counts.expected, counts.received, counts.reordered), (1 << 62, 2, 1));
    }

    /// The example worked out by hand, in milliseconds: sent every 20, arrived after 5, 8, 6 and
    /// 6. D is 3, 2 and 0; J becomes 3/16 = 0.1875, then 0.1875 + 1.8125/16 = 0.30078125, then
    /// 0.30078125 · 15/16 = 0.281982421875.
    #[test]
    fn jitter_follows_the_formula_of_rfc_3550() {
        let mut jitter = Jitter::default();
        // The clocks of the two ends have nothing to do with each other.
        let offset = 7_000_000_000_000;
        let mut after = |number: u64, transit_ms: u64| {
            let sent = number * 20_000_000;
            jitter.arrive(sent, offset + sent + transit_ms * 1_000_000);
            jitter.estimate_ns
        };
        assert!(after(0, 5).abs() < 1e-9);
        assert!((after(1, 8) - 187_500.0).abs() < 1e-6);
        assert!((after(2, 6) - 300_781.25).abs() < 1e-6);
        assert!((after(3, 6) - 281_982.421_875).abs() < 1e-6);
        assert_eq!(jitter.nanoseconds(), 281_982);
    }

    #[test]
    fn datagrams_of_one_send_count_once_for_jitter() {
        let estimate = |copies| {
            let mut jitter = Jitter::default();
            for (sent, now) in [(0, 100), (1_000, 1_900), (2_000, 2_100)] {
                (0..copies).for_each(|later| jitter.arrive(sent, now + later));
            }
            jitter.nanoseconds()
        };
        assert_eq!(estimate(1), estimate(40));
    }

    proptest! {
        /// Against sets that remember everything, within the window of memory.
        #[test]
        fn counts_agree_with_sets(sequences in prop::collection::vec(0..2_000_u64, 0..400)) {
            let (mut seen, mut highest) = (BTreeSet::new(), None);
            let (mut reordered, mut duplicates) = (0, 0);
            let mut tracker = Tracker::new();
            for &sequence in &sequences {
                let first = seen.insert(sequence);
                duplicates += u64::from(!first);
                reordered += u64::from(first && highest.is_some_and(|highest| sequence < highest));
                highest = highest.max(Some(sequence));
                prop_assert_eq!(arrive(&mut tracker, sequence), first);
            }
            let FlowDatagrams { life, window } = *tracker.counts();
            prop_assert_eq!(life.received, seen.len() as u64);
            prop_assert_eq!(life.expected, highest.map_or(0, |highest| highest + 1));
            prop_assert_eq!((life.reordered, life.duplicates), (reordered, duplicates));
            let even = seen.iter().filter(|sequence| sequence.is_multiple_of(2)).count();
            prop_assert_eq!(window.received, even as u64);
        }

        #[test]
        fn no_sequence_makes_it_panic(
            steps in prop::collection::vec((0..1_u64 << 62, any::<u64>(), any::<u64>()), 0..20),
        ) {
            let mut tracker = Tracker::new();
            for (sequence, sent_ns, now_ns) in steps {
                tracker.arrive(Header { sequence, in_window: true, sent_ns }, now_ns);
            }
            let life = tracker.counts().life;
            prop_assert!(life.received <= life.expected);
        }
    }
}
