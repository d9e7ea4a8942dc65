//! The private keys at hand, and the order in which they are tried.

use secret::SecretBytes;

use crate::error::OpenError;
use crate::fingerprint::Fingerprint;
use crate::item::Item;
use crate::sealing_key::SealingKey;

/// Private keys, the newest first; keys whose age is not known come last.
#[derive(Debug, Default)]
pub struct SealingKeys {
    keys: Vec<SealingKey>,
}

impl SealingKeys {
    /// Adds a key. One that is there already is not added again, but gains its age if only the new one knows it.
    pub fn add(&mut self, key: SealingKey) {
        if let Some(known) = self
            .keys
            .iter_mut()
            .find(|known| known.fingerprint() == key.fingerprint())
        {
            if key.not_before() > known.not_before() {
                *known = key;
            }
        } else {
            self.keys.push(key);
        }
        // `None` is the least of all ages.
        self.keys.sort_by_key(|key| std::cmp::Reverse(key.not_before()));
    }

    /// All keys, the newest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &SealingKey> {
        self.keys.iter()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// The key of this fingerprint.
    pub fn get(&self, fingerprint: Fingerprint) -> Option<&SealingKey> {
        self.keys.iter().find(|key| key.fingerprint() == fingerprint)
    }

    /// The key that a hint names by the first digits of its fingerprint.
    pub fn hinted(&self, short: &str) -> Option<&SealingKey> {
        self.keys.iter().find(|key| key.fingerprint().short() == short)
    }

    /// Opens an item under a label: `first` are tried first, in their order, then all others from the newest to the
    /// oldest, each at most once. Keys whose size does not fit cost nothing.
    ///
    /// # Errors
    /// [`OpenError::Damaged`] as soon as a session key opens whose content does not, else [`OpenError::NoKey`].
    pub fn open<'k>(
        &'k self,
        item: &Item,
        label: &[u8],
        first: &[Fingerprint],
    ) -> Result<(SecretBytes, &'k SealingKey), OpenError> {
        let preferred = first.iter().filter_map(|print| self.get(*print));
        let others = self.keys.iter();
        let mut tried: Vec<Fingerprint> = Vec::new();
        for key in preferred.chain(others) {
            if !key.fits(item) || tried.contains(&key.fingerprint()) {
                continue;
            }
            tried.push(key.fingerprint());
            match key.open(item, label) {
                Ok(plaintext) => return Ok((plaintext, key)),
                Err(OpenError::NoKey) => {}
                Err(error) => return Err(error),
            }
        }
        Err(OpenError::NoKey)
    }
}
