//! The commands, one file each, and the command line that names them.

mod agent;
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
mod keyservice;
mod kube;
mod publish;
pub(crate) mod recipients;
mod rotate;
mod seal;
mod set;
mod unset;
mod updatekeys;

use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use clap::{Args as _, CommandFactory as _, FromArgMatches as _, Parser as _};
use document::{Document, Form, Format, emit};
use secret::SecretBytes;

use crate::args::{Global, ServiceArgs};
use crate::error::{Code, Error, Result};
use crate::ui::Ui;
use crate::workbench::Workbench;

pub(crate) use edit::Edit;
pub(crate) use encrypt::recipe_of;
pub(crate) use exec_env::set_variables;
pub(crate) use exec_file::with_file;
pub(crate) use get::extract;
pub(crate) use keyservice::KeyService;
pub(crate) use set::{Change, json_value};
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
    Publish(publish::Publish),
    ExecEnv(exec_env::ExecEnv),
    ExecFile(exec_file::ExecFile),
    #[command(name = "filestatus")]
    FileStatus(filestatus::FileStatus),
    Check(check::Check),
    Explain(explain::Explain),
    Init(init::Init),
    Keys(keys::Keys),
    #[command(name = "keyservice")]
    KeyService(keyservice::KeyService),
    Agent(agent::Agent),
    Kube(kube::Kube),
    Demo(demo::Demo),
    Completions(completions::Completions),
    Man(completions::Man),
    /// The command line of sops: `seal sops --help`
    #[command(name = "sops", disable_help_flag = true)]
    Sops,
    /// The command line of kubeseal: `seal kubeseal --help`
    #[command(name = "kubeseal", disable_help_flag = true)]
    Kubeseal,
}

impl Command {
    /// Whether it opens or seals files, or serves those who do: without an audit log that takes records it does not even
    /// begin.
    fn is_recorded(&self) -> bool {
        match self {
            Self::Seal(_) | Self::Encrypt(_) | Self::Decrypt(_) | Self::Edit(_) | Self::Get(_) => true,
            Self::Set(_) | Self::Unset(_) | Self::Rotate(_) | Self::UpdateKeys(_) | Self::Groups(_) => true,
            Self::ExecEnv(_) | Self::ExecFile(_) | Self::KeyService(_) | Self::Publish(_) => true,
            Self::Kube(kube) => kube.is_recorded(),
            // `explain` tells what it can without opening anything; sops asks for itself.
            Self::Check(_) | Self::Explain(_) | Self::FileStatus(_) | Self::Init(_) | Self::Keys(_) => false,
            Self::Agent(_) | Self::Demo(_) | Self::Completions(_) | Self::Man(_) => false,
            Self::Sops | Self::Kubeseal => false,
        }
    }
}

/// Reads the command line; on a mistake, or for help, it prints and ends the process.
pub(crate) fn parse() -> (Global, Command) {
    let arguments = command_first(std::env::args_os().collect());
    let first = arguments.get(1).and_then(|name| name.to_str());
    if let Some(only) = first.and_then(short_cut) {
        return only(&arguments);
    }
    let cli = Cli::parse_from(arguments);
    let command = cli.command.unwrap_or(Command::Seal(cli.seal));
    (cli.global, command)
}

/// Puts flags of every command behind the command's name, where they stand before it: `seal -q set ...`.
fn command_first(mut arguments: Vec<OsString>) -> Vec<OsString> {
    let is_flag = |argument: &OsString| argument.as_encoded_bytes().starts_with(b"-");
    if !arguments.get(1).is_some_and(is_flag) {
        return arguments;
    }
    let globals = Global::augment_args(clap::Command::new("seal"));
    let mut at = 1;
    while let Some(text) = arguments.get(at).and_then(|argument| argument.to_str()) {
        let Some(flag) = text.strip_prefix('-') else {
            break;
        };
        let (name, value) = flag
            .split_once('=')
            .map_or((flag, None), |(name, value)| (name, Some(value)));
        let known = globals
            .get_arguments()
            .find(|known| match name.strip_prefix('-') {
                Some(long) => known.get_long() == Some(long),
                None => name.chars().all(|short| known.get_short() == Some(short)) && !name.is_empty(),
            });
        let Some(known) = known else {
            return arguments;
        };
        let takes_word = known.get_action().takes_values() && !known.is_require_equals_set();
        at += 1 + usize::from(takes_word && value.is_none());
    }
    let is_command = |name: &OsString| {
        name.to_str()
            .is_some_and(<Command as clap::Subcommand>::has_subcommand)
    };
    if arguments.get(at).is_some_and(is_command) {
        arguments[1..=at].rotate_right(1);
    }
    arguments
}

/// Reads a line for one command.
type Only = fn(&[OsString]) -> (Global, Command);

/// For commands that scripts call file by file: a reader that knows no other command, for to describe them all takes
/// as long as to open a small file.
fn short_cut(name: &str) -> Option<Only> {
    Some(match name {
        "decrypt" => |arguments| only("decrypt", arguments, Command::Decrypt),
        "encrypt" => |arguments| only("encrypt", arguments, Command::Encrypt),
        "exec-env" => |arguments| only("exec-env", arguments, Command::ExecEnv),
        "get" => |arguments| only("get", arguments, Command::Get),
        "kube" => |arguments| only("kube", arguments, Command::Kube),
        "set" => |arguments| only("set", arguments, Command::Set),
        _ => return None,
    })
}

fn only<A: clap::Args>(
    name: &'static str,
    arguments: &[OsString],
    wrap: fn(A) -> Command,
) -> (Global, Command) {
    // To take the description apart again would take as long as to make it.
    let command = Box::leak(Box::new(alone::<A>(name)));
    let matches = command.try_get_matches_from_mut(arguments);
    let matches = matches.unwrap_or_else(|error| error.exit());
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
pub(crate) fn run(mut global: Global, command: Command) -> Result<ExitCode> {
    if let Command::KeyService(_) = command {
        // It is the one that is asked, whatever its environment says to others.
        global.services = ServiceArgs::default();
    }
    let ui = Ui::new(global.manner());
    let bench = Workbench::new(ui, global)?;
    if command.is_recorded() {
        bench.audit.ready()?;
    }
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
        Command::Publish(publish) => publish.run(&bench),
        Command::ExecEnv(exec) => exec.run(bench),
        Command::ExecFile(exec) => exec.run(bench),
        Command::FileStatus(status) => status.run(&bench),
        Command::Check(check) => check.run(&bench),
        Command::Explain(explain) => explain.run(&bench),
        Command::Init(init) => init.run(&bench),
        Command::Keys(keys) => keys.run(&bench),
        Command::KeyService(service) => service.run(&bench),
        Command::Agent(agent) => agent.run(&bench),
        Command::Kube(kube) => kube.run(&bench),
        Command::Demo(demo) => demo.run(&bench),
        Command::Completions(completions) => completions.run(cli()),
        Command::Man(man) => man.run(cli()),
        // Its words are not ours: `main` hands them on before they are read here.
        Command::Sops => Ok(crate::sops_cli::run(&[])),
        Command::Kubeseal => Ok(crate::kubeseal_cli::run(&[])),
    }
}

/// `1 file`, `2 files`
fn counted(number: usize, what: &str) -> String {
    format!("{number} {what}{}", if number == 1 { "" } else { "s" })
}

/// Tells what a look at many files found, then how many of each `what` were looked at; the code is 1 if anything is wrong.
fn tell_found(
    bench: &Workbench,
    wrong: &[Error],
    looked_at: &[(&str, usize)],
    text: &str,
) -> Result<ExitCode> {
    for error in wrong {
        bench.ui.error(error);
    }
    if bench.ui.manner().json {
        let mut record = serde_json::Map::new();
        for (what, count) in looked_at.iter().chain([&("problems", wrong.len())]) {
            record.insert((*what).to_owned(), (*count).into());
        }
        bench.ui.record(&record.into())?;
    } else {
        bench
            .ui
            .say(&format!("{text}, {}", counted(wrong.len(), "problem")))?;
    }
    Ok(if wrong.is_empty() {
        ExitCode::SUCCESS
    } else {
        Code::Generic.into()
    })
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

/// A sealed file, opened with all checks but those that `ignore_mac` switches off.
fn plaintext(bench: &Workbench, path: &Path, format: Format, ignore_mac: bool) -> Result<SecretBytes> {
    let source = crate::files::read(path, bench.global.max_size)?;
    let file = bench
        .read_sealed(path, format, source)?
        .ok_or_else(|| not_sealed(path))?;
    Ok(bench.open(path, file, ignore_mac, false)?.opened.plaintext)
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

fn emit_options(indent: Option<i32>) -> Result<emit::Options> {
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

/// A plaintext printed anew, as sops prints it.
pub(crate) fn emitted(
    bench: &Workbench,
    name: &Path,
    (input, output): (Format, Format),
    plaintext: SecretBytes,
    indent: Option<i32>,
) -> Result<SecretBytes> {
    let options = emit_options(indent)?;
    with_items(bench, name, input, plaintext, |items| {
        emit::emit(output, items, &options).map_err(|error| emit_error(name, &error))
    })
}

/// What a plaintext holds, as one JSON map: the entries of all its documents, of those with the same key the last one
/// wherever it is read. Comments are left out.
pub(crate) fn values(
    bench: &Workbench,
    name: &Path,
    format: Format,
    plaintext: SecretBytes,
) -> Result<SecretBytes> {
    with_items(bench, name, format, plaintext, |items| {
        let merged = emit::merged(items).map_err(|error| emit_error(name, &error))?;
        let printed = emit::emit(Format::Json, &merged, &emit::Options::default());
        printed.map_err(|error| emit_error(name, &error))
    })
}

/// Prints what a plaintext holds, in the order in which it stands.
fn with_items(
    bench: &Workbench,
    name: &Path,
    format: Format,
    plaintext: SecretBytes,
    print: impl FnOnce(&[emit::Item<'_>]) -> Result<SecretBytes>,
) -> Result<SecretBytes> {
    let document = opened(bench, name, format, plaintext)?;
    let items = emit::from_document(&document, bench.limits().expanded, |_| None);
    print(&items.map_err(|error| emit_error(name, &error))?)
}

/// A plaintext as a document. Spellings that are refused in an author's file are read; a binary file is one text.
pub(crate) fn opened(
    bench: &Workbench,
    name: &Path,
    format: Format,
    plaintext: SecretBytes,
) -> Result<Document> {
    let form = match format {
        Format::Binary => Form::Plain,
        _ => Form::Sealed,
    };
    Document::parse(format, form, plaintext, &bench.limits()).map_err(|error| Error::from((name, error)))
}

fn emit_error(name: &Path, error: &emit::EmitError) -> Error {
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
            alone::<kube::Kube>("kube"),
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
    fn flags_of_every_command_may_stand_before_it() {
        let first = |line: &str| {
            let arguments = line.split(' ').map(OsString::from).collect();
            let ordered: Vec<String> = command_first(arguments)
                .iter()
                .map(|word| word.to_string_lossy().into_owned())
                .collect();
            ordered.join(" ")
        };
        for (line, ordered) in [
            ("seal -q set a.yaml", "seal set -q a.yaml"),
            ("seal -vv --json check", "seal check -vv --json"),
            (
                "seal --max-size 1M --config=p get f",
                "seal get --max-size 1M --config=p f",
            ),
            ("seal -q folder", "seal -q folder"),
            ("seal --accept set", "seal --accept set"),
            ("seal check -q", "seal check -q"),
            ("seal -q", "seal -q"),
        ] {
            assert_eq!(first(line), ordered);
        }
    }

    /// Every command's help is in `docs/commands.txt`, where a change of it is seen and reviewed.
    /// `SEALWRIGHT_WRITE=1 cargo test -p seal --bin seal the_reference` writes it anew.
    #[test]
    fn the_reference_is_what_help_says() {
        let mut whole = cli().term_width(100);
        whole.build();
        let mut text = String::new();
        reference(&mut whole, "seal", &mut text);
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/commands.txt");
        if std::env::var_os("SEALWRIGHT_WRITE").is_some() {
            std::fs::write(&file, &text).expect("written");
        }
        let kept = std::fs::read_to_string(&file).expect("docs/commands.txt");
        let differs = kept.lines().zip(text.lines()).find(|(kept, now)| kept != now);
        assert!(
            kept == text,
            "docs/commands.txt is not what help says: {differs:?}"
        );
    }

    /// The help of a command and of all below it.
    fn reference(command: &mut clap::Command, name: &str, out: &mut String) {
        let help = command.render_long_help().to_string();
        let lines = help.lines().map(str::trim_end);
        out.push_str(&format!("$ {name} --help\n"));
        for line in lines {
            out.push_str(line);
            out.push('\n');
        }
        out.push('\n');
        for below in command.get_subcommands_mut() {
            if below.get_name() != "help" && !below.is_hide_set() {
                let name = format!("{name} {}", below.get_name());
                reference(below, &name, out);
            }
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        cli().debug_assert();
    }
}
