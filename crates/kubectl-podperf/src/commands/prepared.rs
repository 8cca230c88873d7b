//! A run before it measures: settings, a cluster that answers, nodes chosen, facts read.

use std::time::Duration;

use crate::cluster::api::Cluster;
use crate::cluster::deploy::{Deployed, Deployment};
use crate::cluster::system_objects::SystemObjects;
use crate::cluster::{cleanup, namespace};
use crate::plan::labels;
use crate::plan::layout::RunLayout;
use crate::plan::placement::{self, NodePlacement, PlacementNeeds};
use crate::plan::settings::Settings;
use crate::plan::test_plan;
use crate::progress::ProgressLine;
use crate::result::fingerprint;
use podperf_model::error::Result;
use podperf_model::result::cluster::{ClusterFacts, ClusterPlan};
use podperf_model::schedule::Step;

/// Time that the default of --timeout adds to that of the samples.
const TIMEOUT_MARGIN: Duration = Duration::from_secs(180);

/// A run that has touched nothing in the cluster.
pub(super) struct PreparedRun {
    pub(super) settings: Settings,
    pub(super) cluster: Cluster,
    pub(super) layout: RunLayout,
    pub(super) placement: NodePlacement,
    pub(super) plan: ClusterPlan,
    pub(super) facts: ClusterFacts,
    pub(super) timeout: Duration,
}

impl PreparedRun {
    /// Reaches the cluster and chooses nodes; creates nothing.
    pub(super) async fn new(settings: Settings) -> Result<Self> {
        let cluster = Cluster::connect(&settings.cluster).await?;
        let layout = RunLayout::new(&settings);
        let needs = PlacementNeeds {
            two_nodes: settings.paths.iter().any(|path| !path.server().on_client_node()),
        };
        let placement = match cluster.nodes().await {
            Ok(nodes) => placement::choose(&nodes, &settings.placement, needs)?,
            Err(failure) if failure.has_status(403) => placement::by_name(&settings.placement)?,
            Err(failure) => return Err(failure.during("list the nodes")),
        };
        let objects = SystemObjects::read(&cluster).await;
        let facts = fingerprint::facts(&cluster.version, &placement, &objects);
        let plan = test_plan::cluster_plan(&settings);
        let timeout = settings
            .deadlines
            .timeout
            .unwrap_or_else(|| test_plan::expected(&settings).mul_f64(1.5) + TIMEOUT_MARGIN);
        Ok(Self { settings, cluster, layout, placement, plan, facts, timeout })
    }

    /// The steps of the schedule: one a sample.
    pub(super) fn steps(&self) -> Vec<Step> {
        test_plan::order(&self.settings, |row| self.layout.agents(row))
    }

    /// Time after which everything in the cluster ends by itself.
    fn lifetime(&self) -> Duration {
        self.timeout + 2 * self.settings.deadlines.ready_timeout + TIMEOUT_MARGIN
    }

    /// Brings the run into the cluster.
    pub(super) async fn deploy(
        &self,
        steps: Vec<Step>,
        progress: &ProgressLine,
    ) -> Result<Deployed> {
        let deployment = Deployment {
            cluster: &self.cluster,
            settings: &self.settings,
            layout: &self.layout,
            placement: &self.placement,
            plan: &self.plan,
            steps,
            lifetime: self.lifetime(),
            progress,
        };
        deployment.deploy().await
    }

    /// Says which nodes were chosen, and how long it will take.
    pub(super) fn announce(&self, progress: &ProgressLine) {
        let (client, server) = (&self.placement.client.name, &self.placement.server.name);
        let steps = self.steps().len();
        let expected = time_text(test_plan::expected(&self.settings));
        progress.note(&format!(
            "run {}: clients on {client}, servers on {server}; {steps} samples, about {expected}",
            self.settings.run_id
        ));
        for (path, test) in test_plan::left_out(&self.settings) {
            let (path, test) = (path.name(), test.name());
            progress.note(&format!(
                "{test} is left out on path {path}: it uses the server's own port numbers, which \
                 are others there"
            ));
        }
    }

    /// Takes everything of the run away again.
    pub(super) async fn clean_up(&self, progress: &ProgressLine) -> Result<()> {
        let selector = labels::selector(&self.settings.run_id);
        let mut deleted = cleanup::delete(&self.cluster, &selector, progress).await?;
        namespace::delete(&self.cluster, &mut deleted).await?;
        progress.note(&deleted.sentence(&self.cluster.namespace));
        Ok(())
    }

    /// Describes where the run's objects stay in the cluster, and how long.
    pub(super) fn what_stays(&self) -> String {
        let (run, namespace) = (&self.settings.run_id, &self.cluster.namespace);
        let ttl = humantime::format_duration(self.settings.ttl);
        format!(
            "run {run} is in namespace {namespace}; its objects go {ttl} after it has ended. \
             kubectl podperf collect {run} -n {namespace}; kubectl podperf destroy {run} -n \
             {namespace}"
        )
    }
}

/// A length of time, to the second.
pub(super) fn time_text(time: Duration) -> String {
    humantime::format_duration(Duration::from_secs(time.as_secs())).to_string()
}
