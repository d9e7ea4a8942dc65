//! Properties of YAML documents.

use crate::roundtrip::set;
use crate::{Form, Format, Limits, Node, NodeId};

#[test]
fn a_block_list_begins_at_its_first_dash() {
    for (text, expected) in [
        ("a:\n  - x\n", &["- x"][..]),
        ("a:\n- x\n", &["- x"]),
        ("a: # -\n# -\n-   x\n", &["-   x"]),
        ("\"a\":\n- \n  b: c\n", &["- \n  b: c"]),
        (
            "a:\n- - x\n  - y\n- - z\n",
            &["- x\n  - y", "- z", "- - x\n  - y\n- - z"],
        ),
        ("a:\n-\n  - x\n", &["- x", "-\n  - x"]),
        ("a: &n\n- x\n", &["- x"]),
        ("a: !!seq\n- &n\n  - x\n", &["- x", "- &n\n  - x"]),
        ("? a\n: - x\n", &["- x"]),
    ] {
        let tree = super::parse(text.as_bytes(), Form::Sealed, &Limits::default()).expect("is YAML");
        let lists: Vec<_> = (0..tree.len() as u32)
            .filter_map(|id| match *tree.node(NodeId(id)) {
                Node::List { span, .. } => Some(&text[span.range()]),
                _ => None,
            })
            .collect();
        assert_eq!(lists, expected, "{text:?}");
    }
}

#[test]
fn items_are_set_in_lists_of_one_item_and_in_lists_of_lists() {
    for (text, path, expected) in [
        ("a:\n- x\n", r#"["a"][1]"#, "a:\n- x\n- v\n"),
        ("a:\n- - x\n", r#"["a"][0][1]"#, "a:\n- - x\n  - v\n"),
        (
            "a:\n- - x\n- - y\n",
            r#"["a"][1][1]"#,
            "a:\n- - x\n- - y\n  - v\n",
        ),
        ("a:\n- -\n", r#"["a"][0][0]"#, "a:\n- - v\n"),
    ] {
        let found = set(Format::Yaml, text.as_bytes(), path, "\"v\"").expect("can be set");
        assert_eq!(found, expected, "{text:?}");
    }
}
