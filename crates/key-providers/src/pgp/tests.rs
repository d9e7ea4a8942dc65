use super::*;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

const FINGERPRINT: &str = "6AEE38A06D337BC951BED939D3890064F9A65F9D";
const MESSAGE: &str = "-----BEGIN PGP MESSAGE-----\n\nhunter2\n-----END PGP MESSAGE-----";

fn key(fingerprint: &str) -> MasterKey {
    MasterKey::Pgp {
        fingerprint: fingerprint.to_owned(),
    }
}

/// A provider whose gpg is a shell script, and the folder where that notes its arguments.
fn scripted(body: &str) -> (PgpProvider, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("gpg");
    let note = folder.path().join("arguments");
    let text = format!("#!/bin/sh\necho \"$@\" >> '{}'\n{body}\n", note.display());
    std::fs::write(&program, text).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
    let search_path = folder.path().as_os_str().to_owned();
    let lookup = |name: &str| (name == "PATH").then(|| search_path.clone());
    (PgpProvider::new(Gpg::from_env(&lookup)), folder)
}

fn arguments(folder: &Path) -> String {
    std::fs::read_to_string(folder.join("arguments")).unwrap_or_default()
}

async fn opening(said: &str) -> String {
    let (provider, _folder) = scripted(&format!("cat > /dev/null\nprintf '%s\\n' {said} >&2\nexit 2"));
    let error = provider.unwrap(&key(FINGERPRINT), MESSAGE).await.unwrap_err();
    error.to_string()
}

async fn sealing(said: &str) -> String {
    let (provider, _folder) = scripted(&format!("cat > /dev/null\nprintf '%s\\n' {said} >&2\nexit 2"));
    let error = provider.wrap(&key(FINGERPRINT), &[1; 32]).await.unwrap_err();
    error.to_string()
}

#[tokio::test]
async fn what_gpg_prints_is_the_entry_without_the_line_ends_around_it() {
    let (provider, folder) = scripted(&format!("cat > \"$0.in\"; printf '%s\\n\\n' '{MESSAGE}'"));
    let enc = provider.wrap(&key(FINGERPRINT), &[7; 32]).await.unwrap();
    assert_eq!(enc, MESSAGE);
    assert_eq!(std::fs::read(folder.path().join("gpg.in")).unwrap(), [7; 32]);
    assert_eq!(
        arguments(folder.path()),
        format!(
            "--status-fd 2 --batch --yes --no-default-recipient --no-encrypt-to --trust-model always \
             --armor --recipient {FINGERPRINT} --encrypt\n"
        )
    );
}

#[tokio::test]
async fn what_gpg_opens_is_the_plaintext_and_the_message_went_in_as_it_stands() {
    let (provider, folder) =
        scripted("cat > \"$0.in\"; printf 'ab\\0c\\n'; echo '[GNUPG:] DECRYPTION_OKAY' >&2");
    let enc = format!("\n{MESSAGE}\n");
    let opened = provider.unwrap(&key("any name"), &enc).await.unwrap();
    assert_eq!(opened.expose(), b"ab\0c\n");
    assert_eq!(
        std::fs::read_to_string(folder.path().join("gpg.in")).unwrap(),
        enc
    );
    assert_eq!(arguments(folder.path()), "--status-fd 2 --decrypt\n");
}

/// LK-09: no name of a recipient is ever an option, and no message that is none reaches gpg.
#[tokio::test]
async fn nothing_but_fingerprints_and_messages_reaches_gpg() {
    let (provider, folder) = scripted("exit 1");
    for bad in [
        "",
        "--output=/tmp/x",
        "-o",
        "0x",
        "!",
        "somebody@example.org",
        "6AEE38A0",
        "6AEE38A06D337BC951BED939D3890064F9A65F9",
        "6AEE38A06D337BC951BED939D3890064F9A65F9G",
        "6AEE38A06D337BC951BED939D3890064F9A65F9D!!",
    ] {
        let error = provider.wrap(&key(bad), &[1; 32]).await.unwrap_err();
        assert!(matches!(error, ProviderError::InvalidKey(_)), "{bad}: {error}");
    }
    for enc in ["", "hunter2", &format!("x{MESSAGE}"), &"x".repeat(MAX_LEN + 1)] {
        let error = provider.unwrap(&key(FINGERPRINT), enc).await.unwrap_err();
        assert!(matches!(error, ProviderError::Damaged(_)), "{error}");
    }
    assert_eq!(arguments(folder.path()), "");
    for good in [
        "0x6AEE38A06D337BC951BED939D3890064F9A65F9D",
        "6aee38a06d337bc951bed939d3890064f9a65f9d!",
        "D3890064F9A65F9D",
        &"a".repeat(64),
    ] {
        let error = provider.wrap(&key(good), &[1; 32]).await.unwrap_err();
        assert!(matches!(error, ProviderError::Unavailable(_)), "{error}");
    }
}

#[tokio::test]
async fn the_reason_is_told_in_our_words_and_nothing_of_what_gpg_printed() {
    for (said, reason) in [
        ("'[GNUPG:] INV_RECP 1 X' hunter2", "does not have this public key"),
        ("'[GNUPG:] INV_RECP 0 X'", "cannot encrypt"),
        ("'[GNUPG:] INV_RECP 4 X'", "was revoked"),
        ("'[GNUPG:] KEYEXPIRED 1' '[GNUPG:] INV_RECP 0 X'", "has expired"),
        ("hunter2", "gpg failed: exit status: 2"),
    ] {
        let shown = sealing(said).await;
        assert!(
            shown.contains(reason) && !shown.contains("hunter2"),
            "{said}: {shown}"
        );
    }
    let failed = |code: u32| format!("'[GNUPG:] NO_SECKEY X' '[GNUPG:] ERROR pkdecrypt_failed {code}'");
    for (said, reason) in [
        (
            "'[GNUPG:] NO_SECKEY X' hunter2".to_owned(),
            "no identity here opens it",
        ),
        (failed(67_108_875), "the passphrase was wrong"),
        (failed(83_886_179), "cancelled"),
        (failed(83_918_950), "set GPG_TTY"),
        (failed(67_108_949), "set GPG_TTY"),
        (failed(100_663_408), "smartcard"),
        (failed(5), "error 5"),
        ("'[GNUPG:] NODATA 1'".to_owned(), "cannot read the message"),
        (
            "'[GNUPG:] BADMDC' '[GNUPG:] DECRYPTION_FAILED'".to_owned(),
            "was changed after it was written",
        ),
        ("hunter2".to_owned(), "gpg failed: exit status: 2"),
    ] {
        let shown = opening(&said).await;
        assert!(
            shown.contains(reason) && !shown.contains("hunter2"),
            "{said}: {shown}"
        );
    }
}

#[tokio::test]
async fn a_success_without_anything_opened_is_none() {
    for body in [
        "cat > /dev/null",
        "cat > /dev/null; echo '[GNUPG:] PLAINTEXT 62 0' >&2; echo hunter2",
    ] {
        let (provider, _folder) = scripted(body);
        let error = provider.unwrap(&key(FINGERPRINT), MESSAGE).await.unwrap_err();
        assert!(error.to_string().contains("no encrypted data"), "{error}");
    }
    // A wrapper that swallows the status lines is believed.
    let (provider, _folder) = scripted("cat > /dev/null; echo x");
    assert!(provider.unwrap(&key(FINGERPRINT), MESSAGE).await.is_ok());
    let (provider, _folder) = scripted("cat > /dev/null; echo x");
    assert!(provider.wrap(&key(FINGERPRINT), &[1; 32]).await.is_err());
}

#[tokio::test]
async fn a_missing_a_broken_and_a_hanging_program_are_told_apart() {
    let (mut provider, folder) = scripted("exec sleep 600");
    provider.gpg.time_limit = Duration::from_millis(100);
    let error = provider.unwrap(&key(FINGERPRINT), MESSAGE).await.unwrap_err();
    assert!(error.to_string().contains("did not end within"), "{error}");
    std::fs::write(folder.path().join("gpg"), "\0").unwrap();
    let error = provider.unwrap(&key(FINGERPRINT), MESSAGE).await.unwrap_err();
    assert!(error.to_string().contains("could not start"), "{error}");
    std::fs::remove_file(folder.path().join("gpg")).unwrap();
    let error = provider.wrap(&key(FINGERPRINT), &[1; 32]).await.unwrap_err();
    assert!(error.to_string().contains("SOPS_GPG_EXEC"), "{error}");
}

#[tokio::test]
async fn two_messages_are_opened_one_after_the_other() {
    // The second would find the mark of the first.
    let body = "cat > /dev/null; mkdir \"$0.busy\" || exit 9; sleep 0.1; rmdir \"$0.busy\"; echo x";
    let (provider, _folder) = scripted(body);
    let key = key(FINGERPRINT);
    let (one, other) = tokio::join!(provider.unwrap(&key, MESSAGE), provider.unwrap(&key, MESSAGE));
    assert!(one.is_ok() && other.is_ok());
}

#[tokio::test]
async fn gpg_gets_the_name_of_the_terminal() {
    let (mut provider, _folder) = scripted("cat > /dev/null; env");
    provider.gpg.terminal = Some("/dev/pts/7".into());
    let opened = provider.unwrap(&key(FINGERPRINT), MESSAGE).await.unwrap();
    let text = String::from_utf8_lossy(opened.expose()).into_owned();
    assert!(text.contains("GPG_TTY=/dev/pts/7\n"), "{text}");
}
