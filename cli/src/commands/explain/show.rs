//! A report as people and as machines read it.

use serde_json::{Value, json};
use sops::{MasterKey, Rules};

use super::policy::{Applied, Rule};
use super::recipients::{Access, Recipient};
use super::seals::{Seal, Seals};
use super::{Report, State, format_name};
use crate::error::Result;
use crate::ui::Ui;
use crate::workbench::Probe;

/// No more key paths than this are listed for people.
const MOST_PATHS: usize = 12;

impl Report {
    /// Prints it for people.
    pub(super) fn say(&self, ui: &Ui) -> Result<()> {
        let mut lines = Vec::new();
        self.head(&mut lines);
        if let Some(access) = &self.access {
            access_lines(access, &mut lines);
        }
        match &self.policy {
            Some(applied) => policy_lines(applied, self.state, &mut lines),
            None => lines.push("policy: cannot be used, see the problems".to_owned()),
        }
        if let Some(values) = &self.values {
            lines.push(format!(
                "values: {} sealed, {} clear",
                values.sealed, values.clear
            ));
        }
        if let Some(seals) = &self.seals {
            seal_lines(seals, &mut lines);
        }
        self.tail(&mut lines);
        lines.iter().try_for_each(|line| ui.say(line))
    }

    fn head(&self, lines: &mut Vec<String>) {
        let file = self.file.display();
        let format = format_name(self.format);
        lines.push(match self.state {
            State::Sealed => format!("{file}: sealed, {format}"),
            State::Unsealed => format!("{file}: not sealed, {format}: it has no `sops` block"),
            State::Unreadable => format!("{file}: does not read as sealed {format}"),
        });
        if let Some((version, modified, rules)) = &self.block {
            lines.push(format!(
                "  format version {version}, last sealed {modified}, selection {}",
                selection(rules)
            ));
        }
        let Some(conflict) = &self.conflict else { return };
        lines.push("  in the middle of a merge, with conflict markers:".to_owned());
        for (first, last) in &conflict.hunks {
            lines.push(format!("    lines {first} to {last}"));
        }
        for side in &conflict.sides {
            lines.push(format!(
                "  with {} taken, the file {}",
                side_name(side.ours),
                side.state
            ));
        }
    }

    fn tail(&self, lines: &mut Vec<String>) {
        if self.problems.is_empty() && self.code.is_none() {
            lines.push("in order".to_owned());
        }
        for problem in &self.problems {
            lines.push(format!("problem: {problem}"));
            let details = problem.json();
            let details = details["error"]["details"].as_array().into_iter().flatten();
            lines.extend(
                details
                    .filter_map(Value::as_str)
                    .map(|detail| format!("  {detail}")),
            );
        }
        if let Some(next) = &self.next {
            lines.push(format!("next: {}", next.why));
            lines.push(format!("  {}", next.command));
        }
    }

    /// It for machines: one object, every field always there.
    pub(super) fn json(&self) -> Value {
        let block = self.block.as_ref();
        json!({
            "file": self.file.to_string_lossy(),
            "format": format_name(self.format),
            "state": match self.state {
                State::Sealed => "sealed",
                State::Unsealed => "unsealed",
                State::Unreadable => "unreadable",
            },
            "version": block.map(|block| &block.0),
            "lastmodified": block.map(|block| &block.1),
            "selection": block.map(|block| selection(&block.2)),
            "access": self.access.as_ref().map(access_json),
            "policy": self.policy.as_ref().map(applied_json),
            "values": self.values.as_ref().map(|values| json!({ "sealed": values.sealed, "clear": values.clear })),
            "seals": self.seals.as_ref().map(|seals| json!({
                "mac": seal_json(&seals.mac),
                "integrity": seal_json(&seals.integrity),
                "layout": seal_json(&seals.layout),
            })),
            "conflict": self.conflict.as_ref().map(|conflict| json!({
                "hunks": conflict.hunks,
                "sides": conflict.sides.iter()
                    .map(|side| json!({ "ours": side.ours, "state": side.state }))
                    .collect::<Vec<_>>(),
            })),
            "problems": self.problems.iter().map(|error| error.json()["error"].take()).collect::<Vec<_>>(),
            "exit": self.code.map_or(0, |code| code.number()),
            "next": self.next.as_ref().map(|next| json!({ "why": next.why, "command": next.command })),
        })
    }
}

fn side_name(ours: bool) -> &'static str {
    if ours {
        "our side (above `=======`)"
    } else {
        "their side (below `=======`)"
    }
}

fn selection(rules: &Rules) -> String {
    rules.set().next().map_or_else(
        || format!("unencrypted_suffix {}", sops::DEFAULT_UNENCRYPTED_SUFFIX),
        |(name, text)| format!("{name} {text}"),
    )
}

fn access_lines(access: &Access, lines: &mut Vec<String>) {
    let groups = access.groups.len();
    lines.push(match access.threshold {
        Some(_) if groups == 1 => "recipients: any of these opens the file".to_owned(),
        Some(needed) => format!("recipients: {groups} groups, a key of {needed} of them is needed"),
        None => "recipients: nobody can open the file, its groups and threshold do not fit".to_owned(),
    });
    for (number, group) in (1..).zip(&access.groups) {
        if groups > 1 {
            lines.push(format!("  group {number}:"));
        }
        let indent = if groups > 1 { "    " } else { "  " };
        for key in group {
            lines.push(format!("{indent}{} {}: {}", key.kind, key.name, status(key)));
            if let Some(service) = &key.service {
                service_lines(service, indent, lines);
            }
        }
    }
    lines.push(match (access.held.len(), access.opens) {
        (0, true) => "identities here: none of age, but the file opens".to_owned(),
        (0, false) => "identities here: none".to_owned(),
        (_, true) => "identities here, with which the file opens:".to_owned(),
        (_, false) => "identities here, with which the file does not open:".to_owned(),
    });
    for identity in &access.held {
        let listed = if identity.listed {
            "a recipient of this file"
        } else {
            "no recipient of this file"
        };
        let held = &identity.held;
        lines.push(format!("  {} (from {}): {listed}", held.recipient, held.source));
    }
    lines.extend(access.faults.iter().map(|fault| format!("  not usable: {fault}")));
    if !access.opens {
        lines.extend(
            access
                .empty
                .iter()
                .map(|place| format!("  also looked at: {place}")),
        );
    }
}

fn service_lines(service: &Probe, indent: &str, lines: &mut Vec<String>) {
    match &service.who {
        Ok(who) => lines.push(format!("{indent}  asked as: {who}")),
        Err(why) => lines.push(format!("{indent}  asked as: not known, {why}")),
    }
    let (opens, seals) = (service.opens.as_ref().err(), service.seals.as_ref().err());
    for (what, refusal) in [("opening", opens), ("sealing", seals)] {
        let outcome = refusal.map_or("allowed", String::as_str);
        lines.push(format!("{indent}  {what}: {outcome}"));
    }
}

fn status(key: &Recipient) -> String {
    match (&key.here, key.opens) {
        (Some(from), Some(true)) => format!("here (from {from}), opens the file"),
        (Some(from), Some(false)) => format!("here (from {from}), but its entry does not open the file"),
        (Some(from), None) => format!("here (from {from})"),
        (None, Some(true)) => "opens the file here".to_owned(),
        (None, _) => "not here".to_owned(),
    }
}

fn policy_lines(applied: &Applied, state: State, lines: &mut Vec<String>) {
    lines.push(match &applied.path {
        Some(path) if applied.named => {
            format!("policy: {} (named with --config or SOPS_CONFIG)", path.display())
        }
        Some(path) => format!("policy: {} (the nearest above the file)", path.display()),
        None => format!(
            "policy: none in {} nor in any folder above it",
            applied.start.display()
        ),
    });
    match &applied.rule {
        Some(rule) => rule_lines(applied, rule, state, lines),
        None if applied.path.is_some() => {
            lines.push(format!(
                "  none of its {} rules matches {}",
                applied.rules, applied.tested
            ));
        }
        None => {}
    }
    for (number, pattern, path) in &applied.near {
        lines.push(format!("  rule {number} ({pattern}) would match {path}; but rules are tested with the path below the policy's folder"));
    }
    if let Some((path, rule)) = &applied.elsewhere {
        let rule = match rule {
            Some(number) => format!("its rule {number} would match"),
            None => "and no rule of it would match".to_owned(),
        };
        let path = path.display();
        lines.push(format!(
            "  not {path}, the policy of the current folder: the one nearest above the file counts ({rule})"
        ));
    }
}

fn rule_lines(applied: &Applied, rule: &Rule, state: State, lines: &mut Vec<String>) {
    let pattern = match rule.pattern() {
        Some(pattern) => format!("path_regex {pattern} matches {}", applied.tested),
        None => "no path_regex, so it is for every file".to_owned(),
    };
    lines.push(format!(
        "  rule {} of {}, line {}: {pattern}",
        rule.number, applied.rules, rule.creation.line
    ));
    let by = selection(&rule.creation.rules);
    if let Some(paths) = &rule.selects {
        let mut shown: Vec<&str> = paths.iter().take(MOST_PATHS).map(String::as_str).collect();
        let more = format!("and {} more", paths.len().saturating_sub(MOST_PATHS));
        if paths.len() > MOST_PATHS {
            shown.push(&more);
        }
        let shown = if shown.is_empty() {
            String::new()
        } else {
            format!(": {}", shown.join(", "))
        };
        lines.push(format!("    selects by {by} {} values{shown}", paths.len()));
    }
    if state != State::Sealed {
        return;
    }
    if rule.other_selection {
        lines.push("    the file keeps the selection it was sealed with, which is another one".to_owned());
    }
    if !rule.creation.has_keys() {
        lines.push("    names no key".to_owned());
    } else if rule.added.is_empty() && rule.removed.is_empty() {
        lines.push("    its recipients are those of the file".to_owned());
    }
    let name = |key: &MasterKey| format!("{} {key}", key.kind());
    lines.extend(
        rule.added
            .iter()
            .map(|key| format!("    to be added to the file: {}", name(key))),
    );
    lines.extend(
        rule.removed
            .iter()
            .map(|key| format!("    to be removed from the file: {}", name(key))),
    );
}

fn seal_lines(seals: &Seals, lines: &mut Vec<String>) {
    lines.push("seals:".to_owned());
    for (name, seal) in [
        ("mac", &seals.mac),
        ("integrity", &seals.integrity),
        ("layout", &seals.layout),
    ] {
        let (state, why) = seal_words(seal);
        let why = why.map(|why| format!(": {why}")).unwrap_or_default();
        lines.push(format!("  {name}: {state}{why}"));
    }
}

fn seal_words(seal: &Seal) -> (&'static str, Option<&str>) {
    match seal {
        Seal::Holds => ("holds", None),
        Seal::Unchecked => ("there, not checked without a key", None),
        Seal::Absent => ("absent", None),
        Seal::Unknown => ("of a version that this program does not know", None),
        Seal::Broken(why) => ("broken", Some(why)),
        Seal::NotCompared(why) => ("there, cannot be compared", Some(why)),
    }
}

fn seal_json(seal: &Seal) -> Value {
    let state = match seal {
        Seal::Holds => "holds",
        Seal::Unchecked => "unchecked",
        Seal::Absent => "absent",
        Seal::Unknown => "unknown",
        Seal::Broken(_) => "broken",
        Seal::NotCompared(_) => "not-compared",
    };
    json!({ "state": state, "why": seal_words(seal).1 })
}

fn access_json(access: &Access) -> Value {
    let service = |service: &Probe| {
        json!({
            "who": service.who.as_ref().ok(),
            "opening": service.opens.as_ref().err(),
            "sealing": service.seals.as_ref().err(),
        })
    };
    let recipient = |key: &Recipient| {
        json!({
            "kind": key.kind, "name": key.name, "identity": key.here, "opens": key.opens,
            "service": key.service.as_ref().map(service),
        })
    };
    let groups: Vec<Vec<Value>> = access
        .groups
        .iter()
        .map(|group| group.iter().map(recipient).collect())
        .collect();
    let identities = access.held.iter().map(|identity| {
        let held = &identity.held;
        json!({ "recipient": held.recipient, "source": held.source, "listed": identity.listed })
    });
    json!({
        "groups": groups,
        "threshold": access.threshold,
        "opens": access.opens,
        "identities": identities.collect::<Vec<_>>(),
        "unusable": access.faults,
        "empty": access.empty,
    })
}

fn applied_json(applied: &Applied) -> Value {
    let names = |keys: &[MasterKey]| keys.iter().map(ToString::to_string).collect::<Vec<_>>();
    let rule = applied.rule.as_ref().map(|rule| {
        json!({
            "number": rule.number,
            "line": rule.creation.line,
            "path_regex": rule.pattern(),
            "selection": selection(&rule.creation.rules),
            "selects": rule.selects,
            "other_selection": rule.other_selection,
            "added": names(&rule.added),
            "removed": names(&rule.removed),
        })
    });
    let near = applied.near.iter().map(
        |(number, pattern, path)| json!({ "number": number, "path_regex": pattern, "would_match": path }),
    );
    json!({
        "path": applied.path.as_ref().map(|path| path.to_string_lossy()),
        "named": applied.named,
        "rules": applied.rules,
        "tested": applied.tested,
        "require_integrity": applied.require_integrity,
        "rule": rule,
        "near": near.collect::<Vec<_>>(),
        "elsewhere": applied.elsewhere.as_ref().map(|(path, rule)| {
            json!({ "path": path.to_string_lossy(), "rule": rule })
        }),
    })
}
