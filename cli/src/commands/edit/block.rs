//! The `sops` block, shown below the text that is edited.
//!
//! It tells who can open the file. A change of it here would have to guess what is meant, so it is refused: commands of
//! their own change recipients. (What sops 3.11 and 3.13 make of a text edited with the block shown is the old file.)

use std::path::Path;

use document::{Document, Edits, Form, Format, Value};
use secret::SecretBytes;

use crate::error::{Code, Error, Result};
use crate::workbench::Workbench;

/// `plaintext` with the block in the form of its format.
pub(super) fn show(
    bench: &Workbench,
    path: &Path,
    format: Format,
    plaintext: SecretBytes,
    block: &Value,
) -> Result<SecretBytes> {
    let refuse = |error: document::Error| Error::from((path, error));
    let document = Document::parse(format, Form::Plain, plaintext, &bench.limits()).map_err(refuse)?;
    let mut edits = Edits::default();
    document.set_block(block, &mut edits).map_err(refuse)?;
    Ok(document.render(&edits))
}

/// The text without the block, which must be as it was shown.
pub(super) fn take_away(
    bench: &Workbench,
    path: &Path,
    format: Format,
    text: SecretBytes,
    block: &Value,
) -> Result<SecretBytes> {
    let refuse = |error: document::Error| Error::from((path, error));
    let document = Document::parse(format, Form::Sealed, text, &bench.limits()).map_err(refuse)?;
    if document.block().map_err(refuse)?.as_ref() != Some(block) {
        let text = "the `sops` block was changed or removed: it is shown, and cannot be edited";
        return Err(Error::new(Code::Conflict, text)
            .file(path)
            .hint("`updatekeys` and `rotate --add-age ... --rm-age ...` change who can open the file"));
    }
    Ok(document.render_without_block(Edits::default(), |_| false))
}
