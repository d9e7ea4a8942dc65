//! Mutations of a YAML text that keep its meaning.

use super::lines::{Content, Kind, Line, indent, read, without_properties};

/// A way to write the same data differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// Every line ends with CR LF.
    Crlf,
    /// A byte order mark stands first.
    ByteOrderMark,
    /// The last line has no line break. (A block scalar at the end loses its own with it.)
    NoFinalLineBreak,
    /// Twice as many columns a level.
    DoubleIndent,
    /// Lists that stand below their key's column are moved in by two.
    ListsIndented,
    /// A comment above every fourth entry and behind every fifth plain value.
    MoreComments,
}

impl Mutation {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Crlf,
        Self::ByteOrderMark,
        Self::NoFinalLineBreak,
        Self::DoubleIndent,
        Self::ListsIndented,
        Self::MoreComments,
    ];

    /// A word for the manifest's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Crlf => "crlf",
            Self::ByteOrderMark => "bom",
            Self::NoFinalLineBreak => "no-final-line-break",
            Self::DoubleIndent => "double-indent",
            Self::ListsIndented => "lists-indented",
            Self::MoreComments => "more-comments",
        }
    }

    /// The mutated text; `None` if the text holds something that the mutation cannot keep.
    pub fn apply(self, text: &str) -> Option<String> {
        match self {
            Self::Crlf => Some(text.replace('\n', "\r\n")),
            Self::ByteOrderMark => Some(format!("\u{feff}{text}")),
            Self::NoFinalLineBreak => Some(text.trim_end_matches('\n').to_owned()),
            Self::DoubleIndent => double_indent(text),
            Self::ListsIndented => Some(lists_indented(text)),
            Self::MoreComments => Some(more_comments(text)),
        }
    }
}

fn joined(lines: impl Iterator<Item = String>) -> String {
    lines.fold(String::new(), |text, line| text + &line + "\n")
}

fn moved(text: &str, columns: usize) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("{}{text}", " ".repeat(columns))
    }
}

/// An explicit indentation such as `|2` counts from the parent's column, which moves: such texts are left alone.
fn has_explicit_indent(line: &Line<'_>) -> bool {
    let Kind::Content(content) = &line.kind else {
        return false;
    };
    let value = without_properties(&content.value);
    value.starts_with(['|', '>']) && value.bytes().any(|byte| byte.is_ascii_digit())
}

fn double_indent(text: &str) -> Option<String> {
    let lines = read(text);
    if lines.iter().any(has_explicit_indent) {
        return None;
    }
    Some(joined(lines.iter().map(|line| match &line.kind {
        // Every line of a block scalar moves alike: what exceeds the first line's indent is text.
        Kind::Block { indent } => moved(line.text, *indent),
        Kind::Content(content) => doubled(line.text, content),
        _ => moved(line.text, indent(line.text)),
    })))
}

/// Puts whatever stands in column N, dashes included, into column 2N.
fn doubled(text: &str, content: &Content) -> String {
    let mut line = String::new();
    for &dash in &content.dashes {
        line.push_str(&" ".repeat(2 * dash - line.len()));
        line.push('-');
    }
    let rest = text.get(content.column..).unwrap_or_default();
    if !rest.is_empty() {
        line.push_str(&" ".repeat(2 * content.column - line.len()));
        line.push_str(rest);
    }
    line
}

fn lists_indented(text: &str) -> String {
    // The columns of the lists that are being moved, outermost first, and the column of a key that waits for its value.
    let (mut lists, mut waiting): (Vec<usize>, Option<usize>) = (Vec::new(), None);
    joined(read(text).iter().map(|line| {
        match &line.kind {
            Kind::Mark => (lists.clear(), waiting = None).0,
            Kind::Content(content) => {
                let column = indent(line.text);
                let item = content.dashes.first() == Some(&column);
                while lists
                    .last()
                    .is_some_and(|&list| column < list || (column == list && !item))
                {
                    lists.pop();
                }
                if item && waiting == Some(column) {
                    lists.push(column);
                }
                let empty = without_properties(&content.value).is_empty();
                waiting = (content.key && empty).then_some(content.column);
            }
            _ => {}
        }
        if line.kind == Kind::Blank {
            line.text.to_owned()
        } else {
            moved(line.text, 2 * lists.len())
        }
    }))
}

fn more_comments(text: &str) -> String {
    let lines = read(text);
    let (mut seen, mut plain, mut out) = (0, 0, String::new());
    for (index, line) in lines.iter().enumerate() {
        let mut text = line.text.to_owned();
        if let Kind::Content(content) = &line.kind {
            seen += 1;
            if seen % 4 == 0 {
                out.push_str(&format!("{}# note {seen}\n", " ".repeat(indent(&text))));
            }
            let word = content
                .value
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"._/-".contains(&byte));
            let continued = lines.get(index + 1).is_some_and(|next| next.kind == Kind::Inside);
            if content.key && word && !content.value.is_empty() && !continued && !text.contains('#') {
                plain += 1;
                if plain % 5 == 0 {
                    text.push_str(&format!(" # remark {plain}"));
                }
            }
        }
        out.push_str(&text);
        out.push('\n');
    }
    out
}
