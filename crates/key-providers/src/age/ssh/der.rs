//! As much DER as RSA keys need: SSH keeps the numbers of a key apart, aws-lc wants them in PKCS#8 and SPKI.

use zeroize::Zeroizing;

const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const SEQUENCE: u8 = 0x30;
/// `SEQUENCE { rsaEncryption, NULL }`
const RSA: [u8; 15] = [
    0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];
/// All of PKCS#8 for Ed25519 but the seed.
const ED25519: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// Encoded bytes, which may hold a private key.
pub(super) type Der = Zeroizing<Vec<u8>>;

/// SubjectPublicKeyInfo of an RSA key.
pub(super) fn public_key(n: &[u8], e: &[u8]) -> Der {
    let numbers = element(SEQUENCE, &[&integer(n), &integer(e)]);
    element(SEQUENCE, &[&RSA, &element(BIT_STRING, &[&[0], &numbers])])
}

/// RSAPrivateKey (PKCS#1): n, e, d, p, q, d mod p-1, d mod q-1, 1/q mod p.
pub(super) fn pkcs1(numbers: [&[u8]; 8]) -> Der {
    let numbers = numbers.map(integer);
    let [n, e, d, p, q, dp, dq, qi] = numbers.each_ref().map(|number| number.as_slice());
    element(SEQUENCE, &[&integer(&[0]), n, e, d, p, q, dp, dq, qi])
}

/// PrivateKeyInfo (PKCS#8) around an RSAPrivateKey.
pub(super) fn pkcs8(pkcs1: &[u8]) -> Der {
    element(
        SEQUENCE,
        &[&integer(&[0]), &RSA, &element(OCTET_STRING, &[pkcs1])],
    )
}

/// The RSAPrivateKey inside a PrivateKeyInfo.
pub(super) fn pkcs1_of(pkcs8: &[u8]) -> Option<&[u8]> {
    let (mut inside, []) = take(SEQUENCE, pkcs8)? else {
        return None;
    };
    (_, inside) = take(INTEGER, inside)?;
    inside = inside.strip_prefix(&RSA)?;
    Some(take(OCTET_STRING, inside)?.0)
}

/// The modulus and the public exponent of an RSAPrivateKey, without leading zeros.
pub(super) fn numbers_of(pkcs1: &[u8]) -> Option<(&[u8], &[u8])> {
    let (inside, []) = take(SEQUENCE, pkcs1)? else {
        return None;
    };
    let (_version, inside) = take(INTEGER, inside)?;
    let (n, inside) = take(INTEGER, inside)?;
    let (e, _) = take(INTEGER, inside)?;
    let stripped = |number: &'_ [u8]| number.iter().take_while(|byte| **byte == 0).count();
    Some((&n[stripped(n)..], &e[stripped(e)..]))
}

/// The seed inside a PrivateKeyInfo of an Ed25519 key.
pub(super) fn ed25519_seed(pkcs8: &[u8]) -> Option<[u8; 32]> {
    pkcs8.strip_prefix(&ED25519)?.try_into().ok()
}

fn integer(number: &[u8]) -> Der {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let number = &number[zeros..];
    let sign: &[u8] = match number.first() {
        None | Some(0x80..) => &[0],
        Some(_) => &[],
    };
    element(INTEGER, &[sign, number])
}

fn element(tag: u8, parts: &[&[u8]]) -> Der {
    let len: usize = parts.iter().map(|part| part.len()).sum();
    let mut out = Zeroizing::new(Vec::with_capacity(len + 10));
    out.push(tag);
    match u8::try_from(len) {
        Ok(short @ ..0x80) => out.push(short),
        _ => {
            let bytes = len.to_be_bytes();
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            out.push(0x80 | (bytes.len() - zeros) as u8);
            out.extend_from_slice(&bytes[zeros..]);
        }
    }
    for part in parts {
        out.extend_from_slice(part);
    }
    out
}

/// The content of the element that `der` starts with, and what follows it.
fn take(tag: u8, der: &[u8]) -> Option<(&[u8], &[u8])> {
    let (&first, rest) = der.strip_prefix(&[tag])?.split_first()?;
    let (len, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (
                bytes.iter().fold(0, |len, byte| len << 8 | usize::from(*byte)),
                rest,
            )
        }
        _ => return None,
    };
    rest.split_at_checked(len)
}
