//! Where the benchmark happens: the programs, their key, and a folder that goes when the benchmark ends.

use super::input;
use super::measure::Program;
use crate::Failure;
use std::path::{Path, PathBuf};
use std::{env, fs, io};
use support::keys::Identity;
use support::peers;
use support::run::Tool;

/// How often ours runs where a run is long enough to be measured well.
pub(super) const ROUNDS: usize = 5;
/// How often both run where a run takes milliseconds.
pub(super) const SHORT_ROUNDS: usize = 51;
/// Values in a small file.
pub(super) const SMALL: usize = 10;
/// So many runs stand for a loop over all files.
pub(super) const LOOP: usize = 100;

/// Whether a part of the table is to be measured: all are, unless some are named.
pub(super) fn wanted(part: &str) -> bool {
    let named = env::var("SEALWRIGHT_BENCH_ONLY").unwrap_or_default();
    named.is_empty() || named.split(',').any(|name| name == part)
}

pub(super) struct Ground {
    pub(super) ours: Program,
    pub(super) theirs: Program,
    /// Ours, telling its peak memory.
    pub(super) ours_measured: Program,
    /// Theirs, telling its peak memory.
    pub(super) theirs_measured: Program,
    /// Ours, with no identity to open anything.
    pub(super) ours_without_key: Program,
    /// Where the peer takes minutes, only ours runs.
    pub(super) ours_only: bool,
    scale: usize,
    recipient: String,
    seal: PathBuf,
    /// Its home is the folder.
    home: Tool,
}

/// One sealed file of a folder.
pub(super) struct File {
    /// Below the ground.
    pub(super) path: String,
    /// What was sealed.
    pub(super) text: String,
}

impl Ground {
    pub(super) fn new() -> Result<Self, Failure> {
        let scale = match env::var("SEALWRIGHT_BENCH_SCALE") {
            Ok(divisor) => divisor.parse::<usize>()?.max(1),
            Err(_) => 1,
        };
        let seal = match env::var_os("SEALWRIGHT_BENCH_SEAL") {
            Some(program) => fs::canonicalize(program)?,
            None => crate::bench::seal()?,
        };
        let sops = peers::sops_3_11()?;
        let identity = Identity::from_seed(1)?;
        let home = Tool::new(&seal)?;
        let key = identity.write_for(&home)?;
        let editor = format!("sh {}", home.home().join("editor").display());
        let program =
            |path: &Path| Program::new(path, home.home()).map(|program| program.key(&key).editor(&editor));
        let measured = |path: &Path| Program::measured(path, home.home()).map(|program| program.key(&key));
        Ok(Self {
            ours: program(&seal)?,
            theirs: program(&sops)?,
            ours_measured: measured(&seal)?,
            theirs_measured: measured(&sops)?,
            ours_without_key: Program::new(&seal, home.home())?,
            ours_only: env::var_os("SEALWRIGHT_BENCH_OURS_ONLY").is_some_and(|value| value != "0"),
            scale,
            recipient: identity.recipient,
            seal,
            home,
        })
    }

    pub(super) fn print_what_is_measured(&self) {
        let cores = std::thread::available_parallelism().map_or(0, usize::from);
        println!("{} against sops 3.11.0 on {cores} cores", self.seal.display());
        if !self.ours_measured.tells_memory() {
            println!("peak memory is left out: there is no /usr/bin/time with -f and -o");
        }
        if self.scale > 1 {
            println!("inputs are divided by {}: the goals mean nothing", self.scale);
        }
    }

    /// `count`, divided by the scale.
    pub(super) fn scaled(&self, count: usize) -> usize {
        (count / self.scale).max(1)
    }

    pub(super) fn recipient(&self) -> &str {
        &self.recipient
    }

    /// Where the file `path` of the ground stands.
    pub(super) fn path(&self, path: &str) -> PathBuf {
        self.home.home().join(path)
    }

    pub(super) fn write(&self, path: &str, text: &str) -> io::Result<()> {
        let path = self.path(path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(path, text)
    }

    /// Removes a folder, if it is there.
    pub(super) fn remove(&self, folder: &str) -> io::Result<()> {
        let folder = self.path(folder);
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        Ok(())
    }

    /// Seals the file `name` into another one, makes sure that ours opens it again, and returns the sealed file's name.
    pub(super) fn seal_copy(&self, name: &str) -> Result<String, Failure> {
        let sealed = format!("sealed-{name}");
        let encrypt = ["encrypt", "--age", &self.recipient, "--output", &sealed, name];
        self.ours.output(&encrypt)?;
        same(
            name,
            &self.ours.output(&["decrypt", &sealed])?,
            &fs::read(self.path(name))?,
        )?;
        Ok(sealed)
    }

    /// Ours and theirs, with no identity to open anything.
    pub(super) fn strangers(&self) -> Result<[Program; 2], Failure> {
        let folder = self.home.home();
        Ok([
            Program::new(&self.seal, folder)?,
            Program::new(&peers::sops_3_11()?, folder)?,
        ])
    }

    /// The policy of a folder, which has the one rule `rule`.
    pub(super) fn write_policy(&self, folder: &str, rule: &str) -> io::Result<()> {
        self.write(&format!("{folder}/.sops.yaml"), &policy(rule))
    }

    /// A folder of `count` small files, a hundred in each subfolder, and the policy `rule` for them.
    pub(super) fn folder(&self, folder: &str, count: usize, rule: &str) -> Result<Vec<File>, Failure> {
        self.write_policy(folder, rule)?;
        let mut files = Vec::with_capacity(count);
        for index in 0..count {
            let path = format!("{folder}/part{:03}/f{index:05}.yaml", index / 100);
            let text = input::yaml(1_000 + index as u64, SMALL);
            self.write(&path, &text)?;
            files.push(File { path, text });
        }
        Ok(files)
    }

    /// As [`Self::folder`], sealed by `program`.
    pub(super) fn sealed_by(
        &self,
        program: &Program,
        folder: &str,
        count: usize,
        rule: &str,
    ) -> Result<Vec<File>, Failure> {
        let files = self.folder(folder, count, rule)?;
        program.output(&["--yes", "--quiet", folder])?;
        for file in &files {
            if !fs::read_to_string(self.path(&file.path))?.contains("\nsops:") {
                return Err(format!("{}: ours did not seal it", file.path).into());
            }
        }
        Ok(files)
    }

    /// A folder of `count` small files that are sealed for the age `recipients`.
    pub(super) fn sealed_folder(
        &self,
        folder: &str,
        count: usize,
        recipients: &str,
    ) -> Result<Vec<File>, Failure> {
        self.sealed_by(&self.ours, folder, count, &format!("age: {recipients}"))
    }

    /// That the file at `path` holds `text`.
    pub(super) fn expect_same(&self, path: &str, text: &str) -> Result<(), Failure> {
        let opened = fs::read(self.path(path)).map_err(|error| format!("{path}: {error}"))?;
        same(path, &opened, text.as_bytes())
    }
}

/// A policy of one rule. Without a pattern a walk would seal no new file.
fn policy(rule: &str) -> String {
    format!("creation_rules:\n  - path_regex: \\.yaml$\n    {rule}\n")
}

fn same(name: &str, opened: &[u8], plain: &[u8]) -> Result<(), Failure> {
    if opened == plain {
        Ok(())
    } else {
        Err(format!("{name}: ours did not give back what it sealed").into())
    }
}
