use super::*;
use crate::age::{AgeIdentities, AgeProvider, generate};
use crate::provider::Answer;
use sops::shamir::RandomFailed;
use sops::{DataKey, KeyGroup, Metadata, Rules};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::time::Instant;

const NOW: &str = "2026-01-02T03:04:05Z";

/// Recipients, and a keyring that holds their identities.
fn people(count: usize) -> (Vec<MasterKey>, Vec<SecretBytes>) {
    (0..count)
        .map(|_| {
            let (identity, recipient) = generate().unwrap();
            (MasterKey::Age { recipient }, identity)
        })
        .unzip()
}

fn age_keyring(identities: &[SecretBytes]) -> Keyring {
    let mut text = Vec::new();
    for identity in identities {
        text.extend_from_slice(identity.expose());
        text.push(b'\n');
    }
    let identities = AgeIdentities::parse(&SecretBytes::new(text), "~/keys.txt");
    Keyring::new(vec![Box::new(AgeProvider::from_identities(identities))])
}

fn random(buffer: &mut [u8]) -> Result<(), RandomFailed> {
    getrandom::fill(buffer).map_err(|_| RandomFailed)
}

fn metadata(groups: Vec<KeyGroup>, threshold: Option<u8>) -> Metadata {
    let mut metadata = Metadata::new(groups, Rules::default(), NOW.to_owned(), "3.11.0".to_owned());
    metadata.shamir_threshold = threshold;
    metadata
}

async fn wrapped(
    keyring: &Keyring,
    groups: &[Vec<MasterKey>],
    threshold: Option<u8>,
    key: &DataKey,
) -> Metadata {
    let wrapped = keyring
        .wrap(groups, threshold, key, NOW, &mut random)
        .await
        .unwrap();
    metadata(wrapped.groups, wrapped.shamir_threshold)
}

fn is(bytes: [u8; 32]) -> impl Fn(&DataKey) -> bool + Sync {
    move |key: &DataKey| *key.expose() == bytes
}

/// A provider for PGP keys that answers as its key's fingerprint says, and counts what was started.
#[derive(Default)]
struct Scripted {
    started: AtomicUsize,
}

impl KeyProvider for Arc<Scripted> {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn handles(&self, key: &MasterKey) -> bool {
        matches!(key, MasterKey::Pgp { .. })
    }

    fn pin<'a>(&'a self, key: &'a MasterKey) -> Option<Answer<'a, MasterKey>> {
        match key.to_string().as_str() {
            "open" => Some(Box::pin(async { Ok(pgp("pinned")) })),
            "unknown" => Some(Box::pin(async {
                Err(ProviderError::NotUsable("there is none".to_owned()))
            })),
            _ => None,
        }
    }

    fn wrap<'a>(&'a self, key: &'a MasterKey, plaintext: &'a [u8]) -> Answer<'a, String> {
        Box::pin(async move {
            match key.to_string().as_str() {
                "fails" => Err(ProviderError::Unavailable("gpg is not there".to_owned())),
                _ => Ok(plaintext.iter().map(|byte| format!("{byte:02x}")).collect()),
            }
        })
    }

    fn unwrap<'a>(&'a self, key: &'a MasterKey, enc: &'a str) -> Answer<'a, SecretBytes> {
        Box::pin(async move {
            self.started.fetch_add(1, Ordering::Relaxed);
            match key.to_string().as_str() {
                "hangs" => std::future::pending().await,
                "slow" => tokio::time::sleep(Duration::from_millis(50)).await,
                "fails" => return Err(ProviderError::Unavailable("gpg is not there".to_owned())),
                _ => {}
            }
            let byte = |at| u8::from_str_radix(&enc[at..at + 2], 16).unwrap();
            Ok(SecretBytes::new((0..enc.len()).step_by(2).map(byte).collect()))
        })
    }
}

fn pgp(fingerprint: &str) -> MasterKey {
    MasterKey::Pgp {
        fingerprint: fingerprint.to_owned(),
    }
}

fn scripted() -> (Keyring, Arc<Scripted>) {
    let scripted = Arc::new(Scripted::default());
    (Keyring::new(vec![Box::new(scripted.clone())]), scripted)
}

#[tokio::test]
async fn any_key_of_a_single_group_opens_the_file() {
    let (keys, identities) = people(4);
    let data_key = DataKey::new([7; 32]);
    let metadata = wrapped(&age_keyring(&[]), &[keys], Some(3), &data_key).await;
    assert_eq!(metadata.shamir_threshold, None);
    assert!(metadata.groups[0].iter().all(|entry| entry.created_at.is_none()));
    for identity in identities.chunks(1) {
        let opened = age_keyring(identity)
            .unwrap(&metadata, &DEFAULT_ORDER, &is([7; 32]))
            .await
            .unwrap();
        assert!(opened.verified && opened.data_key.expose() == &[7; 32]);
    }
}

#[tokio::test]
async fn a_failing_key_fails_all_and_is_named_with_its_group() {
    let (keys, _) = people(2);
    let keyring = age_keyring(&[]);
    let bad = MasterKey::Age {
        recipient: "age1qqq".to_owned(),
    };
    let groups = [keys, vec![bad, pgp("AB")]];
    let data_key = DataKey::new([7; 32]);
    let failure = keyring
        .wrap(&groups, None, &data_key, NOW, &mut random)
        .await
        .unwrap_err();
    let WrapFailure::Keys { failures, .. } = &failure else {
        panic!("{failure}")
    };
    assert_eq!(
        (failures.len(), failures[0].group, failures[0].keys.len()),
        (1, 1, 2)
    );
    let shown = failure.to_string();
    assert!(
        shown.contains("group 2:\n    age age1qqq: the key is not valid"),
        "{shown}"
    );
    assert!(shown.contains("pgp AB: pgp keys are not supported"), "{shown}");
}

#[tokio::test]
async fn groups_that_nobody_could_open_are_never_written() {
    let (keys, _) = people(2);
    let keyring = age_keyring(&[]);
    let data_key = DataKey::new([7; 32]);
    let two = [keys.clone(), keys.clone()];
    let one_empty = [keys.clone(), Vec::new()];
    let many = vec![keys.clone(); 256];
    let wrap = |groups, threshold| keyring.wrap(groups, threshold, &data_key, NOW, &mut random);
    assert!(matches!(wrap(&[], None).await, Err(WrapFailure::NoKeys)));
    assert!(matches!(
        wrap(&one_empty, None).await,
        Err(WrapFailure::EmptyGroup(1))
    ));
    for threshold in [1, 3] {
        assert!(matches!(
            wrap(&two, Some(threshold)).await,
            Err(WrapFailure::Split(_))
        ));
    }
    assert!(matches!(
        wrap(&many, None).await,
        Err(WrapFailure::TooManyGroups(256))
    ));
    let broken = &mut |_: &mut [u8]| Err(RandomFailed);
    assert!(matches!(
        keyring.wrap(&two, None, &data_key, NOW, broken).await,
        Err(WrapFailure::Split(_))
    ));
    assert_eq!(wrap(&two, Some(0)).await.unwrap().shamir_threshold, Some(2));
}

#[tokio::test]
async fn created_at_is_noted_where_the_kind_has_it() {
    let (keyring, _) = scripted();
    let metadata = wrapped(&keyring, &[vec![pgp("AB")]], None, &DataKey::new([7; 32])).await;
    assert_eq!(metadata.groups[0][0].created_at.as_deref(), Some(NOW));
}

#[tokio::test]
async fn a_quorum_of_groups_opens_and_fewer_do_not() {
    let (keys, identities) = people(3);
    let groups: Vec<_> = keys.into_iter().map(|key| vec![key]).collect();
    let metadata = wrapped(&age_keyring(&[]), &groups, Some(2), &DataKey::new([7; 32])).await;
    for (held, opens) in [
        (&identities[..], true),
        (&identities[1..], true),
        (&identities[..1], false),
    ] {
        let result = age_keyring(held)
            .unwrap(&metadata, &DEFAULT_ORDER, &is([7; 32]))
            .await;
        assert_eq!(result.is_ok(), opens);
        if let Err(failure) = result {
            let shown = failure.to_string();
            assert_eq!(failure.exit_code(), 128);
            assert!(
                shown.contains("1 of 3 key groups opened, 2 are needed"),
                "{shown}"
            );
            assert!(
                shown.contains("group 2:") && shown.contains("group 3:"),
                "{shown}"
            );
        }
    }
}

/// CR-06 and T10: shares corrupted, doubled, at the point 0, of a wrong length.
#[tokio::test]
async fn one_bad_share_of_three_is_outvoted_and_its_group_named() {
    let (keys, identities) = people(3);
    let keyring = age_keyring(&identities);
    let groups: Vec<_> = keys.iter().map(|key| vec![key.clone()]).collect();
    let good = wrapped(&keyring, &groups, Some(2), &DataKey::new([7; 32])).await;
    let doubled = keyring.unwrap_entry(&good.groups[0][0]).await.unwrap();
    for (bad, key) in keys.iter().enumerate() {
        let mut corrupted = vec![9; 32];
        corrupted.push(bad as u8 + 1);
        let mut cases = vec![
            corrupted.clone(),
            [&corrupted[..32], &[0]].concat(),
            vec![9; 32],
            Vec::new(),
        ];
        if bad != 0 {
            cases.push(doubled.expose().to_vec());
        }
        for (case, share) in cases.into_iter().enumerate() {
            let mut metadata = good.clone();
            metadata.groups[bad][0].enc = keyring.wrap_for(key, &SecretBytes::new(share)).await.unwrap().1;
            let opened = keyring
                .unwrap(&metadata, &DEFAULT_ORDER, &is([7; 32]))
                .await
                .unwrap();
            assert!(opened.verified);
            let named = opened.bad_groups.contains(&bad);
            assert!(named, "group {bad}, case {case}: {:?}", opened.bad_groups);
        }
    }
}

#[tokio::test]
async fn a_key_stands_in_a_file_as_its_provider_pins_it() {
    let keyring = Keyring::new(vec![Box::new(Arc::new(Scripted::default()))]);
    let key = DataKey::new([7; 32]);
    let groups = [vec![pgp("open"), pgp("AB")]];
    let metadata = wrapped(&keyring, &groups, None, &key).await;
    let names: Vec<_> = metadata.groups[0]
        .iter()
        .map(|entry| entry.master_key().unwrap().to_string())
        .collect();
    assert_eq!(names, ["pinned", "AB"]);
    let none = [vec![pgp("unknown")]];
    let failure = keyring.wrap(&none, None, &key, NOW, &mut |_| Ok(())).await;
    let failure = failure.unwrap_err().to_string();
    assert!(failure.contains("there is none"), "{failure}");
}

#[tokio::test]
async fn without_a_quorum_of_good_shares_it_is_128() {
    let (keys, identities) = people(3);
    let keyring = age_keyring(&identities);
    let groups: Vec<_> = keys.iter().map(|key| vec![key.clone()]).collect();
    let mut metadata = wrapped(&keyring, &groups, Some(3), &DataKey::new([7; 32])).await;
    metadata.groups[1][0].enc = keyring
        .wrap_for(&keys[1], &SecretBytes::new(vec![1; 32]))
        .await
        .unwrap()
        .1;
    let failure = keyring
        .unwrap(&metadata, &DEFAULT_ORDER, &is([7; 32]))
        .await
        .unwrap_err();
    assert_eq!(failure.exit_code(), 128);
    let shown = failure.to_string();
    assert!(
        shown.contains("2 usable key groups, but 3 are needed\n  group 2: its share was"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_key_that_the_check_refuses_is_marked_and_never_preferred() {
    let (keyring, _) = scripted();
    let mut metadata = wrapped(
        &keyring,
        &[vec![pgp("A"), pgp("slow")]],
        None,
        &DataKey::new([7; 32]),
    )
    .await;
    // The first entry was replaced by one that opens to another key.
    metadata.groups[0][0].enc = "08".repeat(32);
    let opened = keyring
        .unwrap(&metadata, &DEFAULT_ORDER, &is([7; 32]))
        .await
        .unwrap();
    assert!(opened.verified && opened.data_key.expose() == &[7; 32]);
    // With a check that nothing passes, the caller gets the first key to say what is wrong.
    let opened = keyring
        .unwrap(&metadata, &DEFAULT_ORDER, &|_| false)
        .await
        .unwrap();
    assert!(!opened.verified && opened.data_key.expose() == &[8; 32]);
}

#[tokio::test]
async fn groups_behave_the_same_when_the_check_accepts_nothing() {
    let (keys, identities) = people(3);
    let keyring = age_keyring(&identities);
    let groups: Vec<_> = keys.iter().map(|key| vec![key.clone()]).collect();
    let mut metadata = wrapped(&keyring, &groups, Some(2), &DataKey::new([7; 32])).await;
    let opened = keyring
        .unwrap(&metadata, &DEFAULT_ORDER, &|_| false)
        .await
        .unwrap();
    assert!(!opened.verified && opened.data_key.expose() == &[7; 32]);
    // Shares that contradict each other lead to no key at all.
    let mut share = vec![9; 32];
    share.push(1);
    metadata.groups[0][0].enc = keyring
        .wrap_for(&keys[0], &SecretBytes::new(share))
        .await
        .unwrap()
        .1;
    let failure = keyring
        .unwrap(&metadata, &DEFAULT_ORDER, &|_| false)
        .await
        .unwrap_err();
    assert_eq!(failure.exit_code(), 128);
}

#[tokio::test]
async fn the_order_of_kinds_decides_and_the_first_success_cancels_the_rest() {
    let (keys, identities) = people(1);
    let scripted = Arc::new(Scripted::default());
    let text = SecretBytes::copy_from(identities[0].expose());
    let age = AgeProvider::from_identities(AgeIdentities::parse(&text, "test"));
    let keyring = Keyring::new(vec![Box::new(scripted.clone()), Box::new(age)]);
    let group = vec![pgp("hangs"), keys[0].clone(), pgp("fails")];
    let metadata = wrapped_except_failing(&keyring, group).await;
    assert!(
        keyring
            .unwrap(&metadata, &DEFAULT_ORDER, &is([7; 32]))
            .await
            .is_ok()
    );
    assert_eq!(scripted.started.load(Ordering::Relaxed), 0);
    keyring.forget();
    assert!(
        keyring
            .unwrap(&metadata, &[KeyKind::Pgp], &is([7; 32]))
            .await
            .is_ok()
    );
    assert_eq!(scripted.started.load(Ordering::Relaxed), 2);
}

/// `fails` also fails to wrap, so its entry is made by hand.
async fn wrapped_except_failing(keyring: &Keyring, group: Vec<MasterKey>) -> Metadata {
    let good: Vec<_> = group
        .iter()
        .filter(|key| key.to_string() != "fails")
        .cloned()
        .collect();
    let mut metadata = wrapped(keyring, &[good], None, &DataKey::new([7; 32])).await;
    for (at, key) in group
        .into_iter()
        .enumerate()
        .filter(|(_, key)| key.to_string() == "fails")
    {
        metadata.groups[0].insert(at, KeyEntry::new(key, NOW.to_owned(), "00".to_owned()));
    }
    metadata
}

#[tokio::test(start_paused = true)]
async fn slow_keys_and_groups_run_at_the_same_time_and_hanging_ones_are_left() {
    let (keyring, scripted) = scripted();
    let groups = [
        vec![pgp("hangs"), pgp("slow")],
        vec![pgp("slow")],
        vec![pgp("hangs")],
    ];
    let metadata = wrapped(&keyring, &groups, Some(2), &DataKey::new([7; 32])).await;
    let begin = Instant::now();
    let opened = keyring
        .unwrap(&metadata, &DEFAULT_ORDER, &is([7; 32]))
        .await
        .unwrap();
    assert!(opened.verified && opened.bad_groups.is_empty());
    assert_eq!(begin.elapsed(), Duration::from_millis(50));
    assert_eq!(scripted.started.load(Ordering::Relaxed), 4);
}

#[tokio::test]
async fn an_entry_is_unwrapped_once_until_it_is_forgotten() {
    let (keyring, scripted) = scripted();
    let metadata = wrapped(&keyring, &[vec![pgp("AB")]], None, &DataKey::new([7; 32])).await;
    for expected in [1, 1] {
        assert!(
            keyring
                .unwrap(&metadata, &DEFAULT_ORDER, &is([7; 32]))
                .await
                .is_ok()
        );
        assert_eq!(scripted.started.load(Ordering::Relaxed), expected);
    }
    keyring.forget();
    assert!(
        keyring
            .unwrap(&metadata, &DEFAULT_ORDER, &is([7; 32]))
            .await
            .is_ok()
    );
    assert_eq!(scripted.started.load(Ordering::Relaxed), 2);
}

#[tokio::test]
async fn the_report_names_keys_reasons_identities_places_and_the_next_step() {
    let (keys, identities) = people(2);
    let mut metadata = wrapped(
        &age_keyring(&[]),
        &[keys[..1].to_vec()],
        None,
        &DataKey::new([7; 32]),
    )
    .await;
    let evil = MasterKey::Age {
        recipient: "age1-evil1\u{1b}[2J\u{202e}q".to_owned(),
    };
    metadata.groups[0].push(KeyEntry::new(evil, NOW.to_owned(), "x".to_owned()));
    metadata.groups[0].push(KeyEntry::new(pgp("AB"), NOW.to_owned(), "x".to_owned()));
    metadata.groups[0].push(KeyEntry {
        key: EntryKey::Unknown("future_kms".to_owned()),
        created_at: None,
        enc: String::new(),
        extra: Vec::new(),
    });
    let text = [identities[1].expose(), b"\nhunter2\n"].concat();
    let age = AgeProvider::from_identities(AgeIdentities::parse(&SecretBytes::new(text), "~/keys.txt"));
    let keyring = Keyring::new(vec![Box::new(age)]);
    let failure = keyring
        .unwrap(&metadata, &DEFAULT_ORDER, &is([7; 32]))
        .await
        .unwrap_err();
    let expected = format!(
        "the data key cannot be unwrapped: no key of this file works here\n\
         \x20 age {mine}: no identity here opens it\n\
         \x20 age age1-evil1\\u{{1b}}[2J\\u{{202e}}q: the key is not valid: it holds a character that Bech32 does not have\n\
         \x20 pgp AB: pgp keys are not supported\n\
         \x20 future_kms: future_kms keys are not supported\n\
         identities here:\n\
         \x20 {other} (from ~/keys.txt)\n\
         not usable:\n\
         \x20 ~/keys.txt line 2: not an age identity; one starts with AGE-SECRET-KEY-1\n\
         hint: this file is sealed for {mine}; the identity here is {other} (from ~/keys.txt). Ask someone who can \
         open it to add your recipient, or set SOPS_AGE_KEY_FILE to the right file",
        mine = keys[0],
        other = keys[1]
    );
    assert_eq!(failure.to_string(), expected);
    assert_eq!(failure.exit_code(), 128);
}

#[tokio::test]
async fn a_file_without_keys_or_with_an_impossible_threshold_is_refused() {
    let (keys, identities) = people(2);
    let keyring = age_keyring(&identities);
    let groups: Vec<_> = keys.into_iter().map(|key| vec![key]).collect();
    let good = wrapped(&keyring, &groups, None, &DataKey::new([7; 32])).await;
    let none = metadata(Vec::new(), None);
    let failure = keyring
        .unwrap(&none, &DEFAULT_ORDER, &is([7; 32]))
        .await
        .unwrap_err();
    assert_eq!(failure.exit_code(), 111);
    for threshold in [1, 3, 255] {
        let mut changed = good.clone();
        changed.shamir_threshold = Some(threshold);
        let failure = keyring
            .unwrap(&changed, &DEFAULT_ORDER, &is([7; 32]))
            .await
            .unwrap_err();
        assert_eq!(failure.exit_code(), 128);
        assert!(failure.to_string().contains("threshold"), "{failure}");
    }
}

#[tokio::test]
async fn wrapping_and_unwrapping_can_be_moved_between_threads() {
    let (keys, identities) = people(1);
    let keyring = Arc::new(age_keyring(&identities));
    let task = tokio::spawn(async move {
        let groups = vec![keys];
        let wrapping = keyring.wrap(&groups, None, &DataKey::new([7; 32]), NOW, &mut random);
        let wrapped = wrapping.await.unwrap();
        let metadata = metadata(wrapped.groups, wrapped.shamir_threshold);
        keyring
            .unwrap(&metadata, &DEFAULT_ORDER, &is([7; 32]))
            .await
            .is_ok()
    });
    assert!(task.await.unwrap());
}

/// A provider for every key, as a key service is one: it knows the answer or has a reason.
struct Elsewhere(Option<&'static [u8]>, &'static str);

impl KeyProvider for Elsewhere {
    fn name(&self) -> &'static str {
        "elsewhere"
    }

    fn handles(&self, _: &MasterKey) -> bool {
        true
    }

    fn wrap<'a>(&'a self, _: &'a MasterKey, _: &'a [u8]) -> Answer<'a, String> {
        Box::pin(async move {
            match self.0 {
                Some(_) => Ok(self.1.to_owned()),
                None => Err(ProviderError::Unavailable(self.1.to_owned())),
            }
        })
    }

    fn unwrap<'a>(&'a self, _: &'a MasterKey, _: &'a str) -> Answer<'a, SecretBytes> {
        Box::pin(async move {
            let reason = || ProviderError::Unavailable(self.1.to_owned());
            self.0.map(SecretBytes::copy_from).ok_or_else(reason)
        })
    }
}

#[tokio::test]
async fn providers_are_asked_in_order_and_each_failure_is_told() {
    let (own, _) = scripted();
    let dead = || Box::new(Elsewhere(None, "one is away"));
    let keyring = own.and(vec![dead(), Box::new(Elsewhere(Some(&[7; 32]), "two"))]);
    let data_key = DataKey::new([7; 32]);
    let groups = [vec![
        pgp("works"),
        pgp("fails"),
        MasterKey::HuaweiKms {
            key_id: "r:u".to_owned(),
        },
    ]];
    let metadata = wrapped(&keyring, &groups, None, &data_key).await;
    let encs: Vec<_> = metadata.groups[0]
        .iter()
        .map(|entry| entry.enc.as_str())
        .collect();
    assert_eq!(encs, [&"07".repeat(32), "two", "two"]);
    let opened = keyring.unwrap(&metadata, &DEFAULT_ORDER, &is([7; 32])).await;
    assert!(opened.unwrap().verified);

    let (own, _) = scripted();
    let keyring = own.and(vec![dead(), Box::new(Elsewhere(None, "two is away"))]);
    let failure = keyring
        .unwrap(&metadata, &DEFAULT_ORDER, &|_: &DataKey| false)
        .await;
    assert!(
        !failure.unwrap().verified,
        "its own key opens, and is not this file's"
    );
    let failure = keyring
        .wrap(&groups, None, &data_key, NOW, &mut random)
        .await
        .unwrap_err()
        .to_string();
    let lines: Vec<_> = failure.lines().skip(1).map(str::trim).collect();
    assert_eq!(
        lines,
        [
            "pgp fails: gpg is not there",
            "pgp fails: one is away",
            "pgp fails: two is away",
            "hckms r:u: one is away",
            "hckms r:u: two is away"
        ]
    );
    let one = keyring.unwrap_one(&pgp("fails"), "07").await.unwrap_err();
    assert_eq!(one.to_string(), "two is away");
}

#[tokio::test]
async fn what_opened_a_file_is_not_asked_again_and_what_failed_is() {
    let (keyring, scripted) = scripted();
    let started = || scripted.started.load(Ordering::Relaxed);
    let data_key = DataKey::new([7; 32]);
    let metadata = wrapped(&keyring, &[vec![pgp("works")]], None, &data_key).await;
    let opened = keyring.unwrap(&metadata, &DEFAULT_ORDER, &is([7; 32])).await;
    assert!(opened.unwrap().verified);
    let enc = &metadata.groups[0][0].enc;
    let again = keyring.unwrap_once(&pgp("works"), enc).await.unwrap();
    assert_eq!((again.expose(), started()), (&[7; 32][..], 1));
    assert!(keyring.unwrap_one(&pgp("works"), enc).await.is_ok());
    assert_eq!(started(), 2);
    for asked in [3, 4] {
        let failed = keyring.unwrap_once(&pgp("fails"), enc).await.unwrap_err();
        assert_eq!(
            (failed.to_string().as_str(), started()),
            ("gpg is not there", asked)
        );
    }
}
