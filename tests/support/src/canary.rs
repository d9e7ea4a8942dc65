//! Canaries: markers put into every secret of a test, and the search for them where no secret may be.
//!
//! A leak is rarely verbatim. [`Canary::find`] knows the marker raw, reversed, in hex, in both Base64 alphabets at any
//! offset, percent-encoded and JSON-escaped (as commonly done, and with every character escaped).
//!
//! # What this does not do
//! It does not find compressed, encrypted or split markers.

use crate::random::Random;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

/// A marker and all the forms in which it may leak.
#[derive(Debug, Clone)]
pub struct Canary {
    text: String,
    forms: Vec<(Form, Vec<u8>)>,
}

/// How a marker was written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Form {
    /// As it is.
    Raw,
    /// Back to front.
    Reversed,
    /// Hexadecimal, either case.
    Hex,
    /// Base64, standard or URL-safe, at any offset within the encoded bytes.
    Base64,
    /// Percent-encoded.
    Url,
    /// Escaped as in a JSON string.
    Json,
}

/// A marker that was found where none may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// The file, or a name for the place.
    pub place: PathBuf,
    /// How it was written down.
    pub form: Form,
}

impl Canary {
    /// 32 letters and digits: fit for any document.
    pub fn new(seed: u64) -> Self {
        Self::of(random(seed, 32))
    }

    /// 32 characters of which some must be escaped in JSON, YAML and URLs.
    pub fn awkward(seed: u64) -> Self {
        Self::of(format!("{}\"\\/ é%&{}", random(seed, 12), random(!seed, 12)))
    }

    /// A marker of the caller's own, at least 8 bytes long so that it is not found by chance.
    pub fn of(text: String) -> Self {
        assert!(text.len() >= 8, "a marker must be longer");
        let mut forms = vec![
            (Form::Raw, text.clone().into_bytes()),
            (
                Form::Reversed,
                text.chars().rev().collect::<String>().into_bytes(),
            ),
            (Form::Hex, hex(&text, b"0123456789abcdef")),
            (Form::Hex, hex(&text, b"0123456789ABCDEF")),
            (Form::Url, url(&text, false)),
            (Form::Url, url(&text, true)),
            (Form::Json, json(&text, false)),
            (Form::Json, json(&text, true)),
        ];
        for offset in 0..3 {
            for alphabet in [STANDARD, URL_SAFE] {
                forms.push((Form::Base64, base64_core(text.as_bytes(), offset, alphabet)));
            }
        }
        Self { text, forms }
    }

    /// The marker.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The first form found in `bytes`.
    pub fn find(&self, bytes: &[u8]) -> Option<Form> {
        self.forms
            .iter()
            .find(|(_, form)| contains(bytes, form))
            .map(|(name, _)| *name)
    }

    /// Every file below `folder` that holds the marker, in its bytes or in its name.
    ///
    /// # Errors
    /// If a folder or file cannot be read.
    pub fn sweep(&self, folder: &Path) -> io::Result<Vec<Leak>> {
        let mut leaks = Vec::new();
        for entry in std::fs::read_dir(folder)? {
            let entry = entry?;
            let (path, kind) = (entry.path(), entry.file_type()?);
            let name = self.find(entry.file_name().as_encoded_bytes());
            leaks.extend(name.map(|form| Leak {
                place: path.clone(),
                form,
            }));
            if kind.is_dir() {
                leaks.extend(self.sweep(&path)?);
            } else if kind.is_file() {
                let form = self.find(&std::fs::read(&path)?);
                leaks.extend(form.map(|form| Leak { place: path, form }));
            }
        }
        Ok(leaks)
    }

    /// Where the marker stands in the command line or the environment of the running process `pid`.
    ///
    /// # Errors
    /// If the process is gone or belongs to somebody else.
    pub fn in_process(&self, pid: u32) -> io::Result<Vec<Leak>> {
        let mut leaks = Vec::new();
        for name in ["cmdline", "environ"] {
            let place = PathBuf::from(format!("/proc/{pid}/{name}"));
            let form = self.find(&std::fs::read(&place)?);
            leaks.extend(form.map(|form| Leak { place, form }));
        }
        Ok(leaks)
    }
}

fn random(seed: u64, length: usize) -> String {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    Random::new(seed).text(alphabet, length)
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    let Some(&first) = part.first() else { return false };
    let mut rest = bytes;
    while let Some(at) = rest.iter().position(|&byte| byte == first) {
        rest = &rest[at..];
        if rest.starts_with(part) {
            return true;
        }
        rest = &rest[1..];
    }
    false
}

fn hex(text: &str, digits: &[u8; 16]) -> Vec<u8> {
    text.bytes()
        .flat_map(|byte| [digits[usize::from(byte >> 4)], digits[usize::from(byte & 15)]])
        .collect()
}

/// Percent-encoding of all but the unreserved characters, or of `every` byte.
fn url(text: &str, every: bool) -> Vec<u8> {
    let mut out = String::new();
    for byte in text.bytes() {
        if !every && (byte.is_ascii_alphanumeric() || b"-._~".contains(&byte)) {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out.into_bytes()
}

/// The inside of a JSON string with the characters escaped that must be, or `every` one.
fn json(text: &str, every: bool) -> Vec<u8> {
    let mut out = String::new();
    for unit in text.encode_utf16() {
        match u8::try_from(unit) {
            Ok(byte @ (b'"' | b'\\')) if !every => {
                out.push('\\');
                out.push(char::from(byte));
            }
            Ok(byte @ 0x20..0x7f) if !every => out.push(char::from(byte)),
            _ => {
                let _ = write!(out, "\\u{unit:04x}");
            }
        }
    }
    out.into_bytes()
}

const STANDARD: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
const URL_SAFE: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// The Base64 characters that depend on `data` alone when `offset` (0..3) unknown bytes stand before it and any bytes
/// follow.
fn base64_core(data: &[u8], offset: usize, alphabet: &[u8; 64]) -> Vec<u8> {
    let bit = |index: usize| data[index / 8] >> (7 - index % 8) & 1;
    let unknown = offset * 8;
    // The first sextet that starts at or after the first bit of `data`.
    let mut start = unknown.div_ceil(6) * 6 - unknown;
    let mut out = Vec::new();
    while start + 6 <= data.len() * 8 {
        let sextet = (start..start + 6).fold(0u8, |value, index| value << 1 | bit(index));
        out.push(alphabet[usize::from(sextet)]);
        start += 6;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base64(bytes: &[u8]) -> Vec<u8> {
        let padded = [bytes, &[0; 3]].concat();
        base64_core(&padded, 0, STANDARD)
    }

    #[test]
    fn every_form_is_found_and_nothing_else() {
        for canary in [Canary::new(1), Canary::awkward(2)] {
            let text = canary.text().to_owned();
            let around = |form: Vec<u8>| [b"before ".as_slice(), &form, b" after"].concat();
            let reversed: String = text.chars().rev().collect();
            assert_eq!(canary.find(&around(text.clone().into_bytes())), Some(Form::Raw));
            assert_eq!(canary.find(&around(reversed.into_bytes())), Some(Form::Reversed));
            assert_eq!(
                canary.find(&around(hex(&text, b"0123456789abcdef"))),
                Some(Form::Hex)
            );
            assert_eq!(canary.find(&around(url(&text, true))), Some(Form::Url));
            assert_eq!(canary.find(&around(json(&text, true))), Some(Form::Json));
            for offset in 0..6 {
                let embedded = [&b"abcdef"[..offset], text.as_bytes(), b"tail"].concat();
                assert_eq!(
                    canary.find(&base64(&embedded)),
                    Some(Form::Base64),
                    "offset {offset}"
                );
            }
            assert_eq!(canary.find(Canary::new(3).text().as_bytes()), None);
        }
        assert_eq!(base64_core(b"Man", 0, STANDARD), b"TWFu");
    }

    #[test]
    fn a_sweep_names_each_file_and_each_name() -> io::Result<()> {
        let (canary, folder) = (Canary::new(4), tempfile::tempdir()?);
        std::fs::create_dir(folder.path().join("deep"))?;
        std::fs::write(folder.path().join("clean"), "nothing")?;
        std::fs::write(
            folder.path().join("deep/dirty"),
            hex(canary.text(), b"0123456789ABCDEF"),
        )?;
        std::fs::write(folder.path().join(canary.text()), "")?;
        let mut leaks = canary.sweep(folder.path())?;
        leaks.sort_by_key(|leak| leak.form != Form::Raw);
        let forms: Vec<Form> = leaks.iter().map(|leak| leak.form).collect();
        assert_eq!(forms, [Form::Raw, Form::Hex]);
        Ok(())
    }

    #[test]
    fn a_process_shows_its_arguments_and_environment() -> io::Result<()> {
        use std::io::{Read, Write};
        let canary = Canary::new(5);
        let mut command = std::process::Command::new("cat");
        command
            .env("TOKEN", canary.text())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped());
        let mut child = command.spawn()?;
        let mut stdin = child.stdin.take().ok_or_else(|| io::Error::other("no stdin"))?;
        let mut stdout = child.stdout.take().ok_or_else(|| io::Error::other("no stdout"))?;
        // Once it answers, its image and environment are in place.
        stdin.write_all(b"!")?;
        stdout.read_exact(&mut [0])?;
        let leaks = canary.in_process(child.id());
        drop(stdin);
        child.wait()?;
        let leaks = leaks?;
        assert_eq!(leaks.len(), 1, "{leaks:?}");
        assert!(leaks[0].place.ends_with("environ"));
        Ok(())
    }
}
