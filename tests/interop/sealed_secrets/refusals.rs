//! What must not open: moved, changed and cut items. `seal` and the real kubeseal are asked about the same ones, and about
//! one item among them that is whole.

use std::collections::BTreeSet;

use base64::Engine as _;
use serde_json::Value;

use super::{Bench, STANDARD, Secret, key_file, objects, sealed_by_hand, yaml};
use crate::scene::{Result, verdict};

/// Every byte of an item with one of its bits flipped, the item cut off behind every byte, with bytes behind it, and with
/// its base64 spoilt.
#[test]
fn no_changed_item_opens_on_either_side(/* CR-09, CR-14 */) -> Result {
    let bench = Bench::new()?;
    let whole = item(&bench, &Secret::new("app", "strict").with("k", "hunter2"))?;
    let blob = STANDARD.decode(&whole)?;
    let mut items: Vec<(String, String)> = Vec::new();
    let mut add = |name: String, blob: &[u8]| items.push((name, STANDARD.encode(blob)));
    for at in 0..blob.len() {
        let mut flipped = blob.clone();
        flipped[at] ^= 1 << (at * 5 % 8);
        add(format!("flip{at}"), &flipped);
        add(format!("cut{at}"), &blob[..at]);
    }
    for behind in [&b"\0"[..], b"0123456789abcdef"] {
        add(format!("behind{}", behind.len()), &[&blob[..], behind].concat());
    }
    for modulus in [0u16, 1, 255, 257, 512, 65_535] {
        add(
            format!("head{modulus}"),
            &[&modulus.to_be_bytes(), &blob[2..]].concat(),
        );
    }
    add("twice".to_owned(), &blob.repeat(2));
    let spoilt = [
        ("space", format!("{} {}", &whole[..40], &whole[40..])),
        ("url", whole.replace(['+', '/'], "-")),
        ("padding", whole.trim_end_matches('=').to_owned() + "AA="),
        ("letter", whole[1..].to_owned()),
        ("plain", "hunter2".to_owned()),
        ("empty", String::new()),
    ];
    items.extend(spoilt.map(|(name, text)| (name.to_owned(), text)));
    both_refuse(&bench, "app", items, &whole, 570)
}

/// Items under another name, namespace, scope or key than they were sealed for.
#[test]
fn no_moved_item_opens_on_either_side() -> Result {
    let bench = Bench::new()?;
    let (mut wrong, mut done) = (Vec::new(), 0);
    let scopes = ["strict", "namespace-wide", "cluster-wide"];
    for (from, scope) in scopes.into_iter().enumerate() {
        let secret = Secret::new("app", scope).with("k", "hunter2");
        bench.scene.write("s.yaml", yaml(&[secret])?)?;
        let sealed = bench.seal("s.yaml", "rsa-2048.crt", &["--output-type", "json"])?;
        let sealed = objects(&sealed)?.remove(0);
        // What each change does to the label that a scope has.
        for (change, moved, opens) in moves(&sealed, scope, from) {
            let text = moved.to_string();
            bench.scene.write("moved.json", &text)?;
            let key = format!("--key={}", key_file("rsa-2048.key"));
            let ours = bench
                .scene
                .seal(&["kube", "unseal", &key, "--encoded", "moved.json"])?;
            let theirs = bench.recover(text.as_bytes(), &["rsa-2048.key"])?;
            let refused = ours.code == Some(128) && ours.stdout.is_empty();
            if ours.success() != opens || theirs.success() != opens || !opens && !refused {
                wrong.push(format!(
                    "{scope}: {change}: seal {:?} {}, kubeseal {:?} {}",
                    ours.code,
                    ours.err(),
                    theirs.code,
                    theirs.err()
                ));
            }
            done += 1;
        }
        let key = format!("--key={}", key_file("rsa-4096.key"));
        bench.scene.write("other.json", sealed.to_string())?;
        let other = bench.scene.seal(&["kube", "unseal", &key, "other.json"])?;
        let theirs = bench.recover(sealed.to_string().as_bytes(), &["rsa-4096.key"])?;
        if other.code != Some(128) || theirs.success() {
            wrong.push(format!("{scope}: another key opens it: {}", other.err()));
        }
        done += 1;
    }
    verdict(&wrong, done, 24)
}

/// One object with its name, namespace or scope changed, and whether it opens then.
fn moves(sealed: &Value, scope: &str, from: usize) -> Vec<(String, Value, bool)> {
    let mut all = Vec::new();
    for (field, is_bound) in [("name", from == 0), ("namespace", from < 2)] {
        let mut moved = sealed.clone();
        moved["metadata"][field] = "other".into();
        all.push((field.to_owned(), moved, !is_bound));
    }
    for to in ["strict", "namespace-wide", "cluster-wide"] {
        let mut moved = sealed.clone();
        moved["metadata"]["annotations"] = sealed_by_hand("app", to, &[])["metadata"]["annotations"].clone();
        all.push((format!("says {to}"), moved, to == scope));
    }
    for (spelled, opens) in [("True", scope == "strict"), ("1", scope == "strict")] {
        let mut moved = sealed.clone();
        moved["metadata"]["annotations"] = Value::Null;
        for (_, annotation) in super::WIDE {
            moved["metadata"]["annotations"][annotation] = spelled.into();
        }
        all.push((format!("annotations with {spelled}"), moved, opens));
    }
    // The template says nothing about the scope.
    let mut moved = sealed.clone();
    moved["metadata"]["annotations"] = Value::Null;
    all.push((
        "says it in the template only".to_owned(),
        moved,
        scope == "strict",
    ));
    all
}

/// Items that change places between objects, each sealed for its own.
#[test]
fn no_item_opens_in_another_object() -> Result {
    let bench = Bench::new()?;
    let whole = item(&bench, &Secret::new("app", "strict").with("k", "hunter2"))?;
    let (mut strangers, mut number) = (Vec::new(), 0);
    for scope in ["strict", "namespace-wide", "cluster-wide"] {
        for (name, namespace) in [
            ("other", "prod"),
            ("app", "dev"),
            ("ap", "prod"),
            ("app", "pro"),
            ("prod", "app"),
        ] {
            let mut secret = Secret::new(name, scope).with("k", "hunter2");
            secret.namespace = namespace.to_owned();
            strangers.push((format!("item{number}"), item(&bench, &secret)?));
            number += 1;
        }
    }
    both_refuse(&bench, "app", strangers, &whole, 15)
}

/// The only item of a Secret, sealed.
fn item(bench: &Bench, secret: &Secret) -> Result<String> {
    bench.scene.write("s.yaml", yaml(std::slice::from_ref(secret))?)?;
    let sealed = bench.seal("s.yaml", "rsa-2048.crt", &["--output-type", "json"])?;
    let item = objects(&sealed)?[0]["spec"]["encryptedData"]["k"].clone();
    Ok(item.as_str().ok_or("no item")?.to_owned())
}

/// Puts items into one strict object with one that is whole, and has both programs say which of them do not open.
fn both_refuse(
    bench: &Bench,
    name: &str,
    items: Vec<(String, String)>,
    whole: &str,
    at_least: usize,
) -> Result {
    let expected: BTreeSet<String> = items.iter().map(|(key, _)| key.clone()).collect();
    let count = items.len();
    let items: Vec<(String, String)> = items
        .into_iter()
        .chain([("whole".to_owned(), whole.to_owned())])
        .collect();
    let manifest = sealed_by_hand(name, "strict", &items).to_string();
    bench.scene.write("refused.json", &manifest)?;
    let key = format!("--key={}", key_file("rsa-2048.key"));
    let ours = bench.scene.seal(&["kube", "unseal", &key, "refused.json"])?;
    let told = ours.err();
    assert!(!ours.success() && ours.stdout.is_empty(), "{told}");
    assert!(!told.contains("hunter2"), "a value is shown: {told}");
    let (_, first) = told.split_once("spec.encryptedData.").ok_or("no item is named")?;
    let first = first.split(':').next().unwrap_or_default();
    let others = told
        .lines()
        .find_map(|line| line.split_once("these do not open either: "));
    let others = others.map_or("", |(_, others)| others).split(", ");
    let ours: BTreeSet<String> = others.chain([first]).map(|key| key.trim().to_owned()).collect();
    let theirs = bench.recover(manifest.as_bytes(), &["rsa-2048.key"])?;
    assert!(!theirs.success(), "kubeseal opens it");
    let text = theirs.err();
    let keys = text
        .split(['(', ')'])
        .skip(1)
        .step_by(2)
        .flat_map(|keys| keys.split(", "));
    let theirs: BTreeSet<String> = keys.map(str::to_owned).collect();
    let mut wrong: Vec<String> = Vec::new();
    for (program, refused) in [("seal", &ours), ("kubeseal", &theirs)] {
        let opened = expected.difference(refused);
        wrong.extend(opened.map(|key| format!("{program} opens {key}")));
        let too_much = refused.difference(&expected);
        wrong.extend(too_much.map(|key| format!("{program} refuses {key}")));
    }
    verdict(&wrong, count, at_least)
}
