//! What a netperf command line without options asks for.
//!
//! Pure data.

use std::time::Duration;

use super::{BufferRings, DataOptions, Options, PerEnd};
use crate::test_kind::{NetperfTest, Protocol, TestDirection, TestLength, TestShape};

/// netserver's port.
pub(super) const PORT: u16 = 12865;

impl Default for Options {
    fn default() -> Self {
        Self {
            test: NetperfTest::TcpStream,
            shape: TestShape { protocol: Protocol::Tcp, direction: TestDirection::Send },
            host: String::new(),
            family: None,
            local_host: None,
            ports: PerEnd { local: 0, remote: PORT },
            length: TestLength::Time(Duration::from_secs(10)),
            header: true,
            verbosity: 1,
            unit: None,
            cpu: PerEnd::default(),
            interim: None,
            interim_unit: None,
            statistics: false,
            confidence: None,
            settle: Duration::ZERO,
            cpus: PerEnd::default(),
            brand: None,
            fill: PerEnd::default(),
            passphrase: None,
            tos: PerEnd::default(),
            priority: PerEnd::default(),
            keepalive: false,
            pace: PerEnd::default(),
            layout: BufferRings::default(),
            debug: 0,
            data: DataOptions::default(),
            json: false,
            streams: 1,
            percentiles: Vec::new(),
            peer_timeout: None,
            native: true,
            command_line: String::new(),
            notes: Vec::new(),
        }
    }
}

impl Default for DataOptions {
    fn default() -> Self {
        Self {
            host: None,
            local_host: None,
            family: None,
            ports: PerEnd::default(),
            send_bytes: PerEnd::default(),
            receive_bytes: PerEnd::default(),
            request_bytes: 1,
            response_bytes: 1,
            buffers: PerEnd::default(),
            selection: None,
            no_delay: false,
            cork: false,
            burst: None,
            routing: true,
            receive_timeout: None,
            congestion_control: PerEnd::default(),
            uuid: None,
            mss: None,
            pacing_bytes_per_second: None,
            client_ports: None,
            copy_avoidance: false,
            dont_fragment: false,
        }
    }
}

impl Default for BufferRings {
    fn default() -> Self {
        Self {
            align: PerEnd { local: 8, remote: 8 },
            offset: PerEnd::default(),
            width: PerEnd::default(),
        }
    }
}
