//! JSON strings: decoding and spelling.

use memchr::memchr2;
use secret::SecretBytes;

use crate::document::Form;
use crate::error::Error;
use crate::tree::{Span, Text, TreeBuilder};

/// Decodes strings; only those with escapes are copied.
pub(super) struct Strings {
    form: Form,
    scratch: SecretBytes,
}

impl Strings {
    pub(super) fn new(form: Form) -> Self {
        Self {
            form,
            scratch: SecretBytes::default(),
        }
    }

    /// Reads the string whose opening quote stands at `start`; gives the offset behind it, and its text.
    pub(super) fn read(
        &mut self,
        source: &[u8],
        start: usize,
        builder: &mut TreeBuilder,
    ) -> Result<(usize, Text), Error> {
        self.scratch.expose_mut().clear();
        let body = start + 1;
        let mut at = body;
        loop {
            let Some(length) = memchr2(b'"', b'\\', &source[at..]) else {
                return Err(Error::syntax(source, start, "the string is not closed"));
            };
            let plain = &source[at..at + length];
            // Without an early exit, so that the compiler checks many bytes at once.
            if plain.iter().fold(false, |found, byte| found | (*byte < 0x20)) {
                let nth = plain.iter().position(|byte| *byte < 0x20).unwrap_or(0);
                return Err(Error::syntax(
                    source,
                    at + nth,
                    "a control character stands unescaped in a string",
                ));
            }
            at += length;
            if source[at] == b'"' {
                let text = if at - length == body {
                    Text::in_source(Span::new(body, at))
                } else {
                    self.scratch.expose_mut().extend_from_slice(plain);
                    builder.decoded(self.scratch.expose())
                };
                return Ok((at + 1, text));
            }
            self.scratch.expose_mut().extend_from_slice(plain);
            at = self.escape(source, at)?;
        }
    }

    /// Decodes the escape whose backslash stands at `at`; gives the offset behind it.
    fn escape(&mut self, source: &[u8], at: usize) -> Result<usize, Error> {
        let simple = match source.get(at + 1) {
            Some(sign @ (b'"' | b'\\' | b'/')) => *sign,
            Some(b'b') => 0x08,
            Some(b'f') => 0x0C,
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'u') => return self.unicode(source, at),
            _ => return Err(Error::syntax(source, at, "an escape that JSON does not have")),
        };
        self.scratch.expose_mut().push(simple);
        Ok(at + 2)
    }

    fn unicode(&mut self, source: &[u8], at: usize) -> Result<usize, Error> {
        let unit =
            hex4(source, at).ok_or_else(|| Error::syntax(source, at, "\\u needs four hexadecimal digits"))?;
        let mut end = at + 6;
        let mut code = unit;
        if (0xD800..0xDC00).contains(&unit) {
            let low = hex4(source, end).filter(|low| (0xDC00..0xE000).contains(low));
            if let Some(low) = low {
                code = 0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                end += 6;
            }
        }
        let sign = match char::from_u32(code) {
            Some(sign) => sign,
            None if self.form == Form::Sealed => char::REPLACEMENT_CHARACTER,
            None => {
                let why = "half of a surrogate pair, which is no character; sops would replace it";
                return Err(Error::syntax(source, at, why));
            }
        };
        self.scratch
            .expose_mut()
            .extend_from_slice(sign.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(end)
    }
}

/// The number behind the `\u` at `at`.
fn hex4(source: &[u8], at: usize) -> Option<u32> {
    let digits = source.get(at..at + 6)?.strip_prefix(b"\\u")?;
    digits.iter().try_fold(0, |code, digit| {
        Some(code << 4 | char::from(*digit).to_digit(16)?)
    })
}

/// Spells `text` as a JSON string with only the escapes that JSON demands. Bytes that are not UTF-8 become
/// U+FFFD, as Go's encoder has it.
pub(crate) fn quote(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        escape_into(chunk.valid().as_bytes(), out);
        // Go replaces every single byte of an invalid sequence.
        for _ in chunk.invalid() {
            out.extend_from_slice("\u{FFFD}".as_bytes());
        }
    }
    out.push(b'"');
}

fn escape_into(text: &[u8], out: &mut Vec<u8>) {
    let mut done = 0;
    for (at, byte) in text.iter().enumerate() {
        let short = match byte {
            b'"' | b'\\' => *byte,
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            0x08 => b'b',
            0x0C => b'f',
            0..0x20 => b'u',
            _ => continue,
        };
        out.extend_from_slice(&text[done..at]);
        out.extend_from_slice(&[b'\\', short]);
        if short == b'u' {
            let digit = |half: u8| b"0123456789abcdef"[usize::from(half)];
            out.extend_from_slice(&[b'0', b'0', digit(byte >> 4), digit(byte & 15)]);
        }
        done = at + 1;
    }
    out.extend_from_slice(&text[done..]);
}
