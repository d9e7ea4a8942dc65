//! Policies with clusters, where results stand, and `cert`.

use super::{CANARY, Kube, key_file, shows_nothing};
use crate::scene::{Result, ended};

const OLD: &str = "7b24cc16a3962b55ec4ae44d5fcb85eb22d7d550af7ae9e74290113122b160d6";

fn policy(rule: &str) -> String {
    format!(
        "seal:\n  clusters:\n    - {{name: eu, certificate: old.crt, fingerprint: {OLD}}}\n    - {{name: us, certificate: new.crt, path_regex: ^us/}}\n  sealed_secrets:\n{rule}"
    )
}

/// A rule with an output: each cluster has its own tree, and what is set there later is for that cluster.
#[test]
fn a_rule_seals_for_its_clusters_where_it_says() -> Result {
    let rule = "    - {path_regex: ^plain/, clusters: [eu, us], output: 'out/{cluster}/{dir}/{file}', scope: namespace-wide, namespace: shop}\n";
    let kube = Kube::under(&policy(rule))?;
    let secret = kube.text("secret.yaml")?.replace("  namespace: prod\n", "");
    kube.scene.write("plain/a/db.yaml", secret)?;
    let output = kube.run(&["seal", "plain/a/db.yaml"])?;
    assert!(output.success(), "{}", ended(&output));
    shows_nothing(&output)?;
    for (cluster, key, other) in [("eu", "old.key", "new.key"), ("us", "new.key", "old.key")] {
        let file = format!("out/{cluster}/plain/a/db.yaml");
        let opened = kube.opened(&file, key)?;
        assert!(
            opened.contains(CANARY) && opened.contains("namespace: shop"),
            "{opened}"
        );
        assert!(opened.contains("namespace-wide: \"true\""), "{opened}");
        assert_eq!(kube.run(&["unseal", "--key", other, &file])?.code, Some(128));
        kube.scene.write("value", "n3w")?;
        kube.must(&["set", "password", "--value-file", "value", &file])?;
        assert!(kube.opened(&file, key)?.contains("password: n3w"));
    }
    // The source is as it was.
    assert!(kube.text("plain/a/db.yaml")?.contains(CANARY));
    Ok(())
}

#[test]
fn without_an_output_results_stand_beside_or_in_place() -> Result {
    let kube = Kube::under(&policy(
        "    - {path_regex: ^two, clusters: [eu, us]}\n    - {path_regex: ^one, clusters: [us]}\n",
    ))?;
    let secret = kube.text("secret.yaml")?;
    for file in ["two.yaml", "one.yaml", "us/three.yaml"] {
        kube.scene.write(file, &secret)?;
    }
    kube.must(&["seal", "two.yaml"])?;
    assert!(kube.opened("two.eu.yaml", "old.key")?.contains(CANARY));
    assert!(kube.opened("two.us.yaml", "new.key")?.contains(CANARY));
    let printed = kube.must(&["seal", "one.yaml"])?;
    assert!(printed.contains("kind: SealedSecret") && kube.text("one.yaml")? == secret);
    kube.must(&["seal", "-i", "one.yaml"])?;
    assert!(kube.opened("one.yaml", "new.key")?.contains(CANARY));
    kube.must(&[
        "seal",
        "--cluster",
        "eu",
        "--cluster",
        "us",
        "-o",
        "{dir}/{cluster}-{file}",
        "us/three.yaml",
    ])?;
    assert!(kube.opened("us/eu-three.yaml", "old.key")?.contains(CANARY));
    assert!(kube.opened("us/us-three.yaml", "new.key")?.contains(CANARY));
    // Several results in one place.
    for arguments in [
        &["seal", "-i", "two.yaml"][..],
        &["seal", "-o", "x.yaml", "two.yaml"],
        &["seal", "--cluster", "eu", "--cluster", "us", "two.yaml"],
    ] {
        let output = kube.run(arguments)?;
        assert_eq!(
            (output.code, output.stdout.len()),
            (Some(8), 0),
            "{}",
            ended(&output)
        );
    }
    assert_eq!(kube.text("two.yaml")?, secret);
    Ok(())
}

/// Absolute places are where they say they are.
#[test]
fn an_output_may_stand_anywhere() -> Result {
    let kube = Kube::new()?;
    kube.scene.write("in/secret.yaml", kube.text("secret.yaml")?)?;
    let source = kube.scene.path("in/secret.yaml").to_string_lossy().into_owned();
    let absolute = kube.scene.path("far/{stem}.out").to_string_lossy().into_owned();
    for (pattern, file) in [
        ("{dir}/sealed-{file}", "in/sealed-secret.yaml"),
        (&absolute, "far/secret.out"),
        ("in/../up.yaml", "up.yaml"),
    ] {
        kube.must(&["seal", "--cert", "old.crt", "-o", pattern, &source])?;
        assert!(kube.opened(file, "old.key")?.contains(CANARY), "{pattern}");
    }
    Ok(())
}

/// A certificate that is not the pinned one stops everything that needs it.
#[test]
fn another_certificate_than_is_pinned_is_refused() -> Result {
    let kube = Kube::under(&policy("    - {path_regex: ., clusters: [eu]}\n"))?;
    kube.scene
        .write("old.crt", std::fs::read(key_file("rsa-4096.crt"))?)?;
    kube.scene.write("value", CANARY)?;
    let before = kube.files()?;
    for arguments in [
        &["seal", "secret.yaml"][..],
        &["seal", "--cluster", "eu", "secret.yaml"],
        &["set", "k", "--value-file", "value", "sealed.yaml"],
        &["reseal", "--key", "old.key", "sealed.yaml"],
        &["cert", "show"],
    ] {
        let output = kube.run(arguments)?;
        assert_eq!(output.code, Some(8), "{arguments:?}: {}", ended(&output));
        let told = output.err();
        assert!(
            told.contains("is pinned") && told.contains("of the cluster eu"),
            "{told}"
        );
        shows_nothing(&output)?;
    }
    assert_eq!(kube.files()?, before);
    Ok(())
}

#[test]
fn certificates_are_shown_and_fetched() -> Result {
    let kube = Kube::under(&policy("    - {path_regex: ., clusters: [eu]}\n"))?;
    let shown = kube.must(&["cert", "show"])?;
    assert!(
        shown.contains("eu (old.crt)") && shown.contains("us (new.crt)") && shown.contains(OLD),
        "{shown}"
    );
    let expired = kube.must(&["cert", "show", &key_file("expired.crt")])?;
    assert!(
        expired.contains("it has expired") && expired.contains("CN=expired"),
        "{expired}"
    );
    let shown = kube.must(&["--json", "cert", "show", "old.crt"])?;
    let shown: serde_json::Value = serde_json::from_str(&shown)?;
    assert_eq!(shown["fingerprint"], OLD);
    assert_eq!(
        (&shown["hint"], &shown["bits"]),
        (&OLD[..16].into(), &2048.into())
    );
    let keygen = support::run::Tool::new("ssh-keygen")?.dir(kube.scene.folder());
    let ssh = keygen.run(["-i", "-m", "PKCS8", "-f", &key_file("rsa-2048.pub")])?;
    kube.scene.write("ssh.pub", ssh.expect_success()?)?;
    let listed = keygen.run(["-l", "-f", "ssh.pub"])?.out();
    assert!(
        listed.contains(shown["sshFingerprint"].as_str().unwrap_or("none")),
        "{listed}"
    );
    let url = format!("file://{}", kube.scene.path("old.crt").display());
    let said = kube.must(&["cert", "fetch", &url, "-o", "kept.pem"])?;
    assert!(said.contains(OLD), "{said}");
    assert_eq!(kube.text("kept.pem")?, kube.text("old.crt")?);
    assert_eq!(
        kube.must(&["cert", "fetch", &url, "--fingerprint", OLD])?,
        kube.text("old.crt")?
    );
    let wrong = kube.run(&[
        "cert",
        "fetch",
        &url,
        "--fingerprint",
        &"0".repeat(64),
        "-o",
        "kept.pem",
    ])?;
    assert_eq!(wrong.code, Some(8), "{}", ended(&wrong));
    Ok(())
}

/// A key that was made here seals and opens, its file is its owner's, and nothing is overwritten.
#[test]
fn a_new_key_seals_and_opens() -> Result {
    use std::os::unix::fs::PermissionsExt as _;
    let kube = Kube::new()?;
    let new = [
        "cert",
        "new",
        "--key",
        "k.pem",
        "--cert",
        "c.pem",
        "--bits",
        "2048",
        "--common-name",
        "shop",
    ];
    kube.must(&new)?;
    let mode = std::fs::metadata(kube.scene.path("k.pem"))?.permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let sealed = kube.must(&["seal", "--cert", "c.pem", "secret.yaml"])?;
    kube.scene.write("mine.yaml", sealed)?;
    assert!(kube.opened("mine.yaml", "k.pem")?.contains(CANARY));
    assert!(kube.must(&["cert", "show", "c.pem"])?.contains("CN=shop"));
    let before = kube.files()?;
    assert!(!kube.run(&new)?.success());
    assert_eq!(kube.files()?, before);
    Ok(())
}
