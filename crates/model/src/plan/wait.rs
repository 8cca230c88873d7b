//! How a worker waits for what the other end sends.

use serde::{Deserialize, Serialize};

use crate::units::{Invalid, parse_count};

/// Longest time that one receive call may poll the device, in microseconds: beyond it a call would
/// hold its CPU for longer than any sensible round trip.
pub const MAX_BUSY_POLL_US: u32 = 1_000_000;

/// How a worker waits for requests or responses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Wait {
    /// Asleep in the kernel until something comes.
    #[default]
    Block,
    /// Awake: asks again and again without sleeping.
    Spin,
    /// Asleep, but each receive call first polls the device for so many microseconds
    /// (SO_BUSY_POLL, socket(7)).
    BusyPollUs(u32),
}

impl Wait {
    /// The worker never sleeps.
    #[must_use]
    pub const fn spins(self) -> bool {
        matches!(self, Self::Spin)
    }

    /// SO_BUSY_POLL in microseconds.
    #[must_use]
    pub const fn busy_poll_us(self) -> Option<u32> {
        match self {
            Self::BusyPollUs(us) => Some(us),
            Self::Block | Self::Spin => None,
        }
    }

    /// `block`, `spin` or `busy-poll=US`.
    ///
    /// # Errors
    /// What is allowed.
    pub fn parse(text: &str) -> Result<Self, Invalid> {
        let busy_poll = |us| parse_count(us).ok().filter(|us| (1..=MAX_BUSY_POLL_US).contains(us));
        match text {
            "block" => Ok(Self::Block),
            "spin" => Ok(Self::Spin),
            other => other
                .strip_prefix("busy-poll=")
                .and_then(busy_poll)
                .map(Self::BusyPollUs)
                .ok_or_else(|| {
                    Invalid::allowed(format_args!(
                        "block, spin, or busy-poll=US with 1 to {MAX_BUSY_POLL_US} microseconds"
                    ))
                }),
        }
    }
}

impl std::fmt::Display for Wait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Block => f.write_str("block"),
            Self::Spin => f.write_str("spin"),
            Self::BusyPollUs(us) => write!(f, "busy-poll={us}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ways_of_waiting_are_read_and_printed_back() {
        for (text, wait) in [
            ("block", Wait::Block),
            ("spin", Wait::Spin),
            ("busy-poll=50", Wait::BusyPollUs(50)),
            ("busy-poll=1000000", Wait::BusyPollUs(1_000_000)),
        ] {
            assert_eq!(Wait::parse(text), Ok(wait));
            assert_eq!(wait.to_string(), text);
        }
        for text in ["", "poll", "busy-poll", "busy-poll=", "busy-poll=0", "busy-poll=1000001"] {
            assert!(Wait::parse(text).is_err(), "{text}");
        }
    }
}
