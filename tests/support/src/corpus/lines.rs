//! What each line of a YAML file is, as far as the mutations must know it. Not a parser: it knows the styles that occur
//! in the manifests, and the corpus' own test proves that it suffices for them.

/// One line without its line break.
#[derive(Debug, Clone)]
pub(super) struct Line<'a> {
    pub(super) text: &'a str,
    pub(super) kind: Kind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Kind {
    Blank,
    Comment,
    /// `---`, `...` or a directive.
    Mark,
    /// Text of a block scalar whose first line of text is indented by so many columns.
    Block {
        indent: usize,
    },
    /// Within a quoted scalar, a flow collection or a plain scalar that began on a line above.
    Inside,
    /// A key, an item or a value.
    Content(Content),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Content {
    /// The columns of the dashes that open the line.
    pub(super) dashes: Vec<usize>,
    /// The column of what follows the dashes.
    pub(super) column: usize,
    /// What follows `key:` without comment; the whole rest where there is no key.
    pub(super) value: String,
    /// Whether there is a key.
    pub(super) key: bool,
}

/// The columns of blanks that open `text`.
pub(super) fn indent(text: &str) -> usize {
    text.len() - text.trim_start_matches(' ').len()
}

/// Whether the first document's root is a list.
pub(super) fn list_at_root(text: &str) -> bool {
    let first = read(text).into_iter().find_map(|line| match line.kind {
        Kind::Content(content) => Some(content),
        _ => None,
    });
    first.is_some_and(|content| content.dashes.first() == Some(&0))
}

/// Reads all lines of `text`.
pub(super) fn read(text: &str) -> Vec<Line<'_>> {
    let mut reader = Reader::default();
    text.lines()
        .map(|text| Line {
            text,
            kind: reader.kind(text),
        })
        .collect()
}

/// What is still open from the lines above.
#[derive(Default)]
struct Reader {
    /// The column that block text must exceed, and that of its first line once seen.
    block: Option<(usize, Option<usize>)>,
    /// Open flow brackets.
    flow: usize,
    /// The open quote.
    quote: Option<char>,
    /// The column of a plain value's parent: deeper lines may continue it.
    plain: Option<usize>,
}

impl Reader {
    fn kind(&mut self, text: &str) -> Kind {
        let trimmed = text.trim_start_matches(' ');
        if let Some(kind) = self.block_line(text, trimmed) {
            return kind;
        }
        if trimmed.is_empty() {
            return Kind::Blank;
        }
        if self.quote.is_some() || self.flow > 0 {
            self.scan(text);
            return Kind::Inside;
        }
        if trimmed.starts_with('#') {
            return Kind::Comment;
        }
        if ["---", "..."].iter().any(|mark| text.starts_with(mark)) || text.starts_with('%') {
            self.plain = None;
            return Kind::Mark;
        }
        if self.plain.is_some_and(|parent| indent(text) > parent) {
            return Kind::Inside;
        }
        let content = content(text);
        self.open(&content);
        Kind::Content(content)
    }

    fn block_line(&mut self, text: &str, trimmed: &str) -> Option<Kind> {
        let (parent, first) = self.block?;
        if trimmed.is_empty() {
            return Some(Kind::Blank);
        }
        if indent(text) > parent {
            let indent = first.unwrap_or(indent(text));
            self.block = Some((parent, Some(indent)));
            return Some(Kind::Block { indent });
        }
        self.block = None;
        None
    }

    /// Notes what `content` leaves open for the lines below.
    fn open(&mut self, content: &Content) {
        let parent = if content.key {
            Some(content.column)
        } else {
            content.dashes.last().copied()
        };
        let value = without_properties(&content.value);
        self.plain = None;
        if value.starts_with(['|', '>']) {
            self.block = Some((parent.unwrap_or(0), None));
        } else if value.starts_with(['"', '\'', '[', '{']) {
            self.scan(value);
        } else if !value.is_empty() {
            self.plain = parent;
        }
    }

    /// Follows quotes and brackets through `text`.
    fn scan(&mut self, text: &str) {
        let mut before = ' ';
        let mut characters = text.chars();
        while let Some(character) = characters.next() {
            match (self.quote, character) {
                (Some('"'), '\\') => drop(characters.next()),
                (Some(open), _) if open == character => self.quote = None,
                (Some(_), _) => {}
                (None, '"' | '\'') if !before.is_alphanumeric() => self.quote = Some(character),
                (None, '[' | '{') => self.flow += 1,
                (None, ']' | '}') => self.flow = self.flow.saturating_sub(1),
                (None, '#') if before == ' ' => return,
                _ => {}
            }
            before = character;
        }
    }
}

/// Takes a line with a key, an item or a value apart.
fn content(text: &str) -> Content {
    let (mut dashes, mut column) = (Vec::new(), indent(text));
    while let Some(rest) = text[column..]
        .strip_prefix('-')
        .filter(|rest| rest.is_empty() || rest.starts_with(' '))
    {
        dashes.push(column);
        column += 1 + indent(rest);
    }
    let rest = &text[column.min(text.len())..];
    let colon = key_end(rest);
    let value = colon.map_or(rest, |colon| &rest[colon + 1..]);
    Content {
        dashes,
        column,
        value: without_comment(value).trim().to_owned(),
        key: colon.is_some(),
    }
}

/// Where the colon of `key:` stands.
fn key_end(text: &str) -> Option<usize> {
    if text.starts_with(['#', '[', '{', '&', '*', '!', '|', '>']) {
        return None;
    }
    let after = match text.chars().next()? {
        quote @ ('"' | '\'') => closing(text, quote)? + 1,
        _ => 0,
    };
    let rest = &text[after..];
    let end = rest.strip_suffix(':').map(str::len);
    let colon = [rest.find(": "), rest.find(":\t"), end]
        .into_iter()
        .flatten()
        .min()?;
    let comment = rest.find(" #").unwrap_or(usize::MAX);
    // Behind a quoted key nothing but blanks stands before the colon; otherwise the quotes were a value.
    let bare = after == 0 || rest[..colon].trim().is_empty();
    (colon < comment && bare).then_some(after + colon)
}

fn closing(text: &str, quote: char) -> Option<usize> {
    let mut characters = text.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        match character {
            '\\' if quote == '"' => drop(characters.next()),
            _ if character == quote => return Some(at),
            _ => {}
        }
    }
    None
}

/// `value` up to a comment that is surely none of its text.
fn without_comment(value: &str) -> &str {
    if value.trim_start().starts_with('#') {
        return "";
    }
    match value.find(" #") {
        Some(at) if !value.trim_start().starts_with(['"', '\'', '[', '{']) => &value[..at],
        _ => value,
    }
}

/// `value` without the anchors and tags that open it.
pub(super) fn without_properties(value: &str) -> &str {
    let mut value = value.trim();
    while value.starts_with(['&', '!']) {
        value = value.split_once(' ').map_or("", |(_, rest)| rest.trim_start());
    }
    value
}
