//! The spelling of one YAML scalar, chosen as sops' YAML library chooses it.

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use secret::SecretBytes;

use super::resolve::is_text;
use crate::emit::number;
use crate::scalar::Scalar;

/// Characters per line of a `!!binary` value.
const BINARY_LINE: usize = 70;

/// How a text is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelling {
    Plain,
    Single,
    Double,
    /// `|`, for what holds a line feed.
    Literal,
    /// `!!binary`, for what is not UTF-8.
    Binary,
}

/// What stands in a text, as far as it limits its spelling.
#[derive(Default)]
struct Traits {
    /// A line break of any kind.
    breaks: bool,
    /// Signs that only an escape can spell.
    special: bool,
    tab: bool,
    /// A blank or break at either end.
    edge: bool,
    trailing_space: bool,
    /// A blank directly behind, or directly before, a break.
    break_space: bool,
    space_break: bool,
    /// Signs that mean something in a block, or in brackets.
    block_sign: bool,
    flow_sign: bool,
}

/// The spelling sops chooses for a text in block style.
pub(super) fn spelling(text: &[u8]) -> Spelling {
    let Ok(text) = std::str::from_utf8(text) else {
        return Spelling::Binary;
    };
    let traits = Traits::of(text);
    if text.contains('\n') {
        let literal = !(traits.trailing_space || traits.space_break || traits.special);
        return if literal {
            Spelling::Literal
        } else {
            Spelling::Double
        };
    }
    if !is_text(text) || !traits.single_quotes() {
        Spelling::Double
    } else if traits.plain(false) {
        Spelling::Plain
    } else {
        Spelling::Single
    }
}

/// Whether `text` holds a line break of any kind that its spelling shows.
pub(super) fn spans_lines(text: &[u8]) -> bool {
    let breaks = |text: &str| text.contains(['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}']);
    std::str::from_utf8(text).map_or(text.len().div_ceil(3) * 4 > BINARY_LINE, breaks)
}

/// Whether `text` can stand without quotes (in brackets: `flow`) and reads back as this very text.
pub(crate) fn yaml_plain_safe(text: &str, flow: bool) -> bool {
    is_text(text) && (is_plain_word(text) || Traits::of(text).plain(flow))
}

/// Whether nothing in `text` could mean anything to a reader: most values are of this kind.
fn is_plain_word(text: &str) -> bool {
    let sign =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.' | b'/' | b'+' | b'=');
    text.bytes()
        .next()
        .is_some_and(|first| first.is_ascii_alphanumeric())
        && text.as_bytes().iter().all(sign)
}

/// A scalar that is not a text, spelled plain; of a text nothing.
pub(crate) fn plain_value(value: &Scalar<'_>) -> String {
    let mut out = Vec::new();
    match value {
        Scalar::Null => return "null".into(),
        Scalar::Bool(value) => return value.to_string(),
        Scalar::Int(value) => return value.to_string(),
        Scalar::Time(time) => return time.to_string(),
        Scalar::Float(value) if value.is_nan() => return ".nan".into(),
        Scalar::Float(value) if value.is_infinite() => {
            return if *value > 0.0 { ".inf" } else { "-.inf" }.into();
        }
        Scalar::Float(value) => number::general(*value, 'e', &mut out),
        Scalar::Str(_) => {}
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// `text` between single quotes; it must not hold line breaks or other signs that only an escape can spell.
pub(crate) fn yaml_single_quoted(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'\'');
    for part in text.split_inclusive(|byte| *byte == b'\'') {
        out.extend_from_slice(part);
        if part.ends_with(b"'") {
            out.push(b'\'');
        }
    }
    out.push(b'\'');
}

/// `text` between double quotes with YAML's escapes. Bytes that are no UTF-8 become U+FFFD.
pub(crate) fn yaml_double_quoted(text: &[u8], out: &mut Vec<u8>) {
    // sops' library takes every sign of a text that begins with a byte order mark for one.
    let all = text.starts_with("\u{FEFF}".as_bytes());
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        for sign in chunk.valid().chars() {
            if all || !is_printable(sign) || is_break(sign) || matches!(sign, '"' | '\\') {
                escape(sign, out);
            } else {
                out.extend_from_slice(sign.encode_utf8(&mut [0; 4]).as_bytes());
            }
        }
        if !chunk.invalid().is_empty() {
            out.extend_from_slice("\u{FFFD}".as_bytes());
        }
    }
    out.push(b'"');
}

/// A literal block behind what holds it, down to its last line break: the lines stand in column `margin`,
/// `parent` is the column of the map or list that holds the value.
pub(super) fn literal(text: &str, margin: usize, parent: usize, out: &mut Vec<u8>) {
    out.push(b'|');
    // A tab needs it too, although sops' library forgets it there and cannot read such a block.
    if text.starts_with([' ', '\t', '\n']) {
        out.extend_from_slice((margin - parent).to_string().as_bytes());
    }
    match text.as_bytes() {
        [.., b'\n', b'\n'] | [b'\n'] => out.push(b'+'),
        [.., b'\n'] => {}
        _ => out.push(b'-'),
    }
    out.push(b'\n');
    for line in text.split_terminator('\n') {
        if !line.is_empty() {
            out.resize(out.len() + margin, b' ');
            out.extend_from_slice(line.as_bytes());
        }
        out.push(b'\n');
    }
}

/// `!!binary` and base64, in a literal block if it takes more than one line; no line break behind one line.
pub(super) fn binary(bytes: &[u8], margin: usize, out: &mut Vec<u8>) {
    let encoded = SecretBytes::new(BASE64.encode(bytes).into_bytes());
    out.extend_from_slice(b"!!binary ");
    if encoded.len() <= BINARY_LINE {
        return out.extend_from_slice(encoded.expose());
    }
    out.extend_from_slice(b"|\n");
    for line in encoded.expose().chunks(BINARY_LINE) {
        out.resize(out.len() + margin, b' ');
        out.extend_from_slice(line);
        out.push(b'\n');
    }
}

impl Traits {
    fn of(text: &str) -> Self {
        let mut traits = Self::default();
        if text.starts_with("---") || text.starts_with("...") {
            traits.block_sign = true;
            traits.flow_sign = true;
        }
        let mut signs = text.chars().peekable();
        let mut before = None;
        while let Some(sign) = signs.next() {
            let blank_follows = signs.peek().is_none_or(|next| is_blank(*next));
            traits.indicator(sign, before, blank_follows);
            traits.tab |= sign == '\t';
            // sops writes the separators of lines and paragraphs as they stand, as breaks with a margin behind;
            // only its own library reads that.
            traits.special |=
                sign != '\t' && (!is_printable(sign) || matches!(sign, '\u{2028}' | '\u{2029}'));
            traits.breaks |= is_break(sign);
            let (blank, first, last) = (sign == ' ', before.is_none(), signs.peek().is_none());
            traits.edge |= (blank || is_break(sign)) && (first || last);
            traits.trailing_space |= blank && last;
            traits.break_space |= blank && before.is_some_and(is_break);
            traits.space_break |= is_break(sign) && before == Some(' ');
            before = Some(sign);
        }
        traits
    }

    /// Notes what `sign` means where it stands.
    fn indicator(&mut self, sign: char, before: Option<char>, blank_follows: bool) {
        let (block, flow) = match (sign, before) {
            (
                '#' | ',' | '[' | ']' | '{' | '}' | '&' | '*' | '!' | '|' | '>' | '\'' | '"' | '%' | '@'
                | '`',
                None,
            ) => (true, true),
            ('?' | ':', None) => (blank_follows, true),
            ('-', None) => (blank_follows, blank_follows),
            (',' | '?' | '[' | ']' | '{' | '}', _) => (false, true),
            (':', _) => (blank_follows, true),
            ('#', Some(before)) => (is_blank(before), is_blank(before)),
            _ => (false, false),
        };
        self.block_sign |= block;
        self.flow_sign |= flow;
    }

    fn single_quotes(&self) -> bool {
        !(self.break_space || self.space_break || self.tab || self.special)
    }

    fn plain(&self, flow: bool) -> bool {
        let sign = if flow { self.flow_sign } else { self.block_sign };
        self.single_quotes() && !(self.edge || self.breaks || sign)
    }
}

fn is_break(sign: char) -> bool {
    matches!(sign, '\n' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// What ends a word for sops' library: nothing beyond these.
fn is_blank(sign: char) -> bool {
    matches!(sign, ' ' | '\t') || is_break(sign)
}

/// What sops' library writes as it stands: nothing beyond the basic plane, no byte order mark.
fn is_printable(sign: char) -> bool {
    matches!(sign, '\n' | ' '..='~' | '\u{A0}'..='\u{D7FF}' | '\u{E000}'..='\u{FFFD}') && sign != '\u{FEFF}'
}

fn escape(sign: char, out: &mut Vec<u8>) {
    let letter = match sign {
        '\0' => b'0',
        '\u{7}' => b'a',
        '\u{8}' => b'b',
        '\t' => b't',
        '\n' => b'n',
        '\u{B}' => b'v',
        '\u{C}' => b'f',
        '\r' => b'r',
        '\u{1B}' => b'e',
        '"' => b'"',
        '\\' => b'\\',
        '\u{85}' => b'N',
        '\u{A0}' => b'_',
        '\u{2028}' => b'L',
        '\u{2029}' => b'P',
        _ => {
            let done = match u32::from(sign) {
                code @ ..=0xFF => write!(out, "\\x{code:02X}"),
                code @ ..=0xFFFF => write!(out, "\\u{code:04X}"),
                code => write!(out, "\\U{code:08X}"),
            };
            return done.expect("writing to memory does not fail");
        }
    };
    out.extend_from_slice(&[b'\\', letter]);
}
