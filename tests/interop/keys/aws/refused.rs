//! What does not work is told, quickly, and keeps nothing from working that does.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use support::canary::Canary;
use support::moto::{Access, Moto};
use support::run::Tool;

use super::{Account, REGION, refused};
use crate::keys::{PLAIN, program, seal};
use crate::scene::{Result, Scene, ended, people};

/// Each failure says what is wrong in its own words, and never a secret.
#[test]
fn what_aws_refuses_is_told() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let account = Account::new()?;
    account.sealed(&scene, &["--kms", &account.key])?;
    let canary = Canary::new(92);
    let wrong = Access {
        id: account.user.id.clone(),
        secret: canary.text().to_owned(),
    };
    let unknown = Access {
        id: "AKIAIOSFODNN7EXAMPLE".to_owned(),
        ..wrong.clone()
    };
    let address = account.server.address.as_str();
    let alone = || -> Result<Tool> { Ok(program(&scene, seal(), None)?.env("AWS_ENDPOINT_URL", address)) };
    let profile = alone()?.env("AWS_PROFILE", "team");
    let process = alone()?;
    std::fs::create_dir_all(process.home().join(".aws"))?;
    let config = format!(
        "[default]\ncredential_process = sh -c 'echo {} >&2; exit 1'\n",
        canary.text()
    );
    std::fs::write(process.home().join(".aws/config"), config)?;
    for (what, tool, words) in [
        (
            "a wrong secret",
            account.seal(&scene, &wrong)?,
            "AWS denies kms:Decrypt",
        ),
        (
            "an unknown key",
            account.seal(&scene, &unknown)?,
            "AWS denies kms:Decrypt",
        ),
        (
            "no permission",
            account.seal(&scene, &account.nobody)?,
            "AWS denies kms:Decrypt",
        ),
        (
            "no credentials",
            alone()?,
            "no AWS credentials in AWS_ACCESS_KEY_ID, profile default",
        ),
        ("no such profile", profile, "profile team"),
        (
            "a program that fails",
            process,
            "the credential_process of the AWS profile default failed",
        ),
    ] {
        let start = Instant::now();
        let output = tool.run(["decrypt", "-vv", "sealed.json"])?;
        refused(&output, 128, words, what)?;
        assert!(canary.find(&output.stderr).is_none(), "{what}: {}", output.err());
        // Instance metadata that is not there costs no more than a moment.
        assert!(
            start.elapsed() < Duration::from_secs(10),
            "{what}: {:?}",
            start.elapsed()
        );
    }
    let none = account.key.replace("key/", "key/0");
    let absent = account
        .seal(&scene, &account.user)?
        .run(["encrypt", "--kms", &none, "plain.json"])?;
    refused(
        &absent,
        111,
        "there is no such KMS key",
        "a key that is not there",
    )?;
    let elsewhere = account.key.replace(REGION, "us-east-1");
    let absent = account
        .seal(&scene, &account.user)?
        .run(["encrypt", "--kms", &elsewhere, "plain.json"])?;
    refused(&absent, 111, "us-east-1", "another region")?;
    Ok(())
}

/// An address that takes connections and never answers.
pub(super) fn silence() -> Result<(TcpListener, String)> {
    let listener = TcpListener::bind(("127.0.0.1", 0))?;
    let address = format!("http://{}", listener.local_addr()?);
    Ok((listener, address))
}

#[test]
fn a_key_that_works_does_not_wait_for_one_that_hangs() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let account = Account::new()?;
    let age = people()?[0].recipient.as_str();
    account.sealed(&scene, &["--kms", &account.key, "--age", age])?;
    let (_silent, dead) = silence()?;
    // age is asked first, and the answer is there before AWS is asked.
    let with_age = scene.tool(seal(), &[0])?;
    let with_age = account
        .environment(&account.user)
        .into_iter()
        .fold(with_age, |tool, (name, value)| tool.env(name, value));
    let start = Instant::now();
    let opened = with_age
        .env("AWS_ENDPOINT_URL", &dead)
        .run(["decrypt", "sealed.json"])?;
    assert_eq!(opened.stdout, PLAIN, "{}", ended(&opened));
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    // Two keys of AWS, of which the first one hangs: its profile leads nowhere.
    let key = account.server.key("us-east-1");
    assert!(key.is_err(), "signatures are checked");
    let policy = format!(
        "creation_rules:\n  - key_groups:\n      - kms:\n          - {{arn: {}, aws_profile: first}}\n          - {{arn: {}, \
         aws_profile: second}}\n",
        account.key, account.alias
    );
    scene.write(".sops.yaml", policy)?;
    let tool = program(&scene, seal(), None)?;
    std::fs::create_dir_all(tool.home().join(".aws"))?;
    let live = account.server.address.as_str();
    let profile = |name: &str, address: &str| {
        format!(
            "[profile {name}]\nservices = {name}\naws_access_key_id = {}\naws_secret_access_key = {}\n[services {name}]\nkms =\n  \
             endpoint_url = {address}\n",
            account.user.id, account.user.secret
        )
    };
    let config = tool.home().join(".aws/config");
    std::fs::write(&config, profile("first", live) + &profile("second", live))?;
    scene.write(
        "sealed.json",
        tool.run(["encrypt", "plain.json"])?.expect_success()?,
    )?;
    std::fs::write(&config, profile("first", &dead) + &profile("second", live))?;
    let start = Instant::now();
    let opened = tool.run(["decrypt", "sealed.json"])?;
    assert_eq!(opened.stdout, PLAIN, "{}", ended(&opened));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    // Nobody listens: that is known at once, and told with the address.
    let closed = silence()?.1;
    std::fs::write(&config, profile("first", &closed) + &profile("second", &closed))?;
    let output = tool.run(["decrypt", "sealed.json"])?;
    refused(&output, 128, "cannot be reached", "a closed port")
}

/// In whose name AWS is asked, what it allows, and the exact permission that is missing.
#[test]
fn explain_tells_who_is_asked_and_what_is_missing() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let server = Moto::start()?;
    let key = server.key(REGION)?;
    let sealer = server.user("sealer", &["kms:Encrypt", "sts:GetCallerIdentity"])?;
    server.enforce(0)?;
    scene.write("plain.json", PLAIN)?;
    std::fs::remove_file(scene.path(".sops.yaml"))?;
    let tool = program(&scene, seal(), None)?
        .env("AWS_ENDPOINT_URL", &server.address)
        .env("AWS_ACCESS_KEY_ID", &sealer.id)
        .env("AWS_SECRET_ACCESS_KEY", &sealer.secret);
    let sealed = tool.run(["encrypt", "--kms", &key, "plain.json"])?;
    scene.write("sealed.json", sealed.expect_success()?)?;
    let explained = tool.run(["--json", "explain", "sealed.json"])?;
    let report: serde_json::Value = serde_json::from_slice(&explained.stdout)?;
    let service = &report["access"]["groups"][0][0]["service"];
    assert!(
        service["who"]
            .as_str()
            .is_some_and(|who| who.ends_with(":user/sealer")),
        "{report}"
    );
    let opening = service["opening"].as_str().unwrap_or_default();
    assert!(opening.contains("AWS denies kms:Decrypt"), "{report}");
    assert!(service["sealing"].is_null(), "{report}");
    assert!(!explained.out().contains(&sealer.secret));
    Ok(())
}
