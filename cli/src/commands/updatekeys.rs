//! `seal updatekeys`: the recipients that the policy wants now.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sops::MasterKey;

use crate::args::InputFormat;
use crate::error::{Code, Error, Result};
use crate::files::Target;
use crate::rekey::{as_in_file, changes, diff_as_sops, name, rekeyed};
use crate::walk::{Walk, is_document};
use crate::workbench::Workbench;

/// Give sealed files the recipients of the policy
///
/// Shows, group by group, who is added and who is removed, and asks. The data key stays: who was removed can still open
/// what they have a copy of, until `seal rotate` and a change of the secrets themselves. What has its recipients already
/// is left alone, so after a break the same command goes on.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  seal updatekeys secrets.yaml\n  seal updatekeys --plan clusters/\n  seal updatekeys --yes clusters/"
)]
pub(crate) struct UpdateKeys {
    /// Files and folders
    #[arg(required = true)]
    files: Vec<PathBuf>,

    /// Show what would be done, and do nothing
    #[arg(long)]
    plan: bool,

    #[command(flatten)]
    input: InputFormat,
}

impl UpdateKeys {
    /// What flags of sops come to.
    pub(crate) fn of_sops(files: Vec<PathBuf>, input_type: Option<document::Format>) -> Self {
        Self {
            files,
            plan: false,
            input: InputFormat { input_type },
        }
    }

    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        self.run_with(bench, false)
    }

    /// Updates the files; with `yes` without a question.
    pub(crate) fn run_with(&self, bench: &Workbench, yes: bool) -> Result<ExitCode> {
        let walk = Walk::over(&self.files, &is_document, &[]);
        let mut failed = walk.errors;
        let one =
            |bench: &Workbench, found: &crate::walk::Found| self.plan(bench, &found.path, found.explicit);
        let plans = bench.for_each(&walk.files, one)?;
        let mut wanted = Vec::new();
        for (found, plan) in walk.files.iter().zip(plans) {
            match plan {
                Ok(Some(plan)) if plan.changes.is_empty() => {
                    bench.ui.report("in order", &found.path, None)?;
                }
                Ok(Some(plan)) => wanted.push((found.path.as_path(), plan)),
                Ok(None) => {}
                Err(error) => failed.push(error),
            }
        }
        for (path, plan) in &wanted {
            if bench.as_sops() {
                crate::files::write_stdout(plan.in_words_of_sops().as_bytes())?;
                continue;
            }
            if self.plan && bench.ui.manner().json {
                let changes = plan.changes.join(", ");
                bench.ui.report("would update", path, Some(&changes))?;
                continue;
            }
            bench.ui.say(&format!("{}:", crate::escape::path(path)))?;
            for change in &plan.changes {
                bench.ui.say(&format!("  {change}"))?;
            }
        }
        if self.plan {
            return Ok(super::tell_all(bench, &failed));
        }
        if bench.as_sops() && !yes && !wanted.is_empty() {
            crate::files::write_stdout(b"Is this okay? (y/n):")?;
        }
        if !wanted.is_empty() {
            let question = match wanted.len() {
                1 => "Change these recipients?".to_owned(),
                count => format!("Change the recipients of these {count} files?"),
            };
            if !yes && !bench.ui.ask(&question)? {
                return Err(Error::new(Code::Generic, "nothing was changed"));
            }
        }
        let done = bench.for_each(&wanted, |bench, (path, plan)| self.apply(bench, path, plan))?;
        failed.extend(done.into_iter().filter_map(Result::err));
        Ok(super::tell_all(bench, &failed))
    }

    /// What is to become of one file; `None` if it is not sealed and was not named.
    fn plan(&self, bench: &Workbench, path: &Path, explicit: bool) -> Result<Option<Plan>> {
        let format = self.input.of(path);
        let source = crate::files::read_to_change(path, bench.global.max_size)?;
        if !explicit && !super::looks_sealed(format, source.expose()) {
            return Ok(None);
        }
        let Some(file) = bench.read_sealed(path, format, source)? else {
            return if explicit {
                Err(super::not_sealed(path))
            } else {
                Ok(None)
            };
        };
        let rule = bench.rule(path)?.and_then(|(_, rule)| rule);
        let Some(rule) = rule.filter(sops::config::CreationRule::has_keys) else {
            return Err(Error::new(
                Code::ConfigNotFound,
                "no rule of a policy names keys for this file",
            )
            .file(path)
            .hint("add a rule whose path_regex matches it to .sops.yaml"));
        };
        let threshold = (rule.shamir_threshold > 0).then_some(rule.shamir_threshold);
        let groups = as_in_file(&file.metadata, rule.groups);
        Ok(Some(Plan {
            changes: changes(&file.metadata, &groups, threshold),
            present: file
                .metadata
                .groups
                .iter()
                .map(|group| group.iter().map(name).collect())
                .collect(),
            groups,
            threshold,
        }))
    }

    fn apply(&self, bench: &Workbench, path: &Path, plan: &Plan) -> Result<()> {
        let (target, source) = Target::open(path, bench.global.max_size)?;
        let file = bench.read_sealed(path, self.input.of(path), source)?;
        let Some(file) = file else {
            return Err(super::not_sealed(path));
        };
        // What was shown, and agreed to, is what is done. Other values do not matter.
        let now = changes(&file.metadata, &plan.groups, plan.threshold);
        if now.is_empty() {
            return bench.ui.report("in order", path, None);
        }
        if now != plan.changes {
            let text = "its recipients changed on disk while they were looked at";
            return Err(Error::new(Code::Write, text).file(path));
        }
        let bytes = rekeyed(bench, path, file, &plan.groups, plan.threshold)?;
        for text in target.replace(bytes.expose())? {
            bench.ui.warn(Some(path), &text);
        }
        bench.ui.report("updated", path, None)
    }
}

/// The recipients that a file is to have.
struct Plan {
    groups: Vec<Vec<MasterKey>>,
    threshold: Option<u8>,
    /// The recipients that it has.
    present: Vec<Vec<String>>,
    /// In words; none if the file has these recipients already.
    changes: Vec<String>,
}

impl Plan {
    /// The change as sops prints it.
    fn in_words_of_sops(&self) -> String {
        let diff = diff_as_sops(&self.present, &self.groups);
        format!("The following changes will be made to the file's groups:\n{diff}")
    }
}
