//! `seal set`: one value of a sealed file.

use std::path::PathBuf;
use std::process::ExitCode;

use document::{Document, Edits, Form, Format};
use secret::SecretBytes;

use crate::args::{InputFormat, ValueArgs};
use crate::error::{Code, Error, Result};
use crate::files::Target;
use crate::workbench::{OpenFile, Workbench};

/// Set one value of a sealed file
///
/// The value is JSON, or with --string a text as it is. Only the lines of that value and of the metadata
/// change.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  seal set app.yaml '[\"db\"][\"password\"]' --string        (asks for it)\n  pass show db | seal set app.yaml '[\"db\"][\"password\"]' --string --value-stdin"
)]
pub(crate) struct Set {
    /// The sealed file
    file: PathBuf,

    /// Which value, like `["key"][0]`; what is missing on the way is made
    path: String,

    /// Take the value as a text, not as JSON; one line break at its end is dropped
    #[arg(long)]
    string: bool,

    /// Do not check the MAC and the integrity field
    #[arg(long)]
    ignore_mac: bool,

    /// Keep a recipient that the policy does not name
    #[arg(long, value_name = "RECIPIENT")]
    accept_recipient: Vec<String>,

    #[command(flatten)]
    input: InputFormat,
    #[command(flatten)]
    value: ValueArgs,
}

impl Set {
    pub(crate) fn run(self, bench: &Workbench) -> Result<ExitCode> {
        let path = super::tree_path(&self.path)?;
        let question = format!("Value of {path}, not shown: ");
        let value = self.value.read(&bench.ui, &question, bench.global.max_size)?;
        let value = json(bench, value, self.string)?;
        let edit = |document: &Document, edits: &mut Edits| document.set(&path, &value, edits);
        let change = Change {
            format: self.input.of(&self.file),
            file: self.file,
            ignore_mac: self.ignore_mac,
            accepted: self.accept_recipient,
        };
        change.run(bench, &edit)
    }
}

/// The value as a document, see [`json_value`].
fn json(bench: &Workbench, value: SecretBytes, string: bool) -> Result<Document> {
    let mut text = value;
    if string {
        let plain = text.expose();
        let plain = plain.strip_suffix(b"\n").unwrap_or(plain);
        let plain = plain.strip_suffix(b"\r").unwrap_or(plain);
        let plain =
            std::str::from_utf8(plain).map_err(|_| Error::new(Code::SetFormat, "the value is not UTF-8"))?;
        let quoted = serde_json::to_string(plain)
            .map_err(|_| Error::new(Code::SetFormat, "the value cannot be quoted"))?;
        text = SecretBytes::new(quoted.into_bytes());
    }
    json_value(bench, text.expose()).ok_or_else(|| {
        Error::new(Code::SetFormat, "the value is not JSON")
            .hint("a text is written in quotes, or given with --string")
    })
}

/// A JSON document whose only key holds the one value of `json`; `None` if that is no JSON.
pub(crate) fn json_value(bench: &Workbench, json: &[u8]) -> Option<Document> {
    let text = SecretBytes::new([b"{\"value\":", json, b"}"].concat());
    let document = Document::parse(Format::Json, Form::Plain, text, &bench.limits()).ok()?;
    let root = document.tree().roots.first().copied()?;
    (document.tree().children(root).len() == 1).then_some(document)
}

/// An edit of one sealed file, in place, under its lock.
pub(crate) struct Change {
    pub(crate) file: PathBuf,
    pub(crate) format: Format,
    pub(crate) ignore_mac: bool,
    pub(crate) accepted: Vec<String>,
}

impl Change {
    /// Opens the file, applies `edit` to the author's text, seals it again and replaces the file.
    pub(crate) fn run(
        self,
        bench: &Workbench,
        edit: &dyn Fn(&Document, &mut Edits) -> Result<(), document::Error>,
    ) -> Result<ExitCode> {
        let (path, limits) = (self.file.as_path(), bench.limits());
        let refuse = |error: document::Error| Error::from((path, error));
        let (target, source) = Target::open(path, bench.global.max_size)?;
        let file = bench
            .read_sealed(path, self.format, source)?
            .ok_or_else(|| super::not_sealed(path))?;
        super::recipients::check(bench, path, &file.metadata, &[], &self.accepted)?;
        let OpenFile {
            metadata,
            key,
            opened,
        } = bench.open(path, file, self.ignore_mac, true)?;
        let document =
            Document::parse(self.format, Form::Plain, opened.plaintext, &limits).map_err(refuse)?;
        let mut edits = Edits::default();
        edit(&document, &mut edits).map_err(refuse)?;
        let changed = document.render(&edits);
        if changed.expose() == document.source() {
            bench.ui.report("unchanged", path, None)?;
            return Ok(ExitCode::SUCCESS);
        }
        let sealed = bench.seal_again(path, self.format, changed, metadata, &key, opened.kept)?;
        for text in target.replace(sealed.bytes.expose())? {
            bench.ui.warn(Some(path), &text);
        }
        bench.ui.report("sealed", path, None)?;
        Ok(ExitCode::SUCCESS)
    }
}
