//! Keys of AWS KMS, on an emulation with real AES-GCM that checks signatures and policies.

mod metadata;
mod refused;

use std::ffi::OsString;

use serde_json::{Value, json};
use support::moto::{Access, Moto};
use support::run::Tool;

use super::{Key, PLAIN, both_ways, program, seal, sops};
use crate::scene::{Result, Scene, ended, people};

const REGION: &str = "eu-west-1";
const USE_OF_KEYS: [&str; 2] = ["kms:Encrypt", "kms:Decrypt"];

/// An account with a key, an alias of it, a role that may use it, and people who may do more or less.
struct Account {
    server: Moto,
    key: String,
    alias: String,
    role: String,
    /// May use keys.
    user: Access,
    /// May only take the role.
    taker: Access,
    /// May do nothing.
    nobody: Access,
}

impl Account {
    fn new() -> Result<Self> {
        let server = Moto::start()?;
        let key = server.key(REGION)?;
        let this = Self {
            alias: server.alias(REGION, "app", &key)?,
            role: server.role("sealer", &USE_OF_KEYS)?,
            user: server.user("user", &USE_OF_KEYS)?,
            taker: server.user("taker", &["sts:AssumeRole"])?,
            nobody: server.user("nobody", &[])?,
            key,
            server,
        };
        this.server.enforce(0)?;
        Ok(this)
    }

    fn key(&self, recipient: &str, holder: &Access) -> Key {
        Key {
            flag: "--kms",
            recipient: recipient.to_owned(),
            environment: self.environment(holder),
        }
    }

    fn environment(&self, holder: &Access) -> Vec<(OsString, OsString)> {
        vec![
            ("AWS_ENDPOINT_URL".into(), self.server.address.clone().into()),
            ("AWS_ACCESS_KEY_ID".into(), holder.id.clone().into()),
            ("AWS_SECRET_ACCESS_KEY".into(), holder.secret.clone().into()),
        ]
    }

    /// `seal` in the hands of `holder`.
    fn seal(&self, scene: &Scene, holder: &Access) -> Result<Tool> {
        program(scene, seal(), Some(&self.key(&self.key, holder)))
    }

    /// `sealed.json`, sealed by `seal` with these flags.
    fn sealed(&self, scene: &Scene, flags: &[&str]) -> Result {
        scene.write("plain.json", PLAIN)?;
        std::fs::remove_file(scene.path(".sops.yaml")).ok();
        let arguments = [&["encrypt"], flags, &["plain.json"]].concat();
        let sealed = self.seal(scene, &self.user)?.run(arguments)?;
        Ok(scene.write("sealed.json", sealed.expect_success()?)?)
    }
}

fn block(scene: &Scene) -> Result<Value> {
    let sealed: Value = serde_json::from_slice(&scene.read("sealed.json")?)?;
    Ok(sealed["sops"].clone())
}

/// It failed with `code`, and said `words`.
fn refused(output: &support::run::Output, code: i32, words: &str, what: &str) -> Result {
    match output.code == Some(code) && output.err().contains(words) && output.stdout.is_empty() {
        true => Ok(()),
        false => Err(format!("{what}: not {code} with {words:?}: {}", ended(output)).into()),
    }
}

#[test]
fn kms_keys_aliases_and_roles() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let account = Account::new()?;
    let in_role = format!("{}+{}", account.key, account.role);
    for sops in sops()? {
        both_ways(&scene, &account.key(&account.key, &account.user), sops.clone())?;
        both_ways(&scene, &account.key(&account.alias, &account.user), sops.clone())?;
        both_ways(&scene, &account.key(&in_role, &account.taker), sops)?;
    }
    let entry = block(&scene)?["kms"][0].clone();
    assert_eq!(
        (entry["arn"].as_str(), entry["role"].as_str()),
        (Some(account.key.as_str()), Some(account.role.as_str()))
    );
    Ok(())
}

/// Context and profile go through files, both ways; a context that was changed opens nothing.
#[test]
fn encryption_contexts_and_profiles() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let account = Account::new()?;
    let credentials = format!(
        "[team]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        account.user.id, account.user.secret
    );
    // The key's profile comes before these, which may do nothing.
    let key = account.key(&account.key, &account.nobody);
    let flags = [
        "--kms",
        &account.key,
        "--aws-profile",
        "team",
        "--encryption-context",
        "stage:prod,app:shop",
    ];
    scene.write("plain.json", PLAIN)?;
    std::fs::remove_file(scene.path(".sops.yaml"))?;
    for sops in sops()? {
        let with_profile = |path| -> Result<Tool> {
            let tool = program(&scene, path, Some(&key))?;
            std::fs::create_dir_all(tool.home().join(".aws"))?;
            std::fs::write(tool.home().join(".aws/credentials"), &credentials)?;
            Ok(tool)
        };
        let (ours, theirs) = (with_profile(seal())?, with_profile(sops)?);
        for (from, to) in [(&ours, &theirs), (&theirs, &ours)] {
            let arguments = [&["encrypt"], &flags[..], &["plain.json"]].concat();
            scene.write("sealed.json", from.run(arguments)?.expect_success()?)?;
            let entry = &block(&scene)?["kms"][0];
            assert_eq!(entry["context"], json!({ "app": "shop", "stage": "prod" }));
            assert_eq!(entry["aws_profile"], "team");
            assert!(
                entry["created_at"]
                    .as_str()
                    .is_some_and(|time| time.ends_with('Z')),
                "{entry}"
            );
            let opened = to.run(["decrypt", "sealed.json"])?;
            assert_eq!(opened.stdout, PLAIN, "{}", ended(&opened));
            let whole = String::from_utf8(scene.read("sealed.json")?)?;
            scene.write("sealed.json", whole.replace("\"shop\"", "\"another-shop\""))?;
            for tool in [&ours, &theirs] {
                let output = tool.run(["decrypt", "sealed.json"])?;
                assert_eq!(output.code, Some(128), "{}", ended(&output));
            }
            refused(
                &ours.run(["decrypt", "sealed.json"])?,
                128,
                "(names: app, stage)",
                "a changed context",
            )?;
            // The blob itself.
            let enc = entry["enc"].as_str().ok_or("no enc")?;
            let mut other = enc.to_owned();
            let last = other.len() - 6;
            other.replace_range(last..=last, if &enc[last..=last] == "A" { "B" } else { "A" });
            scene.write("sealed.json", whole.replace(enc, &other))?;
            refused(
                &ours.run(["decrypt", "sealed.json"])?,
                128,
                "was changed",
                "a changed blob",
            )?;
        }
    }
    Ok(())
}

/// A policy with groups, in which AWS and age each hold a share; and flags that add and remove keys.
#[test]
fn policies_groups_and_rotation() -> Result {
    let scene = Scene::with_identities("{}\n", &[0])?;
    let account = Account::new()?;
    let policy = format!(
        "creation_rules:\n  - shamir_threshold: 2\n    key_groups:\n      - kms:\n          - arn: {}\n            context: \
         {{app: shop}}\n      - age: [{}]\n",
        account.key,
        people()?[0].recipient
    );
    let holder = |path| -> Result<Tool> {
        let tool = scene.tool(path, &[0])?;
        Ok(account
            .environment(&account.user)
            .into_iter()
            .fold(tool, |tool, (name, value)| tool.env(name, value)))
    };
    for sops in sops()? {
        let (ours, theirs) = (holder(seal())?, holder(sops)?);
        for (from, to) in [(&ours, &theirs), (&theirs, &ours)] {
            scene.write(".sops.yaml", &policy)?;
            scene.write("plain.json", PLAIN)?;
            scene.write(
                "sealed.json",
                from.run(["encrypt", "plain.json"])?.expect_success()?,
            )?;
            let opened = to.run(["decrypt", "sealed.json"])?;
            assert_eq!(opened.stdout, PLAIN, "{}", ended(&opened));
            let without_aws = scene.tool(seal(), &[0])?.run(["decrypt", "sealed.json"])?;
            refused(&without_aws, 128, "1 of 2 key groups opened", "one share")?;
        }
        std::fs::remove_file(scene.path(".sops.yaml"))?;
        account.sealed(&scene, &["--kms", &account.key])?;
        let other = ["--encryption-context", "app:shop", "--add-kms", &account.alias];
        let arguments = [
            &["sops", "rotate", "-i"],
            &other[..],
            &["--add-age", &people()?[0].recipient, "sealed.json"],
        ];
        ours.run(arguments.concat())?.expect_success()?;
        assert_eq!(block(&scene)?["kms"][1]["context"], json!({ "app": "shop" }));
        assert_eq!(theirs.run(["decrypt", "sealed.json"])?.stdout, PLAIN);
        theirs
            .run(["rotate", "-i", "--rm-kms", &account.key, "sealed.json"])?
            .expect_success()?;
        let entries = block(&scene)?["kms"].clone();
        assert_eq!(
            (entries.as_array().map(Vec::len), &entries[0]["arn"]),
            (Some(1), &json!(account.alias))
        );
        let arguments = [
            "rotate",
            "--rm-kms",
            &account.alias,
            "--encryption-context",
            "app:shop",
            "sealed.json",
        ];
        ours.run(arguments)?.expect_success()?;
        assert_eq!(block(&scene)?["kms"], Value::Null);
        assert_eq!(theirs.run(["decrypt", "sealed.json"])?.stdout, PLAIN);
    }
    Ok(())
}

/// The flags that sops has for AWS mean the same: the context goes to the plain lists of a rule, too (in sops only without
/// a command), and one that does not read is exit code 6.
#[test]
fn flags_mean_what_they_mean_to_sops() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let account = Account::new()?;
    scene.write("plain.json", PLAIN)?;
    let [old, new] = sops()?;
    let commands = [
        (seal(), &["encrypt"][..]),
        (seal(), &["sops", "encrypt"]),
        (seal(), &["sops", "-e"]),
        (old, &["-e"]),
        (new, &["-e"]),
    ];
    for (path, command) in commands {
        let tool = program(&scene, path, Some(&account.key("", &account.user)))?.first(command);
        scene.write(
            ".sops.yaml",
            format!("creation_rules:\n  - kms: {}\n", account.key),
        )?;
        let sealed = tool.run(["--encryption-context", "b:1,a:2,b:3", "plain.json"])?;
        scene.write("sealed.json", sealed.expect_success()?)?;
        assert_eq!(
            block(&scene)?["kms"][0]["context"],
            json!({ "a": "2", "b": "3" }),
            "{command:?}"
        );
        std::fs::remove_file(scene.path(".sops.yaml"))?;
        let bad = tool.run(["--kms", &account.key, "--encryption-context", "a", "plain.json"])?;
        assert_eq!(bad.code, Some(6), "{command:?}: {}", ended(&bad));
        let named = tool.env("SOPS_KMS_ARN", &account.key).run(["plain.json"])?;
        scene.write("sealed.json", named.expect_success()?)?;
        assert_eq!(block(&scene)?["kms"][0]["arn"], account.key.as_str());
        let opened = account
            .seal(&scene, &account.user)?
            .run(["decrypt", "sealed.json"])?;
        assert_eq!(opened.stdout, PLAIN);
    }
    Ok(())
}

/// The ways of AWS programs to credentials: a program, a role of a profile, a token, a profile of the environment.
#[test]
fn credentials_come_from_where_aws_programs_look() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let account = Account::new()?;
    account.sealed(&scene, &["--kms", &account.key])?;
    let (address, user, taker) = (&account.server.address, &account.user, &account.taker);
    let printed = json!({ "Version": 1, "AccessKeyId": user.id, "SecretAccessKey": user.secret });
    scene.write("credentials.json", printed.to_string())?;
    scene.write("token", "a.b.c")?;
    let printed = scene.path("credentials.json").display().to_string();
    let config = format!(
        "[profile program]\ncredential_process = cat {printed}\n[profile role]\nrole_arn = {role}\nsource_profile = taker\n\
         [profile taker]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        taker.id,
        taker.secret,
        role = account.role
    );
    let token = scene.path("token").into_os_string();
    let role = OsString::from(&account.role);
    for (what, variables) in [
        ("a program", vec![("AWS_PROFILE", "program".into())]),
        (
            "a role of a profile",
            vec![("AWS_PROFILE", "role".into()), ("AWS_REGION", REGION.into())],
        ),
        (
            "a token",
            vec![("AWS_WEB_IDENTITY_TOKEN_FILE", token), ("AWS_ROLE_ARN", role)],
        ),
    ] {
        let tool = program(&scene, seal(), None)?.env("AWS_ENDPOINT_URL", address);
        let tool = variables
            .into_iter()
            .fold(tool, |tool, (name, value)| tool.env(name, value));
        std::fs::create_dir_all(tool.home().join(".aws"))?;
        std::fs::write(tool.home().join(".aws/config"), &config)?;
        // A token is taken for credentials in a request without a signature; the emulation cannot tell.
        account.server.enforce(u32::from(what == "a token"))?;
        let opened = tool.run(["decrypt", "sealed.json"])?;
        if opened.stdout != PLAIN {
            return Err(format!("{what}: {}", ended(&opened)).into());
        }
    }
    Ok(())
}

/// SOPS before 3.3.0 could give KMS one value for all names of a context and note others. Such a file opens, and is
/// right once it was written again.
#[test]
fn a_context_that_an_old_sops_noted_wrongly_is_found() -> Result {
    let scene = Scene::with_identities("{}\n", &[])?;
    let account = Account::new()?;
    let [sops, _] = sops()?;
    let holder = account.key(&account.key, &account.user);
    let of_sops = program(&scene, sops, Some(&holder))?;
    scene.write("plain.json", PLAIN)?;
    std::fs::remove_file(scene.path(".sops.yaml"))?;
    let given = "app:web,stage:web";
    let sealed = of_sops.run([
        "encrypt",
        "--kms",
        &account.key,
        "--encryption-context",
        given,
        "plain.json",
    ])?;
    let mut sealed: Value = serde_json::from_slice(&sealed.expect_success()?)?;
    sealed["sops"]["kms"][0]["context"]["stage"] = json!("test");
    scene.write("new.json", sealed.to_string())?;
    sealed["sops"]["version"] = json!("3.2.0");
    scene.write("old.json", sealed.to_string())?;
    let seal = account.seal(&scene, &account.user)?;
    refused(
        &seal.run(["decrypt", "new.json"])?,
        128,
        "kms",
        "a version without the mistake",
    )?;
    let opened = seal.run(["decrypt", "old.json"])?;
    assert!(opened.success(), "{}", ended(&opened));
    assert!(
        opened.err().contains("wrong encryption context"),
        "{}",
        opened.err()
    );
    seal.run(["set", "old.json", "[\"a\"]", "\"changed\""])?
        .expect_success()?;
    let opened = of_sops.run(["decrypt", "--extract", "[\"a\"]", "old.json"])?;
    assert_eq!(opened.stdout, b"changed", "{}", ended(&opened));
    Ok(())
}
