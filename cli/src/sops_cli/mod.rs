//! The command line of sops: its commands, flags, environment, outputs and exit codes, for `seal` called as `sops` or as
//! `seal sops ...`.
//!
//! Values, keys and files are handled as by every other command; only what is asked, printed and answered is sops'.
//! Files in place keep their bytes here too. `integrity` and `layout` are written only where a file has them already or
//! the policy has a `seal:` part.

mod changing;
mod flags;
mod groups;
mod opening;
mod publishing;
mod sealing;
mod table;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use document::Format;
use secret::SecretBytes;
use sops::{KeyKind, MasterKey};

use crate::args::{Global, ServiceArgs, aws_context};
use crate::commands::KeyService;
use crate::error::{Code, Error, Result};
use crate::files::{self, Access, Existing, Target};
use crate::log::Level;
use crate::ui::Ui;
use crate::workbench::{VERSION, Workbench};
use flags::{Given, Misuse, Order};
use table::Name;

/// A command line of sops, ready to run.
struct Session {
    bench: Workbench,
    /// The flags and words of the command, or of the form without one.
    given: Given,
    /// Whether it is the form without a command.
    legacy: bool,
}

/// Runs `arguments`, without the name of the program.
pub(crate) fn run(arguments: &[OsString]) -> ExitCode {
    match start(arguments) {
        Ok(code) => code,
        Err(error) => {
            Ui::new(Global::of_sops(None).manner()).error(&error);
            // sops has a code for it and gives another one.
            match error.code() {
                Code::Config => Code::Generic.into(),
                code => code.into(),
            }
        }
    }
}

fn start(arguments: &[OsString]) -> Result<ExitCode> {
    let variable = |name: &str| std::env::var(name).ok();
    let before = Given::read(&table::global(), Order::FlagsFirst, arguments, &variable)
        .map_err(|error| misuse(&error))?;
    if before.on("help") || before.word(0).is_some_and(|word| word == "help" || word == "h") {
        return help();
    }
    if before.on("version") {
        files::write_stdout(format!("sops {VERSION}\n").as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let bench = Workbench::of_sops(before.filled("config").map(PathBuf::from))?;
    let words: Vec<String> = before
        .words
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    if let ["groups"] = words[..] {
        return help();
    }
    let Some((command, named_by)) = table::command(&words) else {
        return legacy(bench, before);
    };
    let flags = table::flags(command);
    let given = Given::read(&flags, Order::Anywhere, &before.words[named_by..], &variable);
    let given = given.map_err(|error| misuse(&error))?;
    if given.on("help") {
        return help();
    }
    let bench = match command == Name::KeyService && before.on("verbose") {
        true => bench.logging(),
        false => bench,
    };
    let session = Session::new(bench, given, false)?;
    if session.given.words.len() > most_words(command) {
        session.bench.ui.warn(
            None,
            "more words than the command takes: those behind are not used",
        );
    }
    session.run(command)
}

/// The form without a command: `-d`, `-e`, `-r`, `--set`, else edit.
fn legacy(bench: Workbench, given: Given) -> Result<ExitCode> {
    let session = Session::new(bench, given, true)?;
    let given = &session.given;
    if given.words.len() > 1 {
        session.bench.ui.warn(
            None,
            "more than one word behind the flags: only the first is used, and flags must stand before it",
        );
    }
    if given.word(0).is_none() {
        return Err(Error::new(Code::NoFile, "no file specified"));
    }
    match (
        given.on("encrypt"),
        given.on("decrypt"),
        given.on("rotate"),
        given.filled("set"),
    ) {
        (true, _, _, _) => session.run(Name::Encrypt),
        (_, true, _, _) => session.run(Name::Decrypt),
        (_, _, true, _) => session.run(Name::Rotate),
        (_, _, _, Some(_)) => session.run(Name::Set),
        _ => session.run(Name::Edit),
    }
}

impl Session {
    fn new(bench: Workbench, given: Given, legacy: bool) -> Result<Self> {
        // Only these have the flag. In front of another command sops reads it and does nothing.
        let bench = match given.on("verbose") {
            true => bench.logging(),
            false => bench,
        };
        let services = services(&given);
        for endpoint in services.endpoints()? {
            let address = [("address", endpoint.to_string())];
            bench
                .ui
                .log("CMD", Level::Info, "Connecting to key service", &address);
        }
        let bench = bench.with_services(&services)?;
        let mut session = Self { bench, given, legacy };
        if let Some(order) = session.given.filled("decryption-order") {
            session.bench.order = decryption_order(order)?;
        }
        Ok(session)
    }

    fn run(self, command: Name) -> Result<ExitCode> {
        if !matches!(command, Name::FileStatus | Name::Completion) {
            self.bench.audit.ready()?;
        }
        match command {
            Name::Encrypt => self.encrypt(),
            Name::Decrypt => self.decrypt(),
            Name::Rotate => self.rotate(),
            Name::Edit => self.edit(),
            Name::Set => self.set(),
            Name::Unset => self.unset(),
            Name::UpdateKeys => self.update_keys(),
            Name::GroupsAdd => self.add_group(),
            Name::GroupsDelete => self.delete_group(),
            Name::ExecEnv => self.exec_env(),
            Name::ExecFile => self.exec_file(),
            Name::FileStatus => self.file_status(),
            Name::Publish => self.publish(),
            Name::KeyService => self.key_service(),
            Name::Completion => completion(&self.given),
        }
    }

    fn key_service(self) -> Result<ExitCode> {
        let word = |flag, default| self.given.filled(flag).unwrap_or(default).to_owned();
        let service = KeyService::of_sops(
            &word("network", "tcp"),
            word("address", "127.0.0.1:5000"),
            self.given.on("prompt"),
        )?;
        service.run(&self.bench)
    }

    /// The file that the command is for; code 100 if none is named, `missing` if it is not there.
    fn file(&self, position: usize, missing: Code) -> Result<PathBuf> {
        let word = self.given.word(position);
        let path = PathBuf::from(word.ok_or_else(|| Error::new(Code::NoFile, "no file specified"))?);
        self.must_exist(&path, missing)?;
        Ok(path)
    }

    fn must_exist(&self, path: &Path, missing: Code) -> Result<()> {
        match std::fs::metadata(path) {
            Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => {
                Err(Error::new(missing, "cannot operate on a file that does not exist").file(path))
            }
            _ => Ok(()),
        }
    }

    /// The name that decides formats and rules.
    fn name(&self, path: &Path) -> PathBuf {
        let given = self.given.filled("filename-override");
        given.map_or_else(|| path.to_owned(), PathBuf::from)
    }

    /// A word that names no format counts as not given.
    fn format(&self, flag: &str, name: &Path) -> Format {
        let word = self.given.text(flag).and_then(Format::of_word);
        word.unwrap_or_else(|| {
            Format::of_name(&name.file_name().unwrap_or(name.as_os_str()).to_string_lossy())
        })
    }

    fn input(&self, name: &Path) -> Format {
        self.format("input-type", name)
    }

    fn output(&self, name: &Path) -> Format {
        self.format("output-type", name)
    }

    /// The keys of the flags, kind by kind.
    fn keys(&self, prefix: &str) -> Result<Vec<MasterKey>> {
        let context = self.encryption_context()?;
        let profile = self.given.text("aws-profile").unwrap_or_default();
        let mut keys = Vec::new();
        for (kind, flag) in KINDS {
            for list in self.given.all(&format!("{prefix}{flag}")) {
                let read = MasterKey::parse_list(kind, list);
                for key in read.map_err(|error| Error::new(Code::Generic, error.to_string()))? {
                    let key = key.with_aws(&context, profile);
                    if !keys.contains(&key) {
                        keys.push(key);
                    }
                }
            }
        }
        Ok(keys)
    }

    /// Where sops takes an unreadable context for none, in `rotate` and `groups add`, this refuses it, too.
    fn encryption_context(&self) -> Result<Vec<(String, String)>> {
        aws_context(self.given.text("encryption-context").unwrap_or_default())
    }

    fn number(&self, flag: &str) -> Result<Option<u8>> {
        let wrong = |_| Error::new(Code::Generic, format!("--{flag} takes a number up to 255"));
        let number: Option<u8> = self
            .given
            .filled(flag)
            .map(str::parse)
            .transpose()
            .map_err(wrong)?;
        Ok(number.filter(|number| *number > 0))
    }

    /// `-i` and `--output` exclude each other.
    fn check_outputs(&self) -> Result<()> {
        if self.given.on("in-place") && self.given.filled("output").is_some() {
            return Err(Error::new(
                Code::Conflict,
                "cannot operate on both --output and --in-place",
            ));
        }
        Ok(())
    }

    /// Writes what a command made: in place, into the file of `--output`, or to stdout.
    fn write(&self, target: Option<Target>, bytes: &[u8], access: Access) -> Result<ExitCode> {
        match (target, self.given.filled("output")) {
            (Some(target), _) => {
                let path = target.path().to_owned();
                for text in target.replace(bytes)? {
                    self.bench.ui.warn(Some(&path), &text);
                }
                self.wrote();
            }
            (None, Some(output)) => files::create_fresh(Path::new(output), bytes, access, Existing::Replace)?,
            (None, None) => files::write_stdout(bytes)?,
        }
        Ok(ExitCode::SUCCESS)
    }

    fn wrote(&self) {
        self.bench
            .ui
            .log("CMD", Level::Info, "File written successfully", &[]);
    }

    /// The bytes of the input, and the file itself if it is to be replaced.
    fn read(&self, path: &Path) -> Result<(Option<Target>, SecretBytes)> {
        self.bench.reads(path);
        if self.given.on("in-place") {
            let (target, source) = Target::open(path, self.bench.global.max_size)?;
            return Ok((Some(target), source));
        }
        Ok((None, files::read(path, self.bench.global.max_size)?))
    }
}

/// Who is asked for keys.
fn services(given: &Given) -> ServiceArgs {
    let local = given.text("enable-local-keyservice") != Some("false");
    ServiceArgs::of_sops(given.all("keyservice"), local)
}

/// The flags that name keys.
const KINDS: [(KeyKind, &str); 7] = [
    (KeyKind::Age, "age"),
    (KeyKind::Pgp, "pgp"),
    (KeyKind::AwsKms, "kms"),
    (KeyKind::GcpKms, "gcp-kms"),
    (KeyKind::HuaweiKms, "hckms"),
    (KeyKind::AzureKeyVault, "azure-kv"),
    (KeyKind::VaultTransit, "hc-vault-transit"),
];

/// Words that name no kind of key are passed over, as sops does.
fn decryption_order(text: &str) -> Result<Vec<KeyKind>> {
    let mut words = std::collections::HashSet::new();
    let mut order = Vec::new();
    for word in text.split(',').map(str::trim) {
        if !words.insert(word) {
            let text = format!("duplicate decryption key type: {word}");
            return Err(Error::new(Code::DuplicateDecryptionType, text));
        }
        order.extend(KeyKind::ALL.into_iter().find(|kind| kind.name() == word));
    }
    Ok(order)
}

fn most_words(command: Name) -> usize {
    match command {
        Name::UpdateKeys => usize::MAX,
        Name::Set => 3,
        Name::Unset | Name::ExecEnv | Name::ExecFile => 2,
        Name::KeyService => 0,
        _ => 1,
    }
}

fn misuse(Misuse(text): &Misuse) -> Error {
    Error::new(Code::Generic, text.clone()).hint("`sops --help` lists the commands and flags")
}

fn help() -> Result<ExitCode> {
    files::write_stdout(HELP.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn completion(given: &Given) -> Result<ExitCode> {
    let commands = "encrypt decrypt rotate edit set unset updatekeys groups exec-env exec-file publish filestatus keyservice completion";
    let script = match given.word(0).and_then(|word| word.to_str()) {
        Some("bash") => format!("complete -o default -W \"{commands}\" sops\n"),
        Some("zsh") => format!("#compdef sops\n_arguments '1: :({commands})' '*:file:_files'\n"),
        None => return help(),
        Some(_) => return Err(Error::new(Code::Write, "completion takes bash or zsh")),
    };
    files::write_stdout(script.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

const HELP: &str = "\
NAME:
   sops - the command line of SOPS, served by seal

USAGE:
   sops [flags] command [flags] FILE
   sops [-d | -e | -r | --set 'PATH VALUE'] [flags] FILE      (without any of these: edit)

COMMANDS:
   encrypt        seal a file, or stdin
   decrypt        open a file, or stdin
   rotate         a new data key
   edit           open a file in an editor
   set, unset     change one value
   updatekeys     the recipients of .sops.yaml
   groups         add or delete a key group
   exec-env       run a command with the values as variables
   exec-file      run a command that reads the opened file
   publish        upload to where destination_rules say
   filestatus     whether a file is sealed
   keyservice     wrap and unwrap data keys for others
   completion     a script for bash or zsh

`seal COMMAND --help` tells of the same commands with all their flags; `seal` alone does more.
";
