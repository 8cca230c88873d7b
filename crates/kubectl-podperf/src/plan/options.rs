//! The subcommands of `kubectl podperf` and their options.
//!
//! Enters: a command line. Leaves: its options, each of them valid, or an error that says what is
//! allowed.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::plan::path::NetworkPath;
use crate::plan::preset::Preset;
use crate::plan::test_kind::TestKind;
use crate::plan::values::{pair, run_id, slowdown, time, tolerance};
use podperf_model::units::{BitRate, Bytes, parse_count};

/// The image that `container/build` makes unless another name is given.
const IMAGE: &str = "localhost/podperf:dev";

/// Measures what a cluster's network carries and what it costs, between two of its nodes.
#[derive(Debug, Parser)]
#[command(name = "kubectl-podperf", bin_name = "kubectl podperf", version, after_help = EXAMPLES,
          max_term_width = 100)]
pub(crate) struct LauncherCli {
    #[command(subcommand)]
    pub(crate) command: LauncherCommand,
}

const EXAMPLES: &str = "\
Examples:
  kubectl podperf run --preset quick               host and pod network side by side, in 3 minutes
  kubectl podperf run --scenarios host,pod,clusterip,nodeport -P 1,8 -t 10
  kubectl podperf plan --preset paper              what would be done, and what it needs
  kubectl podperf deploy --preset paper            … start it, and leave it running
  kubectl podperf collect RUN                      … what it measured
  kubectl podperf destroy RUN                      … delete its objects

Exit status: 0 all was measured; 1 a path is slower than the baseline by more than --max-slowdown;
2 usage; 3 nothing could be measured; 4 a part is missing; 5 a deadline passed; 130 or 143 ended by
SIGINT or SIGTERM, after cleaning up.";

#[derive(Debug, Subcommand)]
pub(crate) enum LauncherCommand {
    /// Deploys, measures, collects and cleans up
    Run(RunArgs),
    /// Shows what a run would do: nodes, tests, time, objects, access needed; touches nothing
    Plan(RunArgs),
    /// Checks access, nodes, image, pod security and every path, with pods that measure nothing
    Preflight(RunArgs),
    /// Starts a run and leaves it to itself
    Deploy(DeployArgs),
    /// Fetches what a run has measured, waiting for its end
    Collect(CollectArgs),
    /// Deletes what a run left in the cluster; without a run, lists what there is
    Destroy(DestroyArgs),
}

/// Options that say which cluster.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Cluster")]
pub(crate) struct ClusterArgs {
    /// Kubeconfig file. Default: $KUBECONFIG, else ~/.kube/config, else the pod's own account
    #[arg(long, value_name = "FILE")]
    pub(crate) kubeconfig: Option<PathBuf>,
    /// Context of the kubeconfig. Default: its current one
    #[arg(long, value_name = "NAME")]
    pub(crate) context: Option<String>,
    /// Namespace of all objects; made, and deleted in the end, where it does not exist
    #[arg(short, long, value_name = "NAME", default_value = "podperf")]
    pub(crate) namespace: String,
    /// Time for which the API server may be unreachable before the launcher gives up
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = time)]
    pub(crate) api_timeout: Duration,
}

/// Options that say what is measured.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Measurement")]
pub(crate) struct MeasurementArgs {
    /// Set of defaults; options that are given take precedence
    #[arg(long, value_enum, default_value = "default")]
    pub(crate) preset: Preset,
    /// Paths to measure, with a comma between them. Default: host,pod
    #[arg(long = "scenarios", value_enum, value_delimiter = ',', value_name = "PATH,…")]
    pub(crate) paths: Vec<NetworkPath>,
    /// Measure a path to this HOST:PORT as well: an ingress, a Gateway or a load balancer that
    /// leads to port 5210 of the run's Service (see --run-id)
    #[arg(long, value_name = "HOST:PORT")]
    pub(crate) via: Option<String>,
    /// Tests to run, with a comma between them. Default: tcp_stream,tcp_rr
    #[arg(long, value_enum, value_delimiter = ',', value_name = "TEST,…")]
    pub(crate) tests: Vec<TestKind>,
    /// Numbers of streams, each measured in turn. Default: 1,2,4,8,16,32
    #[arg(short = 'P', long, value_delimiter = ',', value_name = "N,…",
          value_parser = parse_count::<u32>)]
    pub(crate) streams: Vec<u32>,
    /// Numbers of flows of request/response tests, each measured in turn. Default: 1,16
    #[arg(long, value_delimiter = ',', value_name = "N,…", value_parser = parse_count::<u32>)]
    pub(crate) rr_flows: Vec<u32>,
    /// Length of one window. Default: 60s
    #[arg(short = 't', long, value_name = "TIME", value_parser = time)]
    pub(crate) duration: Option<Duration>,
    /// Warm-up before each window, not counted. Default: 5s
    #[arg(short = 'O', long, value_name = "TIME", value_parser = time)]
    pub(crate) warmup: Option<Duration>,
    /// Samples of each row, in a random order. Default: 5
    #[arg(long, value_name = "N", value_parser = parse_count::<u32>)]
    pub(crate) samples: Option<u32>,
    /// Seed of that order. Default: a random number
    #[arg(long, value_name = "N", value_parser = parse_count::<u64>)]
    pub(crate) seed: Option<u64>,
    /// Bytes of one send call of a stream. Default: 128K; datagrams: what the path takes
    #[arg(long, value_name = "SIZE")]
    pub(crate) msg_size: Option<Bytes>,
    /// Bytes of a request
    #[arg(long, value_name = "SIZE", default_value = "1")]
    pub(crate) req_size: Bytes,
    /// Bytes of a response
    #[arg(long, value_name = "SIZE", default_value = "1")]
    pub(crate) resp_size: Bytes,
    /// Requests a second over all flows, at fixed times. Default: each after the last response
    #[arg(long, value_name = "RATE")]
    pub(crate) rr_rate: Option<String>,
    /// Bit rate of each flow of datagrams; 0: as fast as can be
    #[arg(long, value_name = "RATE", default_value = "1G")]
    pub(crate) udp_rate: BitRate,
    /// TCP congestion control. Default: the nodes'
    #[arg(short = 'C', long, value_name = "NAME")]
    pub(crate) congestion: Option<String>,
    /// More options for every run of the engine, as one word ('-w 4M --pin none')
    #[arg(long, value_name = "WORDS", allow_hyphen_values = true)]
    pub(crate) engine_options: Option<String>,
    /// Pairs of client and server that measure at once
    #[arg(long, value_name = "N", default_value = "1", value_parser = parse_count::<u32>)]
    pub(crate) pairs: u32,
    /// NetworkPolicies that select the server of the path `policies`; only the last lets the client
    /// in
    #[arg(long, value_name = "N", value_parser = parse_count::<u32>)]
    pub(crate) policies: Option<u32>,
    /// NetworkPolicies that select no pod
    #[arg(long, value_name = "N", default_value = "0", value_parser = parse_count::<u32>)]
    pub(crate) idle_policies: u32,
    /// Services in the background during the whole run, each with an endpoint
    #[arg(long, value_name = "N", default_value = "0", value_parser = parse_count::<u32>)]
    pub(crate) services: u32,
    /// Addresses of the pods and Services to use
    #[arg(long, value_enum, value_name = "FAMILY")]
    pub(crate) ip_family: Option<IpFamily>,
}

/// Which address families are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum IpFamily {
    /// IPv4 alone.
    #[value(name = "4")]
    V4,
    /// IPv6 alone.
    #[value(name = "6")]
    V6,
    /// Each path by both.
    Both,
}

/// Options that choose the nodes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Placement")]
pub(crate) struct NodeArgs {
    /// The node of the clients. Default: chosen
    #[arg(long, value_name = "NODE")]
    pub(crate) client_node: Option<String>,
    /// The node of the servers. Default: chosen
    #[arg(long, value_name = "NODE")]
    pub(crate) server_node: Option<String>,
    /// Choose the clients' node among those with these labels (k=v,…)
    #[arg(long, value_name = "LABELS")]
    pub(crate) client_selector: Option<String>,
    /// Choose the servers' node among those with these labels (k=v,…)
    #[arg(long, value_name = "LABELS")]
    pub(crate) server_selector: Option<String>,
    /// Taints that the pods tolerate: KEY or KEY=VALUE, either with :EFFECT behind it, or '*' for
    /// all; may be repeated
    #[arg(long = "toleration", value_name = "TAINT")]
    pub(crate) tolerations: Vec<String>,
    /// Choose two nodes of different zones
    #[arg(long)]
    pub(crate) across_zones: bool,
    /// Whole CPUs of their own for each client and server: requests equal to limits
    #[arg(long)]
    pub(crate) guaranteed: bool,
    /// CPUs requested by each client and server with --guaranteed
    #[arg(long, value_name = "N", default_value = "2", value_parser = parse_count::<u32>)]
    pub(crate) cpus: u32,
}

/// Options of the pods.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Pods")]
pub(crate) struct PodArgs {
    /// The engine's image
    #[arg(long, value_name = "IMAGE", default_value = IMAGE, env = "PODPERF_IMAGE")]
    pub(crate) image: String,
    /// When the nodes fetch the image
    #[arg(long, value_name = "WHEN", default_value = "IfNotPresent",
          value_parser = ["Always", "IfNotPresent", "Never"])]
    pub(crate) pull_policy: String,
    /// Secret with the password of the image's registry
    #[arg(long, value_name = "NAME")]
    pub(crate) pull_secret: Option<String>,
    /// Priority class of the pods
    #[arg(long, value_name = "NAME")]
    pub(crate) priority_class: Option<String>,
    /// First port of the servers on the nodes' own network
    #[arg(long, value_name = "PORT", default_value = "5210",
          value_parser = clap::value_parser!(u16).range(1024..=60000))]
    pub(crate) host_port: u16,
    /// Label of every object (k=v); may be repeated
    #[arg(long = "label", value_name = "K=V", value_parser = pair)]
    pub(crate) labels: Vec<(String, String)>,
    /// Annotation of every object (k=v); may be repeated
    #[arg(long = "annotation", value_name = "K=V", value_parser = pair)]
    pub(crate) annotations: Vec<(String, String)>,
    /// Label of clients and servers, for a mesh (k=v); may be repeated
    #[arg(long = "pod-label", value_name = "K=V", value_parser = pair)]
    pub(crate) pod_labels: Vec<(String, String)>,
    /// Annotation of clients and servers, for a mesh (k=v); may be repeated
    #[arg(long = "pod-annotation", value_name = "K=V", value_parser = pair)]
    pub(crate) pod_annotations: Vec<(String, String)>,
    /// Label of the namespace, for a mesh (k=v); may be repeated
    #[arg(long = "namespace-label", value_name = "K=V", value_parser = pair)]
    pub(crate) namespace_labels: Vec<(String, String)>,
    /// Name of the run, part of every object's name. Default: a random name
    #[arg(long, value_name = "NAME", value_parser = run_id)]
    pub(crate) run_id: Option<String>,
}

/// Options that limit how long is waited.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Deadlines")]
pub(crate) struct DeadlineArgs {
    /// Time limit of the whole command. Default: half as long again as the plan takes, and 3
    /// minutes
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) timeout: Option<Duration>,
    /// Time limit for pods to start, and for every path to answer
    #[arg(long, value_name = "TIME", default_value = "120s", value_parser = time)]
    pub(crate) ready_timeout: Duration,
}

/// Options of the result.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Output")]
pub(crate) struct ResultArgs {
    /// Form of the result on standard output
    #[arg(short, long, value_enum, default_value = "table", value_name = "FORM")]
    pub(crate) output: OutputForm,
    /// Directory for the documents, manifests and tables. Default: podperf-RUN
    #[arg(long, value_name = "DIR")]
    pub(crate) out_dir: Option<PathBuf>,
    /// Exit with status 1 where a path is slower than the baseline by more than so many percent,
    /// with 95 % confidence
    #[arg(long, value_name = "PERCENT", value_parser = slowdown, allow_negative_numbers = true)]
    pub(crate) max_slowdown: Option<f64>,
    /// No progress on standard error
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

/// The form of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum OutputForm {
    /// Tables of at most 120 columns.
    Table,
    /// The tables as Markdown, to paste.
    Markdown,
    /// The document as JSON.
    Json,
}

/// Options of all commands that start pods.
#[derive(Debug, Clone, Args)]
pub(crate) struct WorkArgs {
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    #[command(flatten)]
    pub(crate) measure: MeasurementArgs,
    #[command(flatten)]
    pub(crate) placement: NodeArgs,
    #[command(flatten)]
    pub(crate) pods: PodArgs,
    #[command(flatten)]
    pub(crate) deadlines: DeadlineArgs,
    /// Difference from the baseline below which a path counts as alike, in percent
    #[arg(long, value_name = "PERCENT", default_value = "5", help_heading = "Output",
          value_parser = tolerance, allow_negative_numbers = true)]
    pub(crate) tolerance: f64,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    #[command(flatten)]
    pub(crate) output: ResultArgs,
    /// Leave all objects in the cluster; they are deleted when their time to live (--ttl) is over
    #[arg(long, help_heading = "Pods")]
    pub(crate) keep: bool,
    /// Time after the end of the run when its objects are deleted, if nothing deletes them before
    #[arg(long, value_name = "TIME", default_value = "15m", value_parser = time,
          help_heading = "Deadlines")]
    pub(crate) ttl: Duration,
    /// Show what would be done, as `kubectl podperf plan` does
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DeployArgs {
    #[command(flatten)]
    pub(crate) work: WorkArgs,
    /// Time after the end of the run when its objects, and all that was measured, are deleted
    #[arg(long, value_name = "TIME", default_value = "24h", value_parser = time,
          help_heading = "Deadlines")]
    pub(crate) ttl: Duration,
    /// No progress on standard error
    #[arg(short, long, help_heading = "Output")]
    pub(crate) quiet: bool,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct CollectArgs {
    /// Name of the run
    #[arg(value_name = "RUN", value_parser = run_id)]
    pub(crate) run: String,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    #[command(flatten)]
    pub(crate) output: ResultArgs,
    /// Do not wait for the end of the run: take what there is
    #[arg(long)]
    pub(crate) no_wait: bool,
    /// Time limit of the whole command. Default: none
    #[arg(long, value_name = "TIME", value_parser = time)]
    pub(crate) timeout: Option<Duration>,
}

#[derive(Debug, Clone, Args)]
pub(crate) struct DestroyArgs {
    /// The run; without one, lists the runs whose objects are there
    #[arg(value_name = "RUN", value_parser = run_id)]
    pub(crate) run: Option<String>,
    /// Delete every run of the namespace
    #[arg(long, conflicts_with = "run")]
    pub(crate) all: bool,
    #[command(flatten)]
    pub(crate) cluster: ClusterArgs,
    /// No progress on standard error
    #[arg(short, long)]
    pub(crate) quiet: bool,
}

#[cfg(test)]
mod tests;
