//! The fingerprint of one end.
//!
//! Enters: the machine below [`Roots`], and the connection's addresses. Leaves: [`HostFacts`]. A
//! fact that cannot be established is absent, and its reason stands in `unknown`.

use std::net::IpAddr;

use crate::metrics::roots::Roots;
use crate::metrics::source::Unknown;
use crate::metrics::{cgroup, container, device, kernel, processor, tcp_settings, topology};
use podperf_model::facts::HostFacts;

/// What holds on this end for a whole run with `peer`, connected from `local`. Takes a few
/// milliseconds: call it before the start, not in the window.
#[must_use]
pub fn host_facts(roots: &Roots, local: Option<IpAddr>, peer: Option<IpAddr>) -> HostFacts {
    let mut unknown = Unknown::default();
    let allowed = unknown.note("cpus_allowed", topology::allowed_cpus()).unwrap_or_default();
    let tcp = tcp_settings::read(roots, &mut unknown);
    let mut facts = HostFacts {
        podperf_version: env!("CARGO_PKG_VERSION").to_owned(),
        hostname: unknown.note("hostname", kernel::hostname(roots)),
        kernel: unknown.note("kernel", kernel::release(roots)),
        architecture: unknown.note("architecture", kernel::architecture()),
        boot_id: unknown.note("boot_id", kernel::boot_id(roots)),
        cpu_model: unknown.note("cpu_model", processor::model(roots)),
        cpus_online: unknown.note("cpus_online", processor::online(roots)),
        smt_active: unknown.note("smt_active", processor::smt_active(roots)),
        numa_nodes: unknown.note("numa_nodes", processor::numa_nodes(roots)),
        governor: unknown.note("governor", processor::governor(roots, allowed.first().copied())),
        cpus_allowed: allowed,
        clocksource: unknown.note("clocksource", processor::clocksource(roots)),
        clock_read_ns: Some(processor::clock_read_ns()),
        memory_bytes: unknown.note("memory_bytes", kernel::memory_bytes(roots)),
        container: Some(container::container(roots)),
        cgroup: unknown.note("cgroup", cgroup::limits(roots)),
        proc_filtered: unknown.note("proc_filtered", container::proc_filtered(roots)),
        irq_time_accounting: unknown
            .note("irq_time_accounting", kernel::irq_time_accounting(roots)),
        device: unknown.note("device", device::device(roots, local, peer)),
        tcp,
        ..HostFacts::default()
    };
    facts.unknown = unknown.0;
    facts
}

/// The id of the machine's current boot: the same on both ends means one machine.
#[must_use]
pub fn boot_id(roots: &Roots) -> Option<String> {
    kernel::boot_id(roots).ok()
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn this_machine_is_known_and_the_rest_has_reasons() {
        let localhost = Some(IpAddr::from(Ipv4Addr::LOCALHOST));
        let facts = host_facts(&Roots::default(), localhost, localhost);
        assert!(
            facts.kernel.is_some() && facts.boot_id.is_some() && !facts.cpus_allowed.is_empty()
        );
        assert_eq!(facts.device.as_ref().map(|device| device.name.as_str()), Some("lo"));
        assert_every_null_has_a_reason(&facts);
    }

    #[test]
    fn with_nothing_to_read_every_fact_is_null_with_a_reason() {
        let empty = tempfile::tempdir().unwrap();
        let facts = host_facts(&Roots::below(empty.path()), None, None);
        assert_eq!((facts.kernel.as_ref(), facts.device.as_ref()), (None, None));
        assert_every_null_has_a_reason(&facts);
    }

    #[track_caller]
    fn assert_every_null_has_a_reason(facts: &HostFacts) {
        fn check(prefix: &str, fields: &serde_json::Value, facts: &HostFacts) {
            for (name, value) in fields.as_object().unwrap() {
                let known = facts.unknown.contains_key(&format!("{prefix}{name}"));
                assert_eq!(value.is_null(), known && !value.is_array(), "{prefix}{name}: {value}");
            }
        }
        let json = serde_json::to_value(facts).unwrap();
        check("", &json, facts);
        check("tcp.", &json["tcp"], facts);
    }
}
