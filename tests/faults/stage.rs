//! The scene of one injection: a folder that only the program under test writes to, and what is found in it after.

use std::fs;
use std::io;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use support::canary::Canary;
use support::run::{Output, Tool};
use tempfile::TempDir;

use crate::cases::{Around, Case, Command, Kind};
use crate::scene::{EVERYTHING, Result, Scene, ended, people};

/// What a killed run left.
const LEFT_OVER: &str = ".seal-tmp-0123456789abcdef0123456789abcdef";
/// The permissions of every file, which must stay.
const MODE: u32 = 0o640;

/// What a file is after a fault: nothing else is possible.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum State {
    Old,
    New,
}

/// A file that the command changes.
struct Target {
    /// Where it really stands, below the folder.
    path: PathBuf,
    old: Vec<u8>,
    /// The plaintext after the command, and who the file is sealed for.
    after: (Vec<u8>, Vec<String>),
}

/// The folder, and what belongs in it.
pub struct Stage {
    case: Case,
    scene: Scene,
    canary: Canary,
    targets: Vec<Target>,
    /// In memory, for what an editor is given.
    memory: TempDir,
    /// A recipient that a command may name.
    other: String,
}

/// Two groups, of which a file under the policy afterwards has one.
const GROUPS: &str = "creation_rules:\n  - path_regex: .\n    shamir_threshold: 2\n    key_groups:\n      \
                      - age: [PERSON0]\n      - age: [PERSON1]\n";
/// One recipient more than before.
const MORE: &str = "creation_rules:\n  - path_regex: .\n    age: PERSON0,PERSON1\n";

impl Stage {
    /// Sets the scene and lets the command run once without a fault, which tells what it makes of the files.
    pub fn new(case: Case) -> Result<Self> {
        let scene = Scene::with_identities(
            match case.command {
                Command::GroupsDelete => GROUPS,
                _ => EVERYTHING,
            },
            &[0, 1],
        )?;
        let canary = Canary::new(80);
        fs::create_dir_all(scene.path("home/tmp"))?;
        scene.write("value", "\"new\"")?;
        let mut targets = Vec::new();
        for (number, kind) in case.kinds().into_iter().enumerate() {
            let plain = kind.plain(case.values, &canary);
            let name = format!("file.{}", kind.ending());
            scene.write(&name, &plain)?;
            if case.command.needs_sealed() {
                scene.must(&["encrypt", "-i", &name])?;
            }
            targets.push(Target {
                path: place(&case, kind, number),
                old: scene.read(&name)?,
                after: (plain, Vec::new()),
            });
            fs::remove_file(scene.path(&name))?;
        }
        if case.command == Command::UpdateKeys {
            scene.policy(MORE)?;
        }
        let mut stage = Self {
            case,
            scene,
            canary,
            targets,
            memory: TempDir::with_prefix_in("sealwright-fault-", "/dev/shm")?,
            other: people()?[1].recipient.clone(),
        };
        stage.learn()?;
        Ok(stage)
    }

    /// The folder.
    pub fn folder(&self) -> PathBuf {
        self.scene.path("work")
    }

    /// Takes down the plaintext after a run without a fault.
    fn learn(&mut self) -> Result {
        let (tool, arguments) = self.prepare()?;
        let output = tool.run(arguments)?;
        let writable = self.case.around != Around::ReadOnly;
        if output.success() != writable {
            return Err(format!("{:?} without a fault: {}", self.case, ended(&output)).into());
        }
        if !writable {
            self.make_writable()?;
            self.tool()?.run(self.arguments())?.expect_success()?;
        }
        for number in 0..self.targets.len() {
            let after = self.opened(&self.folder().join(&self.targets[number].path))?;
            let target = &mut self.targets[number];
            let changed = after.0 != target.after.0;
            if changed != self.case.command.changes() {
                return Err(format!("{:?}: the plaintext changed: {changed}", self.case).into());
            }
            target.after = after;
        }
        Ok(())
    }

    /// Sets the scene again. The program stands outside the folder, so that only its own files' calls name it.
    pub fn prepare(&self) -> io::Result<(Tool, Vec<std::ffi::OsString>)> {
        let folder = self.folder();
        if folder.exists() {
            self.make_writable()?;
            fs::remove_dir_all(&folder)?;
        }
        for target in &self.targets {
            let path = folder.join(&target.path);
            fs::create_dir_all(path.parent().unwrap_or(&folder))?;
            fs::write(&path, &target.old)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(MODE))?;
        }
        match self.case.around {
            Around::Link => symlink(&self.targets[0].path, self.named())?,
            Around::HardLink => fs::hard_link(self.named(), folder.join("other name"))?,
            Around::LeftOver => fs::write(folder.join(LEFT_OVER), "left")?,
            Around::ReadOnly => fs::set_permissions(&folder, fs::Permissions::from_mode(0o555))?,
            Around::Nothing | Around::Tree => {}
        }
        Ok((self.tool()?, self.arguments()))
    }

    fn tool(&self) -> io::Result<Tool> {
        let home = self.scene.path("home");
        let tool = self.scene.tool(env!("CARGO_BIN_EXE_seal"), &[0, 1]);
        let tool = tool.map_err(io::Error::other)?;
        let tool = tool
            .env("XDG_RUNTIME_DIR", self.memory.path())
            .env("EDITOR", self.case.editor());
        Ok(tool.env("TMPDIR", home.join("tmp")).env("HOME", &home).dir(home))
    }

    fn arguments(&self) -> Vec<std::ffi::OsString> {
        let (before, after) = self.case.arguments();
        let value = self.scene.path("value");
        let mut arguments: Vec<std::ffi::OsString> = before.iter().map(Into::into).collect();
        arguments.push(self.named().into());
        arguments.extend(after.into_iter().map(|argument| match argument {
            "VALUE" => value.clone().into_os_string(),
            "OTHER" => self.other.clone().into(),
            other => other.into(),
        }));
        arguments
    }

    /// The path that the command is given.
    fn named(&self) -> PathBuf {
        match self.case.around {
            Around::Tree => self.folder(),
            _ => self.folder().join(format!("file.{}", self.case.kind.ending())),
        }
    }

    fn make_writable(&self) -> io::Result<()> {
        fs::set_permissions(self.folder(), fs::Permissions::from_mode(0o755))
    }

    /// What each file is after a run, which must not have panicked.
    pub fn states(&self, output: &Output) -> io::Result<Vec<State>> {
        if output.code == Some(101) || output.err().contains("panicked") {
            return Err(io::Error::other(format!("a panic: {}", ended(output))));
        }
        self.found()
    }

    /// What each file is now. Everything else must be as it was, but for what the next run cleans.
    pub fn found(&self) -> io::Result<Vec<State>> {
        let wrong = |text: String| Err(io::Error::other(text));
        let states: Vec<State> = self
            .targets
            .iter()
            .map(|target| self.state(target))
            .collect::<io::Result<_>>()?;
        match self.case.around {
            Around::Link if fs::read_link(self.named())? != self.targets[0].path => {
                return wrong("the link leads elsewhere".to_owned());
            }
            Around::HardLink if fs::read(self.folder().join("other name"))? != self.targets[0].old => {
                return wrong("the other name has other content".to_owned());
            }
            _ => {}
        }
        for path in self.left_over()? {
            if self.case.command.seals() && self.canary.find(&fs::read(&path)?).is_some() {
                return wrong(format!("{} holds plaintext", path.display()));
            }
            // It may hold what the file was to hold: nobody may read it who may not read the file.
            if mode(&path)? & !MODE != 0 && !path.ends_with(LEFT_OVER) {
                return wrong(format!("{} is open to more people", path.display()));
            }
        }
        self.notes()?;
        Ok(states)
    }

    fn state(&self, target: &Target) -> io::Result<State> {
        let path = self.folder().join(&target.path);
        let bytes = fs::read(&path)?;
        if mode(&path)? != MODE {
            return Err(io::Error::other(format!(
                "the permissions are {:o}",
                mode(&path)?
            )));
        }
        if bytes == target.old {
            return Ok(State::Old);
        }
        if self.case.command.seals() && self.canary.find(&bytes).is_some() {
            return Err(io::Error::other("the new file holds plaintext"));
        }
        if self.opened(&path)? == target.after {
            Ok(State::New)
        } else {
            let text = format!("neither the old file nor the new one: {} bytes", bytes.len());
            Err(io::Error::other(text))
        }
    }

    /// The plaintext of a file after the command, and for whom it is sealed, in the order of the file.
    fn opened(&self, path: &Path) -> io::Result<(Vec<u8>, Vec<String>)> {
        let bytes = fs::read(path)?;
        if !self.case.command.seals() {
            return Ok((bytes, Vec::new()));
        }
        let output = self.tool()?.run(["decrypt".as_ref(), path])?;
        if output.success() {
            Ok((output.stdout, recipients(&bytes)))
        } else {
            Err(io::Error::other(format!(
                "the new file does not open: {}",
                ended(&output)
            )))
        }
    }

    /// The folder that an editor was given, if it is still there. Nobody else may look into it.
    pub fn in_memory(&self) -> io::Result<Option<PathBuf>> {
        let mut left = None;
        for entry in fs::read_dir(self.memory.path())? {
            let path = entry?.path();
            if mode(&path)? != 0o700 {
                return Err(io::Error::other(format!("{} is open to others", path.display())));
            }
            left = Some(path);
        }
        Ok(left)
    }

    /// What stands in the folder and does not belong there: nothing but temporary files of ours.
    pub fn left_over(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        files(&self.folder(), &mut found)?;
        let known = |path: &PathBuf| {
            let below = path.strip_prefix(self.folder()).unwrap_or(path);
            *path == self.named()
                || below == Path::new("other name")
                || self.targets.iter().any(|target| target.path == below)
        };
        found.retain(|path| !known(path));
        for path in &found {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let digits = name.strip_prefix(".seal-tmp-").unwrap_or_default();
            if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(io::Error::other(format!(
                    "{} is not to be cleaned by anyone",
                    path.display()
                )));
            }
        }
        Ok(found)
    }

    /// The notes on how far a rotation of many files got, which stay when it is broken off. Nothing else is in the home
    /// folder.
    fn notes(&self) -> io::Result<Vec<PathBuf>> {
        let mut found = Vec::new();
        files(&self.scene.path("home"), &mut found)?;
        for path in &found {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            let is_hash = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
            let may_be = self.case.command == Command::Rotate && self.case.around == Around::Tree;
            let place = self.scene.path("home/.local/state/sealwright");
            let fits = fs::metadata(path)?.len() <= 32 * self.targets.len() as u64 && mode(path)? == 0o600;
            if !(is_hash && may_be && fits && path.parent() == Some(&place)) {
                return Err(io::Error::other(format!("left in the home folder: {found:?}")));
            }
        }
        Ok(found)
    }

    /// Runs the command again, without a fault, if anything changed: now every file is new, and nothing is left over.
    pub fn rerun(&self) -> io::Result<()> {
        let before = self
            .targets
            .iter()
            .map(|target| self.state(target))
            .collect::<io::Result<Vec<_>>>()?;
        let nothing_left =
            self.left_over()?.is_empty() && self.in_memory()?.is_none() && self.notes()?.is_empty();
        let as_prepared = !before.contains(&State::New) && nothing_left;
        if as_prepared && self.case.around != Around::LeftOver {
            // Nothing changed: the run without a fault showed what comes next.
            return Ok(());
        }
        let done = before == [State::New];
        if done && self.case.command == Command::Encrypt && self.case.kind == Kind::Binary {
            // As with SOPS, whatever a binary file holds can be sealed: also a sealed file.
            return Ok(());
        }
        if done && self.case.command.adds() {
            return Ok(());
        }
        if self.case.around == Around::ReadOnly {
            self.make_writable()?;
        }
        let output = self.tool()?.run(self.arguments())?;
        let expected = if done {
            self.case.command.again(self.case.kind)
        } else {
            0
        };
        if output.code != Some(expected) && output.code != Some(0) {
            return Err(io::Error::other(format!("the next run: {}", ended(&output))));
        }
        let states = self.states(&output)?;
        if states.contains(&State::Old) {
            return Err(io::Error::other("the next run left an old file"));
        }
        if self.in_memory()?.is_some() {
            return Err(io::Error::other("the next run left plaintext in memory"));
        }
        let mut left = self.left_over()?;
        left.extend(self.notes()?);
        if done {
            // It had nothing to write, and so nothing to clean but its own.
            left.retain(|path| !path.ends_with(LEFT_OVER));
        }
        if left.is_empty() {
            Ok(())
        } else {
            Err(io::Error::other(format!("the next run left {left:?}")))
        }
    }
}

fn place(case: &Case, kind: Kind, number: usize) -> PathBuf {
    let name = format!("file.{}", kind.ending());
    match case.around {
        Around::Link => Path::new("behind").join(format!("real.{}", kind.ending())),
        // Two in the uppermost folder, two in one below it, one below that.
        Around::Tree => Path::new(["", "", "a", "a", "a/b"][number]).join(name),
        _ => name.into(),
    }
}

fn mode(path: &Path) -> io::Result<u32> {
    Ok(fs::metadata(path)?.permissions().mode() & 0o7777)
}

/// The recipients that a sealed file names.
fn recipients(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric());
    let named = words.filter(|word| word.len() == 62 && word.starts_with("age1"));
    named.map(str::to_owned).collect()
}

/// All that stands below a folder, but for folders.
fn files(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            files(&entry.path(), found)?;
        } else {
            found.push(entry.path());
        }
    }
    Ok(())
}
