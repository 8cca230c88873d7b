//! Requests to the API server, with a deadline each, repeated while it does not answer.
//!
//! Enters: objects and names. Leaves: the answer, or an [`ApiFailure`]: a refusal, which is final,
//! or an API server out of reach.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use futures::AsyncBufRead;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Event, Namespace, Node, Pod};
use kube::api::{Api, DeleteParams, ListParams, LogParams, PostParams};
use kube::{Client, Resource};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use crate::cluster::failure::{ApiFailure, DuringRequest as _, chain};
use crate::cluster::kubeconfig;
use crate::plan::labels;
use crate::plan::options::ClusterArgs;
use podperf_model::Context as _;
use podperf_model::error::{Error, Kind, Result};

/// Time limit of one request; the API server's own is a minute.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Pause between two tries.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);

/// A kind of object that belongs to a namespace.
pub(crate) trait NamespacedObject:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + Serialize
    + DeserializeOwned
{
}

impl<K> NamespacedObject for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + Serialize
        + DeserializeOwned
{
}

/// A cluster that answers.
#[derive(Clone)]
pub(crate) struct Cluster {
    client: Client,
    pub(crate) namespace: String,
    /// How long a request is repeated while nobody answers.
    retry_time: Duration,
    /// The API server's version.
    pub(crate) version: String,
}

impl Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cluster({}, {})", self.namespace, self.version)
    }
}

impl Cluster {
    /// Reads the kubeconfig and asks the API server for its version.
    ///
    /// # Errors
    /// When there is no kubeconfig, or nobody answers.
    pub(crate) async fn connect(args: &ClusterArgs) -> Result<Self> {
        let config = kubeconfig::read(args).await?;
        let server = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(|error| {
            Error::new(Kind::Unmeasured, "prepare the connection to", error).with_peer(&server)
        })?;
        let mut cluster = Self {
            client,
            namespace: args.namespace.clone(),
            // A wrong address is reported at once; an outage later on is waited for.
            retry_time: args.api_timeout.min(REQUEST_TIMEOUT),
            version: String::new(),
        };
        let version = cluster
            .with_retries(|| cluster.client.apiserver_version())
            .await
            .during("connect to the API server")
            .with_peer(&server)?;
        cluster.version = version.git_version;
        cluster.retry_time = args.api_timeout;
        Ok(cluster)
    }

    /// Makes one for tests that answers by `client`.
    #[cfg(test)]
    pub(crate) fn of(client: Client, namespace: &str, retry_time: Duration) -> Self {
        let (namespace, version) = (namespace.to_owned(), "v1.34.0".to_owned());
        Self { client, namespace, retry_time, version }
    }

    /// Repeats a request until it is answered or the time for retries is over.
    async fn with_retries<T, F, A>(&self, request: F) -> Result<T, ApiFailure>
    where
        F: Fn() -> A,
        A: Future<Output = kube::Result<T>>,
    {
        let end = Instant::now() + self.retry_time;
        loop {
            let cause = match timeout(REQUEST_TIMEOUT, request()).await {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(kube::Error::Api(status))) if !is_transient(status.code) => {
                    let (code, reason) = (status.code, status.reason.clone());
                    return Err(ApiFailure::Refused {
                        code,
                        reason,
                        message: status.message.clone(),
                    });
                }
                Ok(Err(error)) => chain(&error),
                Err(_) => format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()),
            };
            if Instant::now() + RETRY_INTERVAL >= end {
                return Err(ApiFailure::Unreachable { cause, retry_time: self.retry_time });
            }
            sleep(RETRY_INTERVAL).await;
        }
    }

    fn api<K: NamespacedObject>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Creates an object, or asks what would come of it (`dry`). One that is there already from a
    /// try whose answer was lost is taken for created.
    pub(crate) async fn create<K: NamespacedObject>(
        &self,
        object: &Value,
        dry: bool,
    ) -> Result<K, ApiFailure> {
        create_in(self, &self.api::<K>(), object, dry).await
    }

    pub(crate) async fn create_namespace(&self, object: &Value) -> Result<Namespace, ApiFailure> {
        create_in(self, &Api::<Namespace>::all(self.client.clone()), object, false).await
    }

    pub(crate) async fn namespace(&self) -> Result<Option<Namespace>, ApiFailure> {
        let api = Api::<Namespace>::all(self.client.clone());
        self.with_retries(|| api.get_opt(&self.namespace)).await
    }

    pub(crate) async fn delete_namespace(&self) -> Result<(), ApiFailure> {
        let api = Api::<Namespace>::all(self.client.clone());
        let parameters = DeleteParams::background();
        ignore_not_found(self.with_retries(|| api.delete(&self.namespace, &parameters)).await)
    }

    pub(crate) async fn get<K: NamespacedObject>(
        &self,
        name: &str,
    ) -> Result<Option<K>, ApiFailure> {
        let api = self.api::<K>();
        self.with_retries(|| api.get_opt(name)).await
    }

    pub(crate) async fn list<K: NamespacedObject>(
        &self,
        selector: &str,
    ) -> Result<Vec<K>, ApiFailure> {
        let (api, parameters) = (self.api::<K>(), ListParams::default().labels(selector));
        Ok(self.with_retries(|| api.list(&parameters)).await?.items)
    }

    /// The pods of a run, by name.
    pub(crate) async fn pods(&self, run_id: &str) -> Result<BTreeMap<String, Pod>, ApiFailure> {
        let pods: Vec<Pod> = self.list(&labels::selector(run_id)).await?;
        let named = |pod: Pod| Some((pod.metadata.name.clone()?, pod));
        Ok(pods.into_iter().filter_map(named).collect())
    }

    /// The objects of a kind; none for who may not see it, and so has made none of it.
    pub(crate) async fn list_visible<K: NamespacedObject>(
        &self,
        selector: &str,
    ) -> Result<Vec<K>, ApiFailure> {
        match self.list(selector).await {
            Err(failure) if failure.has_status(403) => Ok(Vec::new()),
            other => other,
        }
    }

    /// Lists what is in other namespaces.
    pub(crate) async fn list_in<K: NamespacedObject>(
        &self,
        namespace: Option<&str>,
    ) -> Result<Vec<K>, ApiFailure> {
        let client = self.client.clone();
        let api: Api<K> = match namespace {
            Some(namespace) => Api::namespaced(client, namespace),
            None => Api::all(client),
        };
        let parameters = ListParams::default();
        Ok(self.with_retries(|| api.list(&parameters)).await?.items)
    }

    pub(crate) async fn nodes(&self) -> Result<Vec<Node>, ApiFailure> {
        let api = Api::<Node>::all(self.client.clone());
        let parameters = ListParams::default();
        Ok(self.with_retries(|| api.list(&parameters)).await?.items)
    }

    /// Events of one object.
    pub(crate) async fn events(&self, name: &str) -> Result<Vec<Event>, ApiFailure> {
        let api = self.api::<Event>();
        let parameters = ListParams::default().fields(&format!("involvedObject.name={name}"));
        Ok(self.with_retries(|| api.list(&parameters)).await?.items)
    }

    /// Deletes one object; one that is gone already is no failure. `grace` is a pod's time to end.
    pub(crate) async fn delete<K: NamespacedObject>(
        &self,
        name: &str,
        grace: Option<u32>,
    ) -> Result<(), ApiFailure> {
        let api = self.api::<K>();
        let parameters = DeleteParams { grace_period_seconds: grace, ..DeleteParams::background() };
        ignore_not_found(self.with_retries(|| api.delete(name, &parameters)).await)
    }

    /// Deletes all that a selector matches, in one request.
    pub(crate) async fn delete_all<K: NamespacedObject>(
        &self,
        selector: &str,
    ) -> Result<(), ApiFailure> {
        let (api, which) = (self.api::<K>(), ListParams::default().labels(selector));
        let parameters = DeleteParams::background();
        ignore_not_found(self.with_retries(|| api.delete_collection(&parameters, &which)).await)
    }

    /// The last lines of a container's log.
    pub(crate) async fn log_tail(&self, pod: &str, container: &str) -> Result<String, ApiFailure> {
        let api = self.api::<Pod>();
        let parameters = LogParams {
            container: Some(container.to_owned()),
            tail_lines: Some(5),
            ..LogParams::default()
        };
        self.with_retries(|| api.logs(pod, &parameters)).await
    }

    /// A container's log from its beginning, line by line, until it ends. One try.
    pub(crate) async fn follow(
        &self,
        pod: &str,
        container: &str,
        follow: bool,
    ) -> Result<impl AsyncBufRead + use<>, String> {
        let api = self.api::<Pod>();
        let container = Some(container.to_owned());
        let parameters = LogParams { container, follow, ..LogParams::default() };
        match timeout(REQUEST_TIMEOUT, api.log_stream(pod, &parameters)).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(chain(&error)),
            Err(_) => Err(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs())),
        }
    }

    /// Sends a request about something that is no object of a namespace, such as an access review.
    pub(crate) async fn ask<K>(&self, object: &K) -> Result<K, ApiFailure>
    where
        K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
    {
        let (api, parameters) =
            (Api::<K>::all_with(self.client.clone(), &()), PostParams::default());
        self.with_retries(|| api.create(&parameters, object)).await
    }
}

async fn create_in<K>(
    cluster: &Cluster,
    api: &Api<K>,
    object: &Value,
    dry: bool,
) -> Result<K, ApiFailure>
where
    K: Resource<DynamicType = ()> + Clone + Debug + Serialize + DeserializeOwned,
{
    let object: K =
        serde_json::from_value(object.clone()).map_err(|error| ApiFailure::Refused {
            code: 0,
            reason: String::new(),
            message: format!("the manifest is not of its kind: {error}"),
        })?;
    let parameters = PostParams { dry_run: dry, ..PostParams::default() };
    let created = cluster.with_retries(|| api.create(&parameters, &object)).await;
    let name = object.meta().name.clone().unwrap_or_default();
    match created {
        Err(failure) if failure.has_status(409) && !dry => {
            let there = cluster.with_retries(|| api.get(&name)).await?;
            // The API server and webhooks may have added labels of their own.
            let labels = |object: &K| object.meta().labels.clone().unwrap_or_default();
            let has = labels(&there);
            let same = labels(&object).iter().all(|(key, value)| has.get(key) == Some(value));
            if same { Ok(there) } else { Err(failure) }
        }
        other => other,
    }
}

/// Whether another try may not meet this code: overload, and what a proxy in front says.
const fn is_transient(code: u16) -> bool {
    matches!(code, 429 | 500 | 502 | 503 | 504)
}

fn ignore_not_found<T>(answer: Result<T, ApiFailure>) -> Result<(), ApiFailure> {
    match answer {
        Err(failure) if !failure.has_status(404) => Err(failure),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
