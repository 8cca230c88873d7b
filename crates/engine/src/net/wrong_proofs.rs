//! Wrong proofs of a server's secret, by address: the more of them came, the longer the address
//! waits until another proof of it is looked at, so that nobody tries many secrets, by however many
//! connections.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::address_limits::address_of;
use podperf_model::error::{Code, Error, Kind, Result};

/// Wrong proofs that cost an address nothing but the delay of their answers: people mistype.
const MAX_FREE: u32 = 5;
/// How long the next one waits; twice as long with each.
const MIN_WAIT: Duration = Duration::from_millis(300);
const MAX_WAIT: Duration = Duration::from_secs(10);
/// An address without another wrong proof for so long is forgotten.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(600);
/// Addresses that are remembered; past it, the one goes that has been quiet longest.
const MAX_ADDRESSES: usize = 4096;

/// The addresses that wrong proofs came from of late.
#[derive(Debug, Default)]
pub struct WrongProofs(HashMap<u128, AddressProofs>);

/// What came from one address.
#[derive(Debug)]
struct AddressProofs {
    wrong: u32,
    last: Instant,
}

impl AddressProofs {
    /// From when another proof is looked at.
    fn next(&self) -> Instant {
        let doublings = self.wrong.saturating_sub(MAX_FREE);
        if doublings == 0 {
            return self.last;
        }
        let wait = MIN_WAIT.saturating_mul(1 << (doublings - 1).min(16));
        self.last + wait.min(MAX_WAIT)
    }
}

impl WrongProofs {
    /// Checks whether a proof from `ip` may be looked at.
    ///
    /// # Errors
    /// Naming how long it has to wait, when too many were wrong.
    pub fn check(&self, ip: IpAddr, now: Instant) -> Result<()> {
        let Some(proofs) = self.0.get(&address_of(ip)) else { return Ok(()) };
        let wait = proofs.next().saturating_duration_since(now);
        if wait.is_zero() {
            return Ok(());
        }
        let cause = format!("{} wrong tokens came from this address", proofs.wrong);
        Err(Error::new(Kind::Unmeasured, "authenticate with", cause)
            .with_code(Code::Refused)
            .with_remedy(format!("try again in {} s", wait.as_secs() + 1)))
    }

    /// Remembers a wrong proof from `ip`.
    pub fn add(&mut self, ip: IpAddr, now: Instant) {
        let address = address_of(ip);
        if self.0.len() >= MAX_ADDRESSES && !self.0.contains_key(&address) {
            self.0.retain(|_, proofs| now < proofs.last + FORGOTTEN_AFTER);
            let quiet = self.0.iter().min_by_key(|(_, proofs)| proofs.last).map(|(ip, _)| *ip);
            if let Some(quiet) = quiet.filter(|_| self.0.len() >= MAX_ADDRESSES) {
                self.0.remove(&quiet);
            }
        }
        let proofs = self.0.entry(address).or_insert(AddressProofs { wrong: 0, last: now });
        if now >= proofs.last + FORGOTTEN_AFTER {
            proofs.wrong = 0;
        }
        (proofs.wrong, proofs.last) = (proofs.wrong.saturating_add(1), now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_grows_with_each_wrong_proof_of_an_address_and_of_no_other() {
        let mut proofs = WrongProofs::default();
        let [one, other] = ["192.0.2.1", "192.0.2.2"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let mut now = Instant::now();
        for _ in 0..MAX_FREE {
            proofs.check(one, now).unwrap();
            proofs.add(one, now);
        }
        for wait_ms in [300, 600, 1_200, 2_400, 4_800, 9_600, 10_000, 10_000] {
            proofs.check(one, now).unwrap();
            proofs.add(one, now);
            let wait = Duration::from_millis(wait_ms);
            let refused = proofs.check(one, now + wait - Duration::from_millis(1)).unwrap_err();
            assert_eq!(refused.code, Code::Refused);
            assert!(refused.to_string().contains("wrong tokens came from this"), "{refused}");
            proofs.check(other, now).unwrap();
            now += wait;
        }
        now += FORGOTTEN_AFTER;
        proofs.add(one, now);
        proofs.check(one, now).unwrap();
    }

    #[test]
    fn only_so_many_addresses_are_remembered() {
        let mut proofs = WrongProofs::default();
        let now = Instant::now();
        for number in 0..u32::try_from(MAX_ADDRESSES).unwrap() + 100 {
            let ip = IpAddr::from(number.to_be_bytes());
            proofs.add(ip, now + Duration::from_millis(number.into()));
        }
        assert_eq!(proofs.0.len(), MAX_ADDRESSES);
        assert!(!proofs.0.contains_key(&address_of(IpAddr::from([0; 4]))));
    }
}
