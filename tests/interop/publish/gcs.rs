//! Google Cloud Storage, on a stand-in that real sops uses as well.

use std::collections::BTreeMap;

use serde_json::json;
use support::canary::Canary;
use support::cloud::Told;
use support::gcp_stub::Gcp;
use support::gcp_stub::storage::{HOST, Object};

use super::{Environment, PLAIN, native, programs, refused, sealed, variable};
use crate::scene::{Result, Scene, ended};

fn scene() -> Result<Scene> {
    let scene = Scene::with_identities("{}\n", &[0])?;
    sealed(&scene, "omit/a.yaml", PLAIN)?;
    sealed(&scene, "b.json", b"{\"a\": \"hunter2\"}")?;
    scene.write("tree/c d@\u{fc}+.yaml", scene.read("omit/a.yaml")?)?;
    Ok(scene)
}

fn policy(bucket: &str) -> String {
    format!(
        "destination_rules:\n- {{path_regex: ^omit/, gcs_bucket: {bucket}, gcs_prefix: pre/fix-, omit_extensions: true}}\n\
         - {{gcs_bucket: {bucket}, gcs_prefix: 'a b/\u{fc}?#/'}}\n"
    )
}

/// The credentials of a service account, where Google's programs look for them.
fn account(scene: &Scene, gcp: &Gcp) -> Result<Environment> {
    scene.write("account.json", gcp.service_account().to_string())?;
    let mut environment = gcp.cloud.environment();
    let file = scene.path("account.json");
    environment.push(variable("GOOGLE_APPLICATION_CREDENTIALS", file));
    Ok(environment)
}

/// With a service account, and without any where an emulator is named.
#[test]
fn the_same_arrives_under_the_same_names() -> Result {
    let (scene, gcp) = (scene()?, Gcp::start()?);
    let emulator = |address: String| vec![variable("STORAGE_EMULATOR_HOST", address)];
    for (what, environment) in [
        ("a service account", account(&scene, &gcp)?),
        ("an emulator", emulator(gcp.cloud.address())),
        ("an emulator's address", emulator(gcp.cloud.url())),
    ] {
        let mut arrived: Vec<BTreeMap<String, Object>> = Vec::new();
        for program in programs(&scene, &environment)? {
            gcp.storage().bucket("bucket", false);
            scene.write(".sops.yaml", policy("bucket"))?;
            let asked = program.tool.run_with_input(["publish", "omit/a.yaml"], b"y\n")?;
            let shown = scene.path("omit/a.yaml");
            let question = format!(
                "uploading {} to gcs://bucket/pre/fix-a ? (y/n): ",
                shown.display()
            );
            assert_eq!(
                asked.out(),
                question,
                "{what}: {}: {}",
                program.name,
                ended(&asked)
            );
            for arguments in [&["--yes", "b.json"][..], &["--yes", "--recursive", "tree"]] {
                let output = program.tool.run([&["publish"], arguments].concat())?;
                assert!(output.success(), "{what}: {}: {}", program.name, ended(&output));
            }
            arrived.push(gcp.storage().objects("bucket"));
        }
        assert_eq!(arrived[0].len(), 3, "{what}: {:?}", arrived[0].keys());
        assert_eq!(arrived[0]["pre/fix-a"].content, scene.read("omit/a.yaml")?);
        assert_eq!(arrived[0], arrived[1], "{what}");
        assert_eq!(arrived[0], arrived[2], "{what}");
    }
    Ok(())
}

/// Each failure says whose move is next. sops ends with success where its last answer is a refusal; here it is one.
#[test]
fn what_the_service_refuses_is_told() -> Result {
    let (scene, gcp) = (scene()?, Gcp::start()?);
    gcp.storage().bucket("locked", true);
    gcp.storage().bucket("bucket", false);
    let canary = Canary::new(96);
    let account = account(&scene, &gcp)?;
    let token = |token: &str| -> Environment {
        let mut environment = gcp.cloud.environment();
        environment.push(variable("GOOGLE_OAUTH_ACCESS_TOKEN", token));
        environment
    };
    let mut nobody = gcp.cloud.environment();
    nobody.push(variable("GCE_METADATA_HOST", "127.0.0.1:1"));
    let dead = vec![variable("STORAGE_EMULATOR_HOST", "127.0.0.1:1")];
    let fine = json!({"crc32c": "AAAAAA=="});
    for (what, bucket, environment, planned, words) in [
        (
            "no permission",
            "locked",
            account.clone(),
            None,
            "permission storage.objects.create",
        ),
        (
            "no bucket",
            "missing",
            account.clone(),
            None,
            "has no bucket missing",
        ),
        (
            "a wrong token",
            "bucket",
            token(canary.text()),
            None,
            "does not take the credential",
        ),
        ("nobody", "bucket", nobody, None, "127.0.0.1:1"),
        ("nobody there", "bucket", dead, None, "cannot be reached"),
        (
            "another content",
            "bucket",
            account.clone(),
            Some(Told::json(200, &fine)),
            "checksum does not match",
        ),
        (
            "a redirect",
            "bucket",
            account.clone(),
            Some(Told::json(307, &json!({})).with("location", "https://evil.example/")),
            "redirect, which is not followed",
        ),
    ] {
        if let Some(told) = planned {
            gcp.cloud.plan(HOST, told);
        }
        scene.write(".sops.yaml", policy(bucket))?;
        let output = native(&scene, &environment)?.run(["publish", "-y", "-vv", "b.json"])?;
        refused(&output, 3, words, what)?;
        assert!(
            canary.find(&output.stderr).is_none(),
            "{what}: the token is shown"
        );
        let hosts: Vec<String> = gcp.cloud.seen().into_iter().map(|asked| asked.host).collect();
        assert!(
            !hosts.iter().any(|host| host.contains("evil")),
            "{what}: {hosts:?}"
        );
    }
    scene.write(".sops.yaml", policy("locked"))?;
    let codes: Vec<_> = programs(&scene, &account)?
        .iter()
        .map(|program| Ok(program.tool.run(["publish", "--yes", "b.json"])?.code))
        .collect::<Result<_>>()?;
    assert_eq!(codes, [Some(1), Some(0), Some(0)]);
    assert!(gcp.storage().objects("locked").is_empty() && gcp.storage().objects("bucket").is_empty());
    Ok(())
}
