//! Reads documents of runs and of runs on Kubernetes: whole, or of all that is in them what a
//! comparison needs.
//!
//! Enters: a file or a folder. Leaves: its documents, and why others in it were left out. What a
//! comparison describes and does not compute with (plans, hosts) stays as it was written, so that
//! older and newer documents are read alike.

use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io;
use std::path::Path;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use podperf_model::error::{Error, Kind, Result};
use podperf_model::result::{cluster, run};

/// What the launcher writes beside the files of its samples; it holds them all.
const CLUSTER_FILE: &str = "result.json";
/// Folders within folders.
const MAX_DEPTH: u32 = 32;
const REMEDY: &str = "name a file that podperf wrote with -o or -J, the launcher's folder of a \
                      run, or a folder of such";

/// The results in a file or folder: runs as `R`, runs on Kubernetes as `C`.
#[derive(Debug)]
pub struct Documents<R, C> {
    /// The file or folder, as it was named.
    pub name: String,
    /// Whole documents, in the order of their names.
    pub documents: Vec<Document<R, C>>,
    /// Files that are no whole documents, and why.
    pub left_out: Vec<String>,
}

/// All results of one side.
pub type Side = Documents<ReadRun, ReadCluster>;

/// One document, under the file's name.
#[derive(Debug)]
pub struct Document<R, C> {
    /// The file.
    pub name: String,
    /// What it holds.
    pub content: Content<R, C>,
}

/// What a document is of.
#[derive(Debug)]
pub enum Content<R, C> {
    /// One run.
    Run(Box<R>),
    /// A run on Kubernetes.
    Cluster(Box<C>),
}

/// Of a run's document.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ReadRun {
    pub(super) status: String,
    pub(super) plan: Value,
    pub(super) errors: Vec<Value>,
    pub(super) throughput: Option<ReadThroughput>,
    pub(super) transactions: Option<ReadTransactions>,
    pub(super) latency: Option<ReadLatency>,
    pub(super) host: Value,
    pub(super) transport: Value,
}

#[derive(Debug, Deserialize)]
pub(super) struct ReadThroughput {
    pub(super) bits_per_second: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct ReadTransactions {
    pub(super) per_second: f64,
}

#[derive(Debug, Deserialize)]
pub(super) struct ReadLatency {
    pub(super) count: f64,
    pub(super) mean_ns: Option<f64>,
}

/// Of a cluster run's document.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct ReadCluster {
    pub(super) plan: ReadClusterPlan,
    pub(super) cluster: Value,
    pub(super) samples: Vec<ReadSample>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadClusterPlan {
    pub(super) paths: Vec<String>,
    pub(super) tests: Vec<String>,
    pub(super) rows: Vec<cluster::PlannedRow>,
    pub(super) samples: u32,
    pub(super) pairs: u32,
    #[serde(flatten)]
    pub(super) others: serde_json::Map<String, Value>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct ReadSample {
    pub(super) path: String,
    pub(super) test: String,
    pub(super) flows: u32,
    pub(super) sample: u32,
    pub(super) missing: Option<String>,
    pub(super) runs: Vec<ReadRun>,
}

/// Why a file is no document of a comparison.
enum NoDocument {
    /// It is not one of podperf's.
    Foreign(String),
    /// It is, and cannot be used.
    Unusable(String),
}

impl Side {
    /// Reads a file, or everything below a folder, to be compared.
    ///
    /// # Errors
    /// Where the file is no whole document, or the folder has none.
    pub fn read(path: &Path) -> Result<Self> {
        Self::read_as(path, "not comparable: ")
    }
}

impl<R: DeserializeOwned, C: DeserializeOwned> Documents<R, C> {
    /// Reads a file, or everything below a folder. `unknown` opens what is said of documents of
    /// another schema.
    ///
    /// # Errors
    /// Where the file is no whole document, or the folder has none.
    pub fn read_as(path: &Path, unknown: &str) -> Result<Self> {
        let name = path.display().to_string();
        let mut side = Self { name: name.clone(), documents: Vec::new(), left_out: Vec::new() };
        let refused = |cause: String| {
            Error::new(Kind::Usage, format!("read '{name}'"), cause).with_remedy(REMEDY)
        };
        let metadata = fs::metadata(path);
        let metadata = metadata
            .map_err(|error| Error::system(Kind::Usage, format!("read '{name}'"), &error))?;
        if !metadata.is_dir() {
            let bytes = fs::read(path);
            let bytes = bytes.map_err(|error| refused(error.to_string()))?;
            let content = parse(&bytes, unknown).map_err(|why| match why {
                NoDocument::Foreign(cause) | NoDocument::Unusable(cause) => refused(cause),
            })?;
            side.documents.push(Document { name, content });
            return Ok(side);
        }
        side.walk(path, unknown, &mut HashMap::new(), 0)
            .map_err(|error| refused(error.to_string()))?;
        if side.documents.is_empty() {
            let mut cause = "the folder has no whole document of a result".to_owned();
            for left_out in side.left_out.iter().take(3) {
                cause = format!("{cause}; {left_out}");
            }
            return Err(refused(cause));
        }
        Ok(side)
    }

    fn walk(
        &mut self,
        folder: &Path,
        unknown: &str,
        seen: &mut HashMap<u64, String>,
        depth: u32,
    ) -> io::Result<()> {
        let whole = folder.join(CLUSTER_FILE);
        if let Ok(bytes) = fs::read(&whole) {
            match parse::<R, C>(&bytes, unknown) {
                // The files beside it hold its samples once more, without their paths.
                Ok(Content::Cluster(cluster)) => {
                    self.add(&whole, &bytes, Content::Cluster(cluster), seen);
                    return Ok(());
                }
                Err(NoDocument::Unusable(why)) => {
                    self.left_out.push(format!("{}: {why}", whole.display()));
                    return Ok(());
                }
                _ => {}
            }
        }
        let mut entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            // A link to a folder may lead back here.
            if entry.file_type()?.is_dir() {
                if depth < MAX_DEPTH {
                    self.walk(&path, unknown, seen, depth + 1)?;
                }
            } else if path.extension().is_some_and(|ending| ending == "json") && path.is_file() {
                let bytes = fs::read(&path)?;
                match parse(&bytes, unknown) {
                    Ok(content) => self.add(&path, &bytes, content, seen),
                    Err(NoDocument::Unusable(why)) => {
                        self.left_out.push(format!("{}: {why}", path.display()));
                    }
                    Err(NoDocument::Foreign(_)) => {}
                }
            }
        }
        Ok(())
    }

    /// Adds a document, once.
    fn add(
        &mut self,
        path: &Path,
        bytes: &[u8],
        content: Content<R, C>,
        seen: &mut HashMap<u64, String>,
    ) {
        let name = path.display().to_string();
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        if let Some(first) = seen.insert(hasher.finish(), name.clone()) {
            self.left_out.push(format!("{name}: the same document as {first}"));
            return;
        }
        self.documents.push(Document { name, content });
    }
}

fn parse<R: DeserializeOwned, C: DeserializeOwned>(
    bytes: &[u8],
    unknown: &str,
) -> Result<Content<R, C>, NoDocument> {
    #[derive(Deserialize)]
    struct SchemaName {
        schema: Option<Value>,
    }
    if bytes.iter().all(u8::is_ascii_whitespace) {
        return Err(NoDocument::Unusable("the file is empty".to_owned()));
    }
    let damaged =
        |error: serde_json::Error| NoDocument::Unusable(format!("no whole JSON document: {error}"));
    let SchemaName { schema } = match serde_json::from_slice(bytes) {
        Ok(opening) => opening,
        // A list or a lone value is JSON, and nobody's document.
        Err(error) if error.is_data() => {
            return Err(NoDocument::Foreign("no document of podperf: it is no object".to_owned()));
        }
        Err(error) => return Err(damaged(error)),
    };
    let schema = schema.as_ref().and_then(Value::as_str).unwrap_or_default();
    match schema {
        run::SCHEMA => serde_json::from_slice(bytes).map(Content::Run).map_err(damaged),
        cluster::SCHEMA => serde_json::from_slice(bytes).map(Content::Cluster).map_err(damaged),
        other => Err(unknown_schema(other, unknown)),
    }
}

fn unknown_schema(schema: &str, unknown: &str) -> NoDocument {
    let shown: String = schema.chars().take(60).filter(|char| !char.is_control()).collect();
    for known in [run::SCHEMA, cluster::SCHEMA] {
        let name = known.trim_end_matches(char::is_numeric);
        if schema.starts_with(name) {
            let why = format!(
                "{unknown}its schema is {shown}, and this podperf reads {known}; use the \
                 version of podperf that wrote it"
            );
            return NoDocument::Unusable(why);
        }
    }
    if schema.starts_with("podperf.") {
        return NoDocument::Unusable(format!("{unknown}a document of schema {shown}"));
    }
    let of = if schema.is_empty() { "no schema".to_owned() } else { format!("schema {shown}") };
    NoDocument::Foreign(format!("no document of podperf: it has {of}"))
}
