//! `kubectl podperf plan`: what a run would do. Reads nodes, creates nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::prepared::{PreparedRun, time_text};
use crate::plan::layout::COORDINATOR_PORT;
use crate::plan::manifest::{self, ManifestBuilder};
use crate::plan::options::RunArgs;
use crate::plan::rbac;
use crate::plan::targets::{self, KnownAddresses, PodAddresses, ServiceAddresses};
use crate::plan::test_plan;
use crate::result::results;
use podperf_model::AddressFamily;
use podperf_model::error::Result;
use podperf_model::schedule::Schedule;

/// Carries out `plan`; returns the exit status.
pub(crate) async fn run(args: RunArgs) -> Result<u8> {
    let prepared = PreparedRun::new(args.work.settle(args.ttl, args.output.quiet)?).await?;
    let mut text = summary(&prepared);
    let manifests = results::yaml_stream(&manifests(&prepared))?;
    let roles = rbac::roles(&prepared.cluster.namespace, &prepared.layout);
    let roles = results::yaml_stream(&roles)?;
    let _ = writeln!(
        text,
        "\n# Access that the launcher needs. The ClusterRole can be done without (--client-node,\n\
         # --server-node, and a namespace that is there), and so can the Role in kube-system\n\
         # (what the cluster's network is made of then stays unknown)\n{roles}"
    );
    let _ = writeln!(
        text,
        "# Objects, as they would be created; addresses are put in once they are known\n{manifests}"
    );
    results::stdout(|to| to.write_all(text.as_bytes()))?;
    Ok(0)
}

fn summary(prepared: &PreparedRun) -> String {
    let (settings, placement) = (&prepared.settings, &prepared.placement);
    let mut text = String::new();
    let mut line = |label: &str, value: String| {
        let _ = writeln!(text, "# {label:<12} {value}");
    };
    line("run", settings.run_id.clone());
    line("cluster", format!("Kubernetes {}", prepared.cluster.version));
    for (label, node) in [("client node", &placement.client), ("server node", &placement.server)] {
        let zone = node.zone.as_deref().unwrap_or("none");
        let architecture = node.architecture.as_deref().unwrap_or("unknown");
        line(label, format!("{} (zone {zone}, {architecture})", node.name));
    }
    line("namespace", prepared.cluster.namespace.clone());
    let security = if prepared.layout.host_network() {
        "privileged (host, pod-host and host-pod use the nodes' own network)"
    } else {
        "restricted"
    };
    line("pod security", security.to_owned());
    line(
        "paths",
        test_plan::paths(settings)
            .into_iter()
            .map(|path| path.name())
            .collect::<Vec<_>>()
            .join(", "),
    );
    let rows = test_plan::rows(settings);
    let samples = rows.len() * settings.samples as usize;
    line(
        "samples",
        format!(
            "{samples}: {} rows, {} each, in a random order (seed {})",
            rows.len(),
            settings.samples,
            settings.seed
        ),
    );
    for (path, test) in test_plan::left_out(settings) {
        line("left out", format!("{} on {}", test.name(), path.name()));
    }
    line(
        "time",
        format!(
            "about {} and a minute for the pods; deadline {}",
            time_text(test_plan::expected(settings)),
            time_text(prepared.timeout)
        ),
    );
    for row in rows {
        let words = test_plan::words(settings, row, "SERVER");
        line("test", format!("{:<28} podperf {}", row.id(), words.join(" ")));
    }
    text
}

/// The objects, with names in the place of addresses that are not known yet.
fn manifests(prepared: &PreparedRun) -> Vec<serde_json::Value> {
    let (settings, layout) = (&prepared.settings, &prepared.layout);
    let builder = ManifestBuilder {
        settings,
        layout,
        placement: &prepared.placement,
        token: "(random)",
        owner_uid: None,
        lifetime_seconds: prepared.timeout.as_secs(),
    };
    let schedule = Schedule {
        agents: layout.clients.iter().map(|replica| replica.agent()).collect(),
        join_seconds: u32::try_from(settings.deadlines.ready_timeout.as_secs()).unwrap_or(u32::MAX),
        steps: prepared.steps(),
    };
    let known = placeholders(prepared);
    let coordinator = targets::join("ADDRESS-OF-COORDINATOR", COORDINATOR_PORT);
    let mut objects = vec![manifest::namespace(settings, layout.host_network())];
    objects.push(builder.job(&schedule, &prepared.plan));
    objects.extend(builder.background());
    for replica in &layout.services {
        for family in targets::families(settings) {
            objects.push(builder.service(*replica, family));
        }
    }
    objects.extend(builder.policies());
    objects.extend(layout.own_servers().map(|replica| builder.server(replica, None)));
    for replica in &layout.clients {
        let (config, _) = targets::agent_config(settings, layout, &known, *replica);
        objects.push(builder.client(*replica, &coordinator, &config));
    }
    objects
}

fn placeholders(prepared: &PreparedRun) -> KnownAddresses {
    let run = &prepared.settings.run_id;
    let mut known = KnownAddresses {
        other_node: vec!["ADDRESS-OF-OTHER-NODE".into()],
        ..KnownAddresses::default()
    };
    let families = targets::families(&prepared.settings);
    let address = |what: &str, family: Option<AddressFamily>| match family {
        Some(AddressFamily::V6) => "2001:db8::1".to_owned(),
        Some(AddressFamily::V4) => "192.0.2.1".to_owned(),
        None => what.to_owned(),
    };
    let all = |what: &str| families.iter().map(|family| address(what, *family)).collect();
    let mut pods = BTreeMap::new();
    for replica in &prepared.layout.servers {
        let pod = PodAddresses {
            addresses: all("ADDRESS-OF-SERVER"),
            host_addresses: all("ADDRESS-OF-NODE"),
        };
        pods.insert(replica.pod(run), pod);
    }
    known.pods = pods;
    for replica in &prepared.layout.services {
        for family in &families {
            let name = manifest::service_name(run, *replica, *family);
            let service = ServiceAddresses {
                addresses: vec![address("ADDRESS-OF-SERVICE", *family)],
                node_port: Some(30000),
            };
            known.services.insert(name, service);
        }
    }
    known
}
