//! `seal check` as a local hook of pre-commit, which looks at what is staged and puts everything else aside meanwhile.

use std::fs;

use support::canary::Canary;
use support::peers;
use support::run::{Output, Tool};

use super::{Sops, Stage};
use crate::scene::{Result, ended};

const POLICY: &str = "creation_rules:
  - path_regex: secret[^/]*\\.ya?ml$
    encrypted_regex: ^(data|stringData)$
    age: PERSON0
  - path_regex: \\.sealed\\.env$
    age: PERSON0
";

/// Every file of a commit is handed to the hook, whatever it is.
const CONFIG: &str = "repos:
  - repo: local
    hooks:
      - id: seal-check
        name: seal check
        language: system
        entry: seal check
";

const SECRET: &str =
    "apiVersion: v1\nkind: Secret\nmetadata:\n  name: shop\nstringData:\n  password: CANARY\n";

/// A repository that pre-commit looks after.
struct Repository {
    stage: Stage,
    git: Tool,
}

impl Repository {
    fn new() -> Result<Self> {
        let stage = Stage::new(POLICY)?;
        stage.scene.write(".pre-commit-config.yaml", CONFIG)?;
        stage.scene.write("README.md", "# Shop\n")?;
        // Nothing can be fetched: neither by git nor by pip.
        let nowhere = "http://127.0.0.1:9";
        let prepared = |program: &std::path::Path| -> Result<Tool> {
            let tool = stage.tool(program, Sops::Ours)?;
            let tool = tool.env("PRE_COMMIT_HOME", stage.scene.path("pre-commit"));
            let tool = tool.env("http_proxy", nowhere).env("https_proxy", nowhere);
            let tool = tool.env("GIT_CONFIG_GLOBAL", "/dev/null");
            let tool = tool
                .env("GIT_AUTHOR_NAME", "A")
                .env("GIT_AUTHOR_EMAIL", "a@example.org");
            Ok(tool
                .env("GIT_COMMITTER_NAME", "A")
                .env("GIT_COMMITTER_EMAIL", "a@example.org"))
        };
        let git = prepared("git".as_ref())?;
        let pre_commit = prepared(&peers::pre_commit()?)?;
        git.run(["init", "-q", "."])?.expect_success()?;
        pre_commit.run(["install"])?.expect_success()?;
        Ok(Self { stage, git })
    }

    fn add(&self, name: &str) -> Result {
        self.git.run(["add", name])?.expect_success()?;
        Ok(())
    }

    fn commit(&self) -> Result<Output> {
        Ok(self.git.run(["commit", "-q", "-m", "change"])?)
    }

    /// What a file is in the last commit.
    fn committed(&self, name: &str) -> Result<Vec<u8>> {
        Ok(self
            .git
            .run(["show", &format!("HEAD:{name}")])?
            .expect_success()?)
    }

    fn is_refused(&self, canary: &Canary, reasons: &[&str]) -> Result {
        let output = self.commit()?;
        let said = output.out() + &output.err();
        assert!(!output.success(), "{said}");
        for reason in reasons {
            assert!(said.contains(reason), "{reason}: {said}");
        }
        assert_eq!(canary.find(said.as_bytes()), None, "{said}");
        Ok(())
    }

    fn goes_through(&self) -> Result {
        let output = self.commit()?;
        assert!(output.success(), "{}: {}", ended(&output), output.out());
        Ok(())
    }
}

#[test]
fn pre_commit_lets_nothing_through_that_is_not_sealed() -> Result {
    let repository = Repository::new()?;
    let scene = &repository.stage.scene;
    for name in [".sops.yaml", ".pre-commit-config.yaml", "README.md"] {
        repository.add(name)?;
    }
    repository.goes_through()?;

    let canary = Canary::new(305);
    scene.write("k8s/secret.yaml", SECRET.replace("CANARY", canary.text()))?;
    scene.write("app.sealed.env", format!("TOKEN={}\n", canary.text()))?;
    repository.add("k8s/secret.yaml")?;
    repository.add("app.sealed.env")?;
    repository.is_refused(&canary, &["k8s/secret.yaml", "app.sealed.env"])?;

    // Sealed, but what is staged is still plaintext.
    scene.must(&["-q", "k8s/secret.yaml", "app.sealed.env"])?;
    let sealed = scene.read("k8s/secret.yaml")?;
    repository.is_refused(&canary, &["k8s/secret.yaml", "app.sealed.env"])?;
    assert!(
        scene.read("k8s/secret.yaml")? == sealed,
        "pre-commit did not put it back"
    );

    repository.add("k8s/secret.yaml")?;
    repository.is_refused(&canary, &["app.sealed.env"])?;
    repository.add("app.sealed.env")?;
    repository.goes_through()?;
    assert!(repository.committed("k8s/secret.yaml")? == sealed);
    assert_eq!(canary.find(&repository.committed("app.sealed.env")?), None);

    // One more value, in clear, in a file that is sealed.
    let more = String::from_utf8(sealed)?.replacen("stringData:\n", "stringData:\n  more: plain\n", 1);
    scene.write("k8s/secret.yaml", more)?;
    repository.add("k8s/secret.yaml")?;
    repository.is_refused(&canary, &["k8s/secret.yaml", "more"])?;

    let environments = fs::read_dir(scene.path("pre-commit"))?
        .filter_map(std::result::Result::ok)
        .filter(|entry| entry.path().is_dir());
    assert_eq!(environments.count(), 0, "pre-commit fetched something");
    Ok(())
}
