//! CR-16: what a waiting program still holds in memory. LK-11: who may read it.
//!
//! The memory of `seal` is searched while a command that it started runs: by then its work with keys and values is done.

use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::time::{Duration, Instant};

use support::keys::Identity;
use support::peers;
use support::run::Tool;

use crate::scene::{EVERYTHING, Result, Scene, people};

const VALUE: &str = "canary-of-the-memory-7fK2";

/// What must not be found, by name.
struct Secrets(Vec<(&'static str, Vec<u8>)>);

impl Secrets {
    fn of(scene: &Scene, identity: &Identity, file: &str) -> Result<Self> {
        let text = identity.secret.trim();
        let scalar = scalar(text).ok_or("not an identity")?;
        Ok(Self(vec![
            ("value", VALUE.into()),
            ("identity", text[16..48].into()),
            ("scalar", scalar),
            ("data key", data_key(scene, file)?),
        ]))
    }

    /// The names of those that are in `bytes`.
    fn find(&self, bytes: &[u8]) -> Vec<&'static str> {
        let found = |secret: &[u8]| memchr::memmem::find(bytes, secret).is_some();
        let those = self.0.iter().filter(|(_, secret)| found(secret));
        those.map(|(name, _)| *name).collect()
    }
}

/// The 32 bytes that an identity's Bech32 stands for.
fn scalar(identity: &str) -> Option<Vec<u8>> {
    const LETTERS: &str = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L";
    let data = identity.strip_prefix("AGE-SECRET-KEY-1")?;
    let (mut bytes, mut bits, mut count) = (Vec::new(), 0_u32, 0);
    for letter in data.get(..data.len() - 6)?.chars() {
        bits = bits << 5 | u32::try_from(LETTERS.find(letter)?).ok()?;
        count += 5;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    (bytes.len() == 32).then_some(bytes)
}

/// The data key of a sealed JSON file, opened by age itself.
fn data_key(scene: &Scene, file: &str) -> Result<Vec<u8>> {
    let file: serde_json::Value = serde_json::from_slice(&scene.read(file)?)?;
    let sealed = file["sops"]["age"][0]["enc"].as_str().ok_or("no data key")?;
    let age = Tool::new(peers::age()?)?.dir(scene.folder());
    let key = age
        .run_with_input(["-d", "-i", "identity"], sealed.as_bytes())?
        .expect_success()?;
    assert_eq!(key.len(), 32);
    Ok(key)
}

/// All that the program may read of its own memory, area by area with its name.
fn memory(pid: u32) -> Result<Vec<(String, Vec<u8>)>> {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
    let mut memory = File::open(format!("/proc/{pid}/mem"))?;
    let mut areas = Vec::new();
    for line in maps.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let name = fields.get(5).copied().unwrap_or_default();
        if !fields[1].starts_with('r') || name.starts_with("[v") {
            continue;
        }
        let (start, end) = fields[0].split_once('-').ok_or("no range")?;
        let (start, end) = (u64::from_str_radix(start, 16)?, u64::from_str_radix(end, 16)?);
        let mut bytes = vec![0; usize::try_from(end - start)?];
        memory.seek(SeekFrom::Start(start))?;
        if memory.read_exact(&mut bytes).is_ok() {
            areas.push((name.to_owned(), bytes));
        }
    }
    Ok(areas)
}

/// Runs `seal`, whose child makes the file `waits`, and looks into it then.
fn look(scene: &Scene, arguments: &[&str]) -> Result<Vec<(String, Vec<u8>)>> {
    let _ = std::fs::remove_file(scene.path("waits"));
    let seal = scene.tool(env!("CARGO_BIN_EXE_seal"), &[])?;
    let seal = seal.env("SOPS_AGE_KEY_FILE", scene.path("identity"));
    let seal = seal.env("SOPS_EDITOR", "sh ./editor");
    let mut child = seal.command(arguments).spawn()?;
    let start = Instant::now();
    while !scene.path("waits").exists() && start.elapsed() < Duration::from_secs(20) {
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(
        scene.path("waits").exists(),
        "{arguments:?}: the child did not start"
    );
    // The child runs before its parent has cleaned up.
    std::thread::sleep(Duration::from_millis(300));
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", child.id()))?;
    let core = limits.lines().find(|line| line.starts_with("Max core file size"));
    let core: Vec<&str> = core
        .unwrap_or_default()
        .split_whitespace()
        .skip(4)
        .take(2)
        .collect();
    let seen = memory(child.id());
    child.kill()?;
    child.wait()?;
    assert_eq!(core, ["0", "0"], "a core file could be written");
    seen
}

#[test]
fn nothing_is_kept_while_a_command_runs() -> Result {
    let scene = Scene::new(EVERYTHING)?;
    let identity = &people()?[0];
    scene.write("identity", &identity.secret)?;
    scene.write("a.json", format!("{{\"a\": \"{VALUE}\"}}\n"))?;
    scene.write("editor", "touch waits; sleep 5")?;
    // So many are opened by several threads, whose stacks outlive them.
    let values: Vec<String> = (0..6_000).map(|at| format!("\"a{at}\": \"{VALUE}\"")).collect();
    scene.write("large.json", format!("{{{}}}\n", values.join(",")))?;
    scene.must(&["-q", "a.json", "large.json"])?;
    if !is_root() {
        // The protection itself: not even the owner reads the memory of a program that is not dumpable.
        let refused = look(&scene, &["exec-env", "a.json", "touch waits; sleep 5"]);
        assert!(refused.is_err(), "another program may read the memory");
        return Ok(());
    }
    for (command, file, line) in [
        (&["exec-env"][..], "a.json", "touch waits; sleep 5"),
        (&["exec-env"], "large.json", "touch waits; sleep 5"),
        (&["sops", "exec-env"], "a.json", "touch waits; sleep 5"),
        (
            &["exec-file"],
            "large.json",
            "cat {} > /dev/null; touch waits; sleep 5",
        ),
        (
            &["exec-file", "--no-fifo"],
            "a.json",
            "touch waits; sleep 5; true {}",
        ),
        (
            &["sops", "exec-file"],
            "a.json",
            "cat {} > /dev/null; touch waits; sleep 5",
        ),
    ] {
        let secrets = Secrets::of(&scene, identity, file)?;
        let arguments = [command, &[file, line]].concat();
        let areas = look(&scene, &arguments)?;
        let size: usize = areas.iter().map(|(_, bytes)| bytes.len()).sum();
        assert!(size > 1 << 20, "{command:?}: only {size} bytes were seen");
        for (name, bytes) in areas {
            let found = secrets.find(&bytes);
            assert!(found.is_empty(), "{command:?} {file}: {found:?} in {name}");
        }
    }
    // An edit goes on with its keys and the text, but not with the file that an identity came from.
    let secrets = Secrets::of(&scene, identity, "a.json")?;
    let areas = look(&scene, &["edit", "a.json"])?;
    let found: Vec<&str> = areas.iter().flat_map(|(_, bytes)| secrets.find(bytes)).collect();
    assert!(
        found.contains(&"value") && found.contains(&"data key"),
        "the search finds nothing"
    );
    assert!(!found.contains(&"identity"));
    Ok(())
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self").is_ok_and(|own| std::os::unix::fs::MetadataExt::uid(&own) == 0)
}
