use super::*;
use crate::age::{AgeIdentities, AgeProvider, AgeSources};
use crate::prompt::scripted::Scripted;
use crate::{KeyProvider as _, Nobody};
use sops::MasterKey;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

/// The folder of `age-plugin-example`, whose own text says what it does.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/support/peers/age-plugin-example")
}

fn printed(argument: &str, text: &str) -> String {
    let program = folder().join("age-plugin-example");
    let output = Command::new(program).args([argument, text]).output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

/// Where the plugin is found, and Python, in which it is written.
fn search_path() -> std::ffi::OsString {
    let mut folders = vec![folder()];
    folders.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap()));
    std::env::join_paths(folders).unwrap()
}

/// A provider with an identity of the plugin that does `text` besides.
fn provider(text: &str, prompt: Arc<dyn Prompt>) -> AgeProvider {
    let identity = SecretBytes::new(printed("--identity", text).into_bytes());
    AgeProvider::new(AgeSources {
        inline: Some(identity),
        search_path: Some(search_path()),
        ..AgeSources::default()
    })
    .asking(prompt)
}

fn key(text: &str) -> MasterKey {
    MasterKey::Age {
        recipient: printed("--recipient", text),
    }
}

fn fault(error: ProviderError) -> String {
    match error {
        ProviderError::NoIdentity(inventory) => inventory.faults[0].to_string(),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn what_a_plugin_wrapped_it_unwraps() {
    let provider = provider("plain", Arc::new(Nobody));
    let key = key("plain");
    for plaintext in [&[7; 32][..], &[8; 33]] {
        let enc = provider.wrap(&key, plaintext).await.unwrap();
        assert_eq!(provider.unwrap(&key, &enc).await.unwrap().expose(), plaintext);
    }
    // Its identity is called by the plugin's name, never by its text.
    let held = &provider.identities().inventory().held[0];
    assert_eq!(held.recipient, "an identity of the plugin example");
}

#[tokio::test]
async fn it_may_ask_and_tell_on_both_sides() {
    let enc = provider("plain", Arc::new(Nobody))
        .wrap(&key("plain"), &[7; 32])
        .await
        .unwrap();
    for (text, answer, seen) in [
        ("secret:hunter2", "hunter2", "secret: what is the word? "),
        ("line:9a", "9a", "line: which slot? "),
        ("confirm", "go on", "confirm: really? go on Some(\"stop\")"),
        ("message", "", "message: touch the device"),
    ] {
        let somebody = Scripted::new([answer]);
        let asking = provider(text, somebody.clone());
        let opened = asking.unwrap(&key("plain"), &enc).await.unwrap();
        assert_eq!(
            (opened.expose(), somebody.seen()),
            (&[7; 32][..], vec![seen.to_owned()])
        );

        let somebody = Scripted::new([answer]);
        let asking = provider("plain", somebody.clone());
        assert!(asking.wrap(&key(text), &[7; 32]).await.is_ok());
        assert_eq!(somebody.seen(), [seen]);

        if text != "message" {
            let refusing = provider(text, Arc::new(Nobody));
            let shown = fault(refusing.unwrap(&key("plain"), &enc).await.unwrap_err());
            assert!(
                shown.starts_with("an identity of the plugin example: "),
                "{shown}"
            );
        }
    }
}

#[tokio::test]
async fn a_plugin_that_misbehaves_is_reported_and_ends() {
    let enc = provider("plain", Arc::new(Nobody))
        .wrap(&key("plain"), &[7; 32])
        .await
        .unwrap();
    for (text, reason) in [
        ("error", "the device says no"),
        ("die", "it ended too early"),
        ("garbage", "what it says is malformed"),
        ("flood", "it says too much"),
    ] {
        let somebody = Scripted::new([]);
        let provider = provider(text, somebody);
        let shown = fault(provider.unwrap(&key("plain"), &enc).await.unwrap_err());
        assert!(shown.ends_with(reason), "{text}: {shown}");
        let error = provider.wrap(&key(text), &[7; 32]).await.unwrap_err();
        assert_eq!(error.to_string(), format!("age-plugin-example: {reason}"));
    }
}

#[tokio::test]
async fn a_plugin_that_hangs_is_given_up_and_told_of() {
    let somebody = Scripted::new([]);
    let hangs = provider("hang", somebody.clone());
    let enc = provider("plain", Arc::new(Nobody))
        .wrap(&key("plain"), &[7; 32])
        .await
        .unwrap();
    let key = key("plain");
    tokio::time::pause();
    let begin = tokio::time::Instant::now();
    let shown = fault(hangs.unwrap(&key, &enc).await.unwrap_err());
    assert!(shown.ends_with("it said nothing for 300 seconds"), "{shown}");
    assert_eq!(begin.elapsed().as_secs(), Duration::from_secs(300).as_secs());
    assert_eq!(somebody.seen(), ["message: waiting for age-plugin-example"]);
}

/// LK-10: a file names a recipient, and no process starts; one starts for an identity, or to wrap.
#[tokio::test]
async fn only_identities_and_wrapping_start_a_plugin() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("ran");
    for name in ["evil", "example"] {
        let program = folder.path().join(format!("age-plugin-{name}"));
        std::fs::write(&program, format!("#!/bin/sh\necho x >> '{}'\n", note.display())).unwrap();
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&program, mode).unwrap();
    }
    let provider = AgeProvider::new(AgeSources {
        search_path: Some(folder.path().into()),
        ..AgeSources::default()
    });
    let enc = super::super::entry::seal(&::age::x25519::Identity::generate().to_public(), &[1; 32]).unwrap();
    for recipient in [
        printed("--recipient", "plain"),
        bech32_of("age1evil"),
        bech32_of("age1../evil"),
        bech32_of("age1/bin/evil"),
    ] {
        let key = MasterKey::Age { recipient };
        assert!(provider.unwrap(&key, &enc).await.is_err());
    }
    for prefix in ["age1../evil", "age1/bin/evil", "age1.\u{2f}evil"] {
        let key = MasterKey::Age {
            recipient: bech32_of(prefix),
        };
        let error = provider.wrap(&key, &[1; 32]).await.unwrap_err();
        assert!(matches!(error, ProviderError::InvalidKey(_)), "{prefix}: {error}");
    }
    assert!(!note.exists());
    let key = MasterKey::Age {
        recipient: bech32_of("age1evil"),
    };
    assert!(provider.wrap(&key, &[1; 32]).await.is_err());
    assert!(note.exists(), "wrapping for it should have started it");
}

fn bech32_of(prefix: &str) -> String {
    age_core::primitives::bech32_encode(bech32::Hrp::parse(prefix).unwrap(), &[1; 20])
}

#[tokio::test]
async fn a_plugin_that_is_not_there_is_named() {
    let provider = AgeProvider::new(AgeSources {
        inline: Some(SecretBytes::new(printed("--identity", "plain").into_bytes())),
        search_path: Some(".:relative".into()),
        ..AgeSources::default()
    });
    let error = provider.wrap(&key("plain"), &[1; 32]).await.unwrap_err();
    assert!(matches!(error, ProviderError::NotUsable(_)));
    assert!(
        error
            .to_string()
            .starts_with("age-plugin-example is in no absolute folder")
    );
}

#[test]
fn identities_name_their_plugin_and_nothing_else() {
    let upper = |prefix: &str| bech32_of(prefix).to_uppercase();
    let read = |text: &str| {
        let text = SecretBytes::copy_from(text.as_bytes());
        let identities = AgeIdentities::parse(&text, "keys");
        let inventory = identities.inventory();
        let faults: Vec<String> = inventory.faults.iter().map(ToString::to_string).collect();
        (
            inventory
                .held
                .iter()
                .map(|held| held.recipient.clone())
                .collect::<Vec<_>>(),
            faults,
        )
    };
    let (held, faults) = read(&upper("age-plugin-yubikey-"));
    assert_eq!(
        (held, faults),
        (vec!["an identity of the plugin yubikey".to_owned()], vec![])
    );
    for bad in [
        upper("age-plugin-"),
        upper("age-plugin--"),
        upper("age-plugin-a/b-"),
        upper("age-plugin-yubikey"),
        bech32_of("age-plugin-yubikey-"),
        upper("age-plugin-yubikey-") + "Q",
    ] {
        let (held, faults) = read(&bad);
        assert!(held.is_empty() && faults.len() == 1, "{bad}");
        assert!(!faults[0].to_uppercase().contains("YUBIKEY"), "{faults:?}");
    }
}
