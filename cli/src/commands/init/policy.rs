//! The text of a new policy.

use std::fmt::Write as _;

use document::{Document, Form, Format};
use sops::config::Config;
use sops::{KeyKind, MasterKey};

use super::survey::{Kind, Survey};
use crate::files::{self, Cap};
use crate::workbench::Workbench;

/// Manifests that look like Secrets by name and by `data`, and are none.
const OTHERS: &str = "(external|push|sealed)-?secrets?[^/]*\\.ya?ml$";

/// Who can open what is sealed.
#[derive(Clone)]
pub(super) struct Keys {
    /// As keys of a rule, each `name: value`; several groups as `key_groups`.
    lines: Vec<String>,
}

impl Keys {
    /// One group of age recipients.
    pub(super) fn of_age(recipients: &[String]) -> Self {
        Self {
            lines: vec![format!("age: {}", key_text(&recipients.join(",")))],
        }
    }

    /// One group of keys; `None` if a rule cannot say them.
    pub(super) fn of_group(keys: &[MasterKey]) -> Option<Self> {
        single(keys).map(|lines| Self { lines })
    }

    /// The keys of files that are sealed already; `None` if a rule cannot say them.
    pub(super) fn of_kind(kind: &Kind) -> Option<Self> {
        let lines = match kind.groups.as_slice() {
            [group] => single(group)?,
            groups => {
                let mut lines = Vec::new();
                if let Some(threshold) = kind.threshold {
                    lines.push(format!("shamir_threshold: {threshold}"));
                }
                lines.push("key_groups:".to_owned());
                for group in groups {
                    // The longer forms of other kinds need more than a name.
                    let age = group.iter().map(|key| match key {
                        MasterKey::Age { recipient } => {
                            Some(serde_json::Value::from(recipient.as_str()).to_string())
                        }
                        _ => None,
                    });
                    let age: Vec<String> = age.collect::<Option<_>>()?;
                    single(group)?;
                    lines.push(format!("  - age: [{}]", age.join(", ")));
                }
                lines
            }
        };
        Some(Self { lines })
    }
}

/// The lists of one group, kind by kind; `None` if they would not read back as these very keys.
fn single(group: &[MasterKey]) -> Option<Vec<String>> {
    let mut lists: Vec<(KeyKind, Vec<String>)> = Vec::new();
    for key in group {
        let plain = match key {
            MasterKey::Age { .. } | MasterKey::Pgp { .. } | MasterKey::GcpKms { .. } => true,
            MasterKey::AzureKeyVault { .. } | MasterKey::VaultTransit { .. } => true,
            MasterKey::AwsKms {
                role,
                context,
                aws_profile,
                ..
            } => role.is_none() && context.is_empty() && aws_profile.is_empty(),
            MasterKey::HuaweiKms { .. } => false,
        };
        if !plain {
            return None;
        }
        let kind = key.key_kind();
        match lists.iter_mut().find(|(known, _)| *known == kind) {
            Some((_, keys)) => keys.push(key.to_string()),
            None => lists.push((kind, vec![key.to_string()])),
        }
    }
    let mut lines = Vec::new();
    for (kind, keys) in lists {
        let text = keys.join(",");
        let back = MasterKey::parse_list(kind, &text).ok()?;
        if !back.iter().eq(group.iter().filter(|key| key.key_kind() == kind)) {
            return None;
        }
        // In rules the lists of these two have other names than in files.
        let name = match kind {
            KeyKind::AzureKeyVault => "azure_keyvault",
            KeyKind::VaultTransit => "hc_vault_transit_uri",
            kind => kind.name(),
        };
        lines.push(format!("{name}: {}", key_text(&text)));
    }
    Some(lines)
}

/// Names of keys as a YAML scalar. They come from files of strangers: what is not plainly a name is quoted.
fn key_text(text: &str) -> String {
    let is_name = text.starts_with(|first: char| first.is_ascii_alphabetic())
        && text.contains(|sign: char| sign.is_ascii_digit())
        && !text.ends_with(':')
        && text
            .chars()
            .all(|sign| sign.is_ascii_alphanumeric() || ",:/._-".contains(sign));
    if is_name {
        text.to_owned()
    } else {
        serde_json::Value::from(text).to_string()
    }
}

/// A policy for what was found: files that are sealed keep the keys and the selection that they have, what other tools
/// look after is left alone; then Kubernetes Secrets, and files that are secret by their name.
pub(super) fn text(survey: &Survey, keys: &Keys) -> String {
    let mut text = "creation_rules:\n".to_owned();
    for kind in &survey.sealed {
        if let Some(own) = Keys::of_kind(kind) {
            let selection = kind.rules.set().next();
            let selection = selection.map(|(name, text)| format!("{name}: {}", quoted(text)));
            let only = kind
                .mac_only_encrypted
                .then(|| "mac_only_encrypted: true".to_owned());
            let more: Vec<String> = selection.into_iter().chain(only).collect();
            rule(&mut text, &exactly(&kind.files), &more, &own);
        }
    }
    let nothing = ["encrypted_regex: ^$  # another tool looks after these".to_owned()];
    if survey.tools.contains("External Secrets") || survey.tools.contains("Sealed Secrets") {
        rule(&mut text, OTHERS, &nothing, keys);
    }
    let unlike: Vec<String> = survey
        .others
        .iter()
        .filter(|name| is_taken(name))
        .cloned()
        .collect();
    if !unlike.is_empty() {
        rule(&mut text, &exactly(&unlike), &nothing, keys);
    }
    for chart in &survey.charts {
        let folder = if chart.is_empty() {
            String::new()
        } else {
            format!("{}/", escaped(chart))
        };
        rule(&mut text, &format!("^{folder}secrets[^/]*\\.ya?ml$"), &[], keys);
    }
    let secret = ["encrypted_regex: ^(data|stringData)$".to_owned()];
    rule(&mut text, SECRETS, &secret, keys);
    rule(&mut text, "\\.(enc|sealed)\\.(ya?ml|json|env|ini)$", &[], keys);
    text.push_str("seal:\n  require_integrity: false\n");
    text
}

/// Files with Kubernetes Secrets, by name.
const SECRETS: &str = "secret[^/]*\\.ya?ml$";

/// Whether a file of another tool would be taken for a Secret.
fn is_taken(name: &str) -> bool {
    let matches =
        |pattern| sops::config::PathPattern::new(pattern).is_ok_and(|pattern| pattern.is_match(name));
    matches(SECRETS) && !matches(OTHERS)
}

fn rule(text: &mut String, pattern: &str, more: &[String], keys: &Keys) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "  - path_regex: {}", quoted(pattern));
    for line in more.iter().chain(&keys.lines) {
        let _ = writeln!(text, "    {line}");
    }
}

/// The pattern of these paths and no others.
fn exactly(files: &[String]) -> String {
    let files: Vec<String> = files.iter().map(|file| escaped(file)).collect();
    match files.as_slice() {
        [one] => format!("^{one}$"),
        many => format!("^({})$", many.join("|")),
    }
}

/// A path as a pattern for itself.
fn escaped(path: &str) -> String {
    let mut pattern = String::new();
    for sign in path.chars() {
        if "\\.+*?()|[]{}^$".contains(sign) {
            pattern.push('\\');
        }
        pattern.push(sign);
    }
    pattern
}

/// A YAML scalar that says `text`: plain where nothing in it could be taken for more.
fn quoted(text: &str) -> String {
    let first = text
        .chars()
        .next()
        .is_none_or(|sign| !(sign.is_ascii_alphanumeric() || "^\\(/.".contains(sign)));
    // Words can be numbers, booleans or null.
    let is_word = text
        .chars()
        .all(|sign| sign.is_ascii_alphanumeric() || ".-_".contains(sign));
    let inner = text.contains(": ") || text.contains(" #") || text.ends_with([':', ' ']);
    if first || inner || text.chars().any(char::is_control) || is_word {
        return serde_json::Value::from(text).to_string();
    }
    text.to_owned()
}

/// The files in clear that `seal` would seal under the policy `text`, and the Secrets that no rule names.
pub(super) fn outlook(bench: &Workbench, survey: &Survey, text: &str) -> (Vec<String>, Vec<String>) {
    let Ok(config) = Config::parse(text.as_bytes()) else {
        return (Vec::new(), Vec::new());
    };
    let selects = |name: &str, path: &std::path::Path| {
        let rule = config.rule_for(name)?;
        let source = files::read(path, Cap::default()).ok()?;
        let document = Document::parse(Format::of_name(name), Form::Plain, source, &bench.limits()).ok()?;
        let selected = sops::unsealed(&document, &rule.rules).ok()?;
        (!selected.is_empty()).then_some(())
    };
    let sealed = survey
        .clear
        .iter()
        .filter(|(name, path)| selects(name, path).is_some());
    let sealed = sealed.map(|(name, _)| name.clone()).collect();
    let missed = survey
        .secrets
        .iter()
        .filter(|name| config.rule_for(name).is_none());
    (sealed, missed.cloned().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_become_patterns_for_themselves_alone() {
        let files = ["a+b (1).yaml".to_owned(), "x/[y]$.json".to_owned()];
        let pattern = sops::config::PathPattern::new(&exactly(&files)).expect("a pattern");
        assert!(files.iter().all(|file| pattern.is_match(file)));
        for other in ["aab (1).yaml", "a+b (1)_yaml", "z/x/[y]$.json", "x/[y]$.json.bak"] {
            assert!(!pattern.is_match(other), "{other}");
        }
    }

    #[test]
    fn a_recipient_can_write_nothing_into_the_policy() {
        for recipient in ["age1x\n  - path_regex: .", "age1x # y", "a: b", "null", "&a1"] {
            let text = format!(
                "creation_rules:\n  - {}\n",
                Keys::of_age(&[recipient.to_owned()]).lines[0]
            );
            let config = Config::parse(text.as_bytes()).expect("a policy");
            assert_eq!(config.creation_rules.len(), 1, "{text}");
            assert_eq!(config.creation_rules[0].keys().count(), 1, "{text}");
        }
        let two_in_one = MasterKey::Age {
            recipient: "age1x,age1y".to_owned(),
        };
        assert!(single(&[two_in_one]).is_none());
    }

    #[test]
    fn what_is_written_reads_back() {
        let texts = [
            "^a: b$", "# x", "- y", "^x$", "\\.yaml$", "a #b", "'", "\"", "", "[*]", "^a\n", "1.5", "7",
            "true", "null", "~", ".*",
        ];
        for text in texts {
            let policy = format!("creation_rules:\n  - path_regex: {}\n", quoted(text));
            let config = Config::parse(policy.as_bytes()).expect("a policy");
            let pattern = config.creation_rules[0].path_regex.as_ref();
            assert_eq!(pattern.map_or("", |pattern| pattern.as_str()), text, "{policy}");
        }
    }
}
