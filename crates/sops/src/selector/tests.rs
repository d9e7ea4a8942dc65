//! FF-15: the walk against a model of fifty lines that keeps whole paths and comment lists.

use proptest::prelude::*;

use super::{Below, RuleError, Selecting, Selector};
use crate::Rules;
use crate::re2;

/// A document as a walk sees it.
#[derive(Clone, Debug)]
enum Node {
    Leaf,
    Map(Vec<Entry>),
    List(Vec<Entry>),
}

/// The comments above an entry, its key (no meaning in a list), its value.
#[derive(Clone, Debug)]
struct Entry {
    comments: Vec<String>,
    key: String,
    value: Node,
}

/// The rule as it is described: by paths, and by one list of comments per level.
mod model {
    use super::*;

    pub(super) fn decide(rules: &Rules, root: &Node) -> Vec<bool> {
        let mut decisions = Vec::new();
        walk(rules, root, &mut Vec::new(), &mut Vec::new(), &mut decisions);
        decisions
    }

    fn walk(
        rules: &Rules,
        node: &Node,
        path: &mut Vec<String>,
        stack: &mut Vec<Vec<String>>,
        out: &mut Vec<bool>,
    ) {
        let (entries, is_map) = match node {
            Node::Leaf => return out.push(sealed(rules, path, stack, false)),
            Node::Map(entries) => (entries, true),
            Node::List(entries) => (entries, false),
        };
        stack.push(Vec::new());
        for entry in entries {
            for comment in &entry.comments {
                stack.last_mut().unwrap().push(comment.clone());
                out.push(sealed(rules, path, stack, true));
            }
            if is_map {
                path.push(entry.key.clone());
            }
            walk(rules, &entry.value, path, stack, out);
            if is_map {
                path.pop();
            }
            stack.last_mut().unwrap().clear();
        }
        stack.pop();
    }

    fn sealed(rules: &Rules, path: &[String], stack: &[Vec<String>], is_comment: bool) -> bool {
        let found = |pattern: &str, text: &str| re2::compile(pattern).unwrap().is_match(text);
        let all: Vec<&String> = stack.iter().flatten().collect();
        let Some((name, text)) = rules.set().next() else {
            return !path.iter().any(|key| key.ends_with("_unencrypted"));
        };
        match name {
            "unencrypted_suffix" => !path.iter().any(|key| key.ends_with(text)),
            "encrypted_suffix" => path.iter().any(|key| key.ends_with(text)),
            "unencrypted_regex" => !path.iter().any(|key| found(text, key)),
            "encrypted_regex" => path.iter().any(|key| found(text, key)),
            "unencrypted_comment_regex" => !all.iter().any(|c| found(text, c)),
            _ => all[..all.len() - usize::from(is_comment)]
                .iter()
                .any(|c| found(text, c)),
        }
    }
}

fn walked(selector: &Selector, root: &Node) -> Vec<bool> {
    fn visit(at: &mut Selecting<'_>, node: &Node, out: &mut Vec<bool>) {
        let before = (at.below(), out.len());
        let (entries, is_map) = match node {
            Node::Leaf => return out.push(at.leaf()),
            Node::Map(entries) => (entries, true),
            Node::List(entries) => (entries, false),
        };
        at.enter_container();
        for entry in entries {
            for comment in &entry.comments {
                out.push(at.comment(comment));
            }
            if is_map {
                at.enter_key(&entry.key);
            }
            visit(at, &entry.value, out);
            if is_map {
                at.leave_key();
            }
            at.entry_done();
        }
        at.leave_container();
        match before.0 {
            Below::Sealed => assert!(out[before.1..].iter().all(|sealed| *sealed)),
            Below::Clear => assert!(out[before.1..].iter().all(|sealed| !*sealed)),
            Below::Undecided => {}
        }
    }
    let mut out = Vec::new();
    visit(&mut selector.walk(), root, &mut out);
    out
}

fn rule(name: &str, text: &str) -> Rules {
    let text = Some(text.to_owned());
    let mut rules = Rules::default();
    match name {
        "unencrypted_suffix" => rules.unencrypted_suffix = text,
        "encrypted_suffix" => rules.encrypted_suffix = text,
        "unencrypted_regex" => rules.unencrypted_regex = text,
        "encrypted_regex" => rules.encrypted_regex = text,
        "unencrypted_comment_regex" => rules.unencrypted_comment_regex = text,
        "encrypted_comment_regex" => rules.encrypted_comment_regex = text,
        other => panic!("{other}"),
    }
    rules
}

const NAMES: [&str; 6] = [
    "unencrypted_suffix",
    "encrypted_suffix",
    "unencrypted_regex",
    "encrypted_regex",
    "unencrypted_comment_regex",
    "encrypted_comment_regex",
];

fn any_rules() -> impl Strategy<Value = Rules> {
    let texts = prop::sample::select(vec!["_x", "b", "", "_unencrypted", "a"]);
    (prop::sample::select(NAMES.to_vec()), texts).prop_map(|(name, text)| rule(name, text))
}

fn any_node() -> impl Strategy<Value = Node> {
    let keys = prop::sample::select(vec!["a", "b", "a_x", "b_unencrypted", "", "ab"]);
    let comments = prop::collection::vec(prop::sample::select(vec!["a", "c", "b_x", ""]), 0..3);
    Just(Node::Leaf).prop_recursive(4, 40, 4, move |inner| {
        let comments = comments
            .clone()
            .prop_map(|c| c.into_iter().map(str::to_owned).collect());
        let entry = (comments, keys.clone(), inner).prop_map(|(comments, key, value)| Entry {
            comments,
            key: key.to_owned(),
            value,
        });
        let entries = prop::collection::vec(entry, 0..4);
        (any::<bool>(), entries).prop_map(|(map, e)| if map { Node::Map(e) } else { Node::List(e) })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn the_walk_decides_as_the_model(rules in any_rules(), root in any_node()) {
        let selector = Selector::new(&rules).unwrap();
        prop_assert_eq!(walked(&selector, &root), model::decide(&rules, &root));
    }
}

fn leaf_under(selector: &Selector, path: &[&str]) -> bool {
    let mut walk = selector.walk();
    path.iter().for_each(|key| walk.enter_key(key));
    walk.leaf()
}

#[test]
fn without_a_rule_the_default_suffix_keeps_clear() {
    for rules in [
        Rules::default(),
        rule("encrypted_regex", ""),
        rule("unencrypted_suffix", "_unencrypted"),
    ] {
        let selector = Selector::new(&rules).unwrap();
        assert!(leaf_under(&selector, &["a"]));
        assert!(!leaf_under(&selector, &["a_unencrypted", "b"]));
        assert!(leaf_under(&selector, &["a_unencrypted_"]));
        assert!(!selector.uses_comments());
    }
}

#[test]
fn a_pattern_is_searched_in_each_key_alone() {
    let selector = Selector::new(&rule("encrypted_regex", "^(data|b)$")).unwrap();
    assert!(leaf_under(&selector, &["data", "x"]));
    assert!(leaf_under(&selector, &["x", "b"]));
    assert!(!leaf_under(&selector, &["a", "bb"]));
    assert!(!leaf_under(&selector, &[]));
}

#[test]
fn each_rule_alone_is_accepted_and_each_pair_refused() {
    for (i, first) in NAMES.iter().enumerate() {
        assert!(Selector::new(&rule(first, "x")).is_ok());
        for second in &NAMES[i + 1..] {
            let (a, b) = (rule(first, "x"), rule(second, "y"));
            let both = Rules {
                unencrypted_suffix: a.unencrypted_suffix.or(b.unencrypted_suffix),
                encrypted_suffix: a.encrypted_suffix.or(b.encrypted_suffix),
                unencrypted_regex: a.unencrypted_regex.or(b.unencrypted_regex),
                encrypted_regex: a.encrypted_regex.or(b.encrypted_regex),
                unencrypted_comment_regex: a.unencrypted_comment_regex.or(b.unencrypted_comment_regex),
                encrypted_comment_regex: a.encrypted_comment_regex.or(b.encrypted_comment_regex),
            };
            assert_eq!(
                Selector::new(&both).unwrap_err(),
                RuleError::Conflict { first, second }
            );
        }
    }
}

#[test]
fn a_bad_pattern_is_an_error_that_does_not_repeat_it() {
    for name in &NAMES[2..] {
        let error = Selector::new(&rule(name, "secret(")).unwrap_err();
        assert!(matches!(error, RuleError::Pattern { rule, .. } if rule == *name));
        assert!(!error.to_string().contains("secret"));
    }
    assert!(Selector::new(&rule("encrypted_suffix", "(")).is_ok());
}

#[test]
fn a_comment_is_not_sealed_for_its_own_text() {
    let selector = Selector::new(&rule("encrypted_comment_regex", "^ seal")).unwrap();
    assert!(selector.uses_comments());
    let mut walk = selector.walk();
    walk.enter_container();
    assert_eq!(
        [" seal", " more", " seal"].map(|text| walk.comment(text)),
        [false, true, true]
    );
    assert!(walk.leaf());
    walk.entry_done();
    assert!(!walk.leaf());
}

#[test]
fn a_comment_is_kept_clear_by_its_own_text() {
    let selector = Selector::new(&rule("unencrypted_comment_regex", "^ clear")).unwrap();
    let mut walk = selector.walk();
    walk.enter_container();
    assert_eq!(
        [" x", " clear", " x"].map(|text| walk.comment(text)),
        [true, false, false]
    );
    assert!(!walk.leaf());
    walk.entry_done();
    assert!(walk.leaf());
}

#[test]
fn a_sealed_comment_must_not_look_like_one_that_keeps_clear() {
    let sealed = "ENC[AES256_GCM,data:AA==,iv:AA==,tag:AA==,type:comment]";
    assert!(
        Selector::new(&rule("unencrypted_comment_regex", "comment"))
            .unwrap()
            .mistakes_sealed_comment(sealed)
    );
    assert!(
        !Selector::new(&rule("unencrypted_comment_regex", "^ x"))
            .unwrap()
            .mistakes_sealed_comment(sealed)
    );
    assert!(
        !Selector::new(&rule("encrypted_comment_regex", "comment"))
            .unwrap()
            .mistakes_sealed_comment(sealed)
    );
}

/// FF-22: in the binary store every rule is void.
#[test]
fn everything_is_sealed_under_any_key_and_comment() {
    let selector = Selector::everything();
    let mut walk = selector.walk();
    walk.enter_container();
    walk.enter_key("data_unencrypted");
    assert!(walk.leaf() && walk.comment("clear") && walk.below() == Below::Sealed);
}

/// More leaves than entries must not upset the walk.
#[test]
fn leaving_more_than_was_entered_is_harmless() {
    for name in NAMES {
        let selector = Selector::new(&rule(name, "x")).unwrap();
        let mut walk = selector.walk();
        walk.leave_key();
        walk.leave_container();
        walk.entry_done();
        assert_eq!(walk.leaf(), !name.starts_with("encrypted"));
    }
}
