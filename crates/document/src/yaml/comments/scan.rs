//! Tokens of a text, and its comment lines as records that wait for a token.

mod gap;

use granit_parser::{Options, ScalarStyle, Scanner, StrInput, TokenType};

use super::AttachError;
use crate::tree::Span;
use crate::yaml::lines::line_end;

/// What a token is, as far as comments care.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    StreamStart,
    StreamEnd,
    Directive,
    DocumentStart,
    DocumentEnd,
    MapStart,
    ListStart,
    /// The end of a block map or block list.
    BlockEnd,
    FlowMapStart,
    FlowMapEnd,
    FlowListStart,
    FlowListEnd,
    /// `-`
    Dash,
    /// `,`
    Comma,
    Key,
    /// `:`
    Value,
    /// An anchor or a tag.
    Property,
    /// A scalar or an alias.
    Leaf,
}

/// A token and the offset that decides which records it may take: its first byte, but see [`Walk::end_levels`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Token {
    pub(super) kind: Kind,
    pub(super) at: u32,
}

/// For which side of a node a record is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Head,
    Line,
    Foot,
    /// No node gets it.
    Nowhere,
}

/// Some comment lines that go together to the first token at or behind `mark`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record {
    pub(super) side: Side,
    pub(super) mark: u32,
    /// Indices into [`Scan::lines`].
    pub(super) lines: (u32, u32),
}

/// One comment line.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line {
    /// The text behind the `#`.
    pub(super) span: Span,
    /// Whether an empty line follows, within the same record.
    pub(super) last_of_group: bool,
}

/// What [`scan`] finds.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub(super) tokens: Vec<Token>,
    /// In the order in which they are taken.
    pub(super) records: Vec<Record>,
    pub(super) lines: Vec<Line>,
}

const BOM: &[u8] = b"\xEF\xBB\xBF";
/// Enough for every nesting that the caller's own limits let through.
const NESTING: usize = 10_000;

/// Reads the tokens and records of a text.
pub(super) fn scan(text: &str) -> Result<Scan, AttachError> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.flow_nesting_limit = NESTING;
    options.block_nesting_limit = NESTING;
    let mut walk = Walk::new(text);
    for token in Scanner::with_options(StrInput::new(text), options) {
        let (span, token) = token
            .map_err(|error| AttachError {
                offset: error.marker().byte_offset().unwrap_or(text.len()),
                why: error.info(),
            })?
            .into_parts();
        let bytes = span.byte_range().unwrap_or(text.len()..text.len());
        let implied = bytes.is_empty();
        let column = span.start.col() as u32;
        match token {
            TokenType::BlockMappingStart => walk.held.push(Held::Start(Kind::MapStart, column)),
            TokenType::BlockSequenceStart => walk.held.push(Held::Start(Kind::ListStart, column)),
            TokenType::BlockEnd => walk.held.push(Held::End),
            TokenType::Key if implied => walk.held.push(Held::Key),
            // The map in `[a: b]`: its key says as much.
            TokenType::FlowMappingStart | TokenType::FlowMappingEnd if implied => {}
            TokenType::StreamStart => walk.token(Kind::StreamStart, Ending::Other, bytes.end),
            TokenType::StreamEnd => walk.token(Kind::StreamEnd, Ending::Other, text.len()),
            TokenType::VersionDirective(..)
            | TokenType::TagDirective(..)
            | TokenType::ReservedDirective(..) => walk.token(Kind::Directive, Ending::Breaks, bytes.end),
            TokenType::DocumentStart => walk.token(Kind::DocumentStart, Ending::Other, bytes.end),
            TokenType::DocumentEnd => walk.token(Kind::DocumentEnd, Ending::Other, bytes.end),
            TokenType::FlowSequenceStart => walk.token(Kind::FlowListStart, Ending::Other, bytes.end),
            TokenType::FlowSequenceEnd => walk.token(Kind::FlowListEnd, Ending::Other, bytes.end),
            TokenType::FlowMappingStart => walk.token(Kind::FlowMapStart, Ending::Other, bytes.end),
            TokenType::FlowMappingEnd => walk.token(Kind::FlowMapEnd, Ending::Other, bytes.end),
            TokenType::BlockEntry => walk.token(Kind::Dash, Ending::OneByte, 0),
            TokenType::FlowEntry => walk.token(Kind::Comma, Ending::Other, bytes.end),
            TokenType::Key => walk.token(Kind::Key, Ending::Other, bytes.end),
            TokenType::Value => walk.token(Kind::Value, Ending::OneByte, 0),
            TokenType::Anchor(_) | TokenType::Tag(..) => walk.token(Kind::Property, Ending::Other, bytes.end),
            TokenType::Alias(_) => walk.token(Kind::Leaf, Ending::Other, bytes.end),
            TokenType::Scalar(ScalarStyle::Plain, _) => walk.token(Kind::Leaf, Ending::Plain, bytes.end),
            TokenType::Scalar(ScalarStyle::Literal | ScalarStyle::Folded, _) => {
                walk.token(Kind::Leaf, Ending::Breaks, bytes.end);
            }
            TokenType::Scalar(..) => walk.token(Kind::Leaf, Ending::Other, bytes.end),
            _ => {}
        }
    }
    Ok(walk.scan)
}

/// How a token ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    /// A plain scalar: the reader has gone over the blanks and breaks behind it.
    Plain,
    /// A block scalar or directive: the reader has gone over the line break, and over a comment in front of it.
    Breaks,
    /// One byte behind its start, whatever the scanner says.
    OneByte,
    Other,
}

/// A token without text of its own: it stands where the next token begins.
#[derive(Clone, Copy, Debug)]
enum Held {
    Start(Kind, u32),
    End,
    Key,
}

/// The token in front of a gap.
#[derive(Clone, Copy, Debug)]
struct Front {
    kind: Kind,
    ending: Ending,
    start: usize,
    end: usize,
    /// Mark for a comment on its line.
    inline: usize,
    /// Mark for the first foot below it, and whether that is a `:`. Itself, or the token before a comma.
    foot: (usize, bool),
}

struct Walk<'t> {
    text: &'t str,
    bytes: &'t [u8],
    /// End of the first line.
    first_break: usize,
    /// Columns of the open block collections.
    levels: Vec<u32>,
    flow: u32,
    front: Front,
    held: Vec<Held>,
    /// Column and start of the own-line records of the gap at hand.
    starts: Vec<(u32, usize)>,
    /// How far the reader had seen when the last of them was complete.
    closed: usize,
    scan: Scan,
}

impl<'t> Walk<'t> {
    fn new(text: &'t str) -> Self {
        let bytes = text.as_bytes();
        let begin = if bytes.starts_with(BOM) { BOM.len() } else { 0 };
        Self {
            text,
            bytes,
            first_break: line_end(bytes, 0),
            levels: Vec::new(),
            flow: 0,
            front: Front {
                kind: Kind::StreamStart,
                ending: Ending::Other,
                start: 0,
                end: begin,
                inline: 0,
                foot: (0, false),
            },
            held: Vec::new(),
            starts: Vec::new(),
            closed: 0,
            scan: Scan::default(),
        }
    }

    /// Takes the next token that has text (or is an end of the stream), with what stands between it and the
    /// one before.
    fn token(&mut self, kind: Kind, ending: Ending, end: usize) {
        if kind == Kind::StreamStart {
            self.scan.tokens.push(Token { kind, at: 0 });
            return;
        }
        let (start, from) = self.gap();
        let last = self.end_levels(kind, start, from).unwrap_or(self.front.start);
        for index in 0..self.held.len() {
            match self.held[index] {
                Held::Start(kind, column) => {
                    self.levels.push(column);
                    self.push(kind, start);
                }
                Held::Key => self.push(Kind::Key, start),
                Held::End => {}
            }
        }
        self.held.clear();
        self.push(kind, start);
        match kind {
            Kind::FlowMapStart | Kind::FlowListStart => self.flow += 1,
            Kind::FlowMapEnd | Kind::FlowListEnd => self.flow = self.flow.saturating_sub(1),
            _ => {}
        }
        let inline = match kind {
            Kind::Value if self.flow == 0 => last,
            Kind::Comma => last,
            _ => start,
        };
        let foot = match kind {
            Kind::Comma => (last, self.front.kind == Kind::Value),
            _ => (start, kind == Kind::Value),
        };
        let end = if ending == Ending::OneByte {
            start + 1
        } else {
            end.max(start)
        };
        self.front = Front {
            kind,
            ending,
            start,
            end: end.min(self.bytes.len()),
            inline,
            foot,
        };
        if ending == Ending::Breaks {
            self.first_line();
        }
    }

    fn push(&mut self, kind: Kind, at: usize) {
        self.scan.tokens.push(Token { kind, at: at as u32 });
    }

    /// A directive and the header of a block scalar may have a comment on their line; a node gets only the latter.
    fn first_line(&mut self) {
        let Front { kind, start, end, .. } = self.front;
        let (mut at, side) = match kind {
            Kind::Directive => (end, Side::Nowhere),
            _ => (start + 1, Side::Line),
        };
        while matches!(self.bytes.get(at), Some(b' ' | b'\t')) || side == Side::Line && self.is_indicator(at)
        {
            at += 1;
        }
        if self.bytes.get(at) == Some(&b'#') {
            let first_line = self.scan.lines.len();
            at = self.line(at);
            self.record(side, start, first_line);
        }
        if kind == Kind::Directive {
            self.front.end = at;
        } else {
            // Up to the last character that is not white; `at` is there if the scalar is empty.
            let text = &self.bytes[at.min(end)..end];
            let trailing = text
                .iter()
                .rev()
                .take_while(|byte| byte.is_ascii_whitespace())
                .count();
            self.front.end = (end - trailing).max(at.min(end));
        }
    }

    fn is_indicator(&self, at: usize) -> bool {
        matches!(self.bytes.get(at), Some(b'+' | b'-' | b'0'..=b'9'))
    }
}
