//! What an editor, or somebody else meanwhile, does to a file that is edited (FS-09, FS-14, CC-03): the file is kept,
//! and the plaintext goes from memory at every end.

use std::fs;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use support::run::{Output, Tool};
use tempfile::TempDir;

use crate::scene::{EVERYTHING, Result, Scene, ended, people};

const PLAIN: &str = "# of the shop\nname: shop\npassword: hunter2\nport: 5432\n";
/// How long cleaning up may take.
const PROMPT: Duration = Duration::from_secs(1);

/// One sealed file, and a folder in memory where nothing but what `seal` puts there is found.
struct Desk {
    scene: Scene,
    memory: TempDir,
}

impl Desk {
    fn new() -> Result<Self> {
        let scene = Scene::new(EVERYTHING)?;
        scene.write("a.yaml", PLAIN)?;
        scene.must(&["-q", "a.yaml"])?;
        // An editor gets no keys: scripts that need one have their own.
        scene.write("key", &people()?[0].secret)?;
        let memory = TempDir::with_prefix_in("sealwright-desk-", "/dev/shm")?;
        Ok(Self { scene, memory })
    }

    /// `seal` with a shell script as the editor: `$1` is the file to be edited, `seal` the program itself.
    fn tool(&self, script: &str) -> Result<Tool> {
        let seal = env!("CARGO_BIN_EXE_seal");
        let function = format!("seal() {{ SOPS_AGE_KEY_FILE=key '{seal}' -q \"$@\"; }}\n");
        self.scene.write("editor", format!("{function}{script}\n"))?;
        // Also where these tests were started by nohup, whose children ignore SIGHUP.
        let tool = self.scene.tool("env", &[0, 2])?;
        Ok(tool
            .first(["--default-signal=HUP", seal])
            .dir(self.scene.folder())
            .env("EDITOR", "sh ./editor")
            .env("XDG_RUNTIME_DIR", self.memory.path()))
    }

    fn edit(&self, script: &str) -> Result<Output> {
        Ok(self.tool(script)?.run(["edit", "-q", "a.yaml"])?)
    }

    /// `seal edit` with an editor that stays, once that has the file.
    fn begin(&self) -> Result<Child> {
        let started = self.scene.path("started");
        let tool = self.tool("echo $$ > started.new; mv started.new started; exec sleep 30")?;
        let mut command = tool.command(["edit", "a.yaml"]);
        let child = command.stdin(Stdio::null()).stderr(Stdio::piped()).spawn()?;
        let start = Instant::now();
        while !started.exists() {
            assert!(start.elapsed() < Duration::from_secs(30), "no editor was started");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(self.plaintexts()?.len(), 1, "the editor has no text");
        Ok(child)
    }

    /// The editor that [`Self::begin`] started.
    fn editor(&self) -> Result<Pid> {
        let number = fs::read_to_string(self.scene.path("started"))?;
        Ok(Pid::from_raw(number.trim().parse()?).ok_or("no process")?)
    }

    /// The folders with plaintext that are there now.
    fn plaintexts(&self) -> Result<Vec<PathBuf>> {
        let entries = fs::read_dir(self.memory.path())?.map(|entry| Ok(entry?.path()));
        entries.collect()
    }

    fn opened(&self) -> Result<String> {
        Ok(String::from_utf8(self.scene.must(&["decrypt", "a.yaml"])?)?)
    }
}

/// FS-14. The code, and that nothing is changed and nothing left.
#[test]
fn whatever_an_editor_leaves_is_taken_whole_or_not_at_all() -> Result {
    let desk = Desk::new()?;
    let before = desk.scene.read("a.yaml")?;
    for (script, code) in [
        ("exit 1", 201),
        ("kill -9 $$", 201),
        ("sed -i s/hunter2/lost/ \"$1\"; exit 1", 201),
        (": > \"$1\"", 92),
        ("rm \"$1\"", 2),
        ("rm \"$1\"; mkdir \"$1\"", 2),
        ("rm \"$1\"; ln -s /nowhere \"$1\"", 2),
        ("mv \"$1\" \"$1.bak\"", 2),
        ("echo 'name: [' > \"$1\"", 2),
        ("echo 'name: twice' >> \"$1\"", 2),
        ("printf '\\377\\376' > \"$1\"", 2),
        ("printf 'sops: mine\\n' >> \"$1\"", 203),
        ("touch \"$1\"", 200),
        ("cp \"$1\" x; mv x \"$1\"", 200),
    ] {
        let output = desk.edit(script)?;
        assert_eq!(output.code, Some(code), "{script}: {}", ended(&output));
        assert!(!output.err().contains("hunter2"), "{script}: {}", output.err());
        assert!(desk.scene.read("a.yaml")? == before, "{script}");
        assert_eq!(desk.plaintexts()?, Vec::<PathBuf>::new(), "{script}");
    }
    // By a new file that is renamed, as vim and many others write; with a backup that must go, too.
    let rename = "sed s/hunter2/renamed/ \"$1\" > \"$1.new\" && cp \"$1\" \"$1~\" && mv \"$1.new\" \"$1\"";
    let output = desk.edit(rename)?;
    assert!(output.success(), "{}", ended(&output));
    assert_eq!(desk.opened()?, PLAIN.replace("hunter2", "renamed"));
    assert_eq!(desk.plaintexts()?, Vec::<PathBuf>::new());
    Ok(())
}

/// FS-14, at a terminal: the text with a mistake is still there when the editor comes again, and in the end it is sealed.
#[test]
fn a_mistake_opens_the_editor_again_with_the_text() -> Result {
    let desk = Desk::new()?;
    let script = "if [ -e again ]; then grep -q broken \"$1\" || exit 7; echo 'name: mended' > \"$1\"\n\
                  else touch again; echo 'broken: [' > \"$1\"; fi";
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
    grantpt(&terminal)?;
    unlockpt(&terminal)?;
    let name = ptsname(&terminal, Vec::new())?.into_string()?;
    let line = fs::File::options().read(true).write(true).open(name)?;
    let mut command = desk.tool(script)?.command(["edit", "a.yaml"]);
    command
        .stdin(line.try_clone()?)
        .stdout(Stdio::null())
        .stderr(line);
    let mut child = command.spawn()?;
    // The ends for the child that this process holds, without which the terminal would never be at its end.
    drop(command);
    let mut terminal = fs::File::from(terminal);
    let (mut shown, mut chunk) = (String::new(), [0; 1024]);
    while !shown.contains("Enter opens the editor again") {
        // An error when the child has ended.
        let count = terminal
            .read(&mut chunk)
            .map_err(|error| format!("{error}: {shown}"))?;
        shown.push_str(&String::from_utf8_lossy(&chunk[..count]));
    }
    // The text can be taken from there meanwhile.
    let left = fs::read(desk.plaintexts()?[0].join("a.yaml"))?;
    assert_eq!(left, b"broken: [\n");
    terminal.write_all(b"\n")?;
    let status = child.wait()?;
    assert!(status.success(), "{status}: {shown}");
    assert_eq!(desk.opened()?, "name: mended\n");
    assert_eq!(desk.plaintexts()?, Vec::<PathBuf>::new());
    Ok(())
}

/// CC-03: whatever another process changes meanwhile, be it a recipient only or a clear line, is not written over.
#[test]
fn an_edit_overwrites_nothing_that_came_meanwhile() -> Result {
    let one = &people()?[1].recipient;
    let add = format!("seal groups add --file a.yaml --age {one}");
    let update = format!("sed -i 's/age: .*/&,{one}/' .sops.yaml; seal updatekeys --yes a.yaml");
    for (meanwhile, written) in [
        ("echo 9 | seal set a.yaml '[\"port\"]' --value-stdin", true),
        ("seal unset a.yaml '[\"port\"]'", true),
        ("seal rotate a.yaml", true),
        (&update, true),
        (&add, true),
        ("seal decrypt -i a.yaml", true),
        ("echo '# by hand' >> a.yaml", true),
        ("cp a.yaml b.yaml; mv b.yaml a.yaml", false),
        ("rm a.yaml", true),
        ("mkdir d; mv a.yaml d; ln -s d/a.yaml a.yaml", false),
    ] {
        let desk = Desk::new()?;
        let before = desk.scene.read("a.yaml")?;
        let script = format!("{{ {meanwhile}; }} || exit 9\ncp a.yaml kept\nsed -i s/hunter2/lost/ \"$1\"");
        let output = desk.edit(&script)?;
        let kept = desk.scene.read("kept").ok();
        if written {
            assert_ne!(kept.as_ref(), Some(&before), "{meanwhile}: it changed nothing");
            let expected = if kept.is_some() { 3 } else { 100 };
            assert_eq!(output.code, Some(expected), "{meanwhile}: {}", ended(&output));
            assert!(desk.scene.read("a.yaml").ok() == kept, "{meanwhile}: it was lost");
        } else {
            // The very same bytes in another place: nothing is lost by the edit.
            assert!(output.success(), "{meanwhile}: {}", ended(&output));
            assert_eq!(desk.opened()?, PLAIN.replace("hunter2", "lost"));
        }
        assert_eq!(desk.plaintexts()?, Vec::<PathBuf>::new());
    }
    // A file that is made meanwhile is kept, too.
    let desk = Desk::new()?;
    let tool = desk.tool("echo mine > new.yaml; echo 'b: 1' > \"$1\"")?;
    let output = tool.run(["edit", "-q", "new.yaml"])?;
    assert_eq!(output.code, Some(3), "{}", ended(&output));
    assert_eq!(desk.scene.read("new.yaml")?, b"mine\n");
    Ok(())
}

/// FS-09: told to end, `seal` ends within a second, with the editor and the plaintext.
#[test]
fn a_request_to_end_leaves_no_plaintext_and_no_editor() -> Result {
    for signal in [Signal::TERM, Signal::HUP] {
        let desk = Desk::new()?;
        let before = desk.scene.read("a.yaml")?;
        let mut child = desk.begin()?;
        let start = Instant::now();
        kill_process(Pid::from_child(&child), signal)?;
        let status = child.wait()?;
        assert!(start.elapsed() < PROMPT, "{signal:?}: {:?}", start.elapsed());
        assert_eq!(status.code(), Some(85), "{signal:?}");
        assert_eq!(desk.plaintexts()?, Vec::<PathBuf>::new(), "{signal:?}");
        assert!(desk.scene.read("a.yaml")? == before, "{signal:?}");
        let editor = desk.editor()?;
        while rustix::process::test_kill_process(editor).is_ok() && !is_dead(editor) {
            assert!(start.elapsed() < Duration::from_secs(20), "the editor still runs");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    Ok(())
}

/// FS-09: Ctrl-C goes to all at the terminal. An editor that ends by it ends `seal`; one that does not goes on.
#[test]
fn an_interrupt_is_the_editors_to_take() -> Result {
    let desk = Desk::new()?;
    let mut child = desk.begin()?;
    let pid = Pid::from_child(&child);
    kill_process(pid, Signal::INT)?;
    std::thread::sleep(Duration::from_millis(100));
    assert!(child.try_wait()?.is_none(), "it ended without the editor");
    let start = Instant::now();
    kill_process(desk.editor()?, Signal::INT)?;
    assert_eq!(child.wait()?.code(), Some(85));
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    assert_eq!(desk.plaintexts()?, Vec::<PathBuf>::new());
    Ok(())
}

/// FS-09: who is killed cannot clean up. A killed editor is cleaned up after at once, a killed `seal` by the next one
/// that has plaintext to put there; what is left until then is in memory and the owner's alone.
#[test]
fn after_a_kill_plaintext_is_in_memory_only_and_swept() -> Result {
    let desk = Desk::new()?;
    let before = desk.scene.read("a.yaml")?;
    let mut child = desk.begin()?;
    let start = Instant::now();
    kill_process(desk.editor()?, Signal::KILL)?;
    assert_eq!(child.wait()?.code(), Some(201));
    assert!(start.elapsed() < PROMPT, "{:?}", start.elapsed());
    assert_eq!(desk.plaintexts()?, Vec::<PathBuf>::new());

    fs::remove_file(desk.scene.path("started"))?;
    let mut child = desk.begin()?;
    let editor = desk.editor()?;
    child.kill()?;
    child.wait()?;
    let left = desk.plaintexts()?;
    assert_eq!(left.len(), 1, "nothing to sweep");
    assert_eq!(fs::metadata(&left[0])?.permissions().mode() & 0o7777, 0o700);
    let text = left[0].join("a.yaml");
    assert_eq!(fs::metadata(text)?.permissions().mode() & 0o7777, 0o600);
    kill_process(editor, Signal::KILL)?;
    let out = desk.tool("true")?.run(["exec-file", "a.yaml", "cat {}"])?;
    assert_eq!(out.expect_success()?, PLAIN.as_bytes());
    assert_eq!(desk.plaintexts()?, Vec::<PathBuf>::new());
    assert!(desk.scene.read("a.yaml")? == before);
    Ok(())
}

/// Whether a process has ended and only waits to be collected.
fn is_dead(pid: Pid) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero()));
    status.is_ok_and(|status| {
        status
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.starts_with(" Z"))
    })
}
