//! What `seal publish` does its own way: lists first, whole trees at once, rules by the place of the policy.

use serde_json::Value;

use super::s3::Shop;
use super::{PLAIN, native, refused, sealed};
use crate::scene::{Result, Scene};

const POLICY: &str = "destination_rules:\n\
    - {path_regex: '^deploy/.*\\.yaml$', s3_bucket: bucket, omit_extensions: true}\n\
    - {path_regex: '\\.sealed$', s3_bucket: bucket, s3_prefix: raw/}\n";

#[test]
fn trees_are_listed_asked_for_and_published() -> Result {
    let scene = Scene::with_identities("{}\n", &[0])?;
    sealed(&scene, "deploy/a.yaml", PLAIN)?;
    let file = scene.read("deploy/a.yaml")?;
    for number in 0..40 {
        scene.write(&format!("deploy/many/{number}.yaml"), &file)?;
    }
    sealed(&scene, "deploy/x.sealed", b"hunter2\x01")?;
    let binary = scene.read("deploy/x.sealed")?;
    scene.write("deploy/clear.yaml", "a: 1\n")?;
    scene.write("other/a.yaml", &file)?;
    scene.write(".sops.yaml", POLICY)?;
    let shop = Shop::new(&["bucket"])?;
    shop.server.enforce(0)?;
    let seal = native(&scene, &shop.of_writer())?;
    let listed = seal.run(["publish", "--plan", "--recursive"])?;
    assert!(listed.success(), "{}", listed.err());
    assert_eq!(listed.out().lines().count(), 42);
    assert!(
        listed
            .out()
            .contains("would publish deploy/a.yaml (s3://bucket/deploy/a)"),
        "{}",
        listed.out()
    );
    refused(&seal.run(["publish"])?, 8, "--recursive", "a folder")?;
    let asked = seal.run(["publish", "--recursive", "deploy"])?;
    refused(
        &asked,
        1,
        "Publish these 42 files? This needs an answer",
        "nobody to ask",
    )?;
    assert!(
        asked.out().contains("deploy/many/7.yaml to s3://bucket/many/7\n"),
        "{}",
        asked.out()
    );
    assert!(shop.arrived("bucket")?.is_empty(), "something went out unasked");
    let done = seal.run(["publish", "--yes", "--json", "--recursive", "deploy"])?;
    assert!(done.success(), "{}", done.err());
    let records: Vec<Value> = done
        .out()
        .lines()
        .map(serde_json::from_str)
        .collect::<std::result::Result<_, _>>()?;
    assert_eq!(records.len(), 42);
    assert_eq!(records[0]["action"], "published");
    let arrived = shop.arrived("bucket")?;
    assert_eq!(arrived.len(), 42);
    assert_eq!(arrived["raw/x.sealed"].as_bytes(), binary);
    assert!(arrived.contains_key("a") && arrived.contains_key("many/39"));
    // From another folder the same rule holds, which for sops it does not.
    let below = native(&scene, &shop.of_writer())?.dir(scene.path("deploy"));
    let listed = below.run(["publish", "--plan", "many/1.yaml"])?;
    assert_eq!(
        listed.out(),
        "would publish many/1.yaml (s3://bucket/1)\n",
        "{}",
        listed.err()
    );
    Ok(())
}

#[test]
fn what_cannot_be_published_is_named_and_the_rest_goes_out() -> Result {
    let scene = Scene::with_identities("{}\n", &[0])?;
    sealed(&scene, "deploy/a.yaml", PLAIN)?;
    let file = scene.read("deploy/a.yaml")?;
    scene.write("deploy/sub/a.yaml", &file)?;
    scene.write("deploy/clear.yaml", "a: 1\n")?;
    scene.write("b.yaml", &file)?;
    scene.write(".sops.yaml", POLICY)?;
    let shop = Shop::new(&["bucket"])?;
    shop.server.enforce(0)?;
    let seal = native(&scene, &shop.of_writer())?;
    let files = [
        "publish",
        "-y",
        "deploy/a.yaml",
        "deploy/sub/a.yaml",
        "deploy/clear.yaml",
        "b.yaml",
        "absent",
    ];
    let output = seal.run(files)?;
    assert_eq!(output.code, Some(100), "{}", output.err());
    for words in [
        "deploy/sub/a.yaml: would be published to the same place as deploy/a.yaml",
        "deploy/clear.yaml: the file is not sealed",
        "b.yaml: no destination rule of a policy is for this file",
        "absent: no such file or folder",
    ] {
        assert!(output.err().contains(words), "{words}: {}", output.err());
    }
    assert_eq!(shop.arrived("bucket")?.into_keys().collect::<Vec<_>>(), ["a"]);
    Ok(())
}
