//! Brings a run into the cluster: the Job that owns everything, servers, Services, policies, and
//! last the clients, whose configuration names the addresses of their servers.
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

use crate::cluster::access;
use crate::cluster::api::{Cluster, NamespacedObject};
use crate::cluster::endpoints;
use crate::cluster::failure::{ApiFailure, DuringRequest as _};
use crate::cluster::namespace;
use crate::cluster::ready::{self, PodWaiter};
use crate::cluster::verify;
use crate::plan::labels;
use crate::plan::layout::RunLayout;
use crate::plan::manifest::ManifestBuilder;
use crate::plan::path::ClientRole;
use crate::plan::placement::NodePlacement;
use crate::plan::settings::Settings;
use crate::plan::targets::{self, KnownAddresses, MissingPath};
use crate::progress::ProgressLine;
use podperf_model::AddressFamily;
use podperf_model::error::Result;
use podperf_model::result::cluster::ClusterPlan;
use podperf_model::schedule::{AgentConfig, Schedule, Step};

/// Time between two tries of a dry run.
const POLL_INTERVAL: Duration = Duration::from_millis(400);
/// Requests under way at once: there may be hundreds of objects.
const MAX_CONCURRENT_REQUESTS: usize = 16;

/// A run that was brought into the cluster.
#[derive(Debug, Default)]
pub(crate) struct Deployed {
    /// Name of the coordinator's pod.
    pub(crate) coordinator: String,
    /// Pods by name.
    pub(crate) pods: BTreeMap<String, Pod>,
    /// Objects as they were sent to the API server.
    pub(crate) manifests: Vec<Value>,
    /// Paths that have no address.
    pub(crate) missing: Vec<MissingPath>,
}

/// Brings one run into the cluster.
pub(crate) struct Deployment<'a> {
    pub(crate) cluster: &'a Cluster,
    pub(crate) settings: &'a Settings,
    pub(crate) layout: &'a RunLayout,
    pub(crate) placement: &'a NodePlacement,
    pub(crate) plan: &'a ClusterPlan,
    pub(crate) steps: Vec<Step>,
    pub(crate) lifetime: Duration,
    pub(crate) progress: &'a ProgressLine,
}

impl Deployment<'_> {
    /// Creates everything and waits until it is ready.
    ///
    /// # Errors
    /// Naming what does not come up and why. What was created is left for the clean-up.
    pub(crate) async fn deploy(self) -> Result<Deployed> {
        let Self { cluster, settings, layout, progress, .. } = self;
        namespace::ensure(cluster, settings, layout, progress).await?;
        access::check(cluster, layout).await?;
        let token = random_token();
        let mut builder = ManifestBuilder {
            settings,
            layout,
            placement: self.placement,
            token: &token,
            owner_uid: None,
            lifetime_seconds: self.lifetime.as_secs(),
        };
        let mut sent = Vec::new();
        self.dry_run(&builder).await?;
        let job = builder.job(&self.schedule(), self.plan);
        let created: Job = self.create(&job).await?;
        builder.owner_uid = created.metadata.uid;
        sent.push(job);
        self.objects(&builder, &mut sent).await?;
        for replica in layout.own_servers() {
            let pod = builder.server(replica, None);
            self.create::<Pod>(&pod).await?;
            sent.push(pod);
        }
        progress.note(&format!("run {}: waiting for servers and coordinator", settings.run_id));
        let ready = PodWaiter { cluster, settings, progress };
        let pods = ready.until(1 + layout.own_servers().count()).await?;
        let coordinator = ready::coordinator(&pods)?;
        let address = coordinator.1.clone();
        let known = self.addresses(&pods).await?;
        endpoints::wait(self.cluster, settings, layout, &known, progress).await?;
        let missing = self.clients(&builder, &address, &known, &mut sent).await?;
        let pods = ready.until(1 + layout.pods()).await?;
        verify::placement(&pods, settings, self.placement)?;
        Ok(Deployed { coordinator: coordinator.0, pods, manifests: sent, missing })
    }

    fn schedule(&self) -> Schedule {
        let seconds = self.settings.deadlines.ready_timeout.as_secs();
        Schedule {
            agents: self.layout.clients.iter().map(|replica| replica.agent()).collect(),
            // From the coordinator's start: servers and Services come up first.
            join_seconds: u32::try_from(4 * seconds).unwrap_or(u32::MAX),
            steps: self.steps.clone(),
        }
    }

    async fn create<K: NamespacedObject>(&self, object: &Value) -> Result<K> {
        let what = || {
            let kind = object["kind"].as_str().unwrap_or_default();
            format!("create {kind} {}", object["metadata"]["name"].as_str().unwrap_or_default())
        };
        self.cluster.create(object, false).await.during(what())
    }

    /// Tries one pod of each kind by dry run, so that pod security, quotas and webhooks refuse
    /// before anything is there to be cleaned up.
    async fn dry_run(&self, builder: &ManifestBuilder<'_>) -> Result<()> {
        let config = AgentConfig {
            agent: String::new(),
            tests: BTreeMap::new(),
            probes: Vec::new(),
            probe_seconds: 1,
        };
        let servers = self.layout.servers.iter().filter(|replica| replica.pair == 0);
        let clients = self.layout.clients.iter().filter(|replica| replica.pair == 0);
        let pods = servers.map(|replica| builder.server(*replica, None)).chain(
            clients
                .filter(|replica| replica.role != ClientRole::Hairpin)
                .map(|replica| builder.client(*replica, "192.0.2.1:5209", &config)),
        );
        for pod in pods {
            let name = pod["metadata"]["name"].as_str().unwrap_or_default().to_owned();
            let end = Instant::now() + Duration::from_secs(20);
            loop {
                match self.cluster.create::<Pod>(&pod, true).await {
                    Ok(_) => break,
                    // A namespace just made gets its service account a moment later.
                    Err(failure) if is_namespace_new(&failure) && Instant::now() < end => {}
                    Err(failure) => return Err(failure.during(format!("create pod {name}"))),
                }
                sleep(POLL_INTERVAL).await;
            }
        }
        Ok(())
    }

    /// Creates Services and policies.
    async fn objects(&self, builder: &ManifestBuilder<'_>, sent: &mut Vec<Value>) -> Result<()> {
        let mut services = builder.background();
        for replica in &self.layout.services {
            for family in targets::families(self.settings) {
                let service = builder.service(*replica, family);
                // A cluster without the family refuses it; its paths are left out then.
                if let Some(family) = family {
                    sent.extend(self.of_family(service, family).await?);
                } else {
                    services.push(service);
                }
            }
        }
        let policies = builder.policies();
        if services.len() + policies.len() > MAX_CONCURRENT_REQUESTS {
            let (services, policies) = (services.len(), policies.len());
            self.progress
                .note(&format!("creating {services} Services and {policies} NetworkPolicies"));
        }
        stream::iter(&services)
            .map(|object| self.create::<Service>(object))
            .buffer_unordered(MAX_CONCURRENT_REQUESTS)
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

    /// Creates a Service with addresses of a family; none where the cluster has no such addresses.
    async fn of_family(&self, service: Value, family: AddressFamily) -> Result<Option<Value>> {
        match self.cluster.create::<Service>(&service, false).await {
            Ok(_) => Ok(Some(service)),
            Err(failure) if failure.has_status(422) => {
                let name = service["metadata"]["name"].as_str().unwrap_or_default();
                let why = failure.during(format!("create {} Service {name}", family.name()));
                self.progress.note(&why.to_string());
                Ok(None)
            }
            Err(failure) => Err(failure.during("create a Service")),
        }
    }

    /// Creates clients, and servers that are clients too; returns the paths that have no address.
    async fn clients(
        &self,
        builder: &ManifestBuilder<'_>,
        coordinator: &str,
        known: &KnownAddresses,
        sent: &mut Vec<Value>,
    ) -> Result<Vec<MissingPath>> {
        let (settings, layout) = (self.settings, self.layout);
        let mut missing = Vec::new();
        for replica in &layout.clients {
            let (config, without) = targets::agent_config(settings, layout, known, *replica);
            missing.extend(without);
            let pod = builder.client(*replica, coordinator, &config);
            self.create::<Pod>(&pod).await?;
            sent.push(pod);
        }
        missing.sort();
        missing.dedup();
        Ok(missing)
    }

    /// Looks up the addresses of pods, nodes and Services.
    async fn addresses(&self, pods: &BTreeMap<String, Pod>) -> Result<KnownAddresses> {
        let pods =
            pods.iter().map(|(name, pod)| (name.clone(), targets::pod_addresses(pod))).collect();
        let mut services = BTreeMap::new();
        if !self.layout.services.is_empty() {
            let selector = labels::selector(&self.settings.run_id);
            let listed: Vec<Service> =
                self.cluster.list(&selector).await.during("look at the Services")?;
            services = listed
                .into_iter()
                .filter_map(|service| {
                    Some((service.metadata.name.clone()?, targets::service_addresses(&service)))
                })
                .collect();
        }
        let other_node = self.placement.other.addresses.clone();
        Ok(KnownAddresses { pods, services, other_node })
    }
}

fn is_namespace_new(failure: &ApiFailure) -> bool {
    matches!(failure, ApiFailure::Refused { code: 403, message, .. }
             if message.contains("serviceaccount") && message.contains("not found"))
}

/// A secret that the pods of a run share.
fn random_token() -> String {
    let mut bytes = [0_u8; 16];
    if getrandom::fill(&mut bytes).is_err() {
        fastrand::fill(&mut bytes);
    }
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
