//! A folder with a policy, the identities of the people in it, and the programs that work there.
//!
//! Three people hold keys: 0, 1 and 2. A program is given identities 0 and 2 unless a test says otherwise, so that two
//! key groups of three can be opened but never all of them by accident.

use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use support::keys::Identity;
use support::run::{Output, Tool};
use tempfile::TempDir;

/// What a test returns: its first error, with everything that is worth knowing in the text.
pub type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// The policy of most tests: every file is sealed for person 0.
pub const EVERYTHING: &str = "creation_rules:\n  - path_regex: .\n    age: PERSON0\n";

/// The people: 0, 1 and 2 stand in policies, 3 is a stranger.
pub fn people() -> Result<&'static [Identity]> {
    static PEOPLE: OnceLock<std::result::Result<Vec<Identity>, String>> = OnceLock::new();
    PEOPLE
        .get_or_init(|| {
            (0..4)
                .map(|seed| Identity::from_seed(4_000 + seed).map_err(|error| error.to_string()))
                .collect()
        })
        .as_deref()
        .map_err(|error| error.as_str().into())
}

/// One folder and the program `seal` in it.
pub struct Scene {
    folder: TempDir,
    seal: Tool,
}

impl Scene {
    /// A folder with `policy` as its `.sops.yaml`; `PERSON0` to `PERSON2` in it become recipients.
    pub fn new(policy: &str) -> Result<Self> {
        Self::with_identities(policy, &[0, 2])
    }

    /// The same, and `seal` holds the identities of these people.
    pub fn with_identities(policy: &str, holders: &[usize]) -> Result<Self> {
        let folder = TempDir::with_prefix("sealwright-scene-")?;
        let seal = tool(env!("CARGO_BIN_EXE_seal"), folder.path(), holders)?;
        let scene = Self { folder, seal };
        scene.policy(policy)?;
        Ok(scene)
    }

    /// Another policy.
    pub fn policy(&self, policy: &str) -> Result {
        let mut text = policy.to_owned();
        for (number, person) in people()?.iter().enumerate() {
            text = text.replace(&format!("PERSON{number}"), &person.recipient);
        }
        Ok(self.write(".sops.yaml", text)?)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, with the folders above it.
    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        let path = self.path(name);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, bytes)
    }

    /// A file's bytes.
    pub fn read(&self, name: &str) -> io::Result<Vec<u8>> {
        std::fs::read(self.path(name))
    }

    /// Runs `seal` in the folder.
    pub fn seal(&self, arguments: &[&str]) -> io::Result<Output> {
        self.seal.run(arguments)
    }

    /// Runs `seal` in the folder with `input` on its standard input.
    pub fn seal_with_input(&self, arguments: &[&str], input: &[u8]) -> io::Result<Output> {
        self.seal.run_with_input(arguments, input)
    }

    /// Runs `seal`, which must succeed, and returns what it printed.
    pub fn must(&self, arguments: &[&str]) -> Result<Vec<u8>> {
        let output = self.seal(arguments)?;
        if output.success() {
            return Ok(output.stdout);
        }
        Err(format!("seal {}: {}", arguments.join(" "), ended(&output)).into())
    }

    /// Another program in this folder, with the identities of these people.
    pub fn tool(&self, program: impl Into<PathBuf>, holders: &[usize]) -> Result<Tool> {
        tool(program, self.folder.path(), holders)
    }
}

/// How a program ended, on one line.
pub fn ended(output: &Output) -> String {
    let how = match (output.code, output.signal) {
        (Some(code), _) => format!("exit code {code}"),
        (None, signal) => format!("signal {}", signal.unwrap_or_default()),
    };
    format!("{how}: {}", output.err().trim_end().replace('\n', " | "))
}

/// Fails with all of `wrong` (the first twenty in words), or with too few cases `done`.
pub fn verdict(wrong: &[String], done: usize, at_least: usize) -> Result {
    if done < at_least {
        return Err(format!("only {done} cases of {at_least} were looked at: {wrong:#?}").into());
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let shown = wrong.iter().take(20).cloned().collect::<Vec<_>>().join("\n");
    Err(format!("{} of {done} cases are wrong:\n{shown}", wrong.len()).into())
}

fn tool(program: impl Into<PathBuf>, folder: &Path, holders: &[usize]) -> Result<Tool> {
    let people = people()?;
    let held: Vec<&str> = holders
        .iter()
        .map(|&holder| people[holder].secret.as_str())
        .collect();
    let tool = Tool::new(program)?.dir(folder);
    Ok(if held.is_empty() {
        tool
    } else {
        tool.env("SOPS_AGE_KEY", held.join("\n"))
    })
}
