//! The probes in `testdata/sops/comment-probes.tsv`, and listings taken from the reader sops uses.

use granit_parser::{Event, Options, Parser};
use proptest::prelude::*;

use super::{Attachment, Place, attach, has_comment};

const PROBES: &str = include_str!("../../../../../testdata/sops/comment-probes.tsv");

/// Texts that sops reads and granit-parser does not: `"x"# no blank in front of the mark`.
const NOT_READ_HERE: [&str; 1] = ["214"];

#[test]
fn plain_probes() {
    let mut compared = 0;
    for probe in probes() {
        compared += probe.compare(&probe.text, probe.plain);
    }
    assert_eq!(compared, 296);
}

#[test]
fn probes_with_a_block_at_the_end_of_each_document() {
    let mut compared = 0;
    for probe in probes() {
        compared += probe.compare(&with_blocks(&probe.text), probe.sealed);
    }
    assert_eq!(compared, 298);
}

/// Maps in braces, lists in brackets, comments by their number; lost ones behind the `!`.
#[test]
fn order_within_a_container() {
    let listings = [
        ("a: x # 1\n# 2\nb: y # 3\n", "{1 a 2 3 b}"),
        ("a: # 1\n  # 2\n  x # 3\n# 4\n\nb: y\n", "{1 2 3 a 4 b}"),
        (
            "z: 0\na: [ # 1\n  x, # 2\n  # 3\n  y # 4\n  # 5\n] # 6\n# 7\nb: 0\n",
            "{z a [6 2 x 3 4 y 5] 7 b} !1",
        ),
        (
            "a:\n  # 1\n  {b: c # 2\n  } # 3\n# 4\n\nd: 0\n",
            "{a {1 3 2 b} 4 d}",
        ),
        (
            "l:\n  # 1\n  - # 2\n    # 3\n    a: x # 4\n    # 5\n  # 6\n\n  - y # 7\n",
            "{l [1 {2 3 4 a 5} 7 y 6]}",
        ),
    ];
    for (text, expected) in listings {
        assert_eq!(listing(text), expected, "{text}");
    }
}

#[test]
fn spans_end_with_the_line() {
    for (text, expected) in [
        ("a: x #1\n", "1"),
        ("a: x # 1 \r\n", " 1 "),
        ("a: x ##1\rb: 0\n", "#1"),
        ("#\u{e9} 1\u{2028}x\n", "\u{e9} 1"),
        ("#1\u{2029}x\na: 0\n", "1"),
        ("# 1\u{85}x\na: 0\n", " 1"),
        ("a: 0 #", ""),
    ] {
        let attached = attach(text).expect("is YAML");
        assert_eq!(attached.len(), 1, "{text:?}");
        assert_eq!(&text[attached[0].span.range()], expected, "{text:?}");
    }
}

#[test]
fn documents_without_a_collection() {
    let places = |text| {
        attach(text)
            .expect("is YAML")
            .iter()
            .map(|found| found.place)
            .collect::<Vec<_>>()
    };
    let root = |document, at_end| [Place::Root { document, at_end }];
    assert_eq!(places("# 1\n"), root(0, true));
    assert_eq!(places("a: 0\n---\n\n\n# 1\n"), root(1, true));
    assert_eq!(places("a: 0\n--- # 1\n~\n"), root(1, false));
    // Directly below the marker it is still taken by the document before.
    let at_end = [Place::Before {
        container: 0,
        child: 1,
    }];
    assert_eq!(places("a: 0\n---\n# 1\n"), at_end);
    assert_eq!(places("a: 0\n...\n# 1\n"), at_end);
    assert_eq!(
        places("a: 0\n...\n\n\n# 1\n"),
        [Place::Lost {
            container: 0,
            child: 1
        }]
    );
}

#[test]
fn deep_and_long_texts_take_linear_time_and_no_stack() {
    let mut block: String = (0..5_000)
        .map(|depth| format!("{0}# 1\n{0}k:\n", " ".repeat(depth)))
        .collect();
    block.extend(
        (0..5_000)
            .rev()
            .map(|depth| format!("{}# 2\n", " ".repeat(depth))),
    );
    assert_eq!(attach(&block).expect("is YAML").len(), 10_000);
    let flow = format!("a: {}# 1\n{} # 2\n", "[ ".repeat(9_000), "]".repeat(9_000));
    assert_eq!(attach(&flow).expect("is YAML").len(), 2);
    let dashes = format!("{}# 1\n{}x\n", "- ".repeat(9_000), " ".repeat(18_000));
    assert_eq!(attach(&dashes).expect("is YAML").len(), 1);
    let comments = "a:\n".to_owned() + &"    # 1\n   # 2\n\n".repeat(50_000) + "b: 0\n";
    assert_eq!(attach(&comments).expect("is YAML").len(), 100_000);
}

#[test]
fn may_have_a_comment() {
    for text in ["#", "a #", "a\n#", "\u{feff}#", "a\t# b", "'a # b'"] {
        assert!(has_comment(text.as_bytes()), "{text}");
    }
    for text in ["", "a#", "a: x#y", "\"#\""] {
        assert!(!has_comment(text.as_bytes()), "{text}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2_000) })]

    /// Every comment line has one place, and that place is there.
    #[test]
    fn every_comment_has_one_place(pieces in prop::collection::vec(prop::sample::select(PIECES), 0..40)) {
        let text = pieces.concat();
        if let (Ok(attached), Some(shape)) = (attach(&text), Shape::of(&text)) {
            let mut starts: Vec<_> = attached.iter().map(|found| found.span.start).collect();
            starts.sort_unstable();
            prop_assert_eq!(starts, comment_starts(&text));
            for Attachment { place, .. } in attached {
                if let Place::Before { container, child }
                    | Place::After { container, child }
                    | Place::Lost { container, child } = place
                {
                    let children = shape.children[container as usize];
                    let behind_all = child == children && !matches!(place, Place::After { .. });
                    prop_assert!(child < children || behind_all, "{:?} of {}", place, children);
                }
            }
        }
    }
}

const PIECES: &[&str] = &[
    "# c\n",
    " # c\n",
    "  # c\n",
    "   # c\r\n",
    "\n",
    "\r\n",
    "  ",
    "a: ",
    "  b: ",
    "k:\n",
    "x",
    "\"y\"",
    "- ",
    "-\n",
    "  - ",
    "? ",
    "[",
    "]",
    "{",
    "}",
    ", ",
    ": ",
    "&a ",
    "*a",
    "!t ",
    "|\n",
    ">-\n  t\n",
    "\n---\n",
    "\n...\n",
    "%FOO # c\n",
    "\u{feff}",
];

struct Probe {
    id: &'static str,
    text: String,
    plain: &'static str,
    sealed: &'static str,
}

fn probes() -> Vec<Probe> {
    let probes: Vec<_> = PROBES
        .lines()
        .skip(1)
        .map(|line| {
            let [id, text, plain, sealed] = line
                .split('\t')
                .collect::<Vec<_>>()
                .try_into()
                .expect("four columns");
            Probe {
                id,
                text: unescape(text),
                plain,
                sealed,
            }
        })
        .collect();
    assert_eq!(probes.len(), 214);
    probes
}

impl Probe {
    /// Compares the container of each comment; answers how many there were.
    fn compare(&self, text: &str, expected: &str) -> usize {
        if NOT_READ_HERE.contains(&self.id) {
            assert!(Shape::of(text).is_none(), "probe {}", self.id);
            return 0;
        }
        let mut attached = attach(text).unwrap_or_else(|error| panic!("probe {}: {}", self.id, error.why));
        if expected == "refused" {
            return 0;
        }
        attached.sort_by_key(|found| found.span.start);
        let shape = Shape::of(text).expect("is YAML");
        let found: Vec<_> = attached.iter().map(|found| shape.path(found.place)).collect();
        let expected: Vec<_> = expected
            .split('|')
            // One for all; and of several copies ours is the one at the anchor.
            .map(|path| path.split_once('+').map_or(path, |(anchor, _)| anchor))
            .cycle()
            .take(found.len().max(expected.split('|').count()))
            .collect();
        assert_eq!(found, expected, "probe {}: {text}", self.id);
        found.len()
    }
}

/// `\n`, `\r`, `\t`, `\\`, `\u{hex}`, and `\*600{...}` for 600 times what stands in the braces.
fn unescape(text: &str) -> String {
    let Some((plain, escape)) = text.split_once('\\') else {
        return text.to_owned();
    };
    let (decoded, rest) = match escape.as_bytes()[0] {
        b'n' => ("\n".to_owned(), &escape[1..]),
        b'r' => ("\r".to_owned(), &escape[1..]),
        b't' => ("\t".to_owned(), &escape[1..]),
        b'\\' => ("\\".to_owned(), &escape[1..]),
        kind => {
            let (head, rest) = escape[1..].split_once('{').expect("a brace");
            let (body, rest) = rest.split_once('}').expect("a brace");
            match kind {
                b'*' => (unescape(body).repeat(head.parse().expect("a number")), rest),
                _ => {
                    let code = u32::from_str_radix(body, 16).expect("a hexadecimal number");
                    (char::from_u32(code).expect("a character").to_string(), rest)
                }
            }
        }
    };
    plain.to_owned() + &decoded + &unescape(rest)
}

/// A line for the metadata block at the end of each document, in the column of its root map.
fn with_blocks(text: &str) -> String {
    let line_break = if text.contains("\r\n") { "\r\n" } else { "\n" };
    let mut out = String::new();
    let mut column = None;
    for line in text.split_inclusive('\n') {
        let content = line.trim_start_matches([' ', '\u{feff}', '\t']);
        if line.starts_with("---") || line.starts_with("...") {
            if let Some(column) = column.take() {
                out += &format!("{:column$}sops: x{line_break}", "");
            }
            column = line.starts_with("---").then_some(0);
        } else if column.is_none() && !content.trim_end().is_empty() && !content.starts_with(['#', '%']) {
            column = Some(line.len() - content.len());
        }
        out += line;
    }
    if !out.ends_with('\n') {
        out += line_break;
    }
    let column = column.unwrap_or(0);
    out + &format!("{:column$}sops: x{line_break}", "")
}

/// What the parser makes of a text: for each collection its path and the number of its children.
struct Shape {
    paths: Vec<String>,
    children: Vec<u32>,
}

struct Open {
    ordinal: usize,
    map: bool,
    key: Option<String>,
    nodes: u32,
}

impl Shape {
    fn of(text: &str) -> Option<Self> {
        let mut shape = Self {
            paths: Vec::new(),
            children: Vec::new(),
        };
        let mut open: Vec<Open> = Vec::new();
        for event in events(text) {
            match event? {
                Event::MappingStart(..) => shape.start(&mut open, true),
                Event::SequenceStart(..) => shape.start(&mut open, false),
                Event::MappingEnd | Event::SequenceEnd => {
                    let ended = open.pop()?;
                    shape.children[ended.ordinal] = if ended.map { ended.nodes / 2 } else { ended.nodes };
                    node(&mut open, None);
                }
                Event::Scalar(text, ..) => node(&mut open, Some(text.into_owned())),
                Event::Alias(..) | Event::UnresolvedAlias(..) => node(&mut open, None),
                _ => {}
            }
        }
        Some(shape)
    }

    fn start(&mut self, open: &mut Vec<Open>, map: bool) {
        let path = open.last().map_or_else(
            || ":".to_owned(),
            |around| {
                let outer = &self.paths[around.ordinal];
                match &around.key {
                    Some(key) => format!("{}{key}:", outer.trim_start_matches(':')),
                    None => outer.clone(),
                }
            },
        );
        open.push(Open {
            ordinal: self.paths.len(),
            map,
            key: None,
            nodes: 0,
        });
        self.paths.push(path);
        self.children.push(0);
    }

    fn path(&self, place: Place) -> &str {
        match place {
            Place::Before { container, .. } | Place::After { container, .. } => {
                &self.paths[container as usize]
            }
            Place::Root { .. } => ":",
            Place::Lost { .. } => "lost",
        }
    }
}

/// A node of the innermost open collection is complete.
fn node(open: &mut [Open], text: Option<String>) {
    if let Some(around) = open.last_mut() {
        around.nodes += 1;
        around.key = text.filter(|_| around.map && around.nodes % 2 == 1);
    }
}

fn events(text: &str) -> impl Iterator<Item = Option<Event<'_>>> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    options.emit_unresolved_aliases = true;
    Parser::new_from_str_with_options(text, options).map(|event| event.ok().map(|(event, _)| event))
}

/// Where the texts of the comments begin, as the scanner sees them.
fn comment_starts(text: &str) -> Vec<u32> {
    granit_parser::Scanner::new(granit_parser::StrInput::new(text))
        .filter_map(Result::ok)
        .filter(|token| matches!(token.token_type(), granit_parser::TokenType::Comment(_)))
        .filter_map(|token| token.span().byte_range())
        .map(|range| range.start as u32 + 1)
        .collect()
}

/// The tree of a text with one document, comments by their text, and the lost ones.
fn listing(text: &str) -> String {
    let attached = attach(text).expect("is YAML");
    let (mut out, mut ordinal) = (String::new(), 0);
    let mut open: Vec<(u32, u32, bool)> = Vec::new();
    let put = |out: &mut String, container, child| {
        for found in &attached {
            let here = match found.place {
                Place::Before {
                    container: c,
                    child: n,
                } => (c, n) == (container, child),
                Place::After {
                    container: c,
                    child: n,
                } => (c, n + 1) == (container, child),
                _ => false,
            };
            if here {
                *out += &format!("{} ", text[found.span.range()].trim());
            }
        }
    };
    for event in events(text).flatten() {
        // Maps count keys and values.
        let begins = matches!(
            event,
            Event::Scalar(..) | Event::MappingStart(..) | Event::SequenceStart(..)
        );
        let mut key_or_item = true;
        if let Some((id, nodes, map)) = open.last_mut()
            && begins
        {
            key_or_item = !*map || *nodes % 2 == 0;
            if key_or_item {
                put(&mut out, *id, if *map { *nodes / 2 } else { *nodes });
            }
            *nodes += 1;
        }
        match event {
            Event::MappingStart(..) | Event::SequenceStart(..) => {
                let map = matches!(event, Event::MappingStart(..));
                out.push(if map { '{' } else { '[' });
                open.push((ordinal, 0, map));
                ordinal += 1;
            }
            Event::MappingEnd | Event::SequenceEnd => {
                let (id, nodes, map) = open.pop().expect("is open");
                put(&mut out, id, if map { nodes / 2 } else { nodes });
                out = out.trim_end().to_owned() + if map { "} " } else { "] " };
            }
            Event::Scalar(text, ..) if key_or_item => out += &format!("{text} "),
            _ => {}
        }
    }
    out = out.trim_end().to_owned();
    for found in attached
        .iter()
        .filter(|found| matches!(found.place, Place::Lost { .. }))
    {
        out += &format!(" !{}", text[found.span.range()].trim());
    }
    out
}
