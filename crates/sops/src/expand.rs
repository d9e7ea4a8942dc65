//! Aliases of sealed values. sops expands every alias when it reads; here an alias is written out only if
//! something below it, or below its anchor, is sealed: as one line in brackets.
//!
//! That is done before anything is sealed, in the author's own text. For a comment beside an alias belongs to other
//! collections than one beside brackets, so that only the text with the brackets says under which path it is sealed.

use document::{Child, Document, Edits, Form, Limits, Node, NodeId, Scalar, Style};
use secret::SecretBytes;

use crate::error::{Error, Warning};
use crate::plan::{AliasRange, Plan, Subject, locate};
use crate::selector::Selector;

const UNDER_COMMENT_RULE: &str = "an alias copies values that a comment rule selects; write the values out";

/// `document` with the aliases written out that `plan` marks as expanded; `None` if there are none.
pub(crate) fn expand(
    document: &Document,
    plan: &Plan<'_>,
    selector: &Selector,
    limits: &Limits,
    warnings: &mut Vec<Warning>,
) -> Result<Option<Document>, Error> {
    let mut edits = Edits::default();
    let mut first = None;
    write_out_keys(document, plan, &mut edits, warnings);
    for alias in plan.aliases.iter().filter(|alias| alias.expanded) {
        let span = document.tree().node(alias.id).span();
        if selector.uses_comments() && alias.holds_comments {
            return Err(refused(document, alias));
        }
        if alias.jobs.0 == alias.jobs.1 {
            let at = document.position(span.start as usize);
            warnings.push(Warning::ClearCopy { at });
        }
        let mut out = SecretBytes::default();
        write(document, alias.target, out.expose_mut())?;
        edits.replace(span, &[out.expose()]);
        first.get_or_insert(alias);
    }
    if edits.is_empty() {
        return Ok(None);
    }
    let text = document.render(&edits);
    let written = Document::parse(document.format(), Form::Plain, text, limits)?;
    if let (Some(first), true) = (first, selector.uses_comments()) {
        let again = Plan::new(&written, selector, &mut |_, _| None)?;
        if !leaves(plan).eq(leaves(&again)) {
            return Err(refused(document, first));
        }
    }
    Ok(Some(written))
}

/// Aliases that stand as keys are written out: sealed at its anchor, the text would name the entry by its
/// ciphertext.
fn write_out_keys(document: &Document, plan: &Plan<'_>, edits: &mut Edits, warnings: &mut Vec<Warning>) {
    let tree = document.tree();
    if tree.alias_keys.is_empty() {
        return;
    }
    let sealed = plan.sealed_leaves();
    for &(span, target) in &tree.alias_keys {
        let Node::Scalar { text, .. } = *tree.node(target) else {
            continue;
        };
        let key = tree.text(document.source(), text);
        edits.replace_with(span, |out| document.spell_key(key, span, out));
        if sealed.contains(&target) {
            let at = document.position(span.start as usize);
            warnings.push(Warning::ClearCopy { at });
        }
    }
}

fn refused(document: &Document, alias: &AliasRange) -> Error {
    let span = document.tree().node(alias.id).span();
    Error::Unsealable {
        at: document.position(span.start as usize),
        path: locate(document, alias.ordinals.0).0,
        why: UNDER_COMMENT_RULE,
    }
}

/// The authenticated paths of the leaves that are sealed, in order.
fn leaves<'p>(plan: &'p Plan<'_>) -> impl Iterator<Item = Vec<u8>> + 'p {
    let jobs = plan
        .jobs
        .iter()
        .filter(|job| matches!(job.subject, Subject::Leaf(_)));
    jobs.map(|job| {
        let mut path = Vec::new();
        plan.aad(job, &mut path);
        path
    })
}

/// Writes what an alias of `target` stands for. Containers wait on a stack of their own: depth costs no call stack.
fn write(document: &Document, target: NodeId, out: &mut Vec<u8>) -> Result<(), Error> {
    let tree = document.tree();
    let mut stack: Vec<(NodeId, usize, bool)> = Vec::new();
    begin(document, target, &mut stack, out)?;
    while let Some((id, child, first)) = stack.pop() {
        let is_map = matches!(tree.node(id), Node::Map { .. });
        let Some(next) = tree.children(id).get(child) else {
            out.push(if is_map { b'}' } else { b']' });
            continue;
        };
        if let Child::Comment(_) = next {
            stack.push((id, child + 1, first));
            continue;
        }
        stack.push((id, child + 1, false));
        if !first {
            out.extend_from_slice(b", ");
        }
        match *next {
            Child::Entry { key, value, .. } => {
                document::yaml::quoted(tree.text(document.source(), key), out);
                out.extend_from_slice(b": ");
                begin(document, value, &mut stack, out)?;
            }
            Child::Item(value) => begin(document, value, &mut stack, out)?,
            Child::Comment(_) => {}
        }
    }
    Ok(())
}

fn begin(
    document: &Document,
    id: NodeId,
    stack: &mut Vec<(NodeId, usize, bool)>,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let tree = document.tree();
    let id = match *tree.node(id) {
        Node::Alias { target, .. } => target,
        _ => id,
    };
    match tree.node(id) {
        Node::Map { .. } => {
            out.push(b'{');
            stack.push((id, 0, true));
        }
        Node::List { .. } => {
            out.push(b'[');
            stack.push((id, 0, true));
        }
        _ => scalar(document, id, out)?,
    }
    Ok(())
}

fn scalar(document: &Document, id: NodeId, out: &mut Vec<u8>) -> Result<(), Error> {
    let tree = document.tree();
    let Node::Scalar {
        span,
        style,
        tag,
        text,
        ..
    } = *tree.node(id)
    else {
        return Ok(());
    };
    let is_text = matches!(document.scalar(id)?, Scalar::Str(_));
    match tag {
        // What is no text stands plain and on one line: its own spelling will do.
        None if style == Style::Plain && !is_text => out.extend_from_slice(&document.source()[span.range()]),
        None => document::yaml::quoted(tree.text(document.source(), text), out),
        Some(tag) => {
            out.extend_from_slice(&document.source()[tag.range()]);
            out.push(b' ');
            document::yaml::quoted(tree.text(document.source(), text), out);
        }
    }
    Ok(())
}
