//! What all of the output is made from, and what follows from it: rates and costs.

use super::{Facts, units};
use crate::figures::{CpuPercent, EndFigures, Figures};
use crate::options::{Options, PerEnd, Unit};
use crate::test_kind::{Protocol, TestDirection};

/// Which end a figure is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TestEnd {
    /// netperf's.
    Local,
    /// netserver's.
    Remote,
}

impl TestEnd {
    /// This side's part of a pair.
    pub(super) const fn of<T>(self, pair: &PerEnd<T>) -> &T {
        match self {
            Self::Local => &pair.local,
            Self::Remote => &pair.remote,
        }
    }
}

/// One test: what was asked and what came of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct View<'a> {
    pub(super) options: &'a Options,
    pub(super) figures: &'a Figures,
    pub(super) facts: &'a Facts,
}

impl<'a> View<'a> {
    pub(super) const fn direction(&self) -> TestDirection {
        self.options.shape.direction
    }

    /// Requests and responses are exchanged.
    pub(super) const fn exchanges(&self) -> bool {
        matches!(
            self.direction(),
            TestDirection::RequestResponse | TestDirection::ConnectRequestResponse
        )
    }

    pub(super) const fn end(&self, side: TestEnd) -> &'a EndFigures {
        match side {
            TestEnd::Local => &self.figures.local,
            TestEnd::Remote => &self.figures.remote,
        }
    }

    pub(super) fn unit(&self) -> Unit {
        units::of_result(self.options)
    }

    /// The result in its unit.
    pub(super) fn throughput(&self) -> f64 {
        let figures = self.figures;
        units::rate(self.unit(), figures.bytes_per_second, figures.transactions_per_second)
    }

    /// Bytes a second over the data phase.
    pub(super) fn bytes_per_second(&self, bytes: u64) -> f64 {
        units::per(units::float(bytes), self.figures.elapsed_seconds)
    }

    /// What this end sent a second, in the unit of what goes one way.
    pub(super) fn send_rate(&self, side: TestEnd) -> f64 {
        self.one_way(self.end(side).counters.bytes_sent)
    }

    /// What this end received a second, likewise.
    pub(super) fn receive_rate(&self, side: TestEnd) -> f64 {
        self.one_way(self.end(side).counters.bytes_received)
    }

    fn one_way(&self, bytes: u64) -> f64 {
        units::rate(units::of_one_way(self.options), self.bytes_per_second(bytes), None)
    }

    /// Where CPU cost is per transaction, not per KiB.
    pub(super) fn demand_is_per_transaction(&self) -> bool {
        self.unit() == Unit::Transactions
    }

    /// CPU time in microseconds that a KiB or a transaction costs this end; absent where CPU was
    /// not measured. Datagrams sent one way cost both ends by what was sent.
    pub(super) fn demand_us(&self, side: TestEnd) -> Option<f64> {
        let CpuPercent { cpus, util_percent, .. } = self.end(side).cpu?;
        let figures = self.figures;
        let shape = self.options.shape;
        let datagrams = shape.protocol == Protocol::Udp && shape.direction == TestDirection::Send;
        let units = if self.demand_is_per_transaction() {
            figures.transactions_per_second.unwrap_or(0.0)
        } else if datagrams {
            self.bytes_per_second(figures.local.counters.bytes_sent) / 1024.0
        } else {
            figures.bytes_per_second / 1024.0
        };
        Some(units::per(util_percent / 100.0 * f64::from(cpus) * 1e6, units))
    }

    /// How CPU was measured: `S` for /proc/stat, `U` for not at all.
    pub(super) const fn method(&self, side: TestEnd) -> char {
        if self.end(side).cpu.is_some() { 'S' } else { 'U' }
    }
}

/// A figure that may be absent, as netperf has it: -1.
pub(super) fn whole<T: Into<i64>>(value: Option<T>) -> i64 {
    value.map_or(-1, Into::into)
}

/// Likewise, not whole.
pub(super) fn real(value: Option<f64>) -> f64 {
    value.map_or(-1.0, units::tame)
}
