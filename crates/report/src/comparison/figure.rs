//! What is compared of a row, and its samples beside those of the baseline.

use super::rows::{CompleteSample, SideRow};
use crate::analysis::{Better, RunSamples};

/// What is compared of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RowFigure {
    Goodput,
    Transactions,
    Latency,
}

impl RowFigure {
    pub(super) const fn better(self) -> Better {
        match self {
            Self::Goodput | Self::Transactions => Better::Higher,
            Self::Latency => Better::Lower,
        }
    }

    /// The name, and the unit of its means.
    pub(super) const fn name(self) -> (&'static str, &'static str) {
        match self {
            Self::Goodput => ("goodput", "bit/s"),
            Self::Transactions => ("transactions", "1/s"),
            Self::Latency => ("mean latency", "ns"),
        }
    }

    pub(super) fn value(self, sample: &CompleteSample) -> Option<f64> {
        match self {
            Self::Goodput | Self::Transactions => Some(sample.rate),
            Self::Latency => sample.latency_ns,
        }
    }

    pub(super) fn of(row: &SideRow) -> &'static [Self] {
        if row.transacts { &[Self::Transactions, Self::Latency] } else { &[Self::Goodput] }
    }
}

/// A row of a side and its baseline.
pub(super) struct Against {
    /// By run, the row's samples and the baseline's.
    runs: Vec<[Vec<f64>; 2]>,
    /// Of each round that has both, the sample by the baseline's. What the baseline's samples vary
    /// by is in each of them anew, so that they are as independent as the rounds.
    pub(super) by_round: Vec<f64>,
}

impl Against {
    /// Nothing where a run has no baseline.
    pub(super) fn of(row: &SideRow, base: Option<&SideRow>, figure: RowFigure) -> Option<Self> {
        let values = |own: &[CompleteSample]| -> Vec<f64> {
            own.iter().filter_map(|sample| figure.value(sample)).collect()
        };
        let mut against = Self { runs: Vec::new(), by_round: Vec::new() };
        for (run, own) in &row.runs {
            let base = base?.runs.get(run)?;
            for sample in own {
                let partner = base.iter().find(|other| other.round == sample.round);
                let pair = figure.value(sample).zip(partner.and_then(|own| figure.value(own)));
                let pair = pair.map(|(own, base)| own / base).filter(|own| own.is_finite());
                against.by_round.extend(pair);
            }
            against.runs.push([values(own), values(base)]);
        }
        Some(against)
    }

    pub(super) fn samples(&self) -> Vec<RunSamples<'_>> {
        self.runs.iter().map(|[path, baseline]| RunSamples { path, baseline }).collect()
    }
}
