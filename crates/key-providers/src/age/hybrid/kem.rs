//! MLKEM768-X25519, also known as X-Wing (draft-ietf-hpke-pq): a key encapsulation that holds as long as one of its
//! two parts does.
//!
//! ```text
//! seed             32 bytes; SHAKE-256 makes of it the 64 of ML-KEM (d, z) and the 32 of X25519
//! public key       1184 bytes of ML-KEM-768, 32 of X25519
//! what is sent     1088 bytes of ML-KEM-768, 32 of X25519
//! shared secret    SHA3-256 over both secrets, the X25519 share, the X25519 public key and a label
//! ```

use ml_kem::kem::Decapsulate as _;
use ml_kem::{
    B32, Ciphertext, EncapsulateDeterministic as _, Encoded, EncodedSizeUser as _, KemCore, MlKem768,
};
use sha3::digest::{ExtendableOutput as _, Update as _, XofReader as _};
use sha3::{Digest as _, Sha3_256, Shake256};
use zeroize::Zeroizing;

use crate::ProviderError;
use crate::age::x25519;

/// The identifier of this key encapsulation in HPKE.
pub(super) const ID: [u8; 2] = [0x64, 0x7a];
/// Bytes of a public key.
const PUBLIC_KEY: usize = ML_KEM_KEY + 32;
/// Bytes of what is sent.
const SHARE: usize = ML_KEM_CIPHERTEXT + 32;

const ML_KEM_KEY: usize = 1184;
const ML_KEM_CIPHERTEXT: usize = 1088;
const LABEL: &[u8; 6] = br"\.//^\";

type Encapsulation = <MlKem768 as KemCore>::EncapsulationKey;
type Decapsulation = <MlKem768 as KemCore>::DecapsulationKey;
type Secret = Zeroizing<[u8; 32]>;

/// A public key.
pub(super) struct PublicKey {
    ml_kem: Encapsulation,
    point: [u8; 32],
}

/// A private key with its public half.
pub(super) struct PrivateKey {
    ml_kem: Decapsulation,
    secret: Secret,
    point: [u8; 32],
}

impl PublicKey {
    /// `None` if the ML-KEM part is not as FIPS 203 (7.2) demands.
    pub(super) fn read(bytes: &[u8; PUBLIC_KEY]) -> Option<Self> {
        let (ml_kem, point) = bytes.split_first_chunk::<ML_KEM_KEY>()?;
        Some(Self {
            ml_kem: encapsulation_key(ml_kem)?,
            point: point.try_into().ok()?,
        })
    }

    /// What is sent, and the secret that its receiver will share.
    pub(super) fn encapsulate(&self) -> Result<([u8; SHARE], Secret), ProviderError> {
        let mut random = Zeroizing::new([0; 64]);
        getrandom::fill(&mut *random).map_err(|_| ProviderError::NoRandomness)?;
        let (message, ephemeral) = halves(&random);
        let (ciphertext, ml_kem) = encapsulate(&self.ml_kem, &message);
        let point = x25519::public(&ephemeral);
        let x25519 = x25519::agree(&ephemeral, &self.point)
            .ok_or_else(|| ProviderError::InvalidKey("it is a point of low order".to_owned()))?;
        let mut share = [0; SHARE];
        share[..ML_KEM_CIPHERTEXT].copy_from_slice(&ciphertext);
        share[ML_KEM_CIPHERTEXT..].copy_from_slice(&point);
        Ok((share, combined(&ml_kem, &x25519, &point, &self.point)))
    }
}

impl PrivateKey {
    pub(super) fn from_seed(seed: &[u8; 32]) -> Self {
        let mut stream = Shake256::default().chain(seed).finalize_xof();
        let mut ml_kem = Zeroizing::new([0; 64]);
        stream.read(&mut *ml_kem);
        let mut secret = Secret::default();
        stream.read(&mut *secret);
        Self {
            ml_kem: decapsulation_key(&ml_kem),
            point: x25519::public(&secret),
            secret,
        }
    }

    /// The bytes of its public key.
    pub(super) fn public_key(&self) -> [u8; PUBLIC_KEY] {
        let mut bytes = [0; PUBLIC_KEY];
        bytes[..ML_KEM_KEY].copy_from_slice(&self.ml_kem.encapsulation_key().as_bytes());
        bytes[ML_KEM_KEY..].copy_from_slice(&self.point);
        bytes
    }

    /// The secret that was shared by sending `share`, or a random one if that was made for another key. `None` if
    /// its point is of low order.
    pub(super) fn decapsulate(&self, share: &[u8; SHARE]) -> Option<Secret> {
        let (ciphertext, point) = share.split_first_chunk::<ML_KEM_CIPHERTEXT>()?;
        let point = point.try_into().ok()?;
        let x25519 = x25519::agree(&self.secret, point)?;
        let ml_kem = decapsulate(&self.ml_kem, ciphertext);
        Some(combined(&ml_kem, &x25519, point, &self.point))
    }
}

fn combined(ml_kem: &[u8; 32], x25519: &[u8; 32], share: &[u8; 32], point: &[u8; 32]) -> Secret {
    let hash = Sha3_256::new()
        .chain_update(ml_kem)
        .chain_update(x25519)
        .chain_update(share)
        .chain_update(point)
        .chain_update(LABEL);
    Zeroizing::new(hash.finalize().into())
}

fn halves(bytes: &[u8; 64]) -> (Secret, Secret) {
    let (mut first, mut second) = (Secret::default(), Secret::default());
    first.copy_from_slice(&bytes[..32]);
    second.copy_from_slice(&bytes[32..]);
    (first, second)
}

// ML-KEM-768, behind arrays of bytes.

/// The private key that grows from d and z.
fn decapsulation_key(seed: &[u8; 64]) -> Decapsulation {
    let (d, z) = halves(seed);
    MlKem768::generate_deterministic(&B32::from(*d), &B32::from(*z)).0
}

/// A public key; `None` if one of its numbers is not reduced, which the crate does not look at.
fn encapsulation_key(bytes: &[u8; ML_KEM_KEY]) -> Option<Encapsulation> {
    let bytes = <&Encoded<Encapsulation>>::from(bytes);
    let key = Encapsulation::from_bytes(bytes);
    (key.as_bytes() == *bytes).then_some(key)
}

fn encapsulate(key: &Encapsulation, message: &[u8; 32]) -> ([u8; ML_KEM_CIPHERTEXT], Secret) {
    let (ciphertext, secret) = key
        .encapsulate_deterministic(&B32::from(*message))
        .expect("encapsulation cannot fail");
    (ciphertext.into(), Zeroizing::new(secret.into()))
}

fn decapsulate(key: &Decapsulation, ciphertext: &[u8; ML_KEM_CIPHERTEXT]) -> Secret {
    let secret = key
        .decapsulate(<&Ciphertext<MlKem768>>::from(ciphertext))
        .expect("decapsulation cannot fail");
    Zeroizing::new(secret.into())
}

#[cfg(test)]
mod tests;
