//! The command line of sops, case by case: `seal` called as `sops` against real sops 3.11.0.
//!
//! The cases are the lines of `testdata/command-line/cases.txt`; its head says what is compared.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use support::keys::Identity;
use support::peers;
use support::run::{Output, capture};

use crate::case_lines::{self, Case};
use crate::scene::{Result, verdict};

const CASES: &str = include_str!("../../testdata/command-line/cases.txt");
const LIMIT: Duration = Duration::from_secs(60);

#[test]
fn seal_as_sops_does_what_sops_does() -> Result {
    let fixtures = Fixtures::new()?;
    let cases = case_lines::read(CASES)?;
    let wrong = case_lines::wrong(&cases, |case, worker| fixtures.check(case, worker));
    let (differ, alone) = case_lines::differences(&cases);
    println!(
        "command line: {} cases against sops 3.11.0, {differ} of them deliberate differences; {alone} of later versions",
        cases.len() - alone
    );
    verdict(&wrong, cases.len(), 200)
}

/// Plain files and the sealed ones that sops makes of them, to be copied for every run.
struct Fixtures {
    folder: tempfile::TempDir,
    recipients: [String; 2],
}

const PLAIN: [(&str, &str); 17] = [
    (
        "p.yaml",
        "a: x\nb: 5\nm:\n    k:\n        - 1\n        - two\n# c\n",
    ),
    ("p.json", "{\n\t\"a\": \"x\",\n\t\"b\": 5\n}\n"),
    ("p.env", "a=x\nb=5\n"),
    ("p.ini", "[s]\na = x\n"),
    ("p.bin", "\0bin\n"),
    ("p2.yaml", "a_u: 1\nb: 2\nc: 3\n"),
    ("multi0.yaml", "a: 1\n---\nb: 2\n"),
    ("bool0.yaml", "t: true\nf: 1.5\nn: null\ni: 3\ns: \"a b\"\n"),
    ("empty.yaml", ""),
    ("comment.yaml", "# only\n"),
    ("list.yaml", "- a\n"),
    ("dup.json", "{\"a\":1,\"a\":2}\n"),
    ("bad.json", "{\n"),
    ("broken.yaml", "a: [\n"),
    ("val", "\"file value\"\n"),
    ("pol/other.txt", "a: x\n"),
    ("badpol/.sops.yaml", "creation_rules: [\n"),
];

const SEALED: [(&str, &str); 7] = [
    ("p.yaml", "e.yaml"),
    ("p.json", "e.json"),
    ("p.env", "e.env"),
    ("p.ini", "e.ini"),
    ("p.yaml", "e.txt"),
    ("multi0.yaml", "multi.yaml"),
    ("bool0.yaml", "bool.yaml"),
];

impl Fixtures {
    fn new() -> Result<Self> {
        let identities = [Identity::from_seed(1)?, Identity::from_seed(2)?];
        let this = Self {
            folder: tempfile::tempdir()?,
            recipients: [identities[0].recipient.clone(), identities[1].recipient.clone()],
        };
        let root = this.folder.path();
        for (bin, program) in [
            ("theirs", peers::sops_3_11()?),
            ("ours", PathBuf::from(env!("CARGO_BIN_EXE_seal"))),
        ] {
            fs::create_dir(root.join(bin))?;
            symlink(program, root.join(bin).join("sops"))?;
        }
        let files = root.join("files");
        for folder in ["pol", "badpol"] {
            fs::create_dir_all(files.join(folder))?;
        }
        for (name, text) in PLAIN {
            fs::write(files.join(name), text)?;
        }
        for (number, identity) in identities.iter().enumerate() {
            fs::write(files.join(format!("k{}", number + 1)), identity.file())?;
        }
        for (plain, sealed) in SEALED {
            let output = this.run("theirs", &files, &format!("sops encrypt --age $R1 {plain}"))?;
            fs::write(files.join(sealed), output.expect_success()?)?;
        }
        let sealed = fs::read_to_string(files.join("e.yaml"))?;
        fs::write(files.join("badval.yaml"), sealed.replacen("a: ENC", "A: ENC", 1))?;
        let changed = sealed
            .lines()
            .map(|line| if line.starts_with("b: ") { "" } else { line });
        fs::write(
            files.join("tampered.yaml"),
            changed.collect::<Vec<_>>().join("\n") + "\n",
        )?;
        for (name, copy) in [
            ("e.yaml", "pol/in.yaml"),
            ("p.yaml", "pol/in2.yaml"),
            ("e.yaml", "badpol/x.yaml"),
        ] {
            fs::copy(files.join(name), files.join(copy))?;
        }
        let [one, two] = &this.recipients;
        let rule = format!("creation_rules:\n  - path_regex: '\\.yaml$'\n    age: {one},{two}\n");
        fs::write(files.join("pol/.sops.yaml"), rule)?;
        let rule = format!("creation_rules:\n  - age: {one}\n    encrypted_regex: '^a'\n");
        fs::write(files.join("pol2.yaml"), rule)?;
        Ok(this)
    }

    /// Runs `line` in `folder` with the program of `bin` as `sops`.
    fn run(&self, bin: &str, folder: &Path, line: &str) -> io::Result<Output> {
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", line])
            .current_dir(folder)
            .env_clear()
            .env(
                "PATH",
                format!("{}:{path}", self.folder.path().join(bin).display()),
            )
            .env("HOME", folder)
            .env("R1", &self.recipients[0])
            .env("R2", &self.recipients[1])
            .env("SOPS_AGE_KEY_FILE", folder.join("k1"))
            .env("SOPS_DISABLE_VERSION_CHECK", "1");
        capture(command, b"", LIMIT)
    }

    /// Runs `line` in a fresh copy of the fixtures, always at the same place, for paths may be printed.
    fn fresh(&self, bin: &str, worker: usize, line: &str) -> io::Result<Output> {
        let folder = self.folder.path().join(format!("run{worker}"));
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        copy(&self.folder.path().join("files"), &folder)?;
        self.run(bin, &folder, line)
    }

    /// What is wrong, if anything is.
    fn check(&self, case: Case, worker: usize) -> Result<Option<String>> {
        let ours = self.fresh("ours", worker, case.line)?;
        case_lines::compare(case, &ours, || self.fresh("theirs", worker, case.line))
    }
}

/// A folder with all that is in it.
pub fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}
