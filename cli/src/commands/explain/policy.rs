//! Which rule of which policy a file is under, what the rule wants of it, and why a rule that was meant is not it.

use std::path::{Path, PathBuf};

use document::Document;
use sops::config::CreationRule;
use sops::{KeyEntry, MasterKey, Metadata, Rules};

use crate::error::{Code, Error, Result};
use crate::policy::{self, NAME, Policies, Policy, Start};
use crate::workbench::Workbench;

/// The policy of a file.
pub(super) struct Applied {
    /// The policy file; `None` if there is none.
    pub(super) path: Option<PathBuf>,
    /// Whether it was named with `--config` or SOPS_CONFIG.
    pub(super) named: bool,
    /// The folder where the search began.
    pub(super) start: PathBuf,
    /// How many rules it has.
    pub(super) rules: usize,
    /// What patterns are tested with.
    pub(super) tested: String,
    /// The first rule that matches.
    pub(super) rule: Option<Rule>,
    /// Rules that would match if the path began further down: number, pattern and that path.
    pub(super) near: Vec<(usize, String, String)>,
    /// Another policy that the current folder is under, and its rule that would match.
    pub(super) elsewhere: Option<(PathBuf, Option<usize>)>,
    pub(super) require_integrity: bool,
}

/// A rule and what it means for the file.
pub(super) struct Rule {
    /// From 1.
    pub(super) number: usize,
    pub(super) creation: CreationRule,
    /// The key paths that it selects; `None` if that cannot be told.
    pub(super) selects: Option<Vec<String>>,
    /// Recipients of the rule that the file does not have.
    pub(super) added: Vec<MasterKey>,
    /// Recipients of the file that the rule does not name.
    pub(super) removed: Vec<MasterKey>,
    /// Whether the file was sealed by another selection rule.
    pub(super) other_selection: bool,
}

/// Finds the policy of the file at `path`.
///
/// # Errors
/// When a policy cannot be read or used.
pub(super) fn find(bench: &Workbench, path: &Path) -> Result<Applied> {
    let absolute = policy::absolute(path)?;
    let named = bench.global.config();
    let found = bench.rule(path)?.map(|(policy, _)| policy);
    let folder = absolute.parent().unwrap_or(&absolute).to_owned();
    let mut applied = Applied {
        path: found.as_ref().map(|policy| policy.path.clone()),
        named: named.is_some(),
        start: folder,
        rules: 0,
        tested: absolute.to_string_lossy().into_owned(),
        rule: None,
        near: Vec::new(),
        elsewhere: None,
        require_integrity: false,
    };
    if let Some(policy) = &found {
        let tested = absolute.strip_prefix(policy.folder()).unwrap_or(&absolute);
        applied.tested = tested.to_string_lossy().into_owned();
        applied.rules = policy.config.creation_rules.len();
        applied.require_integrity = policy.config.seal.require_integrity;
        applied.rule = matching(policy, path)?.map(|number| Rule::new(number, policy));
        if applied.rule.is_none() {
            applied.near = near(policy, tested);
        }
    }
    if named.is_none() {
        applied.elsewhere = elsewhere(path, applied.path.as_deref());
    }
    Ok(applied)
}

impl Rule {
    fn new(number: usize, policy: &Policy) -> Self {
        Self {
            number,
            creation: policy.config.creation_rules[number - 1].clone(),
            selects: None,
            added: Vec::new(),
            removed: Vec::new(),
            other_selection: false,
        }
    }

    /// Its pattern, if it has one.
    pub(super) fn pattern(&self) -> Option<&str> {
        self.creation.path_regex.as_ref().map(|pattern| pattern.as_str())
    }
}

impl Applied {
    /// What the rule selects in a document.
    pub(super) fn select(&mut self, document: &Document) {
        if let Some(rule) = &mut self.rule
            && let Ok(selected) = sops::unsealed(document, &rule.creation.rules)
        {
            let paths = selected.into_iter().filter_map(|error| match error {
                sops::Error::Unsealed { path, .. } => Some(path.to_string()),
                _ => None,
            });
            rule.selects = Some(paths.collect());
        }
    }

    /// How a sealed file differs from what the rule would make of it.
    pub(super) fn compare(&mut self, document: &Document, metadata: &Metadata) {
        self.select(document);
        let Some(rule) = &mut self.rule else { return };
        let entries = metadata.groups.iter().flatten();
        let listed: Vec<&MasterKey> = entries.filter_map(KeyEntry::master_key).collect();
        if rule.creation.has_keys() {
            let keys = || rule.creation.keys();
            rule.removed = listed
                .iter()
                .filter(|key| !keys().any(|named| named.names(key)))
                .map(|key| (*key).clone())
                .collect();
            rule.added = keys()
                .filter(|named| !listed.iter().any(|key| named.names(key)))
                .cloned()
                .collect();
        }
        rule.other_selection = document.format() != document::Format::Binary
            && with_default(&rule.creation.rules) != with_default(&metadata.rules);
    }

    /// What `seal check` finds.
    pub(super) fn problems(&self, file: &Path) -> Vec<Error> {
        let Some(rule) = &self.rule else { return Vec::new() };
        let error = |text: String| Error::new(Code::Conflict, text).file(file);
        let lacking = rule.added.iter().map(|key| {
            error(format!(
                "the policy names a recipient that the file does not list: {key}"
            ))
        });
        let strange = rule.removed.iter().map(|key| {
            error(format!(
                "the file lists a recipient that the policy does not name: {key}"
            ))
        });
        lacking.chain(strange).collect()
    }

    /// Why no rule holds.
    pub(super) fn no_rule(&self) -> String {
        match &self.path {
            Some(policy) => format!(
                "no rule names this file: none of the {} path rules of {} matches {}",
                self.rules,
                policy.display(),
                self.tested
            ),
            None => format!(
                "no policy: there is no {NAME} in {} nor in any folder above it",
                self.start.display()
            ),
        }
    }
}

fn with_default(rules: &Rules) -> Rules {
    let mut rules = rules.clone();
    if rules == Rules::default() {
        rules.unencrypted_suffix = Some(sops::DEFAULT_UNENCRYPTED_SUFFIX.to_owned());
    }
    rules
}

/// The number of the first rule that matches.
fn matching(policy: &Policy, path: &Path) -> Result<Option<usize>> {
    let rule = policy.rule_for(path)?;
    let mut rules = policy.config.creation_rules.iter();
    Ok(rule.and_then(|rule| Some(rules.position(|other| std::ptr::eq(other, rule))? + 1)))
}

/// Patterns that were written for a path that begins in another folder.
fn near(policy: &Policy, tested: &Path) -> Vec<(usize, String, String)> {
    let mut found = Vec::new();
    for (number, rule) in (1..).zip(&policy.config.creation_rules) {
        let Some(pattern) = &rule.path_regex else { continue };
        let parts: Vec<_> = tested.components().collect();
        let shorter = (1..parts.len()).map(|from| parts[from..].iter().collect::<PathBuf>());
        let absolute = policy.folder().join(tested);
        let fits = shorter
            .chain([absolute])
            .find(|path| pattern.is_match(&path.to_string_lossy()));
        found.extend(fits.map(|path| {
            (
                number,
                pattern.as_str().to_owned(),
                path.to_string_lossy().into_owned(),
            )
        }));
    }
    found
}

/// The policy that somebody in the current folder might take for the one that counts.
fn elsewhere(path: &Path, applied: Option<&Path>) -> Option<(PathBuf, Option<usize>)> {
    let policies = Policies::new(None, Start::CurrentDirectory);
    let here = policies.for_target(path).ok()??;
    if Some(here.path.as_path()) == applied {
        return None;
    }
    let rule = matching(&here, path).ok()?;
    Some((here.path.clone(), rule))
}
