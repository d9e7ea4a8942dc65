//! What can be said of a file without its key.

use document::Document;

use crate::error::Error;
use crate::metadata::Metadata;
use crate::open::selector;
use crate::plan::{Plan, Subject, locate};
use crate::rules::Rules;
use crate::value::{Sealed, ValueError, ValueType};
use crate::values::text;

/// Every value of a sealed file that is not the ciphertext it should be, and what is missing of its seals.
/// Comments that rules would have to read are taken as they stand.
///
/// # Errors
/// When the file's rule cannot be used.
pub fn check(document: &Document, metadata: &Metadata) -> Result<Vec<Error>, Error> {
    let plan = Plan::new(document, &selector(document, &metadata.rules)?, &mut |_, _| None)?;
    let mut found = Vec::new();
    match metadata.mac.as_deref().map(|mac| Sealed::parse(mac.as_bytes())) {
        Some(Ok(Some(_))) => {}
        Some(_) => found.push(Error::NoMac("it does not read as a sealed value")),
        None => found.push(Error::NoMac("the file has none")),
    }
    for job in &plan.jobs {
        let place = || {
            let (path, offset) = locate(document, job.ordinal);
            (document.position(offset), path)
        };
        let is_leaf = matches!(job.subject, Subject::Leaf(_));
        match Sealed::parse(text(document, job)) {
            Ok(Some(sealed)) if !is_leaf || !matches!(sealed.ty, ValueType::Comment | ValueType::Bytes) => {}
            Ok(Some(_)) => {
                let (at, path) = place();
                found.push(Error::Value {
                    at,
                    path,
                    why: ValueError::UnknownType,
                });
            }
            Ok(None) => {
                let (at, path) = place();
                found.push(Error::Unsealed { at, path });
            }
            Err(why) => {
                let (at, path) = place();
                found.push(Error::Value { at, path, why });
            }
        }
    }
    Ok(found)
}

/// Every value of an author's file that `rules` want sealed.
///
/// # Errors
/// When the rule cannot be used.
pub fn unsealed(document: &Document, rules: &Rules) -> Result<Vec<Error>, Error> {
    let plan = Plan::new(document, &selector(document, rules)?, &mut |_, _| None)?;
    let leaves = plan
        .jobs
        .iter()
        .filter(|job| matches!(job.subject, Subject::Leaf(_)));
    Ok(leaves
        .map(|job| {
            let (path, offset) = locate(document, job.ordinal);
            Error::Unsealed {
                at: document.position(offset),
                path,
            }
        })
        .collect())
}
