//! What becomes of a sealed file that is published: where it goes, and what arrives there.
//!
//! Rules of the policy say where to. S3 and Google Cloud Storage get the sealed file as it stands, or sealed anew for the
//! keys of the rule's `recreation_rule`; Vault gets its values. What is opened for that is checked first.

use std::collections::HashSet;
use std::path::{Component, Path};

use document::{Edits, Format};
use key_providers::Network;
use secret::SecretBytes;
use secret_stores::{Publisher, Publishers, Put, Sources, Takes};
use sops::MasterKey;
use sops::config::{CreationRule, DestinationRule};

use crate::error::{Code, Error, Result};
use crate::home::home;
use crate::rekey::{as_in_file, changes, name};
use crate::workbench::{SealedFile, Workbench, new_data_key};

/// The ways to all places.
pub(crate) struct Publishing(Publishers);

/// Where one file goes.
pub(crate) struct Destination {
    publisher: Box<dyn Publisher>,
    /// The rule for what is sealed anew.
    recreation: Option<CreationRule>,
    /// The file's name there.
    name: String,
    /// What the destination and the file's name there make together.
    pub(crate) place: String,
}

/// The recipients of what is sealed anew, where others have been.
pub(crate) struct Recreation {
    /// Those of the file, group by group.
    pub(crate) present: Vec<Vec<String>>,
    /// Those of the rule.
    pub(crate) wanted: Vec<Vec<MasterKey>>,
    /// In words; none if it has these recipients already.
    pub(crate) changes: Vec<String>,
}

impl Publishing {
    /// With the logins that the environment names. Nothing is read before something is published.
    pub(crate) fn from_env() -> Self {
        let home = home();
        let host = rustix::system::uname();
        let variable = |name: &str| std::env::var_os(name);
        let host = host.nodename().to_string_lossy();
        let sources = Sources::from_env(&variable, home.as_deref(), &host);
        Self(Publishers::new(sources, Network::default()))
    }

    /// Where the file at `path` goes under `rule`, with `name` as what distinguishes it.
    ///
    /// # Errors
    /// Code 5 if the rule names no destination that can be.
    pub(crate) fn destination(
        &self,
        path: &Path,
        rule: &DestinationRule,
        name: &Path,
        omit_extension: bool,
    ) -> Result<Destination> {
        let wanted = rule.destination.as_ref().ok_or_else(|| {
            Error::new(
                Code::Config,
                "the destination rule for this file names no destination",
            )
            .file(path)
            .hint("give it one of s3_bucket, gcs_bucket and vault_path")
        })?;
        let publisher = self.0.at(wanted).map_err(|error| {
            Error::new(Code::Config, "the destination rule for this file cannot be used")
                .file(path)
                .cause(&error)
        })?;
        let name = name_there(path, name, omit_extension || rule.omit_extensions)?;
        let recreation = rule.recreation_rule.clone().filter(CreationRule::has_keys);
        Ok(Destination {
            place: publisher.place(&name),
            recreation,
            publisher,
            name,
        })
    }
}

impl Destination {
    /// Warns, once for each destination in `told`, where values could be read on their way.
    pub(crate) fn warn_of_exposure(&self, bench: &Workbench, told: &mut HashSet<String>) {
        let server = self.place.split("/v1/").next().unwrap_or_default();
        if self.publisher.is_exposed() && told.insert(server.to_owned()) {
            let text = format!("values of files cross the network to {server} in the clear");
            bench.ui.warn(None, &text);
        }
    }

    /// Whose the file will be there, if it is sealed anew.
    pub(crate) fn recreation(&self, file: &SealedFile) -> Option<Recreation> {
        let rule = self.sealed_anew()?;
        let present = &file.metadata.groups;
        let wanted = as_in_file(&file.metadata, rule.groups.clone());
        Some(Recreation {
            changes: changes(&file.metadata, &wanted, threshold(rule)),
            present: present
                .iter()
                .map(|group| group.iter().map(name).collect())
                .collect(),
            wanted,
        })
    }

    /// The rule for what is sealed anew; values are not sealed at all.
    fn sealed_anew(&self) -> Option<&CreationRule> {
        let rule = self.recreation.as_ref();
        rule.filter(|_| self.publisher.takes() == Takes::File)
    }

    /// What will arrive there. It is whole: what is opened is checked, and what is not is sealed wherever it should be.
    ///
    /// # Errors
    /// Those of opening and sealing; code 25 for plaintext where a sealed value is due, 51 without a MAC.
    pub(crate) fn content(
        &self,
        bench: &Workbench,
        path: &Path,
        format: Format,
        file: SealedFile,
    ) -> Result<SecretBytes> {
        if self.publisher.takes() == Takes::Values {
            let opened = bench.open(path, file, false, false)?.opened;
            return crate::commands::values(bench, path, format, opened.plaintext);
        }
        if let Some(rule) = self.sealed_anew() {
            return anew(bench, path, format, file, rule);
        }
        let found = sops::check(&file.document, &file.metadata);
        let mut found = found.map_err(|error| Error::from((path, error)))?;
        match found.is_empty() {
            true => Ok(file.document.into_rendered(&Edits::default())),
            false => Err(Error::from((path, found.remove(0)))),
        }
    }

    /// Puts `content` there.
    ///
    /// # Errors
    /// Code 3 if that was not done.
    pub(crate) fn put(&self, bench: &Workbench, path: &Path, content: SecretBytes) -> Result<Put> {
        let put = bench.wait(&self.place, self.publisher.put(&self.name, content));
        let put = put.map_err(|error| {
            let hint = match error.retry() {
                key_providers::Retry::Later => {
                    "the same command, later: to publish a file twice does no harm"
                }
                _ => "put right what stands above; nothing of this file has arrived",
            };
            Error::new(Code::Write, format!("it was not published to {}", self.place))
                .file(path)
                .cause(&error)
                .hint(hint)
        })?;
        if put == Put::Unseen {
            let text =
                "what was there could not be looked at: it was written, whether something changed or not";
            bench.ui.warn(Some(path), text);
        }
        Ok(put)
    }
}

/// A file under a new data key, for the keys and under the rules of `rule`.
fn anew(
    bench: &Workbench,
    path: &Path,
    format: Format,
    file: SealedFile,
    rule: &CreationRule,
) -> Result<SecretBytes> {
    let groups = as_in_file(&file.metadata, rule.groups.clone());
    let opened = bench.open(path, file, false, false)?.opened;
    let key = new_data_key()?;
    let (rules, mac_only_encrypted) = match format {
        Format::Binary => (sops::Rules::default(), false),
        _ => (rule.rules.clone(), rule.mac_only_encrypted),
    };
    let metadata = bench.wrap(&groups, threshold(rule), &key, rules, mac_only_encrypted)?;
    let sealed = bench.seal_again(path, format, opened.plaintext, metadata, &key, None)?;
    Ok(sealed.bytes)
}

fn threshold(rule: &CreationRule) -> Option<u8> {
    (rule.shamir_threshold > 0).then_some(rule.shamir_threshold)
}

/// `name` with slashes, without what stands behind the last dot of its last part if that is to be omitted. A part that
/// begins with its only dot stays whole: it would have no name.
fn name_there(path: &Path, name: &Path, omit_extension: bool) -> Result<String> {
    let strange = |text: &'static str| Error::new(Code::Generic, text).file(path);
    let mut parts = Vec::new();
    for part in name.components() {
        match part {
            Component::Normal(part) => {
                let part = part.to_str();
                parts.push(part.ok_or_else(|| strange("a name that is not UTF-8 cannot be published"))?);
            }
            _ => return Err(strange("the file has no name of its own to be published under")),
        }
    }
    if let Some(last) = parts.last_mut()
        && omit_extension
        && let Some(dot) = last.rfind('.').filter(|dot| *dot > 0)
    {
        *last = &last[..dot];
    }
    match parts.is_empty() {
        true => Err(strange("the file has no name of its own to be published under")),
        false => Ok(parts.join("/")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extensions_are_omitted_and_names_are_not() {
        let there = |name: &str, omit| name_there(Path::new("f"), Path::new(name), omit).ok();
        for (name, kept, omitted) in [
            ("a.yaml", "a.yaml", "a"),
            ("sub.d/a.tar.gz", "sub.d/a.tar.gz", "sub.d/a.tar"),
            ("sub.d/a", "sub.d/a", "sub.d/a"),
            (".env", ".env", ".env"),
            ("a.", "a.", "a"),
        ] {
            assert_eq!(there(name, false).as_deref(), Some(kept));
            assert_eq!(there(name, true).as_deref(), Some(omitted));
        }
        for name in ["", "..", "../a", "/a"] {
            assert_eq!(there(name, false), None, "{name}");
        }
    }
}
