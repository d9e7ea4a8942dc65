//! Keys of Azure Key Vault, on a stand-in ([`support::azure_stub`]) that real sops uses as well.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::azure_stub::{ASSERTION, AUTHORITY, Azure, CLIENT, IDENTITY_HEADER, TENANT, VAULT, error};
use support::canary::Canary;
use support::cloud::Told;
use support::run::Tool;

use super::{Key, PLAIN, exchange, executable, path_with, program, seal, sops};
use crate::scene::{Result, Scene, ended};

const SECRET: &str = "the-secret-of-the-application";

/// The application with its secret.
fn holder(azure: &Azure, url: &str) -> Key {
    Key {
        flag: "--azure-kv",
        recipient: url.to_owned(),
        environment: azure.environment(),
    }
}

/// Somebody without a credential: nothing answers where the metadata service would be.
fn nobody(azure: &Azure) -> Vec<(OsString, OsString)> {
    let mut environment = azure.cloud.environment();
    let metadata = (
        "AZURE_POD_IDENTITY_AUTHORITY_HOST".into(),
        "http://127.0.0.1:1".into(),
    );
    environment.push(metadata);
    environment
}

fn scene() -> Result<Scene> {
    let scene = Scene::with_identities("{}\n", &[])?;
    std::fs::remove_file(scene.path(".sops.yaml"))?;
    scene.write("plain.json", PLAIN)?;
    Ok(scene)
}

fn with(tool: Tool, environment: impl IntoIterator<Item = (OsString, OsString)>) -> Tool {
    environment
        .into_iter()
        .fold(tool, |tool, (name, value)| tool.env(name, value))
}

/// The version that a sealed JSON file names.
fn version(sealed: &[u8]) -> Result<String> {
    let sealed: Value = serde_json::from_slice(sealed)?;
    let version = sealed["sops"]["azure_kv"][0]["version"].as_str();
    Ok(version.ok_or("no version")?.to_owned())
}

#[test]
fn keys_of_key_vault() -> Result {
    let (scene, azure) = (scene()?, Azure::start(SECRET)?);
    let (old, url) = (azure.rotate("app")?, azure.url("app"));
    azure.rotate("app")?;
    for sops in sops()? {
        for url in [&url, &format!("{url}/{old}")] {
            exchange(&scene, &holder(&azure, url), &nobody(&azure), sops.clone())?;
        }
    }
    Ok(())
}

/// A key without version is pinned: the file opens after the key was rotated, and a rule without version still names it.
#[test]
fn versions_of_a_key() -> Result {
    let (scene, azure) = (scene()?, Azure::start(SECRET)?);
    let (first, url) = (azure.rotate("app")?, azure.url("app"));
    let tool = program(&scene, seal(), Some(&holder(&azure, &url)))?;
    let policy = format!(
        "creation_rules:\n- path_regex: flat\n  azure_keyvault: {url}\n- key_groups:\n  - azure_keyvault:\n    - \
         vaultUrl: https://{VAULT}\n      key: app\n"
    );
    scene.write(".sops.yaml", policy)?;
    for name in ["flat.json", "group.json"] {
        scene.write(name, PLAIN)?;
        tool.run(["encrypt", "-i", name])?.expect_success()?;
        assert_eq!(version(&scene.read(name)?)?, first, "{name}");
    }
    let second = azure.rotate("app")?;
    for name in ["flat.json", "group.json"] {
        assert_eq!(tool.run(["decrypt", name])?.stdout, PLAIN);
        let sealed = scene.read(name)?;
        for command in [&["check", name][..], &["updatekeys", "--yes", name]] {
            let output = tool.run(command)?;
            assert!(output.success(), "{command:?}: {}", ended(&output));
        }
        assert_eq!(scene.read(name)?, sealed);
        tool.run(["set", name, "[\"a\"]", "\"new\""])?.expect_success()?;
        tool.run(["rotate", name])?.expect_success()?;
        assert_eq!(
            version(&scene.read(name)?)?,
            first,
            "a rotation of the file keeps the version"
        );
        let old = format!("{url}/{first}");
        let moved = tool.run(["rotate", "--rm-azure-kv", &old, "--add-azure-kv", &url, name])?;
        moved.expect_success()?;
        assert_eq!(version(&scene.read(name)?)?, second, "{name}");
    }
    let people = crate::scene::people()?;
    let age = &people.first().ok_or("nobody")?.recipient;
    tool.run(["rotate", "--add-age", age, "--rm-azure-kv", &url, "flat.json"])?
        .expect_success()?;
    let left = String::from_utf8(scene.read("flat.json")?)?;
    assert!(!left.contains("azure_kv") && left.contains(age), "{left}");
    // Under the names of sops.
    let output = tool.run([
        "sops",
        "rotate",
        "-i",
        "--add-azure-kv",
        &azure.url("app"),
        "group.json",
    ])?;
    assert!(output.success(), "{}", ended(&output));
    Ok(())
}

/// Every kind of credential opens what the application sealed, for `seal` and for sops where it can be led here.
#[test]
fn credentials_for_key_vault() -> Result {
    let (scene, azure) = (scene()?, Azure::start(SECRET)?);
    let sealed = program(&scene, seal(), Some(&holder(&azure, &azure.url("app"))))?.run([
        "encrypt",
        "--azure-kv",
        &azure.url("app"),
        "plain.json",
    ])?;
    scene.write("sealed.json", sealed.expect_success()?)?;
    scene.write("workload", format!("{ASSERTION}\n"))?;
    scene.write("assertion", ASSERTION)?;
    let text = |name: &str, value: &str| (OsString::from(name), OsString::from(value));
    let application = [text("AZURE_TENANT_ID", TENANT), text("AZURE_CLIENT_ID", CLIENT)];
    let file = |name: &str| {
        (
            "AZURE_FEDERATED_TOKEN_FILE".into(),
            scene.path(name).into_os_string(),
        )
    };
    let metadata = text("AZURE_POD_IDENTITY_AUTHORITY_HOST", &azure.cloud.url());
    let app_service = format!("{}/app-service", azure.cloud.url());
    let app_service = vec![
        text("IDENTITY_ENDPOINT", &app_service),
        text("IDENTITY_HEADER", IDENTITY_HEADER),
    ];
    let bin = scene.path("bin");
    std::fs::create_dir_all(&bin)?;
    let token = azure.token()?;
    let printed = format!(
        "#!/bin/sh\ncase \"$*\" in *get-access-token*vault.azure.net*) ;; *) exit 1;; esac\n\
         echo '{{\"accessToken\":\"{token}\",\"expiresOn\":\"2099-01-01 00:00:00.000000\",\"expires_on\":4070908800,\
         \"tokenType\":\"Bearer\"}}'\n"
    );
    std::fs::write(bin.join("az"), printed)?;
    executable(&bin.join("az"))?;
    let closed = text("AZURE_POD_IDENTITY_AUTHORITY_HOST", "http://127.0.0.1:1");
    let [_, newest] = sops()?;
    for (what, environment, peer) in [
        (
            "workload identity",
            [&application[..], &[file("assertion")]].concat(),
            true,
        ),
        (
            "a file that ends its line",
            [&application[..], &[file("workload")]].concat(),
            false,
        ),
        // Go's library asks 169.254.169.254 only.
        ("a machine", vec![metadata], false),
        ("an app", app_service, true),
    ] {
        for path in std::iter::once(seal()).chain(peer.then(|| newest.clone())) {
            let tool = with(program(&scene, path.clone(), None)?, azure.cloud.environment());
            let opened = with(tool, environment.clone()).run(["decrypt", "sealed.json"])?;
            assert_eq!(
                opened.stdout,
                PLAIN,
                "{what}: {}: {}",
                path.display(),
                ended(&opened)
            );
        }
    }
    let cli = with(program(&scene, seal(), None)?, azure.cloud.environment())
        .env("PATH", path_with(&bin)?)
        .env(&closed.0, &closed.1);
    let named = cli.run(["decrypt", "sealed.json"])?;
    assert_eq!(named.stdout, PLAIN, "az: {}", ended(&named));
    let none = with(program(&scene, seal(), None)?, azure.cloud.environment()).env(closed.0, closed.1);
    let refused = none.run(["decrypt", "sealed.json"])?;
    assert!(
        refused.err().contains("there is no credential for Azure"),
        "{}",
        refused.err()
    );
    Ok(())
}

/// The token goes to the vault it is for, and to nobody who asks for it; the secret to the authority only (NW-12).
#[test]
fn nobody_else_learns_a_token() -> Result {
    let (scene, azure) = (scene()?, Azure::start(SECRET)?);
    let tool = program(&scene, seal(), Some(&holder(&azure, "")))?;
    let encrypt = |url: &str| tool.run(["encrypt", "-vv", "--azure-kv", url, "plain.json"]);
    encrypt(&azure.url("app"))?.expect_success()?;
    let seen = azure.cloud.seen();
    assert!(
        seen.iter()
            .any(|asked| asked.host == VAULT && asked.bearer().is_some())
    );
    assert!(
        seen[0].bearer().is_none() && seen[0].body.is_empty(),
        "the first request has no token"
    );
    for asked in seen.iter().filter(|asked| asked.host != AUTHORITY) {
        assert!(
            !String::from_utf8_lossy(&asked.body).contains(SECRET),
            "{}",
            asked.host
        );
    }
    // A stranger's vault that asks for the token of the real ones, and one that asks for its own.
    for resource in ["https://vault.azure.net", "https://example.org"] {
        azure.challenge(resource);
        let output = encrypt("https://vault.example.org/keys/app")?;
        assert_eq!(output.code, Some(111), "{resource}: {}", ended(&output));
        let stolen = azure
            .cloud
            .seen()
            .into_iter()
            .filter(|asked| asked.host == "vault.example.org");
        assert!(
            stolen
                .filter_map(|asked| asked.bearer().map(str::to_owned))
                .next()
                .is_none()
        );
    }
    let output = encrypt(&azure.url("app"))?;
    assert!(
        output.err().contains("a token that is for somebody else"),
        "{}",
        output.err()
    );
    azure.challenge("https://vault.azure.net");
    let redirect = Told::json(302, &Value::Null).with("location", "https://vault.example.org/");
    for told in [
        redirect.clone(),
        error(401, "Unauthorized", "").with("www-authenticate", "Basic realm=x"),
    ] {
        azure.cloud.plan(VAULT, told);
        let output = encrypt(&azure.url("app"))?;
        assert_eq!(output.code, Some(111), "{}", ended(&output));
    }
    azure.cloud.plan(AUTHORITY, redirect);
    let output = encrypt(&azure.url("app"))?;
    assert!(
        output.err().contains("answers with a redirect"),
        "{}",
        output.err()
    );
    assert!(
        azure
            .cloud
            .seen()
            .iter()
            .all(|asked| asked.host != "vault.example.org")
    );
    Ok(())
}

/// Each failure says what is wrong in its own words, and never a credential.
#[test]
fn what_key_vault_refuses_is_told() -> Result {
    let (scene, azure) = (scene()?, Azure::start(SECRET)?);
    let url = azure.url("app");
    let holder = || program(&scene, seal(), Some(&holder(&azure, &url)));
    let sealed = holder()?
        .run(["encrypt", "--azure-kv", &url, "plain.json"])?
        .expect_success()?;
    scene.write("sealed.json", &sealed)?;
    let canary = Canary::new(93);
    scene.write("assertion", canary.text())?;
    let bare = || program(&scene, seal(), None).map(|tool| with(tool, nobody(&azure)));
    let federated = bare()?
        .env("AZURE_TENANT_ID", TENANT)
        .env("AZURE_CLIENT_ID", CLIENT)
        .env("AZURE_FEDERATED_TOKEN_FILE", scene.path("assertion"));
    let certificate = bare()?
        .env("AZURE_TENANT_ID", TENANT)
        .env("AZURE_CLIENT_ID", CLIENT)
        .env("AZURE_CLIENT_CERTIFICATE_PATH", "x.pem");
    for (what, tool, words) in [
        ("nobody", bare()?, "there is no credential for Azure"),
        (
            "a wrong secret",
            holder()?.env("AZURE_CLIENT_SECRET", canary.text()),
            "AADSTS7000215",
        ),
        (
            "another application",
            holder()?.env("AZURE_CLIENT_ID", canary.text()),
            "AADSTS700016",
        ),
        (
            "another tenant",
            holder()?.env("AZURE_TENANT_ID", "other"),
            "AADSTS90002",
        ),
        (
            "no tenant",
            holder()?.env("AZURE_TENANT_ID", "a/../b"),
            "AZURE_TENANT_ID is no tenant",
        ),
        (
            "half of it",
            bare()?.env("AZURE_CLIENT_SECRET", canary.text()),
            "AZURE_CLIENT_ID is missing",
        ),
        ("another workload", federated, "AADSTS700211"),
        (
            "a certificate",
            certificate,
            "AZURE_CLIENT_CERTIFICATE_PATH is not supported",
        ),
        (
            "plain text",
            holder()?.env("AZURE_AUTHORITY_HOST", "http://login.example.org"),
            "no https address",
        ),
    ] {
        let output = tool.run(["decrypt", "-vv", "sealed.json"])?;
        assert_eq!(output.code, Some(128), "{what}: {}", ended(&output));
        assert!(output.err().contains(words), "{what}: {}", output.err());
        assert!(
            canary.find(&output.stderr).is_none(),
            "{what}: the credential is shown: {}",
            output.err()
        );
        assert!(!output.err().contains(SECRET), "{what}: the secret is shown");
    }
    let mut large = Told::json(200, &Value::Null);
    large.body = vec![b' '; (4 << 20) + 1000];
    for (what, told, words) in [
        (
            "firewall",
            error(403, "Forbidden", "ForbiddenByFirewall"),
            "its firewall or private endpoint",
        ),
        (
            "another tenant's",
            error(401, "Unauthorized", "AKV10032"),
            "of another tenant than the vault's",
        ),
        ("an odd code", error(418, "Teapot", ""), "Teapot (status 418)"),
        ("a large answer", large, "more than 4 MiB"),
        (
            "nonsense",
            Told::json(200, &canary.text().into()),
            "not what the service is documented",
        ),
    ] {
        // The challenge comes first, and a refused token is followed by one more.
        azure.cloud.plan(VAULT, challenge());
        azure.cloud.plan(VAULT, told.clone());
        if told.status == 401 {
            azure.cloud.plan(VAULT, told);
        }
        let output = holder()?.run(["decrypt", "-vv", "sealed.json"])?;
        assert_eq!(output.code, Some(128), "{what}: {}", ended(&output));
        assert!(output.err().contains(words), "{what}: {}", output.err());
        assert!(canary.find(&output.stderr).is_none(), "{what}: {}", output.err());
    }
    for (allowed, command, code, words) in [
        (
            &["get", "encrypt"][..],
            &["decrypt", "sealed.json"][..],
            128,
            "the key permission decrypt",
        ),
        (
            &["get", "decrypt"],
            &["encrypt", "--azure-kv", &url, "plain.json"],
            111,
            "the key permission encrypt",
        ),
        (
            &["encrypt", "decrypt"],
            &["encrypt", "--azure-kv", &url, "plain.json"],
            111,
            "the key permission get",
        ),
    ] {
        azure.allow("app", allowed);
        let output = holder()?.run(command)?;
        assert_eq!(output.code, Some(code), "{}", ended(&output));
        assert!(output.err().contains(words), "{}", output.err());
    }
    azure.allow("app", &["get", "encrypt", "decrypt"]);
    azure.enable("app", false);
    let output = holder()?.run(["decrypt", "sealed.json"])?;
    assert!(output.err().contains("the key is disabled"), "{}", output.err());
    azure.enable("app", true);
    let output = holder()?.run(["encrypt", "--azure-kv", &azure.url("none"), "plain.json"])?;
    assert!(output.err().contains("has no such key"), "{}", output.err());
    let other = azure.rotate("app")?;
    let moved = String::from_utf8(sealed.clone())?.replace(&version(&sealed)?, &other);
    scene.write("moved.json", moved)?;
    let output = holder()?.run(["decrypt", "moved.json"])?;
    assert!(
        output
            .err()
            .contains("was not wrapped with this key, or was changed"),
        "{}",
        output.err()
    );
    Ok(())
}

fn challenge() -> Told {
    let challenge = format!(
        "Bearer authorization=\"https://{AUTHORITY}/{TENANT}\", resource=\"https://vault.azure.net\""
    );
    error(401, "Unauthorized", "").with("www-authenticate", &challenge)
}

/// What passes is waited for, and no answer at all does not keep another key from opening the file.
#[test]
fn trouble_of_key_vault_is_waited_for_or_passed_by() -> Result {
    let (scene, azure) = (scene()?, Azure::start(SECRET)?);
    let url = azure.url("app");
    let people = crate::scene::people()?;
    let age = people.first().ok_or("nobody")?;
    let mut key = holder(&azure, &url);
    key.environment
        .push(("SOPS_AGE_KEY".into(), age.secret.clone().into()));
    let tool = program(&scene, seal(), Some(&key))?;
    azure.cloud.plan(VAULT, error(503, "ServiceUnavailable", ""));
    azure
        .cloud
        .plan(VAULT, error(429, "Throttled", "").with("retry-after", "1"));
    azure.cloud.plan(AUTHORITY, Told::json(504, &Value::Null));
    let start = Instant::now();
    let both = tool.run([
        "encrypt",
        "--azure-kv",
        &url,
        "--age",
        &age.recipient,
        "plain.json",
    ])?;
    scene.write("sealed.json", both.expect_success()?)?;
    assert!(
        start.elapsed() >= Duration::from_secs(1),
        "Retry-After was not waited for"
    );
    azure.cloud.plan(VAULT, Told::nothing());
    let start = Instant::now();
    let opened = tool.run([
        "sops",
        "decrypt",
        "--decryption-order",
        "azure_kv,age",
        "sealed.json",
    ])?;
    assert_eq!(opened.stdout, PLAIN, "{}", ended(&opened));
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    Ok(())
}
