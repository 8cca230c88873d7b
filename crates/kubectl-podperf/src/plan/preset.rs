//! Presets: sets of defaults.

use std::time::Duration;

use clap::ValueEnum;

use crate::plan::path::NetworkPath;
use crate::plan::test_kind::TestKind;

/// A set of defaults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Preset {
    /// Host and pod, 1 and 8 streams, one flow of requests, 3 samples of 5 s: under 3 minutes
    Quick,
    /// Host and pod, 1 to 32 streams, 5 samples of a minute
    Default,
    /// As in the study that asked: host and pod, 1 and 3 streams, windows of 10 minutes
    Paper,
    /// How many streams fill the path: 1 to 64, 3 samples of 10 s
    Saturate,
    /// What Services cost: pod, ClusterIP, both NodePorts, hairpin; connections among the tests
    Services,
    /// What 100 NetworkPolicies cost
    Policies,
}

/// The defaults of one preset.
pub(super) struct PresetDefaults {
    pub(super) paths: &'static [NetworkPath],
    pub(super) tests: &'static [TestKind],
    pub(super) streams: &'static [u32],
    pub(super) rr_flows: &'static [u32],
    pub(super) window: Duration,
    pub(super) warm_up: Duration,
    pub(super) samples: u32,
    pub(super) policies: u32,
}

impl Preset {
    pub(super) const fn defaults(self) -> PresetDefaults {
        use NetworkPath::{ClusterIp, Hairpin, Host, NodePort, NodePortOther, Pod, Policies};
        use TestKind::{TcpCrr, TcpRr, TcpStream};
        let base = PresetDefaults {
            paths: &[Host, Pod],
            tests: &[TcpStream, TcpRr],
            streams: &[1, 2, 4, 8, 16, 32],
            rr_flows: &[1, 16],
            window: Duration::from_secs(60),
            warm_up: Duration::from_secs(5),
            samples: 5,
            policies: 0,
        };
        match self {
            Self::Default => base,
            Self::Quick => PresetDefaults {
                streams: &[1, 8],
                rr_flows: &[1],
                window: Duration::from_secs(5),
                warm_up: Duration::from_secs(1),
                samples: 3,
                ..base
            },
            Self::Paper => PresetDefaults {
                streams: &[1, 3],
                rr_flows: &[1],
                window: Duration::from_secs(600),
                samples: 3,
                ..base
            },
            Self::Saturate => PresetDefaults {
                tests: &[TcpStream],
                streams: &[1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64],
                window: Duration::from_secs(10),
                warm_up: Duration::from_secs(2),
                samples: 3,
                ..base
            },
            Self::Services => PresetDefaults {
                paths: &[Host, Pod, ClusterIp, NodePort, NodePortOther, Hairpin],
                tests: &[TcpStream, TcpRr, TcpCrr],
                streams: &[1, 8],
                rr_flows: &[1],
                window: Duration::from_secs(10),
                warm_up: Duration::from_secs(2),
                ..base
            },
            Self::Policies => PresetDefaults {
                paths: &[Host, Pod, Policies],
                tests: &[TcpStream, TcpRr, TcpCrr],
                streams: &[1, 8],
                rr_flows: &[1],
                window: Duration::from_secs(10),
                warm_up: Duration::from_secs(2),
                policies: 100,
                ..base
            },
        }
    }
}
