//! `seal init` in the repositories of strangers: it shows all that it will write, writes nothing unasked and nothing over
//! what is there, and what is there keeps working.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use support::run::Tool;
use tempfile::TempDir;

use crate::scene::{Result, ended, people};

/// A folder without a policy, and `seal` with the identities of these people.
struct Place {
    folder: TempDir,
    seal: Tool,
}

impl Place {
    fn new(holders: &[usize]) -> Result<Self> {
        let folder = TempDir::with_prefix("sealwright-place-")?;
        let held: Vec<&str> = people_of(holders)?;
        let mut seal = Tool::new(env!("CARGO_BIN_EXE_seal"))?.dir(folder.path());
        if !held.is_empty() {
            seal = seal.env("SOPS_AGE_KEY", held.join("\n"));
        }
        Ok(Self { folder, seal })
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) -> Result {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().ok_or("no folder")?)?;
        Ok(std::fs::write(path, text)?)
    }

    fn read(&self, name: &str) -> Result<String> {
        Ok(std::fs::read_to_string(self.path(name))?)
    }

    /// Runs `seal` and returns all that it says; its exit code must be this one.
    fn seal(&self, arguments: &[&str], code: i32) -> Result<String> {
        let output = self.seal.run(arguments)?;
        if output.code != Some(code) {
            return Err(format!("seal {arguments:?}: {}\n{}", ended(&output), output.out()).into());
        }
        Ok(output.out() + &output.err())
    }

    /// Runs git; returns whether it succeeded, and what it said.
    fn git(&self, arguments: &[&str]) -> Result<(bool, String)> {
        let program = Path::new(env!("CARGO_BIN_EXE_seal"));
        let folder = program.parent().ok_or("no folder")?.display();
        let tool = Tool::new("git")?
            .dir(self.folder.path())
            .env("PATH", format!("{folder}:{}", std::env::var("PATH")?))
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_AUTHOR_NAME", "A")
            .env("GIT_AUTHOR_EMAIL", "a@example.org")
            .env("GIT_COMMITTER_NAME", "A")
            .env("GIT_COMMITTER_EMAIL", "a@example.org");
        let output = tool.run(arguments)?;
        Ok((output.success(), output.out() + &output.err()))
    }

    fn must_git(&self, arguments: &[&str]) -> Result {
        match self.git(arguments)? {
            (true, _) => Ok(()),
            (false, said) => Err(format!("git {arguments:?}: {said}").into()),
        }
    }

    /// Every file with its bytes, what is below `.git` by its hooks only.
    fn files(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let (mut found, mut folders) = (Vec::new(), vec![self.folder.path().to_owned()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder)? {
                let path = entry?.path();
                let name = path.strip_prefix(self.folder.path())?.display().to_string();
                if path.is_dir() {
                    folders.push(path);
                } else if !name.starts_with(".git/") || name.starts_with(".git/hooks") {
                    found.push((name, std::fs::read(path)?));
                }
            }
        }
        found.sort();
        Ok(found)
    }
}

fn people_of(holders: &[usize]) -> Result<Vec<&'static str>> {
    let people = people()?;
    Ok(holders
        .iter()
        .map(|&holder| people[holder].secret.as_str())
        .collect())
}

fn says(text: &str, wanted: &[&str]) -> Result {
    match wanted.iter().find(|wanted| !text.contains(**wanted)) {
        None => Ok(()),
        Some(lacking) => Err(format!("{lacking:?} is not said:\n{text}").into()),
    }
}

const SECRET: &str = "kind: Secret\nstringData:\n  a: b\n";

#[test]
fn nothing_is_written_unasked() -> Result {
    let place = Place::new(&[])?;
    place.must_git(&["init", "-q", "."])?;
    place.write("secret.yaml", SECRET)?;
    let before = place.files()?;
    let said = place.seal(&["init"], 1)?;
    says(
        &said,
        &[
            "This needs an answer",
            "No age identity was found: make one, and write these files?",
        ],
    )?;
    assert_eq!(place.files()?, before);
    assert!(!place.seal.home().join(".config").exists());
    Ok(())
}

#[test]
fn what_is_shown_is_what_is_written() -> Result {
    let place = Place::new(&[0])?;
    place.must_git(&["init", "-q", "."])?;
    place.write("secret.yaml", SECRET)?;
    let said = place.seal(&["init", "--yes"], 0)?;
    let shown = |name: &str| {
        let lines = said
            .lines()
            .skip_while(|line| *line != format!("{name}:"))
            .skip(1);
        let text: Vec<String> = lines
            .map_while(|line| Some(format!("{}\n", line.strip_prefix("    ")?)))
            .collect();
        text.concat()
    };
    assert_eq!(shown(".sops.yaml"), place.read(".sops.yaml")?);
    assert_eq!(
        shown(".git/hooks/pre-commit"),
        place.read(".git/hooks/pre-commit")?
    );
    says(
        &said,
        &[
            "with it `seal` will seal: secret.yaml",
            "wrote .sops.yaml",
            "then run `seal`",
        ],
    )?;
    assert!(place.read(".sops.yaml")?.contains(&people()?[0].recipient));
    assert!(
        !place.seal.home().join(".config").exists(),
        "there is an identity already"
    );
    says(&place.seal(&[], 0)?, &["sealed secret.yaml"])?;
    place.seal(&["check"], 0)?;
    Ok(())
}

#[test]
fn what_is_there_stays() -> Result {
    let place = Place::new(&[0])?;
    place.must_git(&["init", "-q", "."])?;
    let policy = format!(
        "creation_rules:\n  - path_regex: x$\n    age: {}\n",
        people()?[1].recipient
    );
    place.write(".sops.yaml", &policy)?;
    place.write(".git/hooks/pre-commit", "#!/bin/sh\nexit 0\n")?;
    place.write("sub/file", "")?;
    let before = place.files()?;
    for folder in [".", "sub"] {
        let said = place.seal(&["init", "--yes", folder], 0)?;
        says(
            &said,
            &[
                "/.sops.yaml, the policy of this folder",
                "pre-commit, which looks after git hooks",
                "nothing to write",
            ],
        )?;
        assert_eq!(place.files()?, before);
    }
    // A second run finds what the first wrote.
    std::fs::remove_file(place.path(".git/hooks/pre-commit"))?;
    says(
        &place.seal(&["init", "--yes"], 0)?,
        &["wrote .git/hooks/pre-commit"],
    )?;
    let before = place.files()?;
    says(&place.seal(&["init", "--yes"], 0)?, &["nothing to write"])?;
    assert_eq!(place.files()?, before);
    // One that does not read is no reason for another.
    place.write(".sops.yaml", "creation_rules: 7\n")?;
    place.seal(&["init", "--yes"], 5)?;
    assert_eq!(place.read(".sops.yaml")?, "creation_rules: 7\n");
    Ok(())
}

#[test]
fn an_identity_is_made_only_if_there_is_none() -> Result {
    let place = Place::new(&[])?;
    let said = place.seal(&["init", "--yes"], 0)?;
    let file = place.seal.home().join(".config/sops/age/keys.txt");
    says(&said, &["keys.txt: a new age identity", "keep a copy of it"])?;
    assert!(!said.contains("AGE-SECRET-KEY"));
    assert_eq!(std::fs::metadata(&file)?.permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&file)?;
    let recipient = text
        .lines()
        .find_map(|line| line.strip_prefix("# public key: "))
        .ok_or("no recipient")?;
    assert!(place.read(".sops.yaml")?.contains(&format!("age: {recipient}\n")));
    // It is there now.
    std::fs::remove_file(place.path(".sops.yaml"))?;
    place.seal(&["init", "--yes"], 0)?;
    assert_eq!(std::fs::read_to_string(&file)?, text);
    // What cannot be read may be one.
    std::fs::remove_file(place.path(".sops.yaml"))?;
    std::fs::write(&file, "no identity")?;
    says(&place.seal(&["init", "--yes"], 2)?, &["an identity may be here"])?;
    assert!(!place.path(".sops.yaml").exists());
    assert_eq!(std::fs::read_to_string(&file)?, "no identity");
    Ok(())
}

#[test]
fn sealed_files_keep_their_recipients() -> Result {
    let place = Place::new(&[0])?;
    let people = people()?;
    for (name, person) in [("a.yaml", 0), ("b (1).yaml", 0), ("prod/c.yaml", 1)] {
        place.write(name, "x: 1\n")?;
        place.seal(&["encrypt", "-i", "--age", &people[person].recipient, name], 0)?;
    }
    let groups = format!(
        "creation_rules:\n  - shamir_threshold: 2\n    encrypted_regex: ^x\n    key_groups:\n      - age: [{}]\n      - age: [{}]\n      - age: [{}]\n",
        people[0].recipient, people[1].recipient, people[2].recipient
    );
    place.write("other", &groups)?;
    place.write("g.json", "{\"x\": 1}\n")?;
    place.seal(&["encrypt", "-i", "--config", "other", "g.json"], 0)?;
    let said = place.seal(&["init", "--yes"], 0)?;
    says(
        &said,
        &[
            "new files get the recipients that most",
            "found here: SOPS",
            "sealed already: a.yaml, b (1).yaml",
        ],
    )?;
    let policy = place.read(".sops.yaml")?;
    says(
        &policy,
        &[
            "path_regex: ^(a\\.yaml|b \\(1\\)\\.yaml)$",
            "path_regex: ^prod/c\\.yaml$",
            "shamir_threshold: 2",
        ],
    )?;
    says(&place.seal(&["check"], 0)?, &["4 files, 4 sealed, 0 problems"])?;
    for name in ["a.yaml", "b (1).yaml", "g.json"] {
        let said = place.seal(&["explain", name], if name == "g.json" { 128 } else { 0 })?;
        says(&said, &["its recipients are those of the file"])?;
        assert!(!said.contains("which is another one"), "{said}");
    }
    // sops understands the policy the same way.
    let sops = Tool::new(support::peers::sops_3_11()?)?.dir(place.folder.path());
    place.write("plain.yaml", "x: 1\n")?;
    for (name, recipients) in [
        ("prod/c.yaml", &people[1..2]),
        ("g.json", &people[..3]),
        ("x.enc.yaml", &people[..1]),
    ] {
        let arguments = [
            "encrypt",
            "--input-type",
            "yaml",
            "--output-type",
            "yaml",
            "--filename-override",
            name,
            "plain.yaml",
        ];
        let sealed = String::from_utf8(sops.run(arguments)?.expect_success()?)?;
        assert_eq!(
            sealed.matches("recipient: age1").count(),
            recipients.len(),
            "{sealed}"
        );
        assert!(
            recipients.iter().all(|person| sealed.contains(&person.recipient)),
            "{name}"
        );
    }
    // New files get the recipients of most.
    place.write("new.enc.yaml", "x: 1\n")?;
    place.seal(&[], 0)?;
    assert!(place.read("new.enc.yaml")?.contains(&people[0].recipient));
    Ok(())
}

#[test]
fn a_newcomer_is_told_who_can_let_them_in() -> Result {
    let place = Place::new(&[])?;
    place.write("a.yaml", "x: 1\n")?;
    place.seal(&["encrypt", "-i", "--age", &people()?[0].recipient, "a.yaml"], 0)?;
    let said = place.seal(&["init", "--yes"], 0)?;
    says(
        &said,
        &["does not open with the new identity", "runs `seal updatekeys`"],
    )?;
    assert!(place.read(".sops.yaml")?.contains(&people()?[0].recipient));
    Ok(())
}

#[test]
fn other_tools_are_found_and_left_alone() -> Result {
    let place = Place::new(&[0])?;
    let external =
        "apiVersion: external-secrets.io/v1\nkind: ExternalSecret\nspec:\n  data:\n    - secretKey: a\n";
    let bitnami =
        "apiVersion: bitnami.com/v1alpha1\nkind: SealedSecret\nspec:\n  template:\n    data:\n      a: b\n";
    place.write("apps/external-secret.yaml", external)?;
    place.write("apps/db-secret.yaml", external)?;
    place.write("apps/sealedsecret.yaml", bitnami)?;
    place.write(
        "flux.yaml",
        "apiVersion: kustomize.toolkit.fluxcd.io/v1\nkind: Kustomization\n",
    )?;
    place.write(
        "argo.yaml",
        "apiVersion: argoproj.io/v1alpha1\nkind: Application\n",
    )?;
    place.write("kustomization.yaml", "resources: []\n")?;
    place.write("chart/Chart.yaml", "name: x\n")?;
    place.write("chart/secrets.yaml", "db:\n  password: x\n")?;
    place.write("apps/credentials.yaml", SECRET)?;
    let said = place.seal(&["init", "--yes"], 0)?;
    says(
        &said,
        &[
            "found here: Argo CD, External Secrets, Flux, Helm, Sealed Secrets, kustomize",
            "with it `seal` will seal: chart/secrets.yaml\n",
            "Secrets in clear that no rule of it names: apps/credentials.yaml\n",
        ],
    )?;
    let said = place.seal(&[], 0)?;
    says(&said, &["sealed chart/secrets.yaml (new)"])?;
    assert_eq!(place.read("apps/external-secret.yaml")?, external);
    assert_eq!(place.read("apps/db-secret.yaml")?, external);
    assert_eq!(place.read("apps/sealedsecret.yaml")?, bitnami);
    assert!(!place.read("chart/secrets.yaml")?.contains("password: x"));
    says(&place.seal(&["check"], 0)?, &["0 problems"])
}

#[test]
fn the_hook_keeps_plaintext_out() -> Result {
    let place = Place::new(&[0])?;
    place.must_git(&["init", "-q", "."])?;
    place.seal(&["init", "--yes"], 0)?;
    place.write("README.md", "the sops block has lastmodified\n")?;
    place.must_git(&["add", "."])?;
    place.must_git(&["commit", "-q", "-m", "begin"])?;
    place.write("my secret.yaml", SECRET)?;
    place.must_git(&["add", "."])?;
    let (done, said) = place.git(&["commit", "-q", "-m", "plain"])?;
    assert!(!done);
    says(
        &said,
        &["stringData.a: plaintext stands where a sealed value is due"],
    )?;
    // Sealed too late: what would be committed is what was staged.
    place.seal(&[], 0)?;
    let (done, said) = place.git(&["commit", "-q", "-m", "staged in clear"])?;
    assert!(!done);
    says(&said, &["my secret.yaml: what is staged is not the sealed file"])?;
    place.must_git(&["add", "."])?;
    place.must_git(&["commit", "-q", "-m", "sealed"])
}

#[test]
fn hooks_that_others_look_after_stay_theirs() -> Result {
    for (name, text) in [
        (".husky/pre-commit", "x"),
        (".pre-commit-config.yaml", "repos: []\n"),
        ("lefthook.yml", "a: 1\n"),
    ] {
        let place = Place::new(&[0])?;
        place.must_git(&["init", "-q", "."])?;
        place.write(name, text)?;
        let said = place.seal(&["init", "--yes"], 0)?;
        says(
            &said,
            &["which looks after git hooks", "let your hooks run `seal check`"],
        )?;
        assert!(!place.path(".git/hooks/pre-commit").exists(), "{name}");
        assert_eq!(place.read(name)?, text);
    }
    let place = Place::new(&[0])?;
    place.must_git(&["init", "-q", "."])?;
    place.must_git(&["config", "core.hooksPath", "elsewhere"])?;
    says(
        &place.seal(&["init", "--yes"], 0)?,
        &["config, which looks after git hooks"],
    )?;
    assert!(!place.path(".git/hooks/pre-commit").exists());
    Ok(())
}

#[test]
fn machines_are_shown_it_too() -> Result {
    let place = Place::new(&[0])?;
    place.seal(&["init", "--json"], 1)?;
    assert!(!place.path(".sops.yaml").exists());
    let output = place.seal.run(["init", "--json", "--yes"])?.expect_success()?;
    let lines: Vec<serde_json::Value> = String::from_utf8(output)?
        .lines()
        .map(serde_json::from_str)
        .collect::<std::result::Result<_, _>>()?;
    assert_eq!(lines[1]["will_write"][0]["text"], place.read(".sops.yaml")?);
    assert_eq!(lines[2]["action"], "wrote");
    Ok(())
}
