//! What dotenv and INI have in common: values are text, and the metadata block is flat, one line a field.

use std::collections::{HashMap, HashSet};

use secret::SecretBytes;

use crate::decimal;
use crate::edit::Edits;
use crate::scalar::Scalar;
use crate::tree::Span;
use crate::value::Value;

/// A field of the block as it stands in the file.
pub(crate) struct Field {
    /// Its name, without any prefix.
    pub(crate) name: String,
    /// What it says, with `\n` decoded.
    pub(crate) value: String,
    /// Its line or lines, without the last line break.
    pub(crate) line: Span,
    /// The spelling of its value.
    pub(crate) value_span: Span,
}

/// How a format writes fields.
pub(crate) trait Writer {
    /// Appends the spelling of `value`, in place of what stands at `old` if that is given.
    fn value(&self, value: &str, old: Option<&Field>, out: &mut Vec<u8>);
    /// Appends what stands before the value on a line of its own.
    fn name(&self, name: &str, out: &mut Vec<u8>);
    /// The line break of the file.
    fn line_break(&self) -> &'static [u8];
    /// Whether a carriage return before a line feed belongs to the line break.
    fn carriage(&self) -> bool;

    /// Appends a whole line without its line break.
    fn line(&self, name: &str, value: &str, out: &mut Vec<u8>) {
        self.name(name, out);
        self.value(value, None, out);
    }
}

/// The fields that `block` asks for. What is no text becomes its text; lists and maps have none.
pub(crate) fn wanted(block: &Value) -> Vec<(&str, String)> {
    let Value::Map(entries) = block else {
        return Vec::new();
    };
    let text = |value: &Value| match value {
        Value::Str(text) => Some(text.clone()),
        Value::Bool(bool) => Some(bool.to_string()),
        Value::Int(int) => Some(int.to_string()),
        Value::Null | Value::List(_) | Value::Map(_) => None,
    };
    entries
        .iter()
        .filter_map(|(name, value)| Some((name.as_str(), text(value)?)))
        .collect()
}

/// The block that `fields` are.
pub(crate) fn block(fields: Vec<Field>) -> Value {
    Value::Map(
        fields
            .into_iter()
            .map(|field| (field.name, Value::Str(field.value)))
            .collect(),
    )
}

/// Line breaks as the two characters `\n`, as sops writes them in flat metadata and in dotenv values.
pub(crate) fn escape(text: &[u8], out: &mut Vec<u8>) {
    for (nth, line) in text.split(|byte| *byte == b'\n').enumerate() {
        if nth > 0 {
            out.extend_from_slice(b"\\n");
        }
        out.extend_from_slice(line);
    }
}

/// The inverse of [`escape`]; `None` where nothing is escaped. There is no escape for a backslash.
pub(crate) fn unescape(text: &[u8]) -> Option<SecretBytes> {
    let mut pieces = memchr::memmem::find_iter(text, b"\\n").peekable();
    pieces.peek()?;
    let mut decoded = SecretBytes::new(Vec::with_capacity(text.len()));
    let out = decoded.expose_mut();
    let mut done = 0;
    for at in pieces {
        out.extend_from_slice(&text[done..at]);
        out.push(b'\n');
        done = at + 2;
    }
    out.extend_from_slice(&text[done..]);
    Some(decoded)
}

/// A scalar as sops prints it where only text can stand.
pub(crate) fn text(value: &Scalar<'_>, out: &mut Vec<u8>) {
    let text = match value {
        Scalar::Str(text) => return out.extend_from_slice(text),
        Scalar::Null => "<nil>".to_owned(),
        Scalar::Bool(bool) => bool.to_string(),
        Scalar::Int(int) => int.to_string(),
        Scalar::Float(float) => float_text(*float),
        Scalar::Time(time) => time.to_string(),
    };
    out.extend_from_slice(text.as_bytes());
}

/// Go's `%G` with shortest digits, and a decimal where the text could be taken for a whole number.
fn float_text(float: f64) -> String {
    if !float.is_finite() {
        return if float.is_nan() {
            "NaN".into()
        } else {
            format!("{float:+}").replace("inf", "Inf")
        };
    }
    let text = decimal::scientific(float);
    let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    match exponent.parse::<i32>() {
        Ok(exponent) if !(-4..6).contains(&exponent) => {
            let sign = if exponent < 0 { '-' } else { '+' };
            format!("{digits}E{sign}{:02}", exponent.unsigned_abs())
        }
        _ => {
            let text = decimal::plain(float);
            if text.contains('.') { text } else { text + ".0" }
        }
    }
}

/// Records the edits that make the lines of the existing `fields`, of which there is at least one, say what
/// is `wanted`.
pub(crate) fn update(
    source: &[u8],
    fields: &[Field],
    wanted: &[(&str, String)],
    writer: &impl Writer,
    edits: &mut Edits,
) {
    let values: HashMap<&str, &String> = wanted.iter().map(|(name, value)| (*name, value)).collect();
    let value = |field: &Field| values.get(field.name.as_str()).copied();
    let places = places(fields, wanted);
    for run in runs(source, fields) {
        let moves = fields[run.clone()].iter().any(|field| value(field).is_none())
            || places.iter().any(|place| run.contains(&place.nth));
        if moves {
            let changed = Rewrite {
                source,
                fields,
                places: &places,
                writer,
            }
            .lines(run.clone(), value);
            let span = span_of(fields, &run);
            match changed.is_empty() {
                true => edits.remove(with_line_break(source, span, writer.carriage())),
                false => edits.replace(span, &[&changed.join(writer.line_break())]),
            }
            continue;
        }
        for field in &fields[run] {
            let Some(value) = value(field).filter(|value| **value != field.value) else {
                continue;
            };
            let mut text = Vec::new();
            writer.value(value, Some(field), &mut text);
            edits.replace(field.value_span, &[&text]);
        }
    }
}

/// Builds the new lines of a run of fields in which lines come or go.
struct Rewrite<'a, W> {
    source: &'a [u8],
    fields: &'a [Field],
    places: &'a [Place<'a>],
    writer: &'a W,
}

impl<W: Writer> Rewrite<'_, W> {
    fn lines<'v>(
        &self,
        run: std::ops::Range<usize>,
        value: impl Fn(&Field) -> Option<&'v String>,
    ) -> Vec<Vec<u8>> {
        let mut lines = Vec::new();
        for nth in run {
            self.add(nth, true, &mut lines);
            let field = &self.fields[nth];
            if let Some(value) = value(field) {
                lines.push(self.line(field, value));
            }
            self.add(nth, false, &mut lines);
        }
        lines
    }

    fn line(&self, field: &Field, value: &str) -> Vec<u8> {
        if value == field.value {
            return self.source[field.line.range()].to_vec();
        }
        let mut line = self.source[field.line.start as usize..field.value_span.start as usize].to_vec();
        self.writer.value(value, Some(field), &mut line);
        line.extend_from_slice(&self.source[field.value_span.end as usize..field.line.end as usize]);
        line
    }

    fn add(&self, nth: usize, before: bool, lines: &mut Vec<Vec<u8>>) {
        for place in self
            .places
            .iter()
            .filter(|place| place.nth == nth && place.before == before)
        {
            let mut line = Vec::new();
            self.writer.line(place.field.0, &place.field.1, &mut line);
            lines.push(line);
        }
    }
}

/// Removes all lines of the `fields`, which end at line feeds.
pub(crate) fn remove(source: &[u8], fields: &[Field], edits: &mut Edits) {
    for run in runs(source, fields) {
        edits.remove(with_line_break(source, span_of(fields, &run), false));
    }
}

/// Lines with the line break behind them, or, where the file ends without one, with the one before them. A
/// carriage return belongs to the line break only if `carriage` says so.
pub(crate) fn with_line_break(source: &[u8], lines: Span, carriage: bool) -> Span {
    let (start, end) = (lines.start as usize, lines.end as usize);
    match source[end..] {
        [b'\n', ..] => Span::new(start, end + 1),
        [b'\r', b'\n', ..] if carriage => Span::new(start, end + 2),
        _ if carriage && source[..start].ends_with(b"\r\n") => Span::new(start - 2, end),
        _ if source[..start].ends_with(b"\n") => Span::new(start - 1, end),
        _ => lines,
    }
}

/// Where a missing field goes.
struct Place<'a> {
    /// Beside this field.
    nth: usize,
    /// Before or behind it.
    before: bool,
    field: &'a (&'a str, String),
}

/// Places for the missing fields: in alphabetical order if the fields have it, else at the end.
fn places<'a>(fields: &[Field], wanted: &'a [(&'a str, String)]) -> Vec<Place<'a>> {
    let sorted = fields.is_sorted_by(|one, next| one.name <= next.name);
    let present: HashSet<&str> = fields.iter().map(|field| field.name.as_str()).collect();
    let missing = wanted.iter().filter(|(name, _)| !present.contains(name));
    let place = |field: &'a (&'a str, String)| match fields
        .iter()
        .position(|other| sorted && other.name.as_str() > field.0)
    {
        Some(nth) => Place {
            nth,
            before: true,
            field,
        },
        None => Place {
            nth: fields.len().saturating_sub(1),
            before: false,
            field,
        },
    };
    missing.map(place).collect()
}

/// From the first line of a run to its last, without the last line break.
fn span_of(fields: &[Field], run: &std::ops::Range<usize>) -> Span {
    Span::new(
        fields[run.start].line.start as usize,
        fields[run.end - 1].line.end as usize,
    )
}

/// The fields in groups whose lines follow each other directly.
fn runs(source: &[u8], fields: &[Field]) -> Vec<std::ops::Range<usize>> {
    let mut runs: Vec<std::ops::Range<usize>> = Vec::new();
    for (nth, field) in fields.iter().enumerate() {
        let follows = nth > 0 && {
            let between = &source[fields[nth - 1].line.end as usize..field.line.start as usize];
            matches!(between, b"\n" | b"\r\n")
        };
        match runs.last_mut() {
            Some(run) if follows => run.end = nth + 1,
            _ => runs.push(nth..nth + 1),
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_print_as_sops_prints_them_among_texts() {
        for (float, wanted) in [
            (1.0, "1.0"),
            (-0.0, "-0.0"),
            (2.5, "2.5"),
            (100_000.0, "100000.0"),
            (123_456_789.0, "1.23456789E+08"),
            (1e21, "1E+21"),
            (0.0001, "0.0001"),
            (1.5e-7, "1.5E-07"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(float_text(float), wanted);
        }
    }

    #[test]
    fn line_breaks_are_two_characters() {
        assert!(unescape(b"a\\b").is_none());
        let decoded = unescape(b"\\na\\\\nb").expect("there are line breaks");
        assert_eq!(decoded.expose(), b"\na\\\nb");
        let mut out = Vec::new();
        escape(b"a\nb\n", &mut out);
        assert_eq!(out, b"a\\nb\\n");
    }
}
