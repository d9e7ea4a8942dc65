use super::*;
use crate::provider::Held;
use ::age::armor::{ArmoredReader, ArmoredWriter, Format};
use ::age::secrecy::ExposeSecret as _;
use ::age::x25519;
use std::io::{Read as _, Write as _};
use std::time::Duration;

const IDENTITY: &str = "AGE-SECRET-KEY-1GQ9778VQXMMJVE8SK7J6VT8UJ4HDQAJUVSFCWCM02D8GEWQ72PVQ2Y5J33";
const RECIPIENT: &str = "age1t7rxyev2z3rw82stdlrrepyc39nvn86l5078zqkf5uasdy86jp6svpy7pa";

/// As sops 3.11.0 wrote it for `RECIPIENT`, and the data key in it as `age -d` prints it.
const BY_SOPS_3_11_0: (&str, &str) = (
    "\
-----BEGIN AGE ENCRYPTED FILE-----
YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSBZOFNjN215QmlSSW9iVnFH
clpIbVdySkJqRDl4dTdBNDhPUVZHek91RlZRCnp2UTdURmtLOGx6d2dDZlYyUXFF
bXYyNDZUZkNlWTBsQTl3YkhSSFpWUEUKLS0tIGVGWFR2bnRMUUlCa2FCM0ZuV0ta
emhRKzgrcXdTYTEvNThFT012V3c5UmsKHLResTp8zrXCvHDb7qP70B/2RjN4sDOm
vuItlOXVWPxIyL95KwvjYol6NEcxCqtABt8E6yYPVsGtco20wSdxDA==
-----END AGE ENCRYPTED FILE-----
",
    "2998ab585cfdffb6d05e9fe1613fb5cc1fe422da38efc715e51c409d39e7eb4c",
);
/// The same by sops 3.13.3.
const BY_SOPS_3_13_3: (&str, &str) = (
    "\
-----BEGIN AGE ENCRYPTED FILE-----
YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSAzeFAzdnJlK0l5T2Vobmhp
eW5FZ1N3NDRiT2pQTVQ0SW01b2tVNHhpNWhrCmhIWUlJSDZvZGhPNkFSYllVOURE
WFk4T1BwTlVrcU5hcGdLWTB3LytCdzgKLS0tIHJUNmpLYjFhbVBNSURjbzhiTUYy
OEVHR25SRkNWMG1MeC82MWxtZjdNZ0EKV85xaZq9Ux2L1VIHqO5UIYoJQyW6OObA
+7vYmeGoqHYrlV2Y9fZOWpB0oP0moPPQ+yVJSzFb5LHjPJOiPHzndw==
-----END AGE ENCRYPTED FILE-----
",
    "8143fc7a3396204c2976cb5666dad30fbe4d073c6c141a7db2414231b1d22bd7",
);
/// `0123456789abcdef0123456789abcdef` as age 1.1.1 wrapped it (`age -a -r RECIPIENT`).
const BY_AGE_1_1_1: (&str, &str) = (
    "\
-----BEGIN AGE ENCRYPTED FILE-----
YWdlLWVuY3J5cHRpb24ub3JnL3YxCi0+IFgyNTUxOSBnVit5b3JQeEdkd3hBcTg3
OHQ3Y3hWS255eEVwVlB2M25CcE12Lzg0N2dJCkh2YW1naU1JZUJSSG5sRmhRS2hH
VzlsZ2haUzBXNkZrMXhBdEp6dytkT3cKLS0tIDl4djEwNmRXaXRVaXYyc2FjVE15
ZG5YSFp6NE8yTWgwZnRCajRZVkdhQmsK+mySN30KvoXv/zqIeUahJJAtR1hiyVii
Jh05ESKpE7+6MK80LHMcWdb07qrIfsDmycYFqpYtlLgJ6hc96iqEnw==
-----END AGE ENCRYPTED FILE-----
",
    "3031323334353637383961626364656630313233343536373839616263646566",
);

fn key(recipient: &str) -> MasterKey {
    MasterKey::Age {
        recipient: recipient.to_owned(),
    }
}

fn provider(text: &str) -> AgeProvider {
    AgeProvider::from_identities(AgeIdentities::parse(
        &SecretBytes::copy_from(text.as_bytes()),
        "test",
    ))
}

/// Processor time of this thread: other programs do not count.
#[cfg(unix)]
fn spent() -> Duration {
    let spent = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(spent.tv_sec.unsigned_abs(), u32::try_from(spent.tv_nsec).unwrap())
}

fn armored(file: &[u8]) -> String {
    let mut armor = ArmoredWriter::wrap_output(Vec::new(), Format::AsciiArmor).unwrap();
    armor.write_all(file).unwrap();
    String::from_utf8(armor.finish().unwrap()).unwrap()
}

fn unarmored(enc: &str) -> Vec<u8> {
    let mut file = Vec::new();
    ArmoredReader::new(enc.as_bytes()).read_to_end(&mut file).unwrap();
    file
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

async fn unwrapped(provider: &AgeProvider, enc: &str) -> Result<String, ProviderError> {
    Ok(hex(provider.unwrap(&key(RECIPIENT), enc).await?.expose()))
}

#[tokio::test]
async fn what_the_reference_tools_wrote_is_opened_with_any_line_end() {
    let provider = provider(IDENTITY);
    for (enc, data_key) in [BY_SOPS_3_11_0, BY_SOPS_3_13_3, BY_AGE_1_1_1] {
        for enc in [
            enc.to_owned(),
            enc.trim_end().to_owned(),
            enc.replace('\n', "\r\n"),
            format!("\n{enc}\n"),
        ] {
            assert_eq!(unwrapped(&provider, &enc).await.unwrap(), data_key);
        }
    }
}

#[tokio::test]
async fn what_is_wrapped_is_for_one_recipient_in_armor_and_opens_again() {
    let provider = provider(IDENTITY);
    for len in [0, 32, 33] {
        let plaintext = vec![0x5a; len];
        let enc = provider.wrap(&key(RECIPIENT), &plaintext).await.unwrap();
        assert!(enc.starts_with("-----BEGIN AGE ENCRYPTED FILE-----\n"));
        assert!(enc.ends_with("\n-----END AGE ENCRYPTED FILE-----\n"));
        let file = unarmored(&enc);
        let lines = file.split(|byte| *byte == b'\n');
        assert_eq!(lines.filter(|line| line.starts_with(b"-> X25519 ")).count(), 1);
        assert_eq!(unwrapped(&provider, &enc).await.unwrap(), hex(&plaintext));
        assert_ne!(provider.wrap(&key(RECIPIENT), &plaintext).await.unwrap(), enc);
    }
}

#[tokio::test]
async fn no_bit_of_an_entry_can_be_flipped_and_no_byte_cut() {
    let provider = provider(IDENTITY);
    let enc = provider.wrap(&key(RECIPIENT), &[7; 32]).await.unwrap();
    let file = unarmored(&enc);
    assert!(unwrapped(&provider, &armored(&file)).await.is_ok());
    for at in 0..file.len() {
        for bit in 0..8 {
            let mut changed = file.clone();
            changed[at] ^= 1 << bit;
            let opened = unwrapped(&provider, &armored(&changed)).await;
            assert!(
                matches!(opened, Err(ProviderError::Damaged(_))),
                "byte {at} bit {bit}"
            );
        }
        assert!(
            unwrapped(&provider, &armored(&file[..at])).await.is_err(),
            "cut at {at}"
        );
    }
    assert!(
        unwrapped(&provider, &armored(&[&file[..], b"x"].concat()))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn every_deviation_of_the_armor_is_refused() {
    let provider = provider(IDENTITY);
    let good = BY_AGE_1_1_1.0;
    let lines: Vec<&str> = good.lines().collect();
    let begin = "it does not start with the BEGIN line of an age file";
    let line = "a line is missing, empty or longer than 64 characters";
    let base64 = "a line is not canonical base64";
    for (enc, reason) in [
        (String::new(), begin),
        (
            "age-encryption.org/v1\n-> X25519 AAAA\nAAAA\n--- AAAA\n".to_owned(),
            begin,
        ),
        (good.replacen("-----\n", "----- \n", 1), begin),
        (good.replace("BEGIN", "begin"), begin),
        (lines[0].to_owned(), begin),
        (lines[..lines.len() - 1].join("\n"), line),
        (good.replacen(lines[2], &format!("\n{}", lines[2]), 1), line),
        (good.replacen(&format!("{}\n", lines[2]), lines[2], 1), line),
        (good.replacen("OHQ3", "", 1), "a line in the middle is short"),
        (format!("{good}x"), "something follows the END line"),
        (good.replacen("YWdl", "\nYWdl", 1), base64),
        (good.replace('=', ""), base64),
        (good.replace("nw==", "nx=="), base64),
        (good.replacen("YWdl", "YW-l", 1), base64),
        (good.replacen("YWdl", "YW l", 1), base64),
        (good.replacen("YWdl", "YW\u{e9}", 1), base64),
        (good.replacen("YWdl", "YW\rl", 1), base64),
    ] {
        let error = unwrapped(&provider, &enc).await.unwrap_err();
        let expected = format!("the wrapped key does not open: its armor is broken: {reason}");
        assert_eq!(error.to_string(), expected, "{enc}");
    }
    let long = format!("{good}{}", "\n".repeat(64 * 1024));
    let error = unwrapped(&provider, &long).await.unwrap_err();
    assert!(error.to_string().contains("longer than"), "{error}");
}

#[tokio::test]
async fn another_identity_is_told_apart_from_a_damaged_entry() {
    let (other, other_recipient) = generate().unwrap();
    let other = provider(std::str::from_utf8(other.expose()).unwrap());
    let Err(ProviderError::NoIdentity(inventory)) = unwrapped(&other, BY_AGE_1_1_1.0).await else {
        panic!("it should not open");
    };
    assert_eq!(
        inventory.held,
        [Held {
            recipient: other_recipient.clone(),
            source: "test".to_owned()
        }]
    );

    // The identity is the right one by name, but the entry was wrapped for someone else.
    let enc = other.wrap(&key(&other_recipient), &[1; 32]).await.unwrap();
    let error = unwrapped(&provider(IDENTITY), &enc).await.unwrap_err();
    assert!(matches!(error, ProviderError::Damaged(_)));
    // A recipient that is only mislabelled opens all the same, as with sops.
    assert!(other.unwrap(&key(RECIPIENT), &enc).await.is_ok());
}

#[tokio::test]
async fn entries_that_are_no_age_file_are_damaged_and_never_shown() {
    let provider = provider(IDENTITY);
    for enc in [
        "",
        "hunter2",
        "-----BEGIN AGE ENCRYPTED FILE-----\nhunter2\n-----END AGE ENCRYPTED FILE-----\n",
    ] {
        let error = unwrapped(&provider, enc).await.unwrap_err();
        assert!(matches!(error, ProviderError::Damaged(_)));
        assert!(!error.to_string().contains("hunter2"));
    }
}

#[tokio::test]
async fn recipients_that_cannot_be_used_are_errors_on_both_sides() {
    let provider = provider(IDENTITY);
    let low_order = "age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z";
    for recipient in [
        "age1../../x",
        "age1-evil1qqq",
        "age1pq1qqq",
        "ssh-rsa AAAA",
        "",
        "age1qqq",
    ] {
        let error = provider.wrap(&key(recipient), &[1; 32]).await.unwrap_err();
        assert!(
            matches!(
                error,
                ProviderError::InvalidKey(_) | ProviderError::Unsupported(_)
            ),
            "{recipient}"
        );
        let error = provider
            .unwrap(&key(recipient), BY_AGE_1_1_1.0)
            .await
            .unwrap_err();
        assert!(
            matches!(
                error,
                ProviderError::InvalidKey(_) | ProviderError::Unsupported(_)
            ),
            "{recipient}"
        );
    }
    let error = provider.wrap(&key(low_order), &[1; 32]).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "the key is not valid: it is a point of low order"
    );
    let other = MasterKey::Pgp {
        fingerprint: "AB".to_owned(),
    };
    assert!(!provider.handles(&other));
    assert!(matches!(
        provider.wrap(&other, &[1; 32]).await,
        Err(ProviderError::Unsupported(_))
    ));
}

/// An entry that holds `[9; 32]`, with `count` stanzas, and the identity that opens the last one of its kind.
fn of_stanzas(count: usize) -> (String, String) {
    // One more is random: the crate adds it.
    let identities: Vec<_> = (1..count).map(|_| x25519::Identity::generate()).collect();
    let recipients: Vec<_> = identities.iter().map(x25519::Identity::to_public).collect();
    let recipients = recipients
        .iter()
        .map(|recipient| recipient as &dyn ::age::Recipient);
    let encryptor = ::age::Encryptor::with_recipients(recipients).unwrap();
    let mut payload = encryptor.wrap_output(Vec::new()).unwrap();
    payload.write_all(&[9; 32]).unwrap();
    let last = identities.last().unwrap().to_string().expose_secret().to_owned();
    (armored(&payload.finish().unwrap()), last)
}

/// `count` identities that open nothing.
fn strangers(count: usize) -> String {
    let text = |_| {
        x25519::Identity::generate()
            .to_string()
            .expose_secret()
            .to_owned()
            + "\n"
    };
    (0..count).map(text).collect()
}

/// CR-03, small form: the worst case, where no identity fits. A second does not suffice for 1,000 stanzas and
/// 20 identities, so headers of more than 128 stanzas are refused unread; SOPS writes headers of one.
#[cfg(unix)]
#[tokio::test]
async fn the_most_stanzas_and_twenty_identities_take_at_most_a_second() {
    let (enc, last) = of_stanzas(128);
    let twenty = strangers(20);
    let none_fits = provider(&twenty);
    let begin = spent();
    assert!(matches!(
        unwrapped(&none_fits, &enc).await,
        Err(ProviderError::NoIdentity(_))
    ));
    let elapsed = spent() - begin;
    assert!(elapsed <= Duration::from_secs(1), "{elapsed:?}");
    // The last stanza opens too.
    assert_eq!(
        unwrapped(&provider(&(twenty + &last)), &enc).await.unwrap(),
        hex(&[9; 32])
    );

    // What is beyond the bounds ends in time, whichever bound it is.
    let full_lines = "A".repeat(64) + "\n";
    let many_lines = format!(
        "age-encryption.org/v1\n{}-> b\n{}AAAA\n",
        "-> a\n\n".repeat(127),
        full_lines.repeat(720)
    );
    let many_stanzas = format!("age-encryption.org/v1\n{}", "-> a\n\n".repeat(7_900));
    for (enc, identities, reason) in [
        (of_stanzas(129).0, 1, "more than 128 recipients"),
        (of_stanzas(256).0, 1, "more than 128 recipients"),
        (of_stanzas(1000).0, 20, "longer than 65536 bytes"),
        (armored(many_stanzas.as_bytes()), 1, "more than 128 recipients"),
        (armored(many_lines.as_bytes()), 1, "it is cut"),
        (enc, 33, "more than 4096 attempts"),
    ] {
        let provider = provider(&strangers(identities));
        let begin = spent();
        let error = unwrapped(&provider, &enc).await.unwrap_err();
        let elapsed = spent() - begin;
        assert!(error.to_string().contains(reason), "{error}");
        assert!(elapsed <= Duration::from_secs(1), "{reason}: {elapsed:?}");
    }
}

#[tokio::test]
async fn a_stanza_that_opens_for_everybody_or_holds_a_long_key_spoils_the_file() {
    let file = unarmored(BY_AGE_1_1_1.0);
    let mut parts = file.splitn(4, |byte| *byte == b'\n');
    let mut line = || std::str::from_utf8(parts.next().unwrap()).unwrap();
    let (version, first, body) = (line(), line(), line());
    let share = first.strip_prefix("-> X25519 ").unwrap();
    let rest = parts.next().unwrap();
    let zero_share = "A".repeat(43);
    let long_body = "A".repeat(64) + "\n";
    for (share, body, opens) in [
        (share, body, true),
        (&zero_share, body, false),
        (share, &long_body, false),
        ("AAAA", body, false),
        ("", body, false),
    ] {
        let header = format!("{version}\n-> X25519 {share}\n{body}\n");
        let changed = armored(&[header.as_bytes(), rest].concat());
        match unwrapped(&provider(IDENTITY), &changed).await {
            Ok(_) => assert!(opens),
            Err(error) => assert!(
                !opens && error.to_string().contains("age header is broken"),
                "{error}"
            ),
        }
    }
}

#[cfg(unix)]
mod key_command {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;
    use std::path::Path;

    /// A provider whose key command notes each run, and the folder with the note.
    fn commanded(prints: &str, files: Vec<std::path::PathBuf>) -> (AgeProvider, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        let note = folder.path().join("runs").display().to_string();
        let body = format!("#!/bin/sh\necho \"$SOPS_AGE_RECIPIENT\" >> '{note}'\n{prints}\n");
        std::fs::write(&program, body).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let command = KeyCommand {
            line: program.into(),
            search_path: None,
        };
        (
            AgeProvider::new(AgeSources {
                command: Some(command),
                files,
                ..AgeSources::default()
            }),
            folder,
        )
    }

    fn runs(folder: &Path) -> usize {
        std::fs::read_to_string(folder.join("runs"))
            .unwrap_or_default()
            .lines()
            .count()
    }

    #[tokio::test]
    async fn it_runs_once_for_many_files_and_not_at_all_if_a_file_has_the_identity() {
        let (provider, folder) = commanded(&format!("echo {IDENTITY}"), Vec::new());
        for _ in 0..3 {
            assert_eq!(
                unwrapped(&provider, BY_AGE_1_1_1.0).await.unwrap(),
                BY_AGE_1_1_1.1
            );
        }
        assert_eq!(
            std::fs::read_to_string(folder.path().join("runs")).unwrap(),
            format!("{RECIPIENT}\n")
        );

        let keys = folder.path().join("keys.txt");
        std::fs::write(&keys, IDENTITY).unwrap();
        let (provider, folder) = commanded("echo unused", vec![keys]);
        assert!(unwrapped(&provider, BY_AGE_1_1_1.0).await.is_ok());
        assert_eq!(runs(folder.path()), 0);
    }

    #[tokio::test]
    async fn its_failure_is_reported_with_the_other_places_and_it_is_not_asked_again() {
        let (provider, folder) = commanded("echo hunter2; exit 4", Vec::new());
        for _ in 0..2 {
            let Err(ProviderError::NoIdentity(inventory)) = unwrapped(&provider, BY_AGE_1_1_1.0).await else {
                panic!("it should not open");
            };
            assert_eq!(
                inventory.faults[0].to_string(),
                "SOPS_AGE_KEY_CMD: the command failed: exit status: 4"
            );
            assert!(inventory.empty.contains(&"SOPS_AGE_KEY (not set)".to_owned()));
        }
        assert_eq!(runs(folder.path()), 1);
    }

    /// LK-10: a file cannot make a process start, be it by a plugin's name or through the key command.
    #[tokio::test]
    async fn recipients_of_a_file_that_are_not_x25519_start_no_process() {
        let (provider, folder) = commanded(&format!("echo {IDENTITY}"), Vec::new());
        for recipient in [
            "age1../../x",
            "age1-evil1qqqqqq",
            "age1evil1qqqqqq",
            "age1pq1qqqqqq",
            "ssh-rsa AAAA",
            "$(x)",
        ] {
            assert!(provider.unwrap(&key(recipient), BY_AGE_1_1_1.0).await.is_err());
            assert!(provider.wrap(&key(recipient), &[1; 32]).await.is_err());
        }
        assert_eq!(runs(folder.path()), 0);
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_cancelled_unwrapping_ends_the_program() {
        let (provider, folder) = commanded("echo $$ > \"$0.pid\"; exec sleep 600", Vec::new());
        let note = folder.path().join("program.pid");
        let started = async {
            loop {
                match std::fs::read_to_string(&note) {
                    Ok(pid) if pid.ends_with('\n') => return pid.trim().to_owned(),
                    _ => tokio::time::sleep(Duration::from_millis(5)).await,
                }
            }
        };
        let key = key(RECIPIENT);
        let pid = tokio::select! {
            _ = provider.unwrap(&key, BY_AGE_1_1_1.0) => panic!("the program should still run"),
            pid = started => pid,
        };
        // Dead is gone, or not yet collected by its parent.
        let stat = format!("/proc/{pid}/stat");
        let alive = || std::fs::read_to_string(&stat).is_ok_and(|stat| !stat.contains(") Z "));
        for _ in 0..1000 {
            if !alive() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the program still runs");
    }
}
