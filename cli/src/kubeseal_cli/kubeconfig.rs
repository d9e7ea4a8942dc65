//! The namespace that a kubeconfig gives, as kubectl's library finds it. Nothing else of the file is looked at.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::flags::Given;
use super::refuse;
use crate::error::{Code, Error, Result};
use crate::files::{self, Cap};
use crate::home::home;

/// No kubeconfig of people is larger.
const LARGEST: u64 = 16 << 20;
/// Where a pod finds its own credentials.
const SERVICE_ACCOUNT: &str = "/var/run/secrets/kubernetes.io/serviceaccount";
const NO_CONFIGURATION: &str =
    "no configuration has been provided, try setting KUBERNETES_MASTER environment variable";

/// What the flags and variables say about it.
#[derive(Debug)]
pub(super) struct Kubeconfig<'g> {
    given: &'g Given,
}

#[derive(Debug, Default, Deserialize)]
struct File {
    #[serde(default, rename = "current-context")]
    current: Option<String>,
    #[serde(default)]
    contexts: Option<Vec<NamedContext>>,
    #[serde(default)]
    clusters: Option<Vec<NamedCluster>>,
}

#[derive(Debug, Deserialize)]
struct NamedContext {
    name: String,
    #[serde(default)]
    context: Option<Context>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Context {
    #[serde(default)]
    cluster: Option<String>,
    #[serde(default)]
    namespace: Option<String>,
}

#[derive(Debug, Deserialize)]
struct NamedCluster {
    name: String,
    #[serde(default)]
    cluster: Option<Cluster>,
}

#[derive(Clone, Debug, Default, Deserialize)]
struct Cluster {
    #[serde(default)]
    server: Option<String>,
}

/// All files in one: of what several name, the first holds.
#[derive(Debug, Default)]
struct Merged {
    current: String,
    contexts: HashMap<String, Context>,
    clusters: HashMap<String, Cluster>,
}

impl<'g> Kubeconfig<'g> {
    pub(super) fn new(given: &'g Given) -> Self {
        Self { given }
    }

    /// The namespace of the command line, which counts whatever the files are.
    pub(super) fn explicit(&self) -> Option<&'g str> {
        let name = self.given.filled("namespace")?;
        let prefixes = ["namespaces/", "namespace/", "ns/"];
        let behind = prefixes.iter().find_map(|prefix| {
            let (head, rest) = name.split_at_checked(prefix.len())?;
            (head.eq_ignore_ascii_case(prefix) && !rest.is_empty()).then_some(rest)
        });
        Some(behind.unwrap_or(name))
    }

    /// The namespace: that of the command line, or of the context, or `default` where a cluster is known.
    ///
    /// # Errors
    /// When a file does not read, or none knows a cluster.
    pub(super) fn namespace(&self) -> Result<String> {
        if let Some(name) = self.explicit() {
            return Ok(name.to_owned());
        }
        let merged = self.merged()?;
        let found = self.of_context(&merged);
        match found {
            Ok(Some(name)) => Ok(name),
            Err(error) if !error.is_empty_configuration() => Err(error.into_error()),
            _ if in_cluster() => Ok(own_namespace()),
            Ok(None) => Ok("default".to_owned()),
            Err(error) => Err(error.into_error()),
        }
    }

    fn merged(&self) -> Result<Merged> {
        let mut merged = Merged::default();
        let explicit = self.given.filled("kubeconfig").map(PathBuf::from);
        let must = explicit.is_some();
        for path in explicit.map_or_else(usual, |path| vec![path]) {
            match load(&path) {
                Ok(file) => merged.add(file),
                Err(error) if error.code() == Code::NoFile && !must => {}
                Err(error) if error.code() == Code::NoFile => {
                    return Err(refuse(format!(
                        "stat {}: no such file or directory",
                        path.display()
                    )));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(merged)
    }

    /// The namespace of the context; `None` if it names none.
    fn of_context(&self, merged: &Merged) -> Result<Option<String>, Unusable> {
        let mut wrong = Vec::new();
        let name = self.given.filled("context").unwrap_or(&merged.current);
        let context = merged.contexts.get(name);
        if !name.is_empty() && context.is_none() {
            wrong.push(format!("context was not found for specified context: {name}"));
        }
        let context = context.cloned().unwrap_or_default();
        let asked = self.given.filled("cluster");
        let cluster = asked.or(context.cluster.as_deref()).unwrap_or_default();
        let known = merged.clusters.get(cluster);
        let server = known.and_then(|cluster| cluster.server.as_deref());
        let server = self
            .given
            .filled("server")
            .or(server.filter(|server| !server.is_empty()));
        if server.is_none() {
            wrong.push(match (asked, known) {
                (None, None) => NO_SERVER.to_owned(),
                _ => format!("no server found for cluster {cluster:?}"),
            });
        }
        if wrong.is_empty() {
            Ok(context.namespace.filter(|namespace| !namespace.is_empty()))
        } else {
            Err(Unusable(wrong))
        }
    }
}

/// What kubectl's library says of a cluster that no file knows.
const NO_SERVER: &str = "cluster has no server defined";

/// What is wrong with the configuration.
#[derive(Debug)]
struct Unusable(Vec<String>);

impl Unusable {
    /// Whether there is nothing at all to say which cluster.
    fn is_empty_configuration(&self) -> bool {
        self.0 == [NO_SERVER]
    }

    fn into_error(self) -> Error {
        let text = match &self.0[..] {
            [only] if only == NO_SERVER => NO_CONFIGURATION.to_owned(),
            [only] => only.clone(),
            several => format!("[{}]", several.join(", ")),
        };
        refuse(format!("invalid configuration: {text}")).hint("-n names the namespace without a kubeconfig")
    }
}

impl Merged {
    fn add(&mut self, file: File) {
        if self.current.is_empty() {
            self.current = file.current.unwrap_or_default();
        }
        for context in file.contexts.unwrap_or_default() {
            self.contexts
                .entry(context.name)
                .or_insert_with(|| context.context.unwrap_or_default());
        }
        for cluster in file.clusters.unwrap_or_default() {
            self.clusters
                .entry(cluster.name)
                .or_insert_with(|| cluster.cluster.unwrap_or_default());
        }
    }
}

/// `KUBECONFIG`, a list of paths, else the one in the home folder.
fn usual() -> Vec<PathBuf> {
    match std::env::var_os("KUBECONFIG").filter(|list| !list.is_empty()) {
        Some(list) => std::env::split_paths(&list)
            .filter(|path| !path.as_os_str().is_empty())
            .collect(),
        None => home().map(|home| home.join(".kube/config")).into_iter().collect(),
    }
}

fn load(path: &Path) -> Result<File> {
    let text = files::read(path, Cap::bytes(LARGEST))?;
    if text.expose().trim_ascii().is_empty() {
        return Ok(File::default());
    }
    // The reader's own words can quote the file, which holds credentials.
    let wrong = || {
        refuse(format!(
            "error loading config file \"{}\": it does not read as YAML of a kubeconfig",
            path.display()
        ))
    };
    let text = std::str::from_utf8(text.expose()).map_err(|_| wrong())?;
    let file: Option<File> = serde_saphyr::from_str(text).map_err(|_| wrong())?;
    Ok(file.unwrap_or_default())
}

fn in_cluster() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    set("KUBERNETES_SERVICE_HOST")
        && set("KUBERNETES_SERVICE_PORT")
        && Path::new(SERVICE_ACCOUNT).join("token").is_file()
}

/// The namespace of the pod that this runs in.
fn own_namespace() -> String {
    if let Ok(name) = std::env::var("POD_NAMESPACE")
        && !name.is_empty()
    {
        return name;
    }
    let file = files::read(&Path::new(SERVICE_ACCOUNT).join("namespace"), Cap::bytes(LARGEST));
    let name = file.map(|text| String::from_utf8_lossy(text.expose().trim_ascii()).into_owned());
    name.ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "default".to_owned())
}
