//! Sets of characters: what RE2's class names stand for, and case folding.
//!
//! Everything named without `\p` is ASCII. Under `(?i)` a named class is folded too, *before* it is negated:
//! `(?i)\w` holds U+212A (the Kelvin sign), `(?i)\W` does not.

use std::sync::LazyLock;

use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, HirKind};

/// A set of Unicode scalar values. Surrogates, which RE2 can name, are in no text and so in no set.
pub(super) type Set = ClassUnicode;

/// The set of the code points `low..=high`, surrogates left out.
pub(super) fn range(low: u32, high: u32) -> Option<ClassUnicodeRange> {
    let low = if (0xD800..=0xDFFF).contains(&low) {
        0xE000
    } else {
        low
    };
    let high = if (0xD800..=0xDFFF).contains(&high) {
        0xD7FF
    } else {
        high
    };
    let (low, high) = (char::from_u32(low)?, char::from_u32(high)?);
    (low <= high).then(|| ClassUnicodeRange::new(low, high))
}

/// All characters.
pub(super) fn all() -> Set {
    Set::new([ClassUnicodeRange::new('\0', char::MAX)])
}

/// `\d`, `\s`, `\w` by their lower-case letter.
pub(super) fn perl(letter: char) -> Option<Set> {
    Some(ascii(match letter {
        'd' => &[('0', '9')],
        's' => &[('\t', '\n'), ('\x0C', '\r'), (' ', ' ')],
        'w' => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        _ => return None,
    }))
}

/// The name between `[:` and `:]`, without `^`.
pub(super) fn posix(name: &str) -> Option<Set> {
    Some(ascii(match name {
        "alnum" => &[('0', '9'), ('A', 'Z'), ('a', 'z')],
        "alpha" => &[('A', 'Z'), ('a', 'z')],
        "ascii" => &[('\0', '\x7F')],
        "blank" => &[('\t', '\t'), (' ', ' ')],
        "cntrl" => &[('\0', '\x1F'), ('\x7F', '\x7F')],
        "digit" => &[('0', '9')],
        "graph" => &[('!', '~')],
        "lower" => &[('a', 'z')],
        "print" => &[(' ', '~')],
        "punct" => &[('!', '/'), (':', '@'), ('[', '`'), ('{', '~')],
        "space" => &[('\t', '\r'), (' ', ' ')],
        "upper" => &[('A', 'Z')],
        "word" => &[('0', '9'), ('A', 'Z'), ('_', '_'), ('a', 'z')],
        "xdigit" => &[('0', '9'), ('A', 'F'), ('a', 'f')],
        _ => return None,
    }))
}

/// The name after `\p`, without braces and `^`. As in the Go releases that SOPS is built with, case, blanks,
/// `_` and `-` do not count, and scripts of more than one word are not found.
pub(super) fn property(name: &str) -> Option<Set> {
    let name: String = name
        .chars()
        .filter(|c| !matches!(c, ' ' | '_' | '-'))
        .map(|c| c.to_ascii_lowercase())
        .collect();
    match name.as_str() {
        "any" => return Some(all()),
        "ascii" => return Some(ascii(&[('\0', '\x7F')])),
        "cs" | "surrogate" => return Some(Set::empty()),
        "assigned" => {
            let mut assigned = table("gc", "Cn")?;
            assigned.negate();
            return Some(assigned);
        }
        _ => {}
    }
    if let Some((_, short)) = CATEGORY_ALIASES.iter().find(|(alias, _)| *alias == name) {
        return table("gc", short);
    }
    if CATEGORIES.contains(&name.as_str()) {
        return table("gc", &name);
    }
    SCRIPTS
        .contains(&name.as_str())
        .then(|| table("sc", &name))
        .flatten()
}

/// `set` and all that differs from a member only in case (simple folding), and how many characters had to be
/// looked up for that.
pub(super) fn fold(mut set: Set) -> (Set, usize) {
    let mut cased = set.clone();
    cased.intersect(&CASED);
    let looked_up = cased.ranges().iter().map(ClassUnicodeRange::len).sum();
    if looked_up > 0 && cased.try_case_fold_simple().is_ok() {
        set.union(&cased);
    }
    (set, looked_up)
}

/// Every character that has another case; the rest of a class need not be looked up one by one.
static CASED: LazyLock<Set> = LazyLock::new(|| table("", "Changes_When_Casemapped").unwrap_or_else(all));

fn ascii(ranges: &[(char, char)]) -> Set {
    Set::new(
        ranges
            .iter()
            .map(|&(low, high)| ClassUnicodeRange::new(low, high)),
    )
}

/// The tables of `regex-syntax`, through the only door it has.
fn table(property: &str, value: &str) -> Option<Set> {
    let separator = if property.is_empty() { "" } else { "=" };
    match regex_syntax::parse(&format!(r"\p{{{property}{separator}{value}}}"))
        .ok()?
        .into_kind()
    {
        HirKind::Class(Class::Unicode(set)) => Some(set),
        HirKind::Literal(one) => {
            // a property of a single character is simplified to that character
            let c = std::str::from_utf8(&one.0).ok()?.chars().next()?;
            Some(Set::new([ClassUnicodeRange::new(c, c)]))
        }
        _ => None,
    }
}

const CATEGORIES: &[&str] = &[
    "c", "cc", "cf", "cn", "co", "l", "lc", "ll", "lm", "lo", "lt", "lu", "m", "mc", "me", "mn", "n", "nd",
    "nl", "no", "p", "pc", "pd", "pe", "pf", "pi", "po", "ps", "s", "sc", "sk", "sm", "so", "z", "zl", "zp",
    "zs",
];

const CATEGORY_ALIASES: &[(&str, &str)] = &[
    ("casedletter", "LC"),
    ("closepunctuation", "Pe"),
    ("cntrl", "Cc"),
    ("combiningmark", "M"),
    ("connectorpunctuation", "Pc"),
    ("control", "Cc"),
    ("currencysymbol", "Sc"),
    ("dashpunctuation", "Pd"),
    ("decimalnumber", "Nd"),
    ("digit", "Nd"),
    ("enclosingmark", "Me"),
    ("finalpunctuation", "Pf"),
    ("format", "Cf"),
    ("initialpunctuation", "Pi"),
    ("letter", "L"),
    ("letternumber", "Nl"),
    ("lineseparator", "Zl"),
    ("lowercaseletter", "Ll"),
    ("mark", "M"),
    ("mathsymbol", "Sm"),
    ("modifierletter", "Lm"),
    ("modifiersymbol", "Sk"),
    ("nonspacingmark", "Mn"),
    ("number", "N"),
    ("openpunctuation", "Ps"),
    ("other", "C"),
    ("otherletter", "Lo"),
    ("othernumber", "No"),
    ("otherpunctuation", "Po"),
    ("othersymbol", "So"),
    ("paragraphseparator", "Zp"),
    ("privateuse", "Co"),
    ("punct", "P"),
    ("punctuation", "P"),
    ("separator", "Z"),
    ("spaceseparator", "Zs"),
    ("spacingmark", "Mc"),
    ("symbol", "S"),
    ("titlecaseletter", "Lt"),
    ("unassigned", "Cn"),
    ("uppercaseletter", "Lu"),
];

#[rustfmt::skip]
const SCRIPTS: &[&str] = &[
    "adlam", "ahom", "arabic", "armenian", "avestan", "balinese", "bamum", "batak", "bengali", "bhaiksuki",
    "bopomofo", "brahmi", "braille", "buginese", "buhid", "carian", "chakma", "cham", "cherokee", "chorasmian",
    "common", "coptic", "cuneiform", "cypriot", "cyrillic", "deseret", "devanagari", "dogra", "duployan",
    "elbasan", "elymaic", "ethiopic", "georgian", "glagolitic", "gothic", "grantha", "greek", "gujarati",
    "gurmukhi", "han", "hangul", "hanunoo", "hatran", "hebrew", "hiragana", "inherited", "javanese", "kaithi",
    "kannada", "katakana", "kawi", "kharoshthi", "khmer", "khojki", "khudawadi", "lao", "latin", "lepcha",
    "limbu", "lisu", "lycian", "lydian", "mahajani", "makasar", "malayalam", "mandaic", "manichaean", "marchen",
    "medefaidrin", "miao", "modi", "mongolian", "mro", "multani", "myanmar", "nabataean", "nandinagari", "newa",
    "nko", "nushu", "ogham", "oriya", "osage", "osmanya", "palmyrene", "phoenician", "rejang", "runic",
    "samaritan", "saurashtra", "sharada", "shavian", "siddham", "sinhala", "sogdian", "soyombo", "sundanese",
    "syriac", "tagalog", "tagbanwa", "takri", "tamil", "tangsa", "tangut", "telugu", "thaana", "thai", "tibetan",
    "tifinagh", "tirhuta", "toto", "ugaritic", "vai", "vithkuqi", "wancho", "yezidi", "yi",
];
