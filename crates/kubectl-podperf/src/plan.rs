//! `kubectl podperf plan`: what a run would do. Reads nodes, creates nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use super::access;
use super::layout::{COORDINATOR_PORT, Seat};
use super::manifest::{self, Forge};
use super::options::RunArgs;
use super::results;
use super::run::Prepared;
use super::scenario::{Client, Server};
use super::targets::{self, PodSeen, Seen, ServiceSeen};
use super::trial;
use podperf_model::AddressFamily;
use podperf_model::error::Result;
use podperf_model::schedule::Schedule;

/// Carries it out; returns the exit status.
pub(super) async fn run(args: RunArgs) -> Result<u8> {
    let prepared = Prepared::new(args.work.settle(args.ttl, args.output.quiet)?).await?;
    let mut text = summary(&prepared);
    let manifests = results::yaml_stream(&manifests(&prepared))?;
    let roles = access::roles(&prepared.cluster.namespace, &prepared.layout);
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

/// A length of time, to the second.
pub(super) fn time_text(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}

fn summary(prepared: &Prepared) -> String {
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
        trial::paths(settings).into_iter().map(|path| path.name()).collect::<Vec<_>>().join(", "),
    );
    let rows = trial::rows(settings);
    let samples = rows.len() * settings.samples as usize;
    line(
        "samples",
        format!(
            "{samples}: {} rows, {} each, in an order drawn by lot (seed {})",
            rows.len(),
            settings.samples,
            settings.seed
        ),
    );
    for (path, test) in trial::left_out(settings) {
        line("left out", format!("{} on {}", test.name(), path.name()));
    }
    line(
        "time",
        format!(
            "about {} and a minute for the pods; deadline {}",
            time_text(trial::expected(settings)),
            time_text(prepared.timeout)
        ),
    );
    for row in rows {
        let words = trial::words(settings, row, "SERVER");
        line("test", format!("{:<28} podperf {}", row.id(), words.join(" ")));
    }
    text
}

/// The objects, with names in the place of addresses that are not known yet.
fn manifests(prepared: &Prepared) -> Vec<serde_json::Value> {
    let (settings, layout) = (&prepared.settings, &prepared.layout);
    let forge = Forge {
        settings,
        layout,
        placement: &prepared.placement,
        token: "(drawn by lot)",
        owner_uid: None,
        life_seconds: prepared.timeout.as_secs(),
    };
    let schedule = Schedule {
        agents: layout.clients.iter().map(|seat| seat.agent()).collect(),
        join_seconds: u32::try_from(settings.deadlines.ready_timeout.as_secs()).unwrap_or(u32::MAX),
        steps: prepared.steps(),
    };
    let seen = placeholders(prepared);
    let coordinator = targets::join("ADDRESS-OF-COORDINATOR", COORDINATOR_PORT);
    let mut objects = vec![manifest::namespace(settings, layout.host_network())];
    objects.push(forge.job(&schedule, &prepared.plan));
    objects.extend(forge.background());
    for seat in &layout.services {
        for family in targets::families(settings) {
            objects.push(forge.service(*seat, family.map(AddressFamily::name)));
        }
    }
    objects.extend(forge.policies());
    let servers = layout.servers.iter().filter(|seat| seat.role != Server::Hairpin);
    objects.extend(servers.map(|seat| forge.server(*seat, None)));
    for seat in &layout.clients {
        let (part, _) = targets::part(settings, layout, &seen, *seat);
        objects.push(if seat.role == Client::Hairpin {
            let server = Seat { role: Server::Hairpin, pair: seat.pair };
            forge.server(server, Some((&coordinator, &part)))
        } else {
            forge.client(*seat, &coordinator, &part)
        });
    }
    objects
}

fn placeholders(prepared: &Prepared) -> Seen {
    let run = &prepared.settings.run_id;
    let mut seen = Seen { other_node: vec!["ADDRESS-OF-OTHER-NODE".into()], ..Seen::default() };
    let families = targets::families(&prepared.settings);
    let address = |what: &str, family: Option<AddressFamily>| match family {
        Some(AddressFamily::V6) => "2001:db8::1".to_owned(),
        Some(AddressFamily::V4) => "192.0.2.1".to_owned(),
        None => what.to_owned(),
    };
    let all = |what: &str| families.iter().map(|family| address(what, *family)).collect();
    let mut pods = BTreeMap::new();
    for seat in &prepared.layout.servers {
        let pod =
            PodSeen { addresses: all("ADDRESS-OF-SERVER"), host_addresses: all("ADDRESS-OF-NODE") };
        pods.insert(seat.pod(run), pod);
    }
    seen.pods = pods;
    for seat in &prepared.layout.services {
        for family in &families {
            let name = manifest::service_name(run, *seat, family.map(AddressFamily::name));
            let service = ServiceSeen {
                addresses: vec![address("ADDRESS-OF-SERVICE", *family)],
                node_port: Some(30000),
            };
            seen.services.insert(name, service);
        }
    }
    seen
}
