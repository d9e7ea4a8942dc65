//! Keys with an end: in memory that is not swapped out, where the system allows that.
//!
//! Times are those of a clock that goes on while the machine sleeps, counted from any moment.

use std::collections::HashMap;
use std::time::Duration;

use region::LockGuard;
use secret::SecretBytes;
use zeroize::Zeroize as _;

use super::Mark;

/// At most so many keys are held; then the one that would be forgotten first makes place.
const MOST: usize = 4096;
/// Bytes for each: a data key has 32, a share 33.
pub(super) const LONGEST: usize = 64;

/// One key, for the eyes of its owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The master key that wrapped it.
    pub name: String,
    /// How long it is still held.
    pub left: Duration,
    /// How often it was asked for.
    pub uses: u64,
}

pub(super) struct Cache {
    /// Never grows, so that it is never copied and stays locked.
    memory: Box<[u8]>,
    free: Vec<usize>,
    entries: HashMap<Mark, Entry>,
    keep: Duration,
    /// Dropped before the memory is.
    lock: Option<LockGuard>,
}

struct Entry {
    slot: usize,
    length: usize,
    name: String,
    end: Duration,
    uses: u64,
}

impl Cache {
    /// An empty one, whose keys are held for `keep`.
    pub(super) fn new(keep: Duration) -> Self {
        let memory = vec![0; MOST * LONGEST].into_boxed_slice();
        Self {
            lock: region::lock(memory.as_ptr(), memory.len()).ok(),
            memory,
            free: (0..MOST).rev().collect(),
            entries: HashMap::new(),
            keep,
        }
    }

    /// Whether the system keeps the keys out of its swap space.
    pub(super) fn is_locked(&self) -> bool {
        self.lock.is_some()
    }

    pub(super) fn get(&mut self, mark: &Mark, now: Duration) -> Option<SecretBytes> {
        self.expire(now);
        let entry = self.entries.get_mut(mark)?;
        entry.uses += 1;
        let start = entry.slot * LONGEST;
        Some(SecretBytes::copy_from(&self.memory[start..start + entry.length]))
    }

    /// Holds `key` from now on; what is longer than any key is not held.
    pub(super) fn put(&mut self, mark: Mark, name: String, key: &[u8], now: Duration) {
        self.expire(now);
        if key.len() > LONGEST {
            return;
        }
        self.remove(&mark);
        if self.free.is_empty() {
            let first = self.entries.iter().min_by_key(|(_, entry)| entry.end);
            if let Some(mark) = first.map(|(mark, _)| *mark) {
                self.remove(&mark);
            }
        }
        let Some(slot) = self.free.pop() else { return };
        let start = slot * LONGEST;
        self.memory[start..start + key.len()].copy_from_slice(key);
        let entry = Entry {
            slot,
            length: key.len(),
            name,
            end: now + self.keep,
            uses: 0,
        };
        self.entries.insert(mark, entry);
    }

    /// Everything that is held, what is forgotten first in front.
    pub(super) fn kept(&mut self, now: Duration) -> Vec<Kept> {
        self.expire(now);
        let kept = self.entries.values().map(|entry| Kept {
            name: entry.name.clone(),
            left: entry.end - now,
            uses: entry.uses,
        });
        let mut kept: Vec<Kept> = kept.collect();
        kept.sort_by(|a, b| (a.left, &a.name).cmp(&(b.left, &b.name)));
        kept
    }

    /// Forgets what has come to its end; when the next one does.
    pub(super) fn expire(&mut self, now: Duration) -> Option<Duration> {
        let over = self.entries.iter().filter(|(_, entry)| entry.end <= now);
        for mark in over.map(|(mark, _)| *mark).collect::<Vec<_>>() {
            self.remove(&mark);
        }
        self.entries.values().map(|entry| entry.end).min()
    }

    /// Forgets everything.
    pub(super) fn wipe(&mut self) {
        self.memory.zeroize();
        self.entries.clear();
        self.free = (0..MOST).rev().collect();
    }

    fn remove(&mut self, mark: &Mark) {
        if let Some(entry) = self.entries.remove(mark) {
            let start = entry.slot * LONGEST;
            self.memory[start..start + LONGEST].zeroize();
            self.free.push(entry.slot);
        }
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        self.memory.zeroize();
        self.lock = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn held(cache: &mut Cache, mark: u8, now: Duration) -> Option<Vec<u8>> {
        cache.get(&[mark; 32], now).map(|key| key.expose().to_vec())
    }

    #[test]
    fn keys_have_an_end_and_leave_nothing() {
        let (mut cache, start) = (Cache::new(MINUTE), MINUTE);
        cache.put([1; 32], "one".into(), b"first", start);
        cache.put([2; 32], "two".into(), b"second", start + MINUTE / 2);
        assert_eq!(held(&mut cache, 1, start).as_deref(), Some(&b"first"[..]));
        let kept = cache.kept(start + MINUTE / 2);
        assert_eq!(kept.len(), 2);
        assert_eq!(
            (kept[0].name.as_str(), kept[0].uses, kept[0].left),
            ("one", 1, MINUTE / 2)
        );
        assert_eq!(held(&mut cache, 1, start + MINUTE), None);
        assert_eq!(
            held(&mut cache, 2, start + MINUTE).as_deref(),
            Some(&b"second"[..])
        );
        assert!(!cache.memory.windows(5).any(|bytes| bytes == b"first"));
        cache.wipe();
        assert_eq!(held(&mut cache, 2, start + MINUTE), None);
        assert!(cache.memory.iter().all(|byte| *byte == 0));
    }

    #[test]
    fn it_is_bounded() {
        let (mut cache, start) = (Cache::new(MINUTE), MINUTE);
        for number in 0..MOST + 10 {
            let mut mark = [0; 32];
            mark[..8].copy_from_slice(&number.to_le_bytes());
            let now = start + Duration::from_millis(number as u64);
            cache.put(mark, String::new(), &[1; 32], now);
        }
        assert_eq!(cache.kept(start).len(), MOST);
        assert_eq!(held(&mut cache, 0, start), None, "the oldest made place");
        cache.put([9; 32], String::new(), &[1; LONGEST + 1], start);
        assert_eq!(held(&mut cache, 9, start), None);
    }
}
