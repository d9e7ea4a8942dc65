//! A repository of three environments that is sealed for three clusters, edited, and moved to new certificates: what git
//! sees of each step is what changed, and nothing else. Files that the real kubeseal made stand among ours.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use secret::SecretBytes;
use support::peers;
use support::run::Tool;

use crate::scene::{Result, Scene};

const CLUSTERS: [&str; 3] = ["eu", "us", "ap"];
const ENVIRONMENTS: [&str; 3] = ["dev", "stage", "prod"];
const SECRETS: usize = 40;

struct Repository {
    scene: Scene,
    git: Tool,
    kubeseal: Tool,
}

impl Repository {
    fn new() -> Result<Self> {
        let clusters = CLUSTERS.map(|name| {
            format!(
                "    - name: {name}\n      certificate: certs/{name}.pem\n      path_regex: ^legacy/{name}/\n"
            )
        });
        let policy = format!(
            "seal:\n  clusters:\n{}  sealed_secrets:\n    - path_regex: ^envs/\n      clusters: [{}]\n      \
             output: clusters/{{cluster}}/{{dir}}/{{file}}\n",
            clusters.concat(),
            CLUSTERS.join(", ")
        );
        let scene = Scene::new(&policy)?;
        let git = scene.tool("git", &[])?;
        let kubeseal = scene.tool(peers::kubeseal()?, &[])?;
        fs::create_dir(scene.path("certs"))?;
        let repository = Self { scene, git, kubeseal };
        repository.certificates("old")?;
        for environment in ENVIRONMENTS {
            for number in 0..SECRETS {
                let name = format!("envs/{environment}/s{number:02}.yaml");
                repository
                    .scene
                    .write(&name, source(environment, number, "first"))?;
            }
        }
        repository.scene.write(".gitignore", "/envs/\n*.key\n")?;
        repository.git(&["init", "--quiet"])?;
        Ok(repository)
    }

    /// New keys and certificates for all clusters; the keys are `NAME-GENERATION.key`.
    fn certificates(&self, generation: &str) -> Result {
        for name in CLUSTERS {
            let certificate = format!("certs/{name}.pem");
            if self.scene.path(&certificate).exists() {
                fs::remove_file(self.scene.path(&certificate))?;
            }
            let key = format!("{name}-{generation}.key");
            let make = [
                "kube",
                "cert",
                "new",
                "--bits",
                "2048",
                "--key",
                &key,
                "--cert",
                &certificate,
            ];
            self.scene.must(&make)?;
        }
        Ok(())
    }

    fn git(&self, arguments: &[&str]) -> Result<String> {
        let name = ["-c", "user.name=Test", "-c", "user.email=test@example.com"];
        let output = self.git.run(name.iter().chain(arguments))?.expect_success()?;
        Ok(String::from_utf8(output)?)
    }

    fn commit(&self) -> Result {
        self.git(&["add", "--all"])?;
        self.git(&["commit", "--quiet", "--message", "step"]).map(drop)
    }

    /// What git sees as changed: each file with its added and removed lines.
    fn changes(&self) -> Result<Vec<(String, usize, usize)>> {
        self.git(&["add", "--all"])?;
        let text = self.git(&["diff", "--cached", "--numstat"])?;
        let change = |line: &str| {
            let mut words = line.split('\t');
            let mut number = || {
                words
                    .next()
                    .and_then(|word| word.parse().ok())
                    .unwrap_or(usize::MAX)
            };
            let (added, removed) = (number(), number());
            (words.next().unwrap_or_default().to_owned(), added, removed)
        };
        Ok(text.lines().map(change).collect())
    }

    /// Every line that git sees as added or removed.
    fn changed_lines(&self) -> Result<Vec<String>> {
        let text = self.git(&["diff", "--cached", "--unified=0"])?;
        let is_change = |line: &&str| {
            line.starts_with(['+', '-']) && !line.starts_with("+++") && !line.starts_with("---")
        };
        Ok(text
            .lines()
            .filter(is_change)
            .map(|line| line[1..].trim().to_owned())
            .collect())
    }

    fn key(&self, cluster: &str, generation: &str) -> String {
        format!("{cluster}-{generation}.key")
    }

    /// That everything of every cluster opens with these keys.
    fn expect_open(&self, generation: &str) -> Result {
        for cluster in CLUSTERS {
            let folders = [format!("clusters/{cluster}"), format!("legacy/{cluster}")];
            for folder in folders.iter().filter(|folder| self.scene.path(folder).exists()) {
                self.scene
                    .must(&["kube", "verify", "--key", &self.key(cluster, generation), folder])?;
            }
        }
        Ok(())
    }

    /// What the real kubeseal opens one file to.
    fn opened_by_kubeseal(&self, file: &str, key: &str) -> Result<serde_json::Value> {
        let words = ["--recovery-unseal", "--recovery-private-key", key];
        let sealed = self.scene.read(file)?;
        let output = self.kubeseal.run_with_input(words, &sealed)?.expect_success()?;
        Ok(serde_json::from_slice(&output)?)
    }
}

fn source(environment: &str, number: usize, value: &str) -> String {
    format!(
        "# secret {number} of {environment}\napiVersion: v1\nkind: Secret\nmetadata:\n  name: s{number:02}\n  namespace: {environment}\n\
         stringData:\n  user: user-{number}\n  password: '{value} of {environment}/{number}'\n"
    )
}

/// A file as kubeseal writes it, in which somebody wrote comments.
fn with_comments(sealed: &str) -> String {
    let commented = sealed.replace(
        "  encryptedData:\n",
        "  # do not touch\n  encryptedData: # sealed\n",
    );
    format!(
        "# made by kubeseal\n{}\n# the end\n",
        commented.trim_start_matches("---\n").trim_end()
    )
}

#[test]
fn a_repository_is_sealed_edited_and_moved_with_diffs_of_what_changed() -> Result {
    let repository = Repository::new()?;
    let scene = &repository.scene;
    let all = ENVIRONMENTS.len() * SECRETS * CLUSTERS.len();

    // One command seals everything for all clusters, a second one finds nothing to do.
    scene.must(&["."])?;
    let made = repository.changes()?;
    let sealed = made
        .iter()
        .filter(|(file, ..)| file.starts_with("clusters/"))
        .count();
    assert_eq!(sealed, all);
    assert!(!made.iter().any(|(file, ..)| file.starts_with("envs/")));
    repository.legacy()?;
    repository.commit()?;
    scene.must(&["."])?;
    assert_eq!(repository.changes()?, []);
    repository.expect_open("old")?;
    repository.same_values("old", "first of prod/7")?;

    // One item of one secret, in all clusters at once.
    let of_seven = |cluster: &str| format!("clusters/{cluster}/envs/prod/s07.yaml");
    let files = CLUSTERS.map(of_seven);
    let mut words = vec!["kube", "set", "password", "--value-stdin"];
    words.extend(files.iter().map(String::as_str));
    let output = scene.seal_with_input(&words, b"second of prod/7")?;
    assert!(output.success(), "{}", output.err());
    let expected: BTreeSet<_> = files.iter().map(|file| (file.clone(), 1, 1)).collect();
    assert_eq!(
        repository.changes()?.into_iter().collect::<BTreeSet<_>>(),
        expected
    );
    repository.same_values("old", "second of prod/7")?;
    repository.commit()?;

    // A source is edited: its three results are sealed again, and no other file.
    let later = std::time::SystemTime::now() + std::time::Duration::from_secs(5);
    scene.write("envs/dev/s03.yaml", source("dev", 3, "second"))?;
    fs::File::open(scene.path("envs/dev/s03.yaml"))?.set_modified(later)?;
    scene.must(&["."])?;
    let changed: BTreeSet<_> = repository.changes()?.into_iter().map(|(file, ..)| file).collect();
    assert_eq!(
        changed,
        CLUSTERS
            .map(|cluster| format!("clusters/{cluster}/envs/dev/s03.yaml"))
            .into()
    );
    repository.commit()?;

    repository.move_to_new_certificates()
}

impl Repository {
    /// Files that kubeseal made, with comments of their own, for each cluster.
    fn legacy(&self) -> Result {
        for cluster in CLUSTERS {
            self.scene.write("legacy.yaml", source("legacy", 99, "first"))?;
            let certificate = format!("certs/{cluster}.pem");
            let words = [
                "--cert",
                &certificate,
                "--format",
                "yaml",
                "--secret-file",
                "legacy.yaml",
            ];
            let sealed = self.kubeseal.run(words)?.expect_success()?;
            let name = format!("legacy/{cluster}/sealed.yaml");
            self.scene
                .write(&name, with_comments(&String::from_utf8(sealed)?))?;
        }
        Ok(fs::remove_file(self.scene.path("legacy.yaml"))?)
    }

    /// That the password of prod/s07 is this one, for ours and for kubeseal, in all clusters.
    fn same_values(&self, generation: &str, password: &str) -> Result {
        for cluster in CLUSTERS {
            let file = format!("clusters/{cluster}/envs/prod/s07.yaml");
            let key = self.key(cluster, generation);
            let ours = self.scene.must(&["kube", "unseal", "--key", &key, &file])?;
            assert!(String::from_utf8(ours)?.contains(&format!("password: {password}\n")));
            let theirs = self.opened_by_kubeseal(&file, &key)?;
            let encoded = theirs["data"]["password"].as_str().unwrap_or_default();
            let encoded = SecretBytes::copy_from(encoded.as_bytes());
            let decoded = sealed_secrets::decode(&encoded).ok_or("no base64")?;
            assert_eq!(decoded.expose(), password.as_bytes());
        }
        Ok(())
    }

    fn move_to_new_certificates(&self) -> Result {
        let scene = &self.scene;
        let before = self.lines()?;
        self.certificates("new")?;
        self.commit()?;
        let keys = CLUSTERS.map(|cluster| self.key(cluster, "old"));
        let mut words = vec!["kube", "reseal"];
        words.extend(keys.iter().flat_map(|key| ["--key", key]));
        words.push(".");
        let mut plan = words.clone();
        plan.push("--plan");
        scene.must(&plan)?;
        assert_eq!(self.changes()?, []);
        scene.must(&words)?;
        let changes = self.changes()?;
        assert_eq!(
            changes.len(),
            ENVIRONMENTS.len() * SECRETS * CLUSTERS.len() + CLUSTERS.len()
        );
        for (file, added, removed) in &changes {
            // Two items, and the hint where there is one.
            let lines = if file.starts_with("legacy/") { 2 } else { 3 };
            assert_eq!((*added, *removed), (lines, lines), "{file}");
        }
        for line in self.changed_lines()? {
            let is_item = [
                "user: Ag",
                "password: Ag",
                "user: AQ",
                "password: AQ",
                "sealwright.dev/sealed-with: ",
            ];
            assert!(is_item.iter().any(|start| line.starts_with(start)), "{line}");
        }
        assert_eq!(self.lines()?, before, "what is not sealed stays as it was");
        self.commit()?;
        self.expect_open("new")?;
        let (key, file) = (self.key("eu", "old"), "clusters/eu/envs/dev/s00.yaml");
        let output = scene.seal(&["kube", "unseal", "--key", &key, file])?;
        assert!(!output.success(), "the old key opens what was resealed");
        self.same_values("new", "second of prod/7")?;
        let mut again = words.clone();
        let newest = CLUSTERS.map(|cluster| self.key(cluster, "new"));
        again.extend(newest.iter().flat_map(|key| ["--key", key]));
        scene.must(&again)?;
        assert_eq!(self.changes()?, []);
        Ok(())
    }

    /// Every line of every sealed file that is no item and no hint.
    fn lines(&self) -> Result<Vec<(PathBuf, Vec<String>)>> {
        let list = self.git(&["ls-files", "-z", "clusters", "legacy"])?;
        let files = list.split('\0').filter(|name| !name.is_empty());
        let clear = |line: &&str| {
            let line = line.trim();
            !["user: A", "password: A", "sealwright.dev/"]
                .iter()
                .any(|start| line.starts_with(start))
        };
        files
            .map(|name| {
                let text = fs::read_to_string(self.scene.path(name))?;
                let lines = text.lines().filter(clear).map(str::to_owned).collect();
                Ok((Path::new(name).to_owned(), lines))
            })
            .collect()
    }
}
