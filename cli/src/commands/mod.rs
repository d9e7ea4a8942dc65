//! The commands, one file each, and the command line that names them.

mod check;
mod completions;
mod decrypt;
mod demo;
mod edit;
mod encrypt;
mod exec_env;
mod exec_file;
mod explain;
mod filestatus;
mod get;
mod groups;
mod init;
mod keys;
mod recipients;
mod rotate;
mod seal;
mod set;
mod unset;
mod updatekeys;

use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use clap::{Args as _, CommandFactory as _, FromArgMatches as _, Parser as _};
use document::{Format, emit};

use crate::args::Global;
use crate::error::{Code, Error, Result};
use crate::ui::Ui;
use crate::workbench::Workbench;

pub(crate) use edit::Edit;
pub(crate) use encrypt::recipe_of;
pub(crate) use exec_env::set_variables;
pub(crate) use exec_file::with_file;
pub(crate) use get::extract;
pub(crate) use set::Change;
pub(crate) use updatekeys::UpdateKeys;

/// Seals secrets in files before they are committed
///
/// Without a command it seals, in place, every file under PATH (default: the current folder) that the policy
/// says must be sealed and is not, and the changes of authors in those that are.
#[derive(clap::Parser)]
#[command(
    name = "seal",
    version,
    args_conflicts_with_subcommands = true,
    max_term_width = 100
)]
#[command(after_help = "\
Examples:
  seal keys new                     make an age identity
  seal init                         write a policy for this folder
  seal                              seal what the policy wants sealed
  seal set app.yaml '[\"db\"][\"password\"]'
  seal check                        in CI, without any key")]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    seal: seal::Seal,
}

/// What to do.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Seal files under PATH by policy (what `seal` does without a command)
    #[command(hide = true)]
    Seal(seal::Seal),
    Encrypt(encrypt::Encrypt),
    Decrypt(decrypt::Decrypt),
    Edit(edit::Edit),
    Get(get::Get),
    Set(set::Set),
    Unset(unset::Unset),
    Rotate(rotate::Rotate),
    #[command(name = "updatekeys")]
    UpdateKeys(updatekeys::UpdateKeys),
    Groups(groups::Groups),
    ExecEnv(exec_env::ExecEnv),
    ExecFile(exec_file::ExecFile),
    #[command(name = "filestatus")]
    FileStatus(filestatus::FileStatus),
    Check(check::Check),
    Explain(explain::Explain),
    Init(init::Init),
    Keys(keys::Keys),
    Demo(demo::Demo),
    Completions(completions::Completions),
    Man(completions::Man),
    /// The command line of sops: `seal sops --help`
    #[command(name = "sops", disable_help_flag = true)]
    Sops,
}

/// Reads the command line; on a mistake, or for help, it prints and ends the process.
pub(crate) fn parse() -> (Global, Command) {
    let first = std::env::args_os().nth(1);
    if let Some(only) = first.and_then(|name| short_cut(name.to_str()?)) {
        return only();
    }
    let cli = Cli::parse();
    let command = cli.command.unwrap_or(Command::Seal(cli.seal));
    (cli.global, command)
}

/// Reads a line for one command.
type Only = fn() -> (Global, Command);

/// For commands that scripts call file by file: a reader that knows no other command, for to describe them all takes
/// as long as to open a small file.
fn short_cut(name: &str) -> Option<Only> {
    Some(match name {
        "decrypt" => || only("decrypt", Command::Decrypt),
        "encrypt" => || only("encrypt", Command::Encrypt),
        "exec-env" => || only("exec-env", Command::ExecEnv),
        "get" => || only("get", Command::Get),
        "set" => || only("set", Command::Set),
        _ => return None,
    })
}

fn only<A: clap::Args>(name: &'static str, wrap: fn(A) -> Command) -> (Global, Command) {
    // To take the description apart again would take as long as to make it.
    let command = Box::leak(Box::new(alone::<A>(name)));
    let matches = command.get_matches_mut();
    let read = || {
        let (_, own) = matches.subcommand()?;
        Some((
            Global::from_arg_matches(own).ok()?,
            wrap(A::from_arg_matches(own).ok()?),
        ))
    };
    read().unwrap_or_else(|| {
        command
            .error(clap::error::ErrorKind::MissingSubcommand, "no command")
            .exit()
    })
}

/// The command line with one command only.
fn alone<A: clap::Args>(name: &'static str) -> clap::Command {
    let own = A::augment_args(clap::Command::new(name));
    Global::augment_args(clap::Command::new("seal").max_term_width(100))
        .version(env!("CARGO_PKG_VERSION"))
        .subcommand_required(true)
        .subcommand(own)
}

/// The whole command line, as help, completions and manuals tell it.
fn cli() -> clap::Command {
    Cli::command()
}

/// Runs a command; the exit code of a success can still say that something was found.
pub(crate) fn run(global: Global, command: Command) -> Result<ExitCode> {
    let ui = Ui::new(global.manner());
    let bench = Workbench::new(ui, global)?;
    match command {
        Command::Seal(seal) => seal.run(&bench),
        Command::Encrypt(encrypt) => encrypt.run(&bench),
        Command::Decrypt(decrypt) => decrypt.run(&bench),
        Command::Edit(edit) => edit.run(&bench),
        Command::Get(get) => get.run(&bench),
        Command::Set(set) => set.run(&bench),
        Command::Unset(unset) => unset.run(&bench),
        Command::Rotate(rotate) => rotate.run(&bench),
        Command::UpdateKeys(updatekeys) => updatekeys.run(&bench),
        Command::Groups(groups) => groups.run(&bench),
        Command::ExecEnv(exec) => exec.run(&bench),
        Command::ExecFile(exec) => exec.run(&bench),
        Command::FileStatus(status) => status.run(&bench),
        Command::Check(check) => check.run(&bench),
        Command::Explain(explain) => explain.run(&bench),
        Command::Init(init) => init.run(&bench),
        Command::Keys(keys) => keys.run(&bench),
        Command::Demo(demo) => demo.run(&bench),
        Command::Completions(completions) => completions.run(cli()),
        Command::Man(man) => man.run(cli()),
        // Its words are not ours: `main` hands them on before they are read here.
        Command::Sops => Ok(crate::sops_cli::run(&[])),
    }
}

/// Tells every failure of a command over many files; the code is that of the first.
fn tell_all(bench: &Workbench, failed: &[Error]) -> ExitCode {
    for error in failed {
        bench.ui.error(error);
    }
    failed
        .first()
        .map_or(ExitCode::SUCCESS, |first| first.code().into())
}

fn not_sealed(name: &Path) -> Error {
    Error::new(Code::Generic, "the file is not sealed: it has no `sops` block")
        .file(name)
        .hint("`seal encrypt -i FILE` seals it")
}

/// A quick look whether a file may be sealed, before it is read in earnest: it names its metadata.
fn looks_sealed(format: Format, source: &[u8]) -> bool {
    let name: &[u8] = if format == Format::Dotenv {
        b"sops_"
    } else {
        b"sops"
    };
    memchr::memmem::find(source, name).is_some() && memchr::memmem::find(source, b"lastmodified").is_some()
}

/// A path as it is written below an output folder: without root, `.` and `..`.
fn below(path: &Path) -> PathBuf {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_)))
        .collect()
}

fn tree_path(text: &str) -> Result<document::Path> {
    document::Path::parse_sops(text).map_err(|why| {
        Error::new(Code::Path, why)
            .hint("a path looks like '[\"database\"][\"password\"]' or '[\"list\"][0]'")
    })
}

pub(crate) fn emit_options(indent: Option<i32>) -> Result<emit::Options> {
    let mut options = emit::Options::default();
    match indent {
        None => {}
        Some(-1) => options.json_indent = emit::Indent::Tab,
        Some(columns) => {
            let columns = usize::try_from(columns)
                .map_err(|_| Error::new(Code::Conflict, "--indent takes -1 (a tab) or a number of spaces"))?;
            options.yaml_indent = columns;
            options.json_indent = emit::Indent::Spaces(columns);
        }
    }
    Ok(options)
}

pub(crate) fn emit_error(name: &Path, error: &emit::EmitError) -> Error {
    Error::new(Code::Dump, error.to_string()).file(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_cut_describes_its_command_as_the_whole_does() {
        let mut whole = cli();
        whole.build();
        let shorts = [
            alone::<decrypt::Decrypt>("decrypt"),
            alone::<encrypt::Encrypt>("encrypt"),
            alone::<exec_env::ExecEnv>("exec-env"),
            alone::<get::Get>("get"),
            alone::<set::Set>("set"),
        ];
        for mut short in shorts {
            short.build();
            let name = short.get_subcommands().next().expect("one").get_name().to_owned();
            assert!(short_cut(&name).is_some());
            let help = |command: &mut clap::Command| {
                let own = command.find_subcommand_mut(&name).expect("there");
                own.render_long_help().to_string()
            };
            assert_eq!(help(&mut short), help(&mut whole));
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        cli().debug_assert();
    }
}
