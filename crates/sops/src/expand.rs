//! Aliases of sealed values. sops expands every alias when it reads; here an alias is written out only if
//! something below it, or below its anchor, is sealed: as one line in brackets, with its own sealed texts.

use document::{Child, Document, Edits, Node, NodeId, Style};

use crate::error::{Error, Warning};
use crate::plan::{AliasRange, Plan, Subject, locate};
use crate::texts::Texts;
use crate::value;

/// Records the edits that write out the aliases that `plan` marks as expanded.
pub(crate) fn expand(
    document: &Document,
    plan: &Plan<'_>,
    texts: &Texts,
    comment_rules: bool,
    edits: &mut Edits,
    warnings: &mut Vec<Warning>,
) -> Result<(), Error> {
    for alias in plan.aliases.iter().filter(|alias| alias.expanded) {
        let span = document.tree().node(alias.id).span();
        let at = document.position(span.start as usize);
        if comment_rules && alias.holds_comments {
            let (path, _) = locate(document, alias.ordinals.0);
            let why = "an alias copies values that a comment rule selects; write the values out";
            return Err(Error::Unsealable { at, path, why });
        }
        if alias.jobs.0 == alias.jobs.1 {
            warnings.push(Warning::ClearCopy { at });
        }
        let mut writer = Expansion {
            document,
            plan,
            texts,
            next: alias.jobs.0,
            ordinal: alias.ordinals.0,
            out: Vec::new(),
        };
        writer.node(alias)?;
        edits.replace(span, &[&writer.out]);
    }
    Ok(())
}

struct Expansion<'a> {
    document: &'a Document,
    plan: &'a Plan<'a>,
    texts: &'a Texts,
    /// The next job below the alias, and the next leaf or comment of the walk.
    next: usize,
    ordinal: usize,
    out: Vec<u8>,
}

impl Expansion<'_> {
    /// Writes what `alias` stands for. Containers wait on a stack of their own: depth costs no call stack.
    fn node(&mut self, alias: &AliasRange) -> Result<(), Error> {
        let (document, tree) = (self.document, self.document.tree());
        let bracketed = matches!(tree.node(alias.target), Node::Map { .. } | Node::List { .. })
            || document.is_in_brackets(alias.id);
        let mut stack: Vec<(NodeId, usize, bool)> = Vec::new();
        self.begin(alias.target, bracketed, &mut stack)?;
        while let Some((id, child, first)) = stack.pop() {
            let is_map = matches!(tree.node(id), Node::Map { .. });
            let Some(next) = tree.children(id).get(child) else {
                self.out.push(if is_map { b'}' } else { b']' });
                continue;
            };
            if let Child::Comment(_) = next {
                self.ordinal += 1;
                stack.push((id, child + 1, first));
                continue;
            }
            stack.push((id, child + 1, false));
            if !first {
                self.out.extend_from_slice(b", ");
            }
            match *next {
                Child::Entry { key, value, .. } => {
                    document::yaml::quoted(tree.text(document.source(), key), &mut self.out);
                    self.out.extend_from_slice(b": ");
                    self.begin(value, true, &mut stack)?;
                }
                Child::Item(value) => self.begin(value, true, &mut stack)?,
                Child::Comment(_) => {}
            }
        }
        Ok(())
    }

    fn begin(
        &mut self,
        id: NodeId,
        bracketed: bool,
        stack: &mut Vec<(NodeId, usize, bool)>,
    ) -> Result<(), Error> {
        let tree = self.document.tree();
        let id = match *tree.node(id) {
            Node::Alias { target, .. } => target,
            _ => id,
        };
        match tree.node(id) {
            Node::Map { .. } => {
                self.out.push(b'{');
                stack.push((id, 0, true));
            }
            Node::List { .. } => {
                self.out.push(b'[');
                stack.push((id, 0, true));
            }
            _ => self.scalar(id, bracketed)?,
        }
        Ok(())
    }

    fn scalar(&mut self, id: NodeId, bracketed: bool) -> Result<(), Error> {
        let job = self
            .plan
            .jobs
            .get(self.next)
            .filter(|job| job.ordinal == self.ordinal);
        self.ordinal += 1;
        if let Some(job) = job {
            debug_assert_eq!(job.subject, Subject::Leaf(id));
            let quote: &[u8] = if bracketed { b"\"" } else { b"" };
            for part in [quote, self.texts.get(self.next), quote] {
                self.out.extend_from_slice(part);
            }
            self.next += 1;
            return Ok(());
        }
        let scalar = self.document.scalar(id)?;
        let Node::Scalar { span, style, .. } = *self.document.tree().node(id) else {
            return Ok(());
        };
        match (value::plaintext(&scalar), style) {
            (None, _) => self.out.extend_from_slice(b"null"),
            // What is no text stands plain and on one line: its own spelling will do.
            (Some((ty, _)), Style::Plain) if ty != value::ValueType::Str => {
                self.out.extend_from_slice(&self.document.source()[span.range()]);
            }
            (Some((_, text)), _) => document::yaml::quoted(&text, &mut self.out),
        }
        Ok(())
    }
}
