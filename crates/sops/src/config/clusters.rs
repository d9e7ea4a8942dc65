//! `seal.clusters` and `seal.sealed_secrets`: which Secrets are sealed for which clusters, and where the results stand.

use std::fmt::Write as _;

use serde_saphyr::{Location, Spanned};

use super::file::{RawCluster, RawSealedSecretRule, at};
use super::rule::path_pattern;
use super::{ConfigError, PathPattern};

/// One entry of `seal.clusters`.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its name, which stands in paths.
    pub name: String,
    /// File of its certificate, relative to the configuration, or a URL.
    pub certificate: String,
    /// The fingerprint that its certificate must have, as written.
    pub fingerprint: Option<String>,
    /// SealedSecrets that are there for it besides those that rules make.
    pub path_regex: Option<PathPattern>,
    /// Line of the entry, from 1.
    pub line: u64,
}

/// One entry of `seal.sealed_secrets`; the first that matches a Secret holds.
#[derive(Clone, Debug)]
pub struct SealedSecretRule {
    /// The files of Secrets that it is for.
    pub path_regex: PathPattern,
    /// Names of clusters, none twice, each of them known.
    pub clusters: Vec<String>,
    /// Where the results stand; `None` is in place, and only where there is one cluster.
    pub output: Option<Output>,
    /// The scope: `strict`, `namespace-wide` or `cluster-wide`.
    pub scope: Option<String>,
    /// The namespace of Secrets that name none.
    pub namespace: Option<String>,
    /// Which entry it is, from 0.
    pub number: usize,
}

/// A path with places for what changes: `{cluster}`, and of the source `{dir}`, `{file}`, `{stem}` and `{ext}`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output(Vec<Piece>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Cluster,
    Dir,
    File,
    Stem,
    Ext,
}

impl Output {
    /// Where the results of several clusters stand if nothing says so: beside the source, with the cluster's name in the
    /// middle of the file's.
    pub fn beside() -> Self {
        let text = |text: &str| Piece::Text(text.to_owned());
        Self(vec![
            Piece::Dir,
            text("/"),
            Piece::Stem,
            text("."),
            Piece::Cluster,
            text("."),
            Piece::Ext,
        ])
    }

    /// Reads a pattern.
    ///
    /// # Errors
    /// A sentence fragment that names the place that is not known.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, behind)) = rest.split_once('{') {
            let Some((name, after)) = behind.split_once('}') else {
                return Err("a { has no }".to_owned());
            };
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(match name {
                "cluster" => Piece::Cluster,
                "dir" => Piece::Dir,
                "file" => Piece::File,
                "stem" => Piece::Stem,
                "ext" => Piece::Ext,
                _ => {
                    return Err(
                        "{cluster}, {dir}, {file}, {stem} and {ext} are known, and nothing else".to_owned(),
                    );
                }
            });
            rest = after;
        }
        if !rest.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    /// Whether every result stands below the folder that the pattern is relative to.
    pub fn stays_below(&self) -> bool {
        let leaves = |text: &str| text.split('/').any(|part| part == "..");
        let mut texts = self.0.iter().filter_map(|piece| match piece {
            Piece::Text(text) => Some(text),
            _ => None,
        });
        !self.is_absolute() && !texts.any(|text| leaves(text))
    }

    fn is_absolute(&self) -> bool {
        matches!(self.0.first(), Some(Piece::Text(text)) if text.starts_with('/'))
    }

    /// Whether it has a place for the cluster.
    pub fn has_cluster(&self) -> bool {
        self.0.contains(&Piece::Cluster)
    }

    /// Where the result for `cluster` of the file at `source` stands; both relative to the same folder, unless one of them is
    /// absolute.
    pub fn path(&self, source: &str, cluster: &str) -> String {
        let (dir, file) = source.rsplit_once('/').unwrap_or(("", source));
        let (stem, ext) = file.rsplit_once('.').unwrap_or((file, ""));
        let mut path = String::new();
        for piece in &self.0 {
            path.push_str(match piece {
                Piece::Text(text) => text,
                Piece::Cluster => cluster,
                Piece::Dir => dir,
                Piece::File => file,
                Piece::Stem => stem,
                Piece::Ext => ext,
            });
        }
        let of_source = self.0.first() == Some(&Piece::Dir) && source.starts_with('/');
        let root = if self.is_absolute() || of_source { "/" } else { "" };
        let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
        format!("{root}{}", parts.join("/").trim_end_matches('.'))
    }

    /// What the file at `path` would be made of, if it is a result for `cluster`.
    pub fn source_of(&self, path: &str, cluster: &str) -> Source {
        let mut pattern = String::from("^");
        let (mut behind_dir, mut named) = (false, Vec::new());
        for piece in &self.0 {
            // A source beside the policy has no folder, and its slash falls away.
            let text = match piece {
                Piece::Text(text) if behind_dir => text.strip_prefix('/').unwrap_or(text),
                Piece::Text(text) => text,
                _ => "",
            };
            behind_dir = *piece == Piece::Dir;
            let (name, what) = match piece {
                Piece::Text(_) => (None, regex::escape(text)),
                Piece::Cluster => (None, regex::escape(cluster)),
                Piece::Dir => (Some("dir"), "(?:.*/)?".to_owned()),
                Piece::File => (Some("file"), "[^/]+".to_owned()),
                Piece::Stem => (Some("stem"), "[^/]+".to_owned()),
                Piece::Ext => (Some("ext"), "[^/.]*".to_owned()),
            };
            let _ = match name.filter(|name| !named.contains(name)) {
                Some(name) => {
                    named.push(name);
                    write!(pattern, "(?P<{name}>{what})")
                }
                None => write!(pattern, "{what}"),
            };
        }
        pattern.push('$');
        let found = regex::Regex::new(&pattern).ok();
        let Some(found) = found.as_ref().and_then(|pattern| pattern.captures(path)) else {
            return Source::None;
        };
        let part = |name| found.name(name).map(|part| part.as_str());
        let file = match (part("file"), part("stem"), part("ext")) {
            (Some(file), ..) => Some(file.to_owned()),
            (None, Some(stem), Some(ext)) => Some(format!("{stem}.{ext}")),
            _ => None,
        };
        match (part("dir"), file) {
            (Some(dir), Some(file)) => Source::At(format!("{dir}{file}")),
            _ => Source::Somewhere,
        }
    }
}

/// What a result was made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// It is no result of this kind.
    None,
    /// The file at this path.
    At(String),
    /// A file whose path the result does not tell.
    Somewhere,
}

pub(super) fn clusters(raw: Vec<Option<Spanned<RawCluster>>>) -> Result<Vec<Cluster>, ConfigError> {
    let mut clusters: Vec<Cluster> = Vec::new();
    for raw in raw.into_iter().flatten() {
        let (place, raw) = (raw.referenced, raw.value);
        known(&raw.unknown)?;
        let whole = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if raw.name.is_empty() || !raw.name.bytes().all(whole) || raw.name.starts_with('.') {
            return Err(at(
                place,
                "a cluster needs a name of letters, digits, `-`, `_` and `.`",
            ));
        }
        if clusters.iter().any(|known| known.name == raw.name) {
            return Err(at(place, format!("the cluster {} stands twice", raw.name)));
        }
        if raw.certificate.is_empty() {
            return Err(at(
                place,
                format!("the cluster {} names no certificate", raw.name),
            ));
        }
        clusters.push(Cluster {
            path_regex: path_pattern(&raw.path_regex)?,
            name: raw.name,
            certificate: raw.certificate,
            fingerprint: Some(raw.fingerprint).filter(|text| !text.is_empty()),
            line: place.line(),
        });
    }
    Ok(clusters)
}

pub(super) fn rules(
    raw: Vec<Option<Spanned<RawSealedSecretRule>>>,
    known_clusters: &[Cluster],
) -> Result<Vec<SealedSecretRule>, ConfigError> {
    let rules = raw.into_iter().flatten().enumerate();
    rules
        .map(|(number, raw)| rule(number, raw, known_clusters))
        .collect()
}

fn rule(
    number: usize,
    raw: Spanned<RawSealedSecretRule>,
    known_clusters: &[Cluster],
) -> Result<SealedSecretRule, ConfigError> {
    let (place, raw) = (raw.referenced, raw.value);
    known(&raw.unknown)?;
    let Some(path_regex) = path_pattern(&raw.path_regex)? else {
        return Err(at(place, "a rule for SealedSecrets needs a path_regex"));
    };
    let mut clusters: Vec<String> = Vec::new();
    for name in raw.clusters {
        if !known_clusters.iter().any(|cluster| cluster.name == name.value) {
            return Err(at(name.referenced, "no cluster of seal.clusters has this name"));
        }
        if !clusters.contains(&name.value) {
            clusters.push(name.value);
        }
    }
    if clusters.is_empty() {
        return Err(at(place, "a rule for SealedSecrets names no cluster"));
    }
    let output = match &raw.output {
        Some(text) => {
            let output = Output::parse(&text.value).map_err(|why| at(text.referenced, why))?;
            if !output.stays_below() {
                return Err(at(text.referenced, "must stay below the folder of the policy"));
            }
            Some(output)
        }
        None => (clusters.len() > 1).then(Output::beside),
    };
    if clusters.len() > 1 && output.as_ref().is_some_and(|output| !output.has_cluster()) {
        return Err(at(
            raw.output.map_or(place, |text| text.referenced),
            "the output of several clusters needs {cluster}, or they overwrite each other",
        ));
    }
    if let Some(scope) = &raw.scope
        && !["strict", "namespace-wide", "cluster-wide"].contains(&scope.value.as_str())
    {
        return Err(at(
            scope.referenced,
            "the scope is strict, namespace-wide or cluster-wide",
        ));
    }
    Ok(SealedSecretRule {
        path_regex,
        clusters,
        output,
        scope: raw.scope.map(|text| text.value),
        namespace: raw
            .namespace
            .map(|text| text.value)
            .filter(|text| !text.is_empty()),
        number,
    })
}

/// A misspelt field here would seal for the wrong place, so it is an error and no warning.
fn known(unknown: &[Spanned<String>]) -> Result<(), ConfigError> {
    match unknown.first() {
        None => Ok(()),
        Some(key) => Err(at(key.referenced as Location, "this field is not known here")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn outputs_are_made_and_recognised() {
        let output = |text: &str| Output::parse(text).expect("a pattern");
        let overlay = output("clusters/{cluster}/{dir}/{file}");
        assert_eq!(
            overlay.path("apps/shop/db.yaml", "eu"),
            "clusters/eu/apps/shop/db.yaml"
        );
        assert_eq!(overlay.path("db.yaml", "eu"), "clusters/eu/db.yaml");
        for path in ["clusters/eu/db.yaml", "clusters/eu/a/b/db.yaml"] {
            assert_eq!(overlay.source_of(path, "us"), Source::None);
            let source = path.trim_start_matches("clusters/eu/");
            assert_eq!(overlay.source_of(path, "eu"), Source::At(source.to_owned()));
        }
        assert_eq!(Output::beside().path("a/db.enc.yaml", "eu"), "a/db.enc.eu.yaml");
        assert_eq!(Output::beside().path("db", "eu"), "db.eu");
        for path in ["db.eu.yaml", "x/db.eu.yaml"] {
            let source = path.replace(".eu", "");
            assert_eq!(Output::beside().source_of(path, "eu"), Source::At(source));
        }
        assert_eq!(Output::beside().source_of("db.yaml", "eu"), Source::None);
        assert_eq!(
            output("x/{cluster}.yaml").source_of("x/eu.yaml", "eu"),
            Source::Somewhere
        );
        for wrong in ["{cluster", "{name}"] {
            Output::parse(wrong).expect_err(wrong);
        }
        for outside in ["/abs/{cluster}", "../{cluster}", "a/../{cluster}"] {
            assert!(!output(outside).stays_below(), "{outside}");
        }
        assert!(overlay.stays_below());
        assert_eq!(
            output("/abs/{cluster}/{file}").path("a/x.yaml", "eu"),
            "/abs/eu/x.yaml"
        );
        assert_eq!(output("{dir}/{stem}.out").path("/abs/x.yaml", "eu"), "/abs/x.out");
        assert_eq!(output("../{file}").path("/abs/x.yaml", "eu"), "../x.yaml");
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        let told = |text: &str| Config::parse(text.as_bytes()).expect_err(text).to_string();
        let clusters =
            "seal:\n  clusters:\n  - {name: eu, certificate: eu.pem}\n  - {name: us, certificate: us.pem}\n";
        for (more, why) in [
            ("  - {name: eu, certificate: x}\n", "stands twice"),
            ("  - {name: a/b, certificate: x}\n", "needs a name"),
            ("  - {name: x}\n", "names no certificate"),
            ("  - {name: x, certificate: y, cert: z}\n", "not known here"),
            ("  sealed_secrets:\n  - {clusters: [eu]}\n", "needs a path_regex"),
            ("  sealed_secrets:\n  - {path_regex: x}\n", "names no cluster"),
            (
                "  sealed_secrets:\n  - {path_regex: x, clusters: [no]}\n",
                "line 6, column 32: no cluster",
            ),
            (
                "  sealed_secrets:\n  - {path_regex: x, clusters: [eu, us], output: '{file}'}\n",
                "overwrite each other",
            ),
            (
                "  sealed_secrets:\n  - {path_regex: x, clusters: [eu], scope: wide}\n",
                "the scope is",
            ),
        ] {
            let error = told(&format!("{clusters}{more}"));
            assert!(error.contains(why), "{more}: {error}");
        }
        let text = format!("{clusters}  sealed_secrets:\n  - {{path_regex: x, clusters: [eu, us, eu]}}\n");
        let config = Config::parse(text.as_bytes()).expect("a configuration");
        let rule = &config.seal.sealed_secrets[0];
        assert_eq!(rule.clusters, ["eu", "us"]);
        assert_eq!(rule.output, Some(Output::beside()));
        assert!(config.seal.rule_for_secret("a/x.yaml").is_some());
        let names = |config: &Config, path: &str| -> Vec<String> {
            let clusters = config.seal.clusters_of(path);
            clusters.iter().map(|cluster| cluster.name.clone()).collect()
        };
        assert_eq!(names(&config, "a/x.us.yaml"), ["us"]);
        assert!(names(&config, "a/x.yaml").is_empty());
        // The same output of two rules: what it was made of tells them apart. Else all that it can be are told.
        let rules = "  sealed_secrets:\n  - {path_regex: ^a/, clusters: [eu], output: '{dir}/{stem}.sealed.{ext}'}\n  \
                     - {path_regex: ^b/, clusters: [us], output: '{dir}/{stem}.sealed.{ext}'}\n";
        let config = Config::parse(format!("{clusters}{rules}").as_bytes()).expect("a configuration");
        assert_eq!(names(&config, "b/x.sealed.yaml"), ["us"]);
        let clusters = clusters.replace("name: us", "name: x.eu");
        let rules = "  sealed_secrets:\n  - {path_regex: ., clusters: [eu, x.eu]}\n";
        let config = Config::parse(format!("{clusters}{rules}").as_bytes()).expect("a configuration");
        assert_eq!(names(&config, "db.x.eu.yaml"), ["eu", "x.eu"]);
    }
}
