//! A shaper: a link that carries so many bits a second and no more, with a queue before it (tbf).

use std::time::Duration;

use super::super::namespaces::TwoHosts;
use super::{set_up, undo};

/// Least bucket: three whole packets.
const MIN_BURST_BYTES: u64 = 5000;
/// What the bucket holds: so much of the rate.
const BURST: Duration = Duration::from_millis(1);

/// What leaves by one device is shaped.
#[derive(Debug)]
pub(crate) struct Shaper {
    place: String,
    device: String,
}

impl Shaper {
    /// On `device` of `place`, which sends at most `bits_per_second` and holds back what waits for
    /// up to `queue`; more is dropped.
    pub(crate) fn on(place: &str, device: &str, bits_per_second: u64, queue: Duration) -> Self {
        let shaper = Self { place: place.to_owned(), device: device.to_owned() };
        let burst = (bits_per_second / 8 * u64::try_from(BURST.as_micros()).expect("it is short")
            / 1_000_000)
            .max(MIN_BURST_BYTES);
        let (rate, latency) = (bits_per_second, queue.as_millis());
        let words = format!(
            "qdisc replace dev {device} root tbf rate {rate}bit burst {burst} latency {latency}ms"
        );
        set_up(place, "tc", &words);
        shaper
    }

    /// Here: on the sender's own link, one of the hosts, whose kernel knows of it.
    pub(crate) fn here(
        hosts: &TwoHosts,
        host: &str,
        bits_per_second: u64,
        queue: Duration,
    ) -> Self {
        Self::on(&hosts.place(host), "wire", bits_per_second, queue)
    }

    /// Beyond: between the hosts, each way, so that pods meet it on their way and cannot see it.
    pub(crate) fn beyond(hosts: &TwoHosts, bits_per_second: u64, queue: Duration) -> [Self; 2] {
        ["hostA", "hostB"].map(|host| Self::here(hosts, host, bits_per_second, queue))
    }
}

impl Drop for Shaper {
    fn drop(&mut self) {
        undo(&self.place, "tc", &format!("qdisc delete dev {} root", self.device));
    }
}
