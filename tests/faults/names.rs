//! What a path can lead to, and how it can be spelled (FS-05, FS-12): for every command that writes in place.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FileType, Mode, mknodat};
use support::run::{Output, Tool};
use support::tier;

use crate::scene::{EVERYTHING, Result, Scene, ended, people};

/// A file with two values, and how each command is given a path of it.
const PLAIN: &str = "a: 1\nb: 2\n";
/// `FILE` stands for the path; the commands without it need a file that is not sealed.
const COMMANDS: [&[&str]; 9] = [
    &["--", "FILE"],
    &["encrypt", "-i", "--", "FILE"],
    &["decrypt", "-i", "--", "FILE"],
    &["set", "--value-file", "--", "FILE", "[\"a\"]", "VALUE"],
    &["unset", "--", "FILE", "[\"b\"]"],
    &["rotate", "--", "FILE"],
    &["updatekeys", "--yes", "--", "FILE"],
    &["groups", "add", "--age", "OTHER", "--file=FILE"],
    &["edit", "--", "FILE"],
];

struct Ground(Scene);

impl Ground {
    fn new() -> Result<Self> {
        let scene = Scene::new(EVERYTHING)?;
        fs::create_dir(scene.path("work"))?;
        Ok(Self(scene))
    }

    fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path("work").join(name)
    }

    /// `work/NAME`, sealed for the commands that want it so; by another name, so that nothing depends on this one.
    fn file(&self, command: &[&str], name: impl AsRef<Path>) -> Result {
        self.0.policy(EVERYTHING)?;
        self.0.write("made.yaml", PLAIN)?;
        if !matches!(command[0], "--" | "encrypt") {
            self.0.must(&["encrypt", "-i", "made.yaml"])?;
        }
        fs::rename(self.0.path("made.yaml"), self.path(name))?;
        if command[0] == "updatekeys" {
            self.0
                .policy("creation_rules:\n  - path_regex: .\n    age: PERSON0,PERSON1\n")?;
        }
        Ok(())
    }

    fn run(&self, command: &[&str], path: impl AsRef<OsStr>) -> Result<Output> {
        self.0.write("value", "7")?;
        let path = path.as_ref().as_bytes();
        let arguments = command.iter().map(|argument| {
            let text = match *argument {
                "VALUE" => self.0.path("value").into_os_string().into_encoded_bytes(),
                "OTHER" => people().map_or_else(|_| Vec::new(), |people| people[1].recipient.clone().into()),
                "FILE" => path.to_vec(),
                "--file=FILE" => [b"--file=", path].concat(),
                other => other.as_bytes().to_vec(),
            };
            OsStr::from_bytes(&text).to_owned()
        });
        let tool: Tool = self.0.tool(env!("CARGO_BIN_EXE_seal"), &[0, 1])?;
        let tool = tool
            .dir(self.0.path("work"))
            .env("EDITOR", "sed -i s/1/9/")
            .limit(Duration::from_secs(20));
        Ok(tool.run(arguments)?)
    }

    fn names(&self) -> Result<Vec<String>> {
        let entries = fs::read_dir(self.0.path("work"))?;
        let mut names: Vec<String> = entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect::<Result<_>>()?;
        names.sort();
        Ok(names)
    }
}

/// FS-05. A link, and a chain of them over two folders, stays; what is behind it is written.
#[test]
fn links_stay_and_what_is_behind_them_is_written() -> Result {
    for command in COMMANDS {
        let ground = Ground::new()?;
        fs::create_dir(ground.path("d"))?;
        ground.file(command, "d/real.yaml")?;
        symlink("d/real.yaml", ground.path("one.yaml"))?;
        symlink("../one.yaml", ground.path("d/two.yaml"))?;
        let before = fs::read(ground.path("d/real.yaml"))?;
        let output = ground.run(command, "d/two.yaml")?;
        assert!(output.success(), "{command:?}: {}", ended(&output));
        assert!(
            fs::read(ground.path("d/real.yaml"))? != before,
            "{command:?} wrote nothing"
        );
        assert!(fs::symlink_metadata(ground.path("d/real.yaml"))?.is_file());
        assert_eq!(fs::read_link(ground.path("one.yaml"))?, Path::new("d/real.yaml"));
        assert_eq!(
            fs::read_link(ground.path("d/two.yaml"))?,
            Path::new("../one.yaml")
        );
        assert_eq!(ground.names()?, ["d", "one.yaml"]);
    }
    Ok(())
}

/// FS-05. What cannot be replaced is refused at once, by every command alike: none waits for a pipe.
#[test]
fn what_cannot_be_replaced_is_refused() -> Result {
    for command in COMMANDS {
        let ground = Ground::new()?;
        symlink("b.yaml", ground.path("a.yaml"))?;
        symlink("a.yaml", ground.path("b.yaml"))?;
        symlink("nowhere.yaml", ground.path("dangling.yaml"))?;
        let pipe = ground.path("pipe.yaml");
        mknodat(
            rustix::fs::CWD,
            &pipe,
            FileType::Fifo,
            Mode::from_raw_mode(0o600),
            0,
        )?;
        let _socket = std::os::unix::net::UnixListener::bind(ground.path("socket.yaml"))?;
        fs::create_dir(ground.path("folder.yaml"))?;
        symlink("/dev/null", ground.path("null.yaml"))?;
        fs::create_dir_all(ground.path("file:/etc"))?;
        // Commands that walk take a folder, and a loop for nothing that is there.
        let walks = matches!(
            command[..1],
            ["--"] | ["updatekeys"] | ["rotate"] | ["decrypt"] | ["encrypt"]
        );
        for (name, code, why) in [
            ("a.yaml", 3, "leads to itself"),
            ("dangling.yaml", 100, "no such file"),
            ("none.yaml", 100, "no such file"),
            // Neither is anything but a name here.
            ("file:///etc/none.yaml", 100, "no such file"),
            (r"\\?\C:\none.yaml", 100, "no such file"),
            ("pipe.yaml", 3, "is a pipe"),
            ("socket.yaml", 3, "is a socket"),
            ("folder.yaml", 3, "is a folder"),
            ("null.yaml", 3, "is a device"),
        ] {
            let makes = name.ends_with("none.yaml") && command[0] == "edit";
            if makes || name == "folder.yaml" && walks {
                continue;
            }
            let output = ground.run(command, name)?;
            let codes = if name == "a.yaml" && walks {
                vec![2, 3]
            } else {
                vec![code]
            };
            assert!(
                output.code.is_some_and(|code| codes.contains(&code)),
                "{command:?} {name}: {}",
                ended(&output)
            );
            let err = output.err();
            assert!(err.contains(name), "{command:?} {name}: {err}");
            assert!(err.contains(why) || codes.len() > 1, "{command:?} {name}: {err}");
        }
        assert_eq!(
            ground.names()?.len(),
            8,
            "{command:?} left something: {:?}",
            ground.names()?
        );
    }
    Ok(())
}

/// FS-05. Other names of the file keep the old content, and that is said.
#[test]
fn other_hard_links_are_warned_of() -> Result {
    for command in COMMANDS {
        let ground = Ground::new()?;
        ground.file(command, "file.yaml")?;
        fs::hard_link(ground.path("file.yaml"), ground.path("other.yaml"))?;
        let before = fs::read(ground.path("file.yaml"))?;
        let output = ground.run(command, "file.yaml")?;
        assert!(output.success(), "{command:?}: {}", ended(&output));
        assert!(
            output.err().contains("1 other hard link"),
            "{command:?}: {}",
            output.err()
        );
        assert!(fs::read(ground.path("file.yaml"))? != before, "{command:?}");
        assert!(fs::read(ground.path("other.yaml"))? == before, "{command:?}");
    }
    Ok(())
}

/// FS-12. A name is a name, whatever it holds: behind `--` it is no flag, and printed it is one line of visible
/// characters.
#[test]
fn names_are_taken_as_they_are_and_printed_escaped() -> Result {
    let names: [&[u8]; 7] = [
        b"-rf.yaml",
        b"--help.yaml",
        b"a\nsealed b.yaml",
        b"esc\x1b[2J\x1b]0;title\x07.yaml",
        b"not \xff\xfe text.yaml",
        "right\u{202e}to left.yaml".as_bytes(),
        b"$(touch started) 'quoted' \"twice\";.yaml",
    ];
    // Small form: each name with three of the commands.
    let step = tier::count(3, 1);
    for (number, command) in COMMANDS.into_iter().enumerate() {
        for name in names
            .map(OsStr::from_bytes)
            .into_iter()
            .skip(number % step)
            .step_by(step)
        {
            let ground = Ground::new()?;
            ground.file(command, name)?;
            let before = fs::read(ground.path(name))?;
            let output = ground.run(command, name)?;
            assert!(output.success(), "{command:?} {name:?}: {}", ended(&output));
            assert!(
                fs::read(ground.path(name))? != before,
                "{command:?} {name:?}: not written"
            );
            assert_eq!(ground.names()?, [name.to_string_lossy()], "{command:?} {name:?}");
            // The second time most have nothing to do, or fail: that is told, too.
            let again = ground.run(command, name)?;
            let missing = ground.run(command, OsStr::from_bytes(&[b"no", name.as_bytes()].concat()))?;
            for output in [&output, &again, &missing] {
                for text in [&output.stdout, &output.stderr] {
                    let shown = str::from_utf8(text)?;
                    let acts = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
                    assert!(!shown.contains(acts), "{command:?} {name:?}: {shown:?}");
                    assert!(!shown.contains("\nsealed b"), "{command:?} {name:?}: {shown:?}");
                }
            }
        }
    }
    Ok(())
}

/// FS-12. Editors get an absolute path, git and the shell of the hook the names behind `--` or on their input.
#[test]
fn no_name_becomes_a_flag_of_another_program() -> Result {
    let scene = Scene::new(EVERYTHING)?;
    let git = |arguments: &[&str]| -> Result<Output> {
        let tool = scene.tool("/usr/bin/env", &[])?.dir(scene.folder()).first([
            "git",
            "-c",
            "user.name=n",
            "-c",
            "user.email=e",
        ]);
        let output = tool.run(arguments)?;
        assert!(output.success(), "git {arguments:?}: {}", ended(&output));
        Ok(output)
    };
    git(&["init", "-q"])?;
    for name in ["--batch-check=%(rest).yaml", "-h.yaml"] {
        scene.write(name, "a: 1\nb_unencrypted: 2\n")?;
        scene.must(&["-q", "--", name])?;
        git(&["add", "--", name])?;
        git(&["commit", "-qm", "x"])?;
        // Sealed on the base of what git holds.
        let text = String::from_utf8(scene.read(name)?)?;
        scene.write(name, text.replace("b_unencrypted: 2", "b_unencrypted: 3"))?;
        scene.must(&["-q", "--", name])?;
        assert_eq!(scene.must(&["decrypt", "--", name])?, b"a: 1\nb_unencrypted: 3\n");
        scene.write(
            "editor",
            "case $1 in /*/\"$2\") echo 'a: 5' > \"$1\";; *) exit 3;; esac\n",
        )?;
        scene.write("start", format!("exec sh ./editor \"$1\" '{name}'\n"))?;
        let tool = scene.tool(env!("CARGO_BIN_EXE_seal"), &[0])?;
        let tool = tool.dir(scene.folder()).env("EDITOR", "sh ./start");
        tool.run(["edit", "--", name])?.expect_success()?;
        assert_eq!(scene.must(&["decrypt", "--", name])?, b"a: 5\n");
    }
    Ok(())
}

/// FS-12. Nothing is written outside an output folder, whatever the path of the input.
#[test]
fn outputs_stay_below_their_folder() -> Result {
    let scene = Scene::new(EVERYTHING)?;
    scene.write("top/file.yaml", PLAIN)?;
    scene.must(&["encrypt", "-i", "top/file.yaml"])?;
    fs::create_dir_all(scene.path("top/work/away"))?;
    let absolute = scene.path("top/file.yaml");
    let absolute = absolute.to_str().ok_or("a path that is not text")?;
    let tool = scene.tool(env!("CARGO_BIN_EXE_seal"), &[0])?;
    let tool = tool.dir(scene.path("top/work"));
    let before = fs::read_dir(scene.path("top"))?.count();
    let one = tool.run(["decrypt", "--output-dir", "out", "../file.yaml"])?;
    one.expect_success()?;
    assert_eq!(fs::read(scene.path("top/work/out/file.yaml"))?, PLAIN.as_bytes());
    let all = tool.run(["decrypt", "--output-dir", "out", absolute])?;
    all.expect_success()?;
    let below = scene.path("top/work/out").join(&absolute[1..]);
    assert_eq!(fs::read(below)?, PLAIN.as_bytes());
    assert_eq!(fs::read_dir(scene.path("top"))?.count(), before);
    // A link in the folder is not followed.
    fs::remove_dir_all(scene.path("top/work/out"))?;
    fs::create_dir(scene.path("top/work/out"))?;
    symlink("../away", scene.path("top/work/out/sub"))?;
    scene.write("top/work/sub/file.yaml", scene.read("top/file.yaml")?)?;
    let led = tool.run(["decrypt", "--output-dir", "out", "sub/file.yaml"])?;
    assert_eq!(led.code, Some(3), "{}", ended(&led));
    assert_eq!(fs::read_dir(scene.path("top/work/away"))?.count(), 0);
    // Two inputs never become one output.
    scene.write("top/work/file.yaml", scene.read("top/file.yaml")?)?;
    let both = tool.run(["decrypt", "--output-dir", "new", "file.yaml", "../file.yaml"])?;
    assert_eq!(both.code, Some(8), "{}", ended(&both));
    assert!(!scene.path("top/work/new/file.yaml").exists());
    Ok(())
}
