//! Keys of Google Cloud KMS, on a stand-in ([`support::gcp_stub`]) that real sops uses as well.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use support::canary::Canary;
use support::cloud::Told;
use support::gcp_stub::{Gcp, KEY, KMS, error};
use support::run::Tool;

use super::{Key, PLAIN, exchange, program, seal, sops};
use crate::scene::{Result, Scene, ended};

type Environment = Vec<(OsString, OsString)>;

/// The holder of a credential.
fn key(gcp: &Gcp, variable: &str, value: impl Into<OsString>) -> Key {
    let mut environment = gcp.environment();
    environment.push((variable.into(), value.into()));
    Key {
        flag: "--gcp-kms",
        recipient: KEY.to_owned(),
        environment,
    }
}

fn holder(gcp: &Gcp) -> Key {
    key(gcp, "GOOGLE_CREDENTIALS", gcp.service_account().to_string())
}

/// Somebody without a credential: nothing answers where the metadata service would be.
fn nobody(gcp: &Gcp) -> Environment {
    let mut environment = gcp.environment();
    environment.push(("GCE_METADATA_HOST".into(), "127.0.0.1:1".into()));
    environment
}

fn scene() -> Result<Scene> {
    let scene = Scene::with_identities("{}\n", &[])?;
    std::fs::remove_file(scene.path(".sops.yaml"))?;
    scene.write("plain.json", PLAIN)?;
    Ok(scene)
}

fn with(tool: Tool, environment: Environment) -> Tool {
    environment
        .into_iter()
        .fold(tool, |tool, (name, value)| tool.env(name, value))
}

#[test]
fn keys_of_cloud_kms() -> Result {
    let (scene, gcp) = (scene()?, Gcp::start()?);
    for sops in sops()? {
        exchange(&scene, &holder(&gcp), &nobody(&gcp), sops)?;
    }
    let [_, newest] = sops()?;
    let mut elsewhere = holder(&gcp);
    let endpoint = ("SOPS_GCP_KMS_ENDPOINT".into(), "https://kms.example.org".into());
    elsewhere.environment.push(endpoint);
    gcp.cloud.seen();
    exchange(&scene, &elsewhere, &nobody(&gcp), newest)?;
    let hosts: Vec<String> = gcp.cloud.seen().into_iter().map(|asked| asked.host).collect();
    assert!(!hosts.contains(&KMS.to_owned()), "{hosts:?}");
    assert_eq!(
        hosts.iter().filter(|host| *host == "kms.example.org").count(),
        4,
        "{hosts:?}"
    );
    Ok(())
}

/// Every kind of credential opens what the service account sealed, for `seal` and for sops where it can be led here.
#[test]
fn credentials_for_cloud_kms() -> Result {
    let (scene, gcp) = (scene()?, Gcp::start()?);
    let sealed =
        program(&scene, seal(), Some(&holder(&gcp)))?.run(["encrypt", "--gcp-kms", KEY, "plain.json"])?;
    scene.write("sealed.json", sealed.expect_success()?)?;
    scene.write("workload", "workload\n")?;
    let external = gcp.external_account(&scene.path("workload").display().to_string());
    for (name, file) in [
        ("account.json", gcp.service_account()),
        ("user.json", gcp.authorized_user()),
        ("external.json", external.clone()),
        ("impersonated.json", gcp.impersonated(gcp.authorized_user())),
        ("twice.json", gcp.impersonated(external)),
    ] {
        scene.write(name, file.to_string())?;
    }
    let file = |name: &str| scene.path(name).into_os_string();
    let metadata = gcp.cloud.address();
    let [_, newest] = sops()?;
    for (what, variable, value, peer) in [
        ("a file", "GOOGLE_CREDENTIALS", file("account.json"), true),
        ("a token", "GOOGLE_OAUTH_ACCESS_TOKEN", gcp.token()?.into(), true),
        (
            "a person",
            "GOOGLE_APPLICATION_CREDENTIALS",
            file("user.json"),
            true,
        ),
        (
            "a workload",
            "GOOGLE_APPLICATION_CREDENTIALS",
            file("external.json"),
            true,
        ),
        (
            "an account",
            "GOOGLE_APPLICATION_CREDENTIALS",
            file("impersonated.json"),
            true,
        ),
        // Ours alone: sops is not asked.
        (
            "an account of a workload",
            "GOOGLE_APPLICATION_CREDENTIALS",
            file("twice.json"),
            false,
        ),
        ("the machine", "GCE_METADATA_HOST", metadata.into(), true),
    ] {
        let key = key(&gcp, variable, value);
        for program in std::iter::once(seal()).chain(peer.then(|| newest.clone())) {
            let opened =
                super::program(&scene, program.clone(), Some(&key))?.run(["decrypt", "sealed.json"])?;
            assert_eq!(
                opened.stdout,
                PLAIN,
                "{what}: {}: {}",
                program.display(),
                ended(&opened)
            );
        }
    }
    // What `gcloud auth application-default login` leaves.
    let person = with(program(&scene, seal(), None)?, gcp.environment());
    let folder = person.home().join(".config/gcloud");
    std::fs::create_dir_all(&folder)?;
    let user = gcp.authorized_user().to_string();
    std::fs::write(folder.join("application_default_credentials.json"), user)?;
    gcp.cloud.seen();
    assert_eq!(person.run(["decrypt", "sealed.json"])?.stdout, PLAIN);
    let seen = gcp.cloud.seen();
    let call = seen
        .iter()
        .find(|asked| asked.host == KMS)
        .ok_or("KMS was not asked")?;
    assert_eq!(call.header("x-goog-user-project"), Some("team-1"));
    Ok(())
}

/// One token and one connection serve all files of a run; a token that no longer counts is followed by one more.
#[test]
fn one_login_serves_a_run() -> Result {
    let (scene, gcp) = (scene()?, Gcp::start()?);
    scene.write("user.json", gcp.authorized_user().to_string())?;
    let key = key(&gcp, "GOOGLE_CREDENTIALS", scene.path("user.json"));
    let tool = program(&scene, seal(), Some(&key))?;
    let sealed = tool
        .run(["encrypt", "--gcp-kms", KEY, "plain.json"])?
        .expect_success()?;
    for number in 0..5 {
        let sealed = tool
            .run(["encrypt", "--gcp-kms", KEY, "plain.json"])?
            .expect_success()?;
        scene.write(&format!("{number}.json"), sealed)?;
    }
    scene.write("sealed.json", sealed)?;
    gcp.cloud.seen();
    let opened = tool.run([
        "decrypt",
        "--output-dir",
        "out",
        "0.json",
        "1.json",
        "2.json",
        "3.json",
        "4.json",
    ])?;
    opened.expect_success()?;
    let count =
        |host: &str, seen: &[support::cloud::Asked]| seen.iter().filter(|asked| asked.host == host).count();
    let seen = gcp.cloud.seen();
    assert_eq!((count("oauth2.googleapis.com", &seen), count(KMS, &seen)), (1, 5));
    gcp.cloud.plan(KMS, error(401, "UNAUTHENTICATED", "", "expired"));
    assert_eq!(tool.run(["decrypt", "sealed.json"])?.stdout, PLAIN);
    let seen = gcp.cloud.seen();
    assert_eq!((count("oauth2.googleapis.com", &seen), count(KMS, &seen)), (2, 2));
    Ok(())
}

/// Each failure says what is wrong in its own words, and never a credential (NW-15).
#[test]
fn what_cloud_kms_refuses_is_told() -> Result {
    let (scene, gcp) = (scene()?, Gcp::start()?);
    let holder = || program(&scene, seal(), Some(&holder(&gcp)));
    let sealed = holder()?
        .run(["encrypt", "--gcp-kms", KEY, "plain.json"])?
        .expect_success()?;
    scene.write("sealed.json", &sealed)?;
    let (canary, strangers) = (Canary::new(92), Gcp::start()?);
    let credential = |value: &str| program(&scene, seal(), Some(&key(&gcp, "GOOGLE_CREDENTIALS", value)));
    let mut user = gcp.authorized_user();
    user["refresh_token"] = canary.text().into();
    let user = user.to_string();
    let mut foreign = gcp.service_account();
    foreign["client_email"] = canary.text().into();
    let foreign = foreign.to_string();
    let broken = format!(
        "{{\"type\":\"service_account\",\"private_key\":\"{}\"}}",
        canary.text()
    );
    let token = || {
        program(
            &scene,
            seal(),
            Some(&key(&gcp, "GOOGLE_OAUTH_ACCESS_TOKEN", canary.text())),
        )
    };
    let universe = holder()?.env("SOPS_GCP_KMS_UNIVERSE_DOMAIN", "example.org");
    let denied = |reason| error(403, "PERMISSION_DENIED", reason, canary.text());
    let mut large = Told::json(200, &serde_json::Value::Null);
    large.body = vec![b' '; (4 << 20) + 1000];
    let elsewhere = Told::json(307, &serde_json::Value::Null).with("location", "https://kms.example.org/");
    let quiet = |what: &str, words: &str, output: &support::run::Output| {
        assert_eq!(output.code, Some(128), "{what}: {}", ended(output));
        assert!(output.stdout.is_empty(), "{what}");
        assert!(output.err().contains(words), "{what}: {}", output.err());
        let shown = canary.find(&output.stderr);
        assert!(
            shown.is_none(),
            "{what}: the credential is shown: {}",
            output.err()
        );
        assert!(!output.err().contains("ya29."), "{what}: a token is shown");
    };
    for (what, tool, words) in [
        (
            "nobody",
            with(program(&scene, seal(), None)?, nobody(&gcp)),
            "127.0.0.1:1 cannot be reached",
        ),
        (
            "a wrong token",
            token()?,
            "does not take the credential: it is wrong, expired or revoked",
        ),
        (
            "a wrong refresh token",
            credential(&user)?,
            "refused the credential (invalid_grant, status 400)",
        ),
        (
            "another account",
            credential(&foreign)?,
            "does not take the credential",
        ),
        (
            "a broken key",
            credential(&broken)?,
            "its private_key is no RSA key in PEM",
        ),
        (
            "no JSON",
            credential(canary.text())?,
            "it is neither a file nor the JSON of a credential",
        ),
        ("another universe", universe, "SOPS_GCP_KMS_UNIVERSE_DOMAIN"),
        (
            "a certificate of somebody else",
            holder()?.env("SOPS_GCP_KMS_ENDPOINT", "https://other.example.org"),
            "the TLS connection to other.example.org failed: invalid peer certificate: certificate not valid for name",
        ),
        (
            "another authority of the same name",
            holder()?.env("SSL_CERT_FILE", strangers.cloud.certificates()),
            "failed: invalid peer certificate: BadSignature",
        ),
        (
            "a proxy that is not there",
            holder()?.env(
                "HTTPS_PROXY",
                format!("http://user:{}@127.0.0.1:1", canary.text()),
            ),
            "cannot be reached",
        ),
    ] {
        quiet(what, words, &tool.run(["decrypt", "-vv", "sealed.json"])?);
    }
    for (what, told, words) in [
        (
            "denied",
            denied("IAM_PERMISSION_DENIED"),
            "cloudkms.cryptoKeyVersions.useToDecrypt",
        ),
        (
            "no API",
            denied("SERVICE_DISABLED"),
            "the Cloud KMS API is not enabled",
        ),
        (
            "no billing",
            denied("BILLING_DISABLED"),
            "team-1 has no billing account",
        ),
        (
            "no scope",
            denied("ACCESS_TOKEN_SCOPE_INSUFFICIENT"),
            "cloud-platform",
        ),
        (
            "another project",
            denied("CONSUMER_INVALID"),
            "does not know the project",
        ),
        (
            "a redirect",
            elsewhere,
            "answers with a redirect, which is not followed",
        ),
        ("a large answer", large, "more than 4 MiB"),
        (
            "nonsense",
            Told::json(200, &canary.text().into()),
            "not what the service is documented",
        ),
        (
            "an unknown code",
            error(418, "A_TEAPOT", "", canary.text()),
            "A_TEAPOT (status 418)",
        ),
    ] {
        gcp.cloud.plan(KMS, told);
        quiet(what, words, &holder()?.run(["decrypt", "-vv", "sealed.json"])?);
    }
    assert!(
        gcp.cloud
            .seen()
            .iter()
            .all(|asked| asked.host != "kms.example.org"),
        "a redirect was followed"
    );

    gcp.allow(KEY, false);
    let output = holder()?.run(["encrypt", "--gcp-kms", KEY, "plain.json"])?;
    assert_eq!(output.code, Some(111), "{}", ended(&output));
    assert!(
        output.err().contains("cloudkms.cryptoKeyVersions.useToEncrypt"),
        "{}",
        output.err()
    );
    gcp.allow(KEY, true);
    gcp.enable(KEY, false);
    let output = holder()?.run(["decrypt", "sealed.json"])?;
    assert!(
        output.err().contains("is disabled or destroyed"),
        "{}",
        output.err()
    );
    gcp.enable(KEY, true);
    let absent = KEY.replace("app", "none");
    let output = holder()?.run(["encrypt", "--gcp-kms", &absent, "plain.json"])?;
    assert!(output.err().contains("has no such key"), "{}", output.err());
    gcp.add_key(&absent)?;
    let moved = String::from_utf8(sealed)?.replace(KEY, &absent);
    scene.write("moved.json", moved)?;
    let output = holder()?.run(["decrypt", "moved.json"])?;
    assert!(
        output
            .err()
            .contains("was not wrapped with this key, or was changed"),
        "{}",
        output.err()
    );
    for odd in [
        "projects/p",
        "projects/../locations/l/keyRings/r/cryptoKeys/k",
        "projects/p/locations/l/keyRings/r/cryptoKeys/k?x",
    ] {
        let output = holder()?.run(["encrypt", "--gcp-kms", odd, "plain.json"])?;
        assert_eq!(output.code, Some(111), "{odd}: {}", ended(&output));
    }
    Ok(())
}

/// What passes is waited for, as long as the service asks, and no answer at all does not keep another key from opening
/// the file (NW-01, NW-02, NW-03, NW-15).
#[test]
fn trouble_of_cloud_kms_is_waited_for_or_passed_by() -> Result {
    let (scene, gcp) = (scene()?, Gcp::start()?);
    let people = crate::scene::people()?;
    let mut key = holder(&gcp);
    let age = people.first().ok_or("nobody")?;
    key.environment
        .push(("SOPS_AGE_KEY".into(), age.secret.clone().into()));
    let tool = program(&scene, seal(), Some(&key))?;
    gcp.cloud.plan(KMS, error(503, "UNAVAILABLE", "", "no"));
    gcp.cloud.plan(KMS, error(500, "INTERNAL", "", "no"));
    let busy = error(429, "RESOURCE_EXHAUSTED", "", "no").with("retry-after", "1");
    gcp.cloud.plan(KMS, busy.clone());
    let start = Instant::now();
    let sealed = tool
        .run(["encrypt", "--gcp-kms", KEY, "plain.json"])?
        .expect_success()?;
    assert!(
        start.elapsed() >= Duration::from_secs(1),
        "Retry-After was not waited for"
    );
    scene.write("sealed.json", sealed)?;
    for _ in 0..4 {
        gcp.cloud.plan(KMS, busy.clone());
    }
    let output = tool.run(["decrypt", "sealed.json"])?;
    assert_eq!(output.code, Some(128), "{}", ended(&output));
    assert!(output.err().contains("throttled"), "{}", output.err());

    let both = tool.run(["encrypt", "--gcp-kms", KEY, "--age", &age.recipient, "plain.json"])?;
    scene.write("sealed.json", both.expect_success()?)?;
    gcp.cloud.plan(KMS, Told::nothing());
    let start = Instant::now();
    let opened = tool.run([
        "sops",
        "decrypt",
        "--decryption-order",
        "gcp_kms,age",
        "sealed.json",
    ])?;
    assert_eq!(opened.stdout, PLAIN, "{}", ended(&opened));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    Ok(())
}
