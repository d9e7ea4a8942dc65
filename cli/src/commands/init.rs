//! `seal init`: from a folder as it is to one in which `seal` and `git commit` do the rest.
//!
//! It looks first, shows all that it will write, asks, and writes only files that are not there.

mod hook;
mod policy;
mod survey;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use key_providers::Inventory;
use key_providers::age::{AgeProvider, AgeSources};
use sops::MasterKey;

use crate::args::KeyArgs;
use crate::error::{Code, Error, Result};
use crate::files::{self, Access, Existing};
use crate::home::home;
use crate::policy::{NAME, Policies, Start};
use crate::workbench::Workbench;
use hook::Hook;
use policy::Keys;
use survey::Survey;

/// No more files than this are named in a line.
const MOST_NAMED: usize = 6;

/// Prepare a folder: a policy, an identity if there is none, a git hook
///
/// Looks at what is used here (SOPS, Sealed Secrets, External Secrets, Flux, Argo CD, Helm, kustomize, git), shows all
/// that it will write and asks. Files that are sealed keep their recipients. For new ones it takes the recipients given
/// with --age or --pgp, else those of most sealed files, else those of the identities here; it makes an identity only if there is
/// none. Nothing that is there is changed.
#[derive(clap::Args)]
pub(crate) struct Init {
    /// The folder
    #[arg(default_value = ".")]
    folder: PathBuf,

    #[command(flatten)]
    keys: KeyArgs,
}

/// What will be written.
struct Plan {
    /// A new age identity, in this file.
    identity: Option<PathBuf>,
    policy: Option<PathBuf>,
    hook: Option<PathBuf>,
}

impl Init {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        if !self.folder.is_dir() {
            return Err(Error::new(Code::NoFile, "no such folder").file(&self.folder));
        }
        let survey = Survey::of(bench, &self.folder);
        let inventory = inventory();
        let given = self.keys.master_keys()?;
        let there = policy_of(&self.folder)?;
        let hook = hook::find(&self.folder);
        let plan = Plan {
            identity: identity(&inventory, &given)?,
            policy: there.is_none().then(|| self.inside(NAME)),
            hook: match &hook {
                Hook::At(path) => Some(path.clone()),
                _ => None,
            },
        };
        let keys = keys(&survey, &inventory, &given);
        self.tell_what_is_here(bench, &survey, there.as_deref(), &hook)?;
        if plan.identity.is_none() && plan.policy.is_none() && plan.hook.is_none() {
            bench
                .ui
                .hint("nothing to write: what is here is kept as it is; `seal` seals, `seal check` checks");
            return Ok(ExitCode::SUCCESS);
        }
        let none = Keys::of_age(&["(the new recipient)".to_owned()]);
        let shown = policy::text(&survey, keys.as_ref().unwrap_or(&none));
        plan.show(bench, &shown)?;
        if plan.policy.is_some() {
            if given.is_empty() && survey.usual().is_some_and(|kind| Keys::of_kind(kind).is_some()) {
                bench
                    .ui
                    .say("new files get the recipients that most sealed files here have")?;
            }
            outlook(
                bench,
                &survey,
                &policy::text(&survey, keys.as_ref().unwrap_or(&Keys::of_age(&[]))),
            )?;
        }
        if !bench.ui.ask(&plan.question())? {
            return Err(Error::new(Code::Generic, "nothing was changed"));
        }
        let made = plan.write(bench, &survey, keys)?;
        let made = made.filter(|_| there.is_some() || !survey.sealed.is_empty());
        tell_what_is_next(bench, &hook, made.as_deref());
        Ok(ExitCode::SUCCESS)
    }

    /// A path in the folder, as the user would write it.
    fn inside(&self, name: &str) -> PathBuf {
        match self.folder.as_path() {
            here if here == Path::new(".") => PathBuf::from(name),
            folder => folder.join(name),
        }
    }

    fn tell_what_is_here(
        &self,
        bench: &Workbench,
        survey: &Survey,
        there: Option<&Path>,
        hook: &Hook,
    ) -> Result<()> {
        let tools: Vec<&str> = survey.tools.iter().copied().collect();
        let sealed: usize = survey.sealed.iter().map(|kind| kind.files.len()).sum();
        if bench.ui.manner().json {
            return bench.ui.record(&serde_json::json!({
                "found": { "tools": tools, "sealed": sealed, "policy": there.map(Path::to_string_lossy) }
            }));
        }
        if !tools.is_empty() {
            bench.ui.say(&format!("found here: {}", tools.join(", ")))?;
        }
        if sealed > 0 {
            let files = survey.sealed.iter().flat_map(|kind| &kind.files);
            bench.ui.say(&format!("sealed already: {}", named(files)))?;
        }
        for kind in survey.sealed.iter().filter(|kind| Keys::of_kind(kind).is_none()) {
            let files = named(&kind.files);
            bench.ui.warn(
                None,
                &format!("no rule can be written for the keys of {files}: add one by hand"),
            );
        }
        if let Some(policy) = there {
            bench
                .ui
                .say(&format!("kept: {}, the policy of this folder", policy.display()))?;
        }
        if let Hook::Kept(keeper) = hook {
            let keeper = keeper.display();
            bench.ui.say(&format!(
                "kept: {keeper}, which looks after git hooks; `{}` belongs there",
                hook::LINE
            ))?;
        }
        Ok(())
    }
}

impl Plan {
    /// All that will be written, word for word; of an identity only where.
    fn show(&self, bench: &Workbench, policy: &str) -> Result<()> {
        let texts = [(&self.policy, policy), (&self.hook, hook::TEXT)];
        let files = texts
            .into_iter()
            .filter_map(|(path, text)| Some((path.as_ref()?, text)));
        if bench.ui.manner().json {
            let mut records: Vec<_> = files
                .map(|(path, text)| serde_json::json!({ "file": path.to_string_lossy(), "text": text }))
                .collect();
            let identity = self.identity.iter();
            records.extend(
                identity.map(|path| serde_json::json!({ "file": path.to_string_lossy(), "text": null })),
            );
            return bench.ui.record(&serde_json::json!({ "will_write": records }));
        }
        for (path, text) in files {
            bench.ui.say(&format!("{}:", path.display()))?;
            text.lines()
                .try_for_each(|line| bench.ui.say(&format!("    {line}")))?;
        }
        match &self.identity {
            Some(path) => bench.ui.say(&format!("{}: a new age identity", path.display())),
            None => Ok(()),
        }
    }

    fn question(&self) -> String {
        let what = match (&self.policy, &self.hook) {
            (Some(_), None) => "write this policy?",
            (None, Some(_)) => "write this hook?",
            (Some(_), Some(_)) => "write these files?",
            (None, None) => return "No age identity was found: make one?".to_owned(),
        };
        match self.identity {
            Some(_) => format!("No age identity was found: make one, and {what}"),
            None => format!("W{}", &what[1..]),
        }
    }

    /// Writes it all; returns the recipient of an identity that was made.
    fn write(&self, bench: &Workbench, survey: &Survey, keys: Option<Keys>) -> Result<Option<String>> {
        let mut made = None;
        if self.identity.is_some() {
            let (path, recipient) = super::keys::make_identity(None)?;
            bench
                .ui
                .report("wrote", &path, Some("keep a copy of it in a safe place"))?;
            made = Some(recipient);
        }
        if let Some(path) = &self.policy {
            let new: Vec<String> = made.iter().cloned().collect();
            let text = policy::text(survey, &keys.unwrap_or_else(|| Keys::of_age(&new)));
            files::create_fresh(path, text.as_bytes(), Access::Shared, Existing::Refuse)?;
            bench.ui.report("wrote", path, None)?;
        }
        if let Some(path) = &self.hook {
            hook::write(path)?;
            bench.ui.report("wrote", path, None)?;
        }
        Ok(made)
    }
}

/// The keys of new files; `None` if they have to be made.
fn keys(survey: &Survey, inventory: &Inventory, given: &[MasterKey]) -> Option<Keys> {
    if !given.is_empty() {
        return Keys::of_group(given);
    }
    let held: Vec<String> = inventory.held.iter().map(|held| held.recipient.clone()).collect();
    let usual = survey.usual().and_then(Keys::of_kind);
    usual.or_else(|| (!held.is_empty()).then(|| Keys::of_age(&held)))
}

/// Where a new identity will be made, if there is none and none is named.
///
/// # Errors
/// Code 2 if a place that should hold identities cannot be used: one may be in it.
fn identity(inventory: &Inventory, given: &[MasterKey]) -> Result<Option<PathBuf>> {
    if !inventory.held.is_empty() || !given.is_empty() {
        return Ok(None);
    }
    let missing = |fault: &&key_providers::SourceFault| fault.reason != "it does not exist";
    if let Some(fault) = inventory.faults.iter().find(missing) {
        return Err(Error::new(
            Code::Read,
            format!("an identity may be here, but it cannot be used: {fault}"),
        )
        .hint("correct it, or name the recipients with --age"));
    }
    let sources = sources();
    let place = sources.files.first().or(sources.default_files.first());
    let none = || {
        Error::new(Code::Generic, "there is no home folder to keep an identity in")
            .hint("`seal keys new --output FILE` makes one; name its recipient with --age")
    };
    Ok(Some(place.ok_or_else(none)?.clone()))
}

fn sources() -> AgeSources {
    AgeSources::from_env(&|name| std::env::var_os(name), home().as_deref())
}

fn inventory() -> Inventory {
    let provider = AgeProvider::new(sources());
    let found = provider.identities().inventory();
    Inventory {
        held: found.held.clone(),
        empty: found.empty.clone(),
        faults: found.faults.clone(),
    }
}

/// The policy that the folder is under already: in it, or above it in the same repository.
///
/// # Errors
/// When it cannot be read or used.
fn policy_of(folder: &Path) -> Result<Option<PathBuf>> {
    let found = Policies::new(None, Start::Target).for_target(&folder.join(NAME))?;
    let Some(policy) = found else { return Ok(None) };
    let absolute = crate::policy::absolute(folder)?;
    let root = absolute.ancestors().find(|folder| folder.join(".git").exists());
    let counts = policy.folder() == absolute || root.is_some_and(|root| policy.folder().starts_with(root));
    Ok(counts.then(|| policy.path.clone()))
}

/// What the first `seal` will do, and what it will not.
fn outlook(bench: &Workbench, survey: &Survey, text: &str) -> Result<()> {
    let (sealed, missed) = policy::outlook(bench, survey, text);
    if !sealed.is_empty() {
        bench
            .ui
            .say(&format!("with it `seal` will seal: {}", named(&sealed)))?;
    }
    if !missed.is_empty() {
        bench.ui.say(&format!(
            "Secrets in clear that no rule of it names: {}",
            named(&missed)
        ))?;
    }
    Ok(())
}

/// The next step; `made` is a new recipient that nothing here is sealed for.
fn tell_what_is_next(bench: &Workbench, hook: &Hook, made: Option<&str>) {
    if let Some(recipient) = made {
        bench.ui.hint(&format!(
            "what is sealed here does not open with the new identity: someone who can open it adds {recipient} to \
             {NAME} and runs `seal updatekeys`"
        ));
    }
    if let Hook::Kept(_) = hook {
        let line = hook::LINE;
        bench.ui.hint(&format!(
            "let your hooks run `{line}`, so that no plaintext is committed"
        ));
    }
    bench
        .ui
        .hint("put secrets into files that a rule's path_regex names, then run `seal`");
}

/// `a, b and 3 more`
fn named<'a>(files: impl IntoIterator<Item = &'a String>) -> String {
    let files: Vec<&str> = files.into_iter().map(String::as_str).collect();
    let shown = files
        .iter()
        .take(MOST_NAMED)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    match files.len().saturating_sub(MOST_NAMED) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
