//! Marks of an unfinished git merge.

use memchr::memmem;

use crate::error::{Error, Position};

/// The error for a source that carries the mark of an unfinished merge at the beginning of a line.
///
/// # Errors
/// [`Error::Conflict`] at the first mark.
pub(crate) fn refuse(source: &[u8]) -> Result<(), Error> {
    let first = [b"<<<<<<< ".as_slice(), b">>>>>>> "]
        .iter()
        .filter_map(|mark| memmem::find_iter(source, mark).find(|at| starts_line(source, *at)))
        .min();
    match first {
        Some(at) => Err(Error::Conflict {
            at: Position::of(source, at),
        }),
        None => Ok(()),
    }
}

fn starts_line(source: &[u8], at: usize) -> bool {
    at == 0 || source[at - 1] == b'\n'
}
