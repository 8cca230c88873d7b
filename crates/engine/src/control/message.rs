//! The messages that the ends of a run send each other. Unknown fields are ignored, unknown
//! messages refused.
//!
//! Each message is an object with its name as the only key: such objects are read straight
//! through, while a tag inside would have serde buffer them and lose the numeric keys of maps.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use super::bounded_list;
use podperf_model::error::Error;
use podperf_model::plan::{Plan, ReceiveMethod, SendMethod};
use podperf_model::reading::Reading;
use podperf_model::result::end_result::{EndFacts, EndReport};
use podperf_model::units::BitRate;

/// From client to server.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromClient {
    /// First: who is there.
    Hello(Hello),
    /// The client knows the token.
    Prove {
        /// HMAC-SHA256, in hexadecimal; see `token`.
        proof: String,
    },
    /// Prepare this run.
    Prepare {
        /// What to do.
        plan: Box<Plan>,
        /// Silence, in seconds, after which the client may be given up; absent: 5.
        #[serde(default)]
        peer_timeout_seconds: Option<f64>,
    },
    /// Release the workers.
    Start,
    /// Open the window.
    Open,
    /// Close the window; flows go on.
    Close,
    /// Senders and requesters stop; report.
    Stop,
    /// Still there.
    Heartbeat,
}

/// From server to client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromServer {
    /// Answer to the client's hello.
    Hello(Hello),
    /// The server knows the token too (empty where there is none): go on.
    Welcome {
        /// HMAC-SHA256, in hexadecimal.
        proof: Option<String>,
        /// What the server sees of the connection.
        #[serde(default)]
        view: Option<ServerView>,
    },
    /// The plan is accepted: connect the streams.
    Connect {
        /// The session's id, in hexadecimal.
        session: String,
        /// Where connections that do not last are taken; absent: there are none.
        #[serde(default)]
        port: Option<u16>,
        /// What all flows together may send each way, in bits per second, by the server's policy:
        /// a client that keeps to it is not ended. Absent: it does not limit that.
        #[serde(default)]
        rate_bits_per_second: Option<BitRate>,
    },
    /// The plan has to wait until other runs have ended; told to clients with the feature
    /// [`QUEUES`] alone, again whenever the place changes.
    Queued {
        /// Place in the queue; 1 is the first.
        place: u32,
        /// Seconds that it waits at the most from now on.
        longest_wait_seconds: f64,
    },
    /// All streams are connected and all workers stand at the gate.
    Ready(Box<EndFacts>),
    /// A reading inside the window.
    Reading {
        /// Where it was taken.
        edge: Edge,
        /// The reading.
        reading: Box<Reading>,
    },
    /// A flow came to its end by itself.
    FlowEnded {
        /// Flow id.
        flow: u32,
        /// What went wrong; absent: the stream ended in order.
        error: Option<Error>,
    },
    /// The stop has come, and what is still under way moves; told once a second, to clients with
    /// the feature [`DRAINS`] alone.
    Draining,
    /// What the workers brought home; the last message.
    Report(Box<EndReport>),
    /// The session cannot go on; the last message.
    Refused(Error),
    /// Still there.
    Heartbeat,
}

/// A feature of clients: they wait in a queue.
pub const QUEUES: &str = "queue";

/// A feature of clients: they wait for as long as the server drains.
pub const DRAINS: &str = "drain";

/// Where a sample was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Edge {
    /// At the opening of the window.
    Open,
    /// Between.
    Interval,
    /// At its close.
    Close,
}

/// A control connection as the server sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerView {
    /// Random name of the server's process: two answers with different names are of two servers.
    pub instance: String,
    /// Its own address.
    pub own: SocketAddr,
    /// The client's address.
    pub client: SocketAddr,
    /// TCP time stamp of the SYN that opened the connection; absent: it had none, or the system
    /// does not tell.
    #[serde(default)]
    pub syn_timestamp: Option<u32>,
}

/// Features that an end may name: three times those that there are.
const MAX_FEATURES: usize = 64;

/// Who an end is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// podperf's version.
    pub podperf: String,
    /// What this end can do beyond the protocol's version; at most `MAX_FEATURES`.
    #[serde(deserialize_with = "bounded_list::read::<_, _, MAX_FEATURES>")]
    pub features: Vec<String>,
    /// Random, 32 hexadecimal digits; used once.
    pub nonce: String,
    /// This end has a token and expects the other to know it.
    pub token: bool,
    /// Boot id of the machine; equal ids mean one machine.
    pub boot_id: Option<String>,
}

/// Features of this version, beyond those that its protocol version implies.
#[must_use]
pub fn features() -> Vec<String> {
    use podperf_model::plan::Choice as _;
    let send = SendMethod::ALL.iter().map(|method| format!("send:{}", method.name()));
    let receive = ReceiveMethod::ALL.iter().map(|method| format!("recv:{}", method.name()));
    ["stream", "rr", "rr:uring", "crr", "udp", "udp-rr", QUEUES, DRAINS]
        .map(String::from)
        .into_iter()
        .chain(send)
        .chain(receive)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_of_too_many_features_is_none() {
        let hello = |count| {
            let features = vec!["\"\""; count].join(",");
            let rest = r#""nonce":"","token":false,"boot_id":null"#;
            let json = format!(r#"{{"podperf":"0","features":[{features}],{rest}}}"#);
            serde_json::from_str::<Hello>(&json)
        };
        assert_eq!(hello(MAX_FEATURES).unwrap().features.len(), MAX_FEATURES);
        let refused = hello(MAX_FEATURES + 1).unwrap_err().to_string();
        assert!(refused.contains("a list of at most 64"), "{refused}");
        assert!(features().len() * 2 < MAX_FEATURES, "there is room for later ones");
    }
}
