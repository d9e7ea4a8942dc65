//! What seal says when something is wrong: every failure that people ask about, as they see it, in `docs/errors.txt`, where
//! a change of it is seen and reviewed.
//!
//! `SEALWRIGHT_WRITE=1 cargo test -p seal --test cli errors` writes it anew.

use std::path::Path;

use crate::scene::{EVERYTHING, Result, Scene, people};

/// Stands in every value; the one thing that no error may hold.
const VALUE: &str = "hunter2";
const PLAIN: &str = "db:\n  user: app\n  password: hunter2\nport_unencrypted: 5432\nname_unencrypted: shop\n";

/// The scene that a case begins with: `app.yaml` and `.env`, sealed for person 0 and committed by nobody.
struct Case {
    title: &'static str,
    scene: Scene,
    out: String,
}

impl Case {
    fn new(title: &'static str) -> Result<Self> {
        Self::under(title, EVERYTHING)
    }

    fn under(title: &'static str, policy: &str) -> Result<Self> {
        let scene = Scene::with_identities(policy, &[0])?;
        scene.write("app.yaml", PLAIN)?;
        Ok(Self {
            title,
            scene,
            out: String::new(),
        })
    }

    fn sealed(title: &'static str) -> Result<Self> {
        let case = Self::new(title)?;
        case.scene.must(&["-q", "app.yaml"])?;
        Ok(case)
    }

    /// Something done to `app.yaml` behind seal's back.
    fn with(self, change: impl Fn(String) -> String) -> Result<Self> {
        let text = String::from_utf8(self.scene.read("app.yaml")?)?;
        let changed = change(text.clone());
        assert_ne!(changed, text, "{}: nothing was changed", self.title);
        self.scene.write("app.yaml", changed)?;
        Ok(self)
    }

    fn file(self, name: &str, text: &str) -> Result<Self> {
        self.scene.write(name, text)?;
        Ok(self)
    }

    /// Runs seal with the identities of these people, and notes what it said.
    fn run_as(mut self, holders: &[usize], arguments: &[&str]) -> Result<Self> {
        let seal = self.scene.tool(env!("CARGO_BIN_EXE_seal"), holders)?;
        let output = seal.env("SOPS_EDITOR", "false").run(arguments)?;
        let words: Vec<String> = arguments.iter().map(|word| quoted(word)).collect();
        self.out.push_str(&format!("$ seal {}\n", words.join(" ")));
        for text in [output.out(), output.err()] {
            let text = text.replace(&*self.scene.folder().to_string_lossy(), "/repo");
            assert!(!text.contains(VALUE), "{}: a value is shown: {text}", self.title);
            self.out.push_str(&text);
        }
        let code = output.code.ok_or("it did not exit")?;
        assert_ne!(code, 0, "{}: no error: {}", self.title, output.err());
        self.out.push_str(&format!("exit code {code}\n"));
        Ok(self)
    }

    fn run(self, arguments: &[&str]) -> Result<Self> {
        self.run_as(&[0], arguments)
    }

    fn text(&self) -> String {
        format!("# {}\n{}\n", self.title, self.out)
    }
}

/// As one would type it.
fn quoted(word: &str) -> String {
    if word.contains(['[', '"', ' ', '$']) {
        format!("'{word}'")
    } else {
        word.to_owned()
    }
}

/// The first sealed value with its letters turned round.
/// An author's password, where a sealed one was.
fn clear(text: String) -> String {
    let lines = text
        .lines()
        .map(|line| match line.trim_start().starts_with("password:") {
            true => "  password: hunter2\n".to_owned(),
            false => format!("{line}\n"),
        });
    lines.collect()
}

fn damaged(text: String) -> String {
    let at = text.find("data:").unwrap_or_default() + 5;
    let turned = if text[at..].starts_with('A') { "B" } else { "A" };
    format!("{}{turned}{}", &text[..at], &text[at + 1..])
}

fn keys_and_rules() -> Result<Vec<Case>> {
    let stranger = &people()?[3].recipient;
    let no_rule = "creation_rules:\n  - path_regex: ^prod/\n    age: PERSON0\n";
    let two = "creation_rules:\n  - path_regex: .\n    encrypted_regex: ^a\n    encrypted_suffix: _b\n    age: PERSON0\n";
    let groups = "creation_rules:\n  - path_regex: .\n    shamir_threshold: 2\n    key_groups:\n      - age: [PERSON0]\n      - age: [PERSON1]\n";
    let split = Case::under("Only one of two key groups", groups)?;
    split.scene.must(&["-q", "app.yaml"])?;
    let integrity =
        "seal:\n  require_integrity: true\ncreation_rules:\n  - path_regex: .\n    age: PERSON0\n";
    let stripped = Case::under(
        "The policy asks for an integrity field, and it was taken away",
        integrity,
    )?;
    stripped.scene.must(&["-q", "app.yaml"])?;
    let without = |text: String| -> String {
        let lines = text
            .lines()
            .filter(|line| !line.trim_start().starts_with("integrity:"));
        lines.map(|line| format!("{line}\n")).collect()
    };
    Ok(vec![
        Case::sealed("No key at all")?.run_as(&[], &["decrypt", "app.yaml"])?,
        Case::sealed("The wrong key")?.run_as(&[3], &["decrypt", "app.yaml"])?,
        Case::sealed("The wrong key, and a key service that is away")?.run_as(
            &[3],
            &[
                "decrypt",
                "--keyservice",
                "unix:///run/none/keyservice.sock",
                "app.yaml",
            ],
        )?,
        Case::new("A key service that would serve everybody")?.run(&[
            "keyservice",
            "--address",
            "127.0.0.1:5000",
        ])?,
        split.run(&["decrypt", "app.yaml"])?,
        Case::under("No rule for the file", no_rule)?.run(&["encrypt", "app.yaml"])?,
        Case::under("No rule for a file that is named to the main command", no_rule)?.run(&["app.yaml"])?,
        Case::new("The policy stands in another folder")?.run(&[
            "encrypt",
            "--config",
            "none.yaml",
            "app.yaml",
        ])?,
        Case::under("A policy that is no YAML", "creation_rules:\n  - age: [PERSON0\n")?
            .run(&["check", "app.yaml"])?,
        Case::sealed("A policy with a mistyped name")?
            .file(
                ".sops.yaml",
                "creation_rules:\n  - path_regex: .\n    aeg: age1...\n",
            )?
            .run(&["updatekeys", "app.yaml"])?,
        Case::under(
            "A pattern that does not read",
            "creation_rules:\n  - path_regex: '('\n    age: PERSON0\n",
        )?
        .run(&["encrypt", "app.yaml"])?,
        Case::under("Two rules of selection", two)?.run(&["encrypt", "app.yaml"])?,
        Case::new("A recipient that does not read")?.run(&["encrypt", "--age", "age1notakey", "app.yaml"])?,
        Case::sealed("A recipient that the policy does not name")?
            .file(
                ".sops.yaml",
                &format!("creation_rules:\n  - path_regex: .\n    age: {stranger}\n"),
            )?
            .run(&["rotate", "app.yaml"])?,
        stripped.with(without)?.run(&["decrypt", "app.yaml"])?,
        Case::sealed("The last key group")?.run(&["groups", "delete", "--file", "app.yaml", "0"])?,
    ])
}

fn damage() -> Result<Vec<Case>> {
    let swapped = |text: String| text.replace("5432", "5433");
    let renamed = |text: String| text.replace("name_unencrypted", "title_unencrypted");
    let conflict = |text: String| format!("<<<<<<< HEAD\n{text}=======\n{text}>>>>>>> other\n");
    let merged = |text: String| {
        let (first, block) = text.split_once("sops:").unwrap_or_default();
        format!("{first}sops:\n    version: 3.11.0\nsops:{block}")
    };
    // What age seals is not always as long.
    let cut = |text: String| text.split("-----END").next().unwrap_or_default().to_owned();
    let typed = |text: String| text.replacen("type:str", "type:set", 1);
    let nobody = |text: String| text.replace("recipient:", "recipients:");
    Ok(vec![
        Case::sealed("A clear value was changed by hand")?
            .with(swapped)?
            .run(&["decrypt", "app.yaml"])?,
        Case::sealed("A key was renamed by hand")?
            .with(renamed)?
            .run(&["decrypt", "app.yaml"])?,
        Case::sealed("Conflict markers")?
            .with(conflict)?
            .run(&["decrypt", "app.yaml"])?
            .run(&["check", "app.yaml"])?,
        Case::sealed("A merge that kept both metadata blocks")?
            .with(merged)?
            .run(&["decrypt", "app.yaml"])?,
        Case::sealed("A damaged value")?
            .with(damaged)?
            .run(&["decrypt", "app.yaml"])?,
        Case::sealed("A value of an unknown type")?
            .with(typed)?
            .run(&["decrypt", "app.yaml"])?,
        Case::sealed("Plaintext where a sealed value is due")?
            .with(clear)?
            .run(&["decrypt", "app.yaml"])?
            .run(&["check", "app.yaml"])?
            .run_as(&[], &["app.yaml"])?,
        Case::sealed("Half a file")?
            .with(cut)?
            .run(&["decrypt", "app.yaml"])?,
        Case::sealed("Metadata without a key")?
            .with(nobody)?
            .run(&["decrypt", "app.yaml"])?,
    ])
}

fn misuse() -> Result<Vec<Case>> {
    Ok(vec![
        Case::new("A file that is not sealed")?
            .run(&["decrypt", "app.yaml"])?
            .run(&["check", "app.yaml"])?,
        Case::sealed("A file that is sealed already")?.run(&["encrypt", "app.yaml"])?,
        Case::new("No such file")?
            .run(&["decrypt", "none.yaml"])?
            .run(&["edit", "none/x.yaml"])?,
        Case::sealed("Nothing at this path")?.run(&["get", "app.yaml", "[\"db\"][\"pass\"]"])?,
        Case::sealed("A path that does not read")?.run(&["get", "app.yaml", "db.password"])?,
        Case::sealed("A value that is no JSON")?
            .file("value", "hunter2")?
            .run(&["set", "app.yaml", "[\"db\"]", "--value-file", "value"])?,
        Case::new("An empty file")?
            .file("app.yaml", "")?
            .run(&["encrypt", "app.yaml"])?,
        Case::new("A list instead of a map")?
            .file("app.yaml", "- hunter2\n")?
            .run(&["encrypt", "app.yaml"])?,
        Case::new("A key twice")?
            .file("app.yaml", "a: hunter2\nb: 1\na: 2\n")?
            .run(&["encrypt", "app.yaml"])?,
        Case::new("A tab")?
            .file("app.yaml", "a:\n\tb: hunter2\n")?
            .run(&["encrypt", "app.yaml"])?,
        Case::new("JSON with a comma missing")?
            .file("app.json", "{\"a\": \"hunter2\"\n \"b\": 1}\n")?
            .run(&["encrypt", "app.json"])?,
        Case::new("A line that is no variable")?
            .file("app.env", "A=1\nhunter2\n")?
            .run(&["encrypt", "app.env"])?,
        Case::sealed("A file that is too large")?.run(&["decrypt", "--max-size", "100", "app.yaml"])?,
        Case::sealed("Maps cannot be variables")?.run(&["exec-env", "app.yaml", "true"])?,
        Case::sealed("The editor fails")?.run(&["edit", "app.yaml"])?,
        Case::sealed("Many files cannot be printed as one")?.run(&["decrypt", "."])?,
        Case::sealed("For machines")?.run_as(&[3], &["--json", "decrypt", "app.yaml"])?,
    ])
}

fn publishing() -> Result<Vec<Case>> {
    let policy = format!(
        "{EVERYTHING}destination_rules:\n  - {{path_regex: ^app, s3_bucket: shop, s3_prefix: prod/}}\n"
    );
    let sealed = |title: &'static str| -> Result<Case> {
        let case = Case::under(title, &policy)?;
        case.scene.must(&["-q", "app.yaml"])?;
        Ok(case)
    };
    Ok(vec![
        Case::sealed("A file without a destination")?.run(&["publish", "app.yaml"])?,
        sealed("Folders are published when that is said")?.run(&["publish"])?,
        sealed("Nobody to agree to it")?.run(&["publish", "app.yaml"])?,
        sealed("No way to where it is published")?.run(&["publish", "--yes", "app.yaml"])?,
        sealed("An author's plaintext is not published")?
            .with(clear)?
            .run(&["publish", "--yes", "app.yaml"])?,
        Case::under(
            "Two destinations in one rule",
            "destination_rules:\n  - s3_bucket: shop\n    gcs_bucket: shop\n",
        )?
        .run(&["publish", "app.yaml"])?,
    ])
}

/// A Secret for SealedSecrets, and the certificate and keys of a cluster beside it.
fn kubernetes(title: &'static str, secret: &str) -> Result<Case> {
    let key = |name: &str| -> std::io::Result<String> {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../testdata/sealed-secrets/keys/");
        std::fs::read_to_string(format!("{folder}{name}"))
    };
    Case::new(title)?
        .file("secret.yaml", secret)?
        .file("eu.pem", &key("rsa-2048.crt")?)?
        .file("old.pem", &key("expired.crt")?)?
        .file("keys.pem", &key("rsa-2048.key")?)?
        .file("other.pem", &key("rsa-4096.key")?)
}

fn sealed_secrets() -> Result<Vec<Case>> {
    const SECRET: &str =
        "kind: Secret\nmetadata:\n  name: db\n  namespace: prod\nstringData:\n  password: hunter2\n";
    const SEAL: [&str; 5] = ["kube", "seal", "--cert", "eu.pem", "secret.yaml"];
    let sealed = |title| -> Result<Case> {
        let case = kubernetes(title, SECRET)?;
        let text = String::from_utf8(case.scene.must(&SEAL)?)?;
        case.file("sealed.yaml", &text)
    };
    let renamed = |title| -> Result<Case> {
        let case = sealed(title)?;
        let text = String::from_utf8(case.scene.read("sealed.yaml")?)?;
        case.file("sealed.yaml", &text.replacen("name: db", "name: shop", 1))
    };
    let of = |title, from: &str, to: &str| kubernetes(title, &SECRET.replace(from, to))?.run(&SEAL);
    Ok(vec![
        kubernetes("Nobody says for which cluster", SECRET)?.run(&["kube", "seal", "secret.yaml"])?,
        kubernetes("An old certificate", SECRET)?.run(&["kube", "seal", "--cert", "old.pem", "secret.yaml"])?,
        kubernetes("A key in the place of a certificate", SECRET)?.run(&[
            "kube", "seal", "--cert", "keys.pem", "secret.yaml",
        ])?,
        kubernetes("Another certificate than is pinned", SECRET)?.run(&[
            "kube",
            "seal",
            "--cert",
            "eu.pem",
            "--fingerprint",
            &"0".repeat(64),
            "secret.yaml",
        ])?,
        of("A Secret without a namespace", "  namespace: prod\n", "")?,
        of("A number in the place of a text", "hunter2", "5432")?,
        of("What is not encoded, under data", "stringData", "data")?,
        of("Something else than a Secret", "kind: Secret", "kind: Secrets")?,
        sealed("The keys of another cluster")?.run(&["kube", "unseal", "--key", "other.pem", "sealed.yaml"])?,
        renamed("A SealedSecret that was renamed")?
            .run(&["kube", "unseal", "--key", "keys.pem", "sealed.yaml"])?
            .run(&["kube", "verify", "--key", "keys.pem", "sealed.yaml"])?,
        kubernetes("A value in the clear in a SealedSecret", SECRET)?
            .file(
                "sealed.yaml",
                "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nmetadata: {name: db, namespace: prod}\nspec:\n  encryptedData:\n    password: hunter2\n",
            )?
            .run(&["kube", "verify", "sealed.yaml"])?,
    ])
}

#[test]
fn errors_say_what_is_there_what_is_wanted_and_what_to_do() -> Result {
    let mut text = String::from(
        "What seal says when something is wrong. Each case begins with a policy that wants app.yaml sealed for one key, which is at hand.\n\n",
    );
    let groups = [
        keys_and_rules()?,
        damage()?,
        misuse()?,
        publishing()?,
        sealed_secrets()?,
    ];
    for case in groups.into_iter().flatten() {
        text.push_str(&case.text());
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/errors.txt");
    if std::env::var_os("SEALWRIGHT_WRITE").is_some() {
        std::fs::write(&file, &text)?;
    }
    let kept = std::fs::read_to_string(&file)?;
    let differs = kept.lines().zip(text.lines()).find(|(kept, now)| kept != now);
    assert!(
        kept == text,
        "docs/errors.txt is not what seal says: {differs:#?}"
    );
    Ok(())
}
