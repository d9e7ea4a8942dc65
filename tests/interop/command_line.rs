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

use crate::scene::{Result, verdict};

const CASES: &str = include_str!("../../testdata/command-line/cases.txt");
const LIMIT: Duration = Duration::from_secs(60);

/// What must be equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Compared {
    Bytes,
    Yaml,
    Code,
    /// Nothing: they differ, and our exit code is this one.
    Differs(i32),
    /// Sops is not asked: our exit code is this one.
    Ours(i32),
}

/// A case, with its line in the file.
#[derive(Clone, Copy, Debug)]
struct Case {
    number: usize,
    compared: Compared,
    line: &'static str,
}

#[test]
fn seal_as_sops_does_what_sops_does() -> Result {
    let fixtures = Fixtures::new()?;
    let cases = cases()?;
    let next = std::sync::atomic::AtomicUsize::new(0);
    let wrong = std::sync::Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for worker in 0..2 {
            let (fixtures, cases, next, wrong) = (&fixtures, &cases, &next, &wrong);
            scope.spawn(move || {
                while let Some(case) = cases.get(next.fetch_add(1, std::sync::atomic::Ordering::Relaxed)) {
                    let found = match fixtures.check(*case, worker) {
                        Ok(None) => continue,
                        Ok(Some(found)) => found,
                        Err(error) => error.to_string(),
                    };
                    let mut wrong = wrong.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                    wrong.push(format!("line {}: {}\n    {found}", case.number, case.line));
                }
            });
        }
    });
    let against = |kind: fn(&Case) -> bool| cases.iter().filter(|case| kind(case)).count();
    let (differ, alone) = (
        against(|case| matches!(case.compared, Compared::Differs(_))),
        against(|case| matches!(case.compared, Compared::Ours(_))),
    );
    println!(
        "command line: {} cases against sops 3.11.0, {differ} of them deliberate differences; {alone} of later versions",
        cases.len() - alone
    );
    let wrong = wrong
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    verdict(&wrong, cases.len(), 200)
}

fn cases() -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    for (index, text) in CASES.lines().enumerate() {
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        let (compared, line) = text
            .split_once(" | ")
            .ok_or_else(|| format!("line {}: no bar", index + 1))?;
        let compared = match compared.split_once(' ') {
            Some(("ours", code)) => Compared::Differs(code.parse()?),
            Some(("spec", code)) => Compared::Ours(code.parse()?),
            None if compared == "same" => Compared::Bytes,
            None if compared == "yaml" => Compared::Yaml,
            None if compared == "code" => Compared::Code,
            _ => return Err(format!("line {}: {compared}?", index + 1).into()),
        };
        cases.push(Case {
            number: index + 1,
            compared,
            line,
        });
    }
    Ok(cases)
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
        if ours.code == Some(101) || ours.err().contains("panicked") {
            return Ok(Some(format!("ours panicked: {}", ours.err())));
        }
        if let Compared::Ours(code) = case.compared {
            let wrong = ours.code != Some(code);
            return Ok(wrong.then(|| format!("ours ended with {:?}: {}", ours.code, ours.err())));
        }
        let theirs = self.fresh("theirs", worker, case.line)?;
        let codes = ours.code == theirs.code;
        let fine = match case.compared {
            Compared::Bytes => codes && ours.out() == theirs.out(),
            Compared::Yaml => codes && yaml(&ours.out())? == yaml(&theirs.out())?,
            Compared::Code => codes,
            Compared::Differs(code) => ours.code == Some(code) && !(codes && ours.out() == theirs.out()),
            Compared::Ours(_) => true,
        };
        let shown = |output: &Output| format!("{:?} {:?} {:?}", output.code, output.out(), output.err());
        Ok((!fine).then(|| format!("sops: {}\n    ours: {}", shown(&theirs), shown(&ours))))
    }
}

fn yaml(text: &str) -> Result<serde_yaml::Value> {
    Ok(serde_yaml::from_str(text)?)
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
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
