//! What people do by mistake, and what must not follow from it: another cluster's certificate, a value that is lost, a file
//! that changes elsewhere.

use super::{CANARY, Kube};
use crate::scene::{Result, ended};

const CLUSTERS: &str = "    - {name: eu, certificate: old.crt}\n    - {name: us, certificate: new.crt}\n";

fn under(rules: &str) -> Result<Kube> {
    Kube::under(&format!(
        "seal:\n  clusters:\n{CLUSTERS}  sealed_secrets: {rules}\n"
    ))
}

/// Runs `seal` itself in the folder.
fn seal(kube: &Kube, arguments: &[&str]) -> Result<i32> {
    Ok(kube.scene.seal(arguments)?.code.unwrap_or(-1))
}

#[test]
fn rules_on_one_line_keep_their_clusters() -> Result {
    let kube = under("[{path_regex: ^eu/, clusters: [eu]}, {path_regex: ^us/, clusters: [us]}]")?;
    let secret = kube.text("secret.yaml")?;
    for folder in ["eu", "us"] {
        kube.scene.write(&format!("{folder}/db.yaml"), &secret)?;
    }
    assert_eq!(seal(&kube, &["eu", "us"])?, 0);
    assert!(kube.opened("eu/db.yaml", "old.key")?.contains(CANARY));
    assert!(kube.opened("us/db.yaml", "new.key")?.contains(CANARY));
    Ok(())
}

#[test]
fn a_file_belongs_to_the_cluster_whose_rule_made_it_or_to_none() -> Result {
    let output = "output: '{dir}/{stem}.sealed.{ext}'";
    let kube = under(&format!(
        "[{{path_regex: ^apps/, clusters: [eu], {output}}}, {{path_regex: ^infra/, clusters: [us], {output}}}]"
    ))?;
    kube.scene.write("infra/db.yaml", kube.text("secret.yaml")?)?;
    assert_eq!(seal(&kube, &["infra"])?, 0);
    kube.scene.write("value", "n3w")?;
    kube.must(&["set", "password", "--value-file", "value", "infra/db.sealed.yaml"])?;
    assert!(kube.opened("infra/db.sealed.yaml", "new.key")?.contains("n3w"));
    kube.scene.policy(&format!(
        "seal:\n  clusters:\n{CLUSTERS}  sealed_secrets: [{{path_regex: ., clusters: [eu, us], output: 'out/{{cluster}}.yaml'}}, {{path_regex: ., clusters: [us], output: 'out/eu.yaml'}}]\n"
    ))?;
    kube.scene
        .write("out/eu.yaml", kube.text("infra/db.sealed.yaml")?)?;
    let refused = kube.run(&["set", "password", "--value-file", "value", "out/eu.yaml"])?;
    assert_eq!(refused.code, Some(8), "{}", ended(&refused));
    assert!(
        refused.err().contains("can belong to several clusters: eu, us"),
        "{}",
        refused.err()
    );
    Ok(())
}

#[test]
fn what_sops_sealed_is_not_sealed_as_its_ciphertext() -> Result {
    let kube = under("[{path_regex: ^apps/, clusters: [eu]}]")?;
    let sealed = "kind: Secret\nmetadata: {name: a, namespace: b}\nstringData:\n  password: ENC[AES256_GCM,data:eA==,type:str]\nsops:\n  mac: x\n  lastmodified: '2026-01-01T00:00:00Z'\n";
    kube.scene.write("apps/db.yaml", sealed)?;
    let refused = kube.run(&["seal", "-i", "apps/db.yaml"])?;
    assert_eq!(refused.code, Some(203), "{}", ended(&refused));
    seal(&kube, &["apps"])?;
    assert_eq!(kube.text("apps/db.yaml")?, sealed);
    let checked = kube.scene.seal(&["check", "apps"])?;
    assert!(!checked.err().contains("in the clear"), "{}", checked.err());
    Ok(())
}

#[test]
fn files_without_secrets_go_on_to_their_creation_rule() -> Result {
    let kube = Kube::under(&format!(
        "creation_rules:\n  - path_regex: ^apps/values\n    age: PERSON0\nseal:\n  clusters:\n{CLUSTERS}  sealed_secrets: [{{path_regex: ^apps/, clusters: [eu]}}]\n"
    ))?;
    kube.scene
        .write("apps/values.yaml", "kind: Values\nexistingSecret: db\n")?;
    assert_eq!(seal(&kube, &["apps"])?, 0);
    assert!(kube.text("apps/values.yaml")?.contains("ENC[AES256_GCM"));
    // What a cluster reads is never sealed in SOPS' way, however it is spelled.
    let sealed = kube.must(&[
        "seal",
        "--cert",
        "old.crt",
        "--output-type",
        "json",
        "secret.yaml",
    ])?;
    kube.scene.write("apps/values.json", &sealed)?;
    for arguments in [&["apps"][..], &["apps/values.json"]] {
        assert_eq!(seal(&kube, arguments)?, 0);
        assert_eq!(kube.text("apps/values.json")?, sealed);
    }
    Ok(())
}

#[test]
fn results_do_not_fall_on_one_another_or_on_their_source() -> Result {
    let kube = under("[{path_regex: ^plain/, clusters: [eu], output: 'out/{cluster}/{file}'}]")?;
    let secret = kube.text("secret.yaml")?;
    for file in ["plain/a/db.yaml", "plain/b/db.yaml"] {
        kube.scene.write(file, &secret)?;
    }
    assert_eq!(seal(&kube, &["plain"])?, 8);
    assert!(!kube.scene.path("out").exists());
    let refused = kube.run(&["seal", "--cert", "old.crt", "-o", "{dir}/{file}", "secret.yaml"])?;
    assert_eq!(refused.code, Some(8), "{}", ended(&refused));
    assert_eq!(kube.text("secret.yaml")?, secret);
    Ok(())
}

const THREE: &str =
    "kind: Secret\nmetadata: {name: a, namespace: b}\nstringData: {one: '1', two: '2', three: '3'}\n";

#[test]
fn several_items_go_and_come_in_one_edit() -> Result {
    let kube = Kube::new()?;
    kube.scene.write("three.yaml", THREE)?;
    let one_line = |sealed: &str| sealed.lines().map(str::trim).collect::<Vec<_>>().join("");
    for (name, format) in [
        ("sealed.json", "json"),
        ("flow.yaml", "json"),
        ("sealed.yaml", "yaml"),
    ] {
        for script in [
            "/one:/d;/two:/d",
            "/two:/d;/three:/d",
            "/one:/d;/two:/d;/three:/d;s/stringData:/stringData: {four: x}/",
            "s/one: !sealed/four: x/;/two:/d;/three:/d",
        ] {
            let sealed = kube.must(&["seal", "--cert", "old.crt", "--output-type", format, "three.yaml"])?;
            let sealed = if name == "flow.yaml" {
                one_line(&sealed) + "\n"
            } else {
                sealed
            };
            kube.scene.write(name, &sealed)?;
            let editor = format!("sed -i '{script}'");
            let tool = kube
                .scene
                .tool(env!("CARGO_BIN_EXE_seal"), &[])?
                .env("EDITOR", editor);
            let output = tool.run(["kube", "edit", "--cert", "old.crt", name])?;
            assert!(output.success(), "{name} {script}: {}", ended(&output));
            let opened = kube.opened(name, "old.key")?.replace('"', "");
            for (key, line) in [("one", "/one:/d"), ("two", "/two:/d"), ("three", "/three:/d")] {
                let gone = script.contains(line) || key == "one" && script.starts_with("s/one");
                assert_eq!(
                    opened.contains(&format!("{key}:")),
                    !gone,
                    "{name} {script} {opened}"
                );
            }
            assert_eq!(opened.contains("four: x"), script.contains("four"), "{opened}");
        }
    }
    Ok(())
}

#[test]
fn what_stands_twice_or_elsewhere_too_is_left_alone() -> Result {
    let kube = Kube::new()?;
    kube.scene.write("three.yaml", THREE)?;
    kube.scene.write("value", "n3w")?;
    let sealed = kube.must(&[
        "seal",
        "--cert",
        "old.crt",
        "--scope",
        "cluster-wide",
        "--no-hint",
        "three.yaml",
    ])?;
    let item = |key: &str| {
        sealed
            .lines()
            .find(|line| line.trim().starts_with(key))
            .unwrap_or_default()
            .to_owned()
    };
    let twice = sealed.replace(&item("two:"), &item("two:").replace("two:", "one:"));
    let anchored = sealed.replace("    one: ", "    one: &x ");
    let aliased = format!(
        "{}---\napiVersion: v1\nkind: List\nitems:\n- &o\n{}- *o\n",
        "",
        sealed
            .lines()
            .map(|line| format!("  {line}\n"))
            .collect::<String>()
    );
    for (what, text) in [("twice", twice), ("anchor", anchored), ("alias", aliased)] {
        kube.scene.write("odd.yaml", &text)?;
        for arguments in [
            &["reseal", "--cert", "new.crt", "--key", "old.key", "odd.yaml"][..],
            &[
                "set",
                "one",
                "--name",
                "a",
                "--cert",
                "new.crt",
                "--value-file",
                "value",
                "odd.yaml",
            ],
        ] {
            let refused = kube.run(arguments)?;
            assert!(
                !refused.success() && refused.signal.is_none(),
                "{what}: {}",
                ended(&refused)
            );
            assert!(!refused.err().contains("panic"), "{what}: {}", ended(&refused));
            assert_eq!(kube.text("odd.yaml")?, text, "{what}");
        }
    }
    let merged = "kind: Secret\nmetadata: {name: a, namespace: b}\nbase: &base {stringData: {lost: x}}\n<<: *base\nstringData: {k: v}\n";
    kube.scene.write("merged.yaml", merged)?;
    let refused = kube.run(&["seal", "--cert", "old.crt", "merged.yaml"])?;
    assert_eq!(refused.code, Some(2), "{}", ended(&refused));
    Ok(())
}

#[test]
fn a_value_behind_the_word_sealed_is_not_lost() -> Result {
    let kube = Kube::new()?;
    kube.scene.write("three.yaml", THREE)?;
    let sealed = kube.must(&["seal", "--cert", "old.crt", "three.yaml"])?;
    kube.scene.write("sealed.yaml", &sealed)?;
    let editor = "sed -i 's/one: !sealed/one: !sealed hunter2/;s/two: !sealed/two: new/'";
    let tool = kube
        .scene
        .tool(env!("CARGO_BIN_EXE_seal"), &[])?
        .env("EDITOR", editor);
    let output = tool.run(["kube", "edit", "--cert", "old.crt", "sealed.yaml"])?;
    assert_eq!(output.code, Some(2), "{}", ended(&output));
    assert!(!output.err().contains("hunter2"));
    assert_eq!(kube.text("sealed.yaml")?, sealed);
    Ok(())
}
