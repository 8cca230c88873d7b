//! Finds the cluster: the kubeconfig that was named, else what kubectl would take.

use kube::Config;
use kube::config::{KubeConfigOptions, Kubeconfig};

use crate::cluster::failure::chain;
use crate::plan::options::ClusterArgs;
use podperf_model::error::{Error, Kind, Result};

/// Reads the configuration.
///
/// # Errors
/// When there is none, or it cannot be used.
pub(super) async fn read(args: &ClusterArgs) -> Result<Config> {
    let failed = |error: &dyn std::fmt::Display| {
        Error::new(Kind::Unmeasured, "read the kubeconfig", error)
            .with_remedy("name one with --kubeconfig or KUBECONFIG")
    };
    let options = KubeConfigOptions { context: args.context.clone(), ..Default::default() };
    if let Some(path) = &args.kubeconfig {
        let file = Kubeconfig::read_from(path).map_err(|error| {
            let error = chain(&error);
            failed(&error).with_peer(path.display())
        })?;
        return Config::from_custom_kubeconfig(file, &options)
            .await
            .map_err(|error| failed(&chain(&error)));
    }
    if args.context.is_some() {
        return Config::from_kubeconfig(&options).await.map_err(|error| failed(&chain(&error)));
    }
    Config::infer().await.map_err(|error| failed(&chain(&error)))
}
