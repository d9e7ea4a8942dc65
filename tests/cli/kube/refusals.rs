//! Bad input: one error that says where and why, its exit code, nothing printed and nothing written.

use super::{CANARY, Kube, SECRET, key_file, shows_nothing};
use crate::scene::{Result, ended, verdict};

/// How one run must end: exit code, and words of its error.
struct Refusal {
    arguments: Vec<String>,
    code: i32,
    words: &'static str,
}

fn refusal(arguments: &[&str], code: i32, words: &'static str) -> Refusal {
    let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
    Refusal {
        arguments,
        code,
        words,
    }
}

/// Runs all of them; none may write a file.
fn all_refused(kube: &Kube, cases: &[Refusal], at_least: usize) -> Result {
    let before = kube.files()?;
    let mut wrong = Vec::new();
    for case in cases {
        let name = case.arguments.join(" ");
        let arguments: Vec<&str> = case.arguments.iter().map(String::as_str).collect();
        let output = kube.run(&arguments)?;
        let errors = output
            .err()
            .lines()
            .filter(|line| line.starts_with("error:"))
            .count();
        if output.code != Some(case.code) || !output.err().contains(case.words) || errors != 1 {
            let (code, words) = (case.code, case.words);
            wrong.push(format!("{name}: not {code} with {words:?}: {}", ended(&output)));
        }
        if !output.stdout.is_empty() {
            wrong.push(format!("{name}: prints {}", output.out()));
        }
        if let Err(error) = shows_nothing(&output) {
            wrong.push(format!("{name}: {error}"));
        }
    }
    if kube.files()? != before {
        wrong.push("a file was written".to_owned());
    }
    verdict(&wrong, cases.len(), at_least)
}

#[test]
fn certificates_that_cannot_be_used() -> Result {
    let kube = Kube::new()?;
    kube.scene.write("garbage", "not PEM")?;
    let block = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    kube.scene.write("block.crt", block)?;
    kube.scene.write("torn.crt", &block[..40])?;
    let zeros = "0".repeat(64);
    let [expired, ec, public] = ["expired.crt", "ec.crt", "rsa-2048.pub"].map(key_file);
    let file = |certificate| ["seal", "--cert", certificate, "-o", "out.yaml", "secret.yaml"];
    let pinned = |pin| {
        [
            "seal",
            "--cert",
            "old.crt",
            "--fingerprint",
            pin,
            "-o",
            "out.yaml",
            "secret.yaml",
        ]
    };
    let cases = [
        refusal(&["seal", "secret.yaml"], 111, "nothing says for which cluster"),
        refusal(&file("none.crt"), 111, "none.crt: no such file"),
        refusal(&file(&expired), 111, "expired on 2021-02-03"),
        refusal(&file("garbage"), 111, "no certificate in it"),
        refusal(&file("block.crt"), 111, "no X.509 certificate"),
        refusal(&file("torn.crt"), 111, "torn.crt: "),
        refusal(&file("old.key"), 111, "no certificate in it"),
        refusal(&file(&public), 111, "no certificate in it"),
        refusal(&file(&ec), 111, "not an RSA key"),
        refusal(&pinned(&zeros), 8, "is pinned"),
        refusal(&pinned("12"), 8, "not 64 hexadecimal digits"),
        refusal(&file("http://127.0.0.1:9/v1/cert.pem"), 111, "anybody on the way"),
        refusal(&file("https://127.0.0.1:9/v1/cert.pem"), 111, "127.0.0.1:9"),
        refusal(&file("ftp://x/cert.pem"), 111, "file, http, https or file: URL"),
        refusal(&file("file://host/x.pem"), 111, "no file of this machine"),
        refusal(
            &["set", "password", "--value-file", "garbage", "sealed.yaml"],
            111,
            "to which cluster this file belongs",
        ),
        refusal(
            &["merge", "sealed.yaml", "secret.yaml"],
            111,
            "to which cluster this file belongs",
        ),
        refusal(
            &["reseal", "--key", "old.key", "sealed.yaml"],
            111,
            "to which cluster this file belongs",
        ),
        refusal(
            &[
                "set",
                "password",
                "--value-file",
                "garbage",
                "--cert",
                &expired,
                "sealed.yaml",
            ],
            111,
            "expired",
        ),
        refusal(&["cert", "show", "garbage"], 111, "no certificate in it"),
        refusal(
            &["cert", "fetch", "http://127.0.0.1:9/", "-o", "out"],
            111,
            "anybody",
        ),
        refusal(
            &["cert", "new", "--key", "k", "--cert", "c", "--bits", "1024"],
            1,
            "2,048",
        ),
        refusal(
            &["cert", "new", "--key", "old.key", "--cert", "c", "--bits", "2048"],
            3,
            "old.key",
        ),
    ];
    all_refused(&kube, &cases, 23)
}

#[test]
fn secrets_that_cannot_be_sealed(/* FF-25 */) -> Result {
    let kube = Kube::new()?;
    let of = |head: &str, rest: &str| format!("kind: Secret\nmetadata: {{{head}}}\n{rest}\n");
    let app = |rest: &str| of("name: app, namespace: prod", rest);
    let value = format!("stringData: {{k: {CANARY}}}");
    let config_map = "kind: ConfigMap\nmetadata: {name: c}\n";
    let long = "k".repeat(254);
    let many: String = (0..3_000).map(|number| format!("  k{number}: x\n")).collect();
    let files: Vec<(&str, String, i32, &'static str)> = vec![
        (
            "kinds",
            format!("{}---\n{config_map}", app(&value)),
            2,
            ":5:1: a ConfigMap stands among",
        ),
        (
            "list",
            format!(
                "kind: List\nitems:\n- kind: Secret\n  metadata: {{name: a, namespace: b}}\n  {value}\n- kind: Service\n"
            ),
            2,
            ":6:3: a Service stands among",
        ),
        (
            "no-object",
            format!("kind: List\nitems:\n- {CANARY}\n"),
            2,
            "must be an object",
        ),
        ("other", config_map.to_owned(), 2, "holds no Secret"),
        ("empty-file", String::new(), 2, "holds no Secret"),
        ("no-values", app("type: Opaque"), 2, "no values to seal"),
        (
            "empty-values",
            app("data: {}\nstringData:"),
            2,
            "no values to seal",
        ),
        (
            "number",
            app("stringData: {k: 5432}"),
            2,
            ":3:17: stringData.k: must be a text",
        ),
        ("boolean", app("stringData: {k: true}"), 2, "must be a text"),
        // The YAML of Kubernetes reads it as a boolean.
        ("old-boolean", app("stringData: {k: yes}"), 2, "must be a text"),
        (
            "label",
            of("name: app, namespace: prod, labels: {a: off}", &value),
            2,
            "must be a text",
        ),
        (
            "value-list",
            app(&format!("stringData: {{k: [{CANARY}]}}")),
            2,
            "must be a text",
        ),
        (
            "not-base64",
            app(&format!("data: {{k: {CANARY}!}}")),
            2,
            "data.k: is not base64",
        ),
        (
            "no-map",
            app(&format!("data: {CANARY}")),
            2,
            "data: must be a map",
        ),
        (
            "name",
            of("name: App_1, namespace: prod", &value),
            2,
            "metadata.name: a name has",
        ),
        (
            "no-name",
            of("namespace: prod", &value),
            2,
            "metadata.name: is missing",
        ),
        (
            "namespace",
            of("name: app, namespace: a.b", &value),
            2,
            "metadata.namespace: a namespace has",
        ),
        (
            "no-namespace",
            of("name: app", &value),
            2,
            "metadata.namespace: is missing",
        ),
        (
            "key",
            app(&format!("stringData: {{a/b: {CANARY}}}")),
            2,
            "a key has letters",
        ),
        (
            "dots",
            app(&format!("stringData: {{..k: {CANARY}}}")),
            2,
            "a key has letters",
        ),
        (
            "long",
            app(&format!("stringData: {{{long}: {CANARY}}}")),
            2,
            "a key has letters",
        ),
        (
            "twice",
            app(&format!("stringData: {{k: {CANARY}, j: x, k: {CANARY}}}")),
            2,
            "stringData.k: stands twice",
        ),
        (
            "data-twice",
            app(&format!("{value}\nstringData: {{j: x}}")),
            2,
            "stringData: stands twice",
        ),
        (
            "immutable",
            app(&format!("{value}\nimmutable: 1")),
            2,
            "immutable: must be true or false",
        ),
        (
            "large",
            app(&format!("stringData: {{k: {}}}", "x".repeat((1 << 20) + 1))),
            2,
            "1048577 bytes",
        ),
        // LD-04: each value grows by the size of the key; what etcd does not take is not even sealed.
        (
            "many",
            app(&format!("stringData:\n{many}")),
            23,
            "Kubernetes stores",
        ),
        (
            "no-yaml",
            format!("kind: Secret\nstringData: {{k: {CANARY}\n"),
            2,
            "no-yaml.yaml:",
        ),
        (
            "tab",
            format!("kind: Secret\nstringData:\n\tk: {CANARY}\n"),
            2,
            "tab.yaml:3:",
        ),
        ("text", CANARY.to_owned(), 2, "not a map"),
    ];
    for (name, text, ..) in &files {
        kube.scene.write(&format!("{name}.yaml"), text)?;
    }
    let names: Vec<String> = files.iter().map(|(name, ..)| format!("{name}.yaml")).collect();
    let commands: Vec<[&str; 6]> = names
        .iter()
        // For the large key, so that the limit of etcd is met.
        .map(|name| ["seal", "--cert", "new.crt", "-o", "out.yaml", name])
        .collect();
    let mut cases: Vec<Refusal> = commands
        .iter()
        .zip(&files)
        .map(|(command, (_, _, code, words))| refusal(command, *code, words))
        .collect();
    let seal = ["seal", "--cert", "new.crt"];
    let [mismatch, two, one_of_two, no_pattern] = [
        [&seal[..], &["-n", "dev", "-o", "out.yaml", "secret.yaml"]].concat(),
        [
            &seal[..],
            &["-o", "out.yaml", "secret.yaml", "./again/secret.yaml"],
        ]
        .concat(),
        [&seal[..], &["-o", "out.yaml", "secret.yaml", "number.yaml"]].concat(),
        [&seal[..], &["-o", "{place}/x", "secret.yaml"]].concat(),
    ];
    kube.scene.write("again/secret.yaml", SECRET)?;
    cases.extend([
        refusal(&mismatch, 2, "another namespace than --namespace"),
        refusal(&two, 8, "fall on one another"),
        refusal(&one_of_two, 2, "must be a text"),
        refusal(&no_pattern, 8, "--output"),
        refusal(&["seal", "--cert", "new.crt", "-i", "-"], 8, "in place"),
        refusal(&["seal", "--cluster", "eu", "secret.yaml"], 5, "no cluster eu"),
    ]);
    all_refused(&kube, &cases, 35)
}

/// JSON, too: a key twice, and what is no JSON.
#[test]
fn json_that_cannot_be_sealed() -> Result {
    let kube = Kube::new()?;
    let head = "\"kind\": \"Secret\", \"metadata\": {\"name\": \"a\", \"namespace\": \"b\"}";
    kube.scene.write(
        "twice.json",
        format!("{{{head}, \"stringData\": {{\"k\": \"{CANARY}\", \"k\": \"{CANARY}\"}}}}"),
    )?;
    kube.scene
        .write("number.json", format!("{{{head}, \"stringData\": {{\"k\": 1}}}}"))?;
    kube.scene.write(
        "torn.json",
        format!("{{{head}, \"stringData\": {{\"k\": \"{CANARY}\""),
    )?;
    kube.scene
        .write("behind.json", format!("{{{head}, \"data\": {{}}}} {CANARY}"))?;
    let seal = |file| ["seal", "--cert", "old.crt", file];
    let cases = [
        refusal(&seal("twice.json"), 2, "stands twice"),
        refusal(&seal("number.json"), 2, "must be a text"),
        refusal(&seal("torn.json"), 2, "torn.json:1:"),
        refusal(&seal("behind.json"), 2, "behind.json:1:"),
    ];
    all_refused(&kube, &cases, 4)
}

#[test]
fn keys_that_cannot_be_used() -> Result {
    let kube = Kube::new()?;
    kube.scene.write("garbage", CANARY)?;
    let locked = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    kube.scene.write("locked.key", locked)?;
    let older = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\nAAAA\n-----END RSA PRIVATE KEY-----\n";
    kube.scene.write("older.key", older)?;
    let secret = |key: &str| format!("kind: Secret\ndata: {{tls.key: {key}}}\n");
    kube.scene.write("clear.yaml", secret(CANARY))?;
    kube.scene.write("no-key.yaml", secret("aHVudGVyMg=="))?;
    kube.scene.write("other.yaml", "kind: ConfigMap\n")?;
    let ec = key_file("ec.key");
    let unseal = |key| ["unseal", "--key", key, "sealed.yaml"];
    let reseal = ["reseal", "--key", "garbage", "--cert", "new.crt", "sealed.yaml"];
    let cases = [
        refusal(&["unseal", "sealed.yaml"], 128, "no key is named"),
        refusal(
            &["reseal", "--cert", "new.crt", "sealed.yaml"],
            128,
            "no key is named",
        ),
        refusal(&unseal("none"), 100, "none: no such file"),
        refusal(&unseal("garbage"), 128, "no RSA private key"),
        refusal(&unseal("old.crt"), 128, "no RSA private key"),
        refusal(&unseal("other.yaml"), 128, "no RSA private key"),
        refusal(&unseal(&ec), 128, "not an RSA key"),
        refusal(&unseal("locked.key"), 128, "behind a passphrase"),
        refusal(&unseal("older.key"), 128, "behind a passphrase"),
        refusal(&unseal("clear.yaml"), 2, "data.tls.key: is not base64"),
        refusal(&unseal("no-key.yaml"), 128, "no RSA private key"),
        refusal(&unseal("new.key"), 128, "1 key at hand and none opens it"),
        refusal(
            &["verify", "--key", "garbage", "sealed.yaml"],
            128,
            "no RSA private key",
        ),
        refusal(
            &["edit", "--key", "garbage", "--cert", "old.crt", "sealed.yaml"],
            128,
            "no RSA private key",
        ),
        refusal(&reseal, 128, "no RSA private key"),
    ];
    all_refused(&kube, &cases, 15)
}

#[test]
fn sealed_secrets_that_cannot_be_opened_or_changed(/* CR-14 */) -> Result {
    let kube = Kube::new()?;
    let head =
        "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: app, namespace: prod}\n";
    let sealed = kube.text("sealed.yaml")?;
    let item = sealed
        .lines()
        .find_map(|line| line.trim().strip_prefix("password: "));
    let item = item.ok_or("no item")?;
    let template = "template: {data: {file: 'user={{ .user }}'}}";
    let files = [
        ("clear.yaml", format!("spec: {{encryptedData: {{k: {CANARY}}}}}")),
        ("number.yaml", "spec: {encryptedData: {k: 5432}}".to_owned()),
        ("list.yaml", format!("spec: {{encryptedData: [{CANARY}]}}")),
        (
            "cut.yaml",
            format!("spec: {{encryptedData: {{k: {}}}}}", &item[..200]),
        ),
        ("null.yaml", "spec: {encryptedData: {k: }}".to_owned()),
        ("whole.yaml", format!("spec: {{data: {CANARY}}}")),
        (
            "both.yaml",
            format!("spec: {{data: {item}, encryptedData: {{k: {item}}}}}"),
        ),
        (
            "template.yaml",
            format!("spec: {{encryptedData: {{password: {item}}}, {template}}}"),
        ),
        ("no-spec.yaml", "status: {}".to_owned()),
        (
            "alias.yaml",
            format!("x: &x {item}\nspec: {{encryptedData: {{k: *x}}}}"),
        ),
    ];
    for (name, rest) in &files {
        kube.scene.write(name, format!("{head}{rest}\n"))?;
    }
    kube.scene.write("two.yaml", format!("{sealed}---\n{sealed}"))?;
    kube.scene.write("value", CANARY)?;
    let twice = sealed.replace("    user:", "    password:");
    kube.scene.write("twice.yaml", twice)?;
    kube.scene.write(
        "scopes.yaml",
        sealed.replace("  annotations:\n", "  annotations: {a: b}\n  annotations:\n"),
    )?;
    let unseal = |file| ["unseal", "--key", "old.key", file];
    let set = |item, file| ["set", item, "--cert", "old.crt", "--value-file", "value", file];
    let reseal = |file| ["reseal", "--key", "old.key", "--cert", "new.crt", file];
    let cases = [
        refusal(&unseal("secret.yaml"), 2, "holds no SealedSecret"),
        refusal(&unseal("clear.yaml"), 25, "spec.encryptedData.k"),
        refusal(&unseal("number.yaml"), 2, "must be a text"),
        refusal(&unseal("list.yaml"), 2, "must be a map"),
        refusal(&unseal("cut.yaml"), 25, "cut off"),
        refusal(
            &unseal("twice.yaml"),
            2,
            "spec.encryptedData.password: stands twice",
        ),
        refusal(&unseal("scopes.yaml"), 2, "metadata.annotations: stands twice"),
        refusal(&unseal("null.yaml"), 25, "too short"),
        refusal(&unseal("whole.yaml"), 25, "spec.data"),
        refusal(&unseal("both.yaml"), 2, "only one of them can be"),
        refusal(
            &unseal("template.yaml"),
            2,
            "is a template that the controller renders",
        ),
        refusal(&unseal("no-spec.yaml"), 2, "spec: is missing"),
        refusal(&set("a/b", "sealed.yaml"), 91, "a key has letters"),
        refusal(&set("k", "secret.yaml"), 2, "holds no SealedSecret"),
        refusal(&set("k", "two.yaml"), 8, "several SealedSecrets"),
        refusal(&set("k", "none.yaml"), 100, "no such file"),
        refusal(&["set", "k", "--remove", "sealed.yaml"], 91, "no such item"),
        refusal(
            &[
                "set",
                "k",
                "--cert",
                "old.crt",
                "--value-file",
                "none",
                "sealed.yaml",
            ],
            100,
            "none",
        ),
        refusal(
            &[
                "set",
                "k",
                "--cert",
                "old.crt",
                "--name",
                "x",
                "--value-file",
                "value",
                "sealed.yaml",
            ],
            2,
            "none has the name x",
        ),
        // The second file cannot be changed, so the first is not.
        refusal(
            &[
                "set",
                "k",
                "--cert",
                "old.crt",
                "--value-file",
                "value",
                "sealed.yaml",
                "secret.yaml",
            ],
            2,
            "holds no SealedSecret",
        ),
        refusal(
            &["merge", "--cert", "old.crt", "sealed.yaml", "sealed.yaml"],
            2,
            "something else than a Secret",
        ),
    ];
    all_refused(&kube, &cases, 19)?;
    for file in ["both.yaml", "whole.yaml", "cut.yaml", "clear.yaml"] {
        let before = kube.files()?;
        let output = kube.run(&reseal(file))?;
        assert!(!output.success(), "{file}: {}", ended(&output));
        assert_eq!(kube.files()?, before, "{file}");
        shows_nothing(&output)?;
    }
    Ok(())
}

/// A Secret that is merged must be the one that the SealedSecret makes.
#[test]
fn secrets_that_cannot_be_merged() -> Result {
    let kube = Kube::new()?;
    let other = |of: &str, by: &str| SECRET.replace(of, by);
    kube.scene.write("name.yaml", other("name: app", "name: other"))?;
    kube.scene
        .write("namespace.yaml", other("namespace: prod", "namespace: dev"))?;
    kube.scene.write("key.yaml", other("user:", "us/er:"))?;
    kube.scene
        .write("number.yaml", other("user: c", "port: 1\n  user: c"))?;
    kube.scene.write("two.yaml", format!("{SECRET}---\n{SECRET}"))?;
    kube.scene
        .write("empty.yaml", "kind: Secret\nmetadata: {name: app}\n")?;
    let merge = |file| ["merge", "--cert", "old.crt", "sealed.yaml", file];
    let cases = [
        refusal(&merge("name.yaml"), 8, "another name than the SealedSecret"),
        refusal(
            &merge("namespace.yaml"),
            8,
            "another namespace than the SealedSecret",
        ),
        refusal(&merge("key.yaml"), 2, "a key has letters"),
        refusal(&merge("number.yaml"), 2, "must be a text"),
        refusal(&merge("two.yaml"), 2, "several Secrets"),
        refusal(&merge("empty.yaml"), 2, "no values to merge"),
    ];
    all_refused(&kube, &cases, 6)
}
