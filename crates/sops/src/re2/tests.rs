//! Against Go's own answers, and against the clock.

use std::time::{Duration, Instant};

use super::{MAX_PATTERN, compile};

/// Written by Go; see the README beside it.
const VECTORS: &str = include_str!("../../../../testdata/sops/re2.txt");

#[test]
fn every_vector_of_go_compiles_and_matches_alike() {
    let mut lines = VECTORS.split('\n').filter(|line| !line.is_empty()).skip(1);
    let texts: Vec<String> = serde_json::from_str(lines.next().unwrap()).unwrap();
    let mut seen = (0, 0);
    for line in lines {
        let (answer, pattern) = line.split_once('\t').unwrap();
        let compiled = compile(pattern);
        if answer == "refused" {
            assert!(compiled.is_err(), "{pattern} should be refused");
            seen.0 += 1;
            continue;
        }
        let compiled = compiled.unwrap_or_else(|e| panic!("{pattern}: {e}"));
        let matching = u64::from_str_radix(answer, 16).unwrap();
        for (bit, text) in texts.iter().enumerate() {
            assert_eq!(
                compiled.is_match(text),
                matching >> bit & 1 == 1,
                "{pattern} on {text:?}"
            );
        }
        seen.1 += 1;
    }
    assert_eq!(seen, (517, 759));
}

#[test]
fn an_error_names_the_byte_and_not_the_pattern() {
    let cases = [
        ("a(b", 3, "missing closing )"),
        ("ab)", 3, "unexpected )"),
        ("[a", 2, "missing closing ]"),
        ("a**b", 3, "invalid nested repetition operator"),
        ("*secret", 1, "missing argument to repetition operator"),
        (r"se\cret", 4, "invalid escape"),
        (r"a\", 2, "trailing backslash"),
        (r"\C", 2, "invalid escape"),
        (r"a\p{Secret}b", 11, "unknown character property"),
        ("[[:secret:]]", 11, "unknown character class name"),
        ("(?=a)", 3, "invalid or unsupported (? group"),
        ("(?P<a b>c)", 4, "invalid group name"),
        ("a{1001}", 7, "invalid repeat count"),
        ("[z-a]", 4, "invalid character class range"),
    ];
    for (pattern, at, why) in cases {
        let error = compile(pattern).unwrap_err();
        assert_eq!((error.at, error.why), (at, why), "{pattern}");
        assert!(!error.to_string().contains("ecret"));
    }
}

/// FF-14. The bound on a match holds for these; the general promise is time linear in the text.
#[test]
#[allow(clippy::disallowed_methods, reason = "how long it takes is what is tested")]
fn bombs_are_refused_or_harmless_within_100_ms() {
    let many = |unit: &str| unit.repeat(MAX_PATTERN / unit.len());
    let patterns = [
        "((a{1,900}){1,900}){1,900}".to_owned(),
        "(.*)*$".to_owned(),
        "(.*)*c$".to_owned(),
        r"[\x00-\x{10FFFF}]{1000}c".to_owned(),
        r"(?i)[\x01-\x{10FFFF}]{1000}c".to_owned(),
        "(x+x+)+y".to_owned(),
        "(a|a)*c".to_owned(),
        "^(([a-z])+.)+[A-Z]([a-z])+$".to_owned(),
        r"\B.*\Bc".to_owned(),
        format!("(?i){}", many(r"[\x01-\x{10FFFE}]")),
        format!("(?i)[{}", many(r"\PL")),
        many(r"\pL"),
        many("("),
        many("(a*"),
        many("(?i)*"),
        many("x{1,1000}"),
        many("a?"),
        many(r"\b"),
        many("a|"),
        "a".repeat(MAX_PATTERN + 1),
    ];
    // the first use of the tables is not the pattern's cost
    compile(r"(?i)\pL").unwrap();
    let text = "a".repeat(1 << 20);
    // an unoptimised build of this crate on a busy machine is not what the bound is about
    let bound = Duration::from_millis(if cfg!(debug_assertions) { 1500 } else { 100 });
    for pattern in &patterns {
        let started = Instant::now();
        let compiled = compile(pattern);
        assert!(
            started.elapsed() < bound,
            "compiling {:.30} took {:?}",
            pattern,
            started.elapsed()
        );
        if let Ok(compiled) = compiled {
            let started = Instant::now();
            compiled.is_match(&text);
            assert!(
                started.elapsed() < bound,
                "matching {:.30} took {:?}",
                pattern,
                started.elapsed()
            );
        }
    }
}

/// Folding looks up only characters that have another case; this is the proof that no other one folds.
#[test]
fn nothing_folds_that_has_no_other_case() {
    use super::class::{Set, fold};
    use regex_syntax::hir::ClassUnicodeRange;

    for c in '\0'..=char::MAX {
        let one = Set::new([ClassUnicodeRange::new(c, c)]);
        let mut expected = one.clone();
        expected.case_fold_simple();
        assert_eq!(fold(one).0, expected, "{c:?}");
    }
}

mod random {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_pattern_panics(pattern in r"[a\]\[(){}*+?|^$\\pPLxQEbB:,0-9<>!=i.\-é]{0,40}", text in ".{0,20}") {
            if let Ok(compiled) = super::compile(&pattern) {
                compiled.is_match(&text);
            }
        }

        /// A pattern of plain letters is a search for them.
        #[test]
        fn quoted_text_matches_itself(text in r"[^E]{0,20}", before in ".{0,5}", after in ".{0,5}") {
            let quoted = super::compile(&format!(r"\Q{text}\E")).unwrap();
            let whole = format!("{before}{text}{after}");
            prop_assert!(quoted.is_match(&whole));
        }
    }
}
