//! Files that kubeseal and `seal` change in turn: several keys in one object, and hints that kubeseal does not know.

use serde_json::Value;

use super::{Bench, Secret, key_file, yaml};
use crate::scene::Result;

const BOTH: [&str; 2] = ["rsa-2048.key", "rsa-4096.key"];

/// The items of a SealedSecret of two keys open on both sides, whichever key comes first.
#[test]
fn items_of_several_keys_open_on_both_sides() -> Result {
    let bench = Bench::new()?;
    let expected = Secret::new("app", "strict").with("old", "1").with("new", "2");
    bench
        .scene
        .write("s.yaml", yaml(&[Secret::new("app", "strict").with("old", "1")])?)?;
    let theirs = bench.kubeseal("s.yaml", "rsa-2048.crt", &["-o", "yaml"])?;
    for hinted in [false, true] {
        match hinted {
            false => bench.scene.write("mixed.yaml", &theirs)?,
            true => bench
                .scene
                .write("mixed.yaml", bench.seal("s.yaml", "rsa-2048.crt", &[])?)?,
        }
        bench.scene.write("value", "2")?;
        let certificate = key_file("rsa-4096.crt");
        bench.scene.must(&[
            "kube",
            "set",
            "new",
            "mixed.yaml",
            "--value-file",
            "value",
            "--cert",
            &certificate,
        ])?;
        let mixed = bench.scene.read("mixed.yaml")?;
        for keys in [BOTH, [BOTH[1], BOTH[0]]] {
            assert_eq!(bench.recovered(&mixed, &keys)?, expected);
            assert_eq!(
                bench.unseal("mixed.yaml", &keys)?,
                std::slice::from_ref(&expected)
            );
        }
        for key in BOTH {
            assert!(
                !bench.recover(&mixed, &[key])?.success(),
                "one key opens both for kubeseal"
            );
            let key = format!("--key={}", key_file(key));
            let one = bench.scene.seal(&["kube", "unseal", &key, "mixed.yaml"])?;
            assert_eq!((one.code, one.stdout.len()), (Some(128), 0), "{}", one.err());
        }
    }
    Ok(())
}

/// A backup of the controller's keys, as a List and as documents, is read by both.
#[test]
fn a_backup_of_keys_is_read_by_both() -> Result {
    let bench = Bench::new()?;
    let expected = Secret::new("app", "strict").with("k", "v");
    bench
        .scene
        .write("s.yaml", yaml(std::slice::from_ref(&expected))?)?;
    let sealed = bench.kubeseal("s.yaml", "rsa-4096.crt", &["-o", "yaml"])?;
    bench.scene.write("sealed.yaml", &sealed)?;
    let keys = ["rsa-2048", "rsa-4096"].map(|name| -> Result<Secret> {
        let mut key = Secret::new(name, "strict")
            .with("data-tls.key", std::fs::read(key_file(&format!("{name}.key")))?)
            .with("data-tls.crt", std::fs::read(key_file(&format!("{name}.crt")))?);
        key.values = key
            .values
            .into_iter()
            .map(|(key, value)| (key.replace("data-", ""), value))
            .collect();
        key.kind = Some("kubernetes.io/tls".to_owned());
        Ok(key)
    });
    let mut manifests = Vec::new();
    for key in keys {
        let mut manifest = key?.manifest();
        // The API server gives values back under `data` only.
        let texts = manifest["stringData"].take();
        for (name, text) in texts.as_object().into_iter().flatten() {
            let text = text.as_str().unwrap_or_default();
            manifest["data"][name] = base64::Engine::encode(&super::STANDARD, text).into();
        }
        manifests.push(manifest);
    }
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": manifests});
    let documents: std::result::Result<Vec<String>, _> =
        manifests.iter().map(serde_yaml::to_string::<Value>).collect();
    bench.scene.write("list.json", list.to_string())?;
    bench.scene.write("list.yaml", serde_yaml::to_string(&list)?)?;
    bench.scene.write("documents.yaml", documents?.join("---\n"))?;
    for backup in ["list.json", "list.yaml", "documents.yaml"] {
        let path = bench.path(backup);
        let theirs = bench.kubeseal.run_with_input(
            [
                "--recovery-unseal",
                &format!("--recovery-private-key={}", path.display()),
            ],
            &sealed,
        )?;
        let theirs = Secret::of(&serde_json::from_slice(&theirs.expect_success()?)?);
        let ours = bench.scene.must(&[
            "kube",
            "unseal",
            "--key",
            backup,
            "--output-type=json",
            "--encoded",
            "sealed.yaml",
        ])?;
        assert_eq!(
            (&theirs, &super::secrets(&ours)?[..]),
            (&expected, &[expected.clone()][..]),
            "{backup}"
        );
    }
    Ok(())
}

/// kubeseal adds an item for an old key to a file with a hint for a newer one: the hint is then false for that item. It
/// opens nevertheless, and a reseal does not believe it.
#[test]
fn what_kubeseal_merges_is_found_whatever_the_hint_says() -> Result {
    let bench = Bench::new()?;
    bench
        .scene
        .write("s.yaml", yaml(&[Secret::new("app", "strict").with("a", "1")])?)?;
    bench
        .scene
        .write("sealed.yaml", bench.seal("s.yaml", "rsa-4096.crt", &[])?)?;
    bench
        .scene
        .write("more.yaml", yaml(&[Secret::new("app", "strict").with("b", "2")])?)?;
    let path = bench.path("sealed.yaml");
    bench.kubeseal(
        "more.yaml",
        "rsa-2048.crt",
        &["--merge-into", &path.to_string_lossy(), "-o", "yaml"],
    )?;
    let expected = Secret::new("app", "strict").with("a", "1").with("b", "2");
    assert_eq!(
        bench.unseal("sealed.yaml", &BOTH)?,
        std::slice::from_ref(&expected)
    );
    let before = bench.scene.read("sealed.yaml")?;
    let (certificate, old, new) = (
        key_file("rsa-4096.crt"),
        key_file("rsa-2048.key"),
        key_file("rsa-4096.key"),
    );
    let reseal = [
        "kube",
        "reseal",
        "--key",
        &old,
        "--cert",
        &certificate,
        "sealed.yaml",
    ];
    let plan = bench
        .scene
        .must(&[&reseal[..], &["--key", &new, "--plan"]].concat())?;
    assert!(String::from_utf8_lossy(&plan).contains("1 item in 1 file"));
    assert_eq!(bench.scene.read("sealed.yaml")?, before, "a plan writes");
    bench.scene.must(&[&reseal[..], &["--key", &new]].concat())?;
    assert_eq!(
        bench.recovered(&bench.scene.read("sealed.yaml")?, &[BOTH[1]])?,
        expected
    );
    Ok(())
}

/// A file as kubeseal writes it, resealed: only the items differ, and kubeseal opens it with the new key alone.
#[test]
fn a_file_of_kubeseal_is_resealed_where_it_stands() -> Result {
    let bench = Bench::new()?;
    let all = super::all_secrets();
    bench.scene.write("s.yaml", yaml(&all)?)?;
    for format in ["yaml", "json"] {
        let file = format!("sealed.{format}");
        let before = bench.kubeseal("s.yaml", "rsa-2048.crt", &["-o", format])?;
        bench.scene.write(&file, &before)?;
        let (certificate, old) = (key_file("rsa-4096.crt"), key_file("rsa-2048.key"));
        bench
            .scene
            .must(&["kube", "reseal", "--key", &old, "--cert", &certificate, &file])?;
        let after = bench.scene.read(&file)?;
        assert_eq!(without_items(&before), without_items(&after), "{format}");
        assert_eq!(bench.unseal(&file, &["rsa-4096.key"])?, all);
        let old = format!("--key={old}");
        assert_eq!(
            bench.scene.seal(&["kube", "unseal", &old, &file])?.code,
            Some(128)
        );
    }
    Ok(())
}

/// A file with its items cut out: they are the only words of that length.
fn without_items(file: &[u8]) -> String {
    let text = String::from_utf8_lossy(file);
    let is_item = |word: &str| word.trim_matches(['"', ',']).len() > 300;
    let lines = text.lines().map(|line| {
        let words = line
            .split(' ')
            .map(|word| if is_item(word) { "ITEM" } else { word });
        words.collect::<Vec<_>>().join(" ")
    });
    lines.collect::<Vec<_>>().join("\n")
}
