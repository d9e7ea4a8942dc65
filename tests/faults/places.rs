//! Places that are not as they should be (FS-10): a folder that may not be written, no home, no folder for temporary
//! files, none in memory, a current folder that is gone. No command falls back to a laxer place, and each says why.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use support::run::{Output, Tool};
use support::strace::{Fault, Injection, Sweep};

use crate::scene::{EVERYTHING, Result, Scene, ended, people};

const PLAIN: &str = "a: 1\nb: 2\n";

/// What a command does with the folder of its file.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Does {
    /// Reads only.
    Reads,
    /// Writes there.
    Writes,
}
use Does::{Reads, Writes};

/// Every command. `DIR` stands for the folder, `a.yaml` is sealed and `p.yaml` is not, `OTHER` is a recipient.
const COMMANDS: [(&str, Does); 22] = [
    ("DIR/p.yaml", Writes),
    ("DIR", Writes),
    ("encrypt DIR/p.yaml", Reads),
    ("encrypt -i DIR/p.yaml", Writes),
    ("encrypt --output DIR/out.yaml DIR/p.yaml", Writes),
    ("decrypt DIR/a.yaml", Reads),
    ("decrypt -i DIR/a.yaml", Writes),
    ("decrypt --output DIR/out.yaml DIR/a.yaml", Writes),
    ("decrypt --output-dir DIR/out DIR/a.yaml", Writes),
    ("edit DIR/a.yaml", Writes),
    ("get DIR/a.yaml [\"a\"]", Reads),
    ("set DIR/a.yaml [\"a\"] 7", Writes),
    ("unset DIR/a.yaml [\"b\"]", Writes),
    ("rotate DIR/a.yaml", Writes),
    ("groups add --age OTHER --file DIR/a.yaml", Writes),
    ("exec-env DIR/a.yaml true", Reads),
    ("exec-file DIR/a.yaml true", Reads),
    ("filestatus DIR/a.yaml", Reads),
    ("check DIR/a.yaml", Reads),
    ("explain DIR/a.yaml", Reads),
    ("keys list", Reads),
    ("completions bash", Reads),
];

/// A folder `work` with the two files.
struct Ground(Scene);

impl Ground {
    fn new() -> Result<Self> {
        let scene = Scene::new(EVERYTHING)?;
        for name in ["work/a.yaml", "work/p.yaml"] {
            scene.write(name, PLAIN)?;
        }
        scene.must(&["encrypt", "-i", "work/a.yaml"])?;
        Ok(Self(scene))
    }

    /// `seal`, started by a shell after `first`.
    fn tool(&self, first: &str) -> Result<Tool> {
        let line = format!("{first} exec \"$0\" \"$@\"");
        let tool = self.0.tool("/bin/sh", &[0, 2])?;
        Ok(tool
            .first(["-c", &line, env!("CARGO_BIN_EXE_seal")])
            .dir(self.0.folder())
            .env("EDITOR", "sed -i s/1/9/"))
    }

    fn arguments(&self, line: &str, folder: &str) -> Result<Vec<String>> {
        let other = &people()?[1].recipient;
        let line = line.replace("OTHER", other).replace("DIR", folder);
        Ok(line.split(' ').map(str::to_owned).collect())
    }

    /// The names and the bytes of all files in the folder.
    fn content(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let mut content = Vec::new();
        for entry in fs::read_dir(self.0.path("work"))? {
            let entry = entry?;
            let bytes = fs::read(entry.path()).unwrap_or_default();
            content.push((entry.file_name().to_string_lossy().into_owned(), bytes));
        }
        content.sort();
        Ok(content)
    }
}

/// An error that says something, and no panic.
fn is_clear(output: &Output) -> bool {
    let err = output.err();
    output.code.is_some_and(|code| code != 0 && code != 101)
        && err.lines().any(|line| line.starts_with("error: "))
        && !err.contains("panicked")
}

#[test]
fn a_folder_that_may_not_be_written_is_left_as_it_is() -> Result {
    // Root may write everywhere, unless it gives that up; a thread that is gone has not given up anything for the rest.
    let test = || -> Result {
        if rustix::process::geteuid().is_root() {
            let everywhere = rustix::thread::CapabilitySet::DAC_OVERRIDE;
            rustix::thread::remove_capability_from_bounding_set(everywhere)?;
        }
        for (line, does) in COMMANDS {
            let ground = Ground::new()?;
            let work = ground.0.path("work");
            let before = ground.content()?;
            fs::set_permissions(&work, fs::Permissions::from_mode(0o555))?;
            let folder = work.to_string_lossy();
            let output = ground.tool("")?.run(ground.arguments(line, &folder)?)?;
            fs::set_permissions(&work, fs::Permissions::from_mode(0o755))?;
            assert!(ground.content()? == before, "{line} wrote");
            match does {
                Reads => assert!(output.success(), "{line}: {}", ended(&output)),
                Writes => {
                    assert_eq!(output.code, Some(3), "{line}: {}", ended(&output));
                    assert!(is_clear(&output), "{line}: {}", ended(&output));
                    assert!(output.err().contains("/work"), "{line}: {}", output.err());
                }
            }
        }
        Ok(())
    };
    std::thread::scope(|scope| scope.spawn(test).join().map_err(|_| "it panicked")?)
}

/// None of these is needed for a file and a key that are named.
#[test]
fn no_home_and_no_folder_for_temporary_files_are_needed() -> Result {
    for first in [
        "unset HOME;",
        "HOME=/nonexistent;",
        "TMPDIR=/nonexistent;",
        "unset TMPDIR HOME PATH; EDITOR='/bin/sed -i s/1/9/';",
    ] {
        for (line, does) in COMMANDS {
            let ground = Ground::new()?;
            let before = ground.content()?;
            let folder = ground.0.path("work");
            let output = ground
                .tool(first)?
                .run(ground.arguments(line, &folder.to_string_lossy())?)?;
            assert!(output.success(), "{first} {line}: {}", ended(&output));
            assert_eq!(ground.content()? != before, does == Writes, "{first} {line}");
        }
    }
    // Where nothing names a place for keys, none is made up.
    let ground = Ground::new()?;
    let output = ground.tool("HOME=/proc/none;")?.run(["keys", "new"])?;
    assert!(output.code == Some(3) && is_clear(&output), "{}", ended(&output));
    Ok(())
}

/// A path from the root still leads to a file; one from here leads nowhere.
#[test]
fn a_current_folder_that_is_gone_is_told() -> Result {
    for (line, does) in COMMANDS {
        let ground = Ground::new()?;
        let before = ground.content()?;
        let gone = "mkdir gone; cd gone; rmdir ../gone;";
        let folder = ground.0.path("work");
        let far = ground
            .tool(gone)?
            .run(ground.arguments(line, &folder.to_string_lossy())?)?;
        assert!(far.success(), "{line}: {}", ended(&far));
        assert_eq!(ground.content()? != before, does == Writes, "{line}");

        let near = ground.tool(gone)?.run(ground.arguments(line, ".")?)?;
        if line.contains("DIR") {
            assert!(is_clear(&near), "{line}: {}", ended(&near));
        } else {
            assert!(near.success(), "{line}: {}", ended(&near));
        }
    }
    Ok(())
}

/// Plaintext for another program goes to memory or nowhere.
#[test]
fn without_a_folder_in_memory_no_plaintext_is_put_down() -> Result {
    let ground = Ground::new()?;
    let seal = ground.0.tool(env!("CARGO_BIN_EXE_seal"), &[0])?;
    let disk = ground.0.path("disk");
    fs::create_dir(&disk)?;
    let seal = seal
        .dir(ground.0.folder())
        .env("XDG_RUNTIME_DIR", &disk)
        .env("TMPDIR", &disk)
        .env("EDITOR", "touch started");
    let fault = Fault::Lasting("EIO");
    let injection = Injection {
        call: "statfs".to_owned(),
        index: 1,
        fault,
    };
    for line in [
        "edit DIR/a.yaml",
        "edit DIR/new.yaml",
        "exec-file DIR/a.yaml true",
        "exec-file --no-fifo DIR/a.yaml true",
    ] {
        let arguments: Vec<_> = ground
            .arguments(line, "work")?
            .into_iter()
            .map(Into::into)
            .collect();
        let output = Sweep::new(fault, ["statfs"])?.inject(&injection, &seal, &arguments)?;
        let output = output.ok_or("it did not ask what is in memory")?;
        assert_eq!(output.code, Some(3), "{line}: {}", ended(&output));
        assert!(
            output.err().contains("no folder in memory"),
            "{line}: {}",
            output.err()
        );
        assert!(!ground.0.path("started").exists(), "{line}");
        assert_eq!(fs::read_dir(&disk)?.count(), 0, "{line}");
    }
    // A folder on a disk is passed over, not taken because it was named.
    let output = seal.run(["exec-file", "work/a.yaml", "dirname {}"])?;
    assert!(!output.out().contains("disk"), "{}", output.out());
    assert!(output.success(), "{}", ended(&output));
    Ok(())
}
