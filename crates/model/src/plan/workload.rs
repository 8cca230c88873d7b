//! What a flow does, and what a workload answers about itself.
//!
//! Everybody else asks these questions instead of matching on the variants, so that a new workload
//! says here what it is and needs no change where it is not named. What has to name it is listed in
//! docs/ARCHITECTURE.md.

use serde::{Deserialize, Serialize};

use super::udp::{UdpPlan, UdpRrPlan};
use super::{CrrPlan, Direction, LoadPlan, RrPlan, StreamPlan};
use crate::units::{BitRate, Bytes};

/// What a flow does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Workload {
    /// One-way bulk transfer.
    Stream(StreamPlan),
    /// A request, a response, and again.
    Rr(RrPlan),
    /// The same with a connection each time.
    Crr(CrrPlan),
    /// One-way datagrams.
    Udp(UdpPlan),
    /// A request, a response, and again, a datagram each.
    UdpRr(UdpRrPlan),
}

/// A workload out of what it is asked to do.
macro_rules! from {
    ($($plan:ident = $variant:ident),*) => {$(
        impl From<$plan> for Workload {
            fn from(plan: $plan) -> Self {
                Self::$variant(plan)
            }
        }
    )*};
}

from!(StreamPlan = Stream, RrPlan = Rr, CrrPlan = Crr, UdpPlan = Udp, UdpRrPlan = UdpRr);

impl Workload {
    /// It is made of transactions, each of which is timed.
    #[must_use]
    pub const fn transacts(&self) -> bool {
        self.direction().is_none()
    }

    /// Which way payload goes; absent: requests one way, responses the other.
    #[must_use]
    pub const fn direction(&self) -> Option<Direction> {
        match self {
            Self::Stream(stream) => Some(stream.direction),
            Self::Udp(udp) => Some(udp.direction),
            Self::Rr(_) | Self::Crr(_) | Self::UdpRr(_) => None,
        }
    }

    /// Its flows are made of datagrams.
    #[must_use]
    pub const fn is_udp(&self) -> bool {
        matches!(self, Self::Udp(_) | Self::UdpRr(_))
    }

    /// The bulk streams of TCP that it consists of.
    #[must_use]
    pub const fn stream(&self) -> Option<&StreamPlan> {
        if let Self::Stream(stream) = self { Some(stream) } else { None }
    }

    /// The requests and responses that it consists of, each flow on one connection.
    #[must_use]
    pub const fn request_response(&self) -> Option<&RrPlan> {
        if let Self::Rr(rr) = self { Some(rr) } else { None }
    }

    /// The connections that it opens and closes for each transaction: none of its connections
    /// lasts.
    #[must_use]
    pub const fn short_lived(&self) -> Option<&CrrPlan> {
        if let Self::Crr(crr) = self { Some(crr) } else { None }
    }

    /// The streams of datagrams that it consists of.
    #[must_use]
    pub const fn datagram_stream(&self) -> Option<&UdpPlan> {
        if let Self::Udp(udp) = self { Some(udp) } else { None }
    }

    /// The streams that load the path beside the flows that are measured.
    #[must_use]
    pub const fn load(&self) -> Option<&LoadPlan> {
        if let Self::Rr(rr) = self { rr.load.as_ref() } else { None }
    }

    /// Requests that may be in flight on one flow; absent: no transactions.
    #[must_use]
    pub const fn in_flight(&self) -> Option<u32> {
        match self {
            Self::Rr(rr) => Some(rr.burst),
            Self::Crr(_) | Self::UdpRr(_) => Some(1),
            Self::Stream(_) | Self::Udp(_) => None,
        }
    }

    /// Transactions started per second on a fixed schedule; absent: closed loop, or no
    /// transactions.
    #[must_use]
    pub const fn rate_per_second(&self) -> Option<f64> {
        match self {
            Self::Rr(rr) => rr.rate_per_second,
            Self::Crr(crr) => crr.rate_per_second,
            Self::Stream(_) | Self::Udp(_) | Self::UdpRr(_) => None,
        }
    }

    /// The rate at which each flow sends datagrams by its own schedule; absent: as fast as it can,
    /// or no such stream.
    #[must_use]
    pub fn datagram_rate(&self) -> Option<BitRate> {
        self.datagram_stream().and_then(|udp| udp.bits_per_second)
    }

    /// It sends by a schedule of its own: transactions, or datagrams at a rate.
    #[must_use]
    pub fn is_scheduled(&self) -> bool {
        self.rate_per_second().is_some() || self.datagram_rate().is_some()
    }

    /// Datagrams larger than the path's MTU are fragmented.
    #[must_use]
    pub const fn fragments(&self) -> bool {
        match self {
            Self::Udp(udp) => udp.fragment,
            Self::UdpRr(rr) => rr.fragment,
            Self::Stream(_) | Self::Rr(_) | Self::Crr(_) => false,
        }
    }

    /// Payload of the largest datagram; absent where there are none, or the path decides.
    #[must_use]
    pub fn largest_datagram(&self) -> Option<Bytes> {
        match self {
            Self::Udp(udp) => udp.datagram_bytes,
            Self::UdpRr(rr) => Some(rr.request_bytes.max(rr.response_bytes)),
            Self::Stream(_) | Self::Rr(_) | Self::Crr(_) => None,
        }
    }

    /// The same with datagrams that fit a segment of `mss_bytes`, unless a size was asked for.
    #[must_use]
    pub fn settled(self, mss_bytes: u64) -> Self {
        match self {
            Self::Udp(udp) => Self::Udp(udp.settled(mss_bytes)),
            other => other,
        }
    }
}
