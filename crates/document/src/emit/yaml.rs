//! YAML as sops' library writes it: block style throughout, a list indented under its key, the map of a list
//! item two columns behind its dash, everything else at multiples of the indent.
//!
//! Where sops 3.11.0 writes something that does not read back, this does not follow it: a text of several
//! lines that begins with a tab (sops: `null`), the digit in `|2-` inside lists (sops: always the indent),
//! U+2028 and U+2029 (sops: raw, as line breaks, which YAML 1.2 does not take for such; here in double quotes),
//! comments of a list around collections (sops loses or moves some), and comments in a map or list that holds
//! nothing else, which stand below its `{}` or `[]` (sops: inside brackets, which only its own library reads).

mod resolve;
mod scalar;

use super::{Item, behind, is_bare};
use crate::scalar::Scalar;
use scalar::Spelling;

pub(crate) use scalar::{plain_value, yaml_double_quoted, yaml_plain_safe, yaml_single_quoted};

/// Longest key in bytes that stands before a colon on its line; longer ones take the `? ` form.
const SIMPLE_KEY: usize = 128;

/// All documents, with `---` between them. `indent` as in [`super::Options`].
pub(super) fn documents(items: &[Item<'_>], indent: usize, out: &mut Vec<u8>) {
    let step = match indent {
        0 => 4,
        2..=9 => indent,
        _ => 2,
    };
    let mut writer = Writer {
        items,
        step,
        out,
        open: Vec::new(),
        inline: true,
        hoisted: 0,
    };
    let mut at = 0;
    while at < items.len() {
        if at > 0 {
            writer.out.extend_from_slice(b"---\n");
        }
        at = writer.document(at);
    }
}

/// A map or list that is being written.
#[derive(Clone, Copy)]
struct Open {
    column: usize,
    is_map: bool,
}

struct Writer<'w> {
    items: &'w [Item<'w>],
    step: usize,
    out: &'w mut Vec<u8>,
    open: Vec<Open>,
    /// Whether the next line is begun already, up to the column where its content goes.
    inline: bool,
    /// Comments before this position are written.
    hoisted: usize,
}

impl Writer<'_> {
    /// Writes the document that begins at `start` and returns the position behind it.
    fn document(&mut self, start: usize) -> usize {
        let end = behind(self.items, start);
        self.inline = true;
        if !matches!(self.items[start], Item::Map | Item::List) || is_bare(self.items, start) {
            self.hoist(start, 0);
            self.inline = true;
            return self.value(
                start,
                Open {
                    column: 0,
                    is_map: false,
                },
            );
        }
        self.open.push(Open {
            column: 0,
            is_map: self.items[start] == Item::Map,
        });
        let mut at = start + 1;
        while at < end {
            let Some(&open) = self.open.last() else { break };
            at = match &self.items[at] {
                Item::End => {
                    self.open.pop();
                    at + 1
                }
                Item::Comment(text) => {
                    if at >= self.hoisted {
                        self.foot_gap(at);
                        self.comment(text, open.column);
                    }
                    at + 1
                }
                Item::Key(key) => self.entry(key, at + 1, open),
                Item::Map | Item::List | Item::Scalar(_) => self.item(at, open),
            };
        }
        end
    }

    /// `key: value`, or `? key` and `: value` for a key that is long or spans lines.
    fn entry(&mut self, key: &[u8], value: usize, open: Open) -> usize {
        self.line(open.column);
        let (spelling, margin) = (scalar::spelling(key), self.next_column(open.column));
        let length = if spelling == Spelling::Binary {
            key.len().div_ceil(3) * 4 + 8
        } else {
            key.len()
        };
        let simple = length <= SIMPLE_KEY && !scalar::spans_lines(key);
        if !simple {
            self.out.extend_from_slice(b"? ");
        }
        self.text(key, spelling, margin, open.column);
        if !simple {
            self.end_line();
            self.pad(open.column);
        }
        self.out.push(b':');
        if !simple && self.is_open(value) && margin > open.column + 1 {
            self.pad(margin - open.column - 1);
            self.inline = true;
        }
        self.value(value, open)
    }

    /// `- value`, with the comments that begin it above the dash, as sops places them.
    fn item(&mut self, at: usize, open: Open) -> usize {
        self.hoist(at, open.column);
        self.line(open.column);
        self.out.push(b'-');
        if self.is_open(at) {
            self.out.push(b' ');
            self.inline = true;
        }
        self.value(at, open)
    }

    /// What stands behind `key:`, `-` or nothing at all, in `parent`. Opens a map or list that is not empty.
    fn value(&mut self, at: usize, parent: Open) -> usize {
        let margin = if parent.is_map {
            self.next_column(parent.column)
        } else {
            parent.column + 2
        };
        match &self.items[at] {
            Item::Scalar(value) => {
                self.gap();
                match value {
                    Scalar::Str(text) => self.text(text, scalar::spelling(text), margin, parent.column),
                    other => self.out.extend_from_slice(plain_value(other).as_bytes()),
                }
                self.end_line();
                at + 1
            }
            collection if is_bare(self.items, at) => {
                self.gap();
                self.out.extend_from_slice(if *collection == Item::Map {
                    b"{}\n"
                } else {
                    b"[]\n"
                });
                let end = behind(self.items, at);
                for (at, item) in self.items[..end]
                    .iter()
                    .enumerate()
                    .skip((at + 1).max(self.hoisted))
                {
                    if let Item::Comment(text) = item {
                        self.comment(text, parent.column);
                    }
                    self.hoisted = at + 1;
                }
                end
            }
            collection => {
                if !self.inline {
                    self.out.push(b'\n');
                }
                self.open.push(Open {
                    column: margin,
                    is_map: *collection == Item::Map,
                });
                at + 1
            }
        }
    }

    /// A text in the given spelling, down to its last sign or, for blocks, its last line break.
    fn text(&mut self, text: &[u8], spelling: Spelling, margin: usize, parent: usize) {
        let out = &mut *self.out;
        match (spelling, std::str::from_utf8(text)) {
            (_, Ok("<<")) => out.extend_from_slice(b"!!merge <<"),
            (Spelling::Plain, _) => out.extend_from_slice(text),
            (Spelling::Single, _) => yaml_single_quoted(text, out),
            (Spelling::Literal, Ok(text)) => scalar::literal(text, margin, parent, out),
            (Spelling::Double, _) => yaml_double_quoted(text, out),
            (_, _) => scalar::binary(text, margin, out),
        }
    }

    /// Comment lines. Of a comment of several lines the later ones get a mark of their own.
    fn comment(&mut self, text: &[u8], column: usize) {
        self.line(column);
        self.out.push(b'#');
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        for (at, line) in text.split(|byte| *byte == b'\n').enumerate() {
            if at > 0 && !line.is_empty() {
                self.pad(column);
                self.out
                    .extend_from_slice(if line[0] == b'#' { b"" } else { b"# " });
            }
            readable(line, self.out);
            self.out.push(b'\n');
        }
    }

    /// Writes the comments with which the item at `at` begins, however deep, and remembers them as written.
    fn hoist(&mut self, at: usize, column: usize) {
        if at < self.hoisted {
            return;
        }
        let (mut at, mut goes_on) = (at, true);
        while goes_on && let Some(opening @ (Item::Map | Item::List)) = self.items.get(at) {
            goes_on = *opening == Item::List;
            at += 1;
            while let Some(Item::Comment(text)) = self.items.get(at) {
                self.comment(text, column);
                at += 1;
            }
        }
        self.hoisted = at;
    }

    /// sops leaves a line empty before the comments that end a list printed on its own, if its last item is a
    /// map or list itself.
    fn foot_gap(&mut self, at: usize) {
        let ends = self.items[at..]
            .iter()
            .find(|item| !matches!(item, Item::Comment(_)))
            == Some(&Item::End);
        if ends && matches!(self.open[..], [Open { is_map: false, .. }]) && self.items[at - 1] == Item::End {
            self.out.push(b'\n');
        }
    }

    /// Whether a map or list that is not empty begins at `at`.
    fn is_open(&self, at: usize) -> bool {
        matches!(self.items[at], Item::Map | Item::List) && !is_bare(self.items, at)
    }

    fn next_column(&self, column: usize) -> usize {
        (column / self.step + 1) * self.step
    }

    /// Begins a line in `column`, unless that has been done.
    fn line(&mut self, column: usize) {
        if !std::mem::take(&mut self.inline) {
            self.pad(column);
        }
    }

    /// The blank before a value, unless it begins the document.
    fn gap(&mut self) {
        if !std::mem::take(&mut self.inline) {
            self.out.push(b' ');
        }
    }

    fn end_line(&mut self) {
        if self.out.last() != Some(&b'\n') {
            self.out.push(b'\n');
        }
    }

    fn pad(&mut self, width: usize) {
        self.out.resize(self.out.len() + width, b' ');
    }
}

/// A line of a comment of another format as YAML can hold it: what is no text there, or would end the line, is replaced.
fn readable(line: &[u8], out: &mut Vec<u8>) {
    let holds = |c: char| match c {
        '\t' | ' '..='~' => true,
        '\u{A0}'..='\u{FEFE}' => !matches!(c, '\u{2028}' | '\u{2029}'),
        '\u{FF00}'..='\u{FFFD}' | '\u{10000}'..='\u{10FFFF}' => true,
        _ => false,
    };
    let (line, carriage) = line
        .strip_suffix(b"\r")
        .map_or((line, &b""[..]), |line| (line, b"\r"));
    for c in String::from_utf8_lossy(line).chars() {
        let c = if holds(c) { c } else { char::REPLACEMENT_CHARACTER };
        out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
    }
    out.extend_from_slice(carriage);
}

#[cfg(test)]
mod tests {
    use crate::emit::{Item, Options, emit};
    use crate::scalar::{Format, Scalar};

    /// Text, value, entry: see the README beside it.
    const MEASURED: &str = include_str!(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../testdata/sops/yaml-spelling.tsv"
    ));

    fn unescaped(cell: &str) -> String {
        let mut signs = cell.chars();
        let mut out = String::new();
        while let Some(sign) = signs.next() {
            out.push(match (sign, (sign == '\\').then(|| signs.next()).flatten()) {
                (_, Some('n')) => '\n',
                (_, Some('t')) => '\t',
                (_, Some('u')) => {
                    let code: String = signs.by_ref().skip(1).take_while(|sign| *sign != '}').collect();
                    u32::from_str_radix(&code, 16)
                        .ok()
                        .and_then(char::from_u32)
                        .expect("a code point")
                }
                (_, Some(other)) => other,
                (sign, None) => sign,
            });
        }
        out
    }

    fn written(items: &[Item<'_>]) -> String {
        let out = emit(Format::Yaml, items, &Options::default()).expect("YAML holds everything");
        String::from_utf8(out.expose().to_vec()).expect("UTF-8")
    }

    fn as_value(text: &str) -> String {
        let text = Item::Scalar(Scalar::Str(text.as_bytes().into()));
        written(&[Item::Map, Item::Key(b"m"[..].into()), text, Item::End])
    }

    #[test]
    fn texts_are_spelled_as_sops_spells_them() {
        let mut count = 0;
        for line in MEASURED.lines() {
            let cells: Vec<String> = line.split('\t').map(unescaped).collect();
            let [text, value, entry] = &cells[..] else {
                panic!("three columns in {line}")
            };
            assert_eq!(as_value(text), format!("m:{value}"));
            let key = Item::Key(text.as_bytes().into());
            assert_eq!(
                &written(&[Item::Map, key, Item::Scalar(Scalar::Int(1)), Item::End]),
                entry
            );
            count += 1;
        }
        assert_eq!(count, 240);
    }

    #[test]
    fn every_spelling_reads_back() {
        let texts = [
            "\tx\n",
            "\n\tx",
            "a\u{2028}b",
            "\u{2029}\n",
            "\n",
            " \n ",
            "\t",
            "'\"",
            "x: y # z",
            "\u{FEFF}\u{85}",
            "- |\n x",
        ];
        for text in texts.into_iter().map(str::to_owned).chain(
            MEASURED
                .lines()
                .map(|line| unescaped(line.split('\t').next().unwrap_or_default())),
        ) {
            let scalar = || Item::Scalar(Scalar::Str(text.as_bytes().into()));
            if text == "<<" {
                continue; // a tag of its own, which only sops' library reads
            }
            let (key, list) = (Item::Key(text.as_bytes().into()), Item::Key(b"l"[..].into()));
            let yaml = written(&[
                Item::Map,
                key,
                scalar(),
                list,
                Item::List,
                scalar(),
                Item::List,
                scalar(),
                Item::End,
                Item::End,
                Item::End,
            ]);
            let read: serde_yaml::Value =
                serde_yaml::from_str(&yaml).unwrap_or_else(|why| panic!("{why}: {yaml}"));
            assert_eq!(read[text.as_str()].as_str(), Some(text.as_str()), "{yaml}");
            assert_eq!(read["l"][0].as_str(), Some(text.as_str()), "{yaml}");
            assert_eq!(read["l"][1][0].as_str(), Some(text.as_str()), "{yaml}");
        }
    }

    #[test]
    fn comments_of_lists_are_kept_around_collections() {
        let comment = |text: &'static str| Item::Comment(text.as_bytes().into());
        let one = || Item::Scalar(Scalar::Int(1));
        let (a, b) = (|| Item::Key(b"a"[..].into()), || Item::Key(b"b"[..].into()));
        let (map, list, end) = (|| Item::Map, || Item::List, || Item::End);
        let items = [
            vec![
                map(),
                a(),
                list(),
                comment("1"),
                list(),
                comment("2"),
                map(),
                comment("3"),
                b(),
                one(),
                comment("4"),
            ],
            vec![
                end(),
                comment("5"),
                end(),
                comment("6"),
                end(),
                b(),
                list(),
                comment("7"),
                end(),
                end(),
            ],
        ]
        .concat();
        assert_eq!(
            written(&items),
            "a:\n    #1\n    #2\n    #3\n    - - b: 1\n        #4\n      #5\n    #6\nb: []\n#7\n"
        );
        assert_eq!(written(&[map(), comment("only"), end()]), "#only\n{}\n");
    }
}
