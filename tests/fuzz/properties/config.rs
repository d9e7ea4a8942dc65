//! `.sops.yaml`: a configuration that loads can be used, and a pattern means the same however it is wrapped.

use sops::Selector;
use sops::config::{Config, CreationRule, PathPattern};

/// Paths and keys that patterns are asked about.
const TEXTS: [&str; 12] = [
    "",
    "a",
    "A",
    "secrets/a.yaml",
    "dev\\b.json",
    "/x/y.enc.env",
    "password",
    "a\nb",
    "\u{e9}\u{17f}",
    "a-z_0]",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "{,3}",
];

/// Longer texts are not tried as patterns: what they compile to is bounded anyway, and takes the time of many short ones.
const LONGEST: usize = 200;

/// All that must hold of `data` as a configuration, and as a pattern.
pub(crate) fn check(data: &[u8]) {
    if let Ok(config) = Config::parse(data) {
        usable(&config);
    }
    if let Ok(text) = std::str::from_utf8(data.get(..LONGEST).unwrap_or(data)) {
        pattern(text);
    }
}

fn usable(config: &Config) {
    for path in TEXTS {
        let _ = (config.rule_for(path), config.destination_for(path));
    }
    let recreation = config
        .destination_rules
        .iter()
        .filter_map(|rule| rule.recreation_rule.as_ref());
    for rule in config.creation_rules.iter().chain(recreation) {
        usable_rule(rule);
    }
}

fn usable_rule(rule: &CreationRule) {
    let selector = Selector::new(&rule.rules).expect("rules are checked when they are loaded");
    let mut walk = selector.walk();
    for text in TEXTS {
        walk.enter_key(text);
        walk.comment(text);
        walk.leaf();
        walk.leave_key();
        walk.entry_done();
    }
    let threshold = usize::from(rule.shamir_threshold);
    assert!(
        threshold <= rule.groups.len().max(1),
        "a threshold of {threshold}"
    );
    assert!(
        rule.groups.iter().all(|group| !group.is_empty()) || rule.groups.len() == 1,
        "an empty group"
    );
    for key in rule.keys() {
        assert!(!key.to_string().is_empty(), "a key without a name");
    }
}

/// A pattern, the same in a group, and the same or itself find the same texts. In groups, for flags hold up to the end of
/// theirs, in further alternatives too.
fn pattern(text: &str) {
    let Ok(plain) = PathPattern::new(text) else {
        return;
    };
    assert_eq!(plain.as_str(), text);
    // What a quotation without an end is followed by belongs to it.
    if text.contains("\\Q") {
        return;
    }
    for wrapped in [
        format!("(?:{text})"),
        format!("(?:{text})|(?:{text})"),
        format!("({text}){{1}}"),
    ] {
        let Ok(wrapped) = PathPattern::new(&wrapped) else {
            continue;
        };
        for text in TEXTS {
            assert_eq!(
                plain.is_match(text),
                wrapped.is_match(text),
                "{} and {text:?}",
                wrapped.as_str()
            );
        }
    }
}
