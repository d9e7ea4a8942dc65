//! `set`, `edit` and `merge`: one item changes, everything else stays as it is written.

use super::{CANARY, Kube, shows_nothing};
use crate::scene::{Result, ended};

/// Lines of `new` that do not stand in `old`.
fn changed(old: &str, new: &str) -> Vec<String> {
    let old: Vec<&str> = old.lines().collect();
    let lines = new.lines().filter(|line| !old.contains(line));
    lines.map(|line| line.trim().chars().take(24).collect()).collect()
}

#[test]
fn set_changes_one_item_of_every_file() -> Result {
    let kube = Kube::new()?;
    kube.scene.write("other.yaml", kube.text("sealed.yaml")?)?;
    let before = kube.text("sealed.yaml")?;
    let files = ["sealed.yaml", "other.yaml", "./sealed.yaml", "sealed.yaml"];
    // A file that is named twice is changed once, and does not wait for itself.
    let output = kube.scene.seal_with_input(
        &[
            &["kube", "set", "password", "--value-stdin", "--cert", "old.crt"],
            &files[..],
        ]
        .concat(),
        format!("{CANARY}\n\u{e9}").as_bytes(),
    )?;
    assert!(output.success(), "{}", ended(&output));
    shows_nothing(&output)?;
    assert_eq!(output.out().lines().count(), 2, "{}", output.out());
    for file in ["sealed.yaml", "other.yaml"] {
        let after = kube.text(file)?;
        assert_eq!(after.lines().count(), before.lines().count(), "{file}");
        let lines = changed(&before, &after);
        assert!(
            lines.len() == 1 && lines[0].starts_with("password: A"),
            "{file}: {lines:?}"
        );
        let opened = kube.opened(file, "old.key")?;
        assert!(
            opened.contains(&format!("{CANARY}\n    \u{e9}")),
            "{file}: {opened}"
        );
        assert!(opened.contains("user: c4narY7hunter2Value-2"), "{file}: {opened}");
    }
    let values: Vec<String> = ["sealed.yaml", "other.yaml"]
        .map(|file| kube.text(file))
        .into_iter()
        .collect::<Result<_>>()?;
    assert_ne!(values[0], values[1], "one session key for two files");
    Ok(())
}

/// Two runs with the same files in another order do not wait for each other for ever.
#[test]
fn two_sets_of_the_same_files_end() -> Result {
    let kube = Kube::new()?;
    for number in 0..8 {
        kube.scene
            .write(&format!("{number}.yaml"), kube.text("sealed.yaml")?)?;
    }
    kube.scene.write("value", CANARY)?;
    let names: Vec<String> = (0..8).map(|number| format!("{number}.yaml")).collect();
    let mut reversed = names.clone();
    reversed.reverse();
    let seal = kube.scene.tool(env!("CARGO_BIN_EXE_seal"), &[])?;
    let seal = seal.limit(std::time::Duration::from_secs(60));
    for _ in 0..3 {
        std::thread::scope(|scope| {
            let runs = [&names, &reversed].map(|names| {
                let set = [
                    "kube",
                    "set",
                    "password",
                    "--value-file",
                    "value",
                    "--cert",
                    "old.crt",
                ];
                let arguments: Vec<&str> = set.into_iter().chain(names.iter().map(String::as_str)).collect();
                let seal = &seal;
                scope.spawn(move || seal.run(&arguments))
            });
            runs.into_iter().try_for_each(|run| -> Result {
                let output = run.join().map_err(|_| "a run panicked")??;
                assert!(output.success(), "{}", ended(&output));
                Ok(())
            })
        })?;
    }
    Ok(())
}

#[test]
fn set_takes_an_item_away_and_adds_one() -> Result {
    let kube = Kube::new()?;
    kube.must(&["set", "user", "--remove", "sealed.yaml"])?;
    let opened = kube.opened("sealed.yaml", "old.key")?;
    assert!(
        !opened.contains("user") && opened.contains("password"),
        "{opened}"
    );
    kube.must(&["set", "password", "--remove", "sealed.yaml"])?;
    assert!(kube.text("sealed.yaml")?.contains("encryptedData: {}"));
    kube.scene.write("value", "\0\u{1}")?;
    for item in ["yes", "1e3", "a.b-C_9"] {
        kube.must(&[
            "set",
            item,
            "--value-file",
            "value",
            "--cert",
            "new.crt",
            "sealed.yaml",
        ])?;
    }
    let opened = kube.must(&[
        "unseal",
        "--key",
        "new.key",
        "--output-type",
        "json",
        "sealed.yaml",
    ])?;
    let opened: serde_json::Value = serde_json::from_str(&opened)?;
    let data = opened["data"].as_object().ok_or("no data")?;
    assert_eq!(data.keys().collect::<Vec<_>>(), ["yes", "1e3", "a.b-C_9"]);
    assert!(data.values().all(|value| value == "AAE="));
    Ok(())
}

/// A hint of sixteen digits that would be a number without quotes.
#[test]
fn hints_that_look_like_numbers_stay_texts() -> Result {
    for key in ["1234567890123456", "123456789012e100"] {
        let kube = Kube::new()?;
        let sealed = kube.text("sealed.yaml")?;
        let item = |name: &str| {
            let line = sealed.lines().find_map(|line| line.trim().strip_prefix(name));
            sealed_secrets::short_hash(line.unwrap_or_default().as_bytes())
        };
        let hint = format!("{key}:{};aaaaaaaaaaaaaaaa:{}", item("user: "), item("password: "));
        let old = sealed
            .lines()
            .find_map(|line| line.trim().strip_prefix("sealwright.dev/sealed-with: "))
            .ok_or("no hint")?;
        kube.scene.write("sealed.yaml", sealed.replace(old, &hint))?;
        let removed = edit(&kube, "sed -i /password/d \"$1\"", &[])?;
        assert!(removed.success(), "{}", ended(&removed));
        let text = kube.text("sealed.yaml")?;
        assert!(
            text.contains(&format!("sealed-with: \"{key}\"\n"))
                || text.contains(&format!("sealed-with: '{key}'\n")),
            "{text}"
        );
        assert!(kube.opened("sealed.yaml", "old.key")?.contains(CANARY));
    }
    Ok(())
}

/// An editor that runs a line of sh on the file.
fn edit(kube: &Kube, script: &str, arguments: &[&str]) -> Result<support::run::Output> {
    kube.scene
        .write("editor.sh", format!("cp \"$1\" shown\n{script}\n"))?;
    let editor = format!("sh {}", kube.scene.path("editor.sh").display());
    let seal = kube
        .scene
        .tool(env!("CARGO_BIN_EXE_seal"), &[])?
        .env("EDITOR", editor);
    Ok(seal.run([&["kube", "edit", "sealed.yaml", "--cert", "old.crt"], arguments].concat())?)
}

#[test]
fn edit_without_keys_shows_no_value_and_seals_what_is_written() -> Result {
    let kube = Kube::new()?;
    let before = kube.text("sealed.yaml")?;
    let output = edit(
        &kube,
        "sed -i 's/user: !sealed/user: n3w/' \"$1\"; echo '  more: x' >> \"$1\"",
        &[],
    )?;
    assert!(output.success(), "{}", ended(&output));
    let shown = kube.text("shown")?;
    assert!(
        shown.contains("  password: !sealed\n  user: !sealed\n"),
        "{shown}"
    );
    let lines = changed(&before, &kube.text("sealed.yaml")?);
    assert!(
        lines.len() == 2 && lines[0].starts_with("user: A") && lines[1].starts_with("more: A"),
        "{lines:?}"
    );
    let opened = kube.opened("sealed.yaml", "old.key")?;
    assert!(opened.contains(&format!("password: {CANARY}\n")), "{opened}");
    assert!(
        opened.contains("user: n3w\n") && opened.contains("more: x\n"),
        "{opened}"
    );
    let unchanged = edit(&kube, "true", &[])?;
    assert_eq!(unchanged.code, Some(200), "{}", ended(&unchanged));
    let removed = edit(&kube, "sed -i /more/d \"$1\"", &[])?;
    assert!(removed.success() && !kube.text("sealed.yaml")?.contains("more"));
    Ok(())
}

#[test]
fn edit_with_keys_shows_values_and_seals_what_changed() -> Result {
    let kube = Kube::new()?;
    kube.scene.write("value", b"\0\xff")?;
    kube.must(&[
        "set",
        "bytes",
        "--value-file",
        "value",
        "--cert",
        "old.crt",
        "sealed.yaml",
    ])?;
    let before = kube.text("sealed.yaml")?;
    let output = edit(
        &kube,
        "sed -i 's/Value-2/Value-3/; s/AP8=/AP8A/' \"$1\"",
        &["--key", "old.key"],
    )?;
    assert!(output.success(), "{}", ended(&output));
    shows_nothing(&output)?;
    let shown = kube.text("shown")?;
    assert!(
        shown.contains(&format!("  password: {CANARY}\n")) && shown.contains("data:\n  bytes: AP8=\n"),
        "{shown}"
    );
    let lines = changed(&before, &kube.text("sealed.yaml")?);
    assert_eq!(lines.len(), 2, "{lines:?}");
    let opened = kube.opened("sealed.yaml", "old.key")?;
    assert!(
        opened.contains("Value-3") && opened.contains("bytes: AP8A"),
        "{opened}"
    );
    // Without the right key the values stay sealed.
    let output = edit(&kube, "true", &["--key", "new.key"])?;
    assert_eq!(output.code, Some(200), "{}", ended(&output));
    assert!(
        output.err().contains("3 of 3 items do not open"),
        "{}",
        ended(&output)
    );
    assert!(kube.text("shown")?.contains("password: !sealed"));
    Ok(())
}

/// What the editor leaves may be wrong; the file is then as it was.
#[test]
fn an_edit_that_cannot_be_sealed_changes_nothing() -> Result {
    let kube = Kube::new()?;
    let before = kube.text("sealed.yaml")?;
    for (script, words) in [
        ("echo '  n: 5432' >> \"$1\"", "must be a text"),
        ("echo '  a/b: x' >> \"$1\"", "a key has letters"),
        ("echo '  user: x' >> \"$1\"", "twice"),
        ("echo 'other: {}' >> \"$1\"", "neither data nor stringData"),
        (
            "printf 'data:\\n  k: \"%s\"\\n' 'c4narY7hunter2Value!' > \"$1\"",
            "is not base64",
        ),
        ("echo '  gone: !sealed' >> \"$1\"", "no such item"),
        ("printf '\\n' > \"$1\"", "left nothing"),
        (": > \"$1\"", "left nothing"),
        (
            "echo '# x' >> sealed.yaml; sed -i s/Value-2/x/ \"$1\"",
            "changed on disk",
        ),
        ("exit 3", "editor"),
    ] {
        kube.scene.write("sealed.yaml", &before)?;
        let output = edit(&kube, script, &["--key", "old.key"])?;
        assert!(!output.success(), "{script}: {}", ended(&output));
        assert!(output.err().contains(words), "{script}: {}", ended(&output));
        let after = kube.text("sealed.yaml")?;
        assert_eq!(after.trim_end_matches("# x\n"), before, "{script}");
        shows_nothing(&output)?;
    }
    Ok(())
}

/// The scope is the file's, not the Secret's; labels and annotations go into the template.
#[test]
fn merge_takes_the_scope_of_the_file() -> Result {
    let kube = Kube::new()?;
    let sealed = kube.must(&[
        "seal",
        "--cert",
        "old.crt",
        "--scope",
        "namespace-wide",
        "secret.yaml",
    ])?;
    kube.scene
        .write("sealed.yaml", format!("# of the shop team\n{sealed}# tail\n"))?;
    let before = kube.text("sealed.yaml")?;
    let more = "kind: Secret\nmetadata:\n  labels: {app: shop, build: '1e3'}\n  annotations:\n    \
                sealedsecrets.bitnami.com/cluster-wide: \"true\"\n    note: for you\n    \
                kubectl.kubernetes.io/last-applied-configuration: c4narY7hunter2Value\n\
                stringData: {more: m0re}\ndata: {password: bjN3}\n";
    let output = kube.scene.seal_with_input(
        &["kube", "merge", "--cert", "new.crt", "sealed.yaml"],
        more.as_bytes(),
    )?;
    assert!(output.success(), "{}", ended(&output));
    let text = kube.text("sealed.yaml")?;
    assert!(
        text.starts_with("# of the shop team\n") && text.ends_with("# tail\n"),
        "{text}"
    );
    assert!(!text.contains("cluster-wide") && !text.contains(CANARY), "{text}");
    let user = |text: &str| {
        text.lines()
            .find(|line| line.contains("    user: "))
            .map(str::to_owned)
    };
    assert_eq!(user(&text), user(&before));
    kube.scene.write(
        "both.key",
        [kube.scene.read("old.key")?, kube.scene.read("new.key")?].concat(),
    )?;
    let opened: serde_json::Value = serde_json::from_str(&kube.must(&[
        "unseal",
        "--key",
        "both.key",
        "--output-type=json",
        "sealed.yaml",
    ])?)?;
    assert_eq!(opened["stringData"]["more"], "m0re");
    assert_eq!(opened["stringData"]["password"], "n3w");
    assert_eq!(opened["stringData"]["user"], format!("{CANARY}-2"));
    let metadata = &opened["metadata"];
    assert_eq!(
        metadata["labels"],
        serde_json::json!({"app": "shop", "build": "1e3"})
    );
    assert_eq!(metadata["annotations"]["note"], "for you");
    assert_eq!(
        metadata["annotations"]["sealedsecrets.bitnami.com/namespace-wide"],
        "true"
    );
    // Whatever its name, in this namespace.
    kube.scene
        .write("sealed.yaml", text.replace("name: app", "name: other"))?;
    kube.must(&["verify", "--key", "both.key", "sealed.yaml"])?;
    Ok(())
}
