//! What a client may choose of its server's end beyond the limits: on which CPUs the workers run,
//! and that they never sleep. Both take from whoever else is on the server's machine, without a
//! byte having to move.
//!
//! Enters: what the server was told to allow, who asks, and how its workers are to be laid out.
//! Leaves: acceptance, or an error that names the option of the server. No I/O here.

use std::net::IpAddr;

use super::{EndPlan, Pin, Wait, cpu_list};
use crate::error::{Code, Error, Result};

/// The server's option for CPUs that clients name.
pub const ALLOW_AFFINITY: &str = "--allow-client-affinity";
/// The server's option for workers that do not sleep.
pub const ALLOW_SPIN: &str = "--allow-client-spin";

/// What a server lets a client choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ClientPermissions {
    /// The CPUs that serve it.
    pub affinity: bool,
    /// That workers spin or poll the device.
    pub spin: bool,
}

impl ClientPermissions {
    /// What the client at `ip` may choose: who is on the server's own machine, everything.
    #[must_use]
    pub fn of(self, ip: IpAddr) -> Self {
        let local = ip.to_canonical().is_loopback();
        Self { affinity: self.affinity || local, spin: self.spin || local }
    }

    /// Accepts the layout of the server's workers, which a client has asked for.
    ///
    /// # Errors
    /// Naming what was asked for and the server's option that allows it.
    pub fn check(self, server: &EndPlan) -> Result<()> {
        let refuse = |option, value: String, others, allow, limit| {
            let allowed =
                format!("allowed by this server: {others}; its option {allow} allows more");
            Err(Error::usage(option, value, allowed).with_code(Code::Refused).with_limit(limit))
        };
        if let (Pin::List(cpus), false) = (&server.pin, self.affinity) {
            return refuse("--server-pin", cpu_list(cpus), "auto or none", ALLOW_AFFINITY, "cpus");
        }
        if server.wait != Wait::Block && !self.spin {
            return refuse("--server-wait", server.wait.to_string(), "block", ALLOW_SPIN, "spin");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn end(pin: Pin, wait: Wait) -> EndPlan {
        EndPlan { workers: None, pin, wait }
    }

    #[test]
    fn only_who_is_on_the_same_machine_chooses_unless_the_server_allows_it() {
        let none = ClientPermissions::default();
        for local in ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"] {
            let all = ClientPermissions { affinity: true, spin: true };
            assert_eq!(none.of(local.parse().unwrap()), all, "{local}");
        }
        for other in ["192.0.2.1", "10.0.0.1", "fe80::1", "::ffff:192.0.2.1", "0.0.0.0", "::"] {
            let ip = other.parse().unwrap();
            assert_eq!(none.of(ip), none, "{other}");
            let spin = ClientPermissions { spin: true, ..none };
            assert_eq!(spin.of(ip), spin, "{other}");
        }
    }

    #[test]
    fn what_is_not_allowed_is_refused_by_the_name_of_the_option() {
        let none = ClientPermissions::default();
        let spin = ClientPermissions { spin: true, ..none };
        let affinity = ClientPermissions { affinity: true, ..none };
        for pin in [Pin::Auto, Pin::None] {
            assert_eq!(none.check(&end(pin, Wait::Block)), Ok(()));
        }
        let list = end(Pin::List(vec![2, 3, 5]), Wait::Block);
        for refusing in [none, spin] {
            let error = refusing.check(&list).unwrap_err();
            assert_eq!(error.code, Code::Refused);
            assert_eq!(
                error.to_string(),
                "invalid value '2-3,5' for '--server-pin': allowed by this server: auto or none; \
                 its option --allow-client-affinity allows more"
            );
        }
        assert_eq!(affinity.check(&list), Ok(()));
        for wait in [Wait::Spin, Wait::BusyPollUs(7)] {
            let awake = end(Pin::None, wait);
            for refusing in [none, affinity] {
                let error = refusing.check(&awake).unwrap_err().to_string();
                assert!(error.contains(&format!("'{wait}' for '--server-wait'")), "{error}");
                assert!(error.contains("--allow-client-spin"), "{error}");
            }
            assert_eq!(spin.check(&awake), Ok(()));
        }
    }
}
