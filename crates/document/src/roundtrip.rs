//! For tests: a document is sealed with made-up texts, opened again, and must be the same bytes.

use secret::SecretBytes;

use crate::{Child, Comment, Document, Edits, Form, Format, Limits, Node, NodeId, Scalar, Value};

/// Reads `source`.
pub(crate) fn parse(format: Format, form: Form, source: &[u8]) -> Result<Document, crate::Error> {
    Document::parse(format, form, SecretBytes::copy_from(source), &Limits::default())
}

/// Reads a source that must be fine.
pub(crate) fn parsed(format: Format, form: Form, source: &[u8]) -> Document {
    parse(format, form, source)
        .unwrap_or_else(|error| panic!("refused: {error}\n{}", String::from_utf8_lossy(source)))
}

/// What can be sealed, in document order: path of keys, and the node or comment.
pub(crate) enum Leaf {
    Node(NodeId),
    Comment(Comment),
}

/// All leaves but those of the metadata block.
pub(crate) fn leaves(document: &Document) -> Vec<(String, Leaf)> {
    let mut out = Vec::new();
    let (tree, source) = (document.tree(), document.source());
    let mut todo: Vec<(String, Option<Comment>, NodeId)> = tree
        .roots
        .iter()
        .rev()
        .map(|root| (String::new(), None, *root))
        .collect();
    while let Some((path, comment, id)) = todo.pop() {
        if let Some(comment) = comment {
            out.push((path, Leaf::Comment(comment)));
            continue;
        }
        if let Node::Scalar { .. } = tree.node(id) {
            out.push((path, Leaf::Node(id)));
            continue;
        }
        for child in tree.children(id).iter().rev() {
            match *child {
                Child::Entry { key, value, .. } => {
                    let key = tree.text(source, key);
                    if !(path.is_empty() && document.is_block_key(key)) {
                        todo.push((format!("{path}{}:", String::from_utf8_lossy(key)), None, value));
                    }
                }
                Child::Item(item) => todo.push((path.clone(), None, item)),
                Child::Comment(comment) => todo.push((path.clone(), Some(comment), id)),
            }
        }
    }
    out.extend(
        tree.lost
            .iter()
            .map(|(_, comment)| (String::from("lost"), Leaf::Comment(*comment))),
    );
    out
}

fn is_sealable(document: &Document, id: NodeId) -> bool {
    match document.scalar(id).expect("a scalar sops can type") {
        Scalar::Null => false,
        Scalar::Str(text) => !text.is_empty(),
        _ => true,
    }
}

fn sealed_text(nth: usize) -> String {
    format!("ENC[AES256_GCM,data:AA{nth}==,iv:/+A=,tag:BB==,type:str]")
}

/// A block as sops would write it, in the shape that `format` has it in.
pub(crate) fn sample_block(format: Format) -> Value {
    let text = |text: &str| Value::Str(text.into());
    let enc = "-----BEGIN AGE ENCRYPTED FILE-----\nYWdl+/=\n-----END AGE ENCRYPTED FILE-----\n";
    let entries = match format {
        Format::Dotenv | Format::Ini => vec![
            ("age__list_0__map_enc", text(enc)),
            ("age__list_0__map_recipient", text("age1xyz")),
            ("lastmodified", text("2024-01-02T03:04:05Z")),
            ("mac", text(&sealed_text(0))),
            ("unencrypted_regex", text("^(a|b;c)#\"$")),
            ("version", text("3.11.0")),
        ],
        _ => {
            let age = vec![("enc".into(), text(enc)), ("recipient".into(), text("age1xyz"))];
            vec![
                ("age", Value::List(vec![Value::Map(age)])),
                ("lastmodified", text("2024-01-02T03:04:05Z")),
                ("mac", text(&sealed_text(0))),
                ("mac_only_encrypted", Value::Bool(true)),
                ("shamir_threshold", Value::Int(2)),
                ("version", text("3.11.0")),
            ]
        }
    };
    Value::Map(
        entries
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

/// The sealed form of a plain document, and what each sealed text stands for.
pub(crate) fn seal(document: &Document, block: &Value) -> SecretBytes {
    let mut edits = Edits::default();
    let (tree, source) = (document.tree(), document.source());
    for (nth, (_, leaf)) in leaves(document).into_iter().enumerate() {
        let text = sealed_text(nth);
        match leaf {
            Leaf::Node(id) if is_sealable(document, id) => {
                let frame = document.frame(id);
                edits.replace(
                    frame.span,
                    &[frame.before.as_bytes(), text.as_bytes(), frame.after.as_bytes()],
                );
            }
            Leaf::Comment(comment) if !tree.text(source, comment.text).is_empty() => {
                edits.replace(comment.span, &[text.as_bytes()]);
            }
            _ => {}
        }
    }
    document.set_block(block, &mut edits).expect("a block can be set");
    document.render(&edits)
}

/// Seals `source`, reads the sealed form, opens it, and compares: every sealed text must read exactly, at the
/// same path; the block must say what it was told; the opened file must be `source`.
pub(crate) fn check(format: Format, source: &[u8]) {
    let plain = parsed(format, Form::Plain, source);
    assert_eq!(plain.render(&Edits::default()).expose(), source);
    let block = sample_block(format);
    let sealed = seal(&plain, &block);
    let shown = String::from_utf8_lossy(sealed.expose()).into_owned();
    let sealed = parsed(format, Form::Sealed, sealed.expose());
    assert_eq!(
        sealed.block().expect("a block that reads"),
        Some(block),
        "{shown}"
    );

    let (before, after) = (leaves(&plain), leaves(&sealed));
    assert_eq!(before.len(), after.len(), "{shown}");
    let mut edits = Edits::default();
    for (nth, ((path, was), (new_path, is))) in before.iter().zip(&after).enumerate() {
        assert_eq!(path, new_path, "{shown}");
        match (was, is) {
            (Leaf::Node(was), Leaf::Node(is)) => {
                let value = plain.scalar(*was).expect("a scalar");
                let text = sealed.scalar(*is).expect("a scalar");
                if !is_sealable(&plain, *was) {
                    assert_eq!(text, value, "{shown}");
                    continue;
                }
                assert_eq!(text, Scalar::Str(sealed_text(nth).into_bytes().into()), "{shown}");
                let mut spelled = Vec::new();
                sealed.spell(*is, &value, &mut spelled);
                let author = &source[plain.tree().node(*was).span().range()];
                // Where the canonical spelling is another one, the caller restores the author's.
                edits.replace(
                    sealed.tree().node(*is).span(),
                    &[if format == Format::Json { author } else { &spelled }],
                );
            }
            (Leaf::Comment(was), Leaf::Comment(is)) => {
                let text = plain.tree().text(source, was.text);
                let found = sealed.tree().text(sealed.source(), is.text);
                if text.is_empty() {
                    assert!(found.is_empty(), "{shown}");
                    continue;
                }
                assert_eq!(found, sealed_text(nth).as_bytes(), "{shown}");
                let mut spelled = Vec::new();
                sealed.spell_comment(text, &mut spelled);
                edits.replace(is.span, &[&spelled]);
            }
            _ => panic!("a comment and a value changed places: {shown}"),
        }
    }
    sealed.remove_block(&mut edits);
    let opened = sealed.render(&edits);
    assert_eq!(
        String::from_utf8_lossy(opened.expose()),
        String::from_utf8_lossy(source),
        "{shown}"
    );
    assert_eq!(opened.expose(), source);
}

/// Changes an existing block and reads it back; what did not change keeps its bytes.
pub(crate) fn check_update(format: Format, source: &[u8]) {
    let plain = parsed(format, Form::Plain, source);
    let Value::Map(all) = sample_block(format) else {
        panic!("a map")
    };
    for missing in 0..all.len() {
        let mut fewer = all.clone();
        let (name, _) = fewer.remove(missing);
        if let Some((_, value)) = fewer.last_mut() {
            *value = Value::Str("changed".into());
        }
        let fewer = Value::Map(fewer);
        let sealed = parsed(format, Form::Sealed, seal(&plain, &sample_block(format)).expose());
        let mut edits = Edits::default();
        sealed.set_block(&fewer, &mut edits).expect("a block can be set");
        let less = parsed(format, Form::Sealed, sealed.render(&edits).expose());
        assert_eq!(less.block().expect("a block"), Some(fewer), "without {name}");
        let mut edits = Edits::default();
        less.set_block(&sample_block(format), &mut edits)
            .expect("a block can be set");
        let again = less.render(&edits);
        assert_eq!(
            String::from_utf8_lossy(again.expose()),
            String::from_utf8_lossy(sealed.source()),
            "{name} away and back"
        );
    }
    let sealed = parsed(format, Form::Sealed, seal(&plain, &sample_block(format)).expose());
    let mut edits = Edits::default();
    sealed
        .set_block(&sample_block(format), &mut edits)
        .expect("a block can be set");
    assert!(edits.is_empty(), "an equal block is touched");
}

/// The source after `path` is set to a JSON value.
pub(crate) fn set(format: Format, source: &[u8], path: &str, value: &str) -> Result<String, crate::Error> {
    let document = parsed(format, Form::Plain, source);
    let value = format!("{{\"value\":{value}}}");
    let value = parsed(Format::Json, Form::Plain, value.as_bytes());
    let mut edits = Edits::default();
    document.set(
        &crate::Path::parse_sops(path).expect("a path"),
        &value,
        &mut edits,
    )?;
    Ok(String::from_utf8_lossy(document.render(&edits).expose()).into_owned())
}

/// The source after `path` is taken away.
pub(crate) fn unset(format: Format, source: &[u8], path: &str) -> Result<String, crate::Error> {
    let document = parsed(format, Form::Plain, source);
    let mut edits = Edits::default();
    document.unset(&crate::Path::parse_sops(path).expect("a path"), &mut edits)?;
    Ok(String::from_utf8_lossy(document.render(&edits).expose()).into_owned())
}
