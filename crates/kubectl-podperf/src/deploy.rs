//! Brings a run into the cluster: the Job that owns everything, servers, Services, policies, and
//! last the clients, which are told where their servers are.
//!
//! Every wait has the deadline `--ready-timeout` and ends with the reason in words.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::access;
use super::api::{Cluster, Kept};
use super::layout::Layout;
use super::manifest::{self, Forge};
use super::options::Settings;
use super::placement::Placement;
use super::progress::Progress;
use super::ready::{self, Ready};
use super::scenario::{Client, Server};
use super::targets::{self, Missing, Seen};
use super::{endpoints, namespace, verify};
use podperf_model::AddressFamily;
use podperf_model::error::Result;
use podperf_model::result::cluster::ClusterPlan;
use podperf_model::schedule::{AgentConfig, Schedule, Step};

/// Between two looks at the pods.
const LOOK: Duration = Duration::from_millis(400);
/// Requests under way at once, where there are hundreds of objects.
const AT_ONCE: usize = 16;

/// A run that is in the cluster.
#[derive(Debug)]
pub(super) struct Deployed {
    /// Its coordinator's pod.
    pub(super) coordinator: String,
    /// All its pods by name.
    pub(super) pods: BTreeMap<String, Pod>,
    /// What was sent to the API server.
    pub(super) manifests: Vec<Value>,
    /// Paths that have no address.
    pub(super) missing: Vec<Missing>,
}

/// What a deployment is made from.
pub(super) struct Deployment<'a> {
    pub(super) cluster: &'a Cluster,
    pub(super) settings: &'a Settings,
    pub(super) layout: &'a Layout,
    pub(super) placement: &'a Placement,
    pub(super) plan: &'a ClusterPlan,
    pub(super) steps: Vec<Step>,
    pub(super) life: Duration,
    pub(super) progress: &'a Progress,
}

impl Deployment<'_> {
    /// Deploys.
    ///
    /// # Errors
    /// Naming what does not come up and why. What was created is left for the clean-up.
    pub(super) async fn carry_out(self) -> Result<Deployed> {
        let Self { cluster, settings, layout, progress, .. } = self;
        namespace::ensure(cluster, settings, layout, progress).await?;
        access::check(cluster, layout).await?;
        let token = random_token();
        let mut forge = Forge {
            settings,
            layout,
            placement: self.placement,
            token: &token,
            owner_uid: None,
            life_seconds: self.life.as_secs(),
        };
        let mut sent = Vec::new();
        self.rehearse(&forge).await?;
        let job = forge.job(&self.schedule(), self.plan);
        let created: Job = self.create(&job).await?;
        forge.owner_uid = created.metadata.uid;
        sent.push(job);
        self.objects(&forge, &mut sent).await?;
        let servers = layout.servers.iter().filter(|seat| seat.role != Server::Hairpin);
        for seat in servers {
            let pod = forge.server(*seat, None);
            self.create::<Pod>(&pod).await?;
            sent.push(pod);
        }
        progress.note(&format!("run {}: waiting for servers and coordinator", settings.run_id));
        let expected = 1 + layout.servers.iter().filter(|s| s.role != Server::Hairpin).count();
        let ready = Ready { cluster, settings, progress };
        let pods = ready.until(expected).await?;
        let coordinator = ready::coordinator(&pods)?;
        let address = coordinator.1.clone();
        let mut seen = self.seen(&pods).await?;
        endpoints::wait(self.cluster, settings, layout, &seen, progress).await?;
        let missing = self.clients(&forge, &address, &mut seen, &mut sent).await?;
        let pods = ready.until(1 + layout.pods()).await?;
        verify::placement(&pods, settings, self.placement)?;
        Ok(Deployed { coordinator: coordinator.0, pods, manifests: sent, missing })
    }

    fn schedule(&self) -> Schedule {
        let seconds = self.settings.deadlines.ready_timeout.as_secs();
        Schedule {
            agents: self.layout.clients.iter().map(|seat| seat.agent()).collect(),
            // From the coordinator's start: servers and Services come up first.
            join_seconds: u32::try_from(4 * seconds).unwrap_or(u32::MAX),
            steps: self.steps.clone(),
        }
    }

    async fn create<K: Kept>(&self, object: &Value) -> Result<K> {
        let what = || {
            let kind = object["kind"].as_str().unwrap_or_default();
            format!("create {kind} {}", object["metadata"]["name"].as_str().unwrap_or_default())
        };
        self.cluster.create(object, false).await.map_err(|failure| failure.of(what()))
    }

    /// One pod of each kind, asked of the API server without being made: pod security, quotas and
    /// webhooks then refuse before anything is there to be cleaned up.
    async fn rehearse(&self, forge: &Forge<'_>) -> Result<()> {
        let part = AgentConfig {
            agent: String::new(),
            tests: BTreeMap::new(),
            probes: Vec::new(),
            probe_seconds: 1,
        };
        let servers = self.layout.servers.iter().filter(|seat| seat.pair == 0);
        let clients = self.layout.clients.iter().filter(|seat| seat.pair == 0);
        let pods = servers.map(|seat| forge.server(*seat, None)).chain(
            clients
                .filter(|seat| seat.role != Client::Hairpin)
                .map(|seat| forge.client(*seat, "192.0.2.1:5209", &part)),
        );
        for pod in pods {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let end = Instant::now() + Duration::from_secs(20);
            loop {
                match self.cluster.create::<Pod>(&pod, true).await {
                    Ok(_) => break,
                    // A namespace just made gets its service account a moment later.
                    Err(failure) if new_namespace(&failure) && Instant::now() < end => {}
                    Err(failure) => return Err(failure.of(format!("create pod {name}"))),
                }
                sleep(LOOK).await;
            }
        }
        Ok(())
    }

    /// Services and policies.
    async fn objects(&self, forge: &Forge<'_>, sent: &mut Vec<Value>) -> Result<()> {
        let mut services = forge.background();
        for seat in &self.layout.services {
            for family in targets::families(self.settings) {
                let service = forge.service(*seat, family.map(AddressFamily::name));
                // A cluster without the family refuses it; its paths are left out then.
                if let Some(family) = family {
                    sent.extend(self.of_family(service, family).await?);
                } else {
                    services.push(service);
                }
            }
        }
        let policies = forge.policies();
        if services.len() + policies.len() > AT_ONCE {
            let (services, policies) = (services.len(), policies.len());
            self.progress
                .note(&format!("creating {services} Services and {policies} NetworkPolicies"));
        }
        stream::iter(&services)
            .map(|object| self.create::<Service>(object))
            .buffer_unordered(AT_ONCE)
            .try_for_each(|_| futures::future::ready(Ok(())))
            .await?;
        // The one that admits is to be the last, so they come one after the other.
        for policy in &policies {
            self.create::<NetworkPolicy>(policy).await?;
        }
        sent.extend(services);
        sent.extend(policies);
        Ok(())
    }

    /// A Service with addresses of a family; none where the cluster has no such addresses.
    async fn of_family(&self, service: Value, family: AddressFamily) -> Result<Option<Value>> {
        match self.cluster.create::<Service>(&service, false).await {
            Ok(_) => Ok(Some(service)),
            Err(failure) if failure.is(422) => {
                let name = service["metadata"]["name"].as_str().unwrap_or_default();
                let why = failure.of(format!("create {} Service {name}", family.name()));
                self.progress.note(&why.to_string());
                Ok(None)
            }
            Err(failure) => Err(failure.of("create a Service")),
        }
    }

    /// Clients, and servers that are clients too.
    async fn clients(
        &self,
        forge: &Forge<'_>,
        coordinator: &str,
        seen: &mut Seen,
        sent: &mut Vec<Value>,
    ) -> Result<Vec<Missing>> {
        let (settings, layout) = (self.settings, self.layout);
        let mut missing = Vec::new();
        for seat in &layout.clients {
            let (part, without) = targets::part(settings, layout, seen, *seat);
            missing.extend(without);
            let pod = if seat.role == Client::Hairpin {
                let server = super::layout::Seat { role: Server::Hairpin, pair: seat.pair };
                forge.server(server, Some((coordinator, &part)))
            } else {
                forge.client(*seat, coordinator, &part)
            };
            self.create::<Pod>(&pod).await?;
            sent.push(pod);
        }
        missing.sort();
        missing.dedup();
        Ok(missing)
    }

    /// Addresses of pods, nodes and Services.
    async fn seen(&self, pods: &BTreeMap<String, Pod>) -> Result<Seen> {
        let pods = pods.iter().map(|(name, pod)| (name.clone(), targets::pod_seen(pod))).collect();
        let mut services = BTreeMap::new();
        if !self.layout.services.is_empty() {
            let selector = manifest::selector(&self.settings.run_id);
            let listed: Vec<Service> = self
                .cluster
                .list(&selector)
                .await
                .map_err(|failure| failure.of("look at the Services"))?;
            services = listed
                .into_iter()
                .filter_map(|service| {
                    Some((service.metadata.name.clone()?, targets::service_seen(&service)))
                })
                .collect();
        }
        let other_node = self.placement.other.addresses.clone();
        Ok(Seen { pods, services, other_node })
    }
}

fn new_namespace(failure: &super::api::Failure) -> bool {
    matches!(failure, super::api::Failure::Refused { code: 403, message, .. }
             if message.contains("serviceaccount") && message.contains("not found"))
}

/// What all pods of a run know, and nobody else.
fn random_token() -> String {
    let mut bytes = [0_u8; 16];
    if getrandom::fill(&mut bytes).is_err() {
        fastrand::fill(&mut bytes);
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
