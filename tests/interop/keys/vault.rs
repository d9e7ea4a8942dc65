//! Keys of the transit engine, on a real OpenBao.

use support::canary::Canary;
use support::openbao::{OpenBao, ROOT};

use super::{Key, PLAIN, both_ways, program, seal, sops};
use crate::scene::{Result, Scene, ended};

/// A server with a transit key under two mounts.
fn server() -> Result<OpenBao> {
    let server = OpenBao::start()?;
    for mount in ["sops", "team/transit"] {
        server.bao(&["secrets", "enable", "-path", mount, "transit"])?;
        server.bao(&["write", "-f", &format!("{mount}/keys/app")])?;
    }
    Ok(server)
}

fn key(server: &OpenBao, mount: &str) -> Key {
    Key {
        flag: "--hc-vault-transit",
        recipient: format!("{}/v1/{mount}/keys/app", server.address),
        environment: vec![("VAULT_TOKEN".into(), ROOT.into())],
    }
}

#[test]
fn transit_keys() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let server = server()?;
    for mount in ["sops", "team/transit"] {
        for sops in sops()? {
            both_ways(&scene, &key(&server, mount), sops)?;
        }
    }
    // The token that a login left in the home folder.
    let holder = program(&scene, seal(), None)?;
    std::fs::write(holder.home().join(".vault-token"), format!("{ROOT}\n"))?;
    let opened = holder.run(["decrypt", "sealed.json"])?;
    assert_eq!(opened.stdout, PLAIN, "{}", ended(&opened));
    Ok(())
}

/// What was wrapped before a rotation of the key opens after it, until the server no longer allows that version.
#[test]
fn versions_of_a_transit_key() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let (server, [sops, _]) = (server()?, sops()?);
    let key = key(&server, "sops");
    let encrypt = ["encrypt", key.flag, &key.recipient, "plain.json"];
    scene.write("plain.json", PLAIN)?;
    std::fs::remove_file(scene.path(".sops.yaml"))?;
    let holder = program(&scene, seal(), Some(&key))?;
    scene.write("sealed.json", holder.run(encrypt)?.expect_success()?)?;
    server.bao(&["write", "-f", "sops/keys/app/rotate"])?;
    assert_eq!(holder.run(["decrypt", "sealed.json"])?.stdout, PLAIN);
    let newer = holder.run(encrypt)?.expect_success()?;
    assert!(String::from_utf8(newer)?.contains("vault:v2:"));
    server.bao(&["write", "sops/keys/app/config", "min_decryption_version=2"])?;
    let too_old = holder.run(["decrypt", "sealed.json"])?;
    assert_eq!(too_old.code, Some(128), "{}", ended(&too_old));
    assert!(
        too_old.err().contains("refused sops/decrypt/app"),
        "{}",
        too_old.err()
    );
    let of_sops = program(&scene, sops, Some(&key))?.run(["decrypt", "sealed.json"])?;
    assert_eq!(of_sops.code, Some(128));
    Ok(())
}

/// Each failure says what is wrong in its own words, and never the token.
#[test]
fn what_a_server_refuses_is_told() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let server = server()?;
    let key = key(&server, "sops");
    scene.write("plain.json", PLAIN)?;
    std::fs::remove_file(scene.path(".sops.yaml"))?;
    let holder = program(&scene, seal(), Some(&key))?;
    let sealed = holder.run(["encrypt", key.flag, &key.recipient, "plain.json"])?;
    scene.write("sealed.json", sealed.expect_success()?)?;
    let canary = Canary::new(91);
    let stranger = || program(&scene, seal(), None);
    let wrong = stranger()?.env("VAULT_TOKEN", canary.text());
    for (what, tool, words) in [
        ("no token", stranger()?, "there is no token for Vault"),
        ("a wrong token", wrong, "denied it"),
        (
            "a server that is not allowed",
            program(&scene, seal(), Some(&key))?.env("SOPS_HC_VAULT_ALLOWLIST", "https://other.example.org"),
            "SOPS_HC_VAULT_ALLOWLIST",
        ),
        (
            "a server that is allowed by no list",
            program(&scene, seal(), Some(&key))?.env("SOPS_HC_VAULT_ALLOWLIST", "none"),
            "SOPS_HC_VAULT_ALLOWLIST",
        ),
    ] {
        let output = tool.run(["decrypt", "-vv", "sealed.json"])?;
        assert_eq!(output.code, Some(128), "{what}: {}", ended(&output));
        assert!(output.err().contains(words), "{what}: {}", output.err());
        assert!(
            canary.find(&output.stderr).is_none(),
            "{what}: the token is shown"
        );
    }
    let allowed = program(&scene, seal(), Some(&key))?.env(
        "SOPS_HC_VAULT_ALLOWLIST",
        format!("https://x, {}/", server.address),
    );
    assert_eq!(allowed.run(["decrypt", "sealed.json"])?.stdout, PLAIN);
    let none = format!("{}/v1/sops/keys/none", server.address);
    let absent = holder.run(["encrypt", key.flag, &none, "plain.json"])?;
    // Transit makes a key that is not there, if the token may; a mount it does not make.
    assert!(absent.success(), "{}", ended(&absent));
    let none = format!("{}/v1/none/keys/app", server.address);
    let absent = holder.run(["encrypt", key.flag, &none, "plain.json"])?;
    assert_eq!(absent.code, Some(111), "{}", ended(&absent));
    assert!(
        absent.err().contains("has no none/encrypt/app"),
        "{}",
        absent.err()
    );
    server.bao(&["operator", "seal"])?;
    let sealed = holder.run(["decrypt", "sealed.json"])?;
    assert_eq!(sealed.code, Some(128), "{}", ended(&sealed));
    assert!(
        sealed.err().contains("is sealed or not ready"),
        "{}",
        sealed.err()
    );
    drop(server);
    let gone = holder.run(["decrypt", "sealed.json"])?;
    assert_eq!(gone.code, Some(128), "{}", ended(&gone));
    assert!(gone.err().contains("cannot be reached"), "{}", gone.err());
    Ok(())
}

/// Jobs without a token log in; the secret they log in with is in no text.
#[test]
fn logging_in() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let server = server()?;
    let key = key(&server, "sops");
    scene.write("plain.json", PLAIN)?;
    std::fs::remove_file(scene.path(".sops.yaml"))?;
    let policy = r#"path "sops/*" { capabilities = ["update"] }"#;
    scene.write("policy.hcl", policy)?;
    let file = scene.path("policy.hcl");
    server.bao(&["policy", "write", "sops", &file.display().to_string()])?;
    server.bao(&["auth", "enable", "-path", "ci/roles", "approle"])?;
    server.bao(&["write", "auth/ci/roles/role/app", "token_policies=sops"])?;
    let field = |arguments: &[&str]| -> Result<String> {
        Ok(String::from_utf8(server.bao(arguments)?)?.trim().to_owned())
    };
    let role = field(&["read", "-field", "role_id", "auth/ci/roles/role/app/role-id"])?;
    let secret = field(&[
        "write",
        "-f",
        "-field",
        "secret_id",
        "auth/ci/roles/role/app/secret-id",
    ])?;
    let canary = Canary::new(98);
    server.bao(&["auth", "enable", "userpass"])?;
    let password = format!("password={}", canary.text());
    server.bao(&["write", "auth/userpass/users/ada", &password, "policies=sops"])?;
    scene.write("secret-id", format!("{secret}\n"))?;
    scene.write("password", canary.text())?;
    let by = |method: &str, role: &str, secret: &str| -> Result<_> {
        Ok(program(&scene, seal(), None)?
            .env("SEAL_VAULT_AUTH", method)
            .env("SEAL_VAULT_ROLE", role)
            .env("SEAL_VAULT_SECRET_FILE", scene.path(secret)))
    };
    let approle = by("approle", &role, "secret-id")?.env("SEAL_VAULT_MOUNT", "ci/roles");
    let sealed = approle.run(["encrypt", key.flag, &key.recipient, "plain.json"])?;
    scene.write("sealed.json", sealed.expect_success()?)?;
    for tool in [approle, by("userpass", "ada", "password")?] {
        let opened = tool.run(["decrypt", "-vv", "sealed.json"])?;
        assert_eq!(opened.stdout, PLAIN, "{}", ended(&opened));
        assert!(canary.find(&opened.stderr).is_none() && !opened.err().contains(&secret));
    }
    let wrong = by("userpass", "bob", "password")?.run(["decrypt", "-vv", "sealed.json"])?;
    assert_eq!(wrong.code, Some(128), "{}", ended(&wrong));
    assert!(wrong.err().contains("auth/userpass/login/bob"), "{}", wrong.err());
    assert!(canary.find(&wrong.stderr).is_none());
    Ok(())
}

/// Whose token it is, what it may do, and the exact path that it may not use.
#[test]
fn explain_tells_who_is_asked_and_what_is_missing() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let server = server()?;
    let key = key(&server, "sops");
    scene.write("plain.json", PLAIN)?;
    std::fs::remove_file(scene.path(".sops.yaml"))?;
    scene.write(
        "policy.hcl",
        r#"path "sops/encrypt/app" { capabilities = ["update"] }"#,
    )?;
    let file = scene.path("policy.hcl");
    server.bao(&["policy", "write", "sealer", &file.display().to_string()])?;
    let token = server.bao(&["token", "create", "-field", "token", "-policy", "sealer"])?;
    let sealer = program(&scene, seal(), None)?.env("VAULT_TOKEN", String::from_utf8(token)?.trim());
    let sealed = sealer.run(["encrypt", key.flag, &key.recipient, "plain.json"])?;
    scene.write("sealed.json", sealed.expect_success()?)?;
    let explained = sealer.run(["--json", "explain", "sealed.json"])?;
    let report: serde_json::Value = serde_json::from_slice(&explained.stdout)?;
    let service = &report["access"]["groups"][0][0]["service"];
    assert_eq!(service["who"], "token (policies default, sealer)", "{report}");
    assert!(
        service["opening"]
            .as_str()
            .is_some_and(|why| why.contains("sops/decrypt/app")),
        "{report}"
    );
    assert!(service["sealing"].is_null(), "{report}");
    let root = program(&scene, seal(), Some(&key))?.run(["explain", "sealed.json"])?;
    for words in [
        "asked as: token (policies root)",
        "opening: allowed",
        "sealing: allowed",
    ] {
        assert!(root.out().contains(words), "{words}: {}", root.out());
    }
    Ok(())
}
