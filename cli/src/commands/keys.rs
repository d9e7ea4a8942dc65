//! `seal keys`: age identities.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use key_providers::age::{AgeProvider, AgeSources, generate};

use crate::error::{Code, Error, Result};
use crate::files::{self, Access, Existing, Target};
use crate::home::home;
use crate::workbench::Workbench;

/// Make and list age identities
#[derive(clap::Args)]
pub(crate) struct Keys {
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(clap::Subcommand)]
enum KeysCommand {
    /// Make an identity and print its recipient
    ///
    /// It is added to the file in which sops looks for identities, unless another one is named.
    New {
        /// Write the identity to this new file instead
        #[arg(long, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// List the recipients of all identities that are found, and where
    List,
}

impl Keys {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        match self.command {
            KeysCommand::New { output } => new(bench, output),
            KeysCommand::List => list(bench),
        }
    }
}

fn new(bench: &Workbench, output: Option<PathBuf>) -> Result<ExitCode> {
    let (path, recipient) = make_identity(output)?;
    bench
        .ui
        .report("wrote", &path, Some("keep a copy of it in a safe place"))?;
    if bench.ui.manner().json {
        bench.ui.record(&serde_json::json!({ "recipient": recipient }))?;
    } else {
        bench.ui.say(&format!("recipient: {recipient}"))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Makes an identity and adds it to the file of identities, or writes it to a new file.
pub(super) fn make_identity(output: Option<PathBuf>) -> Result<(PathBuf, String)> {
    use std::os::unix::fs::DirBuilderExt as _;
    let path = match &output {
        Some(path) => path.clone(),
        None => default_file()?,
    };
    let random = |_| Error::new(Code::Generic, "the system's random source failed");
    let (identity, recipient) = generate().map_err(random)?;
    let mut entry = secret::SecretBytes::default();
    let out = entry.expose_mut();
    let comments = format!(
        "# created: {}\n# public key: {recipient}\n",
        crate::workbench::now()
    );
    out.extend_from_slice(comments.as_bytes());
    out.extend_from_slice(identity.expose());
    out.push(b'\n');
    if let Some(folder) = path.parent() {
        // Whoever may write there could put their own identity in the place of this one.
        let mut folders = std::fs::DirBuilder::new();
        folders.recursive(true).mode(0o700);
        folders.create(folder).map_err(|cause| {
            Error::new(Code::Write, "cannot make the folder")
                .file(folder)
                .cause(&cause)
        })?;
    }
    match files::create_fresh(&path, entry.expose(), Access::Private, Existing::Refuse) {
        Err(_) if output.is_none() && path.is_file() => append(&path, entry.expose())?,
        made => made?,
    }
    Ok((path, recipient))
}

/// Adds an identity to those in a file, under its lock: nobody's is lost. From now on only its owner may read it.
fn append(path: &Path, entry: &[u8]) -> Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let closed = std::fs::metadata(path).is_ok_and(|found| found.permissions().mode() & 0o077 == 0);
    if !closed {
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(|cause| {
            Error::new(Code::Write, "its permissions cannot be set")
                .file(path)
                .cause(&cause)
        })?;
    }
    let (target, mut text) = Target::open(path, files::Cap::default())?;
    let out = text.expose_mut();
    if !out.is_empty() && !out.ends_with(b"\n") {
        out.push(b'\n');
    }
    out.extend_from_slice(entry);
    // A second name that keeps the old content keeps all that was in it.
    target.replace(text.expose()).map(drop)
}

fn default_file() -> Result<PathBuf> {
    let sources = sources();
    let named = sources.files.first().or(sources.default_files.first());
    named.cloned().ok_or_else(|| {
        Error::new(Code::Generic, "there is no home folder to keep identities in")
            .hint("--output FILE names a file")
    })
}

fn sources() -> AgeSources {
    AgeSources::from_env(&|name| std::env::var_os(name), home().as_deref())
}

fn list(bench: &Workbench) -> Result<ExitCode> {
    let provider = AgeProvider::new(sources());
    let (inventory, ssh) = (provider.identities().inventory(), provider.ssh_inventory());
    for held in inventory.held.iter().chain(&ssh.held) {
        if bench.ui.manner().json {
            bench
                .ui
                .record(&serde_json::json!({ "recipient": held.recipient, "source": held.source }))?;
        } else {
            bench.ui.say(&format!("{}  {}", held.recipient, held.source))?;
        }
    }
    for fault in inventory.faults.iter().chain(&ssh.faults) {
        let line = fault.line.map(|line| format!(":{line}")).unwrap_or_default();
        bench
            .ui
            .warn(None, &format!("{}{line}: {}", fault.source, fault.reason));
    }
    if inventory.held.is_empty() && ssh.held.is_empty() {
        bench
            .ui
            .hint("there is no identity yet: `seal keys new` makes one");
    }
    Ok(ExitCode::SUCCESS)
}
