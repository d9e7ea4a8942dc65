//! What a person or a script is told when something fails: where, why, what to do next, and the exit code.
//!
//! ```text
//! error: values.yaml:3:7: db.password: not a string
//! caused by: ...
//! hint: ...
//! ```
//!
//! A message is a sentence fragment in lower case. It never holds a value or a line of a file.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use document::Position;

use crate::escape;

/// A result whose error can be shown.
pub(crate) type Result<T, E = Error> = std::result::Result<T, E>;

/// Exit codes with their fixed numbers, as scripts around sops know them. The name is the kind of the error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[allow(
    dead_code,
    reason = "the codes of the format, also those of causes that no command has yet"
)]
pub(crate) enum Code {
    /// Anything without a code of its own; wrong usage.
    Generic = 1,
    /// An input cannot be read or parsed.
    Read = 2,
    /// An output cannot be written.
    Write = 3,
    /// A document cannot be written in the asked format.
    Dump = 4,
    /// The policy file does not read.
    Config = 5,
    /// A KMS encryption context does not read.
    EncryptionContext = 6,
    /// The value given to `set` does not read.
    SetFormat = 7,
    /// Options, rules or recipients contradict each other.
    Conflict = 8,
    /// The MAC cannot be sealed.
    EncryptMac = 21,
    /// A value cannot be sealed.
    EncryptTree = 23,
    /// The MAC cannot be opened.
    DecryptMac = 24,
    /// A value cannot be opened.
    DecryptTree = 25,
    /// Keys of a file that does not exist.
    KeysOfMissingFile = 49,
    /// The file was changed since it was sealed.
    MacMismatch = 51,
    /// There is no MAC. Never given: an absent MAC is [`Self::MacMismatch`].
    MacNotFound = 52,
    /// There is no policy file.
    ConfigNotFound = 61,
    /// Ctrl-C, or a request to end.
    Interrupted = 85,
    /// A key path names nothing that can be acted on.
    Path = 91,
    /// The file holds no document.
    NeedsDocument = 92,
    /// There is no such file.
    NoFile = 100,
    /// Nothing says which keys to seal with.
    NoEncryptionKey = 111,
    /// A kind of key stands twice in the decryption order.
    DuplicateDecryptionType = 112,
    /// No key at hand opens the file.
    DataKey = 128,
    /// The editor changed nothing.
    Unchanged = 200,
    /// There is no editor, or it failed.
    Editor = 201,
    /// Versions cannot be compared.
    VersionCompare = 202,
    /// The file is sealed already.
    AlreadyEncrypted = 203,
}

impl Code {
    /// The number a shell sees.
    pub(crate) fn number(self) -> u8 {
        self as u8
    }

    /// The kind of error as machines read it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Read => "read",
            Self::Write => "write",
            Self::Dump => "dump",
            Self::Config => "config",
            Self::EncryptionContext => "encryption-context",
            Self::SetFormat => "set-format",
            Self::Conflict => "conflict",
            Self::EncryptMac => "encrypt-mac",
            Self::EncryptTree => "encrypt-tree",
            Self::DecryptMac => "decrypt-mac",
            Self::DecryptTree => "decrypt-tree",
            Self::KeysOfMissingFile => "keys-of-missing-file",
            Self::MacMismatch => "mac-mismatch",
            Self::MacNotFound => "mac-not-found",
            Self::ConfigNotFound => "config-not-found",
            Self::Interrupted => "interrupted",
            Self::Path => "path",
            Self::NeedsDocument => "needs-document",
            Self::NoFile => "no-file",
            Self::NoEncryptionKey => "no-encryption-key",
            Self::DuplicateDecryptionType => "duplicate-decryption-type",
            Self::DataKey => "data-key",
            Self::Unchanged => "unchanged",
            Self::Editor => "editor",
            Self::VersionCompare => "version-compare",
            Self::AlreadyEncrypted => "already-encrypted",
        }
    }
}

impl From<Code> for ExitCode {
    fn from(code: Code) -> Self {
        Self::from(code.number())
    }
}

/// An error as it is shown. Built with [`Error::new`] and the methods that add a place, causes and a hint.
pub(crate) struct Error(Box<Parts>);

struct Parts {
    code: Code,
    file: Option<PathBuf>,
    at: Option<Position>,
    path: Option<String>,
    message: Cow<'static, str>,
    details: Vec<String>,
    causes: Vec<String>,
    hint: Option<Cow<'static, str>>,
    silent: bool,
    missing: bool,
}

impl Error {
    /// An error of this kind; `message` is a fragment in lower case that holds no value.
    pub(crate) fn new(code: Code, message: impl Into<Cow<'static, str>>) -> Self {
        Self(Box::new(Parts {
            code,
            file: None,
            at: None,
            path: None,
            message: message.into(),
            details: Vec::new(),
            causes: Vec::new(),
            hint: None,
            silent: false,
            missing: false,
        }))
    }

    /// An error from a report of several lines: the first is the message, the last may be the hint, and those
    /// between are printed below the message, each on a line of its own.
    pub(crate) fn report(code: Code, report: &str) -> Self {
        let mut lines = report.lines();
        let mut error = Self::new(code, lines.next().unwrap_or_default().to_owned());
        for line in lines {
            match line.strip_prefix("hint: ") {
                Some(hint) => error.0.hint = Some(hint.to_owned().into()),
                None => error.0.details.push(line.to_owned()),
            }
        }
        error
    }

    /// Says that there is nothing where the path leads.
    pub(crate) fn missing(mut self) -> Self {
        self.0.missing = true;
        self
    }

    /// Whether there is nothing where the path leads.
    pub(crate) fn is_missing(&self) -> bool {
        self.0.missing
    }

    /// Names the file.
    pub(crate) fn file(mut self, file: &Path) -> Self {
        self.0.file = Some(file.to_owned());
        self
    }

    /// Names the line and column.
    pub(crate) fn at(mut self, at: Position) -> Self {
        self.0.at = Some(at);
        self
    }

    /// Names the key path, in the form that [`document::Path`] prints.
    pub(crate) fn path(mut self, path: impl fmt::Display) -> Self {
        self.0.path = Some(path.to_string());
        self
    }

    /// Adds a cause and, in order, the sources behind it.
    pub(crate) fn cause(mut self, cause: &(dyn std::error::Error + 'static)) -> Self {
        let mut next = Some(cause);
        while let Some(error) = next {
            self.0.causes.push(error.to_string());
            next = error.source();
        }
        self
    }

    /// Adds a cause in words.
    pub(crate) fn because(mut self, cause: &str) -> Self {
        self.0.causes.push(cause.to_owned());
        self
    }

    /// Says what to do next.
    pub(crate) fn hint(mut self, hint: impl Into<Cow<'static, str>>) -> Self {
        self.0.hint = Some(hint.into());
        self
    }

    /// The same error under another code, for a personality whose codes differ.
    pub(crate) fn with_code(mut self, code: Code) -> Self {
        self.0.code = code;
        self
    }

    /// A failure to write to stdout. Where the reader has gone away nothing is printed.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        let mut made = Self::new(Code::Write, "cannot write to the standard output").cause(error);
        made.0.silent = error.kind() == io::ErrorKind::BrokenPipe;
        made
    }

    /// The kind.
    pub(crate) fn code(&self) -> Code {
        self.0.code
    }

    /// Prints it to stderr: as lines for people, coloured only where colours are welcome, or as one line of
    /// JSON. That stderr cannot be written is not an error of its own.
    pub(crate) fn print(&self, as_json: bool) {
        if self.0.silent {
            return;
        }
        let mut out = anstream::stderr().lock();
        let done = if as_json {
            writeln!(out, "{}", escape::json(&self.json()))
        } else {
            self.write(&mut out)
        };
        drop(done.and_then(|()| out.flush()));
    }

    /// The form for people, with style sequences that the stream strips where they are unwelcome.
    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        line(out, AnsiColor::Red, "error", &self.to_string())?;
        for detail in &self.0.details {
            writeln!(out, "{}", escape::escape(detail))?;
        }
        for cause in &self.0.causes {
            line(out, AnsiColor::Red, "caused by", cause)?;
        }
        match &self.0.hint {
            Some(hint) => line(out, AnsiColor::Cyan, "hint", hint),
            None => Ok(()),
        }
    }

    /// The form for machines; every field is always there.
    pub(crate) fn json(&self) -> serde_json::Value {
        let parts = &*self.0;
        serde_json::json!({ "error": {
            "code": parts.code.name(),
            "exit": parts.code.number(),
            "file": parts.file.as_deref().map(Path::to_string_lossy),
            "line": parts.at.map(|at| at.line),
            "column": parts.at.map(|at| at.column),
            "path": parts.path,
            "message": parts.message,
            "details": parts.details,
            "causes": parts.causes,
            "hint": parts.hint,
        }})
    }
}

impl fmt::Display for Error {
    /// `file:line:col: key.path: reason`, unescaped except for the file name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parts = &*self.0;
        match (&parts.file, parts.at) {
            (Some(file), Some(at)) => write!(f, "{}:{at}: ", escape::path(file))?,
            (Some(file), None) => write!(f, "{}: ", escape::path(file))?,
            (None, Some(at)) => write!(f, "{at}: ")?,
            (None, None) => {}
        }
        if let Some(path) = &parts.path {
            write!(f, "{path}: ")?;
        }
        f.write_str(&parts.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self} ({}; {:?})", self.0.code.name(), self.0.causes)
    }
}

impl std::error::Error for Error {}

impl From<(&Path, document::Error)> for Error {
    /// A document's refusal, with the name of its file. What cannot be sealed is [`Code::EncryptTree`], what
    /// does not parse is [`Code::Read`], a path that leads nowhere is [`Code::Path`].
    fn from((file, error): (&Path, document::Error)) -> Self {
        use document::Error as E;
        match error {
            E::Syntax { at, why } => Self::new(Code::Read, why).at(at),
            E::Unsupported { at, path, why } => Self::new(Code::EncryptTree, why).at(at).path(path),
            E::Limit { at, why } => Self::new(Code::Read, why).at(at),
            E::Conflict { at } => Self::new(
                Code::Read,
                "git conflict marker: the file is in the middle of a merge",
            )
            .at(at)
            .hint("`seal explain FILE` tells both sides and the way back; `git checkout HEAD -- FILE` takes the last version"),
            E::Path { path, why } => Self::new(Code::Path, why).path(path).missing(),
            other => Self::new(Code::Read, other.to_string()),
        }
        .file(file)
    }
}

/// One line `label: text`, the label in colour, the text escaped.
pub(crate) fn line(
    out: &mut (impl Write + ?Sized),
    colour: AnsiColor,
    label: &str,
    text: &str,
) -> io::Result<()> {
    let style = Style::new().bold().fg_color(Some(colour.into()));
    writeln!(out, "{style}{label}:{style:#} {}", escape::escape(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_keeps_its_lines_and_names_its_hint_once() {
        let error = Error::report(Code::DataKey, "no key works\n  age a: not here\nhint: ask");
        let mut out = Vec::new();
        error.write(&mut out).expect("written");
        let text = anstream::adapter::strip_str(&String::from_utf8(out).expect("text")).to_string();
        assert_eq!(text, "error: no key works\n  age a: not here\nhint: ask\n");
    }

    fn shown(error: &Error) -> String {
        let mut out = anstream::StripStream::new(Vec::new());
        error.write(&mut out).expect("a vector takes everything");
        String::from_utf8(out.into_inner()).expect("text")
    }

    #[test]
    fn the_place_stands_before_the_reason() {
        let error = Error::new(Code::Read, "not a map")
            .file(Path::new("a/b.yaml"))
            .at(Position { line: 3, column: 7 })
            .path("db.password")
            .cause(&io::Error::other("inner"))
            .hint("write it as a map");
        let expected =
            "error: a/b.yaml:3:7: db.password: not a map\ncaused by: inner\nhint: write it as a map\n";
        assert_eq!(shown(&error), expected);
    }

    #[test]
    fn one_record_is_one_line_whatever_the_names_hold() {
        let error = Error::new(Code::Read, "bad\nerror: forged").file(Path::new("a\u{1b}[2J\u{202e}.yaml"));
        assert_eq!(
            shown(&error),
            "error: a\\u{1b}[2J\\u{202e}.yaml: bad\\nerror: forged\n"
        );
    }

    #[test]
    fn machines_get_every_field() {
        let error = Error::new(Code::MacMismatch, "changed").file(Path::new("x.json"));
        let json = error.json();
        assert_eq!(json["error"]["code"], "mac-mismatch");
        assert_eq!(json["error"]["exit"], 51);
        assert_eq!(json["error"]["file"], "x.json");
        for field in ["line", "column", "path", "hint"] {
            assert!(
                json["error"].as_object().expect("a map").contains_key(field),
                "{field}"
            );
        }
    }

    #[test]
    fn sources_become_causes_in_order() {
        #[derive(Debug, thiserror::Error)]
        #[error("outer")]
        struct Outer(#[source] io::Error);
        let error = Error::new(Code::Generic, "x").cause(&Outer(io::Error::other("inner")));
        assert_eq!(error.0.causes, ["outer", "inner"]);
    }

    #[test]
    fn documents_errors_keep_their_place_and_get_a_code() {
        let at = Position { line: 2, column: 4 };
        let file = Path::new("v.yaml");
        let error = Error::from((
            file,
            document::Error::Syntax {
                at,
                why: "expected a colon".into(),
            },
        ));
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            (Code::Read, "v.yaml:2:4: expected a colon")
        );
        let why = "cannot be kept".to_owned();
        let error = Error::from((
            file,
            document::Error::Unsupported {
                at,
                path: "a.b".into(),
                why,
            },
        ));
        assert_eq!(
            (error.code(), error.to_string().as_str()),
            (Code::EncryptTree, "v.yaml:2:4: a.b: cannot be kept")
        );
        let error = Error::from((file, document::Error::Conflict { at }));
        assert!(shown(&error).contains("hint: "));
    }

    #[test]
    fn a_closed_pipe_is_silent() {
        assert!(
            Error::stdout(&io::Error::from(io::ErrorKind::BrokenPipe))
                .0
                .silent
        );
        assert!(
            !Error::stdout(&io::Error::from(io::ErrorKind::StorageFull))
                .0
                .silent
        );
    }
}
