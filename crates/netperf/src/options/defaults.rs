//! What a netperf command line without options asks for.
//!
//! Pure data.

use std::time::Duration;

use super::{Buffers, DataOptions, Layout, Length, Options, Pair};
use crate::test::{Direction, Protocol, Shape, Test};

/// netserver's port.
pub(super) const PORT: u16 = 12865;

impl Default for Options {
    fn default() -> Self {
        Self {
            test: Test::TcpStream,
            shape: Shape { protocol: Protocol::Tcp, direction: Direction::Send },
            host: String::new(),
            family: None,
            local_host: None,
            ports: Pair { local: 0, remote: PORT },
            length: Length::Seconds(10),
            header: true,
            verbosity: 1,
            unit: None,
            cpu: Pair::default(),
            interim: None,
            interim_unit: None,
            statistics: false,
            confidence: None,
            settle: Duration::ZERO,
            cpus: Pair::default(),
            brand: None,
            fill: Pair::default(),
            passphrase: None,
            tos: Pair::default(),
            priority: Pair::default(),
            keepalive: false,
            pace: Pair::default(),
            layout: Layout::default(),
            debug: 0,
            data: DataOptions::default(),
            json: false,
            streams: 1,
            percentiles: Vec::new(),
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
            ports: Pair::default(),
            send_bytes: Pair::default(),
            receive_bytes: Pair::default(),
            request_bytes: 1,
            response_bytes: 1,
            local_buffers: Buffers::default(),
            remote_buffers: Buffers::default(),
            selection: None,
            no_delay: false,
            cork: false,
            burst: None,
            routing: true,
            receive_timeout: None,
            congestion_control: Pair::default(),
            uuid: None,
            mss: None,
            pacing_bytes_per_second: None,
            client_ports: None,
            copy_avoidance: false,
            dont_fragment: false,
        }
    }
}

impl Default for Layout {
    fn default() -> Self {
        Self {
            align: Pair { local: 8, remote: 8 },
            offset: Pair::default(),
            width: Pair::default(),
        }
    }
}
