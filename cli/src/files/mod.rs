//! Every file that is read or written, the only place that does so.
//!
//! - [`Target`]: a file changed in place: locked, read, replaced in one step by a complete new file.
//! - [`create_fresh`], [`OutputDir`]: new outputs.
//! - [`read`], [`read_stdin`], [`write_stdout`]: inputs that stay as they are, and the standard streams.
//! - [`read_to_change`]: a first look at a file that is changed in place later.
//!
//! A crash, a full disk or a signal leaves the old file or the new one, never neither and never a part. All
//! calls are relative to a folder that was opened once, so a folder swapped for a link in between cannot send
//! a write elsewhere. Everything happens on the calling thread, in an order that depends on nothing but the
//! arguments, so a fault injected at the n-th system call hits the same place every time.
//!
//! # What this does not do
//! It cannot stop programs that ignore the lock from writing between the last look and the rename; it only
//! notices what happened before. A failure to close is not looked at: data is on the disk once fsync says so.

mod attributes;
mod fresh;
mod input;
mod place;
mod target;
mod temporary;

pub(crate) use fresh::{Access, Existing, OutputDir, create_fresh, write_stdout};
pub(crate) use input::{Cap, read, read_stdin, read_to_change};
pub(crate) use target::Target;
pub(crate) use temporary::is_own as is_own_temporary;

use std::io;
use std::path::Path;

use crate::error::{Code, Error};

/// A failed write, with the hint that fits its cause.
fn cannot_write(path: &Path, step: &'static str, cause: impl Into<io::Error>) -> Error {
    let cause = cause.into();
    let error = Error::new(Code::Write, format!("cannot write: {step}"))
        .file(path)
        .cause(&cause);
    match cause.kind() {
        io::ErrorKind::StorageFull => error.hint("the disk is full: make room and run the command again"),
        io::ErrorKind::QuotaExceeded => {
            error.hint("the disk quota is used up: make room and run the command again")
        }
        io::ErrorKind::ReadOnlyFilesystem => error.hint("the file system is mounted read-only"),
        io::ErrorKind::PermissionDenied => {
            error.hint("writing needs permission on the file and on its folder")
        }
        _ => error,
    }
}
