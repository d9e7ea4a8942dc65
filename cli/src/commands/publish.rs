//! `seal publish`: sealed files, or their values, to where programs fetch them.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use secret_stores::Put;

use crate::args::InputFormat;
use crate::error::{Code, Error, Result};
use crate::escape;
use crate::files;
use crate::publication::{Destination, Publishing};
use crate::walk::{Found, Walk, is_document};
use crate::workbench::{SealedFile, Workbench};

/// Publish sealed files where the policy's destination rules say
///
/// S3 and Google Cloud Storage get the sealed file, under a new data key and for other recipients if the rule has a
/// recreation_rule; Vault gets the values, and is left alone if it has them already. Of a folder those sealed files are
/// published that a destination rule is for.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  seal publish --plan --recursive clusters/\n  seal publish app.yaml\n  seal publish --yes --recursive --omit-extensions clusters/production/"
)]
pub(crate) struct Publish {
    /// Files, and with --recursive folders
    #[arg(default_value = ".")]
    paths: Vec<PathBuf>,

    /// Publish what stands in folders, too, each file under its path below the folder
    #[arg(long)]
    recursive: bool,

    /// Leave the extension out of a file's name at the destination
    #[arg(long)]
    omit_extensions: bool,

    /// Show what would be published where, and do nothing
    #[arg(long)]
    plan: bool,

    #[command(flatten)]
    input: InputFormat,
}

/// A file that is to be published.
struct Planned {
    path: PathBuf,
    destination: Destination,
    /// Whose it will be there, if that changes.
    changes: Vec<String>,
}

impl Publish {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        if let Some(folder) = self.paths.iter().find(|path| path.is_dir() && !self.recursive) {
            return Err(Error::new(Code::Conflict, "this is a folder")
                .file(folder)
                .hint("--recursive publishes what stands in it; --plan shows what that would be"));
        }
        let publishing = Publishing::from_env();
        let walk = Walk::over(&self.paths, &|path| is_document(path) || named(bench, path), &[]);
        let mut failed = walk.errors;
        let plans = bench.for_each(&walk.files, |bench, found| self.plan(bench, &publishing, found))?;
        let mut planned = Vec::new();
        for plan in plans {
            match plan {
                Ok(plan) => planned.extend(plan),
                Err(error) => failed.push(error),
            }
        }
        planned = apart(planned, &mut failed);
        let mut told = HashSet::new();
        for plan in &planned {
            plan.destination.warn_of_exposure(bench, &mut told);
            self.show(bench, plan)?;
        }
        if planned.is_empty() && failed.is_empty() {
            bench.ui.hint("nothing here is sealed and has a destination rule");
        }
        // Before anybody is asked: what is wrong may change the answer.
        let first = failed.first().map(Error::code);
        super::tell_all(bench, &failed);
        let mut failed = Vec::new();
        if !self.plan && !planned.is_empty() {
            let question = match planned.len() {
                1 => "Publish this file?".to_owned(),
                count => format!("Publish these {count} files?"),
            };
            if !bench.ui.ask(&question)? {
                return Err(Error::new(Code::Generic, "nothing was published"));
            }
            let done = bench.for_each(&planned, |bench, plan| self.one(bench, plan))?;
            failed.extend(done.into_iter().filter_map(Result::err));
        }
        let later = super::tell_all(bench, &failed);
        Ok(first.map_or(later, Into::into))
    }

    /// What is to become of one file; `None` if it was not named and is not sealed, or has no rule.
    fn plan(&self, bench: &Workbench, publishing: &Publishing, found: &Found) -> Result<Option<Planned>> {
        let path = found.path.as_path();
        let policy = bench.rule(path)?;
        let rule = policy.as_ref().map(|(policy, _)| policy.destination_for(path));
        let Some(rule) = rule.transpose()?.flatten() else {
            return match found.explicit {
                true => Err(no_rule(path)),
                false => Ok(None),
            };
        };
        let Some(file) = self.sealed(bench, path)? else {
            return match found.explicit {
                true => Err(super::not_sealed(path)),
                false => Ok(None),
            };
        };
        let destination = publishing.destination(path, rule, &self.name(found), self.omit_extensions)?;
        let changes = destination.recreation(&file).map(|recreation| recreation.changes);
        Ok(Some(Planned {
            path: path.to_owned(),
            destination,
            changes: changes.unwrap_or_default(),
        }))
    }

    /// The file's name below the folder that it was found in; its own if it was named.
    fn name(&self, found: &Found) -> PathBuf {
        let path = found.path.as_path();
        let below = |root: &PathBuf| {
            let root = root.strip_prefix(".").unwrap_or(root);
            path.strip_prefix(root).ok().map(Path::to_owned)
        };
        let own = || PathBuf::from(path.file_name().unwrap_or_default());
        match found.explicit {
            true => own(),
            false => self.paths.iter().find_map(below).unwrap_or_else(own),
        }
    }

    fn sealed(&self, bench: &Workbench, path: &Path) -> Result<Option<SealedFile>> {
        let source = files::read(path, bench.global.max_size)?;
        let format = self.input.of(path);
        if !super::looks_sealed(format, source.expose()) {
            return Ok(None);
        }
        bench.read_sealed(path, format, source)
    }

    fn show(&self, bench: &Workbench, plan: &Planned) -> Result<()> {
        let place = &plan.destination.place;
        if self.plan {
            let changes = plan.changes.iter().map(|change| format!("; {change}"));
            let detail = std::iter::once(place.clone()).chain(changes).collect::<String>();
            return bench.ui.report("would publish", &plan.path, Some(&detail));
        }
        if bench.ui.manner().yes {
            return Ok(());
        }
        bench
            .ui
            .say(&format!("{} to {place}", escape::path(&plan.path)))?;
        for change in &plan.changes {
            bench.ui.say(&format!("  {change}"))?;
        }
        Ok(())
    }

    fn one(&self, bench: &Workbench, plan: &Planned) -> Result<()> {
        let path = plan.path.as_path();
        let file = self.sealed(bench, path)?;
        let file = file.ok_or_else(|| super::not_sealed(path))?;
        let content = plan.destination.content(bench, path, self.input.of(path), file)?;
        let verb = match plan.destination.put(bench, path, content)? {
            Put::Equal => "there already",
            Put::Done | Put::Unseen => "published",
        };
        bench.ui.report(verb, path, Some(&plan.destination.place))
    }
}

/// Whether a destination rule for some files is for this one.
fn named(bench: &Workbench, path: &Path) -> bool {
    let Ok(Some((policy, _))) = bench.rule(path) else {
        return false;
    };
    matches!(policy.destination_for(path), Ok(Some(rule)) if rule.path_regex.is_some())
}

/// Takes away what would be written over by another file of this run.
fn apart(mut planned: Vec<Planned>, failed: &mut Vec<Error>) -> Vec<Planned> {
    let mut taken: HashMap<String, PathBuf> = HashMap::new();
    planned.retain(|plan| match taken.get(&plan.destination.place) {
        Some(other) => {
            let text = format!("would be published to the same place as {}", escape::path(other));
            failed.push(Error::new(Code::Conflict, text).file(&plan.path));
            false
        }
        None => {
            taken.insert(plan.destination.place.clone(), plan.path.clone());
            true
        }
    });
    planned
}

fn no_rule(path: &Path) -> Error {
    Error::new(
        Code::ConfigNotFound,
        "no destination rule of a policy is for this file",
    )
    .file(path)
    .hint("add one whose path_regex matches it to destination_rules in .sops.yaml")
}
