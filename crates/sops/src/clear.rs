//! What stays in clear must read the same with every version of sops, for the MAC covers it.

use document::{Document, Event, Scalar};

use crate::error::{Error, Warning};
use crate::plan::{Plan, locate};

/// Refuses clear values that versions of sops hash differently, and warns of sealed ones that they read
/// differently.
pub(crate) fn check_clear(
    document: &Document,
    plan: &Plan<'_>,
    warnings: &mut Vec<Warning>,
) -> Result<(), Error> {
    let is_json = document.format() == document::Format::Json;
    if !is_json && document.format() != document::Format::Yaml {
        return Ok(());
    }
    let (mut next, mut ordinal) = (0, 0);
    for event in document.walk() {
        let (Event::Leaf(_) | Event::Comment(_) | Event::Lost(..)) = event else {
            continue;
        };
        let sealed = plan.jobs.get(next).is_some_and(|job| job.ordinal == ordinal);
        next += usize::from(sealed);
        ordinal += 1;
        let Event::Leaf(id) = event else { continue };
        let big = document.is_big_integer(id);
        if sealed && big {
            let (path, offset) = locate(document, ordinal - 1);
            warnings.push(Warning::BigNumber {
                at: document.position(offset),
                path,
            });
        } else if !sealed {
            // 3.11 hashes them as floats, 3.13 as whole numbers: beyond 2^53 and for -0 that is not the same.
            let span = document.tree().node(id).span();
            let unsafe_json = is_json
                && match document.scalar(id)? {
                    Scalar::Int(0) => document.source()[span.range()].starts_with(b"-"),
                    Scalar::Int(number) => number.unsigned_abs() > 1 << 53,
                    _ => false,
                };
            if big || unsafe_json {
                let (path, offset) = locate(document, ordinal - 1);
                let why = "this whole number is read differently by different versions of sops; \
                           put it in quotes or seal it";
                return Err(Error::Unsealable {
                    at: document.position(offset),
                    path,
                    why,
                });
            }
        }
    }
    Ok(())
}
