//! Names and messages made safe to print.
//!
//! Keys, file names and messages of other programs may hold control characters, terminal sequences or marks
//! that reorder text. Everything printed for people goes through here once, at the place that prints, so one
//! record stays one line and shows what it holds.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::path::Path;

/// `text` with every character that acts instead of showing written out: `\n`, `\t`, `\u{1b}`.
pub(crate) fn escape(text: &str) -> Cow<'_, str> {
    if !text.chars().any(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if acts(c) => {
                let _ = write!(out, "\\u{{{:x}}}", c as u32);
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// A file name for people: bytes that are not UTF-8 are written as `\xNN`, the rest as [`escape`] does.
pub(crate) fn path(path: &Path) -> String {
    let mut out = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        out.push_str(&escape(chunk.valid()));
        for byte in chunk.invalid() {
            let _ = write!(out, "\\x{byte:02x}");
        }
    }
    out
}

/// One line of JSON in which characters that act are written as `\uXXXX`, so that it is as safe on a terminal
/// and reads back unchanged.
pub(crate) fn json(value: &serde_json::Value) -> String {
    let plain = value.to_string();
    if !plain.chars().any(acts) {
        return plain;
    }
    let mut out = String::with_capacity(plain.len() + 16);
    for c in plain.chars() {
        if acts(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(out, "\\u{unit:04x}");
            }
        } else {
            out.push(c);
        }
    }
    out
}

/// Control characters, line and paragraph separators, marks of direction, invisible and tag characters.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_written_out() {
        assert_eq!(escape("plain \u{e4} text"), "plain \u{e4} text");
        assert_eq!(escape("a\nb\r\tc"), "a\\nb\\r\\tc");
        assert_eq!(
            escape("\u{1b}[31mred\u{9b}1m\u{7f}"),
            "\\u{1b}[31mred\\u{9b}1m\\u{7f}"
        );
        assert_eq!(
            escape("x\u{202e}y\u{2066}z\u{200b}"),
            "x\\u{202e}y\\u{2066}z\\u{200b}"
        );
    }

    #[cfg(unix)]
    #[test]
    fn names_that_are_not_text_still_show() {
        use std::os::unix::ffi::OsStrExt as _;
        let name = Path::new(std::ffi::OsStr::from_bytes(b"a\xffb\n"));
        assert_eq!(path(name), "a\\xffb\\n");
    }

    #[test]
    fn json_keeps_its_meaning() {
        let value = serde_json::json!({ "file": "a\u{202e}b\u{e0041}\n" });
        let line = json(&value);
        assert!(line.is_ascii() && !line.contains('\n'), "{line}");
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&line).expect("json"),
            value
        );
    }
}
