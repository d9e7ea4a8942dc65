//! Why a SealedSecret does not open, in words that say what to do.

use std::path::Path;
use std::sync::{Mutex, PoisonError};

use sealed_secrets::{Candidates, Item, OpenError, Scope, SealedFor, SealedSecret, SealingKeys, diagnose};

use crate::error::{Code, Error};

/// Private operations that looking for reasons may take in one run: about three seconds with keys of 4,096 bits.
const MOST: usize = 2_000;

/// Names and namespaces that values may have been sealed for, and what is left to be tried.
pub(crate) struct Known {
    candidates: Candidates,
    left: Mutex<usize>,
}

impl Default for Known {
    fn default() -> Self {
        Self {
            candidates: Candidates::default(),
            left: Mutex::new(MOST),
        }
    }
}

impl Known {
    /// Adds what an object says of itself and of the Secret that it becomes.
    pub(crate) fn add(&mut self, sealed: &SealedSecret<'_>) {
        self.candidates
            .add(&sealed.metadata.namespace, &sealed.metadata.name);
        let template = sealed.template.and_then(|template| template.get("metadata"));
        if let Some(template) = template {
            let text = |name| template.text_at(name).unwrap_or_default();
            self.candidates.add(&text("namespace"), &text("name"));
        }
    }

    /// Adds what the path of a file says: folders are often named like namespaces, files like what they hold.
    pub(crate) fn add_path(&mut self, path: &Path) {
        let stem = path
            .file_stem()
            .and_then(|stem| stem.to_str())
            .unwrap_or_default();
        let first = stem.split('.').next().unwrap_or_default();
        for name in [stem, first] {
            self.candidates.add("", name);
        }
        for part in path.parent().into_iter().flat_map(Path::components) {
            if let std::path::Component::Normal(name) = part
                && let Some(name) = name.to_str()
            {
                self.candidates.add(name, "");
            }
        }
        self.candidates.add("default", "");
    }
}

/// An error that says why an item does not open: damaged, or sealed for somebody else, or for a key that is not here.
pub(crate) fn unopened(
    path: &Path,
    sealed: &SealedSecret<'_>,
    key: &str,
    error: &OpenError,
    keys: &SealingKeys,
    known: &Known,
) -> Error {
    let item = sealed.items.iter().find(|item| item.key == key);
    let field = item
        .map(|item| item.field)
        .or(sealed.whole)
        .unwrap_or(sealed.object.field);
    let place = if key.is_empty() {
        "spec.data".to_owned()
    } else {
        format!("spec.encryptedData.{key}")
    };
    let told = |code, why: String| Error::new(code, why).file(path).at(field.position()).path(&place);
    if *error != OpenError::NoKey {
        return told(Code::DecryptTree, error.to_string())
            .hint("take it from a version in git that is whole, or seal the value again");
    }
    let text = item.map(|item| item.text.clone()).or_else(|| field.text());
    let found = text.and_then(|text| Item::parse(&text).ok()).and_then(|item| {
        let mut left = known.left.lock().unwrap_or_else(PoisonError::into_inner);
        diagnose(&item, keys, &known.candidates, &mut left)
    });
    match found {
        Some(found) => told(Code::DataKey, sealed_for(&found)).hint(moved(sealed, &found)),
        None => told(
            Code::DataKey,
            format!("{} at hand and none opens it, in no scope and for none of the names that are known here", keys_are(keys)),
        )
        .hint("it was sealed for another key, or for a name or namespace that no file here has; it may have been cut off or changed inside"),
    }
}

fn keys_are(keys: &SealingKeys) -> String {
    match keys.iter().len() {
        1 => "1 key".to_owned(),
        count => format!("{count} keys"),
    }
}

fn sealed_for(found: &SealedFor) -> String {
    let whom = match found.scope {
        Scope::Strict => format!(
            "the name {:?} in the namespace {:?} (strict)",
            found.name, found.namespace
        ),
        Scope::NamespaceWide => format!("the namespace {:?} (namespace-wide)", found.namespace),
        Scope::ClusterWide => "any name and namespace (cluster-wide)".to_owned(),
    };
    let broken = if found.whole {
        ""
    } else {
        "; besides, its content is damaged"
    };
    format!(
        "it was sealed for {whom} and the key {}{broken}",
        found.key.short()
    )
}

/// What to do about a value that is sealed for somebody else.
fn moved(sealed: &SealedSecret<'_>, found: &SealedFor) -> String {
    let metadata = &sealed.metadata;
    if found.scope != sealed.scope {
        return match found.scope.annotation() {
            Some(annotation) => format!("the object lacks the annotation {annotation}: \"true\""),
            None => format!(
                "the object says {}, which the value was not sealed for: take that annotation away",
                sealed.scope.word()
            ),
        };
    }
    format!(
        "the object is {}/{}: give it back its name and namespace, or seal the value again",
        metadata.namespace, metadata.name
    )
}
