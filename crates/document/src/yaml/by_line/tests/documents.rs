//! Small documents, and changes to them that keep them nearly YAML.

use support::random::Random;

const KEYS: [&str; 16] = [
    "a",
    "b",
    "key",
    "app.kubernetes.io/name",
    "two words",
    "\"quoted\"",
    "'single'",
    "a:b",
    "x#y",
    "-dash",
    "<<",
    "größe",
    "\"\"",
    "(x)",
    "0x",
    "---x",
];

/// Values that are read.
const VALUES: &[&str] = &[
    "x",
    "plain text",
    "5",
    "-1",
    "true",
    "~",
    "null",
    "2024-01-02",
    "12:30:45",
    "http://host:80/path",
    "a#b",
    "ENC[AES256_GCM,data:AA==,iv:BB=,tag:CC==,type:str]",
    "\"double\"",
    "'single'",
    "\"with # and: both\"",
    "'with # and: both'",
    "\"\"",
    "''",
    "\" blanks \"",
    "{}",
    "[]",
    "--flag=1",
    "größe",
    "a,b",
    "a]b}",
    "x   ",
    "'x' ",
    "$(x)",
    "=",
    "<<",
    ".5",
    "a'b\"c",
    "[a, b]",
    "[ ]",
    "{ a: b, \"c\": [d, {e: f g}] }",
    "['x', \"y, z\"]",
    "{a: {}, b: [[], -1]}",
    "[http://x:80, a#b, --c]",
    "\"a\\nb \\\"c\\\" \\\\\"",
    "'it''s'",
    "'a \"b\" ''c'''",
    "\"'\"",
];

/// Values that are not read, or are wrong.
const ODD_VALUES: &[&str] = &[
    "-",
    "|",
    ">",
    "|-",
    "[a: b]",
    "{a, b: }",
    "[a,]",
    "[a # b]",
    "{a: b, a: c}",
    "[a:, b]",
    "{\"a\":b}",
    "&n x",
    "*n",
    "!t x",
    "\"a\\x41b\"",
    "\"a\\/b\"",
    "a: b",
    "[-, a]",
    "[a, b",
    "{a: b]",
    "[\"a\" b]",
    "\"a\" b",
    "'a'b'",
    "{a b: c}",
    "{[a]: b}",
    "{a]: b}",
    "[a]: b",
    "{5: x}",
    "%x",
    "@x",
];

const PIECES: [&str; 52] = [
    ":", ": ", " :", " #", "#", "# c", "- ", "-", " -", "'", "\"", "|", "|+", "|2", ">", ">-", " ", "  ",
    "\n", "\n\n", "---", "---\n", "...", "...\n", "{", "}", "{}", "[", "]", "[]", "\t", "\r", "\r\n", "&n ",
    "*n", "!t ", "? ", "?", ",", "%", "@", "`", "é", "\u{a0}", "\u{85}", "\u{2028}", "\u{feff}", "\\", "''",
    "\"\"", "0", "sops:",
];

/// The document of `seed`, with up to four changes.
pub(super) fn changed(seed: u64) -> String {
    let random = &mut Random::new(seed);
    let mut text = document(random);
    for _ in 0..random.below(5) {
        change(random, &mut text);
    }
    text
}

/// A map of what is read by lines.
pub(super) fn document(random: &mut Random) -> String {
    let mut out = String::new();
    let column = if random.one_in(12) { random.below(4) } else { 0 };
    if random.one_in(10) {
        out.push_str(random.pick(&["---\n", "--- # c\n", "# c\n---\n"]));
    }
    map(random, column, column, 0, &mut out);
    while random.one_in(10) {
        out.push_str(random.pick(&["---\n", "--- # c\n", "---  \n# c\n"]));
        map(random, column, column, 0, &mut out);
    }
    if random.one_in(8) {
        out.truncate(out.trim_end_matches('\n').len());
    }
    out
}

/// The first entry begins in column `at` of the line; a dash may stand before it.
fn map(random: &mut Random, at: usize, column: usize, depth: usize, out: &mut String) {
    let first = random.below(KEYS.len());
    for nth in 0..random.between(1, 4) {
        if nth > 0 || at == column && !out.ends_with(' ') {
            between(random, column, out);
            margin(column, out);
        }
        out.push_str(KEYS[(first + nth) % KEYS.len()]);
        out.push(':');
        match random.below(if depth > 3 { 4 } else { 8 }) {
            0 => end_line(random, out),
            1 => block(random, column, out),
            2 | 3 => value(random, out),
            4 | 5 => {
                end_line(random, out);
                let inner = column + step(random);
                map(random, inner, inner, depth + 1, out);
            }
            6 => {
                end_line(random, out);
                list(random, column, depth + 1, out);
            }
            _ => {
                end_line(random, out);
                let inner = column + step(random);
                list(random, inner, depth + 1, out);
            }
        }
    }
}

fn list(random: &mut Random, column: usize, depth: usize, out: &mut String) {
    for nth in 0..random.between(1, 3) {
        if nth > 0 || !out.ends_with(' ') {
            between(random, column, out);
            margin(column, out);
        }
        out.push('-');
        let blanks = if random.one_in(6) { random.between(1, 3) } else { 1 };
        let inner = column + 1 + blanks;
        match random.below(if depth > 3 { 4 } else { 8 }) {
            0 => end_line(random, out),
            1 => block(random, column, out),
            2 | 3 => value(random, out),
            4 | 5 => {
                margin(blanks, out);
                map(random, inner, inner, depth + 1, out);
            }
            6 => {
                margin(blanks, out);
                list(random, inner, depth + 1, out);
            }
            _ => {
                end_line(random, out);
                let inner = column + step(random);
                if random.one_in(2) {
                    map(random, inner, inner, depth + 1, out);
                } else {
                    list(random, inner, depth + 1, out);
                }
            }
        }
    }
}

fn step(random: &mut Random) -> usize {
    if random.one_in(4) { random.between(1, 5) } else { 2 }
}

fn margin(columns: usize, out: &mut String) {
    out.extend(std::iter::repeat_n(' ', columns));
}

fn value(random: &mut Random, out: &mut String) {
    margin(if random.one_in(8) { random.between(1, 3) } else { 1 }, out);
    let values = if random.one_in(300) { ODD_VALUES } else { VALUES };
    out.push_str(random.pick(values));
    end_line(random, out);
}

fn end_line(random: &mut Random, out: &mut String) {
    match random.below(16) {
        0 => out.push_str(" # comment"),
        1 => out.push_str("   #"),
        2 => out.push(' '),
        _ => {}
    }
    out.push('\n');
}

fn block(random: &mut Random, column: usize, out: &mut String) {
    let header = random.pick(&[" |", " |-", " |+", " >", " >-", " >+"]);
    out.push_str(header);
    out.push('\n');
    let inner = column + step(random);
    for nth in 0..random.between(1, 4) {
        if random.one_in(4) {
            out.extend(std::iter::repeat_n('\n', random.between(1, 2)));
        }
        let deeper = usize::from(nth > 0 && !header.contains('>') && random.one_in(4));
        margin(inner + deeper, out);
        out.push_str(random.pick(&["text", "# no comment", "a: b", "- x", "größe", "x ", "\"", "{"]));
        out.push('\n');
    }
}

/// Comments and empty lines, now and then.
fn between(random: &mut Random, column: usize, out: &mut String) {
    match random.below(16) {
        0 => out.push('\n'),
        1 if random.one_in(10) => out.push_str("  \n"),
        2 | 3 => {
            margin(if random.one_in(2) { column } else { random.below(8) }, out);
            out.push_str(random.pick(&["# comment\n", "#\n", "# - a: b\n", "#'\n"]));
        }
        _ => {}
    }
}

/// One change of a line or a few characters.
fn change(random: &mut Random, text: &mut String) {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let (line, other) = (random.below(lines.len()), random.below(lines.len()));
    if lines.is_empty() {
        text.push_str(random.pick(&PIECES));
        return;
    }
    match random.below(14) {
        0 => lines.swap(line, other),
        1 => drop(lines.remove(line)),
        2 => lines.insert(other, lines[line].clone()),
        3 => lines[line].insert_str(0, random.pick(&[" ", "  "])),
        4 => {
            let margin = lines[line].len() - lines[line].trim_start_matches(' ').len();
            lines[line].drain(..margin.min(random.between(1, 2)));
        }
        5 => lines.insert(
            line,
            random
                .pick(&["\n", " \n", "    \n", "# c\n", "   # c\n"])
                .to_owned(),
        ),
        6 => {
            let end = lines[line].trim_end_matches('\n').len();
            lines[line].truncate(end);
        }
        7 => {
            let end = lines[line].trim_end_matches('\n').len();
            lines[line].insert_str(end, random.pick(&PIECES));
        }
        8 => {
            let start = lines[line].len() - lines[line].trim_start_matches([' ', '-']).len();
            lines[line].insert_str(start, random.pick(&PIECES));
        }
        9 => {
            let moved = lines.remove(line);
            lines.insert(other.min(lines.len()), moved);
        }
        _ => {
            *text = lines.concat();
            return change_character(random, text);
        }
    }
    *text = lines.concat();
}

fn change_character(random: &mut Random, text: &mut String) {
    let mut at = random.below(text.len() + 1);
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let length = text[at..].chars().next().map_or(0, char::len_utf8);
    match random.below(5) {
        0 => text.replace_range(at..at + length, ""),
        1 => text.replace_range(at..at + length, random.pick(&PIECES)),
        _ => text.insert_str(at, random.pick(&PIECES)),
    }
}
