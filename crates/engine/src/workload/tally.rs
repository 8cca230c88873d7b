//! What one flow has moved: written by its worker alone, read by the engine.
//!
//! Each tally has its own cache lines, and an update is a plain load and store: with one writer
//! no locked instruction is needed.

use std::sync::atomic::{AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

use podperf_model::reading::Datagrams;

/// Counters of one flow since it was connected.
#[derive(Debug, Default)]
pub struct Tally(CachePadded<Counters>);

#[derive(Debug, Default)]
struct Counters {
    bytes_sent: AtomicU64,
    send_calls: AtomicU64,
    bytes_received: AtomicU64,
    receive_calls: AtomicU64,
    transactions: AtomicU64,
    latency_sum_ns: AtomicU64,
    /// Nanoseconds from the release to the first payload, plus one; 0: none yet.
    first_step: AtomicU64,
    drained: AtomicU64,
    datagrams: AtomicDatagrams,
}

/// [`Datagrams`] without the drops at the socket.
#[derive(Debug, Default)]
struct AtomicDatagrams {
    sent: AtomicU64,
    received: AtomicU64,
    expected: AtomicU64,
    reordered: AtomicU64,
    duplicates: AtomicU64,
    distance_max: AtomicU64,
    jitter_ns: AtomicU64,
}

/// One reading of a [`Tally`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Bytes the kernel took.
    pub bytes_sent: u64,
    /// Send calls that moved bytes.
    pub send_calls: u64,
    /// Bytes received.
    pub bytes_received: u64,
    /// Receive calls that moved bytes.
    pub receive_calls: u64,
    /// Transactions completed in the window.
    pub transactions: u64,
    /// Sum of their latencies in nanoseconds.
    pub latency_sum_ns: u64,
    /// When the first payload moved, in nanoseconds since the release.
    pub first_step_ns: Option<u64>,
    /// The flow came to its planned end.
    pub drained: bool,
    /// Of a flow of datagrams.
    pub datagrams: Datagrams,
}

#[inline]
fn add(counter: &AtomicU64, amount: u64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
}

impl Tally {
    /// A send call moved `bytes`.
    #[inline]
    pub fn sent(&self, bytes: usize) {
        add(&self.0.bytes_sent, bytes as u64);
        add(&self.0.send_calls, 1);
    }

    /// A receive call brought `bytes`.
    #[inline]
    pub fn received(&self, bytes: usize) {
        add(&self.0.bytes_received, bytes as u64);
        add(&self.0.receive_calls, 1);
    }

    /// A transaction ended inside the window.
    #[inline]
    pub fn transaction(&self, latency_ns: u64) {
        add(&self.0.transactions, 1);
        add(&self.0.latency_sum_ns, latency_ns);
    }

    /// What a flow of datagrams has come to.
    #[inline]
    pub fn datagrams(&self, now: &Datagrams) {
        let AtomicDatagrams {
            sent,
            received,
            expected,
            reordered,
            duplicates,
            distance_max,
            jitter_ns,
        } = &self.0.datagrams;
        sent.store(now.sent, Ordering::Relaxed);
        received.store(now.received, Ordering::Relaxed);
        expected.store(now.expected, Ordering::Relaxed);
        reordered.store(now.reordered, Ordering::Relaxed);
        duplicates.store(now.duplicates, Ordering::Relaxed);
        distance_max.store(now.distance_max, Ordering::Relaxed);
        jitter_ns.store(now.jitter_ns, Ordering::Relaxed);
    }

    /// The first payload moved, so many nanoseconds after the release.
    pub fn first_step(&self, ns: u64) {
        self.0.first_step.store(ns.saturating_add(1), Ordering::Relaxed);
    }

    /// The flow came to its planned end.
    pub fn drained(&self) {
        self.0.drained.store(1, Ordering::Relaxed);
    }

    /// Reads all counters. Each is exact; together they are as of slightly different instants.
    #[must_use]
    pub fn read(&self) -> Count {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Count {
            bytes_sent: get(&self.0.bytes_sent),
            send_calls: get(&self.0.send_calls),
            bytes_received: get(&self.0.bytes_received),
            receive_calls: get(&self.0.receive_calls),
            transactions: get(&self.0.transactions),
            latency_sum_ns: get(&self.0.latency_sum_ns),
            first_step_ns: get(&self.0.first_step).checked_sub(1),
            drained: get(&self.0.drained) == 1,
            datagrams: Datagrams {
                sent: get(&self.0.datagrams.sent),
                received: get(&self.0.datagrams.received),
                expected: get(&self.0.datagrams.expected),
                reordered: get(&self.0.datagrams.reordered),
                duplicates: get(&self.0.datagrams.duplicates),
                distance_max: get(&self.0.datagrams.distance_max),
                jitter_ns: get(&self.0.datagrams.jitter_ns),
                socket_drops: None,
            },
        }
    }
}
