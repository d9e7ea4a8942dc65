//! What a folder is used with, by what stands in it. Only looks.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use document::Format;
use sops::{KeyEntry, MasterKey, Metadata, Rules};

use crate::files::{self, Cap};
use crate::walk::{Walk, is_document};
use crate::workbench::Workbench;

/// Larger files are not looked into: no manifest is that large.
const LARGEST: u64 = 4 << 20;

/// What was found.
#[derive(Default)]
pub(super) struct Survey {
    /// The tools, by the names people know, in alphabetical order.
    pub(super) tools: BTreeSet<&'static str>,
    /// The sealed files, by how they are sealed.
    pub(super) sealed: Vec<Kind>,
    /// Folders with a Helm chart.
    pub(super) charts: Vec<String>,
    /// Manifests that have `data` which is no secret: sealed by another tool, or only a reference.
    pub(super) others: Vec<String>,
    /// Kubernetes Secrets in clear.
    pub(super) secrets: Vec<String>,
    /// Documents that are not sealed.
    pub(super) clear: Vec<(String, PathBuf)>,
}

/// Files that are sealed in one way.
pub(super) struct Kind {
    pub(super) groups: Vec<Vec<MasterKey>>,
    pub(super) threshold: Option<u8>,
    pub(super) rules: Rules,
    pub(super) mac_only_encrypted: bool,
    /// Below the folder.
    pub(super) files: Vec<String>,
}

/// What tells a tool, in a file's text.
const MARKS: [(&str, &[u8]); 6] = [
    ("Argo CD", b"argoproj.io/"),
    ("External Secrets", b"external-secrets.io/"),
    ("Flux", b".toolkit.fluxcd.io/"),
    ("kustomize", b"kustomize.config.k8s.io/"),
    ("Sealed Secrets", b"kind: SealedSecret"),
    ("Sealed Secrets", b"bitnami.com/v1alpha1"),
];

impl Survey {
    /// Looks at everything below `folder` that git does not ignore.
    pub(super) fn of(bench: &Workbench, folder: &Path) -> Self {
        let mut survey = Self::default();
        let walk = Walk::over(&[folder.to_owned()], &is_document, &[]);
        for found in walk.files {
            let below = found.path.strip_prefix(folder).unwrap_or(&found.path).to_owned();
            let Some(name) = below.to_str() else { continue };
            survey.file(bench, name, &found.path);
        }
        survey
    }

    fn file(&mut self, bench: &Workbench, name: &str, path: &Path) {
        let (folder, last) = name.rsplit_once('/').unwrap_or(("", name));
        match last {
            "Chart.yaml" => {
                self.tools.insert("Helm");
                self.charts.push(folder.to_owned());
            }
            "kustomization.yaml" | "kustomization.yml" => drop(self.tools.insert("kustomize")),
            _ => {}
        }
        // What cannot be read is no reason to stop: `seal` will tell.
        let Ok(source) = files::read(path, Cap::bytes(LARGEST)) else {
            return;
        };
        let has = |mark: &[u8]| memchr::memmem::find(source.expose(), mark).is_some();
        let marks = MARKS.iter().filter(|(_, mark)| has(mark));
        self.tools.extend(marks.map(|(tool, _)| tool));
        let is_secret = has(b"kind: Secret\n") || has(b"kind: Secret\r");
        let is_other = has(b"external-secrets.io/") || has(b"kind: SealedSecret");
        let format = Format::of_name(last);
        if super::super::looks_sealed(format, source.expose()) {
            if let Ok(Some(file)) = bench.read_sealed(path, format, source) {
                self.tools.insert("SOPS");
                self.sealed_file(&file.metadata, name);
            }
            return;
        }
        if is_other {
            self.others.push(name.to_owned());
        } else if is_secret {
            self.secrets.push(name.to_owned());
        }
        self.clear.push((name.to_owned(), path.to_owned()));
    }

    fn sealed_file(&mut self, metadata: &Metadata, name: &str) {
        let known = |group: &sops::KeyGroup| group.iter().filter_map(KeyEntry::master_key).cloned().collect();
        let groups: Vec<Vec<MasterKey>> = metadata.groups.iter().map(known).collect();
        let same = |kind: &&mut Kind| {
            kind.groups == groups
                && kind.threshold == metadata.shamir_threshold
                && kind.rules == metadata.rules
                && kind.mac_only_encrypted == metadata.mac_only_encrypted
        };
        match self.sealed.iter_mut().find(same) {
            Some(kind) => kind.files.push(name.to_owned()),
            None => self.sealed.push(Kind {
                groups,
                threshold: metadata.shamir_threshold,
                rules: metadata.rules.clone(),
                mac_only_encrypted: metadata.mac_only_encrypted,
                files: vec![name.to_owned()],
            }),
        }
    }

    /// The keys that most sealed files have.
    pub(super) fn usual(&self) -> Option<&Kind> {
        let usable = self
            .sealed
            .iter()
            .filter(|kind| !kind.groups.iter().any(Vec::is_empty));
        // Of equal ones the first, so that the same tree gives the same policy.
        usable.rev().max_by_key(|kind| kind.files.len())
    }
}
