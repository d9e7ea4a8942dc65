//! The gap between two tokens: its comment lines as records, and where the blocks end that end in it.

use super::{BOM, Ending, Front, Held, Kind, Line, Record, Side, Walk};
use crate::tree::Span;
use crate::yaml::lines::{column, line_end};

/// How far the reader looks for the next comment or token, in bytes.
const LOOK_AHEAD: usize = 512;

impl Walk<'_> {
    /// Goes over the gap behind the token in front. Answers where the next token starts, and where the part
    /// begins that the reader searches for own-line comments.
    pub(super) fn gap(&mut self) -> (usize, usize) {
        self.starts.clear();
        let Front {
            kind,
            ending,
            mut end,
            ..
        } = self.front;
        let mut from = None;
        if !matches!(
            kind,
            Kind::StreamStart | Kind::DocumentStart | Kind::DocumentEnd | Kind::Dash
        ) && ending != Ending::Breaks
        {
            let blanks = self.bytes[end..]
                .iter()
                .take_while(|byte| matches!(byte, b' ' | b'\t'))
                .count();
            let near = ending == Ending::Plain || blanks < LOOK_AHEAD;
            if near && self.bytes.get(end + blanks) == Some(&b'#') {
                let first_line = self.scan.lines.len();
                end = self.line(end + blanks);
                self.record(Side::Line, self.front.inline, first_line);
                from = Some(end);
            } else if ending != Ending::Plain {
                from = Some(end);
            }
        } else if ending != Ending::Breaks {
            from = Some(end);
        }
        let (mut at, mut breaks) = (end, 0);
        loop {
            match self.bytes[at..] {
                [b' ' | b'\t', ..] => at += 1,
                [b'\r', b'\n', ..] => (at, breaks) = (at + 2, breaks + 1),
                [b'\r' | b'\n', ..] => (at, breaks) = (at + 1, breaks + 1),
                [b'#', ..] => {
                    at = self.own_lines(at, *from.get_or_insert(at), breaks);
                    breaks = 0;
                }
                [0xEF, 0xBB, 0xBF, ..] => at += BOM.len(),
                _ => return (at, from.unwrap_or(at)),
            }
        }
    }

    /// Takes comment lines from the `#` at `hash` on, as far as the reader looks ahead. `from` is where it
    /// began to search, `breaks` the number of line breaks since the last text. Answers the end of the last line.
    fn own_lines(&mut self, mut hash: usize, from: usize, breaks: usize) -> usize {
        let indent = self.levels.last().map_or(0, |column| *column as usize);
        let (mut mark, below_value) = self.front.foot;
        let mut near = breaks <= 1;
        let mut touches = breaks == 1 && from > self.first_break && !below_value;
        let mut hash_column = column(self.text, hash);
        let mut run: Option<Run> = None;
        loop {
            let fresh = Run {
                first_line: self.scan.lines.len(),
                start: hash,
                column: hash_column,
                touches,
            };
            let current = run.unwrap_or(fresh);
            run = Some(current);
            touches = false;
            let end = self.line(hash);
            let own_mark = |mark| {
                if current.column < indent {
                    current.start
                } else {
                    mark
                }
            };
            let (empty, ahead) = self.look_ahead(end);
            if let Some(empty) = empty {
                if near && (current.touches || current.column < indent) {
                    self.own_record(Side::Foot, own_mark(mark), current, empty);
                    (run, mark) = (None, empty);
                } else if empty < self.bytes.len()
                    && let Some(line) = self.scan.lines.last_mut()
                {
                    line.last_of_group = true;
                }
                near = false;
            }
            let (next, column) = match ahead {
                Ahead::Text(next, column) => (next, column),
                Ahead::Nothing(seen) => return self.end_run(run, seen, end),
                Ahead::Closer(seen) => {
                    if run.is_some() {
                        self.own_record(Side::Foot, own_mark(mark), current, seen);
                    }
                    return end;
                }
            };
            if run.is_some() && column < indent && column != current.column {
                self.own_record(Side::Foot, mark, current, next);
                (run, mark) = (None, next);
            }
            if self.bytes[next] != b'#' {
                return self.end_run(run, next, end);
            }
            (hash, hash_column) = (next, column);
        }
    }

    /// What comes behind the comment line that ends at `end`: the first empty line (or the end of the text),
    /// and what stopped the search. The first byte of the line break belongs to the comment, so that the
    /// second one of CRLF reads as an empty line: as in the original.
    fn look_ahead(&self, end: usize) -> (Option<usize>, Ahead) {
        let (mut at, mut line, mut empty) = (end + 1, end + 1, None);
        while at < end + LOOK_AHEAD {
            match self.bytes.get(at) {
                None => return (empty.or(Some(at)), Ahead::Nothing(at)),
                Some(b' ' | b'\t') => {}
                Some(b'\n' | b'\r') => {
                    empty = empty.or(Some(at));
                    line = at + 1;
                }
                Some(b']' | b'}') if self.flow > 0 => return (empty, Ahead::Closer(at)),
                Some(_) => return (empty, Ahead::Text(at, at - line)),
            }
            at += 1;
        }
        (empty, Ahead::Nothing(at))
    }

    /// What is left when nothing closes it is a head for the next token.
    fn end_run(&mut self, run: Option<Run>, seen: usize, end: usize) -> usize {
        if let Some(run) = run {
            self.own_record(Side::Head, run.start, run, seen - 1);
        }
        end
    }

    fn own_record(&mut self, side: Side, mark: usize, run: Run, closed: usize) {
        self.record(side, mark, run.first_line);
        self.starts.push((run.column as u32, run.start));
        self.closed = closed;
    }

    pub(super) fn record(&mut self, side: Side, mark: usize, first_line: usize) {
        let lines = (first_line as u32, self.scan.lines.len() as u32);
        self.scan.records.push(Record {
            side,
            mark: mark as u32,
            lines,
        });
    }

    /// Takes the comment line whose `#` is at `hash`; answers its end.
    pub(super) fn line(&mut self, hash: usize) -> usize {
        let end = line_end(self.bytes, hash);
        let text = &self.text[hash + 1..end];
        let length = text
            .find(['\u{85}', '\u{2028}', '\u{2029}'])
            .unwrap_or(text.len());
        self.scan.lines.push(Line {
            span: Span::new(hash + 1, hash + 1 + length),
            last_of_group: false,
        });
        end
    }

    /// Puts down the ends of the block collections that end in front of the token at `start`; answers where
    /// the last of them stands. An end stands in front of the gap, or at the first comment in it that has
    /// the very column of its collection or of one inside it that ends too: what comes behind is not for it.
    /// Where the document ends, those that the token's column alone does not end stand directly in front of it.
    pub(super) fn end_levels(&mut self, kind: Kind, start: usize, from: usize) -> Option<usize> {
        let ends = self.held.iter().filter(|held| matches!(held, Held::End)).count();
        if ends == 0 {
            return None;
        }
        self.starts.sort_unstable();
        let reach = match kind {
            Kind::StreamEnd | Kind::DocumentStart | Kind::DocumentEnd | Kind::Directive => {
                Some(column(self.text, start) as u32)
            }
            _ => None,
        };
        let mut within_reach = false;
        let mut at = from.saturating_sub(1);
        let mut sees_comments = true;
        for _ in 0..ends {
            let level = self.levels.pop().unwrap_or(0);
            if !within_reach && reach.is_some_and(|reach| level <= reach) {
                within_reach = true;
                at = start.saturating_sub(1);
                sees_comments = self.closed >= at;
            }
            let first = self.starts.partition_point(|(column, _)| *column < level);
            if let Some((column, comment)) = self.starts.get(first)
                && *column == level
                && sees_comments
            {
                at = *comment;
            }
            self.push(Kind::BlockEnd, at);
        }
        Some(at)
    }
}

/// What ends a look ahead.
#[derive(Clone, Copy, Debug)]
enum Ahead {
    /// A `#` or other text, and its column.
    Text(usize, usize),
    /// A bracket that closes.
    Closer(usize),
    /// The end of the text, or the reader's patience.
    Nothing(usize),
}

/// Comment lines that are not yet a record.
#[derive(Clone, Copy, Debug)]
struct Run {
    first_line: usize,
    start: usize,
    column: usize,
    /// Whether it stands on the line below the token in front.
    touches: bool,
}
