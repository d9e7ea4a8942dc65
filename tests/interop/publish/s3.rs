//! S3, on moto.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::canary::Canary;
use support::moto::{Access, Moto};

use super::{Environment, PLAIN, native, programs, refused, same, sealed, tampered, variable};
use crate::keys::sops;
use crate::scene::{Result, Scene, ended, people};

const REGION: &str = "eu-west-1";

/// A server, and somebody who may write there.
pub(super) struct Shop {
    pub(super) server: Moto,
    writer: Access,
    nobody: Access,
}

impl Shop {
    pub(super) fn new(buckets: &[&str]) -> Result<Self> {
        let server = Moto::start()?;
        for bucket in buckets {
            server.bucket(REGION, bucket)?;
        }
        Ok(Self {
            writer: server.user("writer", &["s3:PutObject"])?,
            nobody: server.user("nobody", &["s3:ListBucket"])?,
            server,
        })
    }

    fn environment(&self, who: &Access) -> Environment {
        vec![
            variable("AWS_ENDPOINT_URL", &self.server.address),
            variable("AWS_REGION", REGION),
            variable("AWS_ACCESS_KEY_ID", &who.id),
            variable("AWS_SECRET_ACCESS_KEY", &who.secret),
        ]
    }

    pub(super) fn of_writer(&self) -> Environment {
        self.environment(&self.writer)
    }

    /// What arrived since the bucket was made; it is checked again who may what.
    pub(super) fn arrived(&self, bucket: &str) -> Result<BTreeMap<String, String>> {
        let objects = self.server.objects(REGION, bucket)?;
        self.server.enforce(0)?;
        Ok(objects)
    }
}

/// A policy in which files go to `bucket`.
fn policy(bucket: &str) -> String {
    format!(
        "destination_rules:\n\
         - {{path_regex: ^omit/, s3_bucket: {bucket}, s3_prefix: pre/fix-, omit_extensions: true}}\n\
         - {{path_regex: ^none/, omit_extensions: true}}\n\
         - {{path_regex: '\\.sealed$|\\.yaml$|\\.txt$', s3_bucket: {bucket}, s3_prefix: 'a b/ü+/'}}\n"
    )
}

/// Names, prefixes, folders, extensions: the same bytes arrive under the same keys, and the same is asked and answered.
#[test]
fn the_same_arrives_under_the_same_keys() -> Result {
    let scene = Scene::with_identities("{}\n", &[0])?;
    let names = [
        "omit/a.yaml",
        "omit/sub/b.tar.yaml",
        "omit/sub/c d@ü.json",
        "tree/x.yaml",
        "tree/x/y.yaml",
        "raw.sealed",
        "none/a.yaml",
    ];
    for name in names {
        sealed(
            &scene,
            name,
            if name.contains(".json") {
                b"{\"a\": \"b\"}"
            } else {
                PLAIN
            },
        )?;
    }
    scene.write("plain.yaml", PLAIN)?;
    scene.write("mixed/a.yaml", scene.read("tree/x.yaml")?)?;
    scene.write("mixed/b.txt", "no secret\n")?;
    scene.write("mixed/c.yaml", scene.read("tree/x.yaml")?)?;
    let buckets = ["ours", "old", "new"];
    let shop = Shop::new(&buckets)?;
    shop.server.enforce(0)?;
    let programs = programs(&scene, &shop.of_writer())?;
    let cases: [(&[&str], &str); 22] = [
        (&[], ""),
        (&["--yes", "absent.yaml"], ""),
        (&["--yes", "tree"], ""),
        (&["--yes", "plain.yaml"], ""),
        (&["--yes", "none/a.yaml"], ""),
        (&["--yes", "other.file"], ""),
        (&["--yes", "./omit/a.yaml"], ""),
        (&["tree/x.yaml"], ""),
        (&["tree/x.yaml"], "\n"),
        (&["tree/x.yaml"], "y y\n"),
        (&["tree/x.yaml"], "n\n"),
        (&["tree/x.yaml"], "N\nyes\nn\n"),
        (&["--recursive", "tree"], "n\nn\n"),
        (&["tree/x.yaml"], " y \n"),
        (&["omit/a.yaml"], "y"),
        (&["--yes", "raw.sealed"], ""),
        (&["-y", "--omit-extensions", "raw.sealed"], ""),
        (&["--yes", "--recursive", "--omit-extensions", "tree"], ""),
        (&["--yes", "--recursive", "./omit/"], ""),
        (&["--recursive", "tree/../tree"], "n\ny\n"),
        (&["--yes", "--recursive", "mixed"], ""),
        (&["--yes", "tree/x.yaml", "omit/a.yaml"], ""),
    ];
    for (arguments, typed) in cases {
        let mut outputs = Vec::new();
        for (program, bucket) in programs.iter().zip(buckets) {
            scene.write(".sops.yaml", policy(bucket))?;
            let arguments = [&["publish"], arguments].concat();
            let mut output = program.tool.run_with_input(arguments, typed.as_bytes())?;
            let told = output.out().replace(&format!("s3://{bucket}/"), "s3://BUCKET/");
            output.stdout = told.into_bytes();
            outputs.push((program.name, output));
        }
        same(&format!("{arguments:?} {typed:?}"), &outputs)?;
    }
    let [ours, old, new] = buckets.map(|bucket| shop.arrived(bucket));
    let (ours, old, new) = (ours?, old?, new?);
    assert_eq!(ours.len(), 9, "{:?}", ours.keys());
    assert!(
        ours.contains_key("pre/fix-sub/c%20d%40%C3%BC"),
        "{:?}",
        ours.keys()
    );
    assert_eq!(ours, old);
    assert_eq!(ours, new);
    Ok(())
}

/// What differs on purpose: sops writes a file that is named with --recursive to the name `.`, and one whose name is an
/// extension only to the bare prefix.
#[test]
fn a_file_keeps_a_name() -> Result {
    let scene = Scene::with_identities("{}\n", &[0])?;
    sealed(&scene, "omit/.yaml", PLAIN)?;
    let shop = Shop::new(&["ours", "old"])?;
    shop.server.enforce(0)?;
    for (program, bucket) in programs(&scene, &shop.of_writer())?.iter().zip(["ours", "old"]) {
        scene.write(".sops.yaml", policy(bucket))?;
        let arguments = ["publish", "--yes", "--recursive", "omit/.yaml"];
        program.tool.run(arguments)?.expect_success()?;
        program
            .tool
            .run(["publish", "--yes", "omit/.yaml"])?
            .expect_success()?;
    }
    let keys = |bucket: &str| -> Result<Vec<String>> { Ok(shop.arrived(bucket)?.into_keys().collect()) };
    assert_eq!(keys("ours")?, ["pre/fix-.yaml"]);
    assert_eq!(keys("old")?, ["pre/fix-", "pre/fix-."]);
    Ok(())
}

/// A new data key, the keys of the rule, the same values; the file itself stays.
#[test]
fn files_are_sealed_anew_for_others() -> Result {
    let scene = Scene::with_identities("{}\n", &[0])?;
    let all_sealed = String::from_utf8(PLAIN.to_vec())?.replace("b_unencrypted", "b");
    for (name, plain) in [
        ("a.yaml", all_sealed.as_bytes()),
        ("a.json", b"{\"a\": \"hunter2\", \"b\": [1, null]}"),
        ("a.env", b"A=hunter2\n# c\nB=2\n"),
        ("a.ini", b"[s]\nk = hunter2\n"),
        ("a.bin", b"\x00hunter2\n"),
    ] {
        sealed(&scene, name, plain)?;
    }
    let buckets = ["ours", "old", "new"];
    let shop = Shop::new(&buckets)?;
    shop.server.enforce(0)?;
    let [reader, _] = sops()?;
    let names = ["a.yaml", "a.json", "a.env", "a.ini", "a.bin"];
    let before = names.map(|name| scene.read(name));
    let mut outputs = Vec::new();
    for (program, bucket) in programs(&scene, &shop.of_writer())?.iter().zip(buckets) {
        scene.policy(&format!(
            "destination_rules:\n- s3_bucket: {bucket}\n  recreation_rule:\n    shamir_threshold: 2\n    key_groups:\n    \
             - age: [PERSON1]\n    - age: [PERSON2]\n"
        ))?;
        let mut told = Vec::new();
        for name in names {
            let output = program.tool.run(["publish", "--yes", name])?;
            told.extend(output.clone().expect_success()?);
        }
        let arrived = shop.arrived(bucket)?;
        let mut opened = Vec::new();
        for name in names {
            let file = &arrived[name];
            scene.write(&format!("got/{name}"), file)?;
            let got = scene.path("got").join(name);
            // Whoever held the file's keys does not hold the published one's.
            let stranger = scene
                .tool(reader.clone(), &[0])?
                .run(["decrypt".as_ref(), got.as_os_str()])?;
            assert_eq!(stranger.code, Some(128), "{}", ended(&stranger));
            let one = scene
                .tool(reader.clone(), &[1])?
                .run(["decrypt".as_ref(), got.as_os_str()])?;
            assert_eq!(one.code, Some(128), "{}", ended(&one));
            let both = scene.tool(reader.clone(), &[1, 2])?;
            let both = both.run(["decrypt".as_ref(), got.as_os_str()])?;
            opened.push(both.expect_success()?);
        }
        outputs.push((told, opened));
    }
    assert_eq!(outputs[0], outputs[1]);
    assert_eq!(outputs[0], outputs[2]);
    for (name, before) in names.into_iter().zip(before) {
        assert_eq!(scene.read(name)?, before?, "{name} was changed");
    }
    Ok(())
}

/// What stays clear is clear for its reader, too: sops seals it and cannot open what it sealed.
#[test]
fn what_is_sealed_anew_without_a_rule_of_selection_opens() -> Result {
    let scene = Scene::with_identities("{}\n", &[0])?;
    sealed(&scene, "a.yaml", PLAIN)?;
    let shop = Shop::new(&["ours", "old"])?;
    shop.server.enforce(0)?;
    let [reader, _] = sops()?;
    let mut codes = Vec::new();
    for (program, bucket) in programs(&scene, &shop.of_writer())?.iter().zip(["ours", "old"]) {
        scene.policy(&format!(
            "destination_rules:\n- s3_bucket: {bucket}\n  recreation_rule: {{age: PERSON1}}\n"
        ))?;
        program
            .tool
            .run(["publish", "--yes", "a.yaml"])?
            .expect_success()?;
        scene.write("got.yaml", &shop.arrived(bucket)?["a.yaml"])?;
        let opened = scene.tool(reader.clone(), &[1])?.run(["decrypt", "got.yaml"])?;
        codes.push(opened.code);
    }
    assert_eq!(codes, [Some(0), Some(51)]);
    Ok(())
}

/// A rule of selection is carried over; sops knows suffixes only and seals everything under the others.
#[test]
fn rules_of_selection_hold_for_what_is_sealed_anew() -> Result {
    let scene = Scene::with_identities("{}\n", &[0])?;
    sealed(&scene, "a.yaml", PLAIN)?;
    let shop = Shop::new(&["ours", "old"])?;
    shop.server.enforce(0)?;
    for (rule, theirs) in [("encrypted_suffix: a", true), ("encrypted_regex: '^a$'", false)] {
        let mut sealed = Vec::new();
        for (program, bucket) in programs(&scene, &shop.of_writer())?.iter().zip(["ours", "old"]) {
            scene.policy(&format!(
                "destination_rules:\n- s3_bucket: {bucket}\n  recreation_rule:\n    age: PERSON1\n    {rule}\n"
            ))?;
            program
                .tool
                .run(["publish", "--yes", "a.yaml"])?
                .expect_success()?;
            let text = shop.arrived(bucket)?["a.yaml"].clone();
            assert!(text.contains("\na: ENC["), "{text}");
            sealed.push(text.contains("\nfive: 5"));
        }
        assert_eq!(sealed, [true, theirs], "{rule}");
    }
    Ok(())
}

/// Nothing that was changed by somebody, and nothing that is not sealed, goes out.
#[test]
fn what_is_not_whole_is_not_sent() -> Result {
    let scene = Scene::with_identities("{}\n", &[0])?;
    let shop = Shop::new(&["bucket"])?;
    shop.server.enforce(0)?;
    let plain = "destination_rules:\n- {s3_bucket: bucket}\n";
    let anew = "destination_rules:\n- {s3_bucket: bucket, recreation_rule: {age: PERSON1}}\n";
    let ours = &programs(&scene, &shop.of_writer())?[0].tool;
    let native = native(&scene, &shop.of_writer())?;
    sealed(&scene, "tampered.yaml", PLAIN)?;
    tampered(&scene, "tampered.yaml", "a")?;
    sealed(&scene, "edited.yaml", PLAIN)?;
    let text = String::from_utf8(scene.read("edited.yaml")?)?;
    scene.write(
        "edited.yaml",
        text.replace("\nb_unencrypted: clear", "\nb_unencrypted: other"),
    )?;
    sealed(&scene, "draft.yaml", PLAIN)?;
    let text = String::from_utf8(scene.read("draft.yaml")?)?;
    scene.write("draft.yaml", format!("forgotten: hunter2\n{text}"))?;
    scene.write("plain.yaml", "a: hunter2\n")?;
    for (name, policy, code) in [
        ("tampered.yaml", anew, 25),
        ("edited.yaml", anew, 51),
        ("draft.yaml", anew, 25),
        ("draft.yaml", plain, 25),
        ("plain.yaml", plain, 1),
    ] {
        scene.policy(policy)?;
        for output in [
            ours.run(["publish", "--yes", name])?,
            native.run(["publish", "--yes", name])?,
        ] {
            refused(&output, code, name, name)?;
            assert!(!output.err().contains("hunter2"), "{}", output.err());
        }
    }
    assert_eq!(shop.arrived("bucket")?, BTreeMap::new());
    Ok(())
}

/// Each failure says whose move is next, never a secret, and sops' code is that of sops.
#[test]
fn what_the_service_refuses_is_told() -> Result {
    let scene = Scene::with_identities("{}\n", &[0])?;
    sealed(&scene, "a.yaml", PLAIN)?;
    let shop = Shop::new(&["bucket"])?;
    shop.server.enforce(0)?;
    let canary = Canary::new(97);
    let wrong = Access {
        id: shop.writer.id.clone(),
        secret: canary.text().to_owned(),
    };
    let without = |name: &str| -> Environment {
        let all = shop.of_writer().into_iter();
        all.filter(|(found, _)| found.to_string_lossy() != name).collect()
    };
    let replaced = |name: &str, value: &str| -> Environment {
        let mut all = without(name);
        all.push(variable(name, value));
        all
    };
    let free = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?;
    let nobody_listens = format!("http://{free}");
    for (what, bucket, environment, words) in [
        (
            "no permission",
            "bucket",
            shop.environment(&shop.nobody),
            "AWS denies s3:PutObject in the bucket bucket",
        ),
        (
            "a wrong secret",
            "bucket",
            shop.environment(&wrong),
            "AWS does not accept these credentials",
        ),
        (
            "no bucket",
            "missing",
            shop.of_writer(),
            "there is no bucket missing",
        ),
        (
            "no region",
            "bucket",
            without("AWS_REGION"),
            "AWS_REGION is not set",
        ),
        (
            "no credentials",
            "bucket",
            without("AWS_ACCESS_KEY_ID"),
            "no AWS credentials",
        ),
        (
            "nobody there",
            "bucket",
            replaced("AWS_ENDPOINT_URL", &nobody_listens),
            "cannot be reached",
        ),
        (
            "an address that is none",
            "bucket",
            replaced("AWS_ENDPOINT_URL", "ftp://h"),
            "is no http or https address",
        ),
    ] {
        scene.write(
            ".sops.yaml",
            format!("destination_rules:\n- s3_bucket: {bucket}\n"),
        )?;
        let start = Instant::now();
        let output = native(&scene, &environment)?.run(["publish", "-y", "-vv", "a.yaml"])?;
        refused(&output, 3, words, what)?;
        assert!(output.err().contains("hint: "), "{what}: {}", output.err());
        assert!(
            canary.find(&output.stderr).is_none(),
            "{what}: the secret is shown"
        );
        assert!(
            start.elapsed() < Duration::from_secs(45),
            "{what}: {:?}",
            start.elapsed()
        );
        for program in programs(&scene, &environment)?.iter().take(2) {
            let output = program.tool.run(["publish", "--yes", "a.yaml"])?;
            assert_eq!(
                output.code,
                Some(1),
                "{what}: {}: {}",
                program.name,
                ended(&output)
            );
        }
    }
    for (rule, words) in [
        ("s3_bucket: a/b", "s3_bucket is no name of a bucket"),
        (
            "s3_bucket: 'arn:aws:s3:eu-west-1:1:accesspoint/x'",
            "access points are not supported",
        ),
        (
            "{s3_bucket: bucket, s3_prefix: ../other/}",
            "a part of the name at the destination is `.` or `..`",
        ),
    ] {
        scene.write(".sops.yaml", format!("destination_rules:\n- {rule}\n"))?;
        let output = native(&scene, &shop.of_writer())?.run(["publish", "-y", "a.yaml"])?;
        assert!(
            !output.success() && output.err().contains(words),
            "{rule}: {}",
            ended(&output)
        );
    }
    assert_eq!(shop.arrived("bucket")?, BTreeMap::new());
    Ok(())
}

/// Region and address of a profile count, those of S3 before those of all services.
#[test]
fn the_way_is_that_of_every_aws_program() -> Result {
    let scene = Scene::with_identities("{}\n", &[0])?;
    sealed(&scene, "a.yaml", PLAIN)?;
    let shop = Shop::new(&["bucket"])?;
    shop.server.enforce(0)?;
    scene.write(".sops.yaml", "destination_rules:\n- s3_bucket: bucket\n")?;
    let address = &shop.server.address;
    let profile = format!(
        "[profile team]\nregion = {REGION}\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        shop.writer.id, shop.writer.secret
    );
    for (what, config, variables) in [
        (
            "services of a profile",
            format!("{profile}services = here\n[services here]\ns3 =\n  endpoint_url = {address}\n"),
            vec![],
        ),
        (
            "a profile",
            format!("{profile}endpoint_url = {address}\n"),
            vec![],
        ),
        (
            "a variable of the service",
            profile.clone(),
            vec![
                variable("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
                variable("AWS_ENDPOINT_URL_S3", address),
            ],
        ),
    ] {
        for mut program in programs(&scene, &variables)? {
            program.tool = program.tool.env("AWS_PROFILE", "team");
            std::fs::create_dir_all(program.tool.home().join(".aws"))?;
            std::fs::write(program.tool.home().join(".aws/config"), &config)?;
            let output = program.tool.run(["publish", "--yes", "a.yaml"])?;
            assert!(output.success(), "{what}: {}: {}", program.name, ended(&output));
        }
    }
    assert_eq!(shop.arrived("bucket")?.len(), 1);
    let text: Value = serde_yaml::from_slice(&scene.read("a.yaml")?)?;
    assert!(text["sops"]["age"][0]["recipient"] == people()?[0].recipient.as_str());
    Ok(())
}
