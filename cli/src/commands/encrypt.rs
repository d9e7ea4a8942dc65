//! `seal encrypt`: one file, or what stdin says.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use sops::config::CreationRule;

use crate::args::{InputFormat, KeyArgs, RuleArgs};
use crate::error::{Code, Error, Result};
use crate::files::{self, Access, Existing, Target};
use crate::workbench::{Recipe, Workbench};

/// Seal one file, whatever the policy's walk would do with it
///
/// Prints the sealed form unless -i or --output is given. Keys and rules come from the flags, else from the
/// policy's rule for the file.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  seal encrypt -i secrets.yaml\n  seal encrypt --age age1... --encrypted-regex '^(data|stringData)$' secret.yaml"
)]
pub(crate) struct Encrypt {
    /// The file; without it, or for -, stdin is read
    file: Option<PathBuf>,

    /// Seal the file where it stands
    #[arg(long, short)]
    in_place: bool,

    /// Write the sealed form to this file
    #[arg(long, value_name = "FILE", conflicts_with = "in_place")]
    output: Option<PathBuf>,

    /// The name that decides format and rule when stdin is read
    #[arg(long, value_name = "NAME")]
    filename_override: Option<PathBuf>,

    #[command(flatten)]
    keys: KeyArgs,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    input: InputFormat,
}

impl Encrypt {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let file = self.file.clone().filter(|file| file != Path::new("-"));
        let name = self
            .filename_override
            .clone()
            .or(file.clone())
            .unwrap_or_else(|| "-".into());
        let format = self.input.of(&name);
        let recipe = recipe(bench, &name, &self.keys, &self.rules)?;
        let cap = bench.global.max_size;
        if self.in_place {
            let file = file.ok_or_else(|| Error::new(Code::Conflict, "stdin cannot be sealed in place"))?;
            let (target, source) = Target::open(&file, cap)?;
            let sealed = bench.seal_new(&file, format, source, &recipe)?;
            refuse_nothing(&name, sealed.count)?;
            for text in target.replace(sealed.bytes.expose())? {
                bench.ui.warn(Some(&file), &text);
            }
            return bench.ui.report("sealed", &file, None).map(|()| ExitCode::SUCCESS);
        }
        bench.reads(file.as_deref().unwrap_or(Path::new("-")));
        let source = match &file {
            Some(file) => files::read(file, cap)?,
            None => {
                bench.ui.awaits_stdin();
                files::read_stdin(cap)?
            }
        };
        let sealed = bench.seal_new(&name, format, source, &recipe)?;
        refuse_nothing(&name, sealed.count)?;
        match &self.output {
            Some(output) => {
                files::create_fresh(output, sealed.bytes.expose(), Access::Shared, Existing::Replace)?
            }
            None => files::write_stdout(sealed.bytes.expose())?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// How a new file is sealed: by the flags, else by the policy's rule for it.
///
/// # Errors
/// Code 111 without a key, 61 without a rule, 8 if flags and rule contradict each other.
pub(super) fn recipe(bench: &Workbench, name: &Path, keys: &KeyArgs, flags: &RuleArgs) -> Result<Recipe> {
    let policy = bench.rule(name)?;
    let rule = policy.as_ref().and_then(|(_, rule)| rule.clone());
    let (context, keys) = (keys.encryption_context()?, keys.master_keys()?);
    if keys.is_empty() && rule.is_none() {
        return Err(no_rule(name, policy.is_some()));
    }
    let mut recipe = recipe_of(&rule.unwrap_or_default().with_context(&context));
    if !keys.is_empty() {
        recipe.groups = vec![keys];
    }
    let threshold = flags.shamir_secret_sharing_threshold;
    recipe.threshold = match threshold {
        Some(number) => {
            Some(u8::try_from(number).map_err(|_| Error::new(Code::Conflict, "the threshold is above 255"))?)
        }
        None => recipe.threshold,
    };
    if let Some(rules) = flags.rules()? {
        if recipe.rules != sops::Rules::default() && recipe.rules != rules {
            return Err(Error::new(
                Code::Conflict,
                "the flags and the policy name different selection rules",
            )
            .file(name));
        }
        recipe.rules = rules;
    }
    recipe.mac_only_encrypted |= flags.mac_only_encrypted;
    if recipe.groups.iter().all(Vec::is_empty) {
        return Err(Error::new(Code::NoEncryptionKey, "no key to seal with")
            .file(name)
            .hint("name a recipient with --age, or in the policy's rule for this file"));
    }
    Ok(recipe)
}

/// What a rule asks for.
pub(crate) fn recipe_of(rule: &CreationRule) -> Recipe {
    Recipe {
        groups: rule.groups.clone(),
        threshold: (rule.shamir_threshold > 0).then_some(rule.shamir_threshold),
        rules: rule.rules.clone(),
        mac_only_encrypted: rule.mac_only_encrypted,
    }
}

fn no_rule(name: &Path, policy: bool) -> Error {
    let text = if policy {
        "no rule of the policy matches this file"
    } else {
        "no policy and no key to seal with"
    };
    let code = if policy {
        Code::Generic
    } else {
        Code::ConfigNotFound
    };
    Error::new(code, text).file(name).hint(if policy {
        "name a recipient with --age, or add a rule whose path_regex matches the file to .sops.yaml"
    } else {
        "name a recipient with --age, or write a policy with `seal init`"
    })
}

fn refuse_nothing(name: &Path, count: usize) -> Result<()> {
    if count > 0 {
        return Ok(());
    }
    Err(
        Error::new(Code::EncryptTree, "nothing in this file is selected to be sealed")
            .file(name)
            .hint("its rule, or the flags, select no value of this file"),
    )
}
