//! Who may read what is written, from the first moment on (FS-08), and the order of the writer's steps (FS-04): as the
//! system calls show it.

use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use support::run::{Output, Tool};
use support::strace::{Fault, Injection, Sweep, record};

use crate::scene::{EVERYTHING, Result, Scene, ended};

const PLAIN: &str = "a: 1\nb: 2\n";
/// What makes a file or changes who may read one.
const CALLS: [&str; 14] = [
    "open",
    "openat",
    "creat",
    "mkdir",
    "mkdirat",
    "mknod",
    "mknodat",
    "chmod",
    "fchmod",
    "fchmodat",
    "fchmodat2",
    "memfd_create",
    "link",
    "linkat",
];
const UMASKS: [u32; 3] = [0o000, 0o022, 0o077];

/// A sealed file `a.yaml`, a plain one `p.yaml`, with these permissions.
fn scene(mode: u32) -> Result<Scene> {
    let scene = Scene::new(EVERYTHING)?;
    for name in ["a.yaml", "p.yaml"] {
        scene.write(name, PLAIN)?;
    }
    scene.must(&["encrypt", "-i", "a.yaml"])?;
    for name in ["a.yaml", "p.yaml"] {
        fs::set_permissions(scene.path(name), fs::Permissions::from_mode(mode))?;
    }
    scene.write("value", "7")?;
    fs::create_dir(scene.path("home"))?;
    Ok(scene)
}

/// `seal` under this umask, with an editor that changes a digit.
fn under(scene: &Scene, umask: u32) -> Result<Tool> {
    let line = format!("umask {umask:03o}; exec \"$0\" \"$@\"");
    let tool = scene.tool("/bin/sh", &[0, 2])?;
    Ok(tool
        .first(["-c", &line, env!("CARGO_BIN_EXE_seal")])
        .env("EDITOR", "sed -i s/1/9/")
        .env("HOME", scene.path("home"))
        .dir(scene.folder()))
}

fn words(line: &str) -> Vec<OsString> {
    line.split(' ').map(Into::into).collect()
}

/// The permissions that a call names, if it is one that gives any: `0600`, `S_IFIFO|0600`.
fn given(call: &str) -> Option<u32> {
    let (call, _) = call.rsplit_once(") = ")?;
    let opens = call.contains(" open") || call.contains(" openat");
    if opens && !call.contains("O_CREAT") && !call.contains("O_TMPFILE") {
        return None;
    }
    let last = call.rsplit([',', '|', ' ']).next()?;
    u32::from_str_radix(last, 8).ok()
}

/// FS-08. Plaintext is its owner's alone from the call on that makes its file, whatever the umask, and whoever could read
/// what stood there before.
#[test]
fn plaintext_is_made_private_and_never_opened_up() -> Result {
    for umask in UMASKS {
        for (line, made) in [
            ("decrypt --output out a.yaml", Some("out")),
            ("decrypt --output wide a.yaml", Some("wide")),
            ("decrypt --output-dir d a.yaml", Some("d/a.yaml")),
            ("exec-file a.yaml true", None),
            ("exec-file --no-fifo a.yaml true", None),
            ("keys new", Some("home/.config/sops/age/keys.txt")),
        ] {
            let scene = scene(0o644)?;
            scene.write("wide", "old")?;
            fs::set_permissions(scene.path("wide"), fs::Permissions::from_mode(0o666))?;
            let (output, trace) = record(&CALLS, &under(&scene, umask)?, &words(line))?;
            assert!(output.success(), "{umask:o} {line}: {}", ended(&output));
            let mut modes = 0;
            for call in trace.lines().filter(|call| !call.contains("/dev/null")) {
                let Some(mode) = given(call) else { continue };
                modes += 1;
                assert_eq!(mode & 0o077, 0, "{umask:o} {line}: {call}");
            }
            assert!(modes > 0, "{line}: nothing was made:\n{trace}");
            if let Some(made) = made {
                let mode = fs::metadata(scene.path(made))?.mode() & 0o7777;
                assert_eq!(mode, 0o600, "{umask:o} {line}");
            }
        }
    }
    Ok(())
}

/// FS-08. What an editor gets: the folder and the file, but not what the editor itself makes.
#[test]
fn an_editors_text_is_made_private() -> Result {
    for umask in UMASKS {
        let scene = scene(0o644)?;
        let tool = under(&scene, umask)?.env("EDITOR", "stat -c %a");
        let (output, trace) = record(&CALLS, &tool, &words("edit a.yaml"))?;
        assert_eq!(output.code, Some(200), "{}", ended(&output));
        assert_eq!(output.out().trim_end(), "600");
        let made: Vec<&str> = trace
            .lines()
            .filter(|call| call.contains("sealwright-private-"))
            .filter(|call| given(call).is_some())
            .collect();
        let modes: Vec<u32> = made.iter().filter_map(|call| given(call)).collect();
        assert_eq!(modes, [0o700, 0o600], "{umask:o}: {made:#?}");
    }
    Ok(())
}

/// FS-08. A file changed in place keeps its permissions; until it is whole it is its owner's alone. FS-04: the steps of
/// the writer.
#[test]
fn a_file_in_place_keeps_its_permissions() -> Result {
    let steps = ["write", "fsync", "rename", "renameat", "renameat2"];
    let calls: Vec<&str> = CALLS.into_iter().chain(steps).collect();
    for (number, line) in [
        "p.yaml",
        "encrypt -i p.yaml",
        "decrypt -i a.yaml",
        "set --value-file a.yaml [\"a\"] value",
        "unset a.yaml [\"b\"]",
        "rotate a.yaml",
        "edit a.yaml",
        "groups add --age OTHER --file a.yaml",
    ]
    .into_iter()
    .enumerate()
    {
        let (umask, mode) = (UMASKS[number % 3], [0o640, 0o600, 0o664][number % 3]);
        let scene = scene(mode)?;
        let line = line.replace("OTHER", &crate::scene::people()?[1].recipient);
        let (output, trace) = record(&calls, &under(&scene, umask)?, &words(&line))?;
        assert!(output.success(), "{line}: {}", ended(&output));
        let name = if line.contains("p.yaml") {
            "p.yaml"
        } else {
            "a.yaml"
        };
        let now = fs::metadata(scene.path(name))?.mode() & 0o7777;
        assert_eq!(now, mode, "{line} under {umask:o}");
        let folder = scene.folder().to_string_lossy().into_owned();
        let order: Vec<String> = trace
            .lines()
            .filter(|call| call.contains(&folder))
            .filter_map(|call| step(call, &folder))
            .collect();
        let mut expected = vec![
            "make 600".to_owned(),
            "write".to_owned(),
            format!("mode {mode:o}"),
            "sync file".to_owned(),
            "rename".to_owned(),
            "sync folder".to_owned(),
        ];
        // A second write is part of the first.
        let mut order = order;
        order.dedup();
        expected.dedup();
        assert_eq!(order, expected, "{line}:\n{trace}");
    }
    Ok(())
}

/// What a call on our temporary file, or on the folder, does.
fn step(call: &str, folder: &str) -> Option<String> {
    let ours = call.contains(".seal-tmp-");
    let does = |name: &str| call.contains(&format!(" {name}("));
    if does("openat") && ours && call.contains("O_CREAT") {
        let exclusive = if call.contains("O_EXCL") && call.contains("O_NOFOLLOW") {
            "make"
        } else {
            "open"
        };
        return Some(format!("{exclusive} {:o}", given(call)?));
    }
    if does("fsync") {
        let of_folder = call.contains(&format!("<{folder}>"));
        return Some(if of_folder { "sync folder" } else { "sync file" }.to_owned());
    }
    if does("fchmod") && ours {
        return Some(format!("mode {:o}", given(call)?));
    }
    let names = ["write", "renameat", "rename", "renameat2"];
    let name = names.into_iter().find(|name| does(name) && ours)?;
    Some(if name == "write" { "write" } else { "rename" }.to_owned())
}

/// FS-08. The owner and the group stay; where the system does not allow that it is said, and nobody new may read.
#[test]
fn another_owner_stays_or_that_is_said() -> Result {
    let (owner, group) = other_owner()?;
    let set = ["set", "-q", "--value-file", "a.yaml", "[\"a\"]", "value"];
    let prepared = || -> Result<Scene> {
        let scene = scene(0o640)?;
        std::os::unix::fs::chown(scene.path("a.yaml"), owner, Some(group))?;
        Ok(scene)
    };
    let kept = prepared()?;
    let output = kept.seal(&set)?;
    assert!(output.success() && output.err().is_empty(), "{}", ended(&output));
    let found = fs::metadata(kept.path("a.yaml"))?;
    assert_eq!((found.mode() & 0o7777, found.gid()), (0o640, group));
    assert!(owner.is_none_or(|owner| owner == found.uid()));

    let lost = prepared()?;
    let tool = lost.tool(env!("CARGO_BIN_EXE_seal"), &[0])?.dir(lost.folder());
    let fault = Fault::Lasting("EPERM");
    let injection = Injection {
        call: "fchown".to_owned(),
        index: 1,
        fault,
    };
    let output: Option<Output> =
        Sweep::new(fault, ["fchown"])?.inject(&injection, &tool, &set.map(Into::into))?;
    let output = output.ok_or("the owner was not set")?;
    assert!(output.success(), "{}", ended(&output));
    assert!(
        output.err().contains("the group could not be kept"),
        "{}",
        output.err()
    );
    let said = output.err().contains("the owner could not be kept");
    assert_eq!(said, owner.is_some(), "{}", output.err());
    // The group is another one now: it may do what everyone may, which is nothing.
    let found = fs::metadata(lost.path("a.yaml"))?;
    assert_eq!(found.mode() & 0o7777, 0o600, "{:o}", found.mode());
    assert_ne!(found.gid(), group);
    Ok(())
}

/// An owner and a group that a file of ours can be given; the owner only by root.
fn other_owner() -> Result<(Option<u32>, u32)> {
    if rustix::process::geteuid().is_root() {
        return Ok((Some(12_345), 23_456));
    }
    let own = rustix::process::getegid();
    let groups = rustix::process::getgroups()?;
    let other = groups.into_iter().find(|group| *group != own);
    let other = other.ok_or("this test needs root, or a user who is in a second group")?;
    Ok((None, other.as_raw()))
}

/// FS-08. What is sealed may be read by whom the umask allows, as any new file.
#[test]
fn new_sealed_files_follow_the_umask() -> Result {
    for umask in UMASKS {
        let scene = scene(0o644)?;
        let tool = under(&scene, umask)?.env("EDITOR", "sed -i s/value/secret/");
        tool.run(words("encrypt --output out.yaml p.yaml"))?
            .expect_success()?;
        tool.run(words("edit new.env"))?.expect_success()?;
        for made in ["out.yaml", "new.env"] {
            let mode = fs::metadata(scene.path(made))?.mode() & 0o7777;
            assert_eq!(mode, 0o666 & !umask, "{made}");
        }
    }
    Ok(())
}
