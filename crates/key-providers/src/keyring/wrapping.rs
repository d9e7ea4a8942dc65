//! Wrapping a data key for every master key of every group.

use std::future::Future;

use secret::SecretBytes;
use sops::shamir::{self, RandomFailed};
use sops::{DataKey, KeyEntry, KeyGroup, MasterKey};

use super::report::{KeyFailure, WrapFailure};
use super::{GroupFailure, Keyring};
use crate::provider::ProviderError;
use crate::race::Race;

/// What goes into the metadata of a file.
#[derive(Debug)]
pub struct Wrapped {
    /// Every key with what it wraps, in the given order.
    pub groups: Vec<KeyGroup>,
    /// How many groups are needed; `None` for a single group.
    pub shamir_threshold: Option<u8>,
}

/// What a key wrapped, with the key as it is to stand beside that; or why no provider did it.
type Answered = Result<(MasterKey, String), Vec<ProviderError>>;

impl Keyring {
    /// Wraps `data_key` for every key of every group, all concurrently. With several groups the key is first
    /// split into shares, of which `threshold` give it back; none or zero stands for all. `now` becomes the
    /// `created_at` of the entries that have one. `rng` is used up before the future first runs.
    ///
    /// # Errors
    /// If any key fails, all fail: a file is never written for only some of its keys.
    pub fn wrap<'a>(
        &'a self,
        groups: &'a [Vec<MasterKey>],
        threshold: Option<u8>,
        data_key: &DataKey,
        now: &'a str,
        rng: &mut dyn FnMut(&mut [u8]) -> Result<(), RandomFailed>,
    ) -> impl Future<Output = Result<Wrapped, WrapFailure>> + Send + use<'a> {
        let shares = shares(groups, threshold, data_key, rng);
        async move {
            let (shares, shamir_threshold) = shares?;
            let groups = self.wrap_shares(groups, &shares, now).await?;
            Ok(Wrapped {
                groups,
                shamir_threshold,
            })
        }
    }

    async fn wrap_shares(
        &self,
        groups: &[Vec<MasterKey>],
        shares: &[SecretBytes],
        now: &str,
    ) -> Result<Vec<KeyGroup>, WrapFailure> {
        let jobs = groups
            .iter()
            .zip(shares)
            .flat_map(|(group, share)| group.iter().map(move |key| (key, share)));
        let mut race = Race::new(jobs.map(|(key, share)| self.wrap_for(key, share)));
        let mut results: Vec<Option<Answered>> = Vec::new();
        results.resize_with(groups.iter().map(Vec::len).sum(), || None);
        loop {
            let batch = race.batch().await;
            if batch.is_empty() {
                break;
            }
            for (at, result) in batch {
                results[at] = Some(result);
            }
        }

        let mut results = results.into_iter().flatten();
        let mut wrapped = Vec::with_capacity(groups.len());
        let mut failures = Vec::new();
        for (number, group) in groups.iter().enumerate() {
            let mut entries = Vec::with_capacity(group.len());
            let mut keys = Vec::new();
            for (key, result) in group.iter().zip(results.by_ref()) {
                match result {
                    Ok((key, enc)) => entries.push(KeyEntry::new(key, now.to_owned(), enc)),
                    Err(errors) => keys.extend(errors.into_iter().map(|error| KeyFailure {
                        kind: key.kind().to_owned(),
                        name: key.to_string(),
                        error,
                    })),
                }
            }
            if !keys.is_empty() {
                failures.push(GroupFailure { group: number, keys });
            }
            wrapped.push(entries);
        }
        match failures.is_empty() {
            true => Ok(wrapped),
            false => Err(WrapFailure::Keys {
                groups: groups.len(),
                failures,
            }),
        }
    }
}

/// One plaintext for each group, and the threshold to note.
fn shares(
    groups: &[Vec<MasterKey>],
    threshold: Option<u8>,
    data_key: &DataKey,
    rng: &mut dyn FnMut(&mut [u8]) -> Result<(), RandomFailed>,
) -> Result<(Vec<SecretBytes>, Option<u8>), WrapFailure> {
    if let Some(group) = groups.iter().position(Vec::is_empty) {
        return Err(WrapFailure::EmptyGroup(group));
    }
    match u8::try_from(groups.len()) {
        Ok(0) => Err(WrapFailure::NoKeys),
        Ok(1) => Ok((vec![SecretBytes::copy_from(data_key.expose())], None)),
        Ok(count) => {
            let threshold = threshold.filter(|threshold| *threshold > 0).unwrap_or(count);
            let shares =
                shamir::split(data_key.expose(), count, threshold, rng).map_err(WrapFailure::Split)?;
            Ok((shares, Some(threshold)))
        }
        Err(_) => Err(WrapFailure::TooManyGroups(groups.len())),
    }
}
