//! The key-value engine, on a real OpenBao.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use support::canary::Canary;
use support::cloud::{Cloud, Told};
use support::openbao::{OpenBao, ROOT};

use super::{Environment, PLAIN, native, programs, refused, same, sealed, tampered, variable};
use crate::scene::{Result, Scene, ended};

fn server() -> Result<OpenBao> {
    let server = OpenBao::start()?;
    server.bao(&["secrets", "enable", "-path", "team/one", "-version", "1", "kv"])?;
    Ok(server)
}

fn environment(server: &OpenBao, token: &str) -> Environment {
    vec![
        variable("VAULT_ADDR", &server.address),
        variable("VAULT_TOKEN", token),
    ]
}

/// A policy in which files go to both engines, below `folder`.
fn policy(server: &OpenBao, folder: &str) -> String {
    format!(
        "destination_rules:\n\
         - {{path_regex: ^one/, vault_path: /{folder}//x/, vault_kv_mount_name: team/one, vault_kv_version: 1}}\n\
         - {{path_regex: ^omit/, vault_path: {folder}, vault_address: {}, omit_extensions: true}}\n\
         - {{path_regex: ^clear/}}\n\
         - {{vault_path: {folder}/y, vault_address: {}/}}\n",
        server.address, server.address
    )
}

/// The values of a secret; null if there is none.
fn secret(server: &OpenBao, path: &str) -> Result<Value> {
    let output = server.try_bao(&["read", "-format=json", path])?;
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    Ok(answer["data"].clone())
}

const FILES: [(&str, &[u8]); 6] = [
    ("one/a.yaml", PLAIN),
    (
        "omit/a.yaml",
        b"a: 1\nsame: first\n---\nb: {c: [true, [null, 0.25]]}\nsame: second\n---\n{}\n",
    ),
    (
        "c d@\u{fc}+.json",
        b"{\"big\": 9007199254740993, \"a\": {\"b\": \"<&>\", \"e\": 1e21}, \"none\": {}}",
    ),
    ("b.env", b"A=hunter2\n# c\nB=two words\n"),
    ("b.ini", b"[s]\nk = hunter2\n[t]\nl = 5\n"),
    ("b.bin", b"hunter2\n\x01"),
];

/// Where a file's values are, below a folder.
fn place(name: &str, folder: &str) -> String {
    match name.split_once('/') {
        Some(("one", rest)) => format!("team/one/{folder}/x/{rest}"),
        Some(("omit", rest)) => format!("secret/data/{folder}/{}", rest.trim_end_matches(".yaml")),
        _ => format!("secret/data/{folder}/y/{name}"),
    }
}

/// All formats, both engines: the same values arrive in the same places, and the same is asked.
#[test]
fn the_same_values_arrive() -> Result {
    let scene = Scene::with_identities("{}\n", &[0])?;
    let server = server()?;
    for (name, plain) in FILES {
        sealed(&scene, name, plain)?;
    }
    scene.write("clear/a.yaml", "a: 1\n")?;
    let mut arrived: Vec<BTreeMap<&str, Value>> = Vec::new();
    let mut asked = Vec::new();
    for (program, folder) in programs(&scene, &environment(&server, ROOT))?
        .into_iter()
        .zip(["f0", "f1", "f2"])
    {
        scene.write(".sops.yaml", policy(&server, folder))?;
        let mut values = BTreeMap::new();
        for (name, _) in FILES {
            let output = program.tool.run(["publish", "--yes", name])?;
            assert!(output.success(), "{}: {name}: {}", program.name, ended(&output));
            let found = secret(&server, &place(name, folder))?;
            values.insert(
                name,
                if name.starts_with("one/") {
                    found
                } else {
                    found["data"].clone()
                },
            );
        }
        arrived.push(values);
        let mut output = program.tool.run_with_input(["publish", "omit/a.yaml"], b"n\n")?;
        output.stdout = output.out().replace(folder, "FOLDER").into_bytes();
        asked.push((program.name, output));
    }
    same("the question", &asked)?;
    assert!(arrived[0].values().all(Value::is_object), "{:#?}", arrived[0]);
    assert_eq!(
        arrived[0]["omit/a.yaml"],
        json!({"a": 1, "b": {"c": [true, [null, 0.25]]}, "same": "second"})
    );
    assert_eq!(arrived[0]["b.bin"], json!({"data": "hunter2\n\u{1}"}));
    assert_eq!(arrived[0], arrived[1]);
    assert_eq!(arrived[0], arrived[2]);
    Ok(())
}

/// What is there is not written again; sops writes a new version wherever there is a number, and always with engine 1.
#[test]
fn what_is_there_already_is_left_alone() -> Result {
    let scene = Scene::with_identities("{}\n", &[0])?;
    let server = server()?;
    sealed(&scene, "omit/a.yaml", b"n: 5\nf: 1.0\ns: text\nl: [1]\n")?;
    sealed(&scene, "one/a.yaml", b"s: text\n")?;
    scene.write(".sops.yaml", policy(&server, "f"))?;
    let version =
        || -> Result<Value> { Ok(secret(&server, "secret/data/f/a")?["metadata"]["version"].clone()) };
    let programs = programs(&scene, &environment(&server, ROOT))?;
    programs[1]
        .tool
        .run(["publish", "--yes", "omit/a.yaml"])?
        .expect_success()?;
    assert_eq!(version()?, 1);
    programs[1]
        .tool
        .run(["publish", "--yes", "omit/a.yaml"])?
        .expect_success()?;
    assert_eq!(version()?, 2, "sops counts a number as a change");
    programs[0]
        .tool
        .run(["publish", "--yes", "omit/a.yaml"])?
        .expect_success()?;
    let seal = native(&scene, &environment(&server, ROOT))?;
    let output = seal.run(["publish", "--yes", "omit/a.yaml", "one/a.yaml"])?;
    // As they are done.
    let mut lines: Vec<String> = output.out().lines().map(str::to_owned).collect();
    lines.sort();
    let at = &server.address;
    let one = format!("published one/a.yaml ({at}/v1/team/one/f/x/a.yaml)");
    assert_eq!(
        lines,
        [
            one,
            format!("there already omit/a.yaml ({at}/v1/secret/data/f/a)")
        ]
    );
    let again = seal.run(["publish", "--yes", "one/a.yaml"])?;
    assert!(
        again.out().starts_with("there already one/a.yaml"),
        "{}",
        again.out()
    );
    assert_eq!(version()?, 2);
    sealed(&scene, "omit/a.yaml", b"n: 6\n")?;
    seal.run(["publish", "--yes", "omit/a.yaml"])?.expect_success()?;
    assert_eq!(version()?, 3);
    assert_eq!(secret(&server, "secret/data/f/a")?["data"], json!({"n": 6}));
    server.bao(&["kv", "delete", "secret/f/a"])?;
    seal.run(["publish", "--yes", "omit/a.yaml"])?.expect_success()?;
    assert_eq!(version()?, 4);
    Ok(())
}

/// A map in a list is a map; sops sends a list of pairs of `Key` and `Value`.
#[test]
fn maps_in_lists_arrive_as_maps() -> Result {
    let scene = Scene::with_identities("{}\n", &[0])?;
    let server = server()?;
    sealed(&scene, "omit/a.yaml", b"l:\n- x: 1\n")?;
    let mut found = Vec::new();
    for (program, folder) in programs(&scene, &environment(&server, ROOT))?
        .iter()
        .zip(["f0", "f1", "f2"])
    {
        scene.write(".sops.yaml", policy(&server, folder))?;
        program
            .tool
            .run(["publish", "--yes", "omit/a.yaml"])?
            .expect_success()?;
        found.push(secret(&server, &format!("secret/data/{folder}/a"))?["data"]["l"].clone());
    }
    let theirs = json!([[{"Key": "x", "Value": 1}]]);
    assert_eq!(found, [json!([{"x": 1}]), theirs.clone(), theirs]);
    Ok(())
}

/// What was changed since it was sealed is refused before anything is sent.
#[test]
fn what_is_not_whole_is_not_sent() -> Result {
    let scene = Scene::with_identities("{}\n", &[0])?;
    let cloud = Cloud::start(&[], Box::new(|_| Told::json(404, &json!({"errors": []}))))?;
    let environment = vec![variable("VAULT_ADDR", cloud.url()), variable("VAULT_TOKEN", "t")];
    scene.write(".sops.yaml", "destination_rules:\n- vault_path: x\n")?;
    sealed(&scene, "tampered.yaml", PLAIN)?;
    tampered(&scene, "tampered.yaml", "a")?;
    sealed(&scene, "edited.yaml", PLAIN)?;
    let text = String::from_utf8(scene.read("edited.yaml")?)?;
    scene.write(
        "edited.yaml",
        text.replace("\nb_unencrypted: clear", "\nb_unencrypted: other"),
    )?;
    for (name, code) in [("tampered.yaml", 25), ("edited.yaml", 51)] {
        let mut outputs = Vec::new();
        for program in programs(&scene, &environment)? {
            outputs.push((program.name, program.tool.run(["publish", "--yes", name])?));
        }
        same(name, &outputs)?;
        refused(&outputs[0].1, code, name, name)?;
        let output = native(&scene, &environment)?.run(["publish", "-y", name])?;
        refused(&output, code, name, name)?;
    }
    assert!(cloud.seen().is_empty(), "something was asked");
    // The same server is asked about a file that is whole.
    sealed(&scene, "whole.yaml", PLAIN)?;
    let output = native(&scene, &environment)?.run(["publish", "-y", "whole.yaml"])?;
    refused(&output, 3, "has no secret/data/x/whole.yaml", "no such engine")?;
    assert!(!output.err().contains("hunter2"), "{}", output.err());
    assert_eq!(cloud.seen().len(), 2);
    Ok(())
}

/// The token and the values go to the server that is named, and nowhere that an answer leads.
#[test]
fn values_go_to_the_named_server_only() -> Result {
    let scene = Scene::with_identities("{}\n", &[0])?;
    let other = Cloud::start(&[], Box::new(|_| Told::json(200, &json!({"data": {}}))))?;
    let elsewhere = other.url();
    let cloud = Cloud::start(
        &[],
        Box::new(move |asked| match asked.method.as_str() {
            "GET" => Told::json(404, &json!({"errors": []})),
            _ => Told::json(307, &json!({})).with("location", &elsewhere),
        }),
    )?;
    let environment = vec![
        variable("VAULT_ADDR", other.url()),
        variable("VAULT_TOKEN", "token-of-ours"),
    ];
    let policy =
        |address: &str| format!("destination_rules:\n- {{vault_path: x, vault_address: '{address}'}}\n");
    scene.write(".sops.yaml", policy(&cloud.url()))?;
    sealed(&scene, "a.yaml", PLAIN)?;
    let seal = native(&scene, &environment)?;
    let output = seal.run(["publish", "-y", "a.yaml"])?;
    refused(&output, 3, "redirect, which is not followed", "a redirect")?;
    assert!(!output.err().contains("in the clear"), "{}", output.err());
    let seen = cloud.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[1].header("x-vault-token"), Some("token-of-ours"));
    assert!(other.seen().is_empty(), "it was followed");
    // A server that is not allowed is told nothing at all.
    let strict = native(&scene, &environment)?.env("SOPS_HC_VAULT_ALLOWLIST", other.url());
    refused(
        &strict.run(["publish", "-y", "a.yaml"])?,
        3,
        "SOPS_HC_VAULT_ALLOWLIST",
        "a list of servers",
    )?;
    assert!(cloud.seen().is_empty());
    // Clear text over a network is warned of; the host is none.
    scene.write(".sops.yaml", policy("http://vault.invalid:8200"))?;
    let output = seal.run(["publish", "-y", "a.yaml"])?;
    refused(
        &output,
        3,
        "values of files cross the network to http://vault.invalid:8200 in the clear",
        "http",
    )?;
    scene.write(".sops.yaml", policy("https://vault.invalid:8200"))?;
    let output = seal.run(["publish", "-y", "a.yaml"])?;
    assert!(!output.err().contains("in the clear"), "{}", output.err());
    Ok(())
}

/// Each failure says whose move is next, and never the token or a value; a token that may only write is enough.
#[test]
fn what_the_server_refuses_is_told() -> Result {
    let scene = Scene::with_identities("{}\n", &[0])?;
    let server = server()?;
    sealed(&scene, "omit/a.yaml", PLAIN)?;
    scene.write(".sops.yaml", policy(&server, "f"))?;
    let canary = Canary::new(95);
    let token = |rules: &str| -> Result<String> {
        scene.write("policy.hcl", rules)?;
        let file = scene.path("policy.hcl").display().to_string();
        server.bao(&["policy", "write", "p", &file])?;
        let made = server.bao(&["token", "create", "-policy=p", "-field=token"])?;
        Ok(String::from_utf8(made)?.trim().to_owned())
    };
    let writer = token("path \"secret/data/f/*\" { capabilities = [\"create\", \"update\"] }")?;
    let output = native(&scene, &environment(&server, &writer))?.run(["publish", "-y", "omit/a.yaml"])?;
    assert!(output.success(), "{}", ended(&output));
    assert!(
        output.err().contains("could not be looked at"),
        "{}",
        output.err()
    );
    assert_eq!(secret(&server, "secret/data/f/a")?["data"]["a"], "hunter2");
    server.bao(&["kv", "metadata", "delete", "secret/f/a"])?;
    let reader = token("path \"secret/data/f/*\" { capabilities = [\"read\"] }")?;
    for (what, token, words) in [
        (
            "a wrong token",
            canary.text(),
            "its policies do not allow secret/data/f/a",
        ),
        (
            "a token that may only read",
            &reader,
            "its policies do not allow secret/data/f/a",
        ),
    ] {
        let output =
            native(&scene, &environment(&server, token))?.run(["publish", "-y", "-vv", "omit/a.yaml"])?;
        refused(&output, 3, words, what)?;
        assert!(
            canary.find(&output.stderr).is_none() && !output.err().contains("hunter2"),
            "{what}"
        );
    }
    let nobody = native(&scene, &vec![])?.run(["publish", "-y", "omit/a.yaml"])?;
    refused(&nobody, 3, "there is no token for Vault", "no token")?;
    assert_eq!(secret(&server, "secret/data/f/a")?, Value::Null);
    let rule = |rule: &str| scene.write(".sops.yaml", format!("destination_rules:\n- {{{rule}}}\n"));
    let seal = native(&scene, &environment(&server, ROOT))?;
    for (fields, code, words) in [
        (
            "vault_path: x, vault_kv_mount_name: none",
            3,
            "there is no key-value engine",
        ),
        (
            "vault_path: x, vault_kv_mount_name: team/one/../../sys",
            5,
            "vault_kv_mount_name: ",
        ),
        ("vault_path: ../x", 5, "vault_path: "),
        ("vault_path: x, vault_address: 'ftp://h'", 5, "vault_address: "),
    ] {
        rule(fields)?;
        refused(&seal.run(["publish", "-y", "omit/a.yaml"])?, code, words, fields)?;
    }
    rule("vault_path: x")?;
    server.bao(&["operator", "seal"])?;
    refused(
        &seal.run(["publish", "-y", "omit/a.yaml"])?,
        3,
        "is sealed or not ready",
        "a sealed server",
    )?;
    drop(server);
    refused(
        &seal.run(["publish", "-y", "omit/a.yaml"])?,
        3,
        "cannot be reached",
        "a dead server",
    )?;
    Ok(())
}
