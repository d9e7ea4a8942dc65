//! Getting the data key of a file back.

use std::sync::Arc;

use secret::SecretBytes;
use sops::shamir::{self, Quorum, QuorumError};
use sops::{DataKey, KeyEntry, KeyKind, MasterKey, Metadata};

use super::Keyring;
use super::report::{GroupFailure, KeyFailure, UnwrapFailure};
use crate::provider::ProviderError;
use crate::race::Race;

/// Length of a share of a data key, in bytes: the values, then the number.
const SHARE_LEN: usize = 33;

/// A data key that was unwrapped.
#[derive(Debug)]
pub struct Opened {
    /// The key.
    pub data_key: DataKey,
    /// Whether the caller's check accepted it. If not, either what the check looks at was changed, or the key
    /// is another file's.
    pub verified: bool,
    /// Groups whose share was wrong or replaced. Only groups that answered before enough others did are known.
    pub bad_groups: Vec<usize>,
}

/// What one group gave: its share, or why none of its keys did.
type GroupResult = Result<Arc<SecretBytes>, Vec<KeyFailure>>;

impl Keyring {
    /// Unwraps the data key of a file.
    ///
    /// Within a group all keys are tried concurrently, those of the kinds in `order` first ([`DEFAULT_ORDER`]
    /// unless configured), and the first success cancels the rest. Several groups give shares; as soon as
    /// enough have answered and `check` accepts a combination, the rest is cancelled. `check` tells this
    /// file's data key from another one, say by opening its MAC. If it accepts none, a key that the file leads
    /// to without contradiction is returned as not verified, so that the caller can say what is wrong.
    ///
    /// # Errors
    /// A report on every key, with the exit code that SOPS gives.
    ///
    /// [`DEFAULT_ORDER`]: super::DEFAULT_ORDER
    pub async fn unwrap(
        &self,
        metadata: &Metadata,
        order: &[KeyKind],
        check: &(dyn Fn(&DataKey) -> bool + Sync),
    ) -> Result<Opened, UnwrapFailure> {
        let needed = metadata.threshold().map_err(UnwrapFailure::metadata)?;
        match metadata.groups.as_slice() {
            [group] => self.unwrap_single(group, order, check).await,
            groups => self.unwrap_shared(groups, needed, order, check).await,
        }
    }

    async fn unwrap_single(
        &self,
        group: &[KeyEntry],
        order: &[KeyKind],
        check: &(dyn Fn(&DataKey) -> bool + Sync),
    ) -> Result<Opened, UnwrapFailure> {
        let entries = sorted(group, order);
        let held = self.held(&entries).and_then(|held| data_key(&held).ok());
        if let Some(data_key) = held.filter(check) {
            return Ok(Opened {
                data_key,
                verified: true,
                bad_groups: Vec::new(),
            });
        }
        let mut race = Race::new(entries.iter().map(|entry| self.unwrap_entry(entry)));
        let mut failures = Failures::new(&entries);
        let mut unverified = None;
        while let Some((at, result)) = race.first().await {
            match result.and_then(|plaintext| data_key(&plaintext).map_err(|error| vec![error])) {
                Ok(data_key) if check(&data_key) => {
                    return Ok(Opened {
                        data_key,
                        verified: true,
                        bad_groups: Vec::new(),
                    });
                }
                Ok(data_key) => {
                    unverified.get_or_insert(data_key);
                }
                Err(errors) => failures.add(at, errors),
            }
        }
        match unverified {
            Some(data_key) => Ok(Opened {
                data_key,
                verified: false,
                bad_groups: Vec::new(),
            }),
            None => Err(UnwrapFailure::keys(
                1,
                1,
                vec![GroupFailure {
                    group: 0,
                    keys: failures.into_keys(),
                }],
            )),
        }
    }

    async fn unwrap_shared(
        &self,
        groups: &[Vec<KeyEntry>],
        needed: u8,
        order: &[KeyKind],
        check: &(dyn Fn(&DataKey) -> bool + Sync),
    ) -> Result<Opened, UnwrapFailure> {
        let mut race = Race::new(groups.iter().map(|group| self.unwrap_share(group, order)));
        let mut shares: Vec<(usize, SecretBytes)> = Vec::new();
        let mut failures = Vec::new();
        loop {
            let batch = race.batch().await;
            if batch.is_empty() {
                break;
            }
            let before = shares.len();
            for (group, result) in batch {
                match result {
                    Ok(share) => shares.push((group, SecretBytes::copy_from(share.expose()))),
                    Err(keys) => failures.push(GroupFailure { group, keys }),
                }
            }
            if shares.len() > before
                && shares.len() >= usize::from(needed)
                && let Ok(found) = shamir::quorum(&shares, needed, &mut |key| check(key))
            {
                return Ok(Opened {
                    data_key: found.key,
                    verified: true,
                    bad_groups: found.bad,
                });
            }
        }
        failures.sort_by_key(|failure| failure.group);
        match without_check(&shares, needed) {
            Ok(found) => Ok(Opened {
                data_key: found.key,
                verified: false,
                bad_groups: found.bad,
            }),
            Err(error) => Err(UnwrapFailure::shares(
                groups.len(),
                needed,
                failures,
                shares.len(),
                error,
            )),
        }
    }

    async fn unwrap_share(&self, group: &[KeyEntry], order: &[KeyKind]) -> GroupResult {
        let entries = sorted(group, order);
        if let Some(share) = self.held(&entries).filter(|share| share.len() == SHARE_LEN) {
            return Ok(Arc::new(share));
        }
        let mut race = Race::new(entries.iter().map(|entry| self.unwrap_entry(entry)));
        let mut failures = Failures::new(&entries);
        let mut malformed = None;
        while let Some((at, result)) = race.first().await {
            match result {
                Ok(share) if share.len() == SHARE_LEN => return Ok(share),
                // Another key of the group may hold a better one; if not, the group is bad, not locked.
                Ok(share) => malformed = Some(share),
                Err(errors) => failures.add(at, errors),
            }
        }
        malformed.ok_or_else(|| failures.into_keys())
    }
}

/// The key on which all shares agree. When there are no more than needed, there is nothing to contradict.
fn without_check(shares: &[(usize, SecretBytes)], needed: u8) -> Result<Quorum, QuorumError> {
    // The first attempt is made of all shares and fits them by construction; the second one is made of just
    // enough, and the others bear witness.
    let mut attempts = 0;
    let found = shamir::quorum(shares, needed, &mut |_| {
        attempts += 1;
        attempts > 1 || shares.len() == usize::from(needed)
    })?;
    match found.bad.is_empty() {
        true => Ok(found),
        false => shamir::quorum(shares, needed, &mut |_| false),
    }
}

fn data_key(plaintext: &SecretBytes) -> Result<DataKey, ProviderError> {
    DataKey::from_slice(plaintext.expose()).ok_or_else(|| wrong_length(32, plaintext.len()))
}

fn wrong_length(due: usize, found: usize) -> ProviderError {
    ProviderError::Damaged(format!("it holds {found} bytes instead of {due}"))
}

/// Stable: kinds that `order` does not name come last, in the order of the file.
fn sorted<'a>(group: &'a [KeyEntry], order: &[KeyKind]) -> Vec<&'a KeyEntry> {
    let mut entries: Vec<&KeyEntry> = group.iter().collect();
    entries.sort_by_key(|entry| {
        let kind = entry.master_key().map(MasterKey::key_kind);
        order
            .iter()
            .position(|first| Some(*first) == kind)
            .unwrap_or(order.len())
    });
    entries
}

/// Failures in the order of the entries, in whatever order they arrive.
struct Failures<'a> {
    entries: &'a [&'a KeyEntry],
    errors: Vec<(usize, Vec<ProviderError>)>,
}

impl<'a> Failures<'a> {
    fn new(entries: &'a [&'a KeyEntry]) -> Self {
        Self {
            entries,
            errors: Vec::new(),
        }
    }

    fn add(&mut self, at: usize, errors: Vec<ProviderError>) {
        self.errors.push((at, errors));
    }

    fn into_keys(mut self) -> Vec<KeyFailure> {
        self.errors.sort_by_key(|(at, _)| *at);
        let entries = self.entries;
        let failure = |(at, error): (usize, ProviderError)| {
            let entry: &KeyEntry = entries[at];
            let name = entry.master_key().map_or_else(String::new, ToString::to_string);
            KeyFailure {
                kind: entry.kind().to_owned(),
                name,
                error,
            }
        };
        let each = |(at, errors): (usize, Vec<_>)| errors.into_iter().map(move |error| (at, error));
        self.errors.into_iter().flat_map(each).map(failure).collect()
    }
}
