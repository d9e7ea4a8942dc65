//! The home folder of the user.

use std::path::PathBuf;

/// What `HOME` says, as sops has it. Without it the user's entry is not looked up: that may load parts of another C
/// library into a program that has its own linked in.
pub(crate) fn home() -> Option<PathBuf> {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty())?;
    Some(home.into())
}
