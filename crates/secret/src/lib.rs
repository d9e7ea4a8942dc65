//! Values that must not leak.
//!
//! [`SecretBytes`] owns bytes that are wiped when dropped, print as a redaction, and leave only through
//! [`SecretBytes::expose`], so that one search for `expose` finds every place where a secret is looked at.
//!
//! # What this does not do
//! It does not lock pages, and it knows nothing of copies that foreign libraries make while they work;
//! SECURITY.md lists those. It never reads a clock, a file or a random source.

#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use subtle::ConstantTimeEq;
use zeroize::{Zeroize, Zeroizing};

/// Bytes that are wiped on drop and never printed.
///
/// There is no `Clone`, `Display`, `PartialEq` or serialisation on purpose (LK-03, CR-12):
///
/// ```
/// let pin = secret::SecretBytes::new(b"1234".to_vec());
/// assert_eq!(format!("{pin:?}"), "SecretBytes(***)");
/// assert_eq!(pin.expose(), b"1234");
/// ```
///
/// ```compile_fail
/// let pin = secret::SecretBytes::new(b"1234".to_vec());
/// let copy = pin.clone();
/// ```
///
/// ```compile_fail
/// println!("{}", secret::SecretBytes::new(b"1234".to_vec()));
/// ```
///
/// ```compile_fail
/// let pin = secret::SecretBytes::new(b"1234".to_vec());
/// assert!(pin == secret::SecretBytes::new(b"1234".to_vec()));
/// ```
#[derive(Default)]
pub struct SecretBytes(Zeroizing<Vec<u8>>);

impl SecretBytes {
    /// Takes ownership; the vector's buffer is wiped when this value is dropped.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Copies `bytes`. The caller keeps the duty of wiping its own copy.
    pub fn copy_from(bytes: &[u8]) -> Self {
        Self::new(bytes.to_vec())
    }

    /// The bytes themselves: the only way out.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// The bytes themselves, to be changed in place. Growing them may leave an unwiped copy only if the
    /// allocator does not wipe; both binaries run on one that does.
    pub fn expose_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }

    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no bytes at all.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both hold the same bytes, in time that depends on the lengths only.
    pub fn ct_eq(&self, other: &Self) -> bool {
        ct_eq(&self.0, &other.0)
    }
}

impl From<Vec<u8>> for SecretBytes {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl fmt::Debug for SecretBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SecretBytes(***)")
    }
}

impl Zeroize for SecretBytes {
    fn zeroize(&mut self) {
        self.0.zeroize();
    }
}

/// Named secret values, such as the data of a Kubernetes Secret. Names are public, values are not.
pub type SecretData = BTreeMap<String, SecretBytes>;

/// Whether `a` and `b` are equal, in time that depends on the lengths only. Every comparison of a MAC, a
/// tag or a token goes through here.
pub fn ct_eq(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// Overwrites 256 KiB of the stack below the caller, where calls that have returned left copies of keys and values that
/// nothing owns any more.
#[inline(never)]
pub fn wipe_stack() {
    let mut left_behind = [0_u8; 256 * 1024];
    core::hint::black_box(&mut left_behind);
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn debug_is_a_redaction_even_inside_other_values() {
        let held = Some(SecretBytes::copy_from(b"canary"));
        assert_eq!(format!("{held:?}"), "Some(SecretBytes(***))");
    }

    #[test]
    fn comparison_sees_length_and_content() {
        assert!(ct_eq(b"abc", b"abc"));
        assert!(!ct_eq(b"abc", b"abd"));
        assert!(!ct_eq(b"abc", b"ab"));
        assert!(SecretBytes::copy_from(b"x").ct_eq(&SecretBytes::copy_from(b"x")));
    }

    #[test]
    fn zeroize_empties_the_value() {
        let mut held = SecretBytes::copy_from(b"canary");
        held.zeroize();
        assert!(held.is_empty());
    }
}
