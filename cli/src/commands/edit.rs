//! `seal edit`: a sealed file in the user's editor.
//!
//! The plaintext stands in a folder in memory while the editor runs, and goes with it at every end. What was not changed
//! keeps its ciphertext. A mistake opens the editor again with the text as it was left.

mod block;

use std::fs;
use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use document::{Format, Value};
use secret::SecretBytes;
use sops::{BlockText, DataKey, Metadata, Reuse};

use crate::args::{InputFormat, KeyArgs, RuleArgs};
use crate::child;
use crate::editor::Editor;
use crate::error::{Code, Error, Result};
use crate::files::{self, Access, Existing, Target};
use crate::private::PrivateFolder;
use crate::workbench::{OpenFile, Recipe, Workbench};

/// Edit a sealed file in your editor
///
/// SOPS_EDITOR or EDITOR names it; else vim, nano or vi. The plaintext stands in memory, never on a disk; vim, Neovim,
/// nano and Emacs are told to keep no copies, others must be told by their own settings. A file that is not there yet is
/// made and sealed under the policy's rule.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  seal edit secrets.yaml\n  EDITOR='code --wait' seal edit secrets.yaml")]
pub(crate) struct Edit {
    /// The file
    file: PathBuf,

    /// Do not check the MAC and the integrity field
    #[arg(long)]
    ignore_mac: bool,

    /// Keep a recipient that the policy does not name
    #[arg(long, value_name = "RECIPIENT")]
    accept_recipient: Vec<String>,

    /// Only sops has a flag for it: `check` and `explain` tell better who can open a file.
    #[arg(skip)]
    show_block: bool,

    #[command(flatten)]
    keys: KeyArgs,
    #[command(flatten)]
    rules: RuleArgs,
    #[command(flatten)]
    input: InputFormat,
}

/// What is edited.
enum Subject {
    /// A sealed file as it was opened.
    Sealed {
        metadata: Box<Metadata>,
        key: DataKey,
        kept: Option<(Reuse, BlockText)>,
        /// What is shown below the text, if it is to be.
        shown: Option<Value>,
        /// The whole file, to notice any change of it: of a clear value, a recipient or a comment, too.
        source: SecretBytes,
    },
    /// A file to be made.
    New(Recipe),
}

impl Edit {
    /// What flags of sops come to.
    pub(crate) fn of_sops(file: PathBuf, ignore_mac: bool, show_block: bool) -> Self {
        Self {
            file,
            ignore_mac,
            show_block,
            accept_recipient: Vec::new(),
            keys: KeyArgs::default(),
            rules: RuleArgs::default(),
            input: InputFormat::default(),
        }
    }

    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let format = self.input.of(&self.file);
        let recipe = |path: &Path| super::encrypt::recipe(bench, path, &self.keys, &self.rules);
        self.run_with(bench, format, &recipe)
    }

    /// Edits the file; `recipe` says how one that is not there yet is sealed.
    pub(crate) fn run_with(
        &self,
        bench: &Workbench,
        format: Format,
        recipe: &dyn Fn(&Path) -> Result<Recipe>,
    ) -> Result<ExitCode> {
        let path = self.file.as_path();
        let (subject, before) = self.subject(bench, path, format, recipe)?;
        let editor = Editor::of_user()?;
        let folder = PrivateFolder::new()?;
        let text = folder.path().join(path.file_name().unwrap_or("file".as_ref()));
        write(&text, before.expose())?;
        let mut subject = Some(subject);
        loop {
            child::edit(editor.command(&text))?;
            let after = read(&text, bench)?;
            if after.expose() == before.expose() {
                return Err(Error::new(Code::Unchanged, "nothing was changed").file(path));
            }
            match seal(bench, path, format, after, &mut subject) {
                Ok(()) => return bench.ui.report("sealed", path, None).map(|()| ExitCode::SUCCESS),
                Err(error) => try_again(bench, error, &text)?,
            }
        }
    }

    /// The file and the text to begin with.
    fn subject(
        &self,
        bench: &Workbench,
        path: &Path,
        format: Format,
        recipe: &dyn Fn(&Path) -> Result<Recipe>,
    ) -> Result<(Subject, SecretBytes)> {
        if fs::symlink_metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            let recipe = recipe(path)?;
            let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
            if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
                // Sops finds it out when it writes.
                let code = if bench.as_sops() {
                    Code::Write
                } else {
                    Code::NoFile
                };
                return Err(Error::new(code, "no such folder").file(folder));
            }
            return Ok((Subject::New(recipe), template(format)));
        }
        let source = files::read_to_change(path, bench.global.max_size)?;
        let copy = SecretBytes::copy_from(source.expose());
        let file = bench
            .read_sealed(path, format, copy)?
            .ok_or_else(|| super::not_sealed(path))?;
        super::recipients::check(bench, path, &file.metadata, &[], &self.accept_recipient)?;
        let shown = match self.show_block && format != Format::Binary {
            true => file
                .document
                .block()
                .map_err(|error| Error::from((path, error)))?,
            false => None,
        };
        let OpenFile {
            metadata,
            key,
            opened,
        } = bench.open(path, file, self.ignore_mac, true)?;
        let text = match &shown {
            Some(shown) => block::show(bench, path, format, opened.plaintext, shown)?,
            None => opened.plaintext,
        };
        let subject = Subject::Sealed {
            metadata: Box::new(metadata),
            key,
            kept: opened.kept,
            shown,
            source,
        };
        Ok((subject, text))
    }
}

/// Seals `text` into the file. What the file was opened to is used up; a second try seals every value anew.
fn seal(
    bench: &Workbench,
    path: &Path,
    format: Format,
    text: SecretBytes,
    subject: &mut Option<Subject>,
) -> Result<()> {
    match subject.as_mut() {
        None => Ok(()),
        Some(Subject::New(recipe)) => {
            let sealed = bench.seal_new(path, format, text, recipe)?;
            files::create_fresh(path, sealed.bytes.expose(), Access::Shared, Existing::Refuse)
        }
        Some(Subject::Sealed {
            metadata,
            key,
            kept,
            shown,
            source,
        }) => {
            let text = match shown {
                Some(shown) => block::take_away(bench, path, format, text, shown)?,
                None => text,
            };
            let document = bench.parse_plain(path, format, text)?;
            let (target, now) = Target::open(path, bench.global.max_size)?;
            if now.expose() != source.expose() {
                return Err(Error::new(Code::Write, "changed on disk while it was edited").file(path));
            }
            let sealed = bench.seal_document(path, &document, (**metadata).clone(), key, kept.take())?;
            for warning in target.replace(sealed.bytes.expose())? {
                bench.ui.warn(Some(path), &warning);
            }
            Ok(())
        }
    }
}

/// Tells what is wrong and waits for the user to go back to the editor; without a terminal that is the end.
pub(super) fn try_again(bench: &Workbench, error: Error, text: &Path) -> Result<()> {
    if !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return Err(error);
    }
    bench.ui.error(&error);
    bench.ui.notice(&format!(
        "your text is still in {}: Enter opens the editor again, Ctrl-C gives it up",
        crate::escape::path(text)
    ));
    let mut line = String::new();
    match io::stdin().lock().read_line(&mut line) {
        Ok(0) | Err(_) => Err(error),
        Ok(_) => Ok(()),
    }
}

pub(super) fn write(path: &Path, text: &[u8]) -> Result<()> {
    let mut options = fs::OpenOptions::new();
    let file = options.write(true).create_new(true).mode(0o600).open(path);
    file.and_then(|mut file| file.write_all(text)).map_err(|cause| {
        Error::new(Code::Write, "cannot write the text to be edited")
            .file(path)
            .cause(&cause)
    })
}

/// What the editor left.
pub(super) fn read(path: &Path, bench: &Workbench) -> Result<SecretBytes> {
    let gone = |error: Error| error.with_code(Code::Read);
    files::read(path, bench.global.max_size).map_err(gone)
}

/// What a new file begins with.
fn template(format: Format) -> SecretBytes {
    let text: &[u8] = match format {
        Format::Yaml => b"# Everything below is sealed when the editor ends.\nexample_key: example value\nexample_list:\n  - one\n  - two\n",
        Format::Json => b"{\n\t\"example_key\": \"example value\",\n\t\"example_list\": [\n\t\t\"one\",\n\t\t\"two\"\n\t]\n}\n",
        Format::Dotenv => b"# Everything below is sealed when the editor ends.\nEXAMPLE_KEY=example value\n",
        Format::Ini => b"; Everything below is sealed when the editor ends.\n[example]\nkey = example value\n",
        Format::Binary => b"Everything here is sealed when the editor ends.\n",
    };
    SecretBytes::copy_from(text)
}
