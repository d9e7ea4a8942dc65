//! Both directions between `seal` and the real kubeseal.

use super::{
    Bench, Secret, WIDE, all_secrets, documents, json, key_file, list, objects, sealed_by_hand, yaml,
};
use crate::scene::{Result, verdict};

const KEYS: [&str; 2] = ["rsa-2048.key", "rsa-4096.key"];

/// YAML and JSON, many documents and Lists, sealed here and opened by kubeseal one by one.
#[test]
fn kubeseal_opens_what_seal_sealed() -> Result {
    let bench = Bench::new()?;
    let all = all_secrets();
    bench.scene.write("documents.yaml", yaml(&all)?)?;
    bench.scene.write("values.json", json(&all))?;
    bench
        .scene
        .write("list.yaml", serde_yaml::to_string(&list(&all))?)?;
    bench.scene.write("list.json", list(&all).to_string())?;
    let (mut wrong, mut done) = (Vec::new(), 0);
    for (file, certificate) in [
        ("documents.yaml", "rsa-4096.crt"),
        ("values.json", "rsa-2048.crt"),
        ("list.yaml", "rsa-2048.crt"),
        ("list.json", "rsa-2048.crt"),
    ] {
        let sealed = String::from_utf8(bench.seal(file, certificate, &[])?)?;
        let parts: Vec<String> = match file.ends_with("yaml") {
            true => documents(&sealed).into_iter().map(str::to_owned).collect(),
            false => objects(sealed.as_bytes())?
                .iter()
                .map(ToString::to_string)
                .collect(),
        };
        assert_eq!(parts.len(), all.len(), "{file}");
        for (secret, part) in all.iter().zip(&parts) {
            match bench.recovered(part.as_bytes(), &[&certificate.replace("crt", "key")]) {
                Ok(opened) => compare(file, &one_scope(secret), &opened, &mut wrong),
                Err(error) => wrong.push(format!("{file}: {}: {error}", secret.name)),
            }
            done += 1;
        }
    }
    verdict(&wrong, done, 24)
}

/// What kubeseal made of many documents in one run opens here in one run, YAML and JSON.
#[test]
fn seal_opens_what_kubeseal_sealed() -> Result {
    let bench = Bench::new()?;
    let all = all_secrets();
    bench.scene.write("documents.yaml", yaml(&all)?)?;
    bench.scene.write("values.json", json(&all))?;
    let (mut wrong, mut done) = (Vec::new(), 0);
    for (file, certificate, format) in [
        ("documents.yaml", "rsa-2048.crt", "yaml"),
        ("documents.yaml", "rsa-4096.crt", "json"),
        ("values.json", "rsa-2048.crt", "yaml"),
        ("values.json", "rsa-2048.crt", "json"),
    ] {
        let sealed = format!("sealed.{format}");
        bench
            .scene
            .write(&sealed, bench.kubeseal(file, certificate, &["-o", format])?)?;
        let opened = bench.unseal(&sealed, &KEYS)?;
        assert_eq!(opened.len(), all.len(), "{file} as {format}");
        for (secret, opened) in all.iter().zip(&opened) {
            compare(file, secret, opened, &mut wrong);
            done += 1;
        }
        let checked = bench.scene.seal(&["kube", "verify", &sealed])?;
        if checked.code != Some(0) {
            wrong.push(format!("{file}: verify: {}", checked.err()));
        }
    }
    verdict(&wrong, done, 24)
}

/// A scope that a flag asks for, on both sides.
#[test]
fn a_scope_that_is_asked_for_is_the_same_on_both_sides() -> Result {
    let bench = Bench::new()?;
    bench
        .scene
        .write("s.yaml", yaml(&[Secret::new("app", "strict").with("k", "v")])?)?;
    for scope in ["strict", "namespace-wide", "cluster-wide"] {
        let expected = Secret::new("app", scope).with("k", "v");
        let ours = bench.seal("s.yaml", "rsa-2048.crt", &["--scope", scope])?;
        assert_eq!(bench.recovered(&ours, &KEYS)?, expected);
        let theirs = bench.kubeseal("s.yaml", "rsa-2048.crt", &["--scope", scope, "-o", "yaml"])?;
        bench.scene.write("theirs.yaml", theirs)?;
        assert_eq!(bench.unseal("theirs.yaml", &KEYS)?, [expected]);
    }
    Ok(())
}

/// The most that Kubernetes takes: 1 MiB of values, in one key.
#[test]
fn a_mebibyte_goes_both_ways(/* FF-25, LD-04 */) -> Result {
    let bench = Bench::new()?;
    let value: Vec<u8> = (0..1 << 20)
        .map(|at: u32| (at.wrapping_mul(at) >> 7) as u8)
        .collect();
    let large = Secret::new("large", "strict").with("data-large", value);
    bench
        .scene
        .write("large.yaml", yaml(std::slice::from_ref(&large))?)?;
    let ours = bench.seal("large.yaml", "rsa-4096.crt", &[])?;
    assert!(
        bench.recovered(&ours, &KEYS)? == large,
        "kubeseal opens another value"
    );
    let theirs = bench.kubeseal("large.yaml", "rsa-4096.crt", &["-o", "yaml"])?;
    bench.scene.write("theirs.yaml", theirs)?;
    assert!(
        bench.unseal("theirs.yaml", &KEYS)? == [large],
        "seal opens another value"
    );
    Ok(())
}

/// `kubeseal --raw`: single values, put into manifests by hand.
#[test]
fn raw_items_open_in_a_manifest_made_by_hand() -> Result {
    let bench = Bench::new()?;
    let values: [&[u8]; 3] = [b"hunter2\n", b"", b"\0\xff\n\r"];
    for scope in ["strict", "namespace-wide", "cluster-wide"] {
        let (mut items, mut expected) = (Vec::new(), Secret::new("app", scope));
        for (number, value) in values.into_iter().enumerate() {
            bench.scene.write("value", value)?;
            let (certificate, file) = (
                key_file("rsa-2048.crt"),
                format!("--from-file={}", bench.path("value").display()),
            );
            let raw = [
                "--raw",
                "--cert",
                &certificate,
                &file,
                "--scope",
                scope,
                "--namespace",
                "prod",
                "--name",
                "app",
            ];
            let item = bench.kubeseal.run(raw)?.expect_success()?;
            items.push((format!("k{number}"), String::from_utf8(item)?));
            expected.values.insert(format!("k{number}"), value.to_vec());
        }
        let manifest = sealed_by_hand("app", scope, &items);
        // Such a template names no annotations.
        expected.annotations.clear();
        bench.scene.write("sealed.json", manifest.to_string())?;
        assert_eq!(
            bench.unseal("sealed.json", &KEYS)?,
            std::slice::from_ref(&expected)
        );
        bench
            .scene
            .write("sealed.yaml", serde_yaml::to_string(&manifest)?)?;
        assert_eq!(bench.unseal("sealed.yaml", &KEYS)?, [expected]);
    }
    Ok(())
}

/// Without values, if that is asked for.
#[test]
fn a_secret_without_values_goes_both_ways(/* FF-25 */) -> Result {
    let bench = Bench::new()?;
    let mut empty = Secret::new("empty", "strict");
    empty.kind = Some("kubernetes.io/basic-auth".to_owned());
    bench
        .scene
        .write("empty.yaml", yaml(std::slice::from_ref(&empty))?)?;
    let ours = bench.seal("empty.yaml", "rsa-2048.crt", &["--allow-empty"])?;
    assert_eq!(bench.recovered(&ours, &KEYS)?, empty);
    let theirs = bench.kubeseal(
        "empty.yaml",
        "rsa-2048.crt",
        &["--allow-empty-data", "-o", "yaml"],
    )?;
    bench.scene.write("theirs.yaml", theirs)?;
    assert_eq!(bench.unseal("theirs.yaml", &KEYS)?, [empty]);
    Ok(())
}

/// The same with the annotation of the scope that holds, where there were two: `seal` writes no other.
fn one_scope(secret: &Secret) -> Secret {
    let mut secret = secret.clone();
    if secret.annotations.contains_key(WIDE[1].1) {
        secret.annotations.remove(WIDE[0].1);
    }
    secret
}

/// Texts that YAML takes for something else when they stand without quotes, some of them only in the YAML of Kubernetes.
#[test]
fn texts_that_look_like_something_else_stay_texts() -> Result {
    let bench = Bench::new()?;
    let texts = [
        "yes",
        "n",
        "off",
        "True",
        "~",
        "null",
        "1_000",
        "0x1F",
        "0o17",
        "017",
        "1e3",
        "12345678e1234567",
        "1234567890123456",
        ".inf",
        "2020-01-01",
        "12:30:45",
        "<<",
        "=",
        "- a",
        "a: b",
        "#c",
        "!x",
        "&x",
        "*x",
        "",
        " x ",
    ];
    let mut secret = Secret::new("app", "strict");
    for (number, text) in texts.into_iter().enumerate() {
        secret = secret.with(&format!("k{number}"), text);
        secret.annotations.insert(format!("a{number}"), text.to_owned());
    }
    for name in ["y", "no", "null", "1e3"] {
        secret.labels.insert(name.to_owned(), "on".to_owned());
        secret = secret.with(name, "on");
    }
    bench.scene.write("s.json", secret.manifest().to_string())?;
    let ours = bench.seal("s.json", "rsa-2048.crt", &["--output-type", "yaml"])?;
    assert_eq!(bench.recovered(&ours, &KEYS)?, secret);
    bench.scene.write("ours.yaml", &ours)?;
    let key = format!("--key={}", key_file("rsa-2048.key"));
    let opened = bench.scene.must(&["kube", "unseal", &key, "ours.yaml"])?;
    bench.scene.write("opened.yaml", opened)?;
    let theirs = bench.kubeseal("opened.yaml", "rsa-2048.crt", &[])?;
    assert_eq!(bench.recovered(&theirs, &KEYS)?, secret);
    Ok(())
}

fn compare(file: &str, expected: &Secret, found: &Secret, wrong: &mut Vec<String>) {
    if expected != found {
        wrong.push(format!("{file}: {expected:?} became {found:?}"));
    }
}
