//! SealedSecrets: what `seal kube seal` makes opens with the real kubeseal and with two other programs, what they make
//! opens with `seal kube unseal`, and what must not open is refused by both sides.
//!
//! Everything is offline: kubeseal seals with `--cert` and opens with `--recovery-unseal`. Small form and campaign are the
//! same.

mod changes;
mod kubeseal;
mod others;
mod refusals;

use std::collections::BTreeMap;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use support::peers;
use support::run::Tool;

use crate::scene::{EVERYTHING, Result, Scene};

/// The annotations of the scopes that are not strict.
const WIDE: [(&str, &str); 2] = [
    ("namespace-wide", "sealedsecrets.bitnami.com/namespace-wide"),
    ("cluster-wide", "sealedsecrets.bitnami.com/cluster-wide"),
];

/// A file of `testdata/sealed-secrets/keys`.
fn key_file(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/sealed-secrets/keys/");
    format!("{folder}{name}")
}

/// A folder, the program `seal` and the real kubeseal in it.
struct Bench {
    scene: Scene,
    kubeseal: Tool,
}

impl Bench {
    fn new() -> Result<Self> {
        let scene = Scene::new(EVERYTHING)?;
        let kubeseal = scene.tool(peers::kubeseal()?, &[])?;
        Ok(Self { scene, kubeseal })
    }

    /// Seals a file with `seal`, for the certificate of this name.
    fn seal(&self, file: &str, certificate: &str, more: &[&str]) -> Result<Vec<u8>> {
        let certificate = key_file(certificate);
        let arguments = [&["kube", "seal", "--cert", &certificate], more, &[file]].concat();
        self.scene.must(&arguments)
    }

    /// Opens a file with `seal`, to the Secrets in it.
    fn unseal(&self, file: &str, keys: &[&str]) -> Result<Vec<Secret>> {
        let keys: Vec<String> = keys
            .iter()
            .map(|key| format!("--key={}", key_file(key)))
            .collect();
        let mut arguments = vec!["kube", "unseal", "--output-type", "json", "--encoded", file];
        arguments.extend(keys.iter().map(String::as_str));
        secrets(&self.scene.must(&arguments)?)
    }

    /// Seals a file with kubeseal.
    fn kubeseal(&self, file: &str, certificate: &str, more: &[&str]) -> Result<Vec<u8>> {
        let certificate = key_file(certificate);
        let arguments = [&["--cert", &certificate, "-f", file], more].concat();
        Ok(self.kubeseal.run(&arguments)?.expect_success()?)
    }

    /// What kubeseal says of one SealedSecret, with these keys.
    fn recover(&self, sealed: &[u8], keys: &[&str]) -> Result<support::run::Output> {
        let keys: Vec<String> = keys
            .iter()
            .map(|key| format!("--recovery-private-key={}", key_file(key)))
            .collect();
        let mut arguments = vec!["--recovery-unseal"];
        arguments.extend(keys.iter().map(String::as_str));
        Ok(self.kubeseal.run_with_input(&arguments, sealed)?)
    }

    /// Opens one SealedSecret with kubeseal.
    fn recovered(&self, sealed: &[u8], keys: &[&str]) -> Result<Secret> {
        let opened = self.recover(sealed, keys)?.expect_success()?;
        Ok(Secret::of(&serde_json::from_slice(&opened)?))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scene.path(name)
    }
}

/// A Secret, as a test wants it and as a program gives it back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Secret {
    name: String,
    namespace: String,
    kind: Option<String>,
    immutable: Option<bool>,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    values: BTreeMap<String, Vec<u8>>,
}

impl Secret {
    fn new(name: &str, scope: &str) -> Self {
        let annotation = WIDE.iter().find(|(word, _)| *word == scope);
        let annotation = annotation.map(|(_, name)| ((*name).to_owned(), "true".to_owned()));
        Self {
            name: name.to_owned(),
            namespace: "prod".to_owned(),
            annotations: annotation.into_iter().collect(),
            ..Self::default()
        }
    }

    fn with(mut self, key: &str, value: impl Into<Vec<u8>>) -> Self {
        self.values.insert(key.to_owned(), value.into());
        self
    }

    /// Reads one out of JSON, values under `data` only.
    fn of(secret: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let texts = |value: &Value| -> BTreeMap<String, String> {
            let map = value.as_object().into_iter().flatten();
            map.map(|(name, value)| (name.clone(), text(value))).collect()
        };
        let values = texts(&secret["data"]).into_iter();
        Self {
            name: text(&secret["metadata"]["name"]),
            namespace: text(&secret["metadata"]["namespace"]),
            kind: secret["type"].as_str().map(str::to_owned),
            immutable: secret["immutable"].as_bool(),
            labels: texts(&secret["metadata"]["labels"]),
            annotations: texts(&secret["metadata"]["annotations"]),
            // What is no base64 is no value of this test.
            values: values
                .map(|(key, value)| {
                    (
                        key,
                        STANDARD.decode(value).unwrap_or_else(|_| b"no base64".to_vec()),
                    )
                })
                .collect(),
        }
    }

    /// Its manifest: what is text under `stringData`, the rest under `data`. A text whose key begins with `c` clashes with
    /// another value under `data`, which must lose.
    fn manifest(&self) -> Value {
        let (mut data, mut texts) = (Map::new(), Map::new());
        for (key, value) in &self.values {
            let text = std::str::from_utf8(value).ok();
            if let Some(text) = text.filter(|_| !key.starts_with("data")) {
                texts.insert(key.clone(), text.into());
            }
            if key.starts_with('c') {
                data.insert(key.clone(), STANDARD.encode("loses").into());
            } else if !texts.contains_key(key) {
                data.insert(key.clone(), STANDARD.encode(value).into());
            }
        }
        let mut manifest = json!({
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": self.name, "namespace": self.namespace},
            "data": data,
            "stringData": texts,
        });
        for (name, map) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            if !map.is_empty() {
                manifest["metadata"][name] = json!(map);
            }
        }
        if let Some(kind) = &self.kind {
            manifest["type"] = kind.as_str().into();
        }
        if let Some(immutable) = self.immutable {
            manifest["immutable"] = immutable.into();
        }
        manifest
    }
}

/// Every kind of value in every scope, and every other field that a Secret has.
fn all_secrets() -> Vec<Secret> {
    let bytes: Vec<u8> = (0..=255).collect();
    let values = |secret: Secret| {
        secret
            .with("password", "hunter2")
            .with("unicode", "pässwörd 🔑 \u{2028}\u{feff}")
            .with("empty", "")
            .with("data-nul", "a\0b\0")
            .with("data-binary", bytes.clone())
            .with("lines", "one\r\ntwo\n\n  three\t\n")
            .with("number", "0123456789012345")
            .with("clash", "wins")
            .with(".dockerconfigjson", "{\"auths\": {}}")
            .with("A_b-9.c", "---\n# {{ no template }}\n")
    };
    let mut all: Vec<Secret> = ["strict", "namespace-wide", "cluster-wide"]
        .into_iter()
        .map(|scope| values(Secret::new(&format!("values-{scope}"), scope)))
        .collect();
    let mut tls = Secret::new("tls", "strict")
        .with("tls.crt", "-----BEGIN\n")
        .with("tls.key", "x");
    tls.kind = Some("kubernetes.io/tls".to_owned());
    tls.immutable = Some(true);
    tls.labels = [("app", "shop"), ("build", "12345678e1234567")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    tls.annotations.insert("note".to_owned(), "true".to_owned());
    let mut docker = Secret::new("docker.io", "strict").with(".dockerconfigjson", "{}");
    docker.kind = Some("kubernetes.io/dockerconfigjson".to_owned());
    docker.immutable = Some(false);
    let mut everywhere = Secret::new("everywhere", "cluster-wide").with("k", "v");
    everywhere
        .annotations
        .insert(WIDE[0].1.to_owned(), "true".to_owned());
    all.extend([tls, docker, everywhere]);
    all
}

/// Secrets as one file of YAML documents.
fn yaml(secrets: &[Secret]) -> Result<String> {
    let documents: std::result::Result<Vec<_>, _> = secrets
        .iter()
        .map(|secret| serde_yaml::to_string(&secret.manifest()))
        .collect();
    Ok(documents?.join("---\n"))
}

/// Secrets as one file of JSON values.
fn json(secrets: &[Secret]) -> String {
    let documents: Vec<String> = secrets
        .iter()
        .map(|secret| format!("{:#}\n", secret.manifest()))
        .collect();
    documents.concat()
}

/// Secrets as one List.
fn list(secrets: &[Secret]) -> Value {
    let items: Vec<Value> = secrets.iter().map(Secret::manifest).collect();
    json!({"apiVersion": "v1", "kind": "List", "items": items})
}

/// The objects of a file of JSON values.
fn objects(text: &[u8]) -> Result<Vec<Value>> {
    let values = serde_json::Deserializer::from_slice(text).into_iter();
    Ok(values.collect::<std::result::Result<_, _>>()?)
}

/// The Secrets of a file of JSON values.
fn secrets(text: &[u8]) -> Result<Vec<Secret>> {
    Ok(objects(text)?.iter().map(Secret::of).collect())
}

/// The documents of a file of YAML.
fn documents(text: &str) -> Vec<&str> {
    let documents = text.split("---\n").map(str::trim_start);
    documents.filter(|document| !document.is_empty()).collect()
}

/// A SealedSecret made by hand, of items that somebody sealed.
fn sealed_by_hand(name: &str, scope: &str, items: &[(String, String)]) -> Value {
    let items: Map<String, Value> = items
        .iter()
        .map(|(key, text)| (key.clone(), text.as_str().into()))
        .collect();
    let of = Secret::new(name, scope);
    json!({
        "apiVersion": "bitnami.com/v1alpha1",
        "kind": "SealedSecret",
        "metadata": {"name": of.name, "namespace": of.namespace, "annotations": of.annotations},
        "spec": {"encryptedData": items, "template": {"metadata": {"name": of.name}}},
    })
}
