//! `seal init`: a policy for a folder.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use key_providers::age::{AgeProvider, AgeSources};

use crate::args::KeyArgs;
use crate::error::{Code, Error, Result};
use crate::files::{self, Access, Existing};
use crate::policy::NAME;
use crate::workbench::Workbench;

/// Write a policy for a folder
///
/// Shows what it will write and asks. Uses the recipients given with --age, else those of the identities that
/// are found here; makes an identity if there is none. Changes nothing else.
#[derive(clap::Args)]
pub(crate) struct Init {
    /// The folder
    #[arg(default_value = ".")]
    folder: PathBuf,

    #[command(flatten)]
    keys: KeyArgs,
}

impl Init {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let policy = match self.folder.as_path() {
            here if here == Path::new(".") => PathBuf::from(NAME),
            folder => folder.join(NAME),
        };
        if policy.exists() {
            return Err(Error::new(Code::Conflict, "there is a policy already").file(&policy));
        }
        let given: Vec<String> = self.keys.master_keys()?.iter().map(ToString::to_string).collect();
        let held = if given.is_empty() { held() } else { given };
        let question = if held.is_empty() {
            "No age identity was found: make one, and write this policy?"
        } else {
            "Write this policy?"
        };
        let none = ["(the new recipient)".to_owned()];
        let shown = text(if held.is_empty() { &none } else { &held });
        bench.ui.say(&format!("{}:", policy.display()))?;
        for line in shown.lines() {
            bench.ui.say(&format!("    {line}"))?;
        }
        if !bench.ui.ask(question)? {
            return Err(Error::new(Code::Generic, "nothing was changed"));
        }
        let recipients = if held.is_empty() {
            let (path, recipient) = super::keys::make_identity(None)?;
            bench
                .ui
                .report("wrote", &path, Some("keep a copy of it in a safe place"))?;
            vec![recipient]
        } else {
            held
        };
        files::create_fresh(
            &policy,
            text(&recipients).as_bytes(),
            Access::Shared,
            Existing::Refuse,
        )?;
        bench.ui.report("wrote", &policy, None)?;
        bench.ui.hint(&format!(
            "{}put secrets into files that a rule's path_regex names, then run `seal`",
            what_is_here(&self.folder)
        ));
        Ok(ExitCode::SUCCESS)
    }
}

fn held() -> Vec<String> {
    let sources = AgeSources::from_env(&|name| std::env::var_os(name), std::env::home_dir().as_deref());
    let provider = AgeProvider::new(sources);
    let inventory = provider.identities().inventory();
    inventory.held.iter().map(|held| held.recipient.clone()).collect()
}

/// The policy. The first rule is for Kubernetes Secrets, the second for everything that is secret by its name.
fn text(recipients: &[String]) -> String {
    let keys = recipients.join(",");
    format!(
        "creation_rules:\n\
         \x20 - path_regex: secret[^/]*\\.ya?ml$\n\
         \x20   encrypted_regex: ^(data|stringData)$\n\
         \x20   age: {keys}\n\
         \x20 - path_regex: \\.(enc|sealed)\\.(ya?ml|json|env|ini)$\n\
         \x20   age: {keys}\n\
         seal:\n\
         \x20 require_integrity: false\n"
    )
}

/// Which tools this folder is for, by the files that they leave.
fn what_is_here(folder: &Path) -> String {
    let signs = [
        ("Flux", "clusters"),
        ("Flux", "flux-system"),
        ("Kustomize", "kustomization.yaml"),
        ("Helm", "Chart.yaml"),
        ("Argo CD", "applicationset.yaml"),
    ];
    let mut found: Vec<&str> = signs
        .iter()
        .filter(|(_, file)| folder.join(file).exists())
        .map(|(tool, _)| *tool)
        .collect();
    found.dedup();
    if found.is_empty() {
        String::new()
    } else {
        format!("found here: {}; ", found.join(", "))
    }
}
