//! What a replaced file keeps besides its name: owner, group, permissions, access list, own attributes.
//!
//! Where the system does not let us keep something, permissions only ever get narrower and the caller is told.

use std::ffi::{CStr, CString};
use std::os::fd::OwnedFd;

use rustix::fs::{Gid, Mode, Stat, Uid, XattrFlags};
use rustix::io::Errno;

const ACCESS_LIST: &CStr = c"system.posix_acl_access";
/// More than Linux allows for one list or one value.
const LARGEST: usize = 64 << 10;

/// Gives `to` what `from`, last seen as `seen`, has. Returns what could not be kept, in words.
///
/// # Errors
/// When the permissions themselves cannot be set.
pub(super) fn keep(to: &OwnedFd, from: &OwnedFd, seen: &Stat) -> Result<Vec<String>, Errno> {
    let mut lost = Vec::new();
    let mut mode = seen.st_mode & 0o7777;
    let now = rustix::fs::fstat(to)?;
    if now.st_uid != seen.st_uid && rustix::fs::fchown(to, Some(Uid::from_raw(seen.st_uid)), None).is_err() {
        lost.push(format!(
            "the owner could not be kept: it was {}, it is {}",
            seen.st_uid, now.st_uid
        ));
        mode &= !0o6000;
    }
    let mut same_group = true;
    if now.st_gid != seen.st_gid && rustix::fs::fchown(to, None, Some(Gid::from_raw(seen.st_gid))).is_err() {
        lost.push(format!(
            "the group could not be kept: it was {}, it is {}",
            seen.st_gid, now.st_gid
        ));
        // The new group gets no more than everyone.
        mode = mode & !0o6070 | (mode & 0o007) << 3;
        same_group = false;
    }
    rustix::fs::fchmod(to, Mode::from_raw_mode(mode))?;
    keep_extended(to, from, same_group, &mut lost);
    Ok(lost)
}

/// Copies the access list and what programs of the user's attached. An access list that the folder gave to
/// the new file by default, and the old file did not have, is taken off.
fn keep_extended(to: &OwnedFd, from: &OwnedFd, same_group: bool, lost: &mut Vec<String>) {
    let Ok(names) = names(from) else { return };
    if !names.iter().any(|name| name.as_c_str() == ACCESS_LIST) {
        let _ = rustix::fs::fremovexattr(to, ACCESS_LIST);
    }
    for name in names {
        let wanted = name.as_bytes().starts_with(b"user.")
            || name.as_c_str() == c"security.selinux"
            || (name.as_c_str() == ACCESS_LIST && same_group);
        if !wanted {
            continue;
        }
        let copied = value(from, &name)
            .and_then(|value| rustix::fs::fsetxattr(to, &name, &value, XattrFlags::empty()));
        if copied.is_err() && !name.as_bytes().starts_with(b"security.") {
            lost.push(format!(
                "the attribute {} could not be kept",
                name.to_string_lossy()
            ));
        }
    }
}

fn names(from: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut list = vec![0; LARGEST];
    let length = rustix::fs::flistxattr(from, &mut list[..])?;
    let names = list[..length]
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    Ok(names.filter_map(|name| CString::new(name).ok()).collect())
}

fn value(from: &OwnedFd, name: &CStr) -> Result<Vec<u8>, Errno> {
    let mut value = vec![0; LARGEST];
    let length = rustix::fs::fgetxattr(from, name, &mut value[..])?;
    value.truncate(length);
    Ok(value)
}
