//! Answers of S3 that moto does not give, and keys that are not there.

use serde_json::Value;
use support::cloud::{Cloud, Told};

use super::{Environment, PLAIN, native, refused, same, sealed, variable};
use crate::keys::{seal, sops};
use crate::scene::{Result, Scene};

/// A server that takes everything, and the way to it.
fn service() -> Result<(Cloud, Environment)> {
    let cloud = Cloud::start(&[], Box::new(|_| Told::json(200, &Value::Null)))?;
    let environment = vec![
        variable("AWS_ENDPOINT_URL", cloud.url()),
        variable("AWS_REGION", "eu-west-1"),
        variable("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        variable("AWS_SECRET_ACCESS_KEY", "secret"),
        variable("AWS_SESSION_TOKEN", "token-of-the-session"),
    ];
    Ok((cloud, environment))
}

fn told(status: u16, code: &str) -> Told {
    let body = format!("<Error><Code>{code}</Code><Message>no</Message></Error>");
    Told {
        body: body.into_bytes(),
        ..Told::json(status, &Value::Null)
    }
}

#[test]
fn a_redirect_names_the_region_and_is_not_followed() -> Result {
    let scene = Scene::with_identities("{}\n", &[0])?;
    sealed(&scene, "a.yaml", PLAIN)?;
    scene.write(".sops.yaml", "destination_rules:\n- s3_bucket: bucket\n")?;
    let ((cloud, environment), (other, _)) = (service()?, service()?);
    let moved = told(301, "PermanentRedirect").with("location", &other.url());
    cloud.plan("127.0.0.1", moved.with("x-amz-bucket-region", "us-east-2"));
    let output = native(&scene, &environment)?.run(["publish", "-y", "a.yaml"])?;
    refused(
        &output,
        3,
        "not in eu-west-1: set AWS_REGION=us-east-2",
        "another region",
    )?;
    assert!(other.seen().is_empty(), "it was followed");
    Ok(())
}

#[test]
fn what_recovers_is_asked_again_with_the_same_file() -> Result {
    let scene = Scene::with_identities("{}\n", &[0])?;
    sealed(&scene, "a.yaml", PLAIN)?;
    scene.write(".sops.yaml", "destination_rules:\n- s3_bucket: bucket\n")?;
    let (cloud, environment) = service()?;
    cloud.plan("127.0.0.1", told(503, "SlowDown"));
    cloud.plan("127.0.0.1", told(500, "InternalError"));
    let output = native(&scene, &environment)?.run(["publish", "-y", "a.yaml"])?;
    assert!(output.success(), "{}", output.err());
    let seen = cloud.seen();
    assert_eq!(seen.len(), 3);
    for asked in &seen {
        assert_eq!(
            (asked.method.as_str(), asked.path.as_str()),
            ("PUT", "/bucket/a.yaml")
        );
        assert_eq!(asked.body, scene.read("a.yaml")?);
        assert_eq!(asked.header("x-amz-security-token"), Some("token-of-the-session"));
        let signed = asked.header("authorization").unwrap_or_default();
        assert!(signed.contains("x-amz-security-token"), "{signed}");
    }
    // In the end it is given up.
    for _ in 0..4 {
        cloud.plan("127.0.0.1", told(503, "SlowDown"));
    }
    let output = native(&scene, &environment)?.run(["publish", "-y", "a.yaml"])?;
    refused(&output, 3, "failed with status 503", "a server in trouble")?;
    assert!(
        output.err().contains("hint: the same command, later"),
        "{}",
        output.err()
    );
    Ok(())
}

/// The code of a file that does not open is that of sops, and nothing is asked of the destination.
#[test]
fn without_a_key_nothing_is_sealed_anew() -> Result {
    let scene = Scene::with_identities("{}\n", &[0])?;
    sealed(&scene, "a.yaml", PLAIN)?;
    scene.policy("destination_rules:\n- {s3_bucket: bucket, recreation_rule: {age: PERSON1}}\n")?;
    let (cloud, environment) = service()?;
    let [old, new] = sops()?;
    let mut outputs = Vec::new();
    for (name, path, first) in [
        ("ours", seal(), &["sops"][..]),
        ("old", old, &[]),
        ("new", new, &[]),
    ] {
        let tool = super::with(scene.tool(path, &[3])?.first(first), &environment);
        outputs.push((name, tool.run(["publish", "--yes", "a.yaml"])?));
    }
    same("without a key", &outputs)?;
    refused(&outputs[0].1, 128, "no identity here opens it", "without a key")?;
    assert!(cloud.seen().is_empty());
    Ok(())
}
